"""A wire between the recorder and Asterisk's manager interface that can be cut, held up, or be dead at one end."""

import asyncio
import contextlib
from dataclasses import dataclass, field

BLOCK = 65536


@dataclass
class Wire:
    """Carries bytes to `port` and back, unless told otherwise. `connects` counts the connections."""

    port: int
    connects: int = 0
    _flowing: asyncio.Event = field(default_factory=asyncio.Event)
    _whole: bool = True
    _stuck: set[asyncio.StreamWriter] = field(default_factory=set)
    _untold: set[asyncio.StreamWriter] = field(default_factory=set)
    _server: asyncio.Server | None = None
    _ends: list[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = field(default_factory=list)
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set)

    async def open(self) -> int:
        """Listen; the port to connect to."""
        self._flowing.set()
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Let go of everything."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
        self._drop()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def cut(self) -> None:
        """All connections are gone, and no other is let in."""
        self._whole = False
        self._drop()

    def hold(self) -> None:
        """Connections stand, and carry nothing: it comes later, all at once."""
        self._flowing.clear()

    def lose_the_far_end(self) -> None:
        """Asterisk's end is gone; ours is not told. Who connects anew reaches it."""
        for near, far in self._ends:
            self._untold.add(near)
            far.transport.abort()

    def lag(self) -> None:
        """What Asterisk says is not taken from it: its own buffers fill up. Who connects anew hears it."""
        self._stuck.update(near for near, _ in self._ends)

    def mend(self) -> None:
        """Carry again."""
        self._whole = True
        self._flowing.set()

    def _drop(self) -> None:
        for near, far in self._ends:
            near.transport.abort()
            far.transport.abort()
        self._ends.clear()

    async def _carry(self, reader: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        if not self._whole:
            near.transport.abort()
            return
        self.connects += 1
        with contextlib.suppress(OSError):
            answers, far = await asyncio.open_connection("127.0.0.1", self.port)
            self._ends.append((near, far))
            for source, target in ((reader, far), (answers, near)):
                task = asyncio.create_task(self._pump(source, target))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(BLOCK):
                await self._flowing.wait()
                if target in self._stuck:
                    await target.wait_closed()
                    return
                target.write(data)
                await target.drain()
        if target not in self._untold:
            target.transport.abort()
