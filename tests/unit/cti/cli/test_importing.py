"""`kikitori case import` and `template`: what is sent of a sheet, and what is said of each row."""

import csv
import io
import json
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cti.api.client import UnreachableError
from cti.api.importshapes import Import, Imported, ImportedRow
from cti.cli import importing
from tests.unit.cti.cli.conftest import Kikitori
from tests.unit.cti.sheets.test_workbook import made

pytestmark = pytest.mark.rule("E-08")

HEAD = "受付日,受付方法,氏名,電話番号,内容\n"
ROW = "2026/4/1 13:05,電話,山田,06-6458-1132,断水\n"


@dataclass
class Desk:
    """A desk that takes every row but those of which `refuses` speaks; after `most` requests it is gone."""

    asked: list[Import] = field(default_factory=list)
    refuses: dict[str, dict[str, Any]] = field(default_factory=dict)
    most: int = 1000

    def import_cases(self, asked: Import) -> Imported:
        if len(self.asked) == self.most:
            raise UnreachableError("gone")
        self.asked.append(asked)
        items = []
        for row in asked.rows:
            values: dict[str, Any] = {"became": "new", "case": None if asked.dry_run else row.line}
            values |= self.refuses.get(row.inquiry, {})
            items.append(ImportedRow(line=row.line, **{"field": None, "rule": None, "problem": None} | values))
        return Imported(dry_run=asked.dry_run, items=items)

    @property
    def rows(self) -> list[Any]:
        return [row for asked in self.asked for row in asked.rows]


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    there = Desk()

    @contextmanager
    def at_api() -> Iterator[Desk]:
        yield there

    monkeypatch.setattr(importing, "at_api", at_api)
    return there


def sheet(folder: Path, text: str, name: str = "受付簿.csv") -> Path:
    file = folder / name
    file.write_bytes(text.encode("cp932"))
    return file


def test_a_dry_run_says_what_would_be_and_enters_nothing(kikitori: Kikitori, desk: Desk, tmp_path: Path) -> None:
    said = kikitori("case", "import", sheet(tmp_path, HEAD + ROW + ",,,,\n" + ROW))
    assert said.status == 0, said.err
    assert said.out.splitlines() == [
        "row 2: would be a new case", "row 4: would be a new case", "New: 2. Already there: 0. Refused: 0.",
        "A dry run: nothing was entered; --apply enters it.",
    ]  # fmt: skip
    assert said.err == "Read as: CSV, CP932, comma.\n"
    assert [asked.dry_run for asked in desk.asked] == [True]
    assert [(row.line, row.nth, row.asked_nth) for row in desk.rows] == [(2, 1, 1), (4, 2, 2)]


def test_rows_that_fit_are_entered_and_the_others_named_with_what_to_do(
    kikitori: Kikitori, desk: Desk, tmp_path: Path
) -> None:
    desk.refuses = {
        "検針": {"became": "refused", "case": None, "rule": "A-20", "problem": "entered by 運営会社 (A-20)"},
        "漏水": {"became": "there", "case": 7},
    }
    file = sheet(tmp_path, HEAD + ROW + ROW.replace("断水", "検針") + ROW.replace("4/1", "2/30")
                 + ROW.replace("断水", "漏水") + ROW.replace("断水", '"=cmd|x"'))  # fmt: skip
    report = tmp_path / "report.csv"
    said = kikitori("case", "import", file, "--apply", "--report", report)
    assert said.status == 65
    assert said.out.splitlines() == [
        "row 2: entered: case 2",
        "row 3: is refused; entered by 運営会社 (A-20); an account of 運営会社 imports what came by fax, "
        "web or letter, received by cc",
        "row 4: is refused; Date received: there is no such day",
        "row 5: is there already: case 7", "row 6: entered: case 6",
        "New: 2. Already there: 1. Refused: 2.",
    ]  # fmt: skip
    assert stat.S_IMODE(report.stat().st_mode) == 0o600
    rows = list(csv.reader(io.StringIO(report.read_bytes().decode("utf-8-sig"), newline="")))
    assert rows[0] == ["Row", "What became of it", "Case", "Column", "Rule", "Why", "What to do"]
    assert rows[3] == ["4", "is refused", "", "Date received", "", "there is no such day", ""]
    assert len(rows) == 6
    again = kikitori("case", "import", file, "--apply", "--report", report)
    assert (again.status, "name a new file" in again.err, len(desk.asked)) == (64, True, 1)
    assert kikitori("case", "import", file, "--report", tmp_path / "none/report.csv").status == 64


