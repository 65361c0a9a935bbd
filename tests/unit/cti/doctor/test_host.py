"""Looking at this host: what is there is told as it is, and what cannot be looked at says why."""

import asyncio
import contextlib
import os
import shutil
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cti import control
from cti.doctor import host
from cti.doctor.seen import CelSeen, GateSeen, HoursSeen, ProcessSeen, SpoolSeen, Unseen
from cti.places import SOCKET, Owned
from cti.routing.gate import Gate
from cti.settings import Settings
from policies.calendar import JST
from policies.load import shipped
from tests.unit.cti.routing.directs import direct, noted

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def settings(folder: Path, *, gate_port: int = 1, cel: Path | None = None) -> Settings:
    ours = Settings()
    return ours.model_copy(
        update={
            "paths": ours.paths.model_copy(update={"spool": folder / "spool", "run": folder / "run"}),
            "asterisk": ours.asterisk.model_copy(update={"run_dir": folder}),
            "gate": ours.gate.model_copy(update={"port": gate_port}),
            "pbx": ours.pbx.model_copy(update={"cel_file": cel}),
            "users": ours.users.model_copy(update={"recorder": os.environ.get("USER") or "root"}),
        }
    )


def test_the_spool_as_it_is(tmp_path: Path) -> None:
    for name, mode in (("audio", 0o770), ("open", 0o700)):
        (tmp_path / "spool" / name).mkdir(parents=True)
        (tmp_path / "spool" / name).chmod(mode)
    (tmp_path / "spool/audio/am-1-r.sln").touch(0o600)
    seen = host.spool(settings(tmp_path))
    assert isinstance(seen, SpoolSeen)
    assert seen.path == (tmp_path / "spool").resolve()
    assert 0 < seen.free <= seen.size
    assert " / " in seen.mountinfo
    assert isinstance(seen.audio, Owned)
    assert isinstance(seen.open, Owned)
    assert (seen.audio.mode, seen.open.mode) == (0o770, 0o700)
    assert seen.audio.user == Path(tmp_path).owner()
    assert seen.foreign == ("am-1-r.sln",), "neither its group nor its mode is the spool's"


def test_a_spool_that_is_not_there_or_empty(tmp_path: Path) -> None:
    assert host.spool(settings(tmp_path)) is None
    (tmp_path / "spool").mkdir()
    seen = host.spool(settings(tmp_path))
    assert isinstance(seen, SpoolSeen)
    assert (seen.audio, seen.open) == (None, None)
    assert isinstance(seen.foreign, Unseen)


def test_asterisks_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = host.asterisk(settings(tmp_path))
    assert isinstance(seen, Unseen)
    assert "asterisk.pid: No such file" in seen.why
    for pid in ("no number", str(os.getpid()), "99999999"):
        (tmp_path / "asterisk.pid").write_text(pid)
        assert isinstance(host.asterisk(settings(tmp_path)), Unseen), "this is not Asterisk"
    read = Path.read_text
    status = "Name:\tasterisk\nUmask:\t0027\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nGroups:\t0 4294967294 \n"
    monkeypatch.setattr(Path, "read_text", lambda path: status if path.name == "status" else read(path))
    assert host.asterisk(settings(tmp_path)) == ProcessSeen(
        user="root", umask=0o027, groups=frozenset({"root", "4294967294"})
    )


@asynccontextmanager
async def listening(serve: Serve) -> AsyncIterator[int]:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_the_gate_is_asked_about_a_channel_that_there_is_not(tmp_path: Path) -> None:
    asked: list[tuple[str, str | None]] = []

    async def ask(uniqueid: str, dialled: str | None) -> str:
        asked.append((uniqueid, dialled))
        return "no"

    gate = Gate(ask, direct, noted)
    server = await gate.start("127.0.0.1", 0)
    async with server:
        seen = await host.gate(settings(tmp_path, gate_port=server.sockets[0].getsockname()[1]))
    assert isinstance(seen, GateSeen)
    assert seen.answer == "no"
    assert asked == [("kikitori-doctor", None)]


