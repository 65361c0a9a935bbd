"""The case store (A-03): every question of every channel in one database, whatever was done with it added to it.

An act is one row, never changed; a case's row is the sum of its acts, for lists. Both are written in one transaction,
in which the access log is told before it ends: what is not in the log was not done.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any, Final, TypeVar
from uuid import NAMESPACE_URL, uuid4, uuid5

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from cti.cases import form, joining
from cti.cases.acts import Act, Reach, State
from cti.cases.case import Case, RuleError
from cti.cases.contact import Contact
from cti.cases.lists import Kept
from cti.cases.looking import Looking, around, around_row
from cti.cases.model import taken
from cti.cases.sealing import FieldKeys, digest
from cti.cases.searching import index
from cti.cases.seeing import concerned
from cti.cases.tables import acts, cases, outbox, seers, tickets
from cti.cases.words import grams
from cti.errors import KikitoriError
from cti.explain import localise
from cti.i18n import _
from cti.store import to_its_end
from recorder.catalogue import plain

TRIES: Final = 30
"""How often an act is tried that others of the same case overtake."""

Tell = Callable[[str, str, str, Mapping[str, Any]], object]
"""Actor, action, object and detail into the access log, durable when it returns."""
T = TypeVar("T")
_Telling = Callable[[str, str, Mapping[str, Any]], Awaitable[None]]


class _OvertakenError(Exception):
    """Somebody did something with one of the cases meanwhile."""


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


class CaseBook(Looking):
    """The cases of a database, and what is done with them."""

    def __init__(self, engine: AsyncEngine, keys: Callable[[], FieldKeys], site: str, tell: Tell) -> None:
        """As `Looking`. `site`: whose access log `tell` writes."""
        super().__init__(engine, keys)
        self._site, self._tell = site, tell
        # SQLite has one writer, who waits for the access log: others of this process need not wait in the database.
        self._writing = asyncio.Lock()

    async def enter(self, new: Sequence[Act], *, identity: str | None = None, key: str | None = None) -> Kept:
        """A case that begins with `new`, of which the first is Register. `key`: what caused it; it is entered once.

        Raises OrderError, LogUnavailableError, SettingsError, DatabaseError.
        """
        name = identity or str(uuid4())
        made = done_with(None, new, name)

        async def once() -> Kept:
            if key is not None and (known := await self.caused(key)) is not None:
                return replace(await self.get(known), known=True)
            async with self._told(new[0].by, (made, 0)) as (connection, tell):
                row = insert(cases).values(**self._row(made, len(new)), id=name)
                number = int((await connection.execute(row)).inserted_primary_key[0])  # type: ignore[index]
                await self._write(connection, number, made, new, before=0, key=key, tell=tell)
            return Kept(number=number, case=made)

        return await self._until_done(once, name[:8])

    async def add(
        self,
        number: int,
        new: Sequence[Act],
        *,
        seen: int | None = None,
        key: str | None = None,
        may: Callable[[Case], None] = lambda _case: None,
    ) -> Kept:
        """Do `new` with a case. `seen`: how many acts whoever does it has seen; `key` as in `enter`.

        `may` raises where they must not, as the case is then. Raises OrderError, ChangedError, CaseDamagedError,
        LogUnavailableError, DatabaseError.
        """

        async def once() -> Kept:
            before = await self.get(number)
            may(before.case)
            if key is not None and await self.caused(key) is not None:
                return before
            count = len(before.case.history)
            if seen is not None and seen != count:
                raise _changed(str(number))
            # Another's act may have a later time, by a few milliseconds or another host's clock: the order counts.
            later = [replace(act, at=max(act.at, before.case.last_at)) for act in new]
            after = done_with(before.case, later)
            async with self._told(new[0].by, (after, count)) as (connection, tell):
                await self._replace(connection, number, after, before=count)
                await self._write(connection, number, after, later, before=count, key=key, tell=tell)
            return Kept(number=number, case=after)

        return await self._until_done(once, str(number))

    async def join(
        self, number: int, into: int, by: Mapping[str, Any], *, seen: Sequence[int | None] = (None, None),
        may: Callable[[Case], None] = lambda _case: None, dry_run: bool = False,
    ) -> tuple[Kept, Kept]:  # fmt: skip
        """End case `number` as a duplicate of `into`: both, or neither. `by`: who, when and for which unit.

        `seen`, `may` as in `add`, of both. `dry_run`: how they would be. Raises as `add` does.
        """

        async def once() -> tuple[Kept, Kept]:
            before = [await self.get(number), await self.get(into)]
            for kept, known in zip(before, seen, strict=True):
                may(kept.case)
                if known is not None and known != len(kept.case.history):
                    raise _changed(str(kept.number))
            gone, come = (kept.case for kept in before)
            at = max(by["at"], gone.last_at, come.last_at)
            try:
                acts_of = joining.acts(gone, number, come, into, {**by, "at": at})
            except RuleError as error:
                raise OrderError(error) from error
            after = [done_with(kept.case, [act]) for kept, act in zip(before, acts_of, strict=True)]
            if not dry_run:
                # In one order, whichever is the duplicate: two who join them never wait for each other.
                done = sorted(zip(before, after, acts_of, strict=True), key=lambda one: one[0].number)
                changed = [(case, len(kept.case.history)) for kept, case, _act in done]
                async with self._told(by["by"], *changed) as (connection, tell):
                    for kept, case, _act in done:
                        await self._replace(connection, kept.number, case, before=len(kept.case.history))
                    for kept, case, act in done:
                        count = len(kept.case.history)
                        await self._write(connection, kept.number, case, [act], before=count, key=None, tell=tell)
            return Kept(number=number, case=after[0]), Kept(number=into, case=after[1])

        return await self._until_done(once, str(number))

    async def _replace(self, connection: AsyncConnection, number: int, after: Case, *, before: int) -> None:
        """The row of a case, which had so many acts. Raises _OvertakenError where it has others now."""
        row = update(cases).where(cases.c.number == number, cases.c.acts == before)
        changed = await connection.execute(row.values(**self._row(after, len(after.history))))
        if changed.rowcount != 1:
            raise _OvertakenError

    async def _until_done(self, once: Callable[[], Awaitable[T]], name: str) -> T:
        """Try again what others overtake. What has begun is done to its end, whoever goes away meanwhile."""

        async def work() -> T:
            await self.check_key()
            for place in range(TRIES):
                with suppress(IntegrityError, _OvertakenError):
                    async with self._writing:
                        return await once()
                await asyncio.sleep(random.uniform(0, 0.02 * place))  # noqa: S311  # so that two do not meet again
            raise _changed(name)

        # Told to the log and not done, or done and told to have failed, is what must not be.
        return await to_its_end(work())

    @asynccontextmanager
    async def _told(self, by: str, *made: tuple[Case, int]) -> AsyncIterator[tuple[AsyncConnection, _Telling]]:
        """A transaction; where it fails after the log was told of it, the log is told that, too.

        `made`: the cases after it, each with how many acts it had before.
        """
        told: list[tuple[str, Mapping[str, Any]]] = []

        async def tell(about: str, action: str, detail: Mapping[str, Any]) -> None:
            await asyncio.to_thread(self._tell, by, action, about, detail)
            told.append((about, detail))

        try:
            async with self._engine.begin() as connection:
                yield connection, tell
        except Exception:
            for about, detail in told if told and not await self._are_there(*made[0]) else ():
                await asyncio.to_thread(self._tell, by, "case.failed", about, detail)
            raise

    async def _are_there(self, case: Case, before: int) -> bool:
        """Whether acts behind the first so many are kept: of a commit of which no answer came."""
        query = select(acts.c.id).join(cases, cases.c.number == acts.c.case)
        query = query.where(cases.c.id == case.id, acts.c.act > before, acts.c.at == plain(case.last_at)).limit(1)
        async with self._engine.connect() as connection:
            return await connection.scalar(query) is not None

    async def _write(
        self, connection: AsyncConnection, number: int, after: Case, new: Sequence[Act], *, before: int,
        key: str | None, tell: _Telling,
    ) -> None:  # fmt: skip
        rows, said = [], []
        for place, act in enumerate(new, start=before + 1):
            cause = key if place == before + 1 else None
            bound = around(after.id, place, form.kind(act), act.at, act.by, act.unit, cause)
            sealed = self._keys.seal(form.private(act), bound)
            rows.append({
                "case": number, "act": place, "kind": form.kind(act), "at": plain(act.at), "by": act.by,
                "unit": act.unit, "site": self._site, "key": cause, "tag": self._tag(act), "sealed": sealed,
            })  # fmt: skip
            said.append({"act": place, "kind": form.kind(act), "sha256": digest(sealed)})
        made = insert(acts).returning(acts.c.id, sort_by_parameter_order=True)
        ids = list(await connection.scalars(made, rows))
        found = [(identity, self._words(grams(form.texts(act)))) for identity, act in zip(ids, new, strict=True)]
        await index(connection, [(identity, words) for identity, words in found if words])
        await connection.execute(delete(tickets).where(tickets.c.case == number))
        if after.tickets:
            await connection.execute(insert(tickets), [*_tickets(number, after)])
        await connection.execute(delete(seers).where(seers.c.case == number))
        await connection.execute(insert(seers), [*_seers(number, after)])
        await connection.execute(delete(outbox).where(outbox.c.case == number))
        await connection.execute(
            insert(outbox).values(case=number, acts=before + len(new), site=self._site)
        )  # fmt: skip
        detail = {"number": number, "unit": new[0].unit, "acts": said}
        await tell(after.id, "case.changed" if before else "case.entered", detail)

    def _tag(self, act: Act) -> str | None:
        if isinstance(act, Reach) and isinstance(act.contact, Contact):
            return self._keys.tag(act.contact.e164)
        return None

    def _row(self, case: Case, count: int) -> dict[str, Any]:
        row: dict[str, Any] = {
            "acts": count, "state": case.state, "channel": case.channel, "received_by": case.received_by,
            "received_at": plain(case.received_at), "entered_by": case.entered_by, "entered_at": plain(case.entered_at),
            "owner": case.owner, "main": case.main, "category": case.category, "conversation": case.conversation,
            "way": case.hand_over.way if case.hand_over else None, "promised": plain(case.promised),
            "next_at": plain(case.next_at), "accepted_at": plain(case.accepted_at),
            "replied_at": plain(case.reply.at if case.reply else None),
            "outcome": case.result.outcome if case.result else None, "closed_at": plain(case.closed_at),
            "reopened": case.reopened, "last_at": plain(case.last_at),
        }  # fmt: skip
        return row | {
            "sealed": self._keys.seal(form.Summary.of(case, concerned(case)).kept(), around_row(case.id, row))
        }


def _tickets(number: int, case: Case) -> Iterator[dict[str, Any]]:
    for place, one in enumerate(case.tickets, start=1):
        ours = one.leg.replace("-", "", 1).isdigit()  # an act's place is its own case's
        whose = case.id if ours else one.conversation or case.id
        name = f"kikitori:ticket/{whose}/{one.kind}/{one.leg}"
        yield {
            "id": str(uuid5(NAMESPACE_URL, name)), "case": number, "place": place, "kind": one.kind, "leg": one.leg,
            "conversation": one.conversation, "unit": one.unit, "at": plain(one.at), "due": plain(one.due),
            "done_at": plain(one.done_at), "outcome": one.outcome, "tries": one.tries,
            "tried_at": plain(one.tried_at), "again": plain(one.again), "next_at": plain(one.next_at or one.at),
        }  # fmt: skip


def _seers(number: int, case: Case) -> Iterator[dict[str, Any]]:
    waits = case.state is not State.CLOSED or any(one.outcome is None for one in case.tickets)
    for unit in sorted(concerned(case)):
        yield {"unit": unit, "case": number, "waits": waits, "next_at": plain(case.next_at)}


def done_with(case: Case | None, new: Sequence[Act], identity: str = "") -> Case:
    """The case when all of `new` is done with it. Raises OrderError."""
    try:
        for act in new:
            case = taken(case, act, identity=identity)
    except RuleError as error:
        raise OrderError(error) from error
    if case is None:
        raise OrderError(RuleError("A-18", "nothing was entered"))
    return case


def _changed(name: str) -> ChangedError:
    return ChangedError(
        _("case {number}: somebody did something with it meanwhile; look at it again").format(number=name)
    )
