"""Telephones: one SIPp process each, with its own ports, its own scenario and its own voice."""

import asyncio
import contextlib
import re
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import numpy as np

from cti import scheduling
from cti.demo.scenarios import KEYS, Answer, Key, Mark, Role, scenario
from cti.demo.tones import Side, reference, ulaw_encode

PACKET = 160  # samples in 20 ms; SIPp fills a last packet that is not full with the beginning of the file
# A telephone has a processor to itself. Beside busy processes SIPp is late now and then, and Asterisk's hook answers a
# late packet with a frame of silence. Linux shares the processors out among sessions: each telephone is one. Not one
# that makes hundreds of calls: recorder and gate would wait for it (33 of 300 calls were left to the dialplan).
NICENESS = -15
TAIL = 10.0  # s of silence after what is said: the stream must outlive the call
_LOOK = 0.02  # s between two looks at a file or at the kernel's list of ports

_MEANING = {
    1: "a message did not come, or another came instead",
    97: "SIPp was told to exit",
    99: "no call took place",
    254: "SIPp could not bind a port or read its scenario",
    255: "SIPp could not bind a port or read its scenario",
}


class PhoneError(Exception):
    """A telephone did not do what it was told."""


class PhoneTimeoutError(PhoneError):
    """A telephone was still waiting when its time was over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Where a telephone is plugged in: its address and ports, and the PBX. RTP takes `media_port` to +3."""

    name: str
    port: int
    media_port: int
    host: str = "127.0.0.1"
    pbx: str = "127.0.0.1:5060"


def write_speech(path: Path, call: int, side: Side, seconds: float, tail: float = TAIL) -> Path:
    """The spelled audio of one side as a raw u-law file, followed by silence until well after the hang-up."""
    said = ulaw_encode(reference(call, side, seconds))
    silence = ulaw_encode(np.zeros(round(tail * 8000) + -len(said) % PACKET, dtype=np.int16))
    path.write_bytes(said + silence)
    return path


class _HungUp(asyncio.DatagramProtocol):
    """Who has transferred a call and hung up is still told what becomes of it (RFC 3515, 2.4.4), and says 200.

    SIPp has left by then. Asterisk would send again for 32 s, and the next telephone at this port take it for its call.
    """

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        if not data.startswith(b"NOTIFY "):
            return
        echoed = (b"via:", b"from:", b"to:", b"call-id:", b"cseq:")
        lines = [line for line in data.split(b"\r\n") if line.lower().startswith(echoed)]
        self._transport.sendto(b"\r\n".join([b"SIP/2.0 200 OK", *lines, b"Content-Length: 0", b"", b""]), addr)


