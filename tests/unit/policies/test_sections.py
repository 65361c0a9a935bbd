"""The 所管課 and the kinds of questions: as the rules have them, and what a file may not say."""

from datetime import date, datetime, time, timedelta
from pathlib import Path

import pytest

from policies.calendar import JST
from policies.errors import PolicyError
from policies.load import Policies, shipped
from policies.sections import Callbacks, SectionKind, public

DAY = date(2027, 4, 1)
HEAD = 'basis = "A-05"\ndecided_by = "課長"\neffective_from = 2025-12-01\n'
ONE = '[[section]]\nname = "kyusui"\ntitle = "給水課"\nkind = "section"\nphone = "3101"\n'


def given(folder: Path, text: str) -> Policies:
    (folder / "sections.toml").write_text(HEAD + text, "utf-8")
    return Policies(folder)


@pytest.mark.rule("A-05")
def test_all_six_kinds_can_be_handed_over_to(tmp_path: Path) -> None:
    text = "".join(
        f'[[section]]\nname = "s{place}"\ntitle = "t{place}"\nkind = "{kind}"\nphone = "31{place}"\n'
        for place, kind in enumerate(SectionKind)
    )
    found = given(tmp_path, text).sections.taking(DAY)
    assert [one.kind.wording for one in found] == [
        "課", "水道センター", "浄水場", "設備保全センター", "水質管理研究センター", "業務委託先",
    ]  # fmt: skip


@pytest.mark.rule("A-05")
def test_one_that_is_retired_takes_nothing(tmp_path: Path) -> None:
    sections = given(tmp_path, ONE + "since = 2026-04-01\nuntil = 2027-03-31\n").sections
    days = (date(2026, 3, 31), date(2026, 4, 1), date(2027, 3, 31), DAY)
    assert [bool(sections.taking(day)) for day in days] == [False, True, True, False]
    assert sections.find("kyusui") is not None, "what it has is still its own"


