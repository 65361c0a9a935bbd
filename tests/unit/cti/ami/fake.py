"""A manager interface on loopback that does what a test tells it to; bytes on the wire are real."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from cti.ami.client import AmiClient, AmiConfig, Item, LinkUp
from cti.ami.framing import Framer
from cti.ami.message import Message

BANNER = b"Asterisk Call Manager/9.0.0\r\n"


class Peer:
    """One connection, as the server sees it."""

    def __init__(self, server: "FakeAmi", writer: asyncio.StreamWriter) -> None:
        self.server, self.writer = server, writer
        self.closed = asyncio.Event()

    def send(self, *headers: str) -> None:
        self.writer.write("".join(f"{header}\r\n" for header in headers).encode() + b"\r\n")

    def reply(self, action: Message, *headers: str, response: str = "Success") -> None:
        self.send(f"Response: {response}", f"ActionID: {action.get('ActionID')}", *headers)

    def drop(self) -> None:
        self.writer.transport.abort()


Answer = Callable[[Peer, Message], Awaitable[None] | None]


class FakeAmi:
    """`answer(peer, action)` is called for every action but Login and Ping, which succeed unless told otherwise."""

    def __init__(self, answer: Answer | None = None, *, tls: ssl.SSLContext | None = None) -> None:
        self.answer, self.tls = answer, tls
        self.refuse_login = False
        self.hang_up_at_login = False
        self.booted = False
        self.silent: set[str] = set()
        self.actions: list[str] = []
        self.peers: list[Peer] = []
        self.changed = asyncio.Condition()
        self.port = 0
        self._server: asyncio.Server | None = None

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for peer in self.peers:
            peer.drop()
        await self.until(lambda: all(peer.closed.is_set() for peer in self.peers))

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(5), self.changed:
            await self.changed.wait_for(holds)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(self, writer)
        await self._note(lambda: self.peers.append(peer))
        writer.write(BANNER)
        framer = Framer()
        try:
            while data := await reader.read(65536):
                for block in framer.feed(data):
                    await self._take(peer, Message(block))
        except ConnectionError:
            pass
        finally:
            writer.close()
            await self._note(peer.closed.set)

    async def _take(self, peer: Peer, action: Message) -> None:
        name = action.get("Action")
        await self._note(lambda: self.actions.append(name))
        if name in self.silent:
            return
        if name == "Login" and self.refuse_login:
            peer.reply(action, "Message: Authentication failed", response="Error")
            peer.writer.close()
        elif name == "Login" and self.hang_up_at_login:
            peer.drop()
        elif name in ("Login", "Ping"):
            peer.reply(action)
            if name == "Login" and self.booted:
                peer.send("Event: FullyBooted", "Status: Fully Booted")
        elif self.answer is not None:
            done = self.answer(peer, action)
            if done is not None:
                await done

    async def _note(self, change: Callable[[], object]) -> None:
        async with self.changed:
            change()
            self.changed.notify_all()


def config(port: int, **changes: object) -> AmiConfig:
    values: dict[str, object] = {
        "action_deadline": 2.0,
        "ping_interval": 60.0,
        "backoff_first": 0.01,
        "backoff_most": 0.05,
        "queue_limit": 1000,
    } | changes
    return AmiConfig(host="127.0.0.1", port=port, username="kikitori", secret="s", **values)  # type: ignore[arg-type]


@asynccontextmanager
async def connected(server: FakeAmi, **changes: object) -> AsyncIterator[AmiClient]:
    """A client that runs against `server`; both end with the block."""
    if not server.port:
        await server.listen()
    client = AmiClient(config(server.port, **changes))
    running = asyncio.create_task(client.run())
    try:
        yield client
    finally:
        running.cancel()
        await asyncio.wait([running])
        await server.stop()


@asynccontextmanager
async def served(server: FakeAmi) -> AsyncIterator[FakeAmi]:
    """`server` listens for so long."""
    await server.listen()
    try:
        yield server
    finally:
        await server.stop()


async def take(events: AsyncIterator[Item]) -> Item:
    """The next item, soon."""
    async with asyncio.timeout(5):
        return await anext(events)


async def events_of(client: AmiClient) -> AsyncIterator[Item]:
    """The client's events, once it is logged in."""
    events = client.events()
    assert isinstance(await take(events), LinkUp)
    return events
