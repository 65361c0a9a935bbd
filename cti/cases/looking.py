"""What there is of cases and tickets, in lists and whole: opened by the key here, and of what a unit may see alone."""

import asyncio
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import structlog
from sqlalchemy import ColumnElement, Row, RowMapping, Select, exists, func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from cti.cases import form, phrasing
from cti.cases.acts import CALLED, CENTRE, Act, Channel, Outcome, Reply, State, TicketEnd, TicketKind, Way
from cti.cases.callbacks import takes
from cti.cases.case import Case, RuleError
from cti.cases.contact import Contact, Missing
from cti.cases.lists import Kept, Line, Standing, TicketLine, TicketsWanted, Wanted
from cti.cases.model import fold
from cti.cases.progress import Progress, month, progress
from cti.cases.sealing import CaseDamagedError, FieldKeys
from cti.cases.searching import matching, rarest_first
from cti.cases.tables import acts, cases, seers, tickets
from cti.cases.times import Handled, by_channel, of_calls
from cti.cases.words import grams, holds
from cti.i18n import _
from recorder.catalogue import plain

log = structlog.get_logger()
_SAME: Final = cases.alias()

LOOKED_AT: Final = 100
"""Acts that are looked at together, at least, to find words."""

MANY: Final = 1000
"""Ids of one question to the database."""


