"""Manager events of a busy PBX: the calls of tests/replays, over and over, under names of their own, `LIVE` at a time.

These came through our `eventfilter`. The full stream has two events more for each of them that the filter would have
kept back, about the same channel: dialplan and RTCP, with the headers that Asterisk gives them.
"""

import random
import re
from collections.abc import Iterator
from pathlib import Path

from cti.ami.framing import Framer

CALLS = ("in", "out", "hold", "transfer", "unanswered", "busy", "internal", "not-designated")
LIVE = 50
NOISE = 2
_REPLAYS = Path(__file__).parents[1] / "replays"
# What belongs to one call alone: unique ids, channels' suffixes, bridges.
_NAMES = re.compile(
    rb"pbx1-\d+\.\d+|(?<=-)[0-9a-f]{8}(?=[\r;])|[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}",
)
_SNAPSHOT = re.compile(rb"\r\nPrivilege: .*?\r\nLinkedid: [^\r]*", re.DOTALL)
_RTCP = (
    b"SSRC: 0x5e2a1f0c\r\nPT: 200(SR)\r\nReportCount: 1\r\nSentNTP: 1795301028.825329\r\nSentRTP: 160960\r\n"
    b"SentPackets: 1006\r\nSentOctets: 160960\r\nReport0SourceSSRC: 0x2f41c09b\r\nReport0FractionLost: 0\r\n"
    b"Report0CumulativeLost: 0\r\nReport0HighestSequence: 1017\r\nReport0IAJitter: 3\r\nReport0DLSR: 1.4820"
)
_EXTRAS = (
    (b"VarSet", b"Variable: DIALSTATUS\r\nValue: "),
    (b"VarSet", b"Variable: RTPAUDIOQOSRTT\r\nValue: minrtt=0.000;maxrtt=0.000"),
    (b"VarSet", b"Variable: ARG1\r\nValue: daihyo"),
    (b"Newexten", b"Extension: s\r\nApplication: Set\r\nAppData: CHANNEL(hangup_handler_push)=kikitori-over,s,1"),
    (b"Newexten", b"Extension: s\r\nApplication: GotoIf\r\nAppData: 0?done"),
    (b"RTCPSent", b"To: 192.0.2.9:16384\r\nFrom: 192.0.2.1:11002\r\n" + _RTCP),
)


def events(count: int, *, full: bool, seed: int = 1) -> Iterator[bytes]:
    """`count` events of the full stream; without `full`, those of them that the filter lets through. Ends included."""
    chance = random.Random(seed)  # noqa: S311  # a benchmark's choice, no secret
    scripts = [_script(name) for name in CALLS]
    live: list[list[bytes]] = []
    begun = 0
    for number in range(0, count, 1 + NOISE):
        while len(live) < LIVE:
            live.append(_renamed(scripts[begun % len(scripts)], begun))
            begun += 1
        place = chance.randrange(LIVE)
        event = live[place].pop()
        if not live[place]:
            del live[place]
        yield event + b"\r\n\r\n"
        if full:
            about = _SNAPSHOT.search(event)
            for other in range(min(NOISE, count - number - 1)):
                name, extra = _EXTRAS[(number // (1 + NOISE) * NOISE + other) % len(_EXTRAS)]
                yield b"Event: " + name + (about[0] if about else b"") + b"\r\n" + extra + b"\r\n\r\n"


def _script(name: str) -> list[bytes]:
    blocks = Framer().feed((_REPLAYS / f"{name}.ami").read_bytes())
    return [block for block in blocks if block.startswith(b"Event: ")]


def _renamed(script: list[bytes], call: int) -> list[bytes]:
    """The events of a call under new names, the last one first."""
    names: dict[bytes, bytes] = {}

    def rename(match: re.Match[bytes]) -> bytes:
        old = match[0]
        if old not in names:
            mine = call * 100 + len(names)
            if old.startswith(b"pbx1-"):
                names[old] = b"pbx1-1795301028.%d" % mine
            elif len(old) == 8:
                names[old] = b"%08x" % mine
            else:
                names[old] = b"00000000-0000-4000-8000-%012x" % mine
        return names[old]

    return [_NAMES.sub(rename, event) for event in reversed(script)]
