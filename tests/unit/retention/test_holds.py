"""Holds as the sum of their lines: who ends one, and that nothing else does."""

import itertools
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.load import Policies, shipped
from recorder import callfile
from retention.course import Reason
from retention.errors import HoldError
from retention.held import HeldFolder
from retention.holds import Ground, Hold, Line, course_of, fold, read

START = datetime(2027, 4, 1, 9, tzinfo=UTC)
CALL = "conversation-1"
POLICY = Policies(shipped()).retention


def line(kind: str, by: str, *, hold: str = "h", minute: int = 0, **more: Any) -> bytes:
    at = (START + timedelta(minutes=minute)).isoformat()
    return json.dumps({"type": kind, "id": hold, "at": at, "by": by, **more}).encode()


def held(by: str = "sato", **more: Any) -> bytes:
    return line("hold", by, **{"conversation": CALL, "ground": "unresolved", "reason": "", **more})


def asked(by: str, question: str = "q", minute: int = 1) -> bytes:
    return line("asked", by, question=question, reason="片付いた", minute=minute)


def said(kind: str, by: str, question: str = "q", minute: int = 2) -> bytes:
    return line(kind, by, question=question, minute=minute)


def of(*texts: bytes) -> Hold:
    (found,) = fold(one for text in texts if (one := read(text)) is not None).all
    return found


@pytest.mark.rule("B-18")
def test_a_release_takes_two_persons() -> None:
    hold = of(held(), asked("sato"))
    assert hold.released is None
    with pytest.raises(HoldError, match="two persons"):
        hold.may_be_released("sato")
    assert hold.may_be_released("mori").by == "sato"
    assert of(held(), asked("sato"), said("released", "sato")).released is None
    over = of(held(), asked("sato"), said("released", "mori"))
    assert over.released is not None
    assert (over.released.by, over.released.answered_by) == ("sato", "mori")


def test_only_an_open_question_is_agreed_to() -> None:
    for hold in (of(held()), of(held(), asked("sato"), said("kept", "mori"))):
        assert hold.waiting is None
        with pytest.raises(HoldError, match="nobody has asked"):
            hold.may_be_released("mori")
        with pytest.raises(HoldError, match="nobody has asked"):
            hold.may_be_kept()
        hold.may_be_asked()
    with pytest.raises(HoldError, match="has asked"):
        of(held(), asked("sato")).may_be_asked()


def test_what_is_released_stays_released() -> None:
    over = of(held(), asked("sato"), said("released", "mori"), asked("sato", "r", 3), said("kept", "mori", "r", 4))
    assert over.released is not None
    for act in (over.may_be_asked, over.may_be_kept, lambda: over.may_be_released("kato")):
        with pytest.raises(HoldError, match="stays so"):
            act()


def test_whoever_keeps_it_outdoes_who_releases_it() -> None:
    assert of(held(), asked("sato"), said("released", "mori"), said("kept", "sato", minute=9)).released is None


def test_an_answer_to_another_question_or_hold_ends_nothing() -> None:
    texts = held(), asked("sato"), said("released", "mori", "another")
    assert of(*texts).released is None
    others = fold([*(one for text in texts if (one := read(text))), *(_read(held(hold="i")),)]).all
    assert [hold.released for hold in others] == [None, None]


def _read(text: bytes) -> Line:
    found = read(text)
    assert found is not None
    return found


@pytest.mark.parametrize(
    "text",
    [b"", b"{}", b"[]", b"\xff", held()[:-9], b"9" * 5000, b"[" * 100_000, line("freed", "mori"), held(at="9999-01-01"),
     line("released", "mori"), line("hold", "sato", conversation=CALL), held(by=""), held(conversation=3)],
)  # fmt: skip
def test_what_is_no_line_is_none(text: bytes) -> None:
    assert read(text) is None


def test_a_ground_of_a_later_version_holds_all_the_same() -> None:
    assert of(held(ground="court-order")).ground is Ground.OTHER


# --- whatever happens to the lines ------------------------------------------------------------------------------------

WHO = st.sampled_from(["sato", "mori", "tanaka"])
NAMES = st.sampled_from(["q", "r"])
TEXTS = st.one_of(
    st.builds(held, WHO, hold=st.sampled_from(["h", "i"])),
    st.builds(asked, WHO, NAMES, st.integers(0, 5)),
    st.builds(said, st.sampled_from(["released", "kept"]), WHO, NAMES, st.integers(0, 5)),
    st.binary(max_size=20),
)