class Looking:
    """The cases of a database, as they are."""

    def __init__(self, engine: AsyncEngine, keys: Callable[[], FieldKeys]) -> None:
        """`engine` is migrated. `keys` is asked when it is needed first."""
        self._engine, self._read_keys = engine, keys
        self._known: FieldKeys | None = None
        self._checked = False

    @property
    def _keys(self) -> FieldKeys:
        if self._known is None:
            self._known = self._read_keys()
        return self._known

    async def check_key(self) -> None:
        """That the cases there are were sealed by the key here: a database has one, whoever writes into it.

        Raises CaseDamagedError, SettingsError.
        """
        if self._checked:
            return
        async with self._engine.connect() as connection:
            found = (await connection.execute(select(cases).order_by(cases.c.number).limit(1))).mappings().first()
        if found is not None:
            self._keys.open(found["sealed"], around_row(found["id"], found))
            self._checked = True

    def _words(self, of: Iterable[str]) -> list[int]:
        return sorted({self._keys.word(gram) for gram in of})

    async def beginning(self, text: str, unit: str = CENTRE) -> list[tuple[int, str]]:
        """At most two of the cases that `text` names, and `unit` may see: a number, or the beginning of an id."""
        wanted = cases.c.id.startswith(text.lower(), autoescape=True)
        if text.isascii() and text.isdigit() and len(text) < 10:
            number = cases.c.number == int(text)
            wanted = number if len(text) < 8 else wanted | number  # one id of 43 begins with eight digits
        query = self._seen(select(cases.c.number, cases.c.id).where(wanted).limit(2), cases.c.number, unit)
        async with self._engine.connect() as connection:
            return [(int(row.number), str(row.id)) for row in await connection.execute(query)]

    @staticmethod
    def _seen(
        query: Select[Any], number: ColumnElement[int], unit: str, *, open_alone: bool = False
    ) -> Select[Any]:  # fmt: skip
        """Of what `unit` may see alone; `open_alone`: nothing else is wanted."""
        if unit == CENTRE:
            return query
        query = query.join(seers, seers.c.case == number).where(seers.c.unit == unit)
        return query.where(seers.c.waits) if open_alone else query

    async def standing(self, identities: Sequence[str]) -> dict[str, Standing]:
        """Those of these ids that there are."""
        found = {}
        async with self._engine.connect() as connection:
            for first in range(0, len(identities), MANY):
                wanted = cases.c.id.in_(identities[first : first + MANY])
                columns = select(cases.c.id, cases.c.number, cases.c.acts, cases.c.state).where(wanted)
                for row in await connection.execute(columns):
                    found[row.id] = Standing(number=row.number, acts=row.acts, state=State(row.state))
        return found

    async def get(self, number: int) -> Kept:
        """One. Raises CaseDamagedError."""
        async with self._engine.connect() as connection:
            # Together: an act that comes in between belongs to both or to none.
            query = select(acts, cases.c.id.label("of"), cases.c.acts.label("many"))
            query = query.join(cases, cases.c.number == acts.c.case).where(acts.c.case == number).order_by(acts.c.act)
            rows = (await connection.execute(query)).all()
        if [row.act for row in rows] != list(range(1, int(rows[0].many if rows else 1) + 1)):
            raise CaseDamagedError(_("case {number}: its acts are not all there").format(number=number))
        identity = str(rows[0].of)
        try:
            case = fold((self._act(identity, row) for row in rows), identity)
        except (RuleError, form.FormError) as error:
            raise CaseDamagedError(
                _("case {number}: its acts cannot be read ({error})").format(number=number, error=error)
            ) from error
        return Kept(number=number, case=case)

    def _act(self, identity: str, row: Row[Any]) -> Act:
        at = row.at.replace(tzinfo=UTC)
        bound = around(identity, row.act, row.kind, at, row.by, row.unit, row.key)
        return form.act_of(row.kind, at, row.by, row.unit, self._keys.open(row.sealed, bound))

    async def lines(
        self, wanted: Wanted, unit: str, *, limit: int, after: int | None = None, soonest: bool = False
    ) -> list[Line]:
        """Those that `unit` may see, the newest first; `after`: the number of the last one of the page before.

        `soonest`: what is to be done first, first; there are no pages of that.
        """
        open_alone = bool(wanted.states) and State.CLOSED not in wanted.states
        query = self._seen(select(cases).where(*self._conditions(wanted)), cases.c.number, unit, open_alone=open_alone)
        # By the table that the index is of: neither database sees that the other column is the same.
        kept = cases if unit == CENTRE else seers
        number = kept.c.number if unit == CENTRE else kept.c.case
        if after is not None:
            query = query.where(number < after)
        orders = [query.order_by(number.desc())]
        if soonest:
            orders = [
                query.where(kept.c.next_at.is_not(None)).order_by(kept.c.next_at, cases.c.received_at, number.desc()),
                query.where(kept.c.next_at.is_(None)).order_by(cases.c.received_at, number.desc()),
            ]
        found: list[RowMapping] = []
        async with self._engine.connect() as connection:
            for ordered in orders:
                if (left := limit - len(found)) > 0:
                    found += (await connection.execute(ordered.limit(left))).mappings().all()
        return [self._line(row, unit) for row in found]

    async def search(self, wanted: Wanted, words: Sequence[str], unit: str, *, limit: int) -> list[Line]:
        """Those that `wanted` fits and in whose acts each of `words` stands, folded (`cti.cases.words`).

        Those first of which something was written last.
        """
        blind = [self._words(grams([word])) for word in words]
        found: dict[int, Line] = {}
        before: int | None = None
        async with self._engine.connect() as connection:
            first, *others = [words[place] for place in await rarest_first(connection, blind)]
            rare = self._words(grams([first]))
            while len(found) < limit and (
                ids := await matching(connection, rare, before=before, limit=max(LOOKED_AT, 2 * limit))
            ):
                before = ids[-1]
                # What the unit may see, before anything is opened.
                theirs = (
                    select(cases)
                    .where(*self._conditions(wanted))
                    .where(cases.c.number.in_(select(acts.c.case).where(acts.c.id.in_(ids))))
                )
                rows = (await connection.execute(self._seen(theirs, cases.c.number, unit))).mappings().all()
                lines = {row["number"]: self._line(row, unit) for row in rows}
                hits = await self._holding(connection, acts.c.id.in_(ids) & acts.c.case.in_(lines), [first])
                if others and hits:
                    whole = await self._holding(connection, acts.c.case.in_(hits), others)
                    hits = {number: hit for number, hit in hits.items() if whole.get(number) == set(others)}
                for number in hits:
                    if number not in found and not lines[number].damaged:
                        found[number] = lines[number]
        return list(found.values())[:limit]

    async def _holding(
        self, connection: AsyncConnection, where: ColumnElement[bool], words: Sequence[str]
    ) -> dict[int, set[str]]:
        """Which of `words` stand in acts `where`, case by case, the newest act first."""
        query = select(acts, cases.c.id.label("of")).join(cases, cases.c.number == acts.c.case)
        found: dict[int, set[str]] = {}
        for row in await connection.execute(query.where(where).order_by(acts.c.id.desc())):
            try:
                texts = form.texts(self._act(row.of, row))
            except (CaseDamagedError, form.FormError):
                continue  # the case itself says so
            if hit := {word for word in words if holds(word, texts)}:
                found.setdefault(row.case, set()).update(hit)
        return found

    def _conditions(self, wanted: Wanted) -> Iterable[ColumnElement[bool]]:
        if wanted.states:
            yield cases.c.state.in_(wanted.states)
        for name in ("owner", "main", "category", "channel", "conversation"):
            if (value := getattr(wanted, name)) is not None:
                yield cases.c[name] == value
        if wanted.number is not None:
            tagged = select(acts.c.case).where(acts.c.tag == self._keys.tag(wanted.number))
            yield cases.c.number.in_(tagged)
        if wanted.since is not None:
            yield cases.c.received_at >= plain(wanted.since)
        if wanted.until is not None:
            yield cases.c.received_at < plain(wanted.until)
        if wanted.late is not None:
            yield cases.c.next_at < plain(wanted.late)

    def _line(self, row: Mapping[Any, Any], unit: str) -> Line:
        values = dict(row)
        del values["sealed"]
        for name, value in values.items():
            if isinstance(value, datetime):
                values[name] = value.replace(tzinfo=UTC)
        kinds: dict[str, Any] = {"state": State, "channel": Channel, "way": Way, "outcome": Outcome}
        values |= {name: made(values[name]) for name, made in kinds.items() if values[name] is not None}
        return Line(**values, **self._summary(row, row["number"], unit))

    def _summary(self, row: Mapping[Any, Any], number: int, unit: str) -> dict[str, Any]:
        """What is the customer's in a row of `cases`; nothing of one that was changed: it must not hide the others."""
        try:
            found = form.Summary.read(self._keys.open(row["sealed"], around_row(row["id"], row)))
        except (CaseDamagedError, form.FormError):
            log.error("a row of the cases was changed", case=number)
            found = None
        if found is None or (unit != CENTRE and unit not in found.units):
            return {"inquiry": "", "name": "", "contact": None, "damaged": True}
        return {"inquiry": found.inquiry, "name": found.name, "contact": found.contact, "damaged": False}

    async def tickets(self, wanted: TicketsWanted, unit: str, *, limit: int) -> list[TicketLine]:
        """Those of cases that `unit` may see: what is due first, first; of those that are over, the newest first."""
        at = func.coalesce(tickets.c.due, tickets.c.at)
        query = select(tickets).limit(limit)
        query = self._seen(query, tickets.c.case, unit, open_alone=wanted.open)
        if wanted.open:
            query = query.where(tickets.c.outcome.is_(None))
            query = query.order_by(tickets.c.next_at, tickets.c.case, tickets.c.place)
        else:
            query = query.order_by(at.desc(), tickets.c.case.desc(), tickets.c.place)
        for column, value in ((tickets.c.kind, wanted.kind), (tickets.c.unit, wanted.unit)):
            query = query.where(column == value) if value is not None else query
        if wanted.since is not None:
            query = query.where(at >= plain(wanted.since))
        if wanted.until is not None:
            query = query.where(at < plain(wanted.until))
        if wanted.late is not None:
            query = query.where(_waits_late(wanted.late) if wanted.open else _is_late(wanted.late))
        async with self._engine.connect() as connection:
            found = (await connection.execute(query)).mappings().all()
            numbers = sorted({row["case"] for row in found})
            of = (await connection.execute(select(cases).where(cases.c.number.in_(numbers)))).mappings().all()
        theirs = {row["number"]: self._summary(row, row["number"], unit) for row in of}
        open_ = await self.open_by(
            {one["contact"].e164 for one in theirs.values() if isinstance(one["contact"], Contact)}, unit
        )  # fmt: skip
        lines = [self._ticket(row, theirs[row["case"]]) for row in found if row["case"] in theirs]
        return [replace(line, others=_others(line.contact, line.case, open_)) for line in lines]

    async def others(self, kept: Kept, unit: str) -> tuple[int, ...]:
        """Further open cases of the customer's number that `unit` may see, the newest first."""
        contact = kept.case.reach.contact if kept.case.reach else None
        numbers = {contact.e164} if isinstance(contact, Contact) else set()
        return _others(contact, kept.number, await self.open_by(numbers, unit))

    async def open_by(self, numbers: Collection[str], unit: str) -> dict[str, list[int]]:
        """The open cases of each of these numbers (E.164) that `unit` may see, the newest first."""
        tagged = select(acts.c.case).where(acts.c.tag.in_({self._keys.tag(number) for number in numbers}))
        query = select(cases).where(cases.c.state != State.CLOSED, cases.c.number.in_(tagged))
        query = self._seen(query, cases.c.number, unit).order_by(cases.c.number.desc())
        found: dict[str, list[int]] = {number: [] for number in numbers}
        if not numbers:
            return found
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).mappings().all()
        for row in rows:
            contact = self._summary(row, row["number"], unit)["contact"]  # of now: others may have been wrong
            if isinstance(contact, Contact) and contact.e164 in found:
                found[contact.e164].append(int(row["number"]))
        return found

    @staticmethod
    def _ticket(row: Mapping[Any, Any], summary: Mapping[str, Any]) -> TicketLine:
        values = dict(row)
        del values["next_at"]
        for name in ("at", "due", "done_at", "tried_at", "again"):
            values[name] = values[name].replace(tzinfo=UTC) if values[name] else None
        values |= {"kind": TicketKind(row["kind"]), "outcome": TicketEnd(row["outcome"]) if row["outcome"] else None}
        return TicketLine(**values, **summary)

    async def open_of(
        self, conversation: str, first: Callable[[Case], bool] = lambda _case: False
    ) -> int | None:  # fmt: skip
        """The newest case of a conversation, or with a ticket that it left, that is not closed; `first`: before any.

        Where it was a duplicate, the case into which it was joined.
        """
        left = select(tickets.c.case).where(tickets.c.conversation == conversation)
        of = _SAME.c.conversation == conversation
        # Not by an OR: PostgreSQL looks through all cases for it, half a second among a million.
        wanted = cases.c.number.in_(select(_SAME.c.number).where(of).union(left))
        query = select(cases.c.number).where(wanted).order_by(cases.c.number.desc())
        async with self._engine.connect() as connection:
            found = [int(number) for number in await connection.scalars(query.where(cases.c.state != State.CLOSED))]
            over = [] if found else [int(number) for number in await connection.scalars(query)]
        if len(found) > 1:
            for number in found:
                if first((await self.get(number)).case):
                    return number
        if found:
            return found[0]
        ends = [await self._joined_into(number) for number in over]
        return next((number for number in ends if number is not None), None)

    async def _joined_into(self, number: int) -> int | None:
        """The open case of which that one has become a part, by one other or more."""
        with suppress(CaseDamagedError):  # of one that nobody can read nothing is known
            case = (await self.get(number)).case
            while case.joined is not None:
                number = case.joined
                case = (await self.get(number)).case
            return None if case.state is State.CLOSED else number
        return None

    async def owed_to(self, e164: str) -> list[Kept]:
        """The cases in which somebody is to be called on that number, the newest first."""
        owed = exists().where(
            tickets.c.case == acts.c.case, tickets.c.outcome.is_(None), tickets.c.kind.in_(CALLED)
        )  # fmt: skip
        query = select(acts.c.case).where(acts.c.tag == self._keys.tag(e164), owed).distinct()
        async with self._engine.connect() as connection:
            numbers = list(await connection.scalars(query.order_by(acts.c.case.desc()).limit(LOOKED_AT)))
        found = []
        for number in numbers:
            with suppress(CaseDamagedError):  # the case itself says so, and holds up no other
                found.append(await self.get(number))
        return [kept for kept in found if _reached_on(kept.case, e164)]

    async def put_through_before(self, at: datetime) -> list[tuple[int, str]]:
        """Case and leg of the transfers that began before then, and of which nothing more was heard."""
        query = select(tickets.c.case, tickets.c.leg).where(
            tickets.c.outcome.is_(None), tickets.c.next_at < plain(at), tickets.c.kind == TicketKind.TRANSFER
        )  # fmt: skip
        async with self._engine.connect() as connection:
            return [(int(row.case), str(row.leg)) for row in await connection.execute(query)]

    async def is_open(self, number: int) -> bool:
        """Whether there is such a case, and it is not closed."""
        query = select(cases.c.number).where(cases.c.number == number, cases.c.state != State.CLOSED)
        async with self._engine.connect() as connection:
            return await connection.scalar(query) is not None

    async def owes_call(self, e164: str, due: datetime) -> Kept | None:
        """The case for which somebody of that number is called whom nobody answered, and who is called by then."""
        found = [kept for kept in await self.owed_to(e164) if takes(kept.case, due)]
        missed = (kept for kept in found if kept.case.owes(TicketKind.ABANDONED))
        return next(missed, found[0] if found else None)

    async def missed_before(self, e164: str) -> int | None:
        """The newest case in which somebody of that number waits to be called, whom nobody had answered."""
        for kept in await self.owed_to(e164):
            if kept.case.owes(TicketKind.ABANDONED):
                return kept.number
        return None

    async def progress(self, since: datetime, now: datetime, units: Collection[str]) -> Progress:
        """How all cases stand; `units`: those that there are now."""
        return await progress(self._engine, since, now, units)

    async def month(
        self, since: datetime, until: datetime, *, phrases: Sequence[str] = (), fewest: int = 1
    ) -> dict[str, Any]:
        """The cases received in between, counted and measured; no time of fewer than `fewest`.

        `evasive`: in how many cases each of `phrases` was written in between.
        """
        within = (cases.c.received_at >= plain(since)) & (cases.c.received_at < plain(until))
        said = (acts.c.at >= plain(since)) & (acts.c.at < plain(until)) & acts.c.kind.in_(phrasing.KINDS)
        by_case: dict[str, set[int]] = {}
        for number, act in await self._opened(said):
            for phrase in phrasing.evasive([act], phrases):
                by_case.setdefault(phrase, set()).add(number)
        return await month(self._engine, since, until) | {
            "evasive": {phrase: len(numbers) for phrase, numbers in sorted(by_case.items())},
            "times": by_channel(await self._handled(within), fewest),
            "calls": await of_calls(self._engine, since, until, fewest),
        }

    async def _handled(self, within: ColumnElement[bool]) -> list[Handled]:
        """Each case as it is measured: the first of its answers counts, also where it was opened again."""
        first: dict[int, datetime] = {}
        for number, act in await self._opened(within & (acts.c.kind == "reply")):
            at = (act.answered_at or act.at) if isinstance(act, Reply) else act.at
            first[number] = min(at, first.get(number, at))
        async with self._engine.connect() as connection:
            rows = (await connection.execute(select(cases).where(within))).all()
        return [
            Handled(
                channel=row.channel, received_at=row.received_at.replace(tzinfo=UTC), replied_at=first.get(row.number),
                ended=row.closed_at is not None or row.reopened > 0, reopened=row.reopened > 0,
            )
            for row in rows
        ]  # fmt: skip

    async def _opened(self, where: ColumnElement[bool]) -> list[tuple[int, Act]]:
        """Acts with the number of their case; without one that was changed: the case itself says so."""
        query = select(acts, cases.c.id.label("of")).join(cases, cases.c.number == acts.c.case).where(where)
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).all()

        def work() -> Iterator[tuple[int, Act]]:
            for row in rows:
                with suppress(CaseDamagedError, form.FormError):
                    yield row.case, self._act(row.of, row)

        return await asyncio.to_thread(lambda: list(work()))

    async def demanding(self) -> dict[int, int]:
        """The cases with an unjust demand, and how many acts each has."""
        of = select(tickets.c.case).where(tickets.c.kind == TicketKind.REPORT)
        query = select(cases.c.number, cases.c.acts).where(cases.c.number.in_(of)).order_by(cases.c.number)
        async with self._engine.connect() as connection:
            return {int(row.number): int(row.acts) for row in await connection.execute(query)}

    async def any(self) -> bool:
        """Whether there is any."""
        async with self._engine.connect() as connection:
            return await connection.scalar(select(cases.c.number).limit(1)) is not None

    async def names_of(self, asked: bytes, said: bytes) -> tuple[str, str]:
        """The id and the key of the case that a row of a sheet becomes, by its question and all that it says.

        Raises CaseDamagedError where another key sealed what is there: by that it would be another case.
        """
        await self.check_key()
        return str(UUID(self._keys.row(b"asked\n" + asked)[:32], version=5)), f"row/{self._keys.row(said)}"

    async def all_caused(self, keys: Sequence[str]) -> dict[str, int]:
        """The cases that have acts of these keys."""
        async with self._engine.connect() as connection:
            query = select(acts.c.key, acts.c.case).where(acts.c.key.in_(keys[:MANY]))
            return {str(row.key): int(row.case) for row in await connection.execute(query)}

    async def caused(self, key: str) -> int | None:
        """The case that has an act of this key."""
        async with self._engine.connect() as connection:
            found: int | None = await connection.scalar(select(acts.c.case).where(acts.c.key == key))
            return found


