"""Passwords, codes, and what they open."""

import json
from datetime import UTC, datetime, timedelta

import pyotp
import pytest

from recorder.access.credentials import (
    STEP,
    Cost,
    Credential,
    Opened,
    PasswordError,
    RefusedError,
    check_password,
    one_time_secret,
    otpauth,
    seal,
    seed,
    step_of,
    unseal,
)
from recorder.vault.age import Identity

CHEAP = Cost(memory=64, passes=1)
PASSWORD = "雨の日は 傘を二本持って出る"  # nobody's
NOW = datetime(2027, 4, 1, 0, 0, 10, tzinfo=UTC)


def opened() -> Opened:
    return Opened(identity=Identity.generate(), totp=seed())


def test_what_the_password_opens_is_what_was_sealed() -> None:
    mine = opened()
    kept = seal("sato", PASSWORD, mine, CHEAP)
    again = unseal("sato", PASSWORD, kept)
    assert (str(again.identity), again.totp) == (str(mine.identity), mine.totp)
    assert str(mine.identity).encode() not in kept.sealed
    assert mine.totp.encode() not in kept.sealed
    assert str(mine.identity) not in repr(mine)
    assert mine.totp not in repr(mine)


@pytest.mark.parametrize(("account", "password"), [("sato", "another sentence"), ("suzuki", PASSWORD), ("sato", "")])
def test_nothing_else_opens_it(account: str, password: str) -> None:
    with pytest.raises(RefusedError):
        unseal(account, password, seal("sato", PASSWORD, opened(), CHEAP))


def test_a_password_typed_in_another_composition_is_the_same() -> None:
    kept = seal("sato", "がぎぐげご パピプペポ", opened(), CHEAP)
    unseal("sato", "がぎぐげご パピプペポ", kept)


def test_one_changed_byte_or_a_swapped_public_key_is_refused() -> None:
    kept = seal("sato", PASSWORD, opened(), CHEAP)
    for place in (0, 12, len(kept.sealed) - 1):
        changed = bytes(byte ^ (number == place) for number, byte in enumerate(kept.sealed))
        with pytest.raises(RefusedError):
            unseal("sato", PASSWORD, Credential(salt=kept.salt, cost=CHEAP, recipient=kept.recipient, sealed=changed))
    theirs = str(Identity.generate().recipient)
    with pytest.raises(RefusedError, match="public key"):
        unseal("sato", PASSWORD, Credential(salt=kept.salt, cost=CHEAP, recipient=theirs, sealed=kept.sealed))


@pytest.mark.parametrize(
    ("password", "said"),
    [
        ("short", "5 characters"), ("x" * 129, "129 characters"), ("sato-hanako-kikitori", "without your name"),
        ("佐藤花子佐藤花子佐藤花子水道局", "without your name"), ("unbelievable1", "soon guess"),
        ("a1b2c3d4e5f6", "soon guess"), ("qwertyuiop12", "soon guess"), ("abababababababab", "soon guess"),
        ("あいうえおかきくけこさし", "soon guess"),
    ],
)  # fmt: skip
def test_what_others_would_try_first_is_refused(password: str, said: str) -> None:
    with pytest.raises(PasswordError, match=said):
        check_password(password, ("sato", "hanako", "佐藤花子", "水道局", "kikitori", "password"))


@pytest.mark.parametrize(
    "password", [PASSWORD, "correct horse battery staple", "xk1wq-yzäöü-7", "傘を二本と長靴を一足、紙"]
)
def test_length_decides_and_no_composition(password: str) -> None:
    check_password(password, ("sato", "佐藤花子"))


def code_at(totp: str, seconds: float) -> str:
    return pyotp.TOTP(totp).at(NOW + timedelta(seconds=seconds))


@pytest.mark.parametrize("seconds", [-STEP, 0, STEP])
def test_a_code_is_good_for_a_step_before_and_after(seconds: int) -> None:
    totp = seed()
    step = step_of(totp, code_at(totp, seconds), NOW, 0)
    assert step == (int(NOW.timestamp()) + seconds) // STEP


@pytest.mark.parametrize("typed", ["{code}", "{code} ", "{first} {last}", "{wide}"])
def test_it_may_be_typed_as_people_do(typed: str) -> None:
    totp = seed()
    code = code_at(totp, 0)
    wide = "".join(chr(ord(digit) + 0xFEE0) for digit in code)
    step_of(totp, typed.format(code=code, first=code[:3], last=code[3:], wide=wide), NOW, 0)


@pytest.mark.parametrize("seconds", [-3 * STEP, 3 * STEP, 3600])
def test_another_time_is_refused(seconds: int) -> None:
    totp = seed()
    with pytest.raises(RefusedError):
        step_of(totp, code_at(totp, seconds), NOW, 0)


def test_a_code_is_good_once_and_so_is_each_before_it() -> None:
    totp = seed()
    last = step_of(totp, code_at(totp, 0), NOW, 0)
    for seconds in (-STEP, 0):
        with pytest.raises(RefusedError):
            step_of(totp, code_at(totp, seconds), NOW, last)
    assert step_of(totp, code_at(totp, STEP), NOW, last) == last + 1


@pytest.mark.parametrize("code", ["", "abcdef", "000", "1234567", "１２\n３"])
def test_what_is_no_code_is_refused(code: str) -> None:
    with pytest.raises(RefusedError):
        step_of(seed(), code, NOW, 0)


def test_secrets_on_paper_can_be_read_and_differ() -> None:
    made = {one_time_secret() for _ in range(100)}
    assert len(made) == 100
    assert all(len(secret) == 35 and not set("ILOU01") & set(secret) for secret in made)


def test_an_authenticator_takes_the_address() -> None:
    found = pyotp.parse_uri(otpauth("sato", totp := seed(), "kikitori pbx1"))
    assert (found.name, found.issuer, found.secret) == ("sato", "kikitori pbx1", totp)


def test_the_table_holds_nothing_that_opens_anything() -> None:
    mine = opened()
    kept = seal("sato", PASSWORD, mine, CHEAP)
    text = json.dumps([kept.salt.hex(), kept.sealed.hex(), kept.recipient])
    assert str(mine.identity) not in text
    assert kept.recipient == str(mine.identity.recipient)
