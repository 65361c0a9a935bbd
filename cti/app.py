"""The composition root: the only wall clock, and the one place where objects are built."""

import asyncio
import os
import resource
import signal
import time
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog
from prometheus_client import start_http_server
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine

from cti import control, health, recovery
from cti.ami.client import AmiClient, AmiConfig
from cti.ami.errors import LoginRefusedError
from cti.ami.tls import pinned
from cti.calls.tracker import Tracker
from cti.clock import ClockWatch
from cti.desk import Desk
from cti.doctor import storage
from cti.doctor.want import Want
from cti.errors import KikitoriError, SettingsError
from cti.explain import explain
from cti.hours import HoursBook, known
from cti.i18n import _
from cti.intake import IntakeBook
from cti.journal import Journal
from cti.metrics import Metrics
from cti.notify import Notifier, Watchdog
from cti.pbxconfig import Decided, Site
from cti.pipeline import Pipeline
from cti.places import GATE_SOCKET, SOCKET
from cti.reading import Reading
from cti.records import WitnessError, condense
from cti.routing.direct import Director
from cti.routing.gate import Gate
from cti.settings import Settings
from cti.setup import prepare_spool
from cti.steps import StepTail
from cti.store import TROUBLE, database_answers, engine, migrate
from cti.supervise import SUPERVISED, WATCHDOG
from cti.switch import AmiSwitch
from cti.watch import Watch, by_mail
from cti.witness import CelFile
from policies.calendar import JST
from policies.errors import PolicyError
from policies.load import Policies
from policies.toml import read
from recorder.access.log import AccessLog
from recorder.catalogue import Catalogue
from recorder.decide import Rules
from recorder.memory import end_with_parent, seal_memory
from recorder.priority import stand_back
from recorder.session import Recorder
from recorder.spool import Spool, check_ram
from recorder.vault.errors import VaultError
from recorder.vault.folder import VaultFolder, Writer
from recorder.vault.keys import load_recipient, load_signer

log = structlog.get_logger()

CHECKPOINT_SECONDS = 60
STATEMENT_SECONDS = 600
WATCH_SECONDS = 60
STATEMENT_AFTER = timedelta(hours=4)  # the end of the day: calls over midnight have ended, logrotate is done
STATEMENT_AGAIN = timedelta(hours=6)  # between two attempts for one day

Clock = Callable[[], datetime]


def wall_clock() -> datetime:
    """The time, in UTC. Everything else is handed it."""
    return datetime.now(UTC)  # noqa: TID251  # the one place


def asterisk_site(settings: Settings) -> Site:
    """Addresses, folders and secrets for Asterisk's configuration. Raises SettingsError, PbxConfigError."""
    ours = settings.asterisk
    return Site(
        name=settings.site.pbx,
        gate_host=settings.gate.host,
        gate_port=settings.gate.port,
        gate_socket=str(settings.paths.gate.resolve() / GATE_SOCKET) if ours.gate == "script" else "",
        python=str(ours.python),
        ami_bind=settings.pbx.host,
        ami_port=settings.pbx.port,
        ami_user=settings.pbx.user,
        ami_secret=_secret(settings.pbx.secret_file),
        sip_bind=ours.sip_bind,
        sip_port=ours.sip_port,
        rtp_start=ours.rtp_start,
        rtp_end=ours.rtp_end,
        spool=str(settings.paths.spool.resolve() / "audio"),
        log_dir=str(ours.log_dir),
        run_dir=str(ours.run_dir),
        var_dir=str(ours.var_dir),
        trunk_match=tuple(part.strip() for part in ours.trunk_match.split(",")),
        trunk_contact=ours.trunk_contact,
        phone_secrets={name: str(secret) for name, secret in read(ours.phones_file).values.items()},
    )


def vault_of(settings: Settings) -> VaultFolder:
    """The vault and its mirror."""
    return VaultFolder(settings.paths.vault, settings.paths.mirror)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecorderParts:
    """The recorder, wired."""

    recorder: Recorder
    pipeline: Pipeline
    journal: Journal
    ami: AmiClient


def ami_config(settings: Settings, *, user: str | None = None, secret_file: Path | None = None) -> AmiConfig:
    """How the service and every tool reach the manager interface: with the TLS of the settings, or not at all.

    `user` and `secret_file`: another manager user than the settings'. Raises SettingsError, TlsError.
    """
    pbx = settings.pbx
    return AmiConfig(
        host=pbx.host,
        port=pbx.port,
        username=user or pbx.user,
        secret=_other_secret(secret_file) if secret_file else _secret(pbx.secret_file),
        tls=pinned(pbx.ami_tls_ca) if pbx.ami_tls_ca else None,
    )


