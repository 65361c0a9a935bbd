"""A visit to the manager interface: every byte is kept, and what goes wrong at the door is said."""

import asyncio
import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cti.ami.errors import DeadlineError, LoginRefusedError
from cti.ami.framing import Framer
from cti.ami.message import Message
from cti.ami.tls import pinned
from cti.visit import Pieces, UnreachableError, message_of, visiting
from tests.unit.cti.ami.fake import FakeAmi, Peer, config, served
from tests.unit.cti.ami.test_tls import Ca

STREAM = st.lists(
    st.sampled_from([b"Event: A", b"Value: ", b"\xe5\xb1\xb1", b"\r\n", b"\r\n\r\n", b"\n", b"\r", b"\r\n\n", b"x"]),
    max_size=40,
).map(b"".join)


@given(STREAM, st.lists(st.integers(1, 9), max_size=20))
def test_pieces_are_the_framers_blocks_and_joined_they_are_the_stream(stream: bytes, cuts: list[int]) -> None:
    whole = stream + b"end\r\n\r\n"
    pieces, blocks = Pieces(), []
    start = 0
    for cut in [*cuts, len(whole)]:
        blocks += pieces.feed(whole[start : start + cut])
        start += cut
    assert b"".join(blocks) == whole
    assert [message_of(block).raw for block in blocks] == [block.strip(b"\r\n") for block in Framer().feed(whole)]


def test_what_has_not_ended_is_held() -> None:
    pieces = Pieces()
    assert pieces.feed(b"Event: A\r\n\r\nEvent: B\r\n") == [b"Event: A\r\n\r\n"]
    assert pieces.held == len(b"Event: B\r\n")


def lists(peer: Peer, action: Message) -> None:
    peer.send("Event: Newchannel", "Uniqueid: 1.1")
    peer.reply(action, "EventList: start")
    for number in (1, 2):
        peer.send("Event: CoreShowChannel", f"ActionID: {action.get('ActionID')}", f"Uniqueid: 1.{number}")
        peer.send("Event: Hangup", f"Uniqueid: 2.{number}")
    peer.send("Event: CoreShowChannelsComplete", f"ActionID: {action.get('ActionID')}", "EventList: Complete")


async def test_a_question_takes_its_answer_and_leaves_the_rest() -> None:
    async with served(FakeAmi(lists)) as server, visiting(config(server.port)) as visit:
        assert visit.greeting.startswith("Asterisk Call Manager/")
        answer = await visit.ask({"Action": "CoreShowChannels"})
        assert [message.event for message in answer] == [
            "", "CoreShowChannel", "CoreShowChannel", "CoreShowChannelsComplete",
        ]  # fmt: skip
        left = visit.pieces()
        assert [message_of(await anext(left)).event for _ in range(3)] == ["Newchannel", "Hangup", "Hangup"]


async def test_a_visit_hears_for_as_long_as_it_is_told_to() -> None:
    async with served(FakeAmi(lists)) as server, visiting(config(server.port)) as visit:
        visit.send({"Action": "CoreShowChannels"})
        assert [message.event for message in await visit.hear(0.3)].count("Hangup") == 2


async def test_a_refused_login_names_the_user_and_what_to_compare() -> None:
    server = FakeAmi()
    server.refuse_login = True
    async with served(server):
        with pytest.raises(LoginRefusedError, match=r"refused user 'kikitori': Authentication failed.*manager\.conf"):
            async with visiting(config(server.port)):
                pytest.fail("it was let in")


async def test_nobody_listens() -> None:
    server = FakeAmi()
    await server.listen()
    await server.stop()
    with pytest.raises(UnreachableError, match=r"127\.0\.0\.1:\d+: Connection refused\. Is Asterisk running"):
        async with visiting(config(server.port)):
            pytest.fail("somebody was there")


@pytest.mark.parametrize("says", [b"SSH-2.0-OpenSSH\r\n", b"", b"x" * 100_000])
async def test_somebody_else_listens(says: bytes) -> None:
    async def other(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(says)
        with contextlib.suppress(OSError):
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(other, "127.0.0.1", 0)
    async with server:
        with pytest.raises(UnreachableError, match="is not the manager interface"):
            async with visiting(config(server.sockets[0].getsockname()[1])):
                pytest.fail("it was taken for Asterisk")


async def test_a_question_has_a_deadline() -> None:
    server = FakeAmi()
    server.silent.add("CoreSettings")
    async with served(server), visiting(config(server.port, action_deadline=0.1)) as visit:
        with pytest.raises(DeadlineError, match="no answer to CoreSettings"):
            await visit.ask({"Action": "CoreSettings"})


async def test_asterisk_closes() -> None:
    async with served(FakeAmi(lambda peer, _: peer.writer.close())) as server, visiting(config(server.port)) as visit:
        with pytest.raises(UnreachableError, match="closed by Asterisk"):
            await visit.ask({"Action": "CoreSettings"})


async def test_a_peer_that_stands_still_does_not_keep_who_leaves(tmp_path: Path) -> None:
    ca = Ca(tmp_path, "ours")
    async with (
        served(FakeAmi(tls=ca.server())) as server,
        asyncio.timeout(5),
        visiting(config(server.port, tls=pinned(ca.file), action_deadline=1.0)),
    ):
        server.peers[0].writer.transport.pause_reading()  # type: ignore[attr-defined]
