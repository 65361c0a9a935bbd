"""Rows of somebody's sheet become cases, each once: whoever sends it again, or at the same time, finds it there.

A case's id is made of its question, and what caused it of all that the row said; by keyed hashes, so that nobody can
try names and numbers. A row of a question that is there, and says other things now, is refused: it is no second case.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from cti.cases.acts import Act
from cti.cases.book import ChangedError, OrderError
from cti.cases.case import RuleError
from cti.cases.desk import CaseDesk, Stated
from cti.cases.model import fold
from cti.cases.rows import followed, question, whole
from cti.errors import FieldError
from cti.i18n import _
from recorder.access.people import Account

Became = Literal["new", "there", "refused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of a row, or would. `case`: its number. `field`, `rule`, `problem`: of one that is refused."""

    line: int
    became: Became
    case: int | None = None
    field: str | None = None
    rule: str | None = None
    problem: str | None = None


class Importing:
    """Of one desk."""

    def __init__(self, desk: CaseDesk) -> None:
        """`desk` knows the rules, and for whom somebody acts."""
        self._desk, self._book = desk, desk.book

    async def take(self, who: Account, rows: Sequence[Stated], *, batch: str, dry_run: bool) -> list[Verdict]:
        """Each row by itself, in their order; `batch` names the import that they belong to, in the access log.

        Raises NotEntitledError, LogUnavailableError, DatabaseError: what was entered by then is there the next time.
        """
        unit = self._desk.unit(who)
        found = [await self._row(who, unit, row, dry_run=dry_run) for row in rows]
        counts = {one: sum(verdict.became == one for verdict in found) for one in ("new", "there", "refused")}
        await self._desk.imported(who, {"batch": batch, "unit": unit, "dry_run": dry_run, **counts})
        return found

    async def _row(self, who: Account, unit: str, row: Stated, *, dry_run: bool) -> Verdict:
        line = int(row["line"])
        identity, key = await self._book.names_of(
            _name(unit, row["asked_nth"], question(row)), _name(unit, row["nth"], whole(row))
        )
        if (known := await self._book.caused(key)) is not None:
            return Verdict(line=line, became="there", case=known)
        if (standing := (await self._book.standing([identity])).get(identity)) is not None:
            return _other(line, standing.number)
        try:
            acts = self._acts(who, unit, row)
            if dry_run:
                fold(acts)
                return Verdict(line=line, became="new")
            kept = await self._book.enter(acts, identity=identity, key=key)
        except FieldError as error:
            return Verdict(line=line, became="refused", field=error.field, problem=error.problem)
        except RuleError as error:
            wrong = OrderError(error)
            return Verdict(line=line, became="refused", rule=wrong.rule, problem=str(wrong))
        except OrderError as error:
            return Verdict(line=line, became="refused", rule=error.rule, problem=str(error))
        except ChangedError:  # somebody entered it meanwhile
            if (standing := (await self._book.standing([identity])).get(identity)) is None:
                raise
            return _other(line, standing.number)
        return Verdict(line=line, became="there" if kept.known else "new", case=kept.number)

    def _acts(self, who: Account, unit: str, row: Stated) -> list[Act]:
        given: dict[str, Any] = dict(row)
        main = self._desk.sections().called(given.get("main") or "")
        if main is not None and main.name == unit and not given.get("related"):
            given["main"] = None  # what a 所管課 took itself is its own
        opened = self._desk.opening(who, given)
        return [*opened, *followed(opened, given)]


def _other(line: int, number: int) -> Verdict:
    said = _("case {number} has this question, and the row says other things now: put down in the case what is new")
    return Verdict(line=line, became="refused", case=number, problem=said.format(number=number))


def _name(unit: str, nth: int, said: bytes) -> bytes:
    return f"{unit}\n{nth}\n".encode() + said
