"""A recording on the loudspeaker of whoever asks: where it is, and back and forth by the arrow keys.

The sound goes through a pipe to a program of the system (`pw-cat`, `pacat`, `aplay`: the first that is there), and to
no file.
"""

import os
import select
import shutil
import subprocess
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cti.cli.common import BLOCKS, length
from cti.cli.terminal import printable
from cti.errors import KikitoriError
from cti.i18n import _

STEP: Final = 5.0
LEAP: Final = 30.0
"""Seconds that an arrow goes; sideways, and up or down."""
AHEAD: Final = 0.5
"""Seconds of sound that the pipe may hold: what is in it still plays after a key."""
WIDTH: Final = 60
TOLD: Final = 30.0
"""Seconds between two signs of life in a pause: the desk ends what nobody asks for in two minutes."""
LONGEST_PAUSE: Final = 900.0
_KEYS: Final = {b"\x1b[C": STEP, b"\x1b[D": -STEP, b"\x1b[A": LEAP, b"\x1b[B": -LEAP}


class NoDeviceError(KikitoriError):
    """There is nothing here that plays sound."""

    code = "no-device"
    status = 69

    def __init__(self, why: str) -> None:
        """And what to do instead."""
        super().__init__(_("{why}. Name a file instead: --output call.wav").format(why=why))


def program(rate: int, channels: int) -> list[str]:
    """What plays raw 16-bit samples from its standard input. Raises NoDeviceError."""
    found = {
        "pw-cat": ["--playback", "--raw", "--format", "s16", "--rate", str(rate), "--channels", str(channels), "-"],
        "pacat": ["--playback", "--format=s16le", f"--rate={rate}", f"--channels={channels}", "--latency-msec=200"],
        "aplay": ["-q", "-t", "raw", "-f", "S16_LE", "-r", str(rate), "-c", str(channels)],
    }
    for name, options in found.items():
        if path := shutil.which(name):
            return [path, *options]
    raise NoDeviceError(_("none of {names} is installed").format(names=", ".join(found)))


@dataclass(slots=True, kw_only=True)
class Player:
    """`sound(sample)` gives the bytes of the whole from that sample on; `seconds` long; `picture`: levels of 0 to 1.

    `paused` is called now and then in a pause.
    """

    sound: Callable[[int], Iterator[bytes]]
    seconds: float
    rate: int
    channels: int
    picture: Sequence[float] = ()
    paused: Callable[[], object] = bool
    _at: int = field(default=0, init=False)

    def run(self) -> float:
        """Until its end, or a `q`; how far it came, seconds. Raises NoDeviceError."""
        command = program(self.rate, self.channels)
        with _keys() as key:
            while self._at < self.seconds * self.rate:
                moved = self._from_here(command, key)
                if moved is None:
                    break
                self._at = min(max(0, self._at + round(moved * self.rate)), round(self.seconds * self.rate))
        sys.stderr.write("\n" if sys.stderr.isatty() else f"{self._where()}\n")
        return self._at / self.rate

    def _from_here(self, command: list[str], key: Callable[[float], bytes]) -> float | None:
        """Play until a key moves it: by how many seconds; None at the end, or where somebody wants no more."""
        frame, begun, first = 2 * self.channels, time.monotonic(), self._at
        device = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
        try:
            for piece in _pieces(self.sound(first), self.rate * frame // 10):
                _give(device, piece, command[0])
                self._at += len(piece) // frame
                self._show()
                heard = first + round((time.monotonic() - begun) * self.rate)
                pressed = key(max(0.0, (self._at - heard) / self.rate - AHEAD))
                if not pressed:
                    continue
                self._at = min(self._at, heard)
                if pressed == b" ":
                    pressed = self._pause(key)
                if pressed in (b"q", b"\x1b"):
                    return None
                return _KEYS.get(pressed, 0.0)
            _give(device, b"", command[0])
        finally:
            device.kill()
            device.wait()
            for pipe in (device.stdin, device.stderr):
                if pipe is not None:
                    pipe.close()
        return None

    def _pause(self, key: Callable[[float], bytes]) -> bytes:
        """What was pressed at its end; as if it were `q` where it is long: who has gone is not signed in for ever."""
        for _turn in range(round(LONGEST_PAUSE / TOLD)):
            if pressed := key(TOLD):
                return pressed
            self.paused()
        return b"q"

    def _where(self) -> str:
        return f"{length(self._at / self.rate)} / {length(self.seconds)}"

    def _show(self) -> None:
        if not sys.stderr.isatty():
            return
        here = self._at / self.rate / self.seconds
        bars = self.picture or [0.0] * WIDTH
        filled = round(here * min(WIDTH, len(bars)))
        drawn = "".join(BLOCKS[min(8, round(8 * min(1.0, level * 2)))] for level in bars[:WIDTH])
        sys.stderr.write(f"\r{self._where()} ▕\x1b[7m{drawn[:filled]}\x1b[27m{drawn[filled:]}▏")
        sys.stderr.flush()


def _pieces(blocks: Iterator[bytes], size: int) -> Iterator[bytes]:
    rest = b""
    for block in blocks:
        rest += block
        while len(rest) >= size:
            yield rest[:size]
            rest = rest[size:]
    if rest:
        yield rest


def _give(device: subprocess.Popen[bytes], piece: bytes, program: str) -> None:
    """To the device; nothing: that was all, and it is played to its end. Raises NoDeviceError."""
    if device.stdin is None:
        return
    try:
        if piece:
            device.stdin.write(piece)
            return
        device.stdin.close()
    except BrokenPipeError:
        pass
    if device.wait() and device.stderr is not None:
        said = device.stderr.read().decode("utf-8", "replace").strip().splitlines()
        why = said[-1] if said else str(device.returncode)
        raise NoDeviceError(_("{program} plays nothing: {why}").format(program=Path(program).name, why=printable(why)))


@contextmanager
def _keys() -> Iterator[Callable[[float], bytes]]:
    """`key(seconds)`: what is pressed within them, nothing if nothing is; without a terminal nothing ever is."""
    if not sys.stdin.isatty():

        def wait(seconds: float) -> bytes:
            time.sleep(seconds)
            return b""

        yield wait
        return
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)

    def key(seconds: float) -> bytes:
        ready, _others, _more = select.select([terminal], [], [], seconds)
        return os.read(terminal, 8) if ready else b""

    try:
        tty.setcbreak(terminal)
        yield key
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
