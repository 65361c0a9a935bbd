"""A number for a number: the same each time, another for another, never its own, never one of ours."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cti.capture.pseudonym import Pseudonyms

pytestmark = pytest.mark.thorough

OURS = {"0664581132", "2001", "2002"}
KEYS = st.binary(min_size=16, max_size=32)
NUMBERS = st.from_regex(r"\A(\+81|\+|00|0)?[0-9]{4,12}\Z")


@given(KEYS, NUMBERS)
def test_as_long_and_of_the_same_kind_and_never_the_number_itself(key: bytes, number: str) -> None:
    given_to = Pseudonyms(key, OURS).of(number)
    assert len(given_to) == len(number)
    assert given_to == Pseudonyms(key, OURS).of(number)
    if Pseudonyms(key, OURS).stays(number):
        assert given_to == number
    else:
        assert given_to != number
    for head in ("+81", "+", "00", "0"):
        assert given_to.startswith(head) == number.startswith(head)


@given(KEYS)
def test_two_numbers_never_become_one_and_none_becomes_ours(key: bytes) -> None:
    pseudonyms = Pseudonyms(key, OURS)
    everyone = {f"{number:04}" for number in range(0, 10_000, 97)} | OURS
    given_to = {pseudonyms.of(number) for number in everyone}
    assert len(given_to) == len(everyone)
    assert not (given_to - OURS) & OURS
    assert given_to >= OURS


@given(KEYS, st.from_regex(r"\A[1-9][0-9]{7,9}\Z"))
def test_a_number_told_abroad_is_the_same_number(key: bytes, rest: str) -> None:
    pseudonyms = Pseudonyms(key, OURS)
    assert pseudonyms.of(f"+81{rest}")[3:] == pseudonyms.of(f"0{rest}")[1:]


def test_another_key_gives_another_number() -> None:
    given_to = {Pseudonyms(bytes([key]) * 32, OURS).of("0901234567") for key in range(20)}
    assert len(given_to) == 20


def test_names_hold_no_digits() -> None:
    names = {Pseudonyms(b"k" * 32, OURS).name(f"{number}".encode()) for number in range(200)}
    assert len(names) == 200
    assert all(name.startswith(b"name-") and not any(byte in b"0123456789" for byte in name) for name in names)
