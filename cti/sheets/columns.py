"""Which column of a sheet is what, by its heading. What nobody knows is named, and nothing lost. Pure."""

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from cti.errors import UsageError
from cti.i18n import _, mark
from cti.sheets.table import Cell, Row, SheetError, blank


class Field(StrEnum):
    """What a column says of a case."""

    REFERENCE = "reference"
    RECEIVED = "received"
    TIME = "time"
    CHANNEL = "channel"
    RECEIVED_BY = "received-by"
    TAKEN_BY = "taken-by"
    NAME = "name"
    CONTACT = "contact"
    EMAIL = "email"
    ADDRESS = "address"
    INQUIRY = "inquiry"
    CATEGORY = "category"
    MAIN = "main"
    RELATED = "related"
    RESULT = "result"
    ANSWERED = "answered"
    ANSWERED_TIME = "answered-time"
    REPLY = "reply"
    WISH = "wish"
    OUTCOME = "outcome"
    REASON = "reason"
    ANSWERED_BY = "answered-by"
    NOTE = "note"


NEEDED: Final = (Field.RECEIVED, Field.INQUIRY)
TITLES: Final[Mapping[Field, str]] = {
    Field.REFERENCE: mark("Reference"), Field.RECEIVED: mark("Date received"), Field.TIME: mark("Time received"),
    Field.CHANNEL: mark("Received via"), Field.RECEIVED_BY: mark("Receiving unit"), Field.TAKEN_BY: mark("Taken by"),
    Field.NAME: mark("Name"), Field.CONTACT: mark("Telephone"), Field.EMAIL: mark("E-mail"),
    Field.ADDRESS: mark("Address"), Field.INQUIRY: mark("Inquiry"), Field.CATEGORY: mark("Category"),
    Field.MAIN: mark("Section"), Field.RELATED: mark("Other sections"), Field.RESULT: mark("Answer given"),
    Field.ANSWERED: mark("Date answered"), Field.ANSWERED_TIME: mark("Time answered"),
    Field.REPLY: mark("Answered via"), Field.WISH: mark("Wish for that way"), Field.OUTCOME: mark("Outcome"),
    Field.REASON: mark("Reason for declining"), Field.ANSWERED_BY: mark("Answered by"), Field.NOTE: mark("Remarks"),
}  # fmt: skip
"""What each is called in an empty sheet, in the reader's language."""
_KNOWN: Final[Mapping[Field, str]] = {
    Field.REFERENCE: "No No. 番号 受付番号 管理番号 整理番号 受付No 連番 通番 Number",
    Field.RECEIVED: "受付日 受付年月日 受付日時 受信日 受信日時 受電日 受電日時 日付 年月日 日時 Date Received",
    Field.TIME: "受付時刻 受付時間 受電時刻 受電時間 時刻 時間 Time",
    Field.CHANNEL: "受付方法 受付経路 経路 受付区分 受付手段 受付種別 チャネル Channel Via",
    Field.RECEIVED_BY: "受付部署 受付課 受付所属 受付窓口 受付所管 Receiving_section",
    Field.TAKEN_BY: "受付者 受付担当 受付担当者 受付職員 受電者",
    Field.NAME: "氏名 名前 お名前 お客さま名 お客様名 お客さま氏名 お客様氏名 申出者 相手方 Customer",
    Field.CONTACT: "電話番号 電話 TEL 連絡先 連絡先電話番号 お電話番号 Phone Telephone_number",
    Field.EMAIL: "メール メールアドレス Eメール 電子メール Email Mail",
    Field.ADDRESS: "住所 ご住所 所在地",
    Field.INQUIRY: "内容 問合せ内容 問い合わせ内容 お問合せ内容 お問い合わせ内容 質問 質問内容 用件 ご用件 要望 "
    "相談内容 苦情内容 申出内容 受付内容 意見 意見内容 Question Content",
    Field.CATEGORY: "分類 種類 種別 区分 問合せ種別 Kind",
    Field.MAIN: "所管課 主たる所管課 担当課 担当部署 主管課 回答課",
    Field.RELATED: "関係課 関係所管課 関連課 Related",
    Field.RESULT: "回答内容 処理結果 対応内容 処理内容 対応結果 回答 処理 対応 Answer Result",
    Field.ANSWERED: "回答日 回答年月日 回答日時 処理日 処理日時 対応完了日 完了日 完了日時 Answered Answered_on",
    Field.ANSWERED_TIME: "回答時刻 回答時間 完了時刻",
    Field.REPLY: "回答方法 回答手段 回答経路",
    Field.WISH: "希望の回答方法とその理由 回答方法の希望 回答方法の理由 Wish",
    Field.OUTCOME: "結果 結果区分 回答区分",
    Field.REASON: "断りの理由 断り理由 お断りの理由",
    Field.ANSWERED_BY: "回答者 処理者 回答担当者 回答担当",
    Field.NOTE: "備考 メモ 特記事項 Note Notes Memo",
}
"""Headings that people use; `_` for a blank."""


