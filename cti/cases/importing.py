"""Rows of somebody's sheet become cases, each once: whoever sends it again, or at the same time, finds it there.

A case's id is made of its question, and what caused it of all that the row said; by keyed hashes, so that nobody can
try names and numbers. A row of a question that is there, and says other things now, is refused: it is no second case.
"""

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from functools import partial
from typing import Any

from cti.cases.acts import Act, Reply
from cti.cases.book import ChangedError, OrderError, done_with
from cti.cases.case import RuleError
from cti.cases.desk import CaseDesk, Stated
from cti.cases.drafting import may_be_unchecked
from cti.cases.rows import Became, followed, question, whole
from cti.errors import FieldError
from cti.i18n import _
from recorder.access.people import Account


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
        desk, sections = copy(self._desk), self._desk.sections()
        desk.sections = lambda: sections  # read once: read for each row, it took most of the time
        unit = desk.unit(who)
        names = [
            await self._book.names_of(_name(unit, row["asked_nth"], question(row)), _name(unit, row["nth"], whole(row)))
            for row in rows
        ]
        # In this order: what somebody enters in between must be the same row, and not another with its question.
        standing = {one: kept.number for one, kept in (await self._book.standing([one for one, _ in names])).items()}
        known = await self._book.all_caused([key for _identity, key in names])
        found: list[Verdict] = []
        for row, (identity, key) in zip(rows, names, strict=True):
            line = int(row["line"])
            if key in known:
                found.append(Verdict(line=line, became="there", case=known[key]))
            elif identity in standing:
                found.append(_other(line, standing[identity]))
            else:
                found.append(
                    await self._row(partial(_acts, desk, who, unit, row), line, identity, key, dry_run=dry_run)
                )
                if found[-1].case is not None and found[-1].became != "refused":
                    known[key] = standing[identity] = found[-1].case
        counts = {one: sum(verdict.became == one for verdict in found) for one in ("new", "there", "refused")}
        await self._desk.imported(who, {"batch": batch, "unit": unit, "dry_run": dry_run, **counts})
        return found

    async def _row(
        self, made: Callable[[], list[Act]], line: int, identity: str, key: str, *, dry_run: bool
    ) -> Verdict:  # fmt: skip
        """One that nobody had entered when it was looked."""
        try:
            acts = made()
            if dry_run:
                done_with(None, acts)
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


def _acts(desk: CaseDesk, who: Account, unit: str, row: Stated) -> list[Act]:
    given: dict[str, Any] = dict(row)
    main = desk.sections().called(given.get("main") or "")
    if main is not None and main.name == unit and not given.get("related"):
        given["main"] = None  # what a 所管課 took itself is its own
    opened = desk.opening(who, given)
    acts = [*opened, *followed(opened, given)]
    for act in acts:
        if isinstance(act, Reply):
            may_be_unchecked(act, opened[0].at, desk.sections())
    return acts


def _other(line: int, number: int) -> Verdict:
    said = _("case {number} has this question, and the row says other things now: put down in the case what is new")
    return Verdict(line=line, became="refused", case=number, problem=said.format(number=number))


def _name(unit: str, nth: int, said: bytes) -> bytes:
    return f"{unit}\n{nth}\n".encode() + said
