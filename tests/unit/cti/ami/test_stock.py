"""What panoramisk 1.4 does wrong, shown on panoramisk itself, and what this client does in its place.

Every test plays one scene twice: with the library as it is on PyPI, where it goes wrong, and with ours. It is why the
transport is ours (decision 0001). A test that fails at its first half says that panoramisk has mended something. What
cannot be shown here: it has no TLS faults (it takes any context), and MD5 logins, which neither of us has.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from panoramisk import Manager
from panoramisk.ami_protocol import AMIProtocol
from panoramisk.call_manager import CallManager
from panoramisk.message import Message as StockMessage

from cti.ami.client import AmiClient, LinkDown, LinkUp
from cti.ami.errors import DeadlineError, LoginRefusedError, NotConnectedError, UnsafeActionError
from cti.ami.framing import Framer
from cti.ami.message import Message
from cti.calls.tracker import Tracker
from tests.unit.cti.ami.fake import FakeAmi, Peer, config, connected, events_of, take
from tests.unit.cti.calls.streams import Script

pytestmark = pytest.mark.thorough


class Stock(Manager):  # type: ignore[misc]
    """panoramisk's manager; `end` keeps it from coming back for ever."""

    ended = False

    def connect(self, *arguments: Any, **options: Any) -> Any:
        return None if self.ended else super().connect(*arguments, **options)


@asynccontextmanager
async def stock(server: FakeAmi, *, kind: type[Stock] = Stock, **changes: object) -> AsyncIterator[Stock]:
    """panoramisk against `server`, logged in if the server lets it; both end with the block."""
    if not server.port:
        await server.listen()
    ready = asyncio.Event()
    options = {"on_login": lambda _: ready.set(), **changes}
    loop = asyncio.get_running_loop()
    manager = kind(loop=loop, host="127.0.0.1", port=server.port, username="kikitori", secret="s", **options)
    manager.reconnect_timeout = 0.01
    manager.connect()
    try:
        async with asyncio.timeout(5):
            if not server.refuse_login:
                await ready.wait()
            yield manager
    finally:
        manager.ended = True
        manager.close()
        await server.stop()


def answering(*names: str) -> FakeAmi:
    """Answers the actions of these names with success, and no other."""
    return FakeAmi(lambda peer, action: peer.reply(action) if action.get("Action") in names else None)


async def answered(manager: Stock, name: str = "Other") -> None:
    """panoramisk has read whatever was sent to it before this."""
    await asyncio.wait_for(manager.send_action({"Action": name}), 5)


async def answered_by_ping(manager: Stock) -> None:
    """As above, of a server that answers nothing else."""
    await asyncio.wait_for(manager.send_action({"Action": "Ping"}), 5)


class _Heard:
    """What panoramisk's protocol needs of a manager."""

    save_stream = None

    def __init__(self) -> None:
        self.events: list[StockMessage] = []
        self.protocol = AMIProtocol()
        self.protocol.connection_made(None)
        self.protocol.factory, self.protocol.encoding = self, "utf8"

    def dispatch(self, event: StockMessage) -> None:
        self.events.append(event)

    def feed(self, *pieces: bytes) -> list[StockMessage]:
        for piece in pieces:
            self.protocol.data_received(piece)
        return self.events


def framed(*pieces: bytes) -> list[Message]:
    framer = Framer()
    return [Message(block) for piece in pieces for block in framer.feed(piece)]


# --- framing ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoding", "place", "read"), [("utf-8", 4, "山太郎"), ("cp932", 0, r"Rc\\"), ("cp932", 3, r"Rc\\")]
)
def test_a_japanese_name(encoding: str, place: int, read: str) -> None:
    name = "山田太郎" if encoding == "utf-8" else "山田ソ表"
    head = b"Event: Newchannel\r\nCallerIDName: "
    stream = head + name.encode(encoding) + b"\r\nUniqueid: 1.1\r\n\r\n"
    pieces = stream[: len(head) + place], stream[len(head) + place :]
    [theirs] = _Heard().feed(*pieces)
    assert theirs["CallerIDName"] == read
    [ours] = framed(*pieces)
    assert ours.get("CallerIDName") == name


