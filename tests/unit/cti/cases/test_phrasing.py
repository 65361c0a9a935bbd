"""What says neither yes nor no is found however it is typed, and only in words of ours (E-15)."""

from typing import Any

import pytest

from cti.cases.acts import (
    CONTRACTOR,
    Act,
    Amend,
    Channel,
    Draft,
    Met,
    Note,
    Outcome,
    Reply,
    Result,
    Tried,
)
from cti.cases.phrasing import evasive
from policies.load import Policies, shipped
from tests.unit.cti.cases.test_book import START, Shelf

PHRASES = Policies(shipped()).sections.phrases.evasive
WHO: dict[str, Any] = {"at": START, "by": "x", "unit": CONTRACTOR}


def result(text: str) -> Act:
    return Result(**WHO, outcome=Outcome.ANSWERED, text=text)


@pytest.mark.rule("E-15")
@pytest.mark.parametrize("phrase", ["検討します", "時間をください"])
def test_the_two_of_the_rule_are_found_by_the_shipped_policy(phrase: str) -> None:
    assert evasive([result(f"ご意見は{phrase}。")], PHRASES) == [phrase]


@pytest.mark.rule("E-15")
@pytest.mark.parametrize("text", ["検討シマス", "検討ｼﾏｽ", "検 討 し ま す", "検討\nします", "検討、します"])
def test_width_and_kana_hide_nothing(text: str) -> None:
    assert evasive([result(text)], ["検討します"]) == ["検討します"]


@pytest.mark.rule("E-15")
def test_words_of_ours_are_looked_at_and_no_others() -> None:
    said = "検討します"
    ours = [
        result(said),
        Draft(**WHO, channel=Channel.FAX, to="x", again="x", text=said, ask=("x",)),
        Tried(**WHO, place=1, met=Met.VOICEMAIL, left=said),
    ]
    assert [evasive([act], PHRASES) for act in ours] == [[said]] * 3
    theirs = [Amend(**WHO, inquiry=said), Reply(**WHO, channel=Channel.FAX, wish=said), Note(**WHO, text=said)]
    assert evasive(theirs, PHRASES) == []
    assert evasive([result("条例により減額できません")], [*PHRASES, "。。"]) == []


@pytest.mark.rule("E-15")
async def test_a_month_counts_the_cases_in_which_each_was_written(shelf: Shelf) -> None:
    for texts in (["検討します", "再度検討します。時間をください"], ["案内した"], ["時間を下さい"]):
        kept = await shelf.enter(shelf.act(Reply, channel=Channel.PHONE))
        for text in texts:
            await shelf.book().add(kept.number, [shelf.act(Result, outcome=Outcome.ANSWERED, text=text)])
    last = shelf.at
    found = await shelf.book().month(START, last, phrases=PHRASES)
    assert found["evasive"] == {"検討します": 1, "時間をください": 1}, "the last one was written then, not before"
    assert (await shelf.book().month(last, last.replace(hour=23), phrases=PHRASES))["evasive"] == {"時間を下さい": 1}
