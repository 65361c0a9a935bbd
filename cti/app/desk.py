"""The desk's process, and desks of a command: the catalogue, the accounts, what is watched and stated."""

import asyncio
import contextlib
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

import structlog
from prometheus_client import start_http_server
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine

from cti import control, health
from cti.app.clock import Clock
from cti.app.process import every, terminated
from cti.app.site import want_of
from cti.cases import sealing
from cti.cases.adopting import Adopting
from cti.cases.book import CaseBook, Tell
from cti.cases.desk import NextDay
from cti.cases.ticketing import Noted, Ticketing
from cti.demands import Demands
from cti.desk import Desk
from cti.doctor import storage
from cti.errors import KikitoriError, SettingsError
from cti.explain import explain
from cti.holding import Holding
from cti.hours import HoursBook
from cti.hours import known as known_hours
from cti.i18n import _
from cti.intake import IntakeBook
from cti.metrics import Metrics
from cti.moving import Moving
from cti.notify import Notifier
from cti.noting import POLL
from cti.outward.queue import Outbox
from cti.outward.sending import Sending
from cti.places import KEEPER_SOCKET, SOCKET
from cti.reviewing import Reviewing
from cti.settings import Settings
from cti.store import TROUBLE, database_answers, engine, migrate
from cti.vaultkeys import VaultKeys
from cti.watch import Watch, by_mail
from policies.calendar import JST
from policies.errors import PolicyError
from policies.hours import OpeningHours
from policies.load import Fresh, Policies
from recorder.access.accounts import Accounts
from recorder.access.known import DECIDING, Known, known
from recorder.access.log import AccessLog
from recorder.catalogue import Catalogue
from recorder.vault.folder import VaultFolder, write_new

log = structlog.get_logger()

STATEMENT_SECONDS = 600
WATCH_SECONDS = 60
HOLD_SECONDS = 300
MOVE_SECONDS = 3600
STATEMENT_AFTER = timedelta(hours=4)  # the end of the day: calls over midnight have ended, logrotate is done
STATEMENT_AGAIN = timedelta(hours=6)  # between two attempts for one day


def _database(settings: Settings) -> AsyncEngine:
    url, password = settings.database.url, settings.database.password_file
    if not url:
        return engine(f"sqlite+aiosqlite:///{settings.paths.desk / 'catalogue.db'}")
    try:
        return engine(url, password.read_text("utf-8").strip() if password else None)
    except (OSError, UnicodeDecodeError, ArgumentError) as error:
        raise SettingsError(_("database: {error}").format(error=explain(error))) from error


async def build_desk(settings: Settings, clock: Clock, actor: str) -> Desk:
    """The desk's one service object; `actor` is who asks."""
    database, site = _database(settings), settings.site.pbx
    next_day = next_day_at(settings, clock)
    catalogue, intake = Catalogue(database, site), IntakeBook(database, site, lambda at: next_day(at, "centre"))
    with database_answers(connecting=True):
        await migrate(database)
        await catalogue.adopt()
        await intake.adopt()
    return Desk(
        ask=lambda question, deadline: control.ask(settings.paths.run / SOCKET, question, deadline),
        vault=VaultFolder(settings.paths.vault, settings.paths.mirror),
        keys=settings.paths.keys,
        access=lambda: AccessLog(settings.paths.log / "access.db"),
        checkpoints=settings.paths.mirror / "checkpoints",
        catalogue=catalogue,
        now=clock,
        actor=actor,
        intake=intake,
    )


def teller(desk: Desk) -> Tell:
    """Puts actor, action, object and detail into the access log of `desk`."""

    def tell(actor: str, action: str, about: str, detail: Mapping[str, Any]) -> None:
        desk.log(action, about, detail, actor=actor)

    return tell


def accounts_at(desk: Desk, clock: Clock) -> Accounts:
    """The accounts in the database of `desk`, with its access log."""

    def logged(account: str) -> Known | None:
        return known(desk.logged_of(account, DECIDING))

    return Accounts(desk.catalogue.engine, desk.catalogue.pbx, tell=teller(desk), logged=logged, now=clock)