async def late(engine: AsyncEngine, now: datetime) -> int:
    """How many tickets are open and past their time; no key is needed to count."""
    wanted = tickets.c.outcome.is_(None) & _waits_late(now)
    async with engine.connect() as connection:
        return int(await connection.scalar(select(func.count()).select_from(tickets).where(wanted)) or 0)


async def unreached(engine: AsyncEngine, tries: int) -> int:
    """How many tickets are open after so many calls that met nobody."""
    wanted = tickets.c.outcome.is_(None) & (tickets.c.tries >= tries)
    async with engine.connect() as connection:
        return int(await connection.scalar(select(func.count()).select_from(tickets).where(wanted)) or 0)


def _is_late(now: datetime) -> ColumnElement[bool]:
    """As `TicketLine.late`."""
    acted = func.coalesce(tickets.c.tried_at, tickets.c.done_at)
    return (tickets.c.outcome.is_(None) & _waits_late(now)) | (tickets.c.outcome.is_not(None) & (tickets.c.due < acted))


def _waits_late(now: datetime) -> ColumnElement[bool]:
    """As `TicketLine.late` of one that is open; what has no time is never late."""
    timed = tickets.c.due.is_not(None) | tickets.c.again.is_not(None)
    return (tickets.c.next_at < plain(now)) & timed


