"""Looking at this host: spool, Asterisk's process, gate, recorder, Asterisk's own record, hours. Changes nothing."""

import _strptime  # type: ignore[import-not-found]  # noqa: F401
import asyncio
import grp
import os
import pwd
import re
import stat
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cti import control, users
from cti.doctor import kernel
from cti.doctor.seen import CelSeen, GateSeen, HoursSeen, ProcessSeen, SpoolSeen, Unseen
from cti.errors import InitError
from cti.explain import explain
from cti.hours import HoursBook, known
from cti.i18n import _
from cti.pbxconfig import Decided
from cti.places import SOCKET, Owned
from cti.settings import Settings
from policies.calendar import JST
from policies.errors import PolicyError

# `_strptime` is imported above because `datetime` looks for it at its first use: then we may be a user who cannot read
# the folder that Python lies in.
SOON = timedelta(days=31)  # the Cabinet Office names the holidays of a year in the February before it
SECONDS = 5.0  # for an answer
CHANNEL = "kikitori-doctor"  # no channel of Asterisk's has such a unique id: its answer is "no", and nothing is done
# What a recorder says of itself, at least.
ANSWERED = frozenset(
    (
        *("in_step", "trouble", "calls", "recording", "by_dialplan", "spool_free", "spool_size"),
        *("events_waiting", "events_delay", "events_dropped", "events_tampered", "events_oversized"),
    )
)
_SET = re.compile(rb'SET VARIABLE KIKITORI_ARMED "(\w+)"')


def denied(problem: OSError) -> Unseen:
    """What this user may not look at: that says nothing about the thing itself."""
    return Unseen(explain(problem), _("run this command as root"))


def spool(settings: Settings) -> SpoolSeen | Unseen | None:
    """The spool's mount, room, folders and files."""
    root = settings.paths.spool.resolve()
    try:
        room = os.statvfs(root)
        mountinfo, swaps = kernel.mounts(), Path("/proc/swaps").read_text()
    except FileNotFoundError:
        return None
    except OSError as error:
        return Unseen(explain(error))
    return SpoolSeen(
        path=root,
        mountinfo=mountinfo,
        swaps=swaps,
        free=room.f_bavail * room.f_frsize,
        size=room.f_blocks * room.f_frsize,
        audio=owned(root / "audio"),
        open=owned(root / "open"),
        foreign=_foreign(root / "audio"),
    )


