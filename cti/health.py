"""How the installation is, once a minute: what the desk watches, `kikitori status` shows, and alarms are made of.

What the doctor judges too is judged by the doctor's own words (cti.doctor); what only time shows is judged here.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

from cti import moving
from cti.cases.looking import known, late, unreached
from cti.desk import Desk
from cti.doctor import host, keeping, kernel, running, service, storage
from cti.doctor.finding import Finding, error, house_titles, unmade, warning, well
from cti.doctor.finding import titles as pbx_titles
from cti.doctor.machine import ClockSeen, DiskSeen, KeysSeen, StockSeen
from cti.doctor.seen import GateSeen, Unseen
from cti.doctor.want import Want
from cti.errors import KikitoriError
from cti.explain import explain
from cti.i18n import _, ngettext
from cti.outward.queue import stuck
from cti.reviewing import Reviewing
from cti.settings import Settings
from cti.store import TROUBLE
from policies.calendar import JST
from policies.errors import PolicyError
from policies.load import Policies
from recorder.vault.errors import VaultError
from recorder.vault.folder import OUTBOXES

LATE: Final = 2.0  # seconds that an event may be late: the gate decides in half of one, and a call is armed by events
MANY: Final = 10_000  # events that wait: a tenth of what the queue takes before it drops any
UNTOLD: Final = 50  # segments that catalogue or log do not know yet; they are told within a second or two
STATED_BY: Final = timedelta(hours=7)  # of the next day: statements are made at about 04:00
PATIENCE: Final = 20.0  # seconds for an answer of the database
SETTLED: Final = timedelta(
    days=2
)  # after the installation there should be calls; before, nobody may have led them here
DAYS: Final = 7  # for so many days back statements are made, and missed


@dataclass(frozen=True, slots=True)
class Unreached:
    """So many customers were called `tries` times and not met; whom the policy names for that."""

    count: int
    tries: int
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthSeen:
    """What was seen. `statements`: exceptions of each day's latest, None where there is none, of days that need one.

    `untold`: segments that wait to be told, by outbox. `overdue`: callers who wait longer than they were promised.
    `untaken`: cases that a destination of outward.toml does not take. `unmoved`, `stopped`: recordings that should be
    on the second medium, and those whose period is over and that are held. `gate` None: it is asked by a script, over a
    socket that is Asterisk's alone.
    """

    recorder: Mapping[str, Any] | Unseen
    gate: GateSeen | Unseen | None
    clock: ClockSeen | Unseen
    vault: DiskSeen | Unseen
    mirror: DiskSeen | Unseen
    stock: StockSeen | Unseen
    keys: KeysSeen
    untold: Mapping[str, int] | Unseen
    statements: Mapping[date, int | None] | Unseen
    overdue: int | Unseen
    unreviewed: tuple[str, ...] | Unseen
    untaken: int | Unseen
    unreached: Unreached | Unseen
    unmoved: int | Unseen
    stopped: int | Unseen


async def look(settings: Settings, desk: Desk | None, now: datetime, stock: StockSeen | Unseen) -> HealthSeen:
    """Everything there is to see. `stock` reads every name in the vault: whoever looks often keeps it for a while.

    `desk` None: there is no database to ask.
    """
    nobody = Unseen(_("there is no database to ask"))
    disks = await asyncio.to_thread(lambda: storage.disks(settings, kernel.mounts()))
    unmoved, stopped = await _kept(settings, desk, now) if desk else (nobody, nobody)
    return HealthSeen(
        recorder=await host.recorder(settings),
        gate=await host.gate(settings) if settings.asterisk.gate == "fastagi" else None,
        clock=kernel.clock(),
        vault=disks["vault"],
        mirror=disks["mirror"],
        stock=stock,
        keys=await asyncio.to_thread(storage.keys, settings),
        untold=await asyncio.to_thread(_untold, settings),
        statements=await _statements(desk, now) if desk else nobody,
        overdue=await _overdue(desk, now) if desk else nobody,
        untaken=await _untaken(settings, desk, now) if desk else nobody,
        unreached=await _unreached(settings, desk) if desk else nobody,
        unreviewed=await asyncio.to_thread(_unreviewed, settings, desk) if desk else nobody,
        unmoved=unmoved,
        stopped=stopped,
    )


def _untold(settings: Settings) -> dict[str, int] | Unseen:
    try:
        return {name: len(list((settings.paths.vault / "outbox" / name).iterdir())) for name in OUTBOXES}
    except OSError as problem:
        return host.denied(problem)


async def _statements(desk: Desk, now: datetime) -> dict[date, int | None] | Unseen:
    last = (now - STATED_BY).astimezone(JST).date() - timedelta(days=1)
    try:
        async with asyncio.timeout(PATIENCE):
            first = await desk.catalogue.first_begin()
        # A recorder that never records has to be noticed, too: not by what it recorded.
        known = [at for at in (first, await asyncio.to_thread(desk.installed, SETTLED)) if at is not None]
        begun = min(known).astimezone(JST).date() if known else date.max
        days = [day for ago in range(DAYS) if (day := last - timedelta(days=ago)) >= begun]
        return {day: await asyncio.to_thread(_exceptions, desk, day) for day in days}
    except TimeoutError:
        return Unseen(_("no answer in time"))
    except (OSError, KikitoriError, VaultError, *TROUBLE) as problem:
        return Unseen(explain(problem))


def _exceptions(desk: Desk, day: date) -> int | None:
    """None where that day has no statement that can be believed: what is wrong with one, `verify` says."""
    stated = desk.stated(day)
    try:
        return len(desk.read_statement(stated[-1])["exceptions"]) if stated else None
    except (KikitoriError, UnicodeDecodeError):
        return None


async def _overdue(desk: Desk, now: datetime) -> int | Unseen:
    today = now.astimezone(JST).date()
    try:
        async with asyncio.timeout(PATIENCE):
            waiting = {row.id for row in await desk.intake.rows() if row.overdue(today)}
            # An intake that is a case by now is overdue by the tickets of that.
            return await late(desk.catalogue.engine, now) + len(waiting - await known(desk.catalogue.engine, waiting))
    except TimeoutError:
        return Unseen(_("no answer in time"))
    except (OSError, *TROUBLE) as problem:
        return Unseen(explain(problem))


async def _unreached(settings: Settings, desk: Desk) -> Unreached | Unseen:
    try:
        policy = Policies(settings.paths.policies).sections.callbacks
        async with asyncio.timeout(PATIENCE):
            count = await unreached(desk.catalogue.engine, policy.escalate_after)
            return Unreached(count, policy.escalate_after, policy.escalate_to)
    except TimeoutError:
        return Unseen(_("no answer in time"))
    except (OSError, PolicyError, *TROUBLE) as problem:
        return Unseen(explain(problem))


async def _untaken(settings: Settings, desk: Desk, now: datetime) -> int | Unseen:
    try:
        named = Policies(settings.paths.policies).outward.destination
        async with asyncio.timeout(PATIENCE):
            return await stuck(desk.catalogue.engine, desk.catalogue.pbx, named, now)
    except TimeoutError:
        return Unseen(_("no answer in time"))
    except (OSError, PolicyError, *TROUBLE) as problem:
        return Unseen(explain(problem))


async def _kept(settings: Settings, desk: Desk, now: datetime) -> tuple[int, int] | tuple[Unseen, Unseen]:
    try:
        policy = Policies(settings.paths.policies).retention
        async with asyncio.timeout(PATIENCE):
            return await moving.late(desk, policy, now)
    except TimeoutError:
        unseen = Unseen(_("no answer in time"))
    except (OSError, PolicyError, *TROUBLE) as problem:
        unseen = Unseen(explain(problem))
    return unseen, unseen


def _unreviewed(settings: Settings, desk: Desk) -> tuple[str, ...] | Unseen:
    policies = Policies(settings.paths.policies)
    try:
        late = Reviewing(desk, lambda: policies.review, policies.opening_hours).missing()
    except (KikitoriError, PolicyError) as problem:
        return Unseen(explain(problem))
    return tuple(map(str, late))


def judge(seen: HealthSeen, want: Want, now: datetime) -> list[Finding]:
    """What is well and what is not, the most urgent kind of thing first."""
    findings = [service.recorder(seen.recorder)]
    if not isinstance(seen.recorder, Unseen):
        # By its own word: whoever watches may not look into the spool.
        room = service.room(seen.recorder["spool_free"], seen.recorder["spool_size"], want)
        findings += [_events(seen.recorder), _dialplan(seen.recorder), room]
    if seen.gate is not None:
        findings.append(service.gate(seen.gate, want))
    findings += [
        keeping.days(seen.vault, seen.stock, want),
        keeping.second_days(seen.mirror, seen.stock, want),
        running.time(seen.clock, want),
        keeping.keys(seen.keys, want, now),
        keeping.sealed(seen.keys.sealed),
        keeping.certificate(seen.keys, want, now),
        keeping.api_certificate(seen.keys, want, now),
        _database(seen.overdue),
        _told(seen.untold),
        _stated(seen.statements),
        _agreed(seen.statements),
        _promised(seen.overdue),
        _met(seen.unreached),
        _taken(seen.untaken),
        _reviewed(seen.unreviewed),
        _moved(seen.unmoved),
        _held(seen.stopped),
    ]
    return findings


def _events(seen: Mapping[str, Any]) -> Finding:
    delay, waiting = seen["events_delay"], seen["events_waiting"]
    found = _("{count} events wait, the last one was {late} s late").format(count=waiting, late=round(delay, 1))
    why = _("Recordings that are begun late are begun by the dialplan; what the queue does not take is lost.")
    remedy = _("look what takes the processor (top); docs/operations.ja.md, chapter 3")
    if waiting >= MANY:
        return error("events", found, why, remedy)
    return warning("events", found, why, remedy) if delay > LATE and waiting else well("events", found)


def _dialplan(seen: Mapping[str, Any]) -> Finding:
    count = seen["by_dialplan"]
    found = ngettext(
        "the dialplan began {count} recording of the last hour",
        "the dialplan began {count} recordings of the last hour",
        count,
    ).format(count=count)
    why = _(
        "Recorder or gate were away, or did not answer in time. Nothing is lost by it; the next fault may find nobody."
    )
    remedy = _("`kikitori asterisk doctor`; then the log lines of recorder and gate at that time")
    return warning("dialplan", found, why, remedy) if count else well("dialplan", found)


def _database(seen: int | Unseen) -> Finding:
    remedy = _("start the database; `kikitori config show` says which it is")
    if isinstance(seen, Unseen):
        why = _("Recording goes on without it. Nothing is found, stated or reminded of until it answers.")
        return error("database", seen.why, why, remedy)
    return well("database", _("answers"))


def _told(seen: Mapping[str, int] | Unseen) -> Finding:
    remedy = _("look at the desk's and the recorder's log lines; catalogue and access log are behind until then")
    if isinstance(seen, Unseen):
        return unmade("untold", seen, _("run this command as root"))
    count = max(seen.values(), default=0)
    found = ngettext("{count} segment waits to be told", "{count} segments wait to be told", count).format(count=count)
    why = _("What the catalogue does not know is not found; what the access log does not know is not proved.")
    return warning("untold", found, why, remedy) if count > UNTOLD else well("untold", found)


def _stated(seen: Mapping[date, int | None] | Unseen) -> Finding:
    remedy = _("`kikitori completeness statement --day DAY` says what it lacks")
    if isinstance(seen, Unseen):
        return unmade("statement", seen, remedy)
    if missing := sorted(day.isoformat() for day, exceptions in seen.items() if exceptions is None):
        found = _("no statement of {days}").format(days=", ".join(missing))
        return error("statement", found, _("Nobody can prove that every call of that day was recorded."), remedy)
    return well("statement", _("{count} days stated").format(count=len(seen)))


def _agreed(seen: Mapping[date, int | None] | Unseen) -> Finding:
    remedy = _("`kikitori completeness check --day DAY` names each")
    if isinstance(seen, Unseen):
        return unmade("completeness", seen, remedy)
    wrong = {day: count for day, count in seen.items() if count}
    if wrong:
        told = _("{day}: {count}")
        found = ", ".join(told.format(day=day.isoformat(), count=count) for day, count in sorted(wrong.items()))
        why = _("Asterisk's own records and the recordings do not agree.")
        return error("completeness", found, why, remedy)
    return well("completeness", _("no exception in {count} days").format(count=len(seen)))


def _promised(seen: int | Unseen) -> Finding:
    remedy = _("`kikitori ticket list --late` and `kikitori intake list` show who waits: call them, and enter it")
    if isinstance(seen, Unseen):
        return unmade("overdue", seen, remedy)
    found = ngettext("{count} caller waits", "{count} callers wait", seen).format(count=seen)
    why = _("They were promised to be called, and nobody did in time.")
    return warning("overdue", found, why, remedy) if seen else well("overdue", _("nobody waits in vain"))


def _met(seen: Unreached | Unseen) -> Finding:
    remedy = _("`kikitori callback list` shows them; write to them, or call at another hour")
    if isinstance(seen, Unseen):
        return unmade("unreached", seen, remedy)
    if not seen.count:
        return well("unreached", _("nobody was called in vain {tries} times").format(tries=seen.tries))
    found = ngettext(
        "{count} customer was called {tries} times and not reached",
        "{count} customers were called {tries} times and not reached", seen.count,
    ).format(count=seen.count, tries=seen.tries)  # fmt: skip
    names = ", ".join(seen.names) or "-"
    return warning("unreached", found, _("To be told of it: {names}.").format(names=names), remedy)


def _taken(seen: int | Unseen) -> Finding:
    remedy = _("`kikitori outward list` says why; once that is mended, `kikitori outward replay DESTINATION`")
    if isinstance(seen, Unseen):
        return unmade("outward", seen, remedy)
    found = ngettext(
        "another system has not taken {count} case for an hour or more",
        "other systems have not taken {count} cases for an hour or more",
        seen,
    ).format(count=seen)  # fmt: skip
    why = _("Whoever works there does not see what was promised.")
    return warning("outward", found, why, remedy) if seen else well("outward", _("no case waits in vain to be told"))


def _reviewed(seen: tuple[str, ...] | Unseen) -> Finding:
    remedy = _("`kikitori audit review --sign`, month by month, by 課長")
    if isinstance(seen, Unseen):
        return unmade("review", seen, remedy)
    if seen:
        found = _("nobody has looked through the log of {months}").format(months=", ".join(seen))
        return warning("review", found, _("Who listens without a reason is noticed by that alone (9条2)."), remedy)
    return well("review", _("every month that is due was looked through"))


def _moved(seen: int | Unseen) -> Finding:
    remedy = _("`kikitori retention run` says what is wrong; docs/operations.ja.md, chapter 5")
    if isinstance(seen, Unseen):
        return unmade("moved", seen, remedy)
    found = ngettext(
        "{count} recording should be on the second medium", "{count} recordings should be on the second medium", seen
    ).format(count=seen)
    why = _("The first medium keeps for six months (6条1), and fills up.")
    return error("moved", found, why, remedy) if seen else well("moved", _("whatever was due has moved"))


def _held(seen: int | Unseen) -> Finding:
    remedy = _("`kikitori retention plan` names them: save them to an external medium, or release them")
    if isinstance(seen, Unseen):
        return unmade("held", seen, remedy)
    found = ngettext(
        "the period of {count} recording is over, and it is held",
        "the period of {count} recordings is over, and they are held", seen,
    ).format(count=seen)  # fmt: skip
    why = _("They are not erased until that is done (6条1ただし書).")
    return warning("held", found, why, remedy) if seen else well("held", _("no hold stops an erasure"))


def titles() -> dict[str, str]:
    """What each check is called: the doctor's, and those that only time shows."""
    return (
        house_titles()
        | pbx_titles()
        | {
            "events": _("events of the PBX"),
            "dialplan": _("begun by the dialplan"),
            "database": _("database"),
            "watch": _("the watch itself"),
            "untold": _("catalogue and access log"),
            "statement": _("statements of completeness"),
            "completeness": _("completeness"),
            "overdue": _("promises to callers"),
            "unreached": _("customers who are not reached"),
            "outward": _("other systems that are told of cases"),
            "review": _("review of the access log"),
            "moved": _("moving to the second medium"),
            "held": _("held at the end of the period"),
        }
    )
