"""The client against a manager interface on loopback that refuses, hangs, breaks off and floods."""

import asyncio
from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs

from cti.ami.client import FAIR, AmiClient, LinkDown, LinkUp, Listed
from cti.ami.errors import DeadlineError, LoginRefusedError, NotConnectedError, UnsafeActionError
from cti.ami.message import Message
from tests.unit.cti.ami.fake import FakeAmi, Peer, config, connected, events_of, take

ASKED = datetime(2026, 4, 1, tzinfo=UTC)


async def test_log_in_and_hear_events_in_order() -> None:
    server = FakeAmi()
    async with connected(server) as client:
        before = client.connected
        events = await events_of(client)
        assert (before, client.connected) == (False, True)
        assert server.actions == ["Login"]
        for number in range(50):
            server.peers[0].send("Event: Probe", f"Number: {number}")
        heard = [await take(events) for _ in range(50)]
        assert [item.get("Number") for item in heard if isinstance(item, Message)] == [str(n) for n in range(50)]


async def test_a_refused_login_ends_it_with_the_reason_and_is_not_tried_again() -> None:
    server = FakeAmi()
    server.refuse_login = True
    await server.listen()
    client = AmiClient(config(server.port))
    with pytest.raises(LoginRefusedError, match=r"refused user 'kikitori': Authentication failed.*manager\.conf"):
        async with asyncio.timeout(5):
            await client.run()
    assert server.actions == ["Login"]
    assert not client.connected
    await server.stop()


async def test_an_action_is_answered_by_the_response_that_carries_its_id() -> None:
    waiting: list[Message] = []

    def answer(peer: Peer, action: Message) -> None:
        waiting.append(action)
        if len(waiting) == 3:
            for held in reversed(waiting):
                peer.reply(held, f"Echo: {held.get('Value')}")

    async with connected(FakeAmi(answer)) as client:
        await events_of(client)
        replies = await asyncio.gather(*(client.send_action({"Action": "Echo", "Value": name}) for name in "abc"))
    assert [reply[0].get("Echo") for reply in replies] == ["a", "b", "c"]


async def test_before_the_connection_an_action_fails_at_once() -> None:
    client = AmiClient(config(1))
    with pytest.raises(NotConnectedError):
        await client.send_action({"Action": "Ping"})


async def test_an_unsafe_action_reaches_nobody() -> None:
    server = FakeAmi()
    async with connected(server) as client:
        await events_of(client)
        with pytest.raises(UnsafeActionError):
            await client.send_action({"Action": "Setvar", "Value": "x\r\n\r\nAction: Originate"})
    assert server.actions == ["Login"]


async def test_an_action_that_is_not_answered_meets_its_deadline_and_the_connection_stays() -> None:
    server = FakeAmi(lambda peer, action: peer.reply(action) if action.get("Action") == "Other" else None)
    async with connected(server) as client:
        await events_of(client)
        with pytest.raises(DeadlineError, match="Originate"):
            await client.send_action({"Action": "Originate"}, deadline=0.02)
        assert (await client.send_action({"Action": "Other"}))[0].get("Response") == "Success"
        assert client.connected
    assert server.actions.count("Originate") == 1


async def test_an_answer_that_comes_too_late_answers_nothing_else() -> None:
    late: list[tuple[Peer, Message]] = []

    def answer(peer: Peer, action: Message) -> None:
        if action.get("Action") == "Slow":
            late.append((peer, action))
        else:
            late[0][0].reply(late[0][1], "Echo: slow")
            peer.reply(action, "Echo: quick")

    async with connected(FakeAmi(answer)) as client:
        await events_of(client)
        with pytest.raises(DeadlineError):
            await client.send_action({"Action": "Slow"}, deadline=0.02)
        assert (await client.send_action({"Action": "Quick"}))[0].get("Echo") == "quick"


async def test_a_list_is_whole_with_its_complete_event() -> None:
    def answer(peer: Peer, action: Message) -> None:
        identity = f"ActionID: {action.get('ActionID')}"
        peer.reply(action, "EventList: start", "Message: Channels will follow")
        for number in range(3):
            peer.send("Event: Status", identity, f"Uniqueid: 1.{number}")
            peer.send("Event: Probe", "Unrelated: yes")
        peer.send("Event: CoreShowChannelsComplete", identity, "EventList: Complete", "ListItems: 3")

    async with connected(FakeAmi(answer)) as client:
        await events_of(client)
        replies = await client.send_action({"Action": "CoreShowChannels"})
    assert [reply.get("Uniqueid") for reply in replies if reply.event == "Status"] == ["1.0", "1.1", "1.2"]
    assert replies[0].get("Response") == "Success"
    assert replies[-1].event == "CoreShowChannelsComplete"