def book_at(desk: Desk, settings: Settings) -> CaseBook:
    """The cases in the database of `desk`, with its access log."""
    file = settings.paths.keys / sealing.FILE
    return CaseBook(desk.catalogue.engine, lambda: sealing.FieldKeys.read(file), desk.catalogue.pbx, teller(desk))


def sending_at(desk: Desk, settings: Settings, book: CaseBook, clock: Clock) -> Sending:
    """Who tells other systems of the cases of `desk`."""
    policies = Fresh(settings.paths.policies)
    queue = Outbox(desk.catalogue.engine, desk.catalogue.pbx)
    return Sending(queue, book, lambda: policies.now().outward, teller(desk), desk.catalogue.pbx, clock)


def moving_at(desk: Desk, settings: Settings, policies: Fresh) -> Moving:
    """What is due of the recordings of `desk`, and the keeper that does it."""
    socket = settings.paths.run / KEEPER_SOCKET
    return Moving(
        desk, lambda: policies.now().retention, lambda question, deadline: control.ask(socket, question, deadline)
    )  # fmt: skip


def next_day_at(settings: Settings, clock: Clock) -> NextDay:
    """翌営業日, of whichever calendar; None where the opening hours are not known."""
    book = HoursBook(settings.paths.policies, settings.paths.hours)

    def find(at: datetime, calendar: str) -> date | None:
        try:
            return book.now(clock()).next_business_day(at, calendar)
        except PolicyError as error:
            log.error("no due day: the opening hours are not known", error=str(error))
            return None

    return find


def keys_at(desk: Desk, settings: Settings, clock: Clock) -> VaultKeys:
    """The keys of the vault of `desk`."""
    serve = timedelta(days=settings.upkeep.epoch_days)
    return VaultKeys(desk, accounts_at(desk, clock).grants, settings.paths.mirror / "escrow", serve)


def reviewing_at(desk: Desk, settings: Settings) -> Reviewing:
    """The access log of `desk`, to be looked through."""

    def hours() -> OpeningHours:
        policies, overrides = known_hours(settings.paths.policies, settings.paths.hours)
        return policies.opening_hours(overrides)

    return Reviewing(desk, lambda: Policies(settings.paths.policies).review, hours)


async def run_desk(settings: Settings, clock: Clock, notifier: Notifier) -> None:
    """The desk's process: keeps the catalogue up to date, answers over HTTP, watches and states; until SIGTERM."""
    from cti.app.api import run_api  # a command that builds a desk does not need it

    desk = await build_desk(settings, clock, "desk")

    desk.kept_up = True
    book = book_at(desk, settings)
    await _key_of_cases(settings, book)
    adopting = Adopting(desk.intake, book, desk.keep, clock)
    sending = sending_at(desk, settings, book, clock)
    policies = Fresh(settings.paths.policies)
    demands = Demands(book, Holding(desk, lambda: policies.now().retention))
    moving = moving_at(desk, settings, policies)
    ticketing = Ticketing(
        desk.intake, book, policies.now, clock, next_day_at(settings, clock), _noted(desk)
    )  # fmt: skip

    async def look() -> None:
        await desk.catch_up()
        await desk.intake.alarm()

    async def cases() -> None:
        await adopting.look()
        await ticketing.look()

    async with asyncio.TaskGroup() as group:
        beating = group.create_task(notifier.beat())
        indexing = group.create_task(every(1.0, look, (OSError, *TROUBLE)))
        entering = group.create_task(every(1.0, cases, (OSError, *TROUBLE)))
        noting = group.create_task(_noting(desk, ticketing))
        holding = group.create_task(every(HOLD_SECONDS, demands.look, (OSError, *TROUBLE)))
        outward = group.create_task(every(1.0, sending.look, (OSError, *TROUBLE, PolicyError)))
        keeping = group.create_task(every(MOVE_SECONDS, moving.look, (OSError, *TROUBLE, PolicyError)))
        watching = group.create_task(_watching(settings, desk, clock))
        asked = group.create_task(run_api(settings, desk, clock, book, demands, moving))
        stating = group.create_task(every(STATEMENT_SECONDS, Stating(desk, clock).look, (OSError, *TROUBLE)))
        notifier.send("READY=1")
        await terminated()
        notifier.send("STOPPING=1")
        for task in (beating, indexing, entering, noting, holding, outward, keeping, stating, watching, asked):
            task.cancel()
        await sending.close()
        await moving.close()
    await desk.close()