def test_a_block_that_ends_with_a_bare_line_feed() -> None:
    stream = b"Event: One\r\nNumber: 1\r\n\nEvent: Two\r\nNumber: 2\r\n\r\n"
    theirs = _Heard().feed(stream)
    assert [event["Event"] for event in theirs] != ["One", "Two"]
    assert [event.event for event in framed(stream)] == ["One", "Two"]


def test_one_line_end_too_many_harms_neither() -> None:
    stream = b"Event: One\r\nNumber: 1\r\n\r\n\r\nEvent: Two\r\nNumber: 2\r\n\r\n"
    assert [event["Event"] for event in _Heard().feed(stream)] == ["One", "Two"]
    assert [event.event for event in framed(stream)] == ["One", "Two"]


def test_an_empty_last_header() -> None:
    stream = b"Event: VarSet\r\nVariable: X\r\nValue: \r\n\r\n"
    [theirs] = _Heard().feed(stream)
    assert "Value" not in theirs
    [ours] = framed(stream)
    assert "Value" in ours


def test_an_endless_event() -> None:
    pieces = [b"Variable: " + b"x" * 990] * 2000
    heard = _Heard()
    heard.feed(*pieces)
    assert len(heard.protocol.queue[0]) == 2_000_000
    framer = Framer(limit=1_000_000)
    for piece in pieces:
        framer.feed(piece)
    assert sum(map(len, framer._pieces)) < 1000
    assert framer.oversized == 1


class _Counted(deque[str]):
    """Counts what is taken out of it, to be copied."""

    copied = 0

    def popleft(self) -> str:
        text = super().popleft()
        self.copied += len(text)
        return text


def test_an_event_of_two_megabytes_in_small_pieces() -> None:
    pieces = [b"Event: Giant", *[b"\r\nVariable: " + b"x" * 988] * 2000, b"\r\n\r\n"]
    size = sum(map(len, pieces))
    heard = _Heard()
    heard.protocol.queue = _Counted()
    assert len(heard.feed(*pieces)) == 1
    assert heard.protocol.queue.copied > 900 * size
    [ours] = framed(*pieces)
    assert len(ours.all("Variable")) == 2000


# --- actions ------------------------------------------------------------------------------------------------------


async def test_a_value_with_line_breaks() -> None:
    smuggled = {"Action": "Setvar", "Variable": "X", "Value": "x\r\n\r\nAction: Originate\r\nChannel: Local/1"}
    server = FakeAmi(lambda peer, action: peer.reply(action))
    async with stock(server) as manager:
        manager.send_action(dict(smuggled))
        await server.until(lambda: "Originate" in server.actions)
    server = FakeAmi(lambda peer, action: peer.reply(action))
    async with connected(server) as client:
        await events_of(client)
        with pytest.raises(UnsafeActionError):
            await client.send_action(smuggled)
        await client.send_action({"Action": "Other"})
    assert server.actions == ["Login", "Other"]


async def test_an_action_before_there_is_a_connection() -> None:
    with pytest.raises(AttributeError):
        Manager(loop=asyncio.get_running_loop()).send_action({"Action": "Status"})
    with pytest.raises(NotConnectedError):
        await AmiClient(config(1)).send_action({"Action": "Status"})


async def test_an_action_that_is_not_answered() -> None:
    server = answering("Other")
    async with stock(server) as manager:
        waiting = manager.send_action({"Action": "Status"})
        await answered(manager)
        assert not waiting.done()
    async with connected(answering("Other")) as client:
        await events_of(client)
        with pytest.raises(DeadlineError):
            await client.send_action({"Action": "Status"}, deadline=0.02)


def once_lost(lost: list[str]) -> Callable[[Peer, Message], None]:
    """The first Originate reaches the server, and the connection is gone before the answer."""

    def answer(peer: Peer, action: Message) -> None:
        if action.get("Action") == "Originate" and not lost:
            lost.append(action.get("ActionID"))
            peer.drop()
        else:
            peer.reply(action)

    return answer