def owned(path: Path) -> Owned | Unseen | None:
    """Whose a folder or file is; None where there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        return denied(error) if isinstance(error, PermissionError) else Unseen(explain(error))
    return Owned(_user(found.st_uid), _group(found.st_gid), stat.S_IMODE(found.st_mode))


def _foreign(folder: Path) -> tuple[str, ...] | Unseen:
    wrong: list[str] = []
    try:
        for entry in os.scandir(folder):
            try:
                found = entry.stat(follow_symlinks=False)
            except FileNotFoundError:  # taken away meanwhile, as it should be
                continue
            if _group(found.st_gid) != users.SPOOL or found.st_mode & 0o060 != 0o060:
                wrong.append(entry.name)
    except OSError as error:
        return Unseen(explain(error))
    return tuple(sorted(wrong))


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def asterisk(settings: Settings) -> ProcessSeen | Unseen:
    """The process that `asterisk.pid` names."""
    try:
        pid = int((settings.asterisk.run_dir / "asterisk.pid").read_text())
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError as error:
        return Unseen(explain(error))
    except ValueError:
        return Unseen(_("{file} names no process").format(file=settings.asterisk.run_dir / "asterisk.pid"))
    told = {name: value.split() for name, _colon, value in (line.partition(":") for line in lines)}
    if told.get("Name") != ["asterisk"]:
        return Unseen(_("{file} names no process").format(file=settings.asterisk.run_dir / "asterisk.pid"))
    groups = {_group(int(gid)) for gid in (told["Gid"][1], *told["Groups"])}
    umask = told.get("Umask")
    return ProcessSeen(
        user=_user(int(told["Uid"][1])), umask=int(umask[0], 8) if umask else None, groups=frozenset(groups)
    )


async def gate(settings: Settings) -> GateSeen | Unseen:
    """A FastAGI conversation about a channel that there is not."""
    begun = time.monotonic()
    try:
        async with asyncio.timeout(SECONDS):
            reader, writer = await asyncio.open_connection(settings.gate.host, settings.gate.port)
            try:
                address = f"{settings.gate.host}:{settings.gate.port}"
                writer.write(f"agi_request: agi://{address}/doctor\nagi_uniqueid: {CHANNEL}\n\n".encode())
                said = await reader.readline()
                seconds = time.monotonic() - begun
                if answer := _SET.match(said):
                    writer.write(b"200 result=1\n")
                    await writer.drain()
            finally:
                writer.close()
    except TimeoutError:
        return Unseen(_("no answer in time"))
    except ConnectionResetError:
        return Unseen(_("closed without an answer"))
    except OSError as error:
        return Unseen(explain(OSError(error.errno, os.strerror(error.errno or 0))))
    except ValueError:
        return Unseen(_("what listens there is not the gate"))
    if not said:
        return Unseen(_("closed without an answer"))
    if answer is None:
        return Unseen(_("what listens there is not the gate"))
    return GateSeen(answer=answer[1].decode(), seconds=seconds)


async def recorder(settings: Settings) -> Mapping[str, Any] | Unseen:
    """What the recorder says of itself."""
    try:
        answer = await control.ask(settings.paths.run / SOCKET, {"ask": "status"}, SECONDS)
    except TimeoutError:
        return Unseen(_("no answer in time"))
    except PermissionError as error:
        return denied(error)
    except (OSError, ValueError) as error:
        return Unseen(_("{path}: {why}").format(path=settings.paths.run / SOCKET, why=explain(error)))
    if not isinstance(answer, dict) or not answer.keys() >= ANSWERED:
        return Unseen(_("what answers there is no recorder of this version"))
    return answer


def cel(settings: Settings, now: datetime) -> CelSeen | Unseen | None:
    """Asterisk's own record of events, with the recorder's eyes where we are root."""
    path = settings.pbx.cel_file
    if path is None:
        return None
    try:
        with users.acting_as(settings.users.recorder), path.open("rb") as file:
            found = os.fstat(file.fileno())
    except FileNotFoundError:
        return CelSeen(path=path, size=None, age=0.0)
    except InitError as error:
        return Unseen(str(error))
    except OSError as error:
        return denied(error) if isinstance(error, PermissionError) and os.geteuid() else Unseen(explain(error))
    return CelSeen(path=path, size=found.st_size, age=now.timestamp() - found.st_mtime)


def decided(settings: Settings, now: datetime) -> Decided | Unseen:
    """What the policies say, as a dialplan would be made of them now."""
    try:
        return Decided.of(*known(settings.paths.policies, settings.paths.hours), now)
    except (PolicyError, OSError) as error:
        return Unseen(explain(error))


def hours(settings: Settings, now: datetime) -> HoursSeen | Unseen:
    """The opening hours, with the gate's eyes where we are root."""
    book = HoursBook(settings.paths.policies, settings.paths.hours)
    year = (now + SOON).astimezone(JST).year
    try:
        with users.acting_as(settings.users.gate):
            opening = book.now(now)
    except (PolicyError, InitError) as error:
        return Unseen(explain(error))
    except OSError as error:
        return denied(error) if isinstance(error, PermissionError) and os.geteuid() else Unseen(explain(error))
    state = opening.at(now)
    return HoursSeen(
        state="open" if state.open else "closed",
        until=state.until,
        trouble=book.trouble,
        year=year,
        holidays=opening.holidays.certainty(year),
    )