def _noted(desk: Desk) -> Noted:
    async def noted(uniqueid: str, section: str, case: int) -> None:
        with contextlib.suppress(OSError, TimeoutError):  # then the caller waits a little for nothing
            await desk.ask({"ask": "note", "uniqueid": uniqueid, "section": section, "case": case})

    return noted


async def _noting(desk: Desk, ticketing: Ticketing) -> None:
    """At once what a caller waits for who is put through: their 所管課 is told before it rings (E-13)."""
    while True:
        try:
            waiting = (await desk.ask({"ask": "waiting"}, POLL + 5))["waiting"]
            if waiting:
                await desk.read_steps()
                await ticketing.look()
        except (OSError, TimeoutError, ValueError, KeyError, *TROUBLE):
            await asyncio.sleep(1)  # the recorder or the database is away, or another version; `status` says so


async def _key_of_cases(settings: Settings, book: CaseBook) -> None:
    """The key and its copy on the second medium, each made of the other where it is lost; both where there is no case.

    Nothing is entered by another key than that of the cases that are there: `book` says so at each try.
    """
    key, copy = (folder / sealing.FILE for folder in (settings.paths.keys, settings.paths.mirror / "escrow"))
    try:
        known = {file: file.read_bytes() for file in (key, copy) if file.exists()}
        if not known and not await book.any():
            known = {copy: sealing.generate()}
            write_new(copy, known[copy], 0o400)  # first: what is sealed by a key has a copy of it
        for file, other in ((key, copy), (copy, key)):
            if file not in known and other in known:
                write_new(file, known[other], 0o400)
        if len(set(known.values())) > 1:
            log.error("the key of the cases and its copy differ", key=str(key), copy=str(copy))
        await book.check_key()
    except (OSError, KikitoriError) as error:
        log.error("the key of the cases is not as it should be", error=explain(error))


async def _watching(settings: Settings, desk: Desk, clock: Clock) -> None:
    """Once a minute."""
    metrics = Metrics()
    if settings.metrics.port:
        try:
            start_http_server(settings.metrics.port, settings.metrics.host, metrics.registry)
        except OSError as error:
            log.error("no metrics", error=str(error), host=settings.metrics.host, port=settings.metrics.port)
    watch = Watch(
        look=lambda stock: health.look(settings, desk, clock(), stock),
        stock=lambda: storage.stock(settings, clock()),
        want=lambda: want_of(settings),
        metrics=metrics,
        send=by_mail(settings.mail, clock),
        now=clock,
    )
    while True:
        await asyncio.sleep(WATCH_SECONDS)
        await watch.round()


class Stating:
    """The statements of the days before, once Asterisk and the vault have everything of them."""

    def __init__(self, desk: Desk, now: Clock) -> None:
        """`look` as often as you like."""
        self._desk, self._now = desk, now
        self._tried: dict[date, datetime] = {}

    async def look(self) -> None:
        """State what is not stated, of the last week; and again where something went on."""
        now = self._now()
        today = (now - STATEMENT_AFTER).astimezone(JST).date()
        for day in (today - timedelta(days=ago) for ago in range(1, 8)):
            if now - self._tried.get(day, now - STATEMENT_AGAIN) >= STATEMENT_AGAIN:
                self._tried[day] = now
                await self._state(day)

    async def _state(self, day: date) -> None:
        try:
            before = self._desk.stated(day)
            if before and not self._desk.read_statement(before[-1])["going_on"]:
                return
            path, exceptions = await self._desk.state_completeness(day)
        except KikitoriError as error:
            log.error("no statement of completeness", day=day.isoformat(), error=str(error))  # a sentence
            return
        except Exception:  # whatever it is, it must not end the desk
            log.exception("no statement of completeness", day=day.isoformat())
            return
        say = log.error if exceptions else log.info
        say("completeness stated", file=str(path), exceptions=exceptions)