async def test_an_action_whose_answer_was_lost_is_sent_again() -> None:
    server = FakeAmi(once_lost([]))
    server.booted = True
    async with stock(server) as manager:
        manager.send_action({"Action": "Originate", "Channel": "PJSIP/2001"})
        await server.until(lambda: server.actions.count("Originate") == 2)
    server = FakeAmi(once_lost([]))
    async with connected(server) as client:
        events = await events_of(client)
        with pytest.raises(NotConnectedError):
            await client.send_action({"Action": "Originate", "Channel": "PJSIP/2001"})
        assert [type(await take(events)) for _ in range(2)] == [LinkDown, LinkUp]
        await client.send_action({"Action": "Other"})
    assert server.actions == ["Login", "Originate", "Login", "Other"]


async def test_an_action_whose_answer_was_lost_where_asterisk_does_not_say_that_it_booted() -> None:
    server, back = FakeAmi(once_lost([])), asyncio.Event()
    async with stock(server) as manager:
        manager.on_login = lambda _: back.set()
        waiting = manager.send_action({"Action": "Originate", "Channel": "PJSIP/2001"})
        await back.wait()
        await answered(manager)
        assert not waiting.done()
    async with connected(FakeAmi(once_lost([]))) as client:
        await events_of(client)
        with pytest.raises(NotConnectedError):
            await client.send_action({"Action": "Originate", "Channel": "PJSIP/2001"}, deadline=60)


async def test_a_list_that_is_refused() -> None:
    def refuse(peer: Peer, action: Message) -> None:
        peer.reply(action, response="Success" if action.get("Action") == "Other" else "Error")

    async with stock(FakeAmi(refuse)) as manager:
        waiting = manager.send_action({"Action": "CoreShowChannels"}, as_list=True)
        await answered(manager)
        assert not waiting.done()
    async with connected(FakeAmi(refuse)) as client:
        await events_of(client)
        [reply] = await client.send_action({"Action": "CoreShowChannels"})
    assert reply.get("Response") == "Error"


async def test_an_answer_that_sounds_like_a_list_and_is_none() -> None:
    def add(peer: Peer, action: Message) -> None:
        peer.reply(action, "Message: Added interface to queue")

    member = {"Action": "QueueAdd", "Queue": "daihyo", "Interface": "PJSIP/2001"}
    server = FakeAmi(
        lambda peer, action: add(peer, action) if action.get("Action") == "QueueAdd" else peer.reply(action)
    )
    async with stock(server) as manager:
        waiting = manager.send_action(dict(member))
        await answered(manager)
        assert not waiting.done()
    async with connected(FakeAmi(add)) as client:
        await events_of(client)
        assert len(await client.send_action(member)) == 1


async def test_the_outcome_of_an_originate() -> None:
    """OriginateResponse carries the ActionID of the action, which has had its answer, or waits for more."""

    def originate(peer: Peer, action: Message) -> None:
        peer.reply(action, "Message: Originate successfully queued")
        peer.send("Event: OriginateResponse", f"ActionID: {action.get('ActionID')}", "Response: Failure", "Reason: 5")
        peer.send("Event: Probe")

    call = {"Action": "Originate", "Channel": "PJSIP/2001", "Async": "true"}
    heard: list[str] = []
    async with stock(FakeAmi(originate)) as manager:
        over = asyncio.Event()
        manager.register_event("Originate*", lambda _, event: heard.append(event.event))
        manager.register_event("Probe", lambda *_: over.set())
        manager.send_action(dict(call))
        await over.wait()
    assert heard == []
    async with connected(FakeAmi(originate)) as client:
        events = await events_of(client)
        await client.send_action(call)
        item = await take(events)
        assert isinstance(item, Message)
        assert (item.event, item.get("Response")) == ("OriginateResponse", "Failure")