def folded(heading: Cell) -> str:
    """A heading without what makes no other one of it: width, case, blanks, brackets around nothing."""
    text = unicodedata.normalize("NFKC", "" if heading is None else str(heading)).casefold()
    return re.sub(r"[\s・:_※*]+", "", text)


HEADINGS: Final[Mapping[str, Field]] = {
    folded(word): field for field, words in _KNOWN.items() for word in [*words.split(), TITLES[field]]
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """`of`: the place of each field. `kept`: heading and place of what becomes a note."""

    of: Mapping[Field, int]
    kept: Sequence[tuple[str, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What somebody says of columns: which field a heading is, which are left out, which become notes."""

    named: Mapping[Field, str]
    ignored: Collection[str] = ()
    kept: Collection[str] = ()


def field_of(text: str) -> Field:
    """By its name, or a heading of it. Raises UsageError."""
    found = next((one for one in Field if one.value == text), HEADINGS.get(folded(text)))
    if found is None:
        names = ", ".join(Field)
        raise UsageError(_("--column: {text!r} is none of {names}").format(text=text, names=names))
    return found


def columns(headings: Row, rows: Sequence[Row], said: Said) -> Columns:
    """Raises SheetError, UsageError: each column is known, or somebody says what becomes of it."""
    names = [_name(cell, place) for place, cell in enumerate(headings)]
    widest = max((len(row) for row in rows), default=0)
    names += [_letters(place) for place in range(len(names), widest)]
    nameless = {place for place in range(len(names)) if names[place] == _letters(place)}
    empty = {place for place in nameless if all(place >= len(row) or blank(row[place]) for row in rows)}
    left = {place for place in range(len(names)) if place not in empty}
    of: dict[Field, list[int]] = {}
    for field, heading in said.named.items():
        of[field] = [_place(names, heading, "--column")]
    left -= {place for (place,) in of.values()}
    left -= {_place(names, heading, "--ignore") for heading in said.ignored}
    kept = [_place(names, heading, "--keep") for heading in said.kept]
    left -= set(kept)
    unknown: list[str] = []
    for place in sorted(left):
        known = HEADINGS.get(folded(names[place]))
        if known is None or known in said.named:
            unknown.append(names[place])
        else:
            of.setdefault(known, []).append(place)
    _no_doubt(of, names, unknown)
    return Columns(
        of={field: place for field, (place,) in of.items()}, kept=[(names[place], place) for place in sorted(set(kept))]
    )


def _no_doubt(of: Mapping[Field, Sequence[int]], names: Sequence[str], unknown: Sequence[str]) -> None:
    for field, places in of.items():
        if len(places) > 1:
            twice = ", ".join(f"{names[place]} {_letters(place)}" for place in places)
            raise SheetError(
                _(
                    "several columns are {field}: {names}; say which by --column {field}=(A), and leave the other out "
                    "or keep it as a note: --ignore (B), --keep (B)"
                ).format(field=field, names=twice)
            )
    if unknown:
        raise SheetError(
            _(
                "columns that nobody knows: {names}; say what each is (--column FIELD=HEADING), keep it as a note "
                "(--keep HEADING) or leave it out (--ignore HEADING)"
            ).format(names=", ".join(unknown))
        )
    missing = [field.value for field in NEEDED if field not in of]
    if missing:
        raise SheetError(
            _(
                "no column is {names}: say which by --column FIELD=HEADING, or in which row the headings stand "
                "(--header-row)"
            ).format(names=", ".join(missing))
        )


def _place(names: Sequence[str], heading: str, option: str) -> int:
    """Of a heading, or of a column's letters in brackets. Raises UsageError."""
    letters = re.fullmatch(r"\(([A-Za-z]{1,3})\)", unicodedata.normalize("NFKC", heading).strip())
    found = [place for place, name in enumerate(names) if folded(name) == folded(heading)]
    if letters:
        found = [place for place in range(len(names)) if _letters(place) == f"({letters[1].upper()})"]
    if len(found) == 1:
        return found[0]
    if found:
        letter = ", ".join(_letters(place) for place in found)
        raise UsageError(
            _("{option}: {heading!r} stands over several columns: name one of {letters}").format(
                option=option, heading=heading, letters=letter
            )
        )
    raise UsageError(
        _("{option}: no column {heading!r}: there are {names}").format(
            option=option, heading=heading, names=", ".join(names)
        )
    )


def _name(cell: Cell, place: int) -> str:
    return _letters(place) if blank(cell) else re.sub(r"\s+", " ", str(cell)).strip()


def letters(place: int) -> str:
    """As a spreadsheet calls it: A, Z, AA."""
    text, place = "", place + 1
    while place:
        place, rest = divmod(place - 1, 26)
        text = chr(ord("A") + rest) + text
    return text


def _letters(place: int) -> str:
    return f"({letters(place)})"
