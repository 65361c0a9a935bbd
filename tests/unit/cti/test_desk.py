"""The desk: sound by the log only, exports that others can open, and a verification that names what was touched."""

import asyncio
import hashlib
import io
import json
import shutil
import sqlite3
import subprocess
import tarfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import soundfile

from cti import statement, store
from cti.app.desk import Stating
from cti.callbook import CallRecord
from cti.calls.said import said
from cti.desk import DAMAGED, Desk, closing
from cti.errors import LogUnavailableError, NotFoundError, NotRunningError, UsageError
from cti.intake import Intake
from cti.journal import Journal
from cti.purpose import Purpose
from cti.records import WitnessError
from cti.statement import StatementError
from policies.calendar import JST
from recorder import callfile
from recorder.access import checkpoint
from recorder.access.log import AccessLog
from recorder.export import whole_file
from recorder.replay import BodyMismatchError, DamagedAudioError, wav_head
from recorder.vault import keys
from recorder.vault.age import Identity
from recorder.vault.errors import VaultError
from recorder.vault.folder import segment_name
from recorder.vault.keys import by_passphrase
from recorder.vault.manifest import dump, load
from recorder.verify import UNFINISHED, Finding
from recorder.wanted import Wanted
from tests.unit.cti.office import BOTH, PASSPHRASE, SECONDS, SIDES, Office, decoded, open_office, opened, samples
from tests.unit.recorder.rig import RATE, START, MixMonitor, Rig, ram_folder, run, take, uuid

# --- completeness -----------------------------------------------------------------------------------------------------

DAY = START.astimezone(JST).date()


@asynccontextmanager
async def witnessed(
    office: Office, *, without: str = "", now: datetime = START + timedelta(days=1)
) -> AsyncIterator[Desk]:
    """A desk to which Asterisk's records name a conversation for each recording but that of `without`."""

    lines: list[dict[str, Any]] = [{"day": DAY.isoformat(), "first": START.isoformat(), "cdr": True, "sources": []}]
    for name in SIDES:
        parts = [load(path.read_text(), office.desk._verifiers, "") for path in office.vault.manifests_of(uuid(name))]
        last = max(part.start + timedelta(seconds=part.frames / part.rate) for part in parts)
        talk = {"start": parts[0].start.isoformat(), "end": last.isoformat(), "phones": ["2001"], "least": False}
        talk |= {"channels": [parts[0].uniqueid], "linkedids": [parts[0].linkedid]}
        lines += [{"talk": talk}] if name != without else []
    path = office.root / "witness.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))

    async def ask(question: Mapping[str, Any], _deadline: float) -> dict[str, Any]:
        assert question == {"ask": "witness", "day": DAY.isoformat()}
        return {"file": str(path)}

    (office.vault.root / "statements").mkdir(exist_ok=True)
    desk = (await open_office(office.root, ask=ask)).desk
    desk.now = lambda: now
    async with closing(desk):
        yield desk


async def test_a_day_of_which_all_is_kept_is_stated_once_and_logged(office: Office) -> None:
    async with witnessed(office) as desk:
        found, _ = await desk.completeness(DAY)
        assert (found.complete, found.conversations, found.recorded) == (True, 3, 3)
        path, exceptions = await desk.state_completeness(DAY)
        assert (await desk.state_completeness(DAY), exceptions) == ((path, 0), 0)
        assert desk.stated(DAY) == [path]
        said = desk.read_statement(path)
        assert (said["conversations"], said["complete"]) == (3, True)
    (entry,) = office.entries("completeness.statement")
    assert entry == {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "conversations": 3, "exceptions": 0}


async def test_what_agrees_no_longer_is_stated_anew_and_what_was_said_stays(office: Office) -> None:
    async with witnessed(office) as desk:
        first, _ = await desk.state_completeness(DAY)
    async with witnessed(office, without="one") as desk:
        second, exceptions = await desk.state_completeness(DAY)
        assert (desk.stated(DAY), exceptions) == ([first, second], 1)
        (lack,) = desk.read_statement(second)["exceptions"]
        assert (lack["lack"], lack["recording"]) == ("extra", uuid("one"))


async def test_a_statement_that_somebody_changed_is_refused(office: Office) -> None:
    async with witnessed(office) as desk:
        path, _ = await desk.state_completeness(DAY)
        text = path.read_text()
        for changed in (text.replace('"recorded": 3', '"recorded": 4'), text[:50], "", "x\n\n— a b\n"):
            path.write_text(changed)
            with pytest.raises(StatementError):
                desk.read_statement(path)


async def test_a_body_or_a_manifest_that_is_gone_is_not_kept_and_stops_nothing(office: Office) -> None:
    async with witnessed(office) as desk:
        office.segment("one", 1, "agebody").write_bytes(b"x")
        office.segment("two", 1, "manifest").write_bytes(b"\xff\xfe")
        found, _ = await desk.completeness(DAY)
        assert sorted(row.lack.value for row in found.exceptions) == ["missing", "short"]
        assert found.recorded == 1


async def test_statements_are_verified_against_the_log(office: Office) -> None:
    async with witnessed(office) as desk:
        path, _ = await desk.state_completeness(DAY)
        assert await office.verify() == []
        text = path.read_bytes()
        path.write_bytes(text + b" ")
        assert [finding.what for finding in await office.verify()] == [str(path)]
        path.unlink()
        assert [finding.problem for finding in await office.verify()] == ["was issued, and is not there"]
        path.write_bytes(text)
        path.with_name("2020-01-01.note").write_bytes(text)
        assert [finding.what for finding in await office.verify()] == [str(path.with_name("2020-01-01.note"))]


