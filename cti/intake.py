"""What the night took of callers: wishes to be called back and calls to the emergency line (A-12, A-21, A-22).

Steps (`cti.steps`) -> rows of `Intake`, each with the day on which it is due; the case store adopts them. A step counts
once, however often it is read. What staff did with an intake is a line in the vault too: nothing here is kept by the
database alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import structlog
from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Date,
    DateTime,
    Integer,
    MetaData,
    String,
    Table,
    delete,
    insert,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from cti.calls import passing
from cti.calls.said import FORMS
from cti.steps import Step, at_of
from recorder.catalogue import of_site, plain, positions, put

log = structlog.get_logger()
metadata = MetaData()

steps = Table(
    "steps",
    metadata,
    Column("key", String(200), primary_key=True),
    Column("conversation", String(36), nullable=False, index=True),
    Column("uniqueid", String(80), nullable=False, index=True),
    Column("at", DateTime, nullable=False),
    Column("what", String(16), nullable=False),
    Column("values", JSON, nullable=False),
    Column("pbx", String(32), nullable=False, index=True, server_default=""),
)

line_files = Table(
    "step_files", metadata, Column("name", String(120), primary_key=True), Column("read", Integer, nullable=False)
)

intakes = Table(
    "intakes",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("conversation", String(36), nullable=False, index=True),
    Column("kind", String(16), nullable=False),
    Column("at", DateTime, nullable=False, index=True),
    Column("dialled", String(32)),
    Column("number", String(32)),
    Column("source", String(16)),
    Column("language", String(8)),
    Column("answered_by", String(32)),
    Column("unanswered", Boolean, nullable=False),
    Column("due", Date),
    Column("pbx", String(32), nullable=False, index=True, server_default=""),
)

to_tickets = Table(
    "steps_to_tickets",
    metadata,
    Column("key", String(200), primary_key=True),
    Column("pbx", String(32), nullable=False),
)
"""Steps of which a ticket is to be made (`cti.cases.ticketing`)."""

kept = Table(
    "kept",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("at", DateTime, nullable=False),
    Column("by", String(120), nullable=False),
    Column("note", String(1000), nullable=False),
    Column("pbx", String(32), nullable=False, index=True, server_default=""),
)

_ROWS = select(intakes, kept.c.at.label("done_at"), kept.c.by.label("done_by"), kept.c.note.label("note")).outerjoin(
    kept, kept.c.id == intakes.c.id
)

EMERGENCY = frozenset({"emergency", "unanswered", "urgent"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """One promise. `kind`: callback | emergency. `number`: digits as the network or the keys gave them, None: withheld.

    `source`: confirmed (the caller said so), calling (nobody said so), keyed. `unanswered`: the emergency line did not
    answer. `due`: 翌営業日 by the centre's own calendar; None: that could not be told, so it is overdue at once.
    """

    id: str
    conversation: str
    kind: str
    at: datetime
    dialled: str | None = None
    number: str | None = None
    source: str | None = None
    language: str | None = None
    answered_by: str | None = None
    unanswered: bool = False
    due: date | None = None
    done_at: datetime | None = None
    done_by: str | None = None
    note: str | None = None

    def overdue(self, today: date) -> bool:
        """Whether somebody should have acted: at once where the emergency line did not answer (A-21)."""
        if self.done_at is not None:
            return False
        return self.unanswered or self.due is None or today > self.due

    def public(self, today: date) -> dict[str, Any]:
        """As one JSON line."""
        return asdict(self) | {"overdue": self.overdue(today)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What somebody did with an intake: handed it over, or called back."""

    id: str
    at: datetime
    by: str
    note: str

    def line(self) -> dict[str, str]:
        """As the vault keeps it."""
        return asdict(self) | {"at": self.at.isoformat()}


