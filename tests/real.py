"""What tests on a real PBX share: a house of telephones around a `Lab`, and the judge of what was kept of their calls.

Every call has a number of its own; it is spelled in the sound of both sides and dialled or shown as a telephone number,
so that a recording is found by what its manifest says and judged by what it sounds like.
"""

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cti.ami.client import AmiClient, AmiConfig
from cti.ami.message import Message
from cti.calls.cel import CelEvent, read
from cti.demo.compare import Comparison, compare
from cti.demo.lab import PASSPHRASE, TRUNK_HOST, TRUNK_PORT, Lab
from cti.demo.scenarios import Answer, Dial, Hold, Talk
from cti.demo.sipp import Phone, write_speech
from cti.demo.tones import Samples, reference
from recorder.replay import Part, Player, layout, manifests
from recorder.vault.folder import VaultFolder
from recorder.vault.keys import load_verifier, unlock

RATE = 8000
CHUNK = 65536
# Number dialled -> the telephone that answers.
IN = {"0664581132": "2001", "0664587160": "2101", "0664587211": "2201", "0664587225": "2301"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call as it was placed. `left` is the side that a recording of it has on the left: the hooked party."""

    call: int
    seconds: float
    way: str  # in, out, internal
    number: str | None  # the designated number dialled
    party: str  # the number of whoever is recorded: shown by a caller, dialled by a phone
    phone: str  # the designated phone


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A recording, opened: `parts` in order, `sound` joined."""

    recording: str
    parts: list[Part]
    sound: Samples

    @property
    def states(self) -> list[tuple[str, str | None]]:
        """How each segment ended."""
        return [(part.manifest.state, part.manifest.reason) for part in self.parts]

    @property
    def takes(self) -> set[str]:
        """The runs of MixMonitor that it is made of."""
        return {part.manifest.take for part in self.parts}

    @property
    def seams(self) -> list[int]:
        """Samples at which one segment ends and another begins."""
        return [part.start for part in self.parts[1:]]

    def side(self, channel: int, call: Call) -> Comparison:
        """0: left, 1: right, against what was said there."""
        said = "caller" if channel == 0 else "callee"
        return compare(self.sound[:, channel], reference(call.call, "caller" if said == "caller" else "callee", call.seconds))


def judge(kept: Kept, call: Call) -> None:
    """Every sample of both sides, once, in order, each on its side, and nothing lost where segments meet.

    A packet that came late may have made Asterisk put in a frame of silence (see test_sipp_media): one in twenty
    seconds, and never at a seam, where it would be ours.
    """
    for channel, side in enumerate(("left", "right")):
        found = kept.side(channel, call)
        where = f"call {call.call} ({call.way}, {call.seconds} s), {side}, {kept.states}: {found}"
        assert found.waited is not None, where
        assert found.waited <= 1 + call.seconds // 20, where
        close = [splice for splice in found.splices for seam in kept.seams if abs(splice.at - seam) <= 1]
        assert not close, f"{where}; at a seam"
    assert [part.gap for part in kept.parts] == [0.0] * len(kept.parts), f"call {call.call}: gaps in {kept.states}"
    offsets = [(part.manifest.take_offset, part.manifest.frames) for part in kept.parts]
    assert offsets[0][0] == 0, f"call {call.call} begins at sample {offsets[0][0]} of its take"


class _Lines(asyncio.DatagramProtocol):
    """One side of the trunk's far end."""

    def __init__(self, got: "asyncio.Queue[tuple[bytes, tuple[str, int]]] | None", far: "Far | None" = None) -> None:
        self.got, self.far = got, far
        self.transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.DatagramTransport)
        self.transport = transport


class Far:
    """The far end of the trunk: hands each INVITE to the telephone whose number was dialled, and answers back.

    Packets go through unchanged; answers must come from the port that Asterisk sent its request to.
    """

    def __init__(self) -> None:
        """`open` takes the port."""
        self.ports: dict[str, int] = {}
        self._front: asyncio.DatagramTransport | None = None
        self._backs: dict[str, asyncio.DatagramTransport] = {}

    async def open(self) -> None:
        """Listen where the trunk is configured to be."""
        loop = asyncio.get_running_loop()
        self._front, _ = await loop.create_datagram_endpoint(
            lambda: _Relay(self._from_pbx), local_addr=(TRUNK_HOST, TRUNK_PORT)
        )

    def close(self) -> None:
        """Let go of the ports."""
        for transport in [self._front, *self._backs.values()]:
            if transport is not None:
                transport.close()

    async def plug(self, number: str, port: int) -> None:
        """`number` is answered at `port`."""
        loop = asyncio.get_running_loop()
        self.ports[number] = port
        self._backs[number], _ = await loop.create_datagram_endpoint(
            lambda: _Relay(lambda data, _: self._to_pbx(data)), local_addr=(TRUNK_HOST, 0)
        )

    def _from_pbx(self, data: bytes, _: tuple[str, int]) -> None:
        words = data.split(b"\r\n", 1)[0].split(b" ")
        number = words[1].removeprefix(b"sip:").partition(b"@")[0].decode() if len(words) > 1 else ""
        if number in self.ports:
            self._backs[number].sendto(data, (TRUNK_HOST, self.ports[number]))

    def _to_pbx(self, data: bytes) -> None:
        if self._front is not None:
            self._front.sendto(data, ("127.0.0.1", 5060))
