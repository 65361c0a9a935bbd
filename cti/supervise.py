"""`kikitori serve`: starts the processes, each as its own user, kills one that hangs, starts again one that died.

Speaks sd_notify in both directions: to systemd above it where there is one, and from the processes below it.
"""

import asyncio
import contextlib
import os
import resource
import signal
import socket
import struct
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from cti import scheduling, users
from cti.notify import BEAT, READY_SECONDS, Notifier
from cti.users import Identity

log = structlog.get_logger()

# Seconds without a sign of life. The gate holds callers while it hangs; the recorder may wait for a disk.
WATCHDOG = {"gate": 2.0, "recorder": 10.0, "keeper": 60.0, "desk": 60.0}
# How many of these limits one that waits for a processor is given: it does not hang, and another in its place would
# wait as long. A gate is given none: its death lets its callers go on.
PATIENCE = {"gate": 1, "recorder": 6, "keeper": 6, "desk": 6}
# Of a process within its session: callers wait for the gate, and for the recorder's thread that listens; that one's
# other threads stand back (recorder.priority). The keeper has months for what it does.
NICENESS = {"gate": -10, "recorder": -10, "keeper": 10, "desk": 0}
# Of a session among others. The recorder's gets no more than Asterisk's: hours of sound to catch up with are minutes of
# work, and in these Asterisk has to play on.
SESSION = {"gate": -10, "recorder": 0, "keeper": 10, "desk": 0}
SUPERVISED = "KIKITORI_SUPERVISED"  # a process that finds it ends when its parent does
STOP_SECONDS = 30.0
BACKOFF_MOST = 10.0
_UCRED = struct.Struct("iII")  # pid, uid, gid: unix(7)


@dataclass(slots=True)
class _Child:
    role: str
    process: asyncio.subprocess.Process | None = None
    ready: bool = False
    heard: float = 0.0  # when it last gave a sign of life, and how long it had waited for a processor until then
    waited: float = 0.0


class Supervisor:
    """Runs `command(role)` for every role."""

    def __init__(
        self,
        roles: Sequence[str],
        command: Callable[[str], Sequence[str]],
        identities: Mapping[str, Identity | None],
        notifier: Notifier,
        on_ready: Callable[[], None],
    ) -> None:
        """`identities`: whom each role runs as, None for whoever we are. `on_ready` when all are, once."""
        self.roles, self.command, self.identities = roles, command, identities
        self.notifier, self.on_ready = notifier, on_ready
        self.children = {role: _Child(role) for role in roles}
        self._said = False
        # Where the processes are other users, root and their common group reach the sockets, and nobody else does.
        self._shared = any(identities.values())

    async def run(self) -> None:
        """Until SIGTERM or SIGINT; then ends the processes in order, the gate first."""
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ended.set)
        with contextlib.suppress(ValueError, OSError):
            # Inherited by the processes below, which lock their memory where there is swap.
            resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        with tempfile.TemporaryDirectory(prefix="kikitori-serve-") as folder:
            if self._shared:
                users.own(Path(folder), "root", users.RUN, 0o710)
            keepers = {
                role: asyncio.create_task(self._keep(child, Path(folder))) for role, child in self.children.items()
            }
            beat = asyncio.create_task(self.notifier.beat())
            told = asyncio.create_task(ended.wait())
            # A keeper ends by itself only where a process cannot be started at all: that is not to be kept quiet.
            await asyncio.wait([told, *keepers.values()], return_when=asyncio.FIRST_COMPLETED)
            self.notifier.send("STOPPING=1")
            for role in sorted(self.roles, key=["gate", "recorder", "keeper", "desk"].index):
                keepers[role].cancel()
                await asyncio.wait([keepers[role]])
            for task in (told, beat):
                task.cancel()
            for keeper in keepers.values():
                with contextlib.suppress(asyncio.CancelledError):
                    keeper.result()

    async def _keep(self, child: _Child, folder: Path) -> None:
        """Start `child` again whenever it ends, until cancelled."""
        loop = asyncio.get_running_loop()
        delay = 0.1
        try:
            while True:
                began = loop.time()
                code = await self._once(child, folder)
                delay = 0.1 if loop.time() - began > BACKOFF_MOST else min(delay * 2, BACKOFF_MOST)
                log.error("process ended, starting it again", role=child.role, code=code, after=round(delay, 1))
                await asyncio.sleep(delay)
        finally:
            await self._end(child)

    async def _once(self, child: _Child, folder: Path) -> int:
        loop = asyncio.get_running_loop()
        address = folder / f"{child.role}.notify"
        address.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        listener.bind(str(address))
        if self._shared:
            users.own(address, "root", users.RUN, 0o660)
        else:
            address.chmod(0o600)
        who = self.identities.get(child.role)
        rights = {"user": who.uid, "group": who.gid, "extra_groups": list(who.groups)} if who else {}
        try:
            child.ready, child.heard, child.waited = False, loop.time(), 0.0
            child.process = await asyncio.create_subprocess_exec(
                *self.command(child.role),
                env=os.environ | {"NOTIFY_SOCKET": str(address), SUPERVISED: "1"},
                start_new_session=True,
                **rights,  # type: ignore[arg-type]
            )
            # What it said meanwhile waits in the socket, and its pid is known by now.
            loop.add_reader(listener, self._hear, child, listener)
            scheduling.favour(child.process.pid, NICENESS[child.role], session=SESSION[child.role])
            log.info("process started", role=child.role, pid=child.process.pid)
            return await self._watch(child, child.process)
        finally:
            loop.remove_reader(listener)
            listener.close()

    async def _watch(self, child: _Child, process: asyncio.subprocess.Process) -> int:
        loop = asyncio.get_running_loop()
        exited = asyncio.create_task(process.wait())
        try:
            while not exited.done():
                await asyncio.wait([exited], timeout=BEAT)
                limit = WATCHDOG[child.role] if child.ready else READY_SECONDS
                silent = loop.time() - child.heard
                if exited.done() or silent <= limit:
                    continue
                starved = scheduling.waited(process.pid) - child.waited > silent / 2
                if not starved or silent > limit * PATIENCE[child.role]:
                    log.error("process hangs, killing it", role=child.role, pid=process.pid, silent=round(silent, 1))
                    process.kill()
                    child.heard = loop.time()
            return exited.result()
        finally:
            exited.cancel()

    def _hear(self, child: _Child, listener: socket.socket) -> None:
        try:
            # No room for descriptors that somebody might send along: the kernel closes those.
            message, extra, *_ = listener.recvmsg(4096, socket.CMSG_LEN(_UCRED.size))
        except BlockingIOError:
            return
        sender = next((_UCRED.unpack(data)[0] for _, what, data in extra if what == socket.SCM_CREDENTIALS), None)
        if child.process is None or sender != child.process.pid:
            # The group is shared: one process must not answer for another that hangs.
            log.warning("sign of life from a stranger ignored", role=child.role, pid=sender)
            return
        child.heard = asyncio.get_running_loop().time()
        child.waited = scheduling.waited(sender)
        if b"READY=1" in message:
            child.ready = True
        if not self._said and all(child.ready for child in self.children.values()):
            self._said = True
            self.notifier.send("READY=1")
            self.on_ready()

    async def _end(self, child: _Child) -> None:
        process = child.process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            log.error("process does not end, killing it", role=child.role, pid=process.pid)
            process.kill()
            await process.wait()


def own_command(role: str, config: Path) -> list[str]:
    """The command of one role's process: this program again."""
    return [sys.executable, "-m", "cti.cli", "--config", str(config), "serve", "--role", role]
