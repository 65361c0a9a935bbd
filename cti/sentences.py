"""Why it is open or closed, in sentences of the reader's language."""

from collections.abc import Iterator
from datetime import date, datetime

from cti.i18n import _, reader
from policies.calendar import JST, interval_text
from policies.hours import HORIZON, Day, OpeningHours, State
from policies.overrides import Kind, Override

_WEEKDAYS = "月火水木金土日"


def day_text(day: date) -> str:
    """`2026-12-30 (Wed)`"""
    weekday = _WEEKDAYS[day.weekday()] if reader() == "ja" else f"{day:%a}"
    return f"{day.isoformat()} ({weekday})"


def moment_text(at: datetime, *, seconds: bool = False) -> str:
    """`2026-12-30 (Wed) 08:30`, in Japan. The seconds where asked for, or where there are any."""
    local = at.astimezone(JST)
    clock = local.strftime("%H:%M:%S" if seconds or local.second else "%H:%M")
    return f"{day_text(local.date())} {clock}"


def sentences(answer: State, hours: OpeningHours) -> Iterator[str]:
    """What was asked, the rule, what it rests on, and what comes next."""
    of = answer.day.calendar
    told = {"at": moment_text(answer.at, seconds=True), "title": of.title}
    yield (_("{at}: {title} is open.") if answer.open else _("{at}: {title} is closed.")).format(**told)
    override = answer.reason.override
    if override is not None:
        yield _decision(override, answer)
        yield _("Without it: {rule}").format(rule=_class(answer.day))
    else:
        yield _class(answer.day)
    yield from _rests_on(answer.day, hours)
    if answer.until is None:
        yield _("Nothing changes that in the next {days} days.").format(days=HORIZON)
    elif answer.open:
        yield _("It closes at {at}.").format(at=moment_text(answer.until))
    else:
        yield _("It opens at {at}.").format(at=moment_text(answer.until))


def _class(day: Day) -> str:
    kind = day.kind
    text = ", ".join(map(interval_text, kind.hours))
    told = {"title": kind.title, "hours": text, "rule": kind.basis, "basis": f"{day.calendar.source} {kind.article}"}
    if kind.hours:
        return _("Class of day “{title}”: open {hours} ({rule}, {basis}).").format(**told)
    return _("Class of day “{title}”: closed all day ({rule}, {basis}).").format(**told)


def _decision(override: Override, answer: State) -> str:
    told = {
        "by": override.by,
        "first": moment_text(override.start),
        "last": moment_text(override.end),
        "rule": answer.reason.rule,
        "basis": answer.reason.basis,
        "id": override.id,
    }
    if override.hours:
        told["hours"] = interval_text(override.hours)
    if override.kind is Kind.CLOSED:
        text = _("{by} decided: closed from {first} to {last} ({rule}, {basis}; decision {id}).")
    elif override.kind is Kind.HOURS:
        text = _("{by} decided: open {hours} only, from {first} to {last} ({rule}, {basis}; decision {id}).")
    elif override.hours:
        text = _("{by} decided: also open {hours}, from {first} to {last} ({rule}, {basis}; decision {id}).")
    else:
        text = _("{by} decided: open from {first} to {last} ({rule}, {basis}; decision {id}).")
    said = [text.format(**told)]
    if override.reason:
        said.append(_("Reason: {reason}.").format(reason=override.reason))
    if override.entered_by and override.entered_at:
        said.append(
            _("Entered by {who} at {at}.").format(
                who=override.entered_by, at=moment_text(override.entered_at, seconds=True)
            )
        )
    return " ".join(said)


def certainty(known: str) -> str:
    """What is known of a year's holidays that no table has: `forecast` or `unknown`."""
    if known == "forecast":
        return _("The holidays of that year are a forecast: the Cabinet Office's table does not reach it yet.")
    return _("The holidays of that year are not known: neither a table nor a forecast reaches it.")


def _rests_on(day: Day, hours: OpeningHours) -> Iterator[str]:
    if day.holiday is not None:
        told = {"name": day.holiday.name, "kind": day.holiday.kind.value}
        yield _("The day is a holiday: {name} ({kind}).").format(**told)
    if day.holidays != "table":
        yield certainty(day.holidays)
    rules, in_force = hours.version(day.date)
    if not in_force:
        yield _("No rules are known to have been in force on that day; those from {day} were taken.").format(
            day=day_text(rules.effective_from)
        )
    key = f"calendar.{day.calendar.name}.day.{day.kind.name}.hours"
    if question := rules.open_questions.get(key):
        yield _("To be confirmed by the bureau: {question}").format(question=question)
