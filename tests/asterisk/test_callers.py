"""Who calls, as the network says it or does not: recorded whole, named as it may be, and nothing else is kept of it.

A caller whose number is missing is told apart by the name that the network puts in its place (withheld, a payphone, out
of range, another service): for the recording all four are a caller without a number (OCA/connector-telephony#93: a
withheld number raised an error).
"""

import asyncio
import contextlib
import socket
from dataclasses import replace

import pytest

from cti.demo.lab import TRUNK_HOST
from cti.demo.scenarios import Answer, Dial
from cti.demo.sipp import Phone
from cti.demo.tones import decode
from tests.asterisk.voices import PICKS_UP, Voice, holds, talk, voiced
from tests.real import INSIDE, House

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.rule("B-03")]

LINES = {"0664587160": "2101", "0664587211": "2201", "0664587225": "2301"}
MISSING = ("Anonymous", "Coin line/payphone", "Unavailable", "Interaction with other service")
REAL = "0312349876"  # what only the network knows
NAME = "HOSTILE"


class Named(Phone):
    """A caller whose name is not text, or very long."""

    name = b""

    def script(self) -> bytes:
        """The scenario, with the name put in as bytes."""
        return super().script().replace(NAME.encode(), self.name)


async def talks(house: House, did: str, role: Dial, kind: type[Phone] = Phone) -> tuple[Voice, Voice]:
    """A call of two seconds."""
    agent, plain = voiced(house, house.rings(LINES[did], PICKS_UP)), house.outside(did)
    plain.role = role
    voice = voiced(house, plain)
    folder = house.lab.folder / "phones" / f"named-{voice.call}"
    caller = Voice(kind(plain.line, plain.role, folder), voice.call, voice.side, voice.seconds)
    # The other phone of its group rings with it.
    other = house.rings("2102", Answer(talk=None)) if LINES[did] == "2101" else contextlib.nullcontext()
    async with other, agent.phone, caller.phone:
        await agent.phone.reached("talking", 10)
        await caller.phone.reached("talking", 10)
        await talk(1.5)
        await agent.phone.press("hang up")
        await agent.phone.finished(10)
        await caller.phone.finished(10)
    return caller, agent


def dial(house: House, did: str, **changes: object) -> Dial:
    """As any caller dials."""
    role = house.outside(did).role
    assert isinstance(role, Dial)
    return replace(role, **changes)  # type: ignore[arg-type]


def judged(house: House, before: set[str], pairs: list[tuple[Voice, Voice]]) -> list[str]:
    """The recordings of these calls, in their order, each whole."""
    found = {}
    for recording in set(house.recordings()) - before:
        kept = house.open(recording)
        (part,) = kept.parts
        (number,) = {symbol.call for symbol in decode(kept.sound[:, 0])}
        caller, agent = next(pair for pair in pairs if pair[0].call == number)
        holds(kept, part, [caller], [agent])
        found[number] = recording
    return [found[caller.call] for caller, _ in pairs]


def harmless(house: House) -> None:
    """What a person sees of the calls holds no sign that a terminal obeys."""
    for command in (("calls", "list"), ("recordings", "list")):
        shown = house.lab.kikitori(*command)
        assert [sign for sign in shown if not sign.isprintable() and sign != "\n"] == []


async def test_four_kinds_of_callers_without_a_number(house_with_service: House) -> None:
    house, before = house_with_service, set(house_with_service.recordings())
    lines = list(LINES)
    hidden = (f"P-Asserted-Identity: <sip:{REAL}@127.0.0.2>", "Privacy: id")
    roles = {kind: dial(house, did, number="anonymous", name=kind, headers=hidden)
             for kind, did in zip(MISSING, [*lines, lines[1]], strict=True)}  # fmt: skip
    pairs = list(await asyncio.gather(*(talks(house, role.to, role) for role in list(roles.values())[:3])))
    pairs.append(await talks(house, lines[1], roles[MISSING[3]]))
    await house.lab.idle()
    rows = house.lab.rows("calls", "list")
    for recording in judged(house, before, pairs):
        assert {part.manifest.caller for part in house.segments(recording)} == {None}
        (row,) = [row for row in rows if row["recording"] == recording]
        assert (row["caller"], row["disposition"]) == (None, "completed")
    kept = [path.read_bytes() for path in house.vault.manifests()]
    assert not [manifest for manifest in kept if REAL.encode() in manifest], "what was withheld is kept"
    assert REAL not in str(rows)
    harmless(house)


