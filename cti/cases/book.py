"""The case store (A-03): every question of every channel in one database, whatever was done with it added to it.

An act is one row, never changed; a case's row is the sum of its acts, for lists. Both are written in one transaction,
in which the access log is told before it ends: what is not in the log was not done.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

import structlog
from sqlalchemy import ColumnElement, Row, delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from cti.cases import form
from cti.cases.contact import Contact, Missing
from cti.cases.model import CENTRE, Act, Case, Channel, Outcome, Reach, RuleError, State, Way, taken
from cti.cases.sealing import CaseDamagedError, FieldKeys, digest
from cti.cases.seeing import concerned
from cti.cases.tables import acts, cases, seers
from cti.errors import KikitoriError
from cti.explain import localise
from cti.i18n import _
from recorder.catalogue import plain

log = structlog.get_logger()

TRIES: Final = 5
"""How often an act is tried that others of the same case overtake."""

MANY: Final = 1000
"""Ids of one question to the database."""

Tell = Callable[[str, str, str, Mapping[str, Any]], object]
"""Actor, action, object and detail into the access log, durable when it returns."""
_Telling = Callable[[str, Mapping[str, Any]], Awaitable[None]]


class OrderError(KikitoriError):
    """The rules do not allow that with this case now."""

    code = "order"
    status = 65

    def __init__(self, error: RuleError) -> None:
        """With the rule."""
        super().__init__(f"{localise(error.problem)} ({error.rule})")
        self.rule = error.rule


class ChangedError(KikitoriError):
    """Somebody did something with the case meanwhile."""

    code = "changed"
    status = 75


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A case, under the number that people call it by."""

    number: int
    case: Case


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far a case is: how many acts, and where it stands."""

    number: int
    acts: int
    state: State


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A case in a list. Times in UTC."""

    number: int
    id: str
    state: State
    channel: Channel
    received_by: str
    received_at: datetime
    entered_by: str
    entered_at: datetime
    owner: str
    main: str | None
    category: str | None
    conversation: str | None
    way: Way | None
    promised: datetime | None
    next_at: datetime | None
    accepted_at: datetime | None
    replied_at: datetime | None
    outcome: Outcome | None
    closed_at: datetime | None
    reopened: int
    last_at: datetime
    acts: int
    inquiry: str
    name: str
    contact: Contact | Missing | None

    def late(self, now: datetime) -> bool:
        """Whether what was to be done by now is not."""
        return self.next_at is not None and self.next_at < now


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which cases: those that fit everything named. `number`: E.164, of whom they are. `since`, `until`: received.

    `late`: those that are late at that time.
    """

    states: tuple[State, ...] = ()
    owner: str | None = None
    main: str | None = None
    category: str | None = None
    channel: Channel | None = None
    conversation: str | None = None
    number: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    late: datetime | None = None

    @property
    def by(self) -> list[str]:
        """What was looked for, without by what: for the log."""
        return [name for name in self.__dataclass_fields__ if getattr(self, name) not in (None, ())]


class CaseBook:
    """The cases of a database."""

    def __init__(self, engine: AsyncEngine, keys: Callable[[], FieldKeys], site: str, tell: Tell) -> None:
        """`engine` is migrated. `keys` is asked when it is needed first. `site`: whose access log `tell` writes."""
        self._engine, self._read_keys, self._site, self._tell = engine, keys, site, tell
        self._known: FieldKeys | None = None

    @property
    def _keys(self) -> FieldKeys:
        if self._known is None:
            self._known = self._read_keys()
        return self._known

    # --- what is done -------------------------------------------------------------------------------------------------

    async def enter(self, new: Sequence[Act], *, identity: str | None = None, key: str | None = None) -> Kept:
        """A case that begins with `new`, of which the first is Register. `key`: what caused it; it is entered once.

        Raises OrderError, LogUnavailableError, SettingsError.
        """
        name = identity or str(uuid4())
        made = _after(None, new, name)
        for last in _tries():
            if key is not None and (known := await self.caused(key)) is not None:
                return await self.get(known)
            try:
                async with self._told(new[0].by, made) as (connection, tell):
                    row = insert(cases).values(**self._row(made, len(new)), id=name)
                    number = int((await connection.execute(row)).inserted_primary_key[0])  # type: ignore[index]
                    await self._write(connection, number, made, new, before=0, key=key, tell=tell)
            except IntegrityError:
                if last:
                    raise
            else:
                return Kept(number=number, case=made)
        raise AssertionError  # the last try returned or raised

    async def add(self, number: int, new: Sequence[Act], *, seen: int | None = None, key: str | None = None) -> Kept:
        """Do `new` with a case. `seen`: how many acts whoever does it has seen; `key` as in `enter`.

        Raises OrderError, ChangedError, CaseDamagedError, LogUnavailableError.
        """
        for last in _tries():
            before = await self.get(number)
            if key is not None and await self.caused(key) is not None:
                return before
            count = len(before.case.history)
            if seen is not None and seen != count:
                raise _changed(number)
            # Another's act may have a later time, by a few milliseconds or another host's clock: the order counts.
            new = [replace(act, at=max(act.at, before.case.last_at)) for act in new]
            after = _after(before.case, new)
            try:
                async with self._told(new[0].by, after) as (connection, tell):
                    row = update(cases).where(cases.c.number == number, cases.c.acts == count)
                    changed = await connection.execute(row.values(**self._row(after, count + len(new))))
                    if changed.rowcount == 1:
                        await self._write(connection, number, after, new, before=count, key=key, tell=tell)
                        return Kept(number=number, case=after)
            except IntegrityError:
                if last:
                    raise
            if seen is not None:
                raise _changed(number)
        raise _changed(number)

    @asynccontextmanager
    async def _told(self, by: str, case: Case) -> AsyncIterator[tuple[AsyncConnection, _Telling]]:
        """A transaction; where it fails after the log was told of it, the log is told that, too."""
        told: list[Mapping[str, Any]] = []

        async def tell(action: str, detail: Mapping[str, Any]) -> None:
            await asyncio.to_thread(self._tell, by, action, case.id, detail)
            told.append(detail)

        try:
            async with self._engine.begin() as connection:
                yield connection, tell
        except BaseException:
            for detail in told:
                await asyncio.to_thread(self._tell, by, "case.failed", case.id, detail)
            raise

    async def _write(
        self, connection: AsyncConnection, number: int, after: Case, new: Sequence[Act], *, before: int,
        key: str | None, tell: _Telling,
    ) -> None:  # fmt: skip
        rows, said = [], []
        for place, act in enumerate(new, start=before + 1):
            cause = key if place == before + 1 else None
            around = _around(after.id, place, form.kind(act), act.at, act.by, act.unit, cause)
            sealed = self._keys.seal(form.private(act), around)
            rows.append({
                "case": number, "act": place, "kind": form.kind(act), "at": plain(act.at), "by": act.by,
                "unit": act.unit, "site": self._site, "key": cause, "tag": self._tag(act), "sealed": sealed,
            })  # fmt: skip
            said.append({"act": place, "kind": form.kind(act), "sha256": digest(sealed)})
        await connection.execute(insert(acts), rows)
        await connection.execute(delete(seers).where(seers.c.case == number))
        await connection.execute(
            insert(seers), [{"unit": unit, "case": number} for unit in sorted(concerned(after))]
        )  # fmt: skip
        detail = {"number": number, "unit": new[0].unit, "acts": said}
        await tell("case.changed" if before else "case.entered", detail)

    def _tag(self, act: Act) -> str | None:
        if isinstance(act, Reach) and isinstance(act.contact, Contact):
            return self._keys.tag(act.contact.e164)
        return None

    def _row(self, case: Case, count: int) -> dict[str, Any]:
        return {
            "acts": count, "state": case.state, "channel": case.channel, "received_by": case.received_by,
            "received_at": plain(case.received_at), "entered_by": case.entered_by, "entered_at": plain(case.entered_at),
            "owner": case.owner, "main": case.main, "category": case.category, "conversation": case.conversation,
            "way": case.hand_over.way if case.hand_over else None, "promised": plain(case.promised),
            "next_at": plain(case.next_at), "accepted_at": plain(case.accepted_at),
            "replied_at": plain(case.reply.at if case.reply else None),
            "outcome": case.result.outcome if case.result else None, "closed_at": plain(case.closed_at),
            "reopened": case.reopened, "last_at": plain(case.last_at),
            "sealed": self._keys.seal(form.Summary.of(case).kept(), _around_row(case.id, count)),
        }  # fmt: skip

    # --- what is there ------------------------------------------------------------------------------------------------

    async def beginning(self, text: str) -> list[int]:
        """At most two of the cases that `text` names: a number, or the beginning of an id."""
        wanted = cases.c.id.startswith(text.lower(), autoescape=True)
        if text.isascii() and text.isdigit() and len(text) < 10:
            wanted = cases.c.number == int(text)
        async with self._engine.connect() as connection:
            return list(await connection.scalars(select(cases.c.number).where(wanted).limit(2)))

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
            identity = await connection.scalar(select(cases.c.id).where(cases.c.number == number))
            rows = (await connection.execute(select(acts).where(acts.c.case == number).order_by(acts.c.act))).all()
        if identity is None or [row.act for row in rows] != list(range(1, len(rows) + 1)):
            raise CaseDamagedError(_("case {number}: its acts are not all there").format(number=number))
        case: Case | None = None
        try:
            for row in rows:
                case = taken(case, self._act(identity, row), identity=identity)
        except (RuleError, form.FormError) as error:
            raise CaseDamagedError(
                _("case {number}: its acts cannot be read ({error})").format(number=number, error=error)
            ) from error
        if case is None:
            raise CaseDamagedError(_("case {number}: its acts are not all there").format(number=number))
        return Kept(number=number, case=case)

    def _act(self, identity: str, row: Row[Any]) -> Act:
        at = row.at.replace(tzinfo=UTC)
        around = _around(identity, row.act, row.kind, at, row.by, row.unit, row.key)
        return form.act_of(row.kind, at, row.by, row.unit, self._keys.open(row.sealed, around))

    async def lines(
        self, wanted: Wanted, unit: str, *, limit: int, after: int | None = None, soonest: bool = False
    ) -> list[Line]:
        """Those that `unit` may see, the newest first; `after`: the number of the last one of the page before.

        `soonest`: what is to be done first, first; there are no pages of that.
        """
        query = select(cases).where(*self._conditions(wanted)).limit(limit)
        if unit != CENTRE:
            query = query.join(seers, seers.c.case == cases.c.number).where(seers.c.unit == unit)
        if after is not None:
            query = query.where(cases.c.number < after)
        order = (cases.c.next_at.is_(None), cases.c.next_at, cases.c.received_at) if soonest else ()
        async with self._engine.connect() as connection:
            found = (await connection.execute(query.order_by(*order, cases.c.number.desc()))).mappings().all()
        return [self._line(row) for row in found]

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

    def _line(self, row: Mapping[Any, Any]) -> Line:
        values = dict(row)
        kept = self._keys.open(values.pop("sealed"), _around_row(row["id"], row["acts"]))
        try:
            summary = form.Summary.read(kept)
        except form.FormError as error:
            raise CaseDamagedError(
                _("case {number}: its acts cannot be read ({error})").format(number=row["number"], error=error)
            ) from error
        for name, value in values.items():
            if isinstance(value, datetime):
                values[name] = value.replace(tzinfo=UTC)
        kinds: dict[str, Any] = {"state": State, "channel": Channel, "way": Way, "outcome": Outcome}
        values |= {name: made(values[name]) for name, made in kinds.items() if values[name] is not None}
        return Line(**values, inquiry=summary.inquiry, name=summary.name, contact=summary.contact)

    async def any(self) -> bool:
        """Whether there is any."""
        async with self._engine.connect() as connection:
            return await connection.scalar(select(cases.c.number).limit(1)) is not None

    async def caused(self, key: str) -> int | None:
        """The case that has an act of this key."""
        async with self._engine.connect() as connection:
            found: int | None = await connection.scalar(select(acts.c.case).where(acts.c.key == key))
            return found


def _after(case: Case | None, new: Sequence[Act], identity: str = "") -> Case:
    try:
        for act in new:
            case = taken(case, act, identity=identity)
    except RuleError as error:
        raise OrderError(error) from error
    if case is None:
        raise OrderError(RuleError("A-18", "nothing was entered"))
    return case


def _around(
    identity: str, place: int, kind: str, at: datetime, by: str, unit: str, key: str | None
) -> bytes:  # fmt: skip
    """What is bound to an act's sealed text."""
    return json.dumps([identity, place, kind, at.astimezone(UTC).isoformat(), by, unit, key]).encode()


def _around_row(identity: str, count: int) -> bytes:
    return json.dumps([identity, count]).encode()


def _tries() -> Iterable[bool]:
    """Whether it is the last one."""
    return (number == TRIES for number in range(1, TRIES + 1))


def _changed(number: int) -> ChangedError:
    return ChangedError(
        _("case {number}: somebody did something with it meanwhile; look at it again").format(number=number)
    )