def build_ami(settings: Settings, clock: Clock) -> AmiClient:
    """The connection to the manager interface, not yet opened. Raises SettingsError, TlsError."""
    return AmiClient(ami_config(settings), clock)


def build_recorder(settings: Settings, clock: Clock) -> RecorderParts:
    """Needs no database, and no key that opens anything.

    Raises PolicyError, SettingsError, TlsError, KeysError, SpoolError.
    """
    policies = Policies(settings.paths.policies)
    spool_root = settings.paths.spool.resolve()
    check_ram(spool_root, Path("/proc/self/mountinfo").read_text(), Path("/proc/swaps").read_text())
    prepare_spool(spool_root, settings)
    vault = vault_of(settings)
    epoch, recipient = load_recipient(settings.paths.keys)
    writer = Writer(vault, epoch=epoch, recipient=recipient, signer=load_signer(settings.paths.keys / "recorder.key"))
    ami = build_ami(settings, clock)
    journal = Journal(lambda: AccessLog(settings.paths.log / "access.db"), vault, clock)
    policy = policies.recording
    pipeline = Pipeline(
        tracker=Tracker(pbx=settings.site.pbx, plan=policies.plan),
        reading=Reading(
            policies.plan,
            Rules(record_internal=policy.record_internal, follow=policy.after_transfer == "continue"),
        ),
        ami=ami,
        book=journal,
        witness=CelFile(settings.pbx.cel_file),
        now=clock,
    )
    recorder = Recorder(
        spool=Spool(spool_root),
        writer=writer,
        policy=policy,
        switch=AmiSwitch(ami),
        told=journal,
        pbx=settings.site.pbx,
        now=clock,
        resolve=pipeline.resolve,
        history_of=pipeline.told_of,
    )
    pipeline.attach(recorder)
    return RecorderParts(recorder=recorder, pipeline=pipeline, journal=journal, ami=ami)


def _secret(path: Path) -> str:
    try:
        return path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            _("{error}. [pbx] secret_file names the manager user's secret").format(error=explain(error))
        ) from error


def _other_secret(path: Path) -> str:
    try:
        return path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            _("{error}: the manager user's secret cannot be read").format(error=explain(error))
        ) from error


async def run_recorder(settings: Settings, clock: Clock, notifier: Notifier) -> None:
    """The recorder's process, until SIGTERM."""
    parts = build_recorder(settings, clock)
    recorder, pipeline = parts.recorder, parts.pipeline

    async def armed(question: dict[str, Any]) -> dict[str, Any]:
        dialled = str(question["dialled"] or "")
        known = dialled if dialled.isascii() and dialled.isdigit() else None
        return {"armed": await pipeline.armed(str(question["uniqueid"]), known, settings.gate.deadline)}

    async def status(_: dict[str, Any]) -> dict[str, Any]:
        free, size = recorder.spool.free()
        return {
            "pid": os.getpid(),
            "ami": parts.ami.connected,
            "in_step": pipeline.synced.is_set(),
            "calls": len(pipeline.tracker.calls()),
            "recording": sum(work.take.joined and not work.done for work in recorder.works.values()),
            "armed": len(recorder.works),
            "by_dialplan": recorder.by_dialplan,
            "events_waiting": parts.ami.depth,
            "events_delay": round(parts.ami.delay, 3),
            "events_longest_delay": round(parts.ami.longest_delay, 3),
            "events_dropped": parts.ami.dropped,
            "events_tampered": parts.ami.tampered,
            "events_oversized": parts.ami.oversized,
            "spool_free": free,
            "spool_size": size,
            "open": recorder.open_segments(),
            "clock_steps": [{"at": at.isoformat(), "seconds": step} for at, step in watch.steps[-10:]],
            "trouble": recorder.trouble,
        }

    async def damaged(_: dict[str, Any]) -> dict[str, Any]:
        return {"damaged": [str(path) for path in await recorder.damaged()]}

    watch = ClockWatch()

    async def watch_clock() -> None:
        if step := watch.look(clock(), time.monotonic()):
            log.error("the clock was set", seconds=round(step, 3))
            await asyncio.to_thread(parts.journal.append, "clock.set", settings.site.pbx, {"seconds": round(step, 3)})

    condensing = asyncio.Lock()

    async def witness(question: dict[str, Any]) -> dict[str, Any]:
        day, cel = date.fromisoformat(str(question["day"])), settings.pbx.cel_file
        if cel is None:
            return {
                "problem": "[pbx] cel_file is not set in kikitori.toml: where Asterisk writes its own record of calls"
            }
        async with condensing:
            try:
                return await asyncio.to_thread(_condense, settings, cel, day)
            except (WitnessError, PolicyError, OSError) as error:
                return {"problem": str(error)}

    one_at_a_time = asyncio.Lock()

    async def recovering(question: dict[str, Any]) -> dict[str, Any]:
        async with one_at_a_time:
            return await recovery.answer(question, recorder=recorder, told=pipeline.told_of, book=pipeline.book_adopted)

    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(initializer=stand_back))
    beating = asyncio.create_task(notifier.beat())
    await _be_the_only_one(recorder.spool)
    # In a thread: hours of sound may have to be looked at, and whoever watches us must not think that we hang.
    await asyncio.to_thread(recorder.recover)
    answers = {"armed": armed, "status": status, "damaged": damaged, "recover": recovering, "witness": witness}
    server = await control.serve(settings.paths.run / SOCKET, answers)
    await asyncio.to_thread(parts.journal.append, "recorder.started", settings.site.pbx, {})
    async with asyncio.TaskGroup() as group:
        group.create_task(pipeline.catch_up())  # before the recorder asks of what it finds in the spool
        recording = group.create_task(recorder.run())
        listening = group.create_task(_listen(pipeline))
        telling = group.create_task(_tell(parts.journal, recorder.writer, settings))
        copying = group.create_task(_every(1.0, _copying(settings)))
        watching = group.create_task(_every(1.0, watch_clock))
        notifier.send("READY=1")
        await _terminated()
        notifier.send("STOPPING=1")
        server.close()
        for task in (listening, telling, copying, watching, recording):
            task.cancel()
            await asyncio.wait([task])
        await asyncio.to_thread(parts.journal.append, "recorder.stopped", settings.site.pbx, {})
        await asyncio.to_thread(parts.journal.close)
        beating.cancel()


