"""Range as RFC 9110 has it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cti.api.ranges import Span, UnsatisfiableError, span

ETAG = '"a"'


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("bytes=0-0", Span(0, 0)),
        ("bytes=0-", Span(0, 99)),
        ("bytes=10-19", Span(10, 19)),
        ("bytes=90-200", Span(90, 99)),
        ("bytes=-10", Span(90, 99)),
        ("bytes=-1000", Span(0, 99)),
        ("Bytes= 5 - 6 ", Span(5, 6)),
        # What is no single range of bytes: the whole.
        (None, None),
        ("", None),
        ("bytes=", None),
        ("bytes=-", None),
        ("bytes=5-4", None),
        ("bytes=0-1,5-6", None),
        ("samples=0-1", None),
        ("bytes=٣-٤", None),
        ("bytes=0x1-2", None),
        ("bytes=" + "9" * 400 + "-", None),
    ],
)
def test_one_range(asked: str | None, found: Span | None) -> None:
    assert span(asked, None, 100, ETAG) == found


@pytest.mark.parametrize("asked", ["bytes=100-", "bytes=100-200", "bytes=-0"])
def test_where_there_is_nothing(asked: str) -> None:
    with pytest.raises(UnsatisfiableError):
        span(asked, None, 100, ETAG)


def test_a_range_of_what_has_changed_is_the_whole() -> None:
    assert span("bytes=5-6", ETAG, 100, ETAG) == Span(5, 6)
    assert span("bytes=5-6", '"b"', 100, ETAG) is None
    assert span("bytes=5-6", "Fri, 27 Nov 2026 00:00:00 GMT", 100, ETAG) is None


@given(st.text(max_size=40) | st.from_regex(r"bytes=\d*-\d*", fullmatch=True), st.integers(1, 10**9))
def test_whatever_is_asked_for_lies_within(asked: str, size: int) -> None:
    try:
        found = span(asked, None, size, ETAG)
    except UnsatisfiableError:
        return
    assert found is None or 0 <= found.first <= found.last < size