async def test_a_log_that_cannot_be_written_leaves_no_statement(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise LogUnavailableError("full")

    async with witnessed(office) as desk:
        monkeypatch.setattr(desk, "log", full)
        with pytest.raises(LogUnavailableError):
            await desk.state_completeness(DAY)
        assert list((office.vault.root / "statements").iterdir()) == []
        monkeypatch.undo()
        await desk.state_completeness(DAY)
    assert len(office.entries("completeness.statement")) == 1


async def test_a_statement_that_was_removed_does_not_stop_the_next(office: Office) -> None:
    async with witnessed(office) as desk:
        first, _ = await desk.state_completeness(DAY)
    async with witnessed(office, without="one") as desk:
        await desk.state_completeness(DAY)
        first.unlink()
    async with witnessed(office) as desk:
        third, _ = await desk.state_completeness(DAY)
    assert third.name == f"{DAY.isoformat()}-3.note"


async def test_the_days_of_a_week_are_stated_once_whatever_fails_between(office: Office) -> None:
    asked: list[str] = []

    async def ask(question: Mapping[str, Any], _deadline: float) -> dict[str, Any]:
        asked.append(question["day"])
        if question["day"] == "2026-04-03":
            raise ZeroDivisionError
        return {"problem": "no records"}

    now = [datetime(2026, 4, 6, 3, 59, tzinfo=JST)]
    desk = (await open_office(office.root, ask=ask)).desk
    desk.now = lambda: now[0]
    stating = Stating(desk, lambda: now[0])
    async with closing(desk):
        await stating.look()
        assert asked == [f"2026-0{month}-{day:02d}" for month, day in
                         ((4, 4), (4, 3), (4, 2), (4, 1), (3, 31), (3, 30), (3, 29))]  # fmt: skip
        asked.clear()
        now[0] += timedelta(minutes=1)
        await stating.look()
        assert asked == ["2026-04-05"], "four hours after its end; the others are tried again later"
        now[0] += timedelta(hours=6)
        await stating.look()
        assert len(asked) == 8


async def test_what_went_on_is_stated_again(office: Office) -> None:
    async with witnessed(office) as desk:
        path, _ = await desk.state_completeness(DAY)
        said = desk.read_statement(path)
        signer = keys.load_signer(office.root / "keys/log.key")
        path.write_text(statement.dump(said | {"going_on": 1}, START, signer))
        stating = Stating(desk, lambda: START + timedelta(days=1))
        await stating.look()
        assert [desk.read_statement(one)["going_on"] for one in desk.stated(DAY)] == [1, 0]
        await Stating(desk, lambda: START + timedelta(days=1)).look()
        assert len(desk.stated(DAY)) == 2


async def test_a_day_that_is_not_over_is_not_stated(office: Office) -> None:
    last = datetime(DAY.year, DAY.month, DAY.day, 23, 59, 59, tzinfo=JST)
    async with witnessed(office, now=last) as desk:
        with pytest.raises(UsageError, match="not over"):
            await desk.state_completeness(DAY)
    async with witnessed(office, now=last + timedelta(seconds=1)) as desk:
        await desk.state_completeness(DAY)


@pytest.mark.parametrize(("hours", "lacks"), [(0, []), (23, []), (25, ["unknown"])])
async def test_what_asterisks_records_do_not_reach_is_said_unless_the_installation_is_that_young(
    office: Office, hours: int, lacks: list[str]
) -> None:
    day = (START + timedelta(hours=hours)).astimezone(JST).date() if hours < 25 else DAY + timedelta(days=1)
    head = {"day": day.isoformat(), "first": (START + timedelta(hours=hours)).isoformat(), "cdr": True, "sources": []}
    path = office.root / "witness.jsonl"
    path.write_text(json.dumps(head) + "\n")

    async def ask(_question: Mapping[str, Any], _deadline: float) -> dict[str, Any]:
        return {"file": str(path)}

    desk = (await open_office(office.root, ask=ask)).desk
    desk.now = lambda: START + timedelta(days=3)
    async with closing(desk):
        found, _ = await desk.completeness(day)
    assert [row.lack.value for row in found.exceptions if row.lack.value == "unknown"] == lacks


async def test_without_a_recorder_nothing_is_stated(office: Office) -> None:
    with pytest.raises(NotRunningError):
        await office.desk.state_completeness(DAY - timedelta(days=1))


async def test_what_the_recorder_cannot_read_is_said(office: Office) -> None:
    async def ask(_question: Mapping[str, Any], _deadline: float) -> dict[str, Any]:
        return {"problem": "cel.csv: Asterisk has written nothing"}

    desk = (await open_office(office.root, ask=ask)).desk
    async with closing(desk):
        with pytest.raises(WitnessError, match="has written nothing"):
            await desk.completeness(DAY)


# --- playing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SIDES)
async def test_a_whole_play_is_the_recording_sample_by_sample(office: Office, name: str) -> None:
    wav = office.play(name)
    assert wav == wav_head(RATE * SECONDS[name], RATE, 2) + BOTH[name]
    assert samples(wav) == BOTH[name]


@pytest.mark.parametrize(
    ("start", "end"), [(0, 1), (3.5, 4.5), (3.999875, 4.000125), (4, 8), (1, 11.25), (7.5, None), (11, 99)]
)
async def test_a_range_goes_across_the_borders_of_segments(office: Office, start: float, end: float | None) -> None:
    first, last = round(start * RATE), round(min(end or 99, 12) * RATE)
    assert office.play("three", start, end)[44:] == BOTH["three"][4 * first : 4 * last]


@pytest.mark.parametrize(("side", "number"), [("left", 0), ("right", 1)])
async def test_one_side_is_that_side_alone(office: Office, side: str, number: int) -> None:
    wav = office.play("three", 1, 9, side)
    assert wav[:44] == wav_head(RATE * 8, RATE, 1)
    assert wav[44:] == SIDES["three"][number][2 * RATE : 18 * RATE]


@pytest.mark.parametrize(("start", "end"), [(12, None), (5, 5), (5, 4), (-1, 3)])
async def test_a_range_without_sound_is_refused_before_the_log_is_touched(
    office: Office, start: float, end: float | None
) -> None:
    with pytest.raises(UsageError, match=r"12\.0 s"):
        office.play("three", start, end)
    assert not office.entries("play.intent")


@pytest.mark.rule("B-07", "B-08")
async def test_a_play_leaves_intent_and_result_with_purpose_and_seconds(office: Office) -> None:
    office.play("three", 1, 3.5, "left")
    (intent,), (result,) = office.entries("play.intent"), office.entries("play.result")
    assert intent | {"act": 0} == {"act": 0, "purpose": "quality", "side": "left", "from": 1.0, "to": 3.5}
    assert result == {"act": intent["act"], "outcome": "done", "seconds": 2.5}
    with AccessLog(office.log) as access:
        assert {(entry.actor, entry.object) for entry in access.find(action="play.intent")} == {
            ("staff-1", uuid("three"))
        }


@pytest.mark.rule("B-07")
async def test_the_intent_is_durable_before_the_first_byte(office: Office) -> None:
    sound = office.desk.play(office.open("one"), by_passphrase(office.desk.keys, PASSPHRASE), Purpose.QUALITY, "both")
    assert not office.entries("play.intent")
    assert next(sound) == wav_head(RATE * 3, RATE, 2)
    assert len(office.entries("play.intent")) == 1
    sound.close()  # type: ignore[attr-defined]


@pytest.mark.rule("B-07")
@pytest.mark.parametrize(("blocks", "seconds"), [(0, 0), (1, 4), (2, 8)])
async def test_an_interrupted_play_logs_the_seconds_that_went_out(office: Office, blocks: int, seconds: int) -> None:
    sound = office.desk.play(office.open("three"), by_passphrase(office.desk.keys, PASSPHRASE), Purpose.QUALITY, "both")
    got = b"".join(next(sound) for _ in range(blocks + 1))
    sound.close()  # type: ignore[attr-defined]
    assert len(got) == 44 + 4 * RATE * seconds
    assert [result["seconds"] for result in office.entries("play.result")] == [seconds]
    assert [result["outcome"] for result in office.entries("play.result")] == ["interrupted"]


def unwritable(office: Office) -> None:
    shutil.rmtree(office.log.parent)


def read_only(office: Office) -> None:
    with sqlite3.connect(office.log) as connection:
        connection.execute("CREATE TRIGGER stop BEFORE INSERT ON entries BEGIN SELECT RAISE(FAIL, 'no'); END")
    connection.close()


def not_a_log(office: Office) -> None:
    office.log.write_bytes(b"no database at all, whatever it was before" * 100)


def bad_head(office: Office) -> None:
    sql(office.log, "DROP TRIGGER head_grows", "UPDATE head SET frontier = x'00'")


def sql(path: Path, *commands: str) -> None:
    connection = sqlite3.connect(path)
    for command in commands:
        connection.execute(command)
    connection.commit()
    connection.close()


def hear(office: Office, act: str, out: io.BytesIO, name: str = "one") -> None:
    if act == "play":
        out.writelines(
            office.desk.play(office.open(name), by_passphrase(office.desk.keys, PASSPHRASE), Purpose.QUALITY, "both")
        )
    else:
        office.export(name, act, Identity.generate(), out)


@pytest.mark.rule("B-07")
@pytest.mark.parametrize("breakage", [unwritable, read_only, not_a_log, bad_head])
@pytest.mark.parametrize("act", ["play", "age", "flac", "wav"])
async def test_no_log_line_no_audio(office: Office, breakage: Callable[[Office], None], act: str) -> None:
    breakage(office)
    out = io.BytesIO()
    with pytest.raises(LogUnavailableError, match="Nothing is played"):
        hear(office, act, out)
    assert out.getvalue() == b""


@pytest.mark.rule("B-07")
async def test_a_wrong_passphrase_gives_nothing_and_leaves_its_line(office: Office) -> None:
    with pytest.raises(keys.WrongPassphraseError):
        b"".join(
            office.desk.play(office.open("one"), by_passphrase(office.desk.keys, "wrong"), Purpose.QUALITY, "both")
        )
    [intent], [result] = office.entries("play.intent"), office.entries("play.result")
    assert result == {"act": intent["act"], "outcome": "failed: WrongPassphraseError", "seconds": 0.0}


async def test_a_lost_checkpoint_medium_does_not_stop_a_play_whose_line_is_durable(office: Office) -> None:
    shutil.rmtree(office.root / "checkpoints")
    assert office.play("one")[44:] == BOTH["one"]


@pytest.mark.parametrize("at", [20, 70_000, 140_000])
async def test_damaged_sound_ends_in_an_error_and_a_result_that_says_so(office: Office, at: int) -> None:
    body = office.segment("three", 2, "agebody")
    assert body.stat().st_size > 110_000
    flip(body, at % body.stat().st_size)
    out = io.BytesIO()
    with pytest.raises(VaultError):
        hear(office, "play", out, "three")
    assert BOTH["three"].startswith(out.getvalue()[44:]), "nothing wrong was played"
    assert [result["outcome"].split(":")[0] for result in office.entries("play.result")] == ["failed"]


async def test_a_body_that_is_gone_or_cut_is_refused(office: Office) -> None:
    body = office.segment("one", 1, "agebody")
    body.write_bytes(body.read_bytes()[:-1])
    with pytest.raises(BodyMismatchError, match="its manifest says"):
        office.play("one")
    body.unlink()
    with pytest.raises(BodyMismatchError, match="lies on neither medium"):
        office.play("one")
    assert issubclass(DamagedAudioError, VaultError)


@pytest.mark.rule("B-08")
def test_a_purpose_is_one_of_two() -> None:
    assert Purpose.parse("応対品質の管理") is Purpose.parse("quality") is Purpose.QUALITY
    assert Purpose.parse("対応内容等の確認") is Purpose.CONTENT
    with pytest.raises(UsageError, match=r"quality .* content"):
        Purpose.parse("curiosity")


# --- exports ----------------------------------------------------------------------------------------------------------


def accepted(folder: Path) -> None:
    subprocess.run(["flac", "--test", "--silent", "--warnings-as-errors", folder / "a.flac"], check=True)


@pytest.mark.rule("B-13")
async def test_an_age_export_opens_with_the_public_tool_over_the_identical_body(office: Office, tmp_path: Path) -> None:
    court = Identity.generate()
    data = office.export("one", "age", court)
    head, _, rest = data.partition(b"\n--- ")
    body = rest.partition(b"\n")[2]
    assert body == office.segment("one", 1, "agebody").read_bytes()
    assert hashlib.sha256(body).hexdigest() == office.open("one").parts[0].manifest.body_sha256
    assert head.startswith(b"age-encryption.org/v1\n")
    assert decoded(opened(data, court, tmp_path), tmp_path) == BOTH["one"]


async def test_several_segments_come_as_an_archive_with_manifests_and_a_note(office: Office, tmp_path: Path) -> None:
    court = Identity.generate()
    with tarfile.open(fileobj=io.BytesIO(office.export("three", "age", court))) as archive:
        files = {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]
    names = [f"{uuid('three')}.00{number}" for number in (1, 2, 3)]
    assert list(files) == ["README.txt", *(f"{name}.{kind}" for name in names for kind in ("flac.age", "manifest"))]
    sound = [decoded(opened(files[f"{name}.flac.age"], court, tmp_path), tmp_path) for name in names]
    assert b"".join(sound) == BOTH["three"]
    for number, name in enumerate(names, start=1):
        assert files[f"{name}.manifest"] == office.segment("three", number, "manifest").read_bytes()
        assert f"{name}.flac.age: 2026-04-01T00:00:" in files["README.txt"].decode()


@pytest.mark.parametrize("name", SIDES)
async def test_a_flac_export_is_one_stream_of_the_whole(office: Office, name: str, tmp_path: Path) -> None:
    flac = office.export(name, "flac")
    assert decoded(flac, tmp_path) == BOTH[name]
    with soundfile.SoundFile(io.BytesIO(flac)) as sound:
        assert (sound.frames, sound.comment) == (RATE * SECONDS[name], f"recording={uuid(name)}")
    accepted(tmp_path)


@pytest.mark.parametrize("name", SIDES)
async def test_a_wav_export_is_the_whole(office: Office, name: str) -> None:
    assert samples(office.export(name, "wav")) == BOTH[name]


@pytest.mark.rule("B-07")
async def test_an_export_is_logged_with_format_and_recipient(office: Office) -> None:
    court = Identity.generate()
    office.export("three", "age", court)
    (intent,), (result,) = office.entries("export.intent"), office.entries("export.result")
    assert intent == {"act": result["act"], "purpose": "content", "format": "age", "recipient": str(court.recipient)}
    assert result == {"act": intent["act"], "outcome": "done", "seconds": 12.0}


async def test_an_age_export_needs_a_recipient(office: Office) -> None:
    with pytest.raises(UsageError, match="--recipient"):
        office.export("one", "age")


@pytest.mark.rule("B-13")
@pytest.mark.parametrize("at", [20, 66_000, -1])
async def test_a_tampered_body_is_not_handed_out(office: Office, at: int) -> None:
    body = office.segment("three", 2, "agebody")
    flip(body, at % body.stat().st_size)
    with pytest.raises(VaultError):
        office.export("three", "age", Identity.generate())
    with pytest.raises(VaultError):
        office.export("three", "flac")


async def test_a_header_of_another_segment_is_not_handed_out(office: Office) -> None:
    swap_slots(office)
    with pytest.raises(VaultError):
        office.export("one", "age", Identity.generate())


class Full(io.BytesIO):
    """A disk that takes so many bytes and no more."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def write(self, data: Any, /) -> int:
        if self.tell() + len(data) > self.room:
            raise OSError(28, "No space left on device")
        return super().write(data)


@pytest.mark.parametrize("kind", ["age", "flac", "wav"])
@pytest.mark.parametrize("room", [0, 10, 1000, 100_000])
async def test_a_full_disk_is_an_error_and_never_a_short_file(office: Office, kind: str, room: int) -> None:
    with pytest.raises(OSError, match="No space"):
        office.export("three", kind, Identity.generate(), Full(room))
    assert [result["outcome"] for result in office.entries("export.result")] == ["failed: OSError"]


def test_a_file_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "a.wav"
    with pytest.raises(TypeError), whole_file(target) as file:
        file.writelines([b"half", 1])  # type: ignore[list-item]
    assert not list(tmp_path.iterdir())
    with whole_file(target) as file:
        file.write(b"whole")
    assert target.read_bytes() == b"whole"
    assert target.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError), whole_file(target):
        pass
    assert target.read_bytes() == b"whole"
    assert list(tmp_path.iterdir()) == [target]


# --- verification -----------------------------------------------------------------------------------------------------


def flip(path: Path, at: int, bit: int = 0) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1 << bit
    path.write_bytes(data)


def swap(one: Path, two: Path) -> None:
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)


def slot_of(office: Office, name: str, number: int) -> int:
    return office.open(name).parts[number - 1].manifest.slot


def swap_slots(office: Office) -> tuple[int, int]:
    one, two = slot_of(office, "one", 1), slot_of(office, "three", 2)
    for path in (office.vault.slots.primary, office.vault.slots.mirror):
        data = bytearray(path.read_bytes())
        first, second = data[512 * one : 512 * one + 512], data[512 * two : 512 * two + 512]
        data[512 * one : 512 * one + 512], data[512 * two : 512 * two + 512] = second, first
        path.write_bytes(data)
    return one, two


def named(findings: list[Finding], *needles: str) -> bool:
    return any(all(needle in f"{finding.what}: {finding.problem}" for needle in needles) for finding in findings)


def only(findings: list[Finding], *names: str) -> bool:
    """Whether no recording but those of `names` is accused."""
    others = {uuid(name) for name in SIDES} - {uuid(name) for name in names}
    return not any(other in f"{finding.what}{finding.problem}" for finding in findings for other in others)


async def test_a_whole_vault_has_no_findings(office: Office) -> None:
    office.play("one")
    assert await office.verify() == []
    assert await office.verify(None) == []


@pytest.mark.rule("B-13")
@pytest.mark.parametrize("passphrase", [PASSPHRASE, None])
@pytest.mark.parametrize("at", [0, 15, 16, 40_000, 65_568, 70_000, -17, -1])
async def test_a_flip_in_a_body_is_named(office: Office, at: int, passphrase: str | None) -> None:
    body = office.segment("three", 2, "agebody")
    flip(body, at % body.stat().st_size)
    findings = await office.verify(passphrase)
    assert {finding.what for finding in findings} == {str(body)}


@pytest.mark.rule("B-13")
@pytest.mark.parametrize("at", [0, 1, 2, 60, 169, 300, 508, 511])
@pytest.mark.parametrize("copy", ["primary", "mirror"])
async def test_a_flip_in_a_slot_is_named(office: Office, copy: str, at: int) -> None:
    slot = slot_of(office, "two", 2)
    path = getattr(office.vault.slots, copy)
    flip(path, 512 * slot + at)
    for passphrase in (PASSPHRASE, None):
        assert [finding.what for finding in await office.verify(passphrase)] == [f"{path}: slot {slot}"]
    assert office.play("two")[44:] == BOTH["two"], "the other copy is whole"


@pytest.mark.rule("B-13")
@pytest.mark.parametrize("share", [0.0, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.97, 0.999])
async def test_a_flip_in_a_manifest_is_named(office: Office, share: float) -> None:
    path = office.segment("two", 1, "manifest")
    flip(path, int(share * path.stat().st_size), bit=1)
    findings = await office.verify()
    assert named(findings, str(path))
    assert only(findings, "two")


@pytest.mark.rule("B-07")
async def test_a_segment_that_was_sealed_twice_is_named(office: Office) -> None:
    name = f"{uuid('one')}.001"
    with AccessLog(office.log) as access:
        access.append(
            ts=START, actor="recorder", action="segment.sealed", object=name, detail={"manifest_sha256": "0" * 64}
        )
    problems = {finding.what: finding.problem for finding in await office.verify()}
    assert problems == {f"access log: {name}": "was sealed twice, with different manifests"}


async def test_a_flip_in_a_call_record_is_named_with_its_line(office: Office) -> None:
    path = office.vault.root / "calls/2026-04-01.jsonl"
    for number in range(3):
        callfile.append(path, {"conversation": uuid(f"call {number}"), "number": "0664581132"})
    assert await office.verify() == []
    flip(path, path.read_bytes().index(uuid("call 1").encode()) + 3)
    assert [finding.what for finding in await office.verify()] == [f"{path}:2", f"{path}:3"]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("seq", [0, 3, 5])
async def test_a_flip_in_an_entry_of_the_log_is_named(office: Office, seq: int, share: float) -> None:
    connection = sqlite3.connect(office.log)
    ((raw,),) = connection.execute("SELECT entry FROM entries WHERE seq = ?", (seq,)).fetchall()
    changed = bytearray(raw)
    changed[int(share * len(raw))] ^= 2
    connection.execute("DROP TRIGGER entries_no_update")
    connection.execute("UPDATE entries SET entry = ? WHERE seq = ?", (bytes(changed), seq))
    connection.commit()
    connection.close()
    assert named(await office.verify(), "access log", f"entry {seq}")


@pytest.mark.rule("B-07")
@pytest.mark.parametrize("column", ["leaf", "object", "action", "at"])
async def test_a_changed_column_of_the_log_is_named(office: Office, column: str) -> None:
    sql(office.log, "DROP TRIGGER entries_no_update", f"UPDATE entries SET {column} = 'x' WHERE seq = 2")  # noqa: S608
    assert named(await office.verify(), "access log", "entry 2")


@pytest.mark.rule("B-07")
async def test_a_log_that_was_cut_off_is_named_by_its_checkpoint(office: Office) -> None:
    with AccessLog(office.log) as access:
        size = access.head().size
    shutil.copy(office.log, office.root / "old.db")
    office.play("one")
    shutil.copy(office.root / "old.db", office.log)
    findings = await office.verify()
    assert named(findings, "checkpoints", f"entries {size} to {size + 1} were cut off")


@pytest.mark.rule("B-07")
async def test_a_flip_in_a_checkpoint_is_named(office: Office) -> None:
    (path,) = (office.root / "checkpoints").glob("*.notes")
    size = path.stat().st_size
    for at in range(0, size - 2, 7):
        flip(path, at)
        assert named(await office.verify(None), "checkpoints", path.name), at
        flip(path, at)
    assert await office.verify(None) == []


CHANGES = {
    "recording": "'00000000-0000-0000-0000-000000000000'",
    "segment": "9",
    "conversation": "'00000000-0000-0000-0000-000000000000'",
    "number": "'0664587160'",
    "direction": "'out'",
    "caller": "NULL",
    "callee": "'110'",
    "agent": "'2009'",
    "start": "'2026-04-01 00:00:09.000000'",
    "end": "'2026-04-01 00:00:09.000000'",
    "seconds": "seconds + 0.125",
    "state": "'torn'",
    "slot": "0",
    "epoch": "2",
    "manifest_sha256": "lower(hex(zeroblob(32)))",
}


@pytest.mark.parametrize("column", CHANGES)
async def test_a_changed_row_of_the_catalogue_is_named(office: Office, column: str) -> None:
    name = f"{uuid('three')}.002"
    sql(office.root / "catalogue.db", f'UPDATE segments SET "{column}" = {CHANGES[column]} WHERE name = "{name}"')  # noqa: S608
    findings = await office.verify(None)
    assert [finding.what for finding in findings] == [f"catalogue: {name}"]
    await office.desk.rebuild(lambda _count: None)
    assert await office.verify(None) == []


async def test_a_row_too_few_or_too_many_is_named(office: Office) -> None:
    gone, kept = f"{uuid('one')}.001", f"{uuid('two')}.001"
    sql(office.root / "catalogue.db", f'DELETE FROM segments WHERE name = "{gone}"')  # noqa: S608
    assert [finding.what for finding in await office.verify(None)] == [f"catalogue: {gone}"]
    sql(office.root / "catalogue.db", f'UPDATE segments SET name = "x.001" WHERE name = "{kept}"')  # noqa: S608
    assert {finding.what for finding in await office.verify(None)} == {
        f"catalogue: {name}" for name in (gone, kept, "x.001")
    }


@pytest.mark.parametrize("value", ["'no time at all'", "''"])
async def test_a_catalogue_that_cannot_be_read_is_named(office: Office, value: str) -> None:
    sql(office.root / "catalogue.db", f"UPDATE segments SET start = {value} WHERE slot = 0")  # noqa: S608
    assert named(await office.verify(None), "catalogue")


@pytest.mark.parametrize("passphrase", [PASSPHRASE, None])
@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.8, 0.97])
async def test_a_flip_in_the_recipients_is_named(office: Office, share: float, passphrase: str | None) -> None:
    path = office.root / "keys/recipients.note"
    flip(path, int(share * path.stat().st_size), bit=1)
    assert named(await office.verify(passphrase), str(path))


@pytest.mark.rule("B-13")
async def test_two_bodies_that_were_swapped_are_both_named(office: Office) -> None:
    one, two = office.segment("three", 1, "agebody"), office.segment("three", 3, "agebody")
    swap(one, two)
    for passphrase in (PASSPHRASE, None):
        assert {finding.what for finding in await office.verify(passphrase)} == {str(one), str(two)}


@pytest.mark.rule("B-13")
async def test_two_slots_that_were_swapped_are_both_named(office: Office) -> None:
    slots = swap_slots(office)
    expected = {f"{office.vault.slots.primary}: slot {slot}" for slot in slots}
    assert {finding.what for finding in await office.verify()} == expected


@pytest.mark.rule("B-13")
async def test_two_manifests_that_were_swapped_are_both_named(office: Office) -> None:
    one, two = office.segment("one", 1, "manifest"), office.segment("three", 3, "manifest")
    swap(one, two)
    findings = await office.verify()
    assert named(findings, str(one), f"is the manifest of {uuid('three')}, segment 3")
    assert named(findings, str(two), f"is the manifest of {uuid('one')}, segment 1")


@pytest.mark.rule("B-13")
async def test_a_lost_manifest_is_named_from_three_sides(office: Office) -> None:
    office.segment("two", 2, "manifest").unlink()
    findings = await office.verify()
    name = f"{uuid('two')}.002"
    assert {finding.what for finding in findings} == {
        str(office.segment("two", 2, "agebody")), f"access log: {name}", f"catalogue: {name}",
    }  # fmt: skip


@pytest.mark.rule("B-13")
async def test_a_lost_body_is_named(office: Office) -> None:
    body = office.segment("two", 2, "agebody")
    body.unlink()
    for passphrase in (PASSPHRASE, None):
        assert {finding.what for finding in await office.verify(passphrase)} == {str(body)}


async def test_a_lost_slot_file_is_named(office: Office) -> None:
    office.vault.slots.mirror.unlink()
    findings = await office.verify()
    assert len(findings) == office.vault.slots.count()
    assert all(str(office.vault.slots.mirror) in finding.what for finding in findings)


@pytest.mark.rule("B-13")
async def test_a_manifest_that_the_log_does_not_know_is_named(office: Office) -> None:
    """Who holds the recorder's key can make a recording, but not a line in the log of that day."""
    path = office.segment("one", 1, "manifest")
    signer = keys.load_signer(office.root / "keys/recorder.key")
    path.write_text(dump(replace(load(path.read_text(), [signer.verifier], ""), caller="110"), signer))
    findings = await office.verify()
    assert named(findings, str(path), "not the manifest that the access log names")


async def test_a_stray_file_is_named(office: Office) -> None:
    stray = office.vault.folder(uuid("one")) / "notes.txt"
    stray.write_text("x")
    assert [finding.what for finding in await office.verify()] == [str(stray)]


async def test_one_recording_can_be_verified_alone(office: Office) -> None:
    flip(office.segment("one", 1, "agebody"), 100)
    flip(office.segment("two", 1, "agebody"), 100)
    opening = by_passphrase(office.desk.keys, PASSPHRASE)
    found = [finding async for finding in office.desk.verify(uuid("two"), opening, lambda _count: None)]
    assert {finding.what for finding in found} == {str(office.segment("two", 1, "agebody"))}


# --- the catalogue ----------------------------------------------------------------------------------------------------


async def table(office: Office) -> tuple[Any, ...]:
    catalogue = office.desk.catalogue
    return await catalogue.segments(), await catalogue.recordings(), await catalogue.call_list()


def call(name: str, **changes: Any) -> CallRecord:
    values: dict[str, Any] = {
        "conversation": uuid(f"{name} conversation"),
        "linkedid": "1775001600.1",
        "arrived": START,
        "answered": START + timedelta(seconds=3),
        "ended": START + timedelta(seconds=60),
        "number": "0664581132",
        "caller": "0312345678",
        "disposition": "answered",
        "recording": uuid(name),
    }
    return CallRecord(**values | changes)


async def write(office: Office, record: CallRecord) -> None:
    journal = Journal(lambda: AccessLog(office.log), office.vault, lambda: START)
    journal.write(record)
    await asyncio.to_thread(journal.close)


async def test_a_rebuilt_catalogue_equals_the_one_that_grew(office: Office) -> None:
    for name in SIDES:
        await write(office, call(name))
        await office.desk.catch_up()
    await write(
        office, call("lost", arrived=START + timedelta(days=1), answered=None, recording=None, disposition="lost")
    )
    await office.desk.catch_up()
    before = await table(office)
    assert (len(before[0]), len(before[1]), len(before[2])) == (6, 3, 4)
    assert await office.desk.rebuild(lambda _count: None) == 6
    assert await table(office) == before
    (office.root / "catalogue.db").unlink()
    engine = store.engine(f"sqlite+aiosqlite:///{office.root}/catalogue.db")
    await store.migrate(engine)
    await engine.dispose()
    anew = await open_office(office.root)
    assert await anew.desk.rebuild(lambda _count: None) == 6
    assert await table(anew) == before
    await anew.desk.close()


async def test_a_damaged_manifest_hides_no_other_recording(office: Office) -> None:
    path = office.segment("two", 1, "manifest")
    flip(path, 200)
    (office.vault.root / "outbox/index" / f"{uuid('two')}.001").touch()
    assert {row["recording"] for row in await office.desk.recordings(Wanted())} == {uuid(name) for name in SIDES}
    assert await office.desk.rebuild(lambda _count: None) == 5
    assert named(await office.verify(), str(path))


async def test_a_damaged_line_hides_no_other_call(office: Office) -> None:
    await write(office, call("one"))
    path = office.vault.root / "calls/2026-04-01.jsonl"
    with path.open("a") as file:
        file.write('{"conversation": "cut off by a full di')
    await write(office, call("two"))
    await office.desk.catch_up()
    with path.open("a") as file:
        file.write("[]\nnull\n{}\n")
    await write(office, call("three"))
    await office.desk.catch_up()
    found = {row["conversation"] for row in await office.desk.catalogue.call_list()}
    assert found == {uuid(f"{name} conversation") for name in SIDES}


async def test_a_line_that_is_being_written_is_taken_when_it_is_whole(office: Office) -> None:
    await write(office, call("one"))
    path = office.vault.root / "calls/2026-04-01.jsonl"
    line = path.read_bytes()
    path.write_bytes(line[:50])
    await office.desk.catch_up()
    assert not await office.desk.catalogue.call_list()
    path.write_bytes(line)
    await office.desk.catch_up()
    await office.desk.catch_up()
    (found,) = await office.desk.catalogue.call_list()
    assert (found["arrived"], found["number"]) == (START, "0664581132")


STEPS = ("route/closed/A-08/x/gate/0664581132", "intake/callback/0312345678/keyed/ja")


async def taken(office: Office) -> Intake:
    """An intake, out of the vault's steps."""
    for number, text in enumerate(STEPS):
        step = said(text)
        assert step is not None
        at = (START + timedelta(seconds=number)).isoformat()
        line = {"key": text, "conversation": uuid("night"), "uniqueid": "pbx1-1", "at": at, "what": step.what}
        (office.vault.root / "steps").mkdir(exist_ok=True)
        callfile.append(office.vault.root / "steps/2026-04-01.jsonl", line | {"values": dict(step.values)})
    (office.vault.root / "kept").mkdir()
    await office.desk.catch_up()
    (row,) = await office.desk.intake.rows()
    return row


async def test_what_was_done_with_an_intake_outlives_the_database(office: Office) -> None:
    row = await taken(office)
    done = await office.desk.keep(row, "給水課", "折り返し済み")
    assert (done.done_at, done.done_by, done.note) == (START + timedelta(hours=2), "給水課", "折り返し済み")
    assert office.entries("intake.done") == [{"by": "給水課"}]
    (office.root / "catalogue.db").unlink()
    again = (await open_office(office.root)).desk
    async with closing(again):
        await store.migrate(again.catalogue.engine)
        await again.rebuild(lambda _count: None)
        assert await again.intake.rows(done=True) == [done]


async def test_an_intake_is_done_once(office: Office) -> None:
    done = await office.desk.keep(await taken(office), "給水課", "x")
    with pytest.raises(UsageError, match="done before"):
        await office.desk.keep(done, "営業課", "y")
    assert len(office.entries("intake.done")) == 1


async def test_what_cannot_be_kept_is_not_said_to_be_done(office: Office) -> None:
    row = await taken(office)
    (office.vault.root / "kept").rmdir()
    with pytest.raises(FileNotFoundError):
        await office.desk.keep(row, "給水課", "x")
    assert await office.desk.intake.rows() == [row]


@pytest.mark.parametrize("folder", ["steps", "kept"])
async def test_a_changed_line_of_steps_or_promises_is_named_and_hides_no_other(office: Office, folder: str) -> None:
    await office.desk.keep(await taken(office), "給水課", "x")
    (path,) = (office.vault.root / folder).glob("*.jsonl")
    path.write_bytes(b"{}\n[]\n" + path.read_bytes().replace(b"callback", b"c\xffllback").replace(b'"x"', b'"y"'))
    named = {finding.what for finding in await office.verify()}
    assert {f"{path}:1", f"{path}:2"} < named
    await office.desk.rebuild(lambda _count: None)
    assert [step["what"] for step in await office.desk.intake.steps_of("pbx1-1")][:1] == ["route"]


async def test_a_call_says_how_soon_it_was_answered(office: Office) -> None:
    await taken(office)
    call = {"conversation": uuid("night"), "arrived": START.isoformat(), "number": "0664581132", "caller": None}
    call |= {"answered": (START + timedelta(seconds=11)).isoformat(), "ended": None, "disposition": None}
    callfile.append(office.vault.root / "calls/2026-04-01.jsonl", call | {"recording": None})
    assert [(call["rings"], call["in_time"]) for call in await office.desk.calls()][-1] == (None, None)
    ring = {"key": "ring", "conversation": uuid("night"), "uniqueid": "pbx1-1", "what": "ring"}
    ring |= {"at": (START + timedelta(seconds=1)).isoformat(), "values": {"rings": "3", "ms": "3000"}}
    callfile.append(office.vault.root / "steps/2026-04-01.jsonl", ring)
    found = next(row for row in await office.desk.calls() if row["conversation"] == uuid("night"))
    assert (found["rings"], found["in_time"], found["rang"]) == (4, False, START + timedelta(seconds=1))


async def test_recordings_are_found_by_the_beginning_of_their_id(office: Office) -> None:
    assert await office.desk.find(uuid("one")[:10].upper()) == uuid("one")
    with pytest.raises(NotFoundError, match="no recording"):
        await office.desk.find("zzz")
    with pytest.raises(NotFoundError, match="give more"):
        await office.desk.find("")
    with pytest.raises(NotFoundError, match="in the vault"):
        office.desk.open(uuid("nothing"), 0, None)


async def test_show_has_parts_with_gaps_and_marks(office: Office) -> None:
    shown = await office.desk.show(uuid("three"))
    assert shown["segments"] == 3
    assert shown["seconds"] == 12
    assert [part["starts_at"] for part in shown["parts"]] == [0, 4, 8]
    assert [part["gap"] for part in shown["parts"]] == [0, 0, 0]
    assert [mark["what"] for mark in shown["parts"][0]["marks"]] == ["joined"]
    assert [mark["what"] for mark in shown["parts"][2]["marks"]] == ["left"]


async def test_the_list_can_be_narrowed(office: Office) -> None:
    assert len(await office.desk.recordings(Wanted(caller="0312345678", number=None))) == 3
    assert not await office.desk.recordings(Wanted(caller="110"))


async def test_the_audit_reads_every_entry(office: Office) -> None:
    office.play("one")
    entries = list(office.desk.audit())
    assert [entry.seq for entry in entries] == list(range(8))
    assert [entry.action for entry in entries[-2:]] == ["play.intent", "play.result"]
    assert [entry.seq for entry in office.desk.audit(6)] == [6, 7]
    notes = checkpoint.read_checkpoints(office.root / "checkpoints", keys.load_verifier(office.root / "keys/log.pub"))
    assert [note.size for note in notes if isinstance(note, checkpoint.Checkpoint)] == [6, 7, 8]
    assert all(json.loads(entry.raw) for entry in entries)


async def test_an_open_segment_is_no_finding_unless_it_is_damaged(office: Office, tmp_path: Path) -> None:
    with ram_folder() as folder:
        identity = keys.unlock(office.root / "keys", 1, PASSPHRASE)
        signer = keys.load_signer(office.root / "keys/recorder.key")
        rig = Rig(office.root, folder, identity=identity, signer=signer, vault=office.vault)
        made = take("live")
        MixMonitor(folder, made.stem, *SIDES["three"]).write(100_000, 100_000)
        life = rig.life()
        work = life.begin(made)
        run(life, work, closed=False)
        assert work.segment is not None
        name = segment_name(made.order.recording, work.segment.meta.number)
        segment = work.segment

        async def ask(question: Mapping[str, Any], _deadline: float) -> dict[str, Any]:
            answers = {"status": {"open": [name]}, "damaged": {"damaged": [str(path) for path in segment.damaged()]}}
            return answers[question["ask"]]

        office.desk._ask = ask
        assert await office.verify() == []
        body = office.vault.folder(made.order.recording) / f"{name}.agebody"
        tail = body.with_suffix(".tail1")
        for path in (body, tail):
            flip(path, 30)
            assert await office.verify() == [Finding(what=str(path), problem=DAMAGED)]
            flip(path, 30)
        office.desk._ask = None
        [finding] = await office.verify()
        assert finding.what.endswith(f"{name}.agebody")
        assert finding.problem == UNFINISHED
        life.die()