async def test_a_list_among_events_comes_at_its_place() -> None:
    def answer(peer: Peer, action: Message) -> None:
        identity = f"ActionID: {action.get('ActionID')}"
        peer.send("Event: Probe", "Number: 1")
        peer.reply(action, "EventList: start", "Message: Channels will follow")
        peer.send("Event: Status", identity, "Uniqueid: 1.0")
        peer.send("Event: CoreShowChannelsComplete", identity, "EventList: Complete", "ListItems: 1")
        peer.send("Event: Probe", "Number: 2")

    async with connected(FakeAmi(answer)) as client:
        events = await events_of(client)
        await client.list_among_events({"Action": "CoreShowChannels"}, ASKED)
        seen: list[str | int] = []
        while "2" not in seen:
            item = await take(events)
            if isinstance(item, Listed):
                assert item.asked == ASKED
                seen.append(len(item.replies))
            elif isinstance(item, Message) and item.event == "Probe":
                seen.append(item.get("Number"))
    assert seen == ["1", 3, "2"]


async def test_a_list_that_comes_too_late_comes_not_at_all() -> None:
    asked: list[tuple[Peer, Message]] = []

    def answer(peer: Peer, action: Message) -> None:
        if asked:
            asked[0][0].reply(asked[0][1], "Message: late")
            peer.reply(action)
        else:
            asked.append((peer, action))

    async with connected(FakeAmi(answer)) as client:
        events = await events_of(client)
        with pytest.raises(DeadlineError):
            await client.list_among_events({"Action": "CoreShowChannels"}, ASKED, deadline=0.02)
        await client.send_action({"Action": "Ping"})
        client.put(LinkDown("the end"))
        assert await take(events) == LinkDown("the end")


async def test_a_list_that_is_refused_is_answered_by_the_refusal() -> None:
    server = FakeAmi(lambda peer, action: peer.reply(action, "Message: Permission denied", response="Error"))
    async with connected(server) as client:
        await events_of(client)
        [reply] = await client.send_action({"Action": "CoreShowChannels"})
    assert reply.get("Message") == "Permission denied"


async def test_an_event_that_carries_a_pending_action_id_is_an_event_for_everyone_too() -> None:
    def answer(peer: Peer, action: Message) -> None:
        peer.reply(action, "EventList: start")
        peer.send("Event: OriginateResponse", f"ActionID: {action.get('ActionID')}", "Response: Failure")
        peer.send("Event: StatusComplete", f"ActionID: {action.get('ActionID')}", "EventList: Complete")

    async with connected(FakeAmi(answer)) as client:
        events = await events_of(client)
        replies = await client.send_action({"Action": "Status"})
        names = [item.event for item in (await take(events), await take(events)) if isinstance(item, Message)]
    assert names == ["OriginateResponse", "StatusComplete"]
    assert [reply.event for reply in replies] == ["", *names]


async def test_a_lost_connection_fails_what_is_pending_comes_back_and_sends_nothing_again() -> None:
    def answer(peer: Peer, action: Message) -> None:
        if action.get("Action") == "Originate":
            peer.drop()
        else:
            peer.reply(action)

    server = FakeAmi(answer)
    async with connected(server) as client:
        events = await events_of(client)
        with pytest.raises(NotConnectedError):
            await client.send_action({"Action": "Originate"}, deadline=4)
        assert isinstance(await take(events), LinkDown)
        assert isinstance(await take(events), LinkUp)
        # An answer on the new connection: whatever the client would have sent again by itself came before it.
        assert (await client.send_action({"Action": "Other"}))[0].get("Response") == "Success"
    assert server.actions == ["Login", "Originate", "Login", "Other"]


async def test_a_peer_that_accepts_and_stays_silent_is_noticed_by_its_ping() -> None:
    server = FakeAmi()
    async with connected(server, ping_interval=0.02, action_deadline=0.05) as client:
        events = await events_of(client)
        await server.until(lambda: "Ping" in server.actions)
        assert client.connected
        server.silent = {"Ping", "Originate"}
        pending = asyncio.create_task(client.send_action({"Action": "Originate"}, deadline=60))
        down = await take(events)
        assert isinstance(down, LinkDown)
        assert "ping" in down.reason
        with pytest.raises(NotConnectedError, match="ping"):
            await pending
        server.silent = set()
        assert isinstance(await take(events), LinkUp)
        await server.peers[0].closed.wait()
    assert server.actions.count("Originate") == 1


