"""The recorder's process: needs no database, and no key that opens anything."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import structlog

from cti import control, recovery
from cti.ami.client import AmiClient
from cti.ami.errors import LoginRefusedError
from cti.app.clock import Clock
from cti.app.process import every, terminated
from cti.app.site import ami_config
from cti.calls.tracker import Tracker
from cti.clock import ClockWatch
from cti.dialling import Dialler, Putter
from cti.errors import SettingsError
from cti.i18n import _
from cti.journal import Journal
from cti.notify import Notifier
from cti.noting import Notices
from cti.pipeline import Pipeline
from cti.places import SOCKET
from cti.reading import Reading
from cti.records import WitnessError, condense
from cti.settings import Settings
from cti.setup import prepare_spool
from cti.steps import StepTail
from cti.switch import AmiSwitch
from cti.witness import CelFile
from policies.errors import PolicyError
from policies.load import Policies
from policies.model import Plan
from recorder.access.log import AccessLog
from recorder.decide import Rules
from recorder.priority import stand_back
from recorder.session import Recorder
from recorder.spool import Spool, check_ram
from recorder.vault.epochs import LISTS, Listed, Told, told_by
from recorder.vault.errors import VaultError
from recorder.vault.folder import VaultFolder, Writer
from recorder.vault.keys import load_signer

log = structlog.get_logger()

CHECKPOINT_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class RecorderParts:
    """The recorder, wired."""

    recorder: Recorder
    pipeline: Pipeline
    journal: Journal
    ami: AmiClient
    listed: Listed
    plan: Plan


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
    vault = VaultFolder(settings.paths.vault, settings.paths.mirror)
    pbx = settings.site.pbx

    def rotated() -> Told | None:
        with AccessLog(settings.paths.log / "access.db") as access:
            return told_by(access.last(object=pbx, action=LISTS))

    listed = Listed(settings.paths.keys, rotated)
    writer = Writer(vault, to=listed.now, signer=load_signer(settings.paths.keys / "recorder.key"))
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
    return RecorderParts(
        recorder=recorder, pipeline=pipeline, journal=journal, ami=ami, listed=listed, plan=policies.plan
    )  # fmt: skip


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
            "epoch": parts.listed.now()[0],
            "trouble": recorder.trouble or parts.listed.trouble,
        }

    dialler = Dialler(parts.ami, parts.plan, settings.paths.vault, settings.site.pbx, clock)
    putter = Putter(parts.ami, pipeline.tracker.calls)
    copy = _copying(settings)
    notices = Notices(copy)
    pipeline.originated = dialler.heard

    async def live(_: dict[str, Any]) -> dict[str, Any]:
        return {"calls": pipeline.live()}

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
    answers = {
        "armed": armed, "status": status, "calls": live, "damaged": damaged, "recover": recovering, "witness": witness,
        "dial": dialler.dial, "put-through": putter.put, "noted": notices.noted, "waiting": notices.waiting,
        "note": notices.note,
    }  # fmt: skip
    server = await control.serve(settings.paths.run / SOCKET, answers)
    await asyncio.to_thread(parts.journal.append, "recorder.started", settings.site.pbx, {})
    async with asyncio.TaskGroup() as group:
        # First: it reads what Asterisk wrote down, before anybody asks of what lies in the spool, or hears of a call.
        listening = group.create_task(_listen(pipeline))
        recording = group.create_task(recorder.run())
        telling = group.create_task(_tell(parts.journal, recorder.writer, settings))
        copying = group.create_task(every(1.0, copy))
        watching = group.create_task(every(1.0, watch_clock))
        notifier.send("READY=1")
        await terminated()
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
    await pipeline.catch_up()
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
    one_at_a_time = asyncio.Lock()

    async def copy() -> None:
        if tail is None:
            return
        try:
            async with one_at_a_time:
                await asyncio.to_thread(tail.copy)
        except Exception:  # whatever it is, it must not end the recorder
            log.exception("what the dialplan did with calls was not copied")

    return copy