def taken(known: Intake | None, step: Step, dialled: str | None, due: date | None) -> Intake | None:
    """The row after `step`, which comes after those before it; None where it changes none. Pure."""
    values: Mapping[str, str] = step["values"]
    kind = values.get("kind") if step["what"] == "intake" else None
    if step["what"] == "line" and known is not None:
        if values.get("status") == "ANSWER":
            return replace(known, answered_by=values.get("destination"), unanswered=False)
        # Whoever gave up while nobody answered is in need all the same.
        given_up = values.get("status") == "CANCEL" and known.answered_by is None
        return replace(known, unanswered=True) if given_up else None
    if kind is None:
        return None
    family = "emergency" if kind in EMERGENCY else "callback"
    row = known or Intake(
        id=identity(step["uniqueid"], family),
        conversation=step["conversation"],
        kind=family,
        at=at_of(step),
        dialled=dialled,
        due=due,
    )
    number = values.get("number")
    if row.source is None or kind == "urgent" or kind == "callback":
        row = replace(
            row,
            number=number or row.number,
            source=(values.get("source") if number else None) or row.source,
            language=values.get("language") or row.language,
        )
    return replace(row, unanswered=True) if kind == "unanswered" and row.answered_by is None else row


def identity(uniqueid: str, family: str) -> str:
    """The id of what a call left: the same however often it is made."""
    return str(uuid5(NAMESPACE_URL, f"kikitori:intake/{uniqueid}/{family}"))