# --- the connection -----------------------------------------------------------------------------------------------


async def test_a_peer_that_falls_silent() -> None:
    server = FakeAmi()
    async with stock(server) as manager:
        server.silent = {"Ping"}
        manager.ping_interval = 0.01
        manager.ping()
        await server.until(lambda: server.actions.count("Ping") >= 10)
        assert (manager._connected, len(server.peers)) == (True, 1)
    server = FakeAmi()
    server.silent = {"Ping"}
    async with connected(server, ping_interval=0.01, action_deadline=0.05) as client:
        events = await events_of(client)
        assert isinstance(await take(events), LinkDown)
        assert server.actions.count("Ping") == 1


async def test_closing_while_it_waits_to_come_back() -> None:
    server, lost = FakeAmi(), asyncio.Event()
    async with stock(server, on_disconnect=lambda *_: lost.set()) as manager:
        server.peers[0].drop()
        await lost.wait()
        manager.close()
        await server.until(lambda: len(server.peers) == 2)
    server = FakeAmi()
    await server.listen()
    before = asyncio.all_tasks()
    client = AmiClient(config(server.port))
    running = asyncio.create_task(client.run())
    events = await events_of(client)
    server.peers[0].drop()
    assert isinstance(await take(events), LinkDown)
    running.cancel()
    await asyncio.wait([running])
    await server.stop()
    assert asyncio.all_tasks() == before
    assert len(server.peers) == 1


async def test_a_wrong_password() -> None:
    server = FakeAmi()
    server.refuse_login = True
    async with stock(server):
        await server.until(lambda: server.actions.count("Login") >= 5)
    server = FakeAmi()
    server.refuse_login = True
    await server.listen()
    with pytest.raises(LoginRefusedError, match="Authentication failed"):
        await asyncio.wait_for(AmiClient(config(server.port)).run(), 5)
    await server.stop()
    assert server.actions == ["Login"]


async def test_the_wait_for_an_asterisk_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    class Loop:
        waits: list[float] = []  # noqa: RUF012  # of this test alone

        def call_later(self, seconds: float, _: object) -> None:
            self.waits.append(seconds)

    refused: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    refused.set_exception(ConnectionRefusedError())
    manager = Manager(loop=Loop())
    for _ in range(4):
        manager.connection_made(refused)
    assert Loop.waits == [2, 2, 2, 2]

    ours: list[float] = []
    real = asyncio.sleep

    async def sleep(seconds: float) -> None:
        ours.append(seconds)
        await real(0)

    client = AmiClient(config(1, backoff_first=1.0, backoff_most=5.0))
    monkeypatch.setattr("cti.ami.client.asyncio.sleep", sleep)
    running = asyncio.create_task(client.run())
    async with asyncio.timeout(5):
        while len(ours) < 6:
            await real(0)
    running.cancel()
    await asyncio.wait([running])
    assert ours[0] <= 1.0 < ours[3]
    assert max(ours) <= 5.0
    assert len(set(ours[3:6])) == 3


async def test_what_happened_while_it_was_away() -> None:
    heard: list[str] = []
    server, back = FakeAmi(), asyncio.Event()
    async with stock(server) as manager:
        manager.on_login = lambda _: back.set()
        last = asyncio.Event()
        manager.register_event("*", lambda _, event: (heard.append(event.event), event.event == "After" and last.set()))
        server.peers[0].send("Event: Before")
        await server.peers[0].writer.drain()
        await answered_by_ping(manager)
        server.peers[0].drop()
        await back.wait()
        server.peers[1].send("Event: After")
        await last.wait()
    assert heard == ["Before", "After"]
    server = FakeAmi()
    async with connected(server) as client:
        events = await events_of(client)
        server.peers[0].send("Event: Before")
        assert isinstance(await take(events), Message)
        server.peers[0].drop()
        assert [type(await take(events)) for _ in range(2)] == [LinkDown, LinkUp]


# --- callbacks ----------------------------------------------------------------------------------------------------


