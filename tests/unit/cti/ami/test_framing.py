"""Blocks come out the same however the network cut the stream, and however oddly Asterisk ended them."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from panoramisk.message import Message as PanoramiskMessage

from cti.ami.framing import Framer
from cti.ami.message import Message

LINE = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\r\n"), min_size=1, max_size=30)
BLOCK = st.lists(LINE, min_size=1, max_size=5).map(lambda lines: "\r\n".join(lines).encode())
# The ends that Asterisk writes: its own, one line end too many (MIXMONITOR_END), CR LF LF (asterisk#761).
END = st.sampled_from([b"\r\n\r\n", b"\r\n\r\n\r\n", b"\r\n\r\n\r\n\r\n", b"\r\n\n", b"\r\n\n\r\n", b"\r\n\n\n"])


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    marks = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[start:end] for start, end in pairwise(marks)]


def frame(framer: Framer, pieces: list[bytes]) -> list[bytes]:
    return [block for piece in pieces for block in framer.feed(piece)]


@given(st.lists(st.tuples(BLOCK, END), max_size=8), st.lists(st.integers(0, 2000), max_size=12))
def test_any_cut_of_any_stream_gives_the_blocks(parts: list[tuple[bytes, bytes]], places: list[int]) -> None:
    stream = b"".join(block + end for block, end in parts)
    framer = Framer()
    assert frame(framer, cut(stream, places)) == [block for block, _ in parts]
    assert framer.oversized == 0


@given(st.lists(st.tuples(BLOCK, END), max_size=4))
def test_byte_by_byte(parts: list[tuple[bytes, bytes]]) -> None:
    stream = b"".join(block + end for block, end in parts)
    assert frame(Framer(), [bytes([byte]) for byte in stream]) == [block for block, _ in parts]


SIZED = st.integers(1, 40).map(lambda size: b"x" * size)


@given(st.lists(st.tuples(SIZED, END), max_size=8), st.lists(st.integers(0, 400), max_size=12), st.booleans())
def test_oversize_blocks_are_dropped_and_counted_and_no_other(
    parts: list[tuple[bytes, bytes]], places: list[int], bytewise: bool
) -> None:
    stream = b"".join(block + end for block, end in parts)
    framer = Framer(limit=20)
    pieces = [bytes([byte]) for byte in stream] if bytewise else cut(stream, places)
    assert frame(framer, pieces) == [block for block, _ in parts if len(block) <= 20]
    assert framer.oversized == sum(len(block) > 20 for block, _ in parts)


def test_an_endless_block_is_not_kept_in_memory() -> None:
    framer = Framer(limit=1000)
    for _ in range(1000):
        assert framer.feed(b"x" * 100) == []
    assert sum(map(len, framer._pieces)) <= 1003
    assert framer.oversized == 1
    assert framer.feed(b"\r\n\r\nEvent: Next\r\n\r\n") == [b"Event: Next"]


def test_a_large_block_in_small_pieces_costs_linear_time() -> None:
    """Bytes that are joined over and over would be copied; only the last piece may join what was held."""
    framer = Framer()
    pieces = [b"Variable: x=yyyyyyyyyyyy\r\n" * 2] * 5000
    for piece in pieces:
        assert framer.feed(piece) == []
    assert len(framer._pieces) == 5000
    assert len(framer.feed(b"\r\n")[0]) == 5000 * 52 - 2


@pytest.mark.parametrize("end", [b"\r\n\r\n", b"\r\n\n"])
@pytest.mark.parametrize("place", range(40))
def test_every_place_to_cut_two_events(end: bytes, place: int) -> None:
    stream = b"Event: One\r\nA: 1" + end + b"Event: Two\r\nB: 2" + end
    assert frame(Framer(), cut(stream, [place])) == [b"Event: One\r\nA: 1", b"Event: Two\r\nB: 2"]


NAME = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,12}", fullmatch=True).filter(lambda name: name.lower() != "response")
VALUE = st.from_regex(r"[!-9;-~]([ -~]{0,20}[!-~])?", fullmatch=True)


@given(st.dictionaries(NAME, VALUE, min_size=1, max_size=6), st.lists(st.integers(0, 400), max_size=6))
@settings(max_examples=60, deadline=None)
def test_panoramisk_reads_the_same_in_a_well_formed_stream(headers: dict[str, str], places: list[int]) -> None:
    # panoramisk loses one of two headers that differ in case alone.
    lines = {"Event": "Probe"} | {f"X-{name.lower()}": value for name, value in headers.items()}
    block = "\r\n".join(f"{name}: {value}" for name, value in lines.items())
    [ours] = [Message(raw) for raw in frame(Framer(), cut(block.encode() + b"\r\n\r\n", places))]
    theirs = PanoramiskMessage.from_line(block)
    assert ours.event == theirs.event == "Probe"
    for name in lines:
        expected = theirs[name]
        assert ours.all(name) == (expected if isinstance(expected, list) else [expected])
