"""A manager connection that stays up: log in, deadlines, pings, reconnect with backoff, a bounded queue.

The reader runs nobody's code: a callback that blocked for 1 ms lost 64 % of the hang-ups of a PBX with 30 calls/s, so
it only fills a queue. Nothing is ever sent again by itself: an Originate that reached Asterisk twice calls twice.
"""

import asyncio
import contextlib
import random
import secrets
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

import structlog

from cti.ami.actions import Value, encode
from cti.ami.errors import DeadlineError, LoginRefusedError, NotConnectedError, TlsError
from cti.ami.framing import Framer
from cti.ami.hostile import Joiner
from cti.ami.message import Message
from cti.ami.tls import refusal

log = structlog.get_logger()

FAIR = 16  # events after which others get their turn


@dataclass(frozen=True, slots=True, kw_only=True)
class AmiConfig:
    """Where Asterisk listens and who we are. Times in seconds."""

    host: str
    port: int
    username: str
    secret: str
    tls: ssl.SSLContext | None = None
    action_deadline: float = 2.0
    ping_interval: float = 2.0
    backoff_first: float = 0.2
    backoff_most: float = 5.0
    queue_limit: int = 100_000

    @property
    def address(self) -> str:
        """For people."""
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class LinkUp:
    """Logged in: whoever tracks calls asks Asterisk for its channels now."""


@dataclass(frozen=True, slots=True)
class LinkDown:
    """The connection was lost, or events had to be dropped: what came since is not known."""

    reason: str


@dataclass(frozen=True, slots=True)
class Listed:
    """The whole answer to `list_among_events`, at its place in the stream: what comes after it happened after it.

    `asked` is what the question was given along.
    """

    replies: list[Message]
    asked: datetime


Item = Message | LinkUp | LinkDown | Listed


def ends_answer(message: Message) -> bool:
    """Whether an answer is whole with `message`: a list ends with its `...Complete` event, all else at once."""
    if message.event:
        return message.get("EventList").lower() in ("complete", "cancelled") or message.event.endswith("Complete")
    return message.get("Response") != "Success" or message.get("EventList").lower() != "start"


class _Pending:
    """An action that waits for its answer; a list is complete with its `...Complete` event."""

    def __init__(self, future: "asyncio.Future[list[Message]]", whole: Callable[[list[Message]], None] | None) -> None:
        self.future, self.whole = future, whole
        self.replies: list[Message] = []

    def add(self, message: Message) -> bool:
        """Take a reply; True when the answer is whole."""
        self.replies.append(message)
        whole = ends_answer(message)
        if whole and not self.future.done():
            if self.whole is not None:
                self.whole(self.replies)
            self.future.set_result(self.replies)
        return whole


class _Connection(asyncio.Protocol):
    def __init__(self, client: "AmiClient") -> None:
        self.client = client
        self.framer = Framer()
        self.joiner = Joiner()
        self.pending: dict[str, _Pending] = {}
        self.transport: asyncio.Transport | None = None
        self.reads = 0
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  # asyncio's own promise for TCP
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.reads += 1
        tampered, oversized = self.joiner.tampered, self.framer.oversized
        for block in self.framer.feed(data):
            whole = self.joiner.feed(block)
            if self.joiner.tampered != tampered:
                tampered = self.joiner.tampered
                self.client.tampered += 1
                log.error("somebody wrote into an event", begins=block[:60].decode(errors="replace"))
            if whole is not None:
                self._take(Message(whole))
        if self.framer.oversized != oversized:
            self.client.oversized += self.framer.oversized - oversized
            log.error("event dropped, it is too large", limit=self.framer.limit)
            self.client.tell_gap()

    def _take(self, message: Message) -> None:
        if self.pending and b"ActionID:" in message.raw:
            action_id = message.get("ActionID")
            waiting = self.pending.get(action_id)
            if waiting is not None and waiting.add(message):
                del self.pending[action_id]
        if message.event:
            # An event that answers an action (OriginateResponse) is an event for everyone else too.
            self.client.put(message)

    def connection_lost(self, exc: Exception | None) -> None:
        reason = str(exc) if exc else "closed by Asterisk"
        for waiting in self.pending.values():
            if not waiting.future.done():
                waiting.future.set_exception(NotConnectedError(reason))
        self.pending.clear()
        if not self.lost.done():
            self.lost.set_result(reason)