def test_json_is_an_object_a_row_and_one_of_all(kikitori: Kikitori, desk: Desk, tmp_path: Path) -> None:
    said = kikitori("case", "import", sheet(tmp_path, HEAD + ROW), "--json")
    one, whole = map(json.loads, said.out.splitlines())
    assert (one["line"], one["became"], one["entered"], one["remedy"]) == (2, "new", False, None)
    assert whole == {"rows": 1, "dry_run": True, "new": 1, "there": 0, "refused": 0, "held": 0, "unknown": 0}


def test_all_or_nothing_tries_all_first(kikitori: Kikitori, desk: Desk, tmp_path: Path) -> None:
    file = sheet(tmp_path, HEAD + ROW + ROW.replace("断水", "検針"))
    desk.refuses = {"検針": {"became": "refused", "case": None, "problem": "no"}}
    said = kikitori("case", "import", file, "--apply", "--all-or-nothing")
    assert (said.status, [asked.dry_run for asked in desk.asked]) == (65, [True])
    assert "row 2: not entered, since others are refused" in said.out
    assert "Not entered: 1." in said.out
    desk.refuses = {}
    assert kikitori("case", "import", file, "--apply", "--all-or-nothing").status == 0
    assert [asked.dry_run for asked in desk.asked] == [True, True, False]
    assert len({asked.batch for asked in desk.asked[1:]}) == 1


def test_many_rows_go_in_parts_that_the_desk_takes(kikitori: Kikitori, desk: Desk, tmp_path: Path) -> None:
    long = "あ" * 7000
    rows = [f"2026/4/1 13:05,電話,,,{n}\n" for n in range(250)] + [
        f"2026/4/1 13:05,電話,,,{long}{n}\n" for n in range(5)
    ]
    assert kikitori("case", "import", sheet(tmp_path, HEAD + "".join(rows))).status == 0
    sizes = [len(asked.rows) for asked in desk.asked]
    assert (sum(sizes), max(sizes)) == (255, 100)
    assert all(len(asked.model_dump_json(exclude_none=True).encode()) < 64 * 1024 for asked in desk.asked)


def test_a_row_that_no_request_takes_and_a_text_that_is_none_are_refused_here(
    kikitori: Kikitori, desk: Desk, tmp_path: Path
) -> None:
    long = "あ" * 7900
    head = "受付日,受付方法,内容,備考,メモ,処理結果,回答日\n"
    row = f"2026/4/1 13:05,電話,{long},{long},x,{long},2026/4/1 14:00\n"
    nul = "2026/4/1 13:05,電話,a\x00b,,,,\n"
    longer = f"2026/4/1 13:05,電話,{long}{long},,,,\n"
    said = kikitori("case", "import", sheet(tmp_path, head + row + nul + longer), "--ignore", "メモ")
    assert (said.status, desk.asked) == (65, [])
    first, second, third, *_rest = said.out.splitlines()
    assert "longer than the desk takes" in first
    assert "row 3: is refused; Inquiry: holds something that is no text" in second
    assert "row 4: is refused; Inquiry: " in third