async def test_a_gate_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def closes(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readline() != b"\n":
            pass
        writer.write(b"SSH-2.0-OpenSSH\r\n")
        await writer.drain()
        writer.close()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await reader.read()
        writer.close()

    monkeypatch.setattr(host, "SECONDS", 0.2)
    problems = {"closed without an answer": closes, "not the gate": other, "no answer in time": silent}
    for problem, serve in problems.items():
        async with listening(serve) as port:
            seen = await host.gate(settings(tmp_path, gate_port=port))
        assert isinstance(seen, Unseen)
        assert problem in seen.why
    seen = await host.gate(settings(tmp_path))
    assert isinstance(seen, Unseen)
    assert seen.why == "Connection refused"


async def test_the_recorder_is_asked_how_it_is(tmp_path: Path) -> None:
    seen = await host.recorder(settings(tmp_path))
    assert isinstance(seen, Unseen)
    assert "recorder.sock" in seen.why
    (tmp_path / "run").mkdir()

    async def status(_: object) -> dict[str, object]:
        return answer

    answer: dict[str, object] = dict.fromkeys(host.ANSWERED, 0)
    async with await control.serve(tmp_path / "run" / SOCKET, {"status": status}):
        assert await host.recorder(settings(tmp_path)) == answer
        for odd in ({"error": "no such question"}, {}):
            answer = odd
            assert isinstance(await host.recorder(settings(tmp_path)), Unseen), "one of another version"


async def test_what_this_user_may_not_see_is_not_taken_for_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuses(*_: object) -> dict[str, object]:
        raise PermissionError(13, os.strerror(13), str(tmp_path / "recorder.sock"))

    monkeypatch.setattr(host.control, "ask", refuses)
    seen = await host.recorder(settings(tmp_path))
    assert isinstance(seen, Unseen)
    assert (seen.why, seen.remedy) == (f"{tmp_path}/recorder.sock: Permission denied", "run this command as root")


def test_the_hours_are_read_as_the_gate_reads_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host.users, "acting_as", lambda _: contextlib.nullcontext())
    ours = settings(tmp_path)
    paths = ours.paths.model_copy(update={"policies": tmp_path / "policies", "hours": tmp_path})
    ours = ours.model_copy(update={"paths": paths})
    now = datetime(2025, 11, 30, 23, 30, tzinfo=UTC)
    seen = host.hours(ours, now)
    assert isinstance(seen, Unseen)
    assert "hours.toml" in seen.why
    shutil.copytree(shipped(), paths.policies)
    seen = host.hours(ours, now)
    opens = datetime(2025, 12, 1, 20, tzinfo=JST)
    assert seen == HoursSeen(state="open", until=opens, trouble=None, year=2026, holidays="forecast")
    (tmp_path / "overrides.jsonl").write_text("{}\n")
    seen = host.hours(ours, datetime(2025, 11, 30, 14, 59, tzinfo=UTC))
    assert isinstance(seen, HoursSeen)
    assert (seen.state, seen.year, seen.holidays) == ("closed", 2025, "table")
    assert seen.trouble
    assert "overrides.jsonl:1" in seen.trouble


def test_asterisks_own_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host.users, "acting_as", lambda _: contextlib.nullcontext())
    now = datetime(2026, 11, 26, tzinfo=UTC)
    assert host.cel(settings(tmp_path), now) is None
    path = tmp_path / "cel.csv"
    seen = host.cel(settings(tmp_path, cel=path), now)
    assert isinstance(seen, CelSeen)
    assert seen.size is None
    path.write_text("x\n")
    before = (now - timedelta(seconds=30)).timestamp()
    os.utime(path, (before, before))
    assert host.cel(settings(tmp_path, cel=path), now) == CelSeen(path=path, size=2, age=30.0)
    seen = host.cel(settings(tmp_path, cel=tmp_path), now)
    assert isinstance(seen, Unseen)
    assert "Is a directory" in seen.why


def test_asterisks_own_record_is_opened_with_the_recorders_rights(tmp_path: Path) -> None:
    path = tmp_path / "cel.csv"
    path.touch()
    nobody = settings(tmp_path, cel=path)
    users = nobody.users.model_copy(update={"recorder": "no-such-user-here"})
    seen = host.cel(nobody.model_copy(update={"users": users}), datetime(2026, 11, 26, tzinfo=UTC))
    if os.geteuid() == 0:
        assert isinstance(seen, Unseen)
        assert "no-such-user-here" in seen.why
    else:
        assert isinstance(seen, CelSeen)
    assert stat.S_ISREG(path.stat().st_mode)