async def test_a_peer_that_accepts_and_never_answers_the_login_is_left() -> None:
    server = FakeAmi()
    server.silent = {"Login"}
    async with connected(server, action_deadline=0.03) as client:
        await server.until(lambda: server.actions.count("Login") >= 2)
        await server.peers[0].closed.wait()
        assert not client.connected
        server.silent = set()
        await events_of(client)


async def test_it_waits_for_an_asterisk_that_is_not_there_yet() -> None:
    server = FakeAmi()
    await server.listen()
    await server.stop()
    client = AmiClient(config(server.port))
    running = asyncio.create_task(client.run())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await anext(client.events())
    await server.listen()
    await events_of(client)
    running.cancel()
    await asyncio.wait([running])
    await server.stop()


async def test_the_wait_between_attempts_grows_to_its_limit_and_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    real = asyncio.sleep

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        await real(0)

    monkeypatch.setattr("cti.ami.client.random.uniform", lambda low, high: high)
    server = FakeAmi()
    await server.listen()
    await server.stop()
    client = AmiClient(config(server.port, backoff_first=1.0, backoff_most=5.0, ping_interval=1000.0))
    monkeypatch.setattr("cti.ami.client.asyncio.sleep", sleep)
    running = asyncio.create_task(client.run())
    while len(waits) < 5:
        await real(0)
    assert waits[:5] == [1.0, 2.0, 4.0, 5.0, 5.0]
    running.cancel()
    await asyncio.wait([running])


async def test_ending_it_ends_the_connection_and_nothing_comes_back() -> None:
    server = FakeAmi()
    async with connected(server) as client:
        await events_of(client)
    await server.peers[0].closed.wait()
    assert len(server.peers) == 1
    assert not client.connected


async def test_ending_it_in_the_moment_in_which_the_connection_is_lost_ends_it() -> None:
    server = FakeAmi()
    await server.listen()
    client = AmiClient(config(server.port))
    running = asyncio.create_task(client.run())
    events = await events_of(client)
    server.peers[0].drop()
    assert isinstance(await take(events), LinkDown)
    running.cancel()
    async with asyncio.timeout(5):
        await asyncio.wait([running])
    assert running.cancelled()
    await server.stop()


async def test_more_events_than_the_queue_holds_are_counted_and_said() -> None:
    def answer(peer: Peer, action: Message) -> None:
        for number in range(30):
            peer.send("Event: Probe", f"Number: {number}")
        peer.reply(action)

    server = FakeAmi(answer)
    async with connected(server, queue_limit=10) as client:
        events = await events_of(client)
        with capture_logs() as said:
            await client.send_action({"Action": "Flood"})
        assert [(line["log_level"], line["event"]) for line in said] == [("error", "ami queue overflow")]
        assert client.depth == 10
        assert client.dropped == 20
        heard = [await take(events) for _ in range(10)]
        assert [item.get("Number") for item in heard if isinstance(item, Message)] == [str(n) for n in range(10)]
        # The gap is told although no further event comes.
        assert isinstance(await take(events), LinkDown)
        assert isinstance(await take(events), LinkUp)
        server.peers[0].send("Event: Probe", "Number: 99")
        item = await take(events)
        assert isinstance(item, Message)
        assert item.get("Number") == "99"
        assert client.depth == 0
        assert client.dropped == 20


async def test_the_gap_is_told_before_the_first_event_after_it() -> None:
    client = AmiClient(config(1, queue_limit=2))
    for number in range(4):
        client.put(Message(f"Event: Probe\r\nNumber: {number}".encode()))
    events = client.events()
    await take(events)
    client.put(Message(b"Event: Late"))
    rest = [await take(events) for _ in range(4)]
    assert [type(item) for item in rest] == [Message, LinkDown, LinkUp, Message]
    assert client.dropped == 2


async def test_what_the_link_does_is_never_dropped() -> None:
    client = AmiClient(config(1, queue_limit=1))
    client.put(Message(b"Event: Probe"))
    client.put(LinkDown("lost"))
    client.put(LinkUp())
    events = client.events()
    assert [type(await take(events)) for _ in range(3)] == [Message, LinkDown, LinkUp]
    assert client.dropped == 0


async def test_garbage_and_giant_names_do_not_end_the_connection() -> None:
    server = FakeAmi()
    async with connected(server) as client:
        events = await events_of(client)
        server.peers[0].writer.write(b"\xff\xfe\0: \x81\r\n\r\n:::\r\n\r\nEvent: \x95\x5c\r\n\r\nEvent: Good\r\n\r\n")
        names = [item.event for item in (await take(events), await take(events)) if isinstance(item, Message)]
        assert names == ["表", "Good"]
        assert client.connected