HOSTILE = {
    "quotes": b'\\"\';--\\" \\\\',
    "shell": b"$(touch /tmp/kikitori-was-here)`touch /tmp/kikitori-was-here`",
    "shift-jis": "表示ソ能".encode("cp932").replace(b"\\", b"\\\\"),
    "emoji": "\U0001f6b0\u202e\u2066".encode(),
    "escape": b"%1b]0;owned%07\x1b]0;owned\x07",
    "long": b"y" * 2500,
}


async def test_hostile_names_are_recorded_whole_and_do_nothing(house_with_service: House) -> None:
    house, before = house_with_service, set(house_with_service.recordings())
    kinds = {name: type("Called", (Named,), {"name": value}) for name, value in HOSTILE.items()}

    async def one(did: str, names: list[str]) -> list[tuple[Voice, Voice]]:
        return [await talks(house, did, dial(house, did, name=NAME), kinds[name]) for name in names]

    names = list(HOSTILE)
    third = -(-len(names) // len(LINES))
    parts = [names[at * third : (at + 1) * third] for at in range(len(LINES))]
    pairs = [pair for part in await asyncio.gather(*map(one, LINES, parts)) for pair in part]
    await house.lab.idle()
    for recording, (caller, _) in zip(judged(house, before, pairs), pairs, strict=True):
        assert isinstance(caller.phone.role, Dial)
        assert {part.manifest.caller for part in house.segments(recording)} == {caller.phone.role.number}
    kept = b"".join(path.read_bytes() for path in house.vault.manifests())
    assert not [name for name, value in HOSTILE.items() if value in kept]
    assert "kikitori-was-here" not in house.lab.pbx.rx("core show channels") + str(house.files())
    assert not any(
        (root / "tmp/kikitori-was-here").exists() for root in (house.lab.pbx.work / "jail", house.lab.folder)
    )
    harmless(house)


def invite(name: bytes) -> bytes:
    """What no telephone sends: a name with a NUL, or of 10 kB."""
    return b"\r\n".join((
        b"INVITE sip:0664587160@127.0.0.1:5060 SIP/2.0", b"Via: SIP/2.0/UDP 127.0.0.2:5999;branch=z9hG4bK-bad",
        b'From: "' + name + b'" <sip:0903999001@127.0.0.2>;tag=bad', b"To: <sip:0664587160@127.0.0.1>",
        b"Call-ID: bad", b"CSeq: 1 INVITE", b"Max-Forwards: 70", b"Contact: <sip:bad@127.0.0.2:5999>",
        b"Content-Length: 0", b"", b"",
    ))  # fmt: skip


async def test_a_name_that_no_telephone_sends_harms_nobody(house_with_service: House) -> None:
    """Who calls meanwhile is served, and the name is nowhere. (Asterisk takes one of 10 kB, and rings.)"""
    house, before = house_with_service, set(house_with_service.recordings())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as trunk:
        trunk.bind((TRUNK_HOST, 5999))
        for number, name in enumerate((b"x" * 10_000, b"xxxx\0xxxx")):
            trunk.sendto(invite(name).replace(b"bad", b"bad%d" % number), (INSIDE, 5060))
        pairs = [await talks(house, "0664587211", dial(house, "0664587211"))]
    house.lab.pbx.rx("channel request hangup all")  # nobody answers them
    await house.lab.idle()
    assert len(judged(house, before, pairs)) == 1
    assert "xxxx" not in house.lab.kikitori("calls", "list", "--json")
    assert not [path for path in house.vault.manifests() if b"xxxx" in path.read_bytes()]
    harmless(house)


async def test_the_house_is_in_order(house_with_service: House) -> None:
    house_with_service.verified()
    house_with_service.complete()
