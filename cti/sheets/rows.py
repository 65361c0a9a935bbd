"""A row of a sheet -> the fields of a case, as the API takes them. What is not clear is refused, never guessed. Pure.

What the sheet does not say is said for all rows (`Unsaid`), or the row is refused. What is kept of it beside the fields
becomes a note in the language of the records.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any, Final

from cti.cases.acts import CENTRE, CONTRACTOR, EMERGENCY, Channel, Outcome
from cti.cases.contact import Missing
from cti.i18n import _
from cti.sheets.columns import Columns, Field, folded
from cti.sheets.moments import UnclearError, clock, day
from cti.sheets.table import Cell, Row, blank
from policies.calendar import JST

CHANNELS: Final[Mapping[Channel, str]] = {
    Channel.PHONE: "電話 入電 受電 TEL phone telephone", Channel.FAX: "ファクス FAX ファックス ファクシミリ",
    Channel.WEB: "ウェブ web インターネット ホームページ HP メール 電子メール Eメール フォーム email mail",
    Channel.LETTER: "手紙 文書 郵送 郵便 はがき ハガキ 書面 封書 letter post",
    Channel.VISIT: "来庁 来所 来訪 窓口 面談 訪問 visit", Channel.EMERGENCY: "緊急受付 緊急 緊急受付窓口 emergency",
}  # fmt: skip
OUTCOMES: Final[Mapping[Outcome, str]] = {
    Outcome.ANSWERED: "回答 回答済 回答済み 完了 対応済 対応済み 処理済 済 answered",
    Outcome.DECLINED: "断り お断り 謝絶 declined", Outcome.WITHDRAWN: "取下げ 取り下げ 取下 withdrawn",
}  # fmt: skip
_UNITS: Final[Mapping[str, str]] = {
    CENTRE: "CC お客さまサービス課 お客さまセンター", CONTRACTOR: "運営会社", EMERGENCY: "緊急受付窓口",
}  # fmt: skip
_CHANNEL_OF: Final = {folded(word): one for one, words in CHANNELS.items() for word in [*words.split(), one.value]}
_OUTCOME_OF: Final = {folded(word): one for one, words in OUTCOMES.items() for word in [*words.split(), one.value]}
_UNIT_OF: Final = {folded(word): one for one, words in _UNITS.items() for word in [*words.split(), one]}
_NO_NUMBER: Final = {folded(one.wording): one for one in Missing} | {folded("番号非通知"): Missing.WITHHELD}
_TEXTS: Final = {
    Field.NAME: "name", Field.EMAIL: "email", Field.ADDRESS: "address", Field.INQUIRY: "inquiry",
    Field.CATEGORY: "category", Field.MAIN: "main", Field.WISH: "wish",
}  # fmt: skip
_NOTED: Final = {Field.REFERENCE: "受付番号", Field.TAKEN_BY: "受付者", Field.ANSWERED_BY: "回答者", Field.NOTE: ""}
_EXACT: Final = 10**15
"""Numbers from here on a spreadsheet has rounded."""


class RowError(ValueError):
    """A row cannot be a case. `field`: what of it, `problem`: why and what to do, in the reader's language."""

    def __init__(self, field: str, problem: str) -> None:
        """Both are shown; what stands in the cell is not repeated."""
        super().__init__(f"{field}: {problem}")
        self.field, self.problem = field, problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsaid:
    """What holds where a sheet does not say it. `at`: the time of a day without one; `at_once`: what has an answer and
    no day of it was answered when it came in. None, False: such a row is refused.
    """

    channel: Channel | None = None
    at: time | None = None
    at_once: bool = False
    old_days: bool = False


def stated(row: Row, columns: Columns, unsaid: Unsaid) -> dict[str, Any]:
    """The fields of a row that is not blank. Raises RowError."""
    cells = {field: row[place] for field, place in columns.of.items() if place < len(row) and not blank(row[place])}
    made: dict[str, Any] = {"channel": _channel(cells, Field.CHANNEL) or unsaid.channel}
    if made["channel"] is None:
        raise RowError(
            Field.CHANNEL, _("how it came in is missing; if all rows came in so that do not say it, --channel")
        )
    notes: list[str] = []
    made["received_at"] = _received(cells, unsaid, notes)
    made |= {name: text(cells[field], field) for field, name in _TEXTS.items() if field in cells}
    if Field.INQUIRY not in cells:
        raise RowError(Field.INQUIRY, _("what the customer asks is missing"))
    made |= _number(cells.get(Field.CONTACT))
    if Field.RECEIVED_BY in cells:
        unit = text(cells[Field.RECEIVED_BY], Field.RECEIVED_BY)
        made["received_by"] = _UNIT_OF.get(folded(unit), unit)
    if Field.RELATED in cells:
        names = re.split(r"[、,，/／;\n]+", text(cells[Field.RELATED], Field.RELATED))
        made["related"] = [one.strip() for one in names if one.strip()]
    made |= _answer(cells, made["received_at"], unsaid, notes)
    for field, title in _NOTED.items():
        if field in cells:
            notes.append(f"{title}: {text(cells[field], field)}" if title else text(cells[field], field))
    notes += [f"{name}: {text(row[place], name)}" for name, place in columns.kept if _stands(row, place)]
    return made | ({"notes": notes} if notes else {})


