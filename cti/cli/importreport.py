"""What became of each row of a sheet, for people, programs and a file."""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from typing import Literal

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cti.cli.common import err, out, say_json
from cti.cli.terminal import one_line
from cti.i18n import _
from cti.sheets.columns import TITLES, Field
from cti.sheets.writing import written


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A row. `became`: new, there, refused; held: it would be new, and nothing was entered; unknown: nobody got so far.

    `entered`: new, and not by a dry run.
    """

    line: int
    became: Literal["new", "there", "refused", "held", "unknown"] = "unknown"
    case: int | None = None
    field: str | None = None
    rule: str | None = None
    problem: str | None = None
    entered: bool = False

    @property
    def said(self) -> str:
        """In words."""
        match self.became:
            case "new" if self.entered:
                return _("entered: case {number}").format(number=self.case)
            case "new":
                return _("would be a new case")
            case "there":
                return _("is there already: case {number}").format(number=self.case)
            case "refused":
                return _("is refused")
            case "held":
                return _("not entered, since others are refused")
            case _:
                return _("not reached")

    @property
    def column(self) -> str:
        """Of one that is refused, in words."""
        title = next((TITLES[one] for one in Field if one == self.field), None)
        return _(title) if title else self.field or ""

    @property
    def remedy(self) -> str:
        """What is to be done about a refusal, where the problem does not say it."""
        if self.became != "refused":
            return ""
        by_rule: dict[str | None, str] = {
            "A-18": _("look at the day: it lies ahead, or has a wrong year"),
            "A-20": _("an account of 運営会社 imports what came by fax, web or letter, received by cc"),
            "A-21": _("received-by of such a row is emergency, and of no other"),
            "A-24": _("look at the days of question and answer, and whether it says what was done"),
            "A-25": _("say in column wish why they were answered otherwise than they asked"),
            "A-26": _("import here what your 所管課 received itself; the rest by an account of whoever received it"),
            "C-19": _("say why it was declined, in column reason or result"),
        }
        by_field: dict[str | None, str] = {
            Field.MAIN: _("`kikitori section list` shows the names"),
            Field.RELATED: _("`kikitori section list` shows the names"),
            Field.RECEIVED_BY: _("cc, contractor, emergency, or a 所管課 of `kikitori section list`"),
            Field.CATEGORY: _("`kikitori section list` shows the kinds of questions"),
            Field.CONTACT: _("put the number right, or empty the cell and write it into the remarks"),
        }
        return by_rule.get(self.rule) or by_field.get(self.field, "")


def bar() -> Progress:
    """How far it is, on standard error."""
    columns = (TextColumn(_("rows")), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=err, transient=True, disable=not err.is_terminal)


def write(lines: Iterable[Line]) -> bytes:
    """As a CSV file."""
    head = (_("Row"), _("What became of it"), _("Case"), _("Column"), _("Rule"), _("Why"), _("What to do"))
    rows = ((one.line, one.said, one.case, one.column, one.rule, one.problem, one.remedy) for one in lines)
    return written([head, *rows], "csv")


def say(lines: Collection[Line], *, apply: bool, as_json: bool) -> None:
    """Row by row, then all together."""
    counts = Counter[str](one.became for one in lines)
    totals = {name: counts.get(name, 0) for name in ("new", "there", "refused", "held", "unknown")}
    if as_json:
        for one in lines:
            say_json(asdict(one) | {"remedy": one.remedy or None})
        say_json({"rows": len(lines), "dry_run": not apply, **totals})
        return
    for one in lines:
        parts = [_("row {row}: {said}").format(row=one.line, said=one.said)]
        where = f"{one.column}: " if one.field else ""
        parts += [f"{where}{one.problem}"] if one.problem else []
        parts += [one.remedy] if one.remedy else []
        out.print(
            one_line("; ".join(parts)),
            style="red" if one.became == "refused" else None,
            highlight=False,
            soft_wrap=True,
        )
    out.print(
        _("New: {new}. Already there: {there}. Refused: {refused}.").format(
            new=counts["new"], there=counts["there"], refused=counts["refused"]
        ),
        style="bold", highlight=False,
    )  # fmt: skip
    if left := counts["held"] + counts["unknown"]:
        out.print(_("Not entered: {count}.").format(count=left), style="yellow", highlight=False)
    if not apply:
        out.print(_("A dry run: nothing was entered; --apply enters it."), style="yellow", highlight=False)