def _condense(settings: Settings, cel: Path, day: date) -> dict[str, Any]:
    # By the policies as they lie there, not as the recorder has read them: it may be that which went wrong.
    policies = Policies(settings.paths.policies)
    rules = policies.recording
    path = condense(
        cel, settings.paths.vault, settings.site.pbx, day, kind=policies.plan.kind, internal_too=rules.record_internal
    )
    return {"file": str(path), "follow": rules.after_transfer == "continue"}


async def _be_the_only_one(spool: Spool) -> None:
    """Two recorders of one spool would both record each call. One that ends in order needs a moment."""
    for _attempt in range(50):
        if spool.lock():
            return
        await asyncio.sleep(0.2)
    raise SettingsError(
        _("{spool} belongs to a recorder that still runs: end it, then start again").format(spool=spool.root)
    )


async def _listen(pipeline: Pipeline) -> None:
    """A refused login ends the listening, not the recorder: what the dialplan starts is still taken in."""
    while True:
        try:
            await pipeline.run()
        except* LoginRefusedError as refusals:
            log.error("ami login refused", error=str(refusals.exceptions[0]))
        await asyncio.sleep(60)


async def _tell(journal: Journal, writer: Writer, settings: Settings) -> None:
    """Once a minute: what the log does not know yet, a checkpoint, and what the second medium missed."""
    signer = load_signer(settings.paths.keys / "log.key")
    while True:
        try:
            await asyncio.to_thread(journal.catch_up)
            if mended := await asyncio.to_thread(writer.mend_mirror):
                log.info("second medium brought up to date", slots=mended)
        except (OSError, VaultError) as error:
            # A medium that is gone must not take the recorder with it.
            log.error("not brought up to date", error=str(error))
        await asyncio.to_thread(journal.checkpoint, settings.paths.mirror / "checkpoints", signer)
        await asyncio.sleep(CHECKPOINT_SECONDS)


def _copying(settings: Settings) -> Callable[[], Awaitable[object]]:
    """What the dialplan did, out of Asterisk's own record."""
    tail = None
    if settings.pbx.cel_file is not None:
        tail = StepTail(settings.pbx.cel_file, settings.paths.vault, settings.site.pbx)

    async def copy() -> None:
        if tail is None:
            return
        try:
            await asyncio.to_thread(tail.copy)
        except Exception:  # whatever it is, it must not end the recorder
            log.exception("what the dialplan did with calls was not copied")

    return copy