def text(cell: Cell, field: str) -> str:
    """As it is shown: a whole number without a point, a day as 2026-04-01. Raises RowError."""
    if isinstance(cell, int | float) and not isinstance(cell, bool):
        if not abs(cell) < _EXACT:  # nor what is no number at all
            raise RowError(field, _("a number so long that the spreadsheet has rounded it: make the column text"))
        return str(int(cell)) if cell == int(cell) else repr(cell)
    if isinstance(cell, datetime):
        return cell.isoformat(sep=" ", timespec="minutes")
    return str(cell).strip()


def _stands(row: Row, place: int) -> bool:
    return place < len(row) and not blank(row[place])


def _channel(cells: Mapping[Field, Cell], field: Field) -> Channel | None:
    if field not in cells:
        return None
    found = _CHANNEL_OF.get(folded(cells[field]))
    if found is None:
        known = ", ".join(words.split()[0] for words in CHANNELS.values())
        raise RowError(field, _("none of {known}").format(known=known))
    return found


def _received(cells: Mapping[Field, Cell], unsaid: Unsaid, notes: list[str]) -> datetime:
    if Field.RECEIVED not in cells:
        raise RowError(Field.RECEIVED, _("the day on which it was received is missing"))
    on, at = _moment(cells, Field.RECEIVED, Field.TIME, old=unsaid.old_days)
    if at is None:
        if unsaid.at is None:
            raise RowError(
                Field.TIME,
                _("the time at which it was received is missing; for all rows with a day alone: --time 09:00"),
            )
        at = unsaid.at
        notes.append(f"表に受付時刻がないため {at:%H:%M} とした")
    return datetime.combine(on, at, JST)


def _moment(
    cells: Mapping[Field, Cell], of_day: Field, of_time: Field, *, old: bool
) -> tuple[date, time | None]:  # fmt: skip
    """A day, and the time where it is written beside it or in a column of its own."""
    field = of_day
    try:
        on, at = day(cells[of_day], old=old)
        if of_time in cells:
            field = of_time
            beside, at = at, clock(cells[of_time])
            if beside not in (None, at):
                raise RowError(field, _("the time beside the day is another one"))
    except UnclearError as error:
        raise RowError(field, str(error)) from error
    return on, at


def _number(cell: Cell) -> dict[str, Any]:
    """A telephone number, or why there is none. A number cell without its first 0 is one number alone, or refused."""
    if cell is None:
        return {}
    given = text(cell, Field.CONTACT)
    if (missing := _NO_NUMBER.get(folded(given))) is not None:
        return {"missing": missing}
    if re.fullmatch(r"[1-9][0-9]*", given):
        if len(given) not in (9, 10):
            raise RowError(Field.CONTACT, _("no whole telephone number: make the column text, and write its first 0"))
        given = f"0{given}"  # a spreadsheet took it; whether that is a number that is given out, the desk looks
    return {"contact": given}


def _answer(cells: Mapping[Field, Cell], received: datetime, unsaid: Unsaid, notes: list[str]) -> dict[str, Any]:
    """What was answered, when, how and with what outcome; nothing where it was not."""
    outcome = _outcome(cells)
    said = [text(cells[field], field) for field in (Field.RESULT, Field.REASON) if field in cells]
    if not said and outcome is None and Field.ANSWERED not in cells:
        if strange := next((one for one in (Field.REPLY, Field.ANSWERED_TIME) if one in cells), None):
            raise RowError(strange, _("there is no answer: what was done, and on which day, is missing"))
        return {}
    made: dict[str, Any] = {"outcome": outcome or Outcome.ANSWERED, "result": "\n".join(said)}
    if Field.ANSWERED in cells:
        made["answered_at"] = _answered(cells, received, unsaid, notes)
    elif outcome is not Outcome.WITHDRAWN:
        if not unsaid.at_once:
            raise RowError(
                Field.ANSWERED,
                _("the day of the answer is missing; if rows without one were answered at once: --answered-at-once"),
            )
        made["answered_at"] = received
        notes.append("表に回答日がないため、受付時に回答したものとした")
    if (reply := _channel(cells, Field.REPLY)) is not None:
        made["reply"] = reply
    return made


def _outcome(cells: Mapping[Field, Cell]) -> Outcome | None:
    found = None
    if Field.OUTCOME in cells:
        found = _OUTCOME_OF.get(folded(cells[Field.OUTCOME]))
        if found is None:
            raise RowError(
                Field.OUTCOME,
                _("none of 回答, 断り, 取下げ; if the column says what was done: --column result=HEADING"),
            )
    if Field.REASON not in cells:
        return found
    if found not in (None, Outcome.DECLINED):
        raise RowError(Field.REASON, _("why it was declined, though it was not: one of the two is wrong"))
    return Outcome.DECLINED


def _answered(cells: Mapping[Field, Cell], received: datetime, unsaid: Unsaid, notes: list[str]) -> datetime:
    on, at = _moment(cells, Field.ANSWERED, Field.ANSWERED_TIME, old=unsaid.old_days)
    if at is not None:
        return datetime.combine(on, at, JST)
    if unsaid.at is None:
        raise RowError(
            Field.ANSWERED_TIME, _("the time of the answer is missing; for all rows with a day alone: --time 09:00")
        )
    made = datetime.combine(on, unsaid.at, JST)
    if on == received.date():
        made = max(made, received)  # of the same day, not before it was asked
    notes.append(f"表に回答時刻がないため {made:%H:%M} とした")
    return made