async def test_how_late_events_are_is_taken_from_their_own_time_on_the_clock_that_was_given() -> None:
    clock = datetime(2026, 4, 1, tzinfo=UTC)
    client = AmiClient(config(1), lambda: clock)
    events = client.events()
    late: list[float] = []
    for seconds in (0.25, 8.0, 1.0):
        taken = asyncio.create_task(take(events))
        await asyncio.sleep(0)
        client.put(Message(f"Event: Probe\r\nTimestamp: {clock.timestamp() - seconds:.6f}".encode()))
        await taken
        late.append(client.delay)
    assert late == [0.25, 8.0, 1.0]
    # Of a queue that is never empty one in sixteen is looked at; one without a time says nothing.
    for seconds in (*[2.0] * FAIR, None):
        stamp = f"\r\nTimestamp: {clock.timestamp() - seconds:.6f}" if seconds else ""
        client.put(Message(f"Event: Probe{stamp}".encode()))
    for _ in range(FAIR + 1):
        await take(events)
    assert client.delay == 2.0
    assert client.longest_delay == 8.0


async def test_an_event_that_is_too_large_is_counted_and_the_gap_is_told() -> None:
    server = FakeAmi()
    async with connected(server) as client:
        events = await events_of(client)
        assert client._connection is not None
        client._connection.framer.limit = 1000
        server.peers[0].send("Event: Giant", "Variable: " + "x" * 2000)
        server.peers[0].send("Event: Next")
        items = [await take(events) for _ in range(3)]
        assert {type(item) for item in items} == {LinkDown, LinkUp, Message}
        assert (client.oversized, client.connected) == (1, True)


async def test_an_event_of_eight_megabytes_is_an_event() -> None:
    server = FakeAmi()
    async with connected(server) as client:
        events = await events_of(client)
        server.peers[0].send("Event: Giant", *["Variable: " + "x" * 1000] * 8000)
        item = await take(events)
        assert isinstance(item, Message)
        assert len(item.all("Variable")) == 8000
        assert client.oversized == 0


async def test_a_peer_that_hangs_up_at_the_login_is_tried_again() -> None:
    server = FakeAmi()
    server.hang_up_at_login = True
    async with connected(server, action_deadline=60.0) as client:
        await server.until(lambda: server.actions.count("Login") >= 2)
        assert not client.connected
        server.hang_up_at_login = False
        await events_of(client)


async def test_a_peer_that_takes_everything_and_says_nothing_more_is_left() -> None:
    """Half open: what is written goes somewhere, and TCP finds nothing wrong."""
    server = FakeAmi()
    async with connected(server, ping_interval=0.02, action_deadline=0.05) as client:
        events = await events_of(client)
        server.peers[0].writer.transport.pause_reading()  # type: ignore[attr-defined]
        down = await take(events)
        assert isinstance(down, LinkDown)
        assert "ping" in down.reason
        assert isinstance(await take(events), LinkUp)


async def test_a_ping_whose_answer_waits_behind_events_ends_nothing() -> None:
    server = FakeAmi()
    server.silent = {"Ping"}
    async with connected(server, ping_interval=0.01, action_deadline=0.1) as client:
        events = await events_of(client)
        async with asyncio.timeout(5):
            while server.actions.count("Ping") < 3:
                server.peers[0].send("Event: Probe")
                assert isinstance(await take(events), Message)
        assert client.connected
        assert len(server.peers) == 1


async def test_an_action_that_brings_no_list_is_answered_by_its_response() -> None:
    server = FakeAmi(lambda peer, action: peer.reply(action, "Message: Added interface to queue"))
    async with connected(server) as client:
        await events_of(client)
        [reply] = await client.send_action({"Action": "QueueAdd", "Queue": "daihyo", "Interface": "PJSIP/2001"})
    assert reply.get("Message") == "Added interface to queue"


async def test_a_consumer_that_fails_or_hangs_ends_no_connection() -> None:
    server = FakeAmi(lambda peer, action: peer.reply(action))

    async def failing(client: AmiClient) -> None:
        async for item in client.events():
            raise ValueError(item)

    async with connected(server) as client:
        await events_of(client)
        consumer = asyncio.create_task(failing(client))
        server.peers[0].send("Event: Probe", "Number: 1")
        with pytest.raises(ValueError, match="Message Probe"):
            await consumer
        server.peers[0].send("Event: Probe", "Number: 2")
        # Nobody takes events now, and answers come all the same.
        assert (await client.send_action({"Action": "Other"}))[0].get("Response") == "Success"
        assert client.connected
        item = await take(client.events())
        assert isinstance(item, Message)
        assert item.get("Number") == "2"