class IntakeBook:
    """Steps and intakes in the database; one transaction a file."""

    def __init__(self, engine: AsyncEngine, pbx: str, due: Callable[[datetime], date | None]) -> None:
        """`due(at)`: 翌営業日 of what came in at `at`. `engine` is migrated already; `pbx` as in `Catalogue`."""
        self._engine, self._pbx, self.due = engine, pbx, due
        self._alarmed: set[str] = set()

    async def read_until(self) -> dict[str, int]:
        """How far each file of steps and of promises kept was read, in bytes, by its name."""
        return await positions(self._engine, line_files, self._pbx)

    async def adopt(self) -> None:
        """As `Catalogue.adopt`."""
        async with self._engine.begin() as connection:
            for table in (steps, intakes, kept):
                await connection.execute(update(table).where(table.c.pbx == "").values(pbx=self._pbx))

    async def take(self, new: Sequence[Step], file: str, read: int) -> list[Intake]:
        """Add steps of `file`, which was read up to byte `read`; the rows that are new or changed."""
        changed: dict[str, Intake] = {}
        async with self._engine.begin() as connection:
            for step in new:
                if await connection.scalar(select(steps.c.key).where(steps.c.key == step["key"])):
                    continue
                values = {**step, "at": plain(at_of(step)), "pbx": self._pbx}
                await connection.execute(insert(steps).values(**values))
                if step["what"] in passing.FORMS:
                    await connection.execute(insert(to_tickets).values(key=step["key"], pbx=self._pbx))
                if (row := await self._apply(connection, step)) is not None:
                    changed[row.id] = row
            await self._remember(connection, file, read)
        return list(changed.values())

    async def keep(self, lines: Sequence[Kept], file: str, read: int) -> None:
        """Add promises kept, of `file`, which was read up to byte `read`. Of two for one intake the first counts."""
        async with self._engine.begin() as connection:
            for line in lines:
                if not await connection.scalar(select(kept.c.id).where(kept.c.id == line.id)):
                    values = asdict(line) | {"at": plain(line.at), "pbx": self._pbx}
                    await connection.execute(insert(kept).values(**values))
            await self._remember(connection, file, read)

    async def _remember(self, connection: AsyncConnection, file: str, read: int) -> None:
        await put(connection, line_files, {"name": f"{self._pbx}/{file}", "read": read})

    async def clear(self) -> None:
        """Forget everything of this PBX; the vault has it all."""
        async with self._engine.begin() as connection:
            for table in (steps, to_tickets, intakes, kept):
                await connection.execute(delete(table).where(table.c.pbx == self._pbx))
            await connection.execute(delete(line_files).where(of_site(line_files, self._pbx)))

    async def alarm(self) -> None:
        """Say who waits because the emergency line did not answer: once for each, whichever process took the step."""
        for row in await self.rows():
            if row.unanswered and row.id not in self._alarmed:
                self._alarmed.add(row.id)
                log.error("the emergency line did not answer: somebody waits to be called", intake=row.id)

    async def _apply(self, connection: AsyncConnection, step: Step) -> Intake | None:
        values = step["values"]
        family = "callback" if step["what"] == "intake" and values.get("kind") not in EMERGENCY else "emergency"
        known = await self._one(connection, identity(step["uniqueid"], family))
        dialled = await connection.scalar(
            select(steps.c["values"]).where(steps.c.uniqueid == step["uniqueid"], steps.c.what == "route")
            .order_by(steps.c.at)
        )  # fmt: skip
        row = taken(known, step, (dialled or {}).get("number"), self.due(at_of(step)))
        if row is None or row == known:
            return None
        stored = {name: value for name, value in asdict(row).items() if name in intakes.c} | {"at": plain(row.at)}
        await put(connection, intakes, stored | {"pbx": self._pbx})
        return row

    async def _one(self, connection: AsyncConnection, identity: str) -> Intake | None:
        row = (await connection.execute(_ROWS.where(intakes.c.id == identity))).mappings().first()
        return _intake(row) if row else None

    async def rows(self, *, done: bool = False, own: bool = False) -> list[Intake]:
        """Open ones, oldest first; all where `done`. `own`: of this PBX alone."""
        wanted = _ROWS.order_by(intakes.c.at)
        if own:
            wanted = wanted.where(intakes.c.pbx == self._pbx)
        if not done:
            wanted = wanted.where(kept.c.id.is_(None))
        async with self._engine.connect() as connection:
            return [_intake(row) for row in (await connection.execute(wanted)).mappings()]

    async def beginning(self, text: str) -> list[Intake]:
        """Those whose id begins with `text`."""
        wanted = _ROWS.where(intakes.c.id.startswith(text, autoescape=True))
        async with self._engine.connect() as connection:
            return [_intake(row) for row in (await connection.execute(wanted)).mappings()]

    async def to_tickets(self) -> list[Step]:
        """The steps of this PBX of which a ticket is to be made, in their order."""
        wanted = select(steps).join(to_tickets, to_tickets.c.key == steps.c.key)
        # What came of an attended transfer is known at the same moment: the transfer comes before its outcome.
        order = (steps.c.at, steps.c.what == passing.OUTCOME, steps.c.key)
        wanted = wanted.where(to_tickets.c.pbx == self._pbx).order_by(*order)
        async with self._engine.connect() as connection:
            found = [dict(row) for row in (await connection.execute(wanted)).mappings()]
        return [row | {"at": row["at"].replace(tzinfo=UTC).isoformat()} for row in found]

    async def ticketed(self, key: str) -> None:
        """It was made, or none is to be."""
        async with self._engine.begin() as connection:
            await connection.execute(delete(to_tickets).where(to_tickets.c.key == key))

    async def first_rings(self) -> dict[str, Step]:
        """Conversation -> its first step `ring`."""
        wanted = select(steps).where(steps.c.what == "ring").order_by(steps.c.at.desc())
        async with self._engine.connect() as connection:
            found = [dict(row) for row in (await connection.execute(wanted)).mappings()]
        return {row["conversation"]: row | {"at": row["at"].replace(tzinfo=UTC).isoformat()} for row in found}

    async def steps_of(self, text: str) -> list[dict[str, Any]]:
        """Steps of the calls whose conversation or channel begins with `text`, in their order."""
        wanted = (
            select(steps)
            .where(
                steps.c.conversation.startswith(text, autoescape=True)
                | steps.c.uniqueid.startswith(text, autoescape=True)
            )
            .order_by(steps.c.uniqueid, steps.c.at)
        )
        async with self._engine.connect() as connection:
            found = [dict(row) for row in (await connection.execute(wanted)).mappings()]
        return [row | {"at": row["at"].replace(tzinfo=UTC), "values": _in_order(row)} for row in found]


def _in_order(row: Mapping[str, Any]) -> dict[str, str]:
    """The values of a step as the dialplan says them: JSON has lost that."""
    names = FORMS.get(row["what"]) or passing.FORMS.get(row["what"], ())
    return {name: row["values"][name] for name in names if name in row["values"]}


def _intake(row: Mapping[Any, Any]) -> Intake:
    values = {name: value for name, value in row.items() if name != "pbx"}
    for name in ("at", "done_at"):
        values[name] = values[name].replace(tzinfo=UTC) if values[name] else None
    return Intake(**values)
