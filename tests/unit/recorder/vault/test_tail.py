"""Tail records: what a cut or changed tail still gives is the beginning of what was written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.vault import stream, tail
from recorder.vault.errors import TailError

KEY = tail.tail_key(bytes(16), bytes(range(16)))
RECORDS = st.lists(
    st.builds(
        tail.Record,
        chunk=st.integers(0, 3),
        sequence=st.integers(0, 4),
        samples=st.integers(0, 1 << 60),
        data=st.binary(min_size=1, max_size=40),
    ),
    max_size=6,
)


def rec(chunk: int, sequence: int, size: int, samples: int = 0) -> tail.Record:
    return tail.Record(chunk=chunk, sequence=sequence, samples=samples, data=bytes([chunk * 16 + sequence]) * size)


def test_layout() -> None:
    sealed = tail.seal_record(KEY, rec(5, 3, 10, 8000))
    assert sealed[:16] == (5).to_bytes(8, "big") + (3).to_bytes(4, "big") + (8 + 10 + 16).to_bytes(4, "big")
    plaintext = KEY.decrypt(sealed[:12], sealed[16:], sealed[:12])
    assert plaintext == (8000).to_bytes(8, "big") + b"\x53" * 10
    assert len(sealed) == 16 + 34


@given(RECORDS, st.data())
def test_a_cut_tail_gives_whole_records(records: list[tail.Record], data: st.DataObject) -> None:
    sealed = [tail.seal_record(KEY, record) for record in records]
    joined = b"".join(sealed)
    assert tail.parse(KEY, joined) == (records, len(joined))
    cut = data.draw(st.integers(0, len(joined)))
    found, length = tail.parse(KEY, joined[:cut])
    assert found == records[: len(found)]
    assert length == sum(map(len, sealed[: len(found)])) <= cut
    assert len(found) == len(records) or length + len(sealed[len(found)]) > cut


@given(RECORDS.filter(bool), st.data())
def test_a_changed_tail_ends_before_the_change(records: list[tail.Record], data: st.DataObject) -> None:
    joined = bytearray(b"".join(tail.seal_record(KEY, record) for record in records))
    at = data.draw(st.integers(0, len(joined) - 1))
    joined[at] ^= 1 << data.draw(st.integers(0, 7))
    found, length = tail.parse(KEY, bytes(joined))
    assert found == records[: len(found)]
    assert length <= at


@given(st.binary(max_size=200))
def test_junk_is_no_record(junk: bytes) -> None:
    assert tail.parse(KEY, junk) == ([], 0)
    assert tail.parse(KEY, bytes(len(junk))) == ([], 0)


def test_another_body_has_another_key() -> None:
    sealed = tail.seal_record(KEY, rec(0, 0, 10))
    assert tail.parse(tail.tail_key(bytes(16), bytes(16)), sealed) == ([], 0)
    assert tail.parse(stream.payload_key(bytes(16), bytes(range(16))), sealed) == ([], 0)


def test_assembling() -> None:
    full = stream.CHUNK
    a0, a1, b0, b1 = rec(4, 0, full - 10, 100), rec(4, 1, 10, 100), rec(5, 0, 7, 200), rec(5, 1, 8, 300)
    joined = a0.data + a1.data

    def ends(*records: tail.Record, first: int = 4) -> tail.Ending | None:
        return tail.assemble(records, first)

    assert ends() is None
    assert ends(b0, b1) is None
    assert ends(a0, first=5) is None
    assert ends(a1) is None
    assert ends(a0) == tail.Ending(full=(), last=a0.data, samples=100)
    assert ends(b0, a0, b1) == tail.Ending(full=(), last=a0.data, samples=100), "the old chunk is not complete"
    assert ends(a0, a1) == tail.Ending(full=(), last=joined, samples=100), "a full chunk may be the last"
    assert ends(b1, a1, a0) == tail.Ending(full=(), last=joined, samples=100)
    assert ends(b0, b1, a1, a0) == tail.Ending(full=(joined,), last=b0.data + b1.data, samples=300)
    assert ends(b0, b1, a1, a0, first=5) == tail.Ending(full=(), last=b0.data + b1.data, samples=300)
    with pytest.raises(TailError, match="more than a chunk"):
        ends(a0, a1, rec(4, 2, 1))


@pytest.mark.parametrize("size", [0, stream.CHUNK + 1])
def test_records_have_a_size(size: int) -> None:
    with pytest.raises(TailError):
        tail.seal_record(KEY, rec(0, 0, size))