def test_what_was_entered_is_said_though_the_desk_goes_away(kikitori: Kikitori, desk: Desk, tmp_path: Path) -> None:
    desk.most = 1
    rows = [f"2026/4/1 13:05,電話,,,{n}\n" for n in range(150)]
    report = tmp_path / "report.csv"
    said = kikitori("case", "import", sheet(tmp_path, HEAD + "".join(rows)), "--apply", "--report", report)
    assert (said.status, "gone" in said.err) == (69, True)
    assert "row 101: entered: case 101" in said.out
    assert "row 102: not reached" in said.out
    assert "New: 100." in said.out
    assert len(report.read_text("utf-8-sig").splitlines()) == 151


def test_columns_are_named_left_out_and_kept(kikitori: Kikitori, desk: Desk, tmp_path: Path) -> None:
    file = sheet(tmp_path, "表題,,,\n受付日,ご用件の概要,天気,機嫌\n2026/4/1,断水,雨,良\n")
    said = kikitori("case", "import", file, "--header-row", 2)
    assert (said.status, "columns that nobody knows: ご用件の概要, 天気, 機嫌" in said.err) == (65, True)
    options = [
        "--header-row",
        2,
        "--column",
        "内容=ご用件の概要",
        "--keep",
        "天気",
        "--ignore",
        "機嫌",
        "--channel",
        "phone",
    ]
    assert "--time 09:00" in kikitori("case", "import", file, *options).out
    assert kikitori("case", "import", file, *options, "--time", "9:30").status == 0
    (row,) = desk.rows
    assert (row.line, row.inquiry, row.channel) == (3, "断水", "phone")
    assert row.notes == ("表に受付時刻がないため 09:30 とした", "天気: 雨")


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        (["--column", "inquiry"], 64, "write FIELD=HEADING"), (["--column", "天気=内容"], 64, "is none of"),
        (["--column", "inquiry=内容", "--column", "内容=内容"], 64, "is named twice"),
        (["--time", "25:00"], 64, "--time"),
        (["--sheet", "x"], 64, "--sheet"), (["--header-row", "9"], 65, "there is no row 9"),
        (["--ignore", "x"], 64, "--ignore"),
        (["--encoding", "utf-8"], 65, "is no UTF-8"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_said(
    kikitori: Kikitori, desk: Desk, tmp_path: Path, options: list[str], status: int, said: str
) -> None:
    found = kikitori("case", "import", sheet(tmp_path, HEAD + ROW), *options)
    assert (found.status, said in found.err, desk.asked) == (status, True, [])


def test_a_file_that_is_too_large_or_not_there_is_said(
    kikitori: Kikitori, desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert kikitori("case", "import", tmp_path / "none.csv").status == 74
    monkeypatch.setattr(importing, "FILE", 10)
    said = kikitori("case", "import", sheet(tmp_path, HEAD + ROW))
    assert (said.status, "larger than" in said.err) == (65, True)


def test_a_workbook_is_read_too(kikitori: Kikitori, desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "受付簿.xlsx"
    file.write_bytes(made(["受付日", "受付時刻", "内容", "TEL"], [46113, "13:05", "断水", 664581132]))
    assert kikitori("case", "import", file, "--channel", "phone").status == 0
    (row,) = desk.rows
    assert (row.received_at.isoformat(), row.contact) == ("2026-04-01T13:05:00+09:00", "0664581132")


@pytest.mark.parametrize("name", ["受付簿.xlsx", "受付簿.csv"])
def test_an_empty_sheet_that_is_filled_in_is_imported(
    kikitori: Kikitori, desk: Desk, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / name
    assert kikitori("case", "template", file).status == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    said = kikitori("case", "import", file)
    assert (said.status, said.out.splitlines()[0]) == (0, "New: 0. Already there: 0. Refused: 0.")
    assert kikitori("case", "template", file).status == 74, "nothing is overwritten"
    assert kikitori("case", "template", tmp_path / "x.pdf").status == 64
    told = json.loads(kikitori("case", "template", tmp_path / f"2{name}", "--json").out)
    assert "Telephone" in told["headings"]