@pytest.mark.rule("B-18")
@given(st.lists(TEXTS, max_size=12), st.randoms(use_true_random=False), st.data())
def test_no_hold_ends_without_two_persons(texts: list[bytes], random: Any, data: st.DataObject) -> None:
    """Torn, doubled and reordered lines."""
    torn = [text[: data.draw(st.integers(0, len(text)))] if random.random() < 0.2 else text for text in texts]
    doubled = [text for text in torn for _ in range(random.choice([1, 1, 2]))]
    random.shuffle(doubled)
    lines = [one for text in doubled if (one := read(text)) is not None]
    holds = fold(lines)
    assert {hold.id for hold in holds.all} == {one.id for one in lines if one.type == "hold"}
    for hold in holds.all:
        if hold.released is None:
            continue
        pairs = {
            (ask.by, answer.by)
            for ask, answer in itertools.product(lines, lines)
            if ask.type == "asked" and answer.type == "released" and ask.id == answer.id == hold.id
            and ask.question == answer.question
        }  # fmt: skip
        assert any(asker != answerer for asker, answerer in pairs)
        assert hold.released.by != hold.released.answered_by
    # Neither order nor doubles matter.
    assert fold(reversed(lines)) == holds == fold([*lines, *lines])


# --- the course of a recording ----------------------------------------------------------------------------------------


def course_by(*texts: bytes, ended: datetime = START) -> tuple[datetime | None, list[Reason]]:
    holds = fold(one for text in texts if (one := read(text)) is not None)
    found = course_of("1", ended, CALL, holds, POLICY)
    return found.erased_at, [why.reason for why in found.why]


@pytest.mark.rule("B-18")
def test_a_hold_stops_the_end_of_every_recording_of_its_conversation() -> None:
    end, _ = course_by()
    assert end is not None
    erased, why = course_by(held())
    assert (erased, why[-1]) == (None, Reason.HELD)
    assert course_by(held(conversation="another"))[0] == end
    assert course_by(held(), asked("sato"))[0] is None
    assert course_by(held(), asked("sato"), said("released", "mori"))[0] == end


def test_a_hold_that_is_released_after_the_period_ends_it_then() -> None:
    years = 60 * 24 * 365 * 3
    erased, _ = course_by(held(), asked("sato", minute=years), said("released", "mori", minute=years + 5))
    assert erased == START + timedelta(minutes=years + 5)


def test_a_recording_that_is_there_is_held_though_its_day_is_over() -> None:
    late = held(minute=60 * 24 * 365 * 3)
    erased, why = course_by(late)
    assert (erased, why[-1]) == (None, Reason.HELD)
    years = 60 * 24 * 365
    once = held(hold="i"), line("asked", "sato", hold="i", question="x", minute=2 * years, reason="x")
    over = line("released", "mori", hold="i", question="x", minute=2 * years + 1)
    assert course_by(*once, over)[0] == START + timedelta(minutes=2 * years + 1)
    assert course_by(*once, over, late)[0] is None


def test_a_clock_that_went_back_releases_nothing_before_it_was_held() -> None:
    texts = held(minute=50), asked("sato", minute=3), said("released", "mori", minute=2)
    (hold,) = (holds := fold(_read(text) for text in texts)).all
    assert [event.at for event in holds.events(CALL)] == [hold.at, hold.at]
    assert course_by(*texts)[1][-1] is Reason.EXPIRED


# --- the files --------------------------------------------------------------------------------------------------------


def test_files_are_read_again_where_they_have_changed(tmp_path: Path) -> None:
    folder = HeldFolder(tmp_path / "held")
    with pytest.raises(FileNotFoundError):
        folder.now()
    folder.folder.mkdir()
    assert folder.now().all == ()
    callfile.append(folder.folder / "2027-04-01.jsonl", json.loads(held()))
    assert [hold.id for hold in folder.now().all] == ["h"]
    assert folder.now() is folder.now()
    callfile.append(folder.folder / "2027-04-02.jsonl", json.loads(asked("sato")))
    callfile.append(folder.folder / "2027-04-03.jsonl", json.loads(said("released", "mori")))
    assert [hold.released is None for hold in folder.now().all] == [False]
    (folder.folder / "2027-04-03.jsonl").unlink()
    assert [hold.released for hold in folder.now().all] == [None]


def test_a_line_that_cannot_be_read_hides_no_other(tmp_path: Path) -> None:
    path = tmp_path / "2027-04-01.jsonl"
    callfile.append(path, json.loads(held()))
    path.write_bytes(b"{}\n" + path.read_bytes() + b"\n" + held(hold="i") + b"\n" + said("released", "mori")[:-20])
    found = HeldFolder(tmp_path).now()
    assert [hold.id for hold in found.all] == ["h", "i"]
    assert found.unread == (f"{path}:1", f"{path}:5")
    assert found.beginning("i") == found.all[1:]