def build_gate(settings: Settings, clock: Clock) -> Gate:
    """The gate, which asks the recorder over its socket. It starts whatever the policies say: callers wait for it."""
    recorder = control.Wire(settings.paths.run / SOCKET)

    async def ask(uniqueid: str, dialled: str | None) -> str:
        question = {"ask": "armed", "uniqueid": uniqueid, "dialled": dialled}
        try:
            reply = await recorder.ask(question, deadline)
        except (OSError, TimeoutError, ValueError) as error:
            log.warning("recorder does not answer", error=str(error) or type(error).__name__)
            return "no"
        return str(reply.get("armed", "no"))

    book = HoursBook(settings.paths.policies, settings.paths.hours)
    # The script gives up after half a second, and where the call goes must be told before that.
    deadline = min(settings.gate.deadline + 0.1, 0.35 if settings.asterisk.gate == "script" else 10.0)
    return Gate(ask, Director(book, clock))


async def run_gate(settings: Settings, clock: Clock, notifier: Notifier) -> None:
    """The gate's process, until SIGTERM."""
    gate = build_gate(settings, clock)
    # A socket a caller, and the usual 1,024 are soon taken by connections that stay silent.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    watchdog = asyncio.create_task(Watchdog(WATCHDOG["gate"]).run())
    beating = asyncio.create_task(notifier.beat())
    if settings.asterisk.gate == "script":
        # Its folder, setgid, hands it to Asterisk's group.
        server = await control.serve(settings.paths.gate / GATE_SOCKET, {"route": gate.route})
    else:
        server = await gate.start(settings.gate.host, settings.gate.port)
    notifier.send("READY=1")
    await _terminated()
    notifier.send("STOPPING=1")
    server.close()
    for task in (watchdog, beating):
        task.cancel()


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
    book = HoursBook(settings.paths.policies, settings.paths.hours)

    def due(at: datetime) -> date | None:
        try:
            return book.now(clock()).next_business_day(at)
        except PolicyError as error:
            log.error("no due day: the opening hours are not known", error=str(error))
            return None

    catalogue, intake = Catalogue(database, site), IntakeBook(database, site, due)
    with database_answers(connecting=True):
        await migrate(database)
        await catalogue.adopt()
        await intake.adopt()
    return Desk(
        ask=lambda question, deadline: control.ask(settings.paths.run / SOCKET, question, deadline),
        vault=vault_of(settings),
        keys=settings.paths.keys,
        access=lambda: AccessLog(settings.paths.log / "access.db"),
        checkpoints=settings.paths.mirror / "checkpoints",
        catalogue=catalogue,
        now=clock,
        actor=actor,
        intake=intake,
    )


async def run_desk(settings: Settings, clock: Clock, notifier: Notifier) -> None:
    """The desk's process: keeps the catalogue up to date, until SIGTERM."""
    desk = await build_desk(settings, clock, "desk")

    async def look() -> None:
        await desk.catch_up()
        await desk.intake.alarm()

    async with asyncio.TaskGroup() as group:
        beating = group.create_task(notifier.beat())
        indexing = group.create_task(_every(1.0, look))
        watching = group.create_task(_watching(settings, desk, clock))
        stating = group.create_task(_every(STATEMENT_SECONDS, Stating(desk, clock).look))
        notifier.send("READY=1")
        await _terminated()
        notifier.send("STOPPING=1")
        for task in (beating, indexing, stating, watching):
            task.cancel()
    await desk.close()


def want_of(settings: Settings) -> Want:
    """What this installation expects. Raises PolicyError."""
    return Want.of(settings, Decided.of(*known(settings.paths.policies, settings.paths.hours), wall_clock()))


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


async def _every(seconds: float, what: Callable[[], Awaitable[object]]) -> None:
    while True:
        try:
            await what()
        except (OSError, *TROUBLE) as error:
            log.error("not done", what=what.__qualname__, error=str(error))
        await asyncio.sleep(seconds)


async def _terminated() -> None:
    """Wait for SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    await ended.wait()


def run_role(role: str, settings: Settings) -> None:
    """The process of one role, in the foreground."""
    os.umask(0o007)
    if role != "gate":
        seal_memory(Path("/proc/swaps").read_text())
    if SUPERVISED in os.environ:
        end_with_parent()
    notifier = Notifier(os.environ)
    runs: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
        "recorder": lambda: run_recorder(settings, wall_clock, notifier),
        "gate": lambda: run_gate(settings, wall_clock, notifier),
        "desk": lambda: run_desk(settings, wall_clock, notifier),
    }
    asyncio.run(runs[role]())