class Phone:
    """One telephone in one role: `async with Phone(line, role, folder) as phone: await phone.finished(30)`.

    `folder` takes the scenario and SIPp's logs. `calls`, `rate` and `together`: how many calls, how many begin in a
    second, and how many at most stand at once, all with the same audio (for load; 1 otherwise).
    """

    def __init__(
        self, line: Line, role: Role, folder: Path, *, calls: int = 1, rate: float = 10, together: int | None = None
    ) -> None:
        self.line = line
        self.role = role
        self._folder = folder
        self._alone = calls == 1
        self._counts = ("-m", str(calls), "-r", str(rate), "-l", str(together or calls))
        self._process: asyncio.subprocess.Process | None = None
        self._transferred = False
        self._hung_up: asyncio.DatagramTransport | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start SIPp; return when its port is bound: from then on it can be called, or has begun to call."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for old in (self._marks, self._errors):
            old.unlink(missing_ok=True)
        self._path("xml").write_bytes(self.script())
        target = () if isinstance(self.role, Answer) else (self.line.pbx,)
        with self._path("out").open("wb") as output:
            self._process = await asyncio.create_subprocess_exec(
                "sipp",
                *target,
                *("-sf", str(self._path("xml")), "-i", self.line.host, "-p", str(self.line.port)),
                *("-mi", self.line.host, "-mp", str(self.line.media_port), *self._counts),
                *("-nostdin", "-aa", "-trace_err", "-error_file", str(self._errors)),
                *("-trace_logs", "-log_file", str(self._marks), "-timer_resol", "1"),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
                cwd=self._folder,
                start_new_session=self._alone,
            )
        scheduling.favour(self._process.pid, NICENESS, session=NICENESS if self._alone else None)
        await self._until(self._bound, 5.0, f"port {self.line.port} was not bound")

    def script(self) -> bytes:
        """What SIPp is given to run."""
        return scenario(self.role).encode()

    @property
    def running(self) -> bool:
        """Whether its part in the call is not over yet."""
        return self._process is not None and self._process.returncode is None

    async def reached(self, mark: Mark, seconds: float, times: int = 1) -> None:
        """Wait until the telephone is `mark` (for the `times`-th time). Raises PhoneError if it ends before."""
        await self._until(lambda: self.count(mark) >= times, seconds, f"it was not {mark}")

    async def finished(self, seconds: float) -> None:
        """Wait for the end of the call. Raises PhoneError with SIPp's own words if it went otherwise than told."""
        process = self._running()
        try:
            code = await asyncio.wait_for(process.wait(), seconds)
        except TimeoutError:
            await self.stop()
            raise PhoneTimeoutError(self._say(f"it had not ended after {seconds} s")) from None
        if code != 0:
            raise PhoneError(self._say(f"{_MEANING.get(code, 'SIPp failed')} (exit {code})"))
        if self._transferred and self._hung_up is None:
            at = (self.line.host, self.line.port)
            self._hung_up, _ = await asyncio.get_running_loop().create_datagram_endpoint(_HungUp, local_addr=at)

    async def press(self, key: Key, target: "str | Phone" = "") -> None:
        """Press a key of a telephone that has them (`Talk.keys`). `target` of a transfer: a SIP URI, or this person's
        other telephone call (a consultation), which is given over then.
        """
        call_id, _, _ = self._dialog()
        self._transferred |= key == "transfer"
        to = target if isinstance(target, str) else target.replaces(self.line.pbx)
        lines = [f"{KEYS[key]} sip:phone@{self.line.host}:{self.line.port} SIP/2.0",
                 "Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK-key", f"Call-ID: {call_id}", f"CSeq: 1 {KEYS[key]}",
                 "From: <sip:key@127.0.0.1>;tag=key", "To: <sip:phone@127.0.0.1>", f"X-Target: {to}",
                 "Content-Length: 0", "", ""]  # fmt: skip
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as key_socket:
            key_socket.sendto("\r\n".join(lines).encode(), (self.line.host, self.line.port))

    def replaces(self, pbx: str) -> str:
        """The URI of a transfer that gives this call over (RFC 3891)."""
        call_id, local, remote = self._dialog()
        return f"sip:other@{pbx}?Replaces={quote(f'{call_id};to-tag={remote};from-tag={local}', safe='')}"

    def _dialog(self) -> tuple[str, str, str]:
        """(Call-ID, this telephone's tag, the PBX's). Raises PhoneError before the call stands."""
        found = re.search(
            r"^dialog (\S+) .*?tag=([^;\s>]+).*?tag=([^;\s>]+)", self._marks.read_text("utf-8", "replace"), re.MULTILINE
        )
        if found is None:
            raise PhoneError(self._say("its call does not stand, or it has no keys"))
        return found[1], found[2], found[3]

    async def stop(self) -> None:
        """End SIPp if it still runs. A call that stands is left without a word, as by a telephone that loses power."""
        if self._hung_up is not None:
            self._hung_up.close()
            await asyncio.sleep(0)  # the loop lets go of its port in the next round
        if self._process is None or self._process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()

    @property
    def _marks(self) -> Path:
        return self._path("log")

    @property
    def _errors(self) -> Path:
        return self._path("err")

    def _path(self, kind: str) -> Path:
        return self._folder / f"{self.line.name}.{kind}"

    def _running(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise PhoneError(f"{self.line.name}: start() it before waiting for it")
        return self._process

    async def _until(self, holds: Callable[[], bool], seconds: float, complaint: str) -> None:
        process = self._running()
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while not holds():
            if process.returncode is not None and not holds():
                raise PhoneError(self._say(f"it ended (exit {process.returncode}) and {complaint}"))
            if loop.time() >= end:
                raise PhoneTimeoutError(self._say(f"after {seconds} s {complaint}"))
            await asyncio.sleep(_LOOK)

    def count(self, mark: Mark) -> int:
        """How often it has come so far."""
        try:
            return self._marks.read_text(encoding="utf-8", errors="replace").splitlines().count(mark)
        except FileNotFoundError:
            return 0

    def _bound(self) -> bool:
        process = self._running()
        try:
            table = Path(f"/proc/{process.pid}/net/udp").read_text(encoding="ascii")
        except OSError:
            return False
        return any(row.split()[1].endswith(f":{self.line.port:04X}") for row in table.splitlines()[1:])

    def _say(self, what: str) -> str:
        lines = [f"{self.line.name} ({type(self.role).__name__} on {self.line.host}:{self.line.port}): {what}"]
        for path in (self._errors, self._path("out")):
            with contextlib.suppress(FileNotFoundError):
                text = path.read_text(encoding="utf-8", errors="replace")
                found = text.splitlines() if path == self._errors else [x for x in text.splitlines() if "rror" in x]
                lines += [f"  {line}" for line in found[:20] if line.strip()]
        return "\n".join(lines)


async def talk_together(*phones: Phone, seconds: float) -> None:
    """Start the telephones in the order given, each as soon as the one before it is ready, and wait for all to end."""
    async with contextlib.AsyncExitStack() as stack:
        for phone in phones:
            await stack.enter_async_context(phone)
        ends: list[Awaitable[None]] = [phone.finished(seconds) for phone in phones]
        results = await asyncio.gather(*ends, return_exceptions=True)
    for error in results:
        if isinstance(error, BaseException):
            raise error