async def test_a_consumer_that_raises() -> None:
    def fail(_: object, event: StockMessage) -> None:
        raise ValueError(event.event)

    server = FakeAmi()
    async with stock(server) as manager:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        manager.register_event("Probe", fail)
        server.peers[0].send("Event: Probe")
        await server.peers[0].closed.wait()
    server = answering("Other")
    async with connected(server) as client:
        events = await events_of(client)
        server.peers[0].send("Event: Probe")
        with pytest.raises(ValueError, match="Probe"):
            fail(None, await take(events))
        await client.send_action({"Action": "Other"})
        assert (client.connected, len(server.peers)) == (True, 1)


def burst(count: int) -> FakeAmi:
    """Answers `Other` after `count` events."""

    def answer(peer: Peer, action: Message) -> None:
        for number in range(count):
            peer.send("Event: Probe", f"Number: {number}")
        peer.reply(action)

    return FakeAmi(answer)


async def test_a_consumer_that_waits() -> None:
    never = asyncio.Event()

    async def wait(*_: object) -> None:
        await never.wait()

    async with stock(burst(2000)) as manager:
        manager.register_event("Probe", wait)
        before = len(asyncio.all_tasks())
        await answered(manager)
        assert len(asyncio.all_tasks()) >= before + 2000
        never.set()
    async with connected(burst(2000), queue_limit=500) as client:
        events = await events_of(client)
        before = len(asyncio.all_tasks())
        await client.send_action({"Action": "Other"})
        assert len(asyncio.all_tasks()) == before
        assert (client.depth, client.dropped) == (500, 1500)
        for _ in range(500):
            await take(events)
        assert isinstance(await take(events), LinkDown)


async def test_a_consumer_that_blocks() -> None:
    """The answer to an action comes after all callbacks of what was sent before it; with ours it passes the queue."""
    ran: list[str] = []

    def block(number: str) -> None:
        time.sleep(0.001)
        ran.append(number)

    async with stock(burst(300)) as manager:
        manager.register_event("Probe", lambda _, event: block(event["Number"]))
        await answered(manager)
    assert len(ran) == 300
    ran.clear()
    async with connected(burst(300)) as client:
        events = await events_of(client)

        async def consume() -> None:
            async for item in events:
                if isinstance(item, Message):
                    block(item.get("Number"))

        consumer = asyncio.create_task(consume())
        await client.send_action({"Action": "Other"})
        assert len(ran) < 300
        assert client.depth > 0
        consumer.cancel()
        await asyncio.wait([consumer])


# --- the rest -----------------------------------------------------------------------------------------------------


async def test_two_calls_of_one_second() -> None:
    manager = CallManager(loop=asyncio.get_running_loop())
    for uniqueid in ("1764547200.1", "1764547200.2"):
        manager.dispatch(StockMessage({"Event": "Newchannel", "Uniqueid": uniqueid}))
    [call] = manager.calls_queues.values()
    assert call.queue.qsize() == 2
    pbx = Script()
    for name in ("PJSIP/trunk-00000001", "PJSIP/trunk-00000002"):
        pbx.channel(name, number="0901234567", exten="0664581132")
    tracker = Tracker(pbx="pbx1", plan=None)
    facts = [fact for event in pbx.events for fact in tracker.feed(event)]
    assert len({fact.conversation for fact in facts}) == 2


async def test_a_path_to_save_the_stream_to(tmp_path: Path) -> None:
    """Ours has no such option: `kikitori calls replay` reads what any program saved."""
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    server = FakeAmi()
    await server.listen()
    manager = Stock(loop=asyncio.get_running_loop(), host="127.0.0.1", port=server.port, username="u", secret="s")
    manager.save_stream = str(tmp_path / "stream")
    manager.reconnect_timeout = 0.01
    manager.connect()
    # The first bytes end it, and every connection after it.
    await server.until(lambda: sum(peer.closed.is_set() for peer in server.peers) >= 2)
    assert not manager.authenticated
    manager.ended = True
    manager.close()
    await server.stop()
