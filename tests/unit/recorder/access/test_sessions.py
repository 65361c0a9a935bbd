"""Sessions by a clock of their own; what a person meets is in tests/unit/cti/api/test_session.py."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from policies.rights import Role
from recorder.access.people import Account, SignedIn
from recorder.access.sessions import AT_ONCE, IDLE, MOST, Sessions, left
from recorder.vault.age import Identity
from tests.unit.recorder.rig import START

OWN = Identity.generate()
ACCOUNT = Account(id="sato", name="佐藤", role=Role.STAFF, section=None, issued_by="tanaka", issued_at=START)
SATO = SignedIn(account=ACCOUNT, own=OWN)
MORI = replace(SATO, account=replace(ACCOUNT, id="mori"))


def test_only_the_very_token_finds_a_session() -> None:
    sessions = Sessions()
    token, _, _ = sessions.begin(SATO, "192.0.2.1", 0)
    assert sessions.find(token, 1) is not None
    for other in ("", token[:-1], token + "a", token.swapcase()):
        assert sessions.find(other, 1) is None


@given(st.lists(st.integers(1, int(IDLE * 1.2)), max_size=60))
def test_it_lives_as_long_as_no_pause_is_too_long_and_no_longer_than_a_day_s_work(pauses: list[int]) -> None:
    sessions = Sessions()
    token, _, _ = sessions.begin(SATO, "192.0.2.1", 0)
    at, alive = 0.0, True
    for pause in pauses:
        at += pause
        alive = alive and pause < IDLE and at < MOST
        found = sessions.find(token, at)
        assert (found is not None) == alive
        if found is not None:
            assert left(found, at) == min(IDLE, MOST - at)
    assert bool(sessions.expire(at)) != alive
    assert bool(sessions.all()) == alive


def test_the_oldest_goes_of_one_account_and_of_no_other() -> None:
    sessions = Sessions()
    theirs, _, _ = sessions.begin(MORI, "192.0.2.1", 0)
    mine = [sessions.begin(SATO, "192.0.2.1", at) for at in range(AT_ONCE + 1)]
    assert [len(ended) for _, _, ended in mine] == [0] * AT_ONCE + [1]
    assert sessions.find(mine[0][0], 10) is None
    assert all(sessions.find(token, 10) for token in (*(token for token, _, _ in mine[1:]), theirs))


def test_nothing_that_opens_anything_is_shown() -> None:
    sessions = Sessions()
    token, _, _ = sessions.begin(SATO, "192.0.2.1", 0)
    shown = repr(sessions.all()) + repr(vars(sessions))
    assert token not in shown
    assert str(OWN) not in shown