class AmiClient:
    """`run()` in a task of its own; `events()` for what happens; `send_action()` for what should."""

    def __init__(self, config: AmiConfig, now: Callable[[], datetime] | None = None) -> None:
        """Nothing is opened before `run()`. `now` None: nobody asks how late events are."""
        self.config, self.now = config, now
        self.dropped = 0
        self.tampered = 0
        self.oversized = 0
        self.delay = 0.0
        self.longest_delay = 0.0
        self._queue: deque[Item] = deque()
        self._filled = asyncio.Event()
        self._connection: _Connection | None = None
        self._serial = 0
        self._overflown = False

    @property
    def connected(self) -> bool:
        """Logged in and not known to be lost."""
        return self._connection is not None

    @property
    def depth(self) -> int:
        """Events waiting to be understood."""
        return len(self._queue)

    def put(self, item: Item) -> None:
        """Queue an item; past the limit, events are dropped, counted, and the tracker is told to ask anew."""
        if isinstance(item, Message):
            if len(self._queue) >= self.config.queue_limit:
                self.dropped += 1
                if not self._overflown:
                    self._overflown = True
                    log.error("ami queue overflow", limit=self.config.queue_limit)
                return
            if self._overflown:
                self.tell_gap()
        self._queue.append(item)
        self._filled.set()

    def tell_gap(self) -> None:
        """Events were lost at this place of the stream: whoever tracks calls asks Asterisk for its channels."""
        self._overflown = False
        self.put(LinkDown("events were dropped"))
        self.put(LinkUp())

    async def events(self) -> AsyncIterator[Item]:
        """Events in order, with `LinkUp` and `LinkDown` between them. For one consumer."""
        taken = 0
        while True:
            # A queue that is not empty is read without a pause: 9 s without a sign of life in a flood of 300 calls.
            taken += 1
            look = taken % FAIR == 0
            if look:
                await asyncio.sleep(0)
            # After the last event of a burst nothing more may come for hours: the gap is told without waiting for it.
            if self._overflown and not self._queue:
                self.tell_gap()
            while not self._queue:
                look = True
                self._filled.clear()
                await self._filled.wait()
            item = self._queue.popleft()
            if look and self.now is not None and isinstance(item, Message):
                self._see_delay(item, self.now())
            yield item

    def _see_delay(self, message: Message, now: datetime) -> None:
        """Seconds from when Asterisk made `message` until it was taken: its buffer, the network's and our queue."""
        with contextlib.suppress(ValueError):
            self.delay = now.timestamp() - float(message.get("Timestamp"))
            self.longest_delay = max(self.longest_delay, self.delay)

    async def run(self) -> None:
        """Connect and stay connected until cancelled. Raises LoginRefusedError when Asterisk does not want us."""
        delay = self.config.backoff_first
        while True:
            try:
                connection = await self._connect()
                await self._login(connection)
            except (OSError, NotConnectedError, DeadlineError, TimeoutError, TlsError) as error:
                # A certificate may be put right on the other side; until then nothing was sent to whoever is there.
                say = log.error if isinstance(error, TlsError) else log.warning
                say("ami not reachable", error=str(error) or type(error).__name__, retry_in=round(delay, 1))
                await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311  # jitter, no secret
                delay = min(delay * 2, self.config.backoff_most)
                continue
            delay = self.config.backoff_first
            await self._stay(connection)

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self.config.action_deadline):
                _, connection = await loop.create_connection(
                    lambda: _Connection(self), self.config.host, self.config.port, ssl=self.config.tls
                )
        except ssl.SSLError as error:
            raise refusal(self.config.address, error) from error
        return connection

    async def _login(self, connection: _Connection) -> None:
        try:
            action = {"Action": "Login", "Username": self.config.username, "Secret": self.config.secret, "Events": "on"}
            reply = (await self._send(connection, action, None))[0]
        except BaseException:
            self._abort(connection)
            raise
        if reply.get("Response") != "Success":
            self._abort(connection)
            raise LoginRefusedError(
                f"{self.config.address} refused user {self.config.username!r}: {reply.get('Message')}. "
                "Compare [pbx] user and the secret file with manager.conf, then start again"
            )

    async def _stay(self, connection: _Connection) -> None:
        self._connection = connection
        self.put(LinkUp())
        log.info("ami connected", host=self.config.host, port=self.config.port)
        pinger = asyncio.create_task(self._ping(connection))
        try:
            reason = await asyncio.shield(connection.lost)
            self.put(LinkDown(reason))
            log.warning("ami lost", reason=reason)
        finally:
            self._connection = None
            self._abort(connection)
            pinger.cancel()
            # Not `await pinger`: its cancellation cannot be told from our own, which must not be swallowed.
            await asyncio.wait([pinger])

    async def _ping(self, connection: _Connection) -> None:
        """End a connection whose peer accepts and stays silent."""
        while True:
            await asyncio.sleep(self.config.ping_interval)
            before = connection.reads
            try:
                await self._send(connection, {"Action": "Ping"}, None)
            except DeadlineError:
                # Whoever sends anything is there: the answer to a ping waits behind the events of a flood.
                if connection.reads == before:
                    connection.connection_lost(TimeoutError("no answer to a ping"))
            except NotConnectedError:
                return

    def _abort(self, connection: _Connection) -> None:
        if connection.transport is not None:
            connection.transport.abort()

    async def send_action(self, action: Mapping[str, Value], deadline: float | None = None) -> list[Message]:
        """Send `action`, return its response and the events of its list.

        `deadline` in seconds. Raises UnsafeActionError, NotConnectedError, DeadlineError.
        """
        if self._connection is None:
            raise NotConnectedError("not connected to Asterisk")
        return await self._send(self._connection, action, deadline)

    async def list_among_events(
        self, action: Mapping[str, Value], asked: datetime, deadline: float | None = None
    ) -> None:
        """Send `action`, which lists; its answer comes as `Listed` among the events. Raises as `send_action`."""
        if self._connection is None:
            raise NotConnectedError("not connected to Asterisk")
        await self._send(self._connection, action, deadline, lambda replies: self.put(Listed(replies, asked)))

    async def _send(
        self,
        connection: _Connection,
        action: Mapping[str, Value],
        deadline: float | None,
        whole: Callable[[list[Message]], None] | None = None,
    ) -> list[Message]:
        self._serial += 1
        # Not to be guessed: who may write into an event could answer for Asterisk.
        action_id = f"kikitori-{self._serial}-{secrets.token_hex(8)}"
        data = encode(action, action_id)
        if connection.transport is None or connection.transport.is_closing():
            raise NotConnectedError("the connection to Asterisk is closing")
        future: asyncio.Future[list[Message]] = asyncio.get_running_loop().create_future()
        connection.pending[action_id] = _Pending(future, whole)
        connection.transport.write(data)
        try:
            async with asyncio.timeout(deadline or self.config.action_deadline):
                return await future
        except TimeoutError as error:
            raise DeadlineError(f"no answer to {action.get('Action')}") from error
        finally:
            connection.pending.pop(action_id, None)
