"""Whoever is on a telephone whose sound a test makes and hears: an RTP socket beside SIPp, which signals only.

What Asterisk plays out of a u-law file reaches a u-law caller byte for byte, so that a prompt is found by its bytes.
"""

import asyncio
import random
from pathlib import Path
from struct import pack
from typing import Any

PACKET = 160  # samples
SILENCE = b"\xff" * PACKET
SIGNS = "0123456789*#"
SAMPLE = 2000  # bytes of a prompt that it is known by


class Ear(asyncio.DatagramProtocol):
    """`heard`: every sample that came, in the order of its time. It sends silence, and the keys that are pressed."""

    def __init__(self) -> None:
        """`open` it before the call."""
        self.heard = bytearray()
        self._first: int | None = None
        self._peer: Any = None
        self._sequence, self._stamp, self._source = 0, 0, random.getrandbits(32)  # a name, no secret
        self._task: asyncio.Task[None] | None = None
        self._keys: list[str] = []

    @classmethod
    async def open(cls, port: int, host: str = "127.0.0.2") -> "Ear":
        """Listen on `port`, which the telephone's SDP names."""
        _, ear = await asyncio.get_running_loop().create_datagram_endpoint(cls, (host, port))
        return ear

    def connection_made(self, transport: Any) -> None:
        """asyncio's."""
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """A packet of Asterisk's."""
        if self._peer is None:
            self._peer = addr
            self._task = asyncio.get_running_loop().create_task(self._speak())
        kind, stamp = data[1] & 0x7F, int.from_bytes(data[4:8], "big")
        if kind != 0:
            return
        if self._first is None:
            self._first = stamp
        place = (stamp - self._first) % (1 << 32)
        if place > len(self.heard) + 8000 * 30:
            self._first, place = (stamp - len(self.heard)) % (1 << 32), len(self.heard)  # another stream begins
        self.heard.extend(b"\xff" * (place - len(self.heard)))
        self.heard[place : place + len(data) - 12] = data[12:]

    def press(self, keys: str) -> None:
        """One after the other, each for 100 ms (RFC 4733)."""
        self._keys += keys

    async def _speak(self) -> None:
        while True:
            if self._keys:
                await self._key(self._keys.pop(0))
            else:
                self._send(0, SILENCE)
                await asyncio.sleep(0.02)

    async def _key(self, key: str) -> None:
        begun = self._stamp
        for number in range(1, 9):
            last = number > 5
            event = pack("!BBH", SIGNS.index(key), (0x80 if last else 0) | 10, min(number, 6) * PACKET)
            self._packet(101, event, begun, marker=number == 1)
            await asyncio.sleep(0 if last else 0.02)
        self._stamp += 10 * PACKET
        await asyncio.sleep(0.1)

    def _send(self, kind: int, payload: bytes) -> None:
        self._packet(kind, payload, self._stamp)
        self._stamp += len(payload)

    def _packet(self, kind: int, payload: bytes, stamp: int, *, marker: bool = False) -> None:
        self._sequence = (self._sequence + 1) & 0xFFFF
        head = pack("!BBHII", 0x80, kind | (0x80 if marker else 0), self._sequence, stamp & 0xFFFFFFFF, self._source)
        self._transport.sendto(head + payload, self._peer)

    def close(self) -> None:
        """Hang the ear up."""
        if self._task is not None:
            self._task.cancel()
        self._transport.close()

    def prompts(self, folder: Path) -> list[str]:
        """The prompts of `folder` that were heard, in their order; of a piece of one word each time."""
        heard = bytes(self.heard)
        found = []
        for path in folder.glob("*.ulaw"):
            known = _known_by(path.read_bytes())
            place = heard.find(known)
            while place >= 0:
                found.append((place, path.stem))
                place = heard.find(known, place + len(known))
        return [name for _, name in sorted(found)]


def _known_by(sound: bytes) -> bytes:
    """The middle of a prompt: its ends may be cut by a key, or be silence."""
    length = min(SAMPLE, len(sound) // 2)
    start = (len(sound) - length) // 2
    return sound[start : start + length]