def _others(contact: Contact | Missing | None, number: int, open_: Mapping[str, Sequence[int]]) -> tuple[int, ...]:
    """Of the cases of that number, those beside `number`."""
    of = open_.get(contact.e164, ()) if isinstance(contact, Contact) else ()
    return tuple(one for one in of if one != number)


def _reached_on(case: Case, e164: str) -> bool:
    """Whether that is the number now; others may have been wrong."""
    return case.reach is not None and isinstance(case.reach.contact, Contact) and case.reach.contact.e164 == e164


async def known(engine: AsyncEngine, identities: Collection[str]) -> set[str]:
    """Which of these ids are cases."""
    async with engine.connect() as connection:
        return set(await connection.scalars(select(cases.c.id).where(cases.c.id.in_(sorted(identities)[:MANY]))))


def around(
    identity: str, place: int, kind: str, at: datetime, by: str, unit: str, key: str | None
) -> bytes:  # fmt: skip
    """What is bound to an act's sealed text."""
    return json.dumps([identity, place, kind, at.astimezone(UTC).isoformat(), by, unit, key]).encode()


def around_row(identity: str, row: Mapping[Any, Any]) -> bytes:
    """What is bound to a row's sealed text: all that stands in it in the clear."""
    clear = {str(name): value for name, value in row.items() if name in _CLEAR}
    return json.dumps([identity, clear], default=_plainly, sort_keys=True).encode()


def _plainly(value: object) -> str:
    if not isinstance(value, datetime):
        raise TypeError(type(value).__name__)
    return value.isoformat()


_CLEAR: Final = {column.name for column in cases.c} - {"number", "id", "sealed"}