@pytest.mark.rule("A-06")
def test_one_without_a_liaison_is_named(tmp_path: Path) -> None:
    two = ONE + '[[section]]\nname = "shomu"\ntitle = "庶務課"\nkind = "section"\nphone = "3001"\nliaison = ["山本"]\n'
    assert [row["name"] for row in public(given(tmp_path, two).sections, DAY) if row["lacks_liaison"]] == ["kyusui"]
    assert not any(row["lacks_liaison"] for row in public(Policies(shipped()).sections, DAY))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (ONE + ONE, "section named twice: kyusui"),
        (ONE + ONE.replace("kyusui", "other"), "title named twice: 給水課"),
        (ONE + 'instead = "none"\n', "instead of it 'none', which is no other"),
        (ONE + 'instead = "kyusui"\n', "which is no other"),
        (ONE + "since = 2027-04-01\nuntil = 2027-03-31\n", "until lies before since"),
        (ONE + '[[category]]\nname = "leak"\ntitle = "漏水"\nsection = "none"\n', "which no [[section]] defines"),
        (ONE + 2 * '[[category]]\nname = "a"\ntitle = "b"\n', "category named twice"),
        (ONE.replace('"3101"', '"03-1"'), "phone"), (ONE.replace('"section"', '"office"'), "kind"),
        (ONE + "more = 1\n", "more"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_named(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(PolicyError) as raised:
        _ = given(tmp_path, text).sections
    assert says in str(raised.value)
    assert "sections.toml" in str(raised.value)


def test_an_installation_of_before_has_the_shipped_ones(tmp_path: Path) -> None:
    assert Policies(tmp_path).sections == Policies(shipped()).sections


def test_the_shipped_phones_are_those_of_the_plan() -> None:
    policies = Policies(shipped())
    assert all(policies.plan.kind(one.phone) for one in policies.sections.section)


@pytest.mark.rule("E-16")
@pytest.mark.parametrize(
    ("at", "tries", "next_day", "then"),
    [
        ("2027-04-01T10:00", 0, None, "2027-04-01T10:30"),
        ("2027-04-01T10:00", 1, None, "2027-04-01T12:00"),
        ("2027-04-01T10:00", 9, None, "2027-04-01T12:00"),
        ("2027-04-01T19:30", 0, "2027-04-05", "2027-04-05T08:00"),
        ("2027-04-01T19:29", 0, "2027-04-05", "2027-04-01T19:59"),
        ("2027-04-01T23:50", 0, "2027-04-05", "2027-04-05T08:00"),
        ("2027-04-01T23:50", 0, None, "2027-04-02T08:00"),
        ("2028-02-28T19:50", 0, None, "2028-02-29T08:00"),
        ("2027-04-01T03:00", 0, "2027-04-05", "2027-04-01T08:00"),
    ],
)
def test_a_customer_is_tried_again_at_an_hour_of_the_policy(at: str, tries: int, next_day: str, then: str) -> None:
    callbacks = Policies(shipped()).sections.callbacks
    day = date.fromisoformat(next_day) if next_day else None
    found = callbacks.again(datetime.fromisoformat(at).replace(tzinfo=JST), tries, day)
    assert found == datetime.fromisoformat(then).replace(tzinfo=JST)
    assert callbacks.open_at(found)


@pytest.mark.parametrize("text", ["earliest = 20:00:00", "again_after = []", "again_after = [0]", "escalate_after = 0"])
def test_callbacks_that_cannot_be_are_refused(tmp_path: Path, text: str) -> None:
    shipped_text = (shipped() / "sections.toml").read_text("utf-8")
    start = shipped_text.index("[callbacks]")
    end = shipped_text.index("[[section]]")
    with pytest.raises(PolicyError):
        _ = given(tmp_path, f"{shipped_text[:start]}[callbacks]\n{text}\n\n{shipped_text[end:]}").sections


def test_a_customer_is_tried_again_at_the_hours_that_they_want_and_what_is_urgent_at_any() -> None:
    callbacks, day = Policies(shipped()).sections.callbacks, date(2027, 4, 5)
    hours = time(18), time(20)
    for at, then in (
        ("2027-04-01T18:10", "2027-04-01T18:40"), ("2027-04-01T11:00", "2027-04-01T18:00"),
        ("2027-04-01T19:50", "2027-04-05T18:00"),
    ):  # fmt: skip
        found = callbacks.again(datetime.fromisoformat(at).replace(tzinfo=JST), 0, day, hours)
        assert found == datetime.fromisoformat(then).replace(tzinfo=JST)
    night = datetime(2027, 4, 2, 23, 50, tzinfo=JST)
    assert callbacks.again(night, 0, day, hours, urgent=True) == night + timedelta(minutes=30)


def test_a_policy_of_days_is_one_of_days() -> None:
    callbacks = Callbacks(again_after=(4320,))
    assert callbacks.again(datetime(2027, 4, 1, 10, tzinfo=JST), 0, date(2027, 4, 2)) == datetime(
        2027, 4, 4, 10, tzinfo=JST
    )


# --- what leaves in writing -------------------------------------------------------------------------------------------

TEMPLATE = '[[template]]\nname = "answer"\ntitle = "回答"\ntext = "{name} 様\\n{text}\\n問合せ先: {section}"\n'


@pytest.mark.rule("C-05")
@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("問合せ先: {section}", "問合せ先: 当局", "names nobody to ask (C-05): write {section} where"),
        ("{section}", "{ section }", "names nobody to ask"),
        ("{name}", "{name.__class__}", "has a blank {name.__class__}: there are section, inquiry, name, text"),
        ("{name}", "{0}", "has a blank {0}"), ("{name}", "{}", "has a blank {}"),
    ],
)  # fmt: skip
def test_a_template_that_names_nobody_to_ask_is_refused_where_it_stands(
    tmp_path: Path, old: str, new: str, says: str
) -> None:
    text = HEAD + ONE + TEMPLATE.replace(old, new)
    line = text[: text.index("text = ")].count("\n") + 1
    with pytest.raises(PolicyError) as raised:
        _ = given(tmp_path, (ONE + TEMPLATE).replace(old, new)).sections
    assert raised.value.where == f"{tmp_path / 'sections.toml'}:{line}: template.0.text"
    assert says in raised.value.problem


@pytest.mark.rule("C-05")
def test_what_stands_in_a_blank_is_no_blank(tmp_path: Path) -> None:
    (template,) = given(tmp_path, ONE + TEMPLATE).sections.template
    assert template.blanks == {"name", "text", "section"}
    filled = template.filled({"name": "{section}", "text": "{0.__class__} \\1", "section": "給水課"})
    assert filled == "{section} 様\n{0.__class__} \\1\n問合せ先: 給水課"
    lone = given(tmp_path, ONE + TEMPLATE.replace("問合せ先", "} 問合せ先 {")).sections.template[0]
    assert lone.filled({"name": "n", "text": "t", "section": "給水課"}).endswith("} 問合せ先 {: 給水課")
    with pytest.raises(PolicyError, match="template named twice: answer"):
        _ = given(tmp_path, ONE + TEMPLATE + TEMPLATE).sections
    assert all("section" in one.blanks for one in Policies(shipped()).sections.template)
