"""Holds of a desk: what is in the log and in the vault, by whom, and what two at once cannot do."""

import asyncio
import contextlib
import errno
import json
import sys
import threading
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cti.errors import FieldError, LogUnavailableError, NotFoundError
from cti.holding import LONGEST, Holding
from policies.load import Policies, shipped
from recorder import callfile
from retention.course import Reason
from retention.errors import HoldError
from retention.holds import Ground
from tests.unit.cti.office import Office
from tests.unit.recorder.rig import START, uuid

ONE, TALK = uuid("one"), uuid("one conversation")


@pytest.fixture
def holding(office: Office) -> Holding:
    return Holding(office.desk, lambda: Policies(shipped()).retention)


def lines(office: Office) -> list[dict[str, Any]]:
    paths = sorted((office.vault.root / "held").glob("*.jsonl"))
    return [json.loads(line) for path in paths for line in path.read_bytes().splitlines()]


@pytest.mark.rule("B-18")
async def test_a_hold_is_in_the_log_and_then_in_the_vault(office: Office, holding: Holding) -> None:
    shown = await holding.by("sato").hold(ONE[:8], Ground.OTHER, " 訴訟の見込み ")
    hold = shown.hold
    assert (hold.conversation, hold.by, hold.ground, hold.reason) == (TALK, "sato", Ground.OTHER, "訴訟の見込み")
    assert (shown.recordings, hold.released, hold.waiting) == ((ONE,), None, None)
    (line,) = lines(office)
    del line["check"]
    assert line == {
        "type": "hold", "id": hold.id, "at": (START + timedelta(hours=2)).isoformat(), "by": "sato",
        "conversation": TALK, "ground": "other", "reason": "訴訟の見込み",
    }  # fmt: skip
    assert office.entries("recording.held") == [{"conversation": TALK, "ground": "other"}]  # no words
    assert not [finding for finding in await office.verify() if "held" in finding.what]


@pytest.mark.rule("B-18")
async def test_another_person_agrees_to_its_release(office: Office, holding: Holding) -> None:
    hold = (await holding.by("sato").hold(ONE, Ground.UNRESOLVED)).hold
    with pytest.raises(HoldError, match="nobody has asked"):
        await holding.by("mori").release(hold.id)
    asked = (await holding.by("sato").ask(hold.id[:6], "和解した")).hold
    assert asked.waiting is not None
    assert asked.waiting.reason == "和解した"
    with pytest.raises(HoldError, match="two persons"):
        await holding.by("sato").release(hold.id)
    over = (await holding.by("mori").release(hold.id)).hold
    assert over.released is not None
    assert (over.released.by, over.released.answered_by) == ("sato", "mori")
    said = {"question": asked.waiting.id, "conversation": TALK, "ground": "unresolved"}
    assert (office.entries("hold.asked"), office.entries("hold.released")) == ([said], [said])
    assert len(lines(office)) == 3  # nothing of what was refused
    assert (await holding.all())[0] == []
    assert [shown.hold for shown in (await holding.all(open_only=False))[0]] == [over]
    assert office.entries("recordings.searched")[-1] == {"by": ["holds"], "found": 1}


async def test_a_question_is_taken_back_and_asked_again(office: Office, holding: Holding) -> None:
    hold = (await holding.hold(ONE, Ground.UNRESOLVED)).hold
    await holding.by("sato").ask(hold.id, "片付いた")
    assert (await holding.by("sato").keep(hold.id)).hold.waiting is None
    with pytest.raises(HoldError, match="nobody has asked"):
        await holding.by("mori").release(hold.id)
    await holding.by("sato").ask(hold.id, "今度こそ")
    over = (await holding.by("mori").release(hold.id)).hold
    assert sorted(str(one.answer) for one in over.questions) == ["kept", "released"]
    assert len(office.entries("hold.kept")) == 1


@pytest.mark.parametrize(
    ("ground", "reason"),
    [(Ground.OTHER, ""), (Ground.OTHER, " \u3000"), (Ground.UNRESOLVED, "x" * (LONGEST + 1)),
     (Ground.UNRESOLVED, "a\nb"), (Ground.UNRESOLVED, "a\x1b[2Jb"), (Ground.UNRESOLVED, "a\u202eb")],
)  # fmt: skip
async def test_a_reason_is_one_line_and_needed_for_another_ground(
    office: Office, holding: Holding, ground: Ground, reason: str
) -> None:
    with pytest.raises(FieldError) as raised:
        await holding.hold(ONE, ground, reason)
    assert raised.value.field == "reason"
    assert lines(office) == office.entries("recording.held") == []


async def test_what_is_not_there_cannot_be_held_or_released(holding: Holding) -> None:
    with pytest.raises(NotFoundError):
        await holding.hold("none", Ground.UNRESOLVED)
    for text in ("", "none"):
        with pytest.raises(NotFoundError, match="no hold"):
            await holding.ask(text, "x")
    for _ in range(17):  # two of them begin alike
        await holding.hold(ONE, Ground.UNRESOLVED)
    first = [shown.hold.id[0] for shown in (await holding.all())[0]]
    with pytest.raises(NotFoundError, match="give more"):
        await holding.release(next(one for one in first if first.count(one) > 1))


@pytest.mark.rule("B-18")
async def test_no_log_line_no_hold(office: Office, holding: Holding, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: Any, **_more: Any) -> None:
        raise LogUnavailableError("full")

    monkeypatch.setattr(office.desk, "log", refuse)
    with pytest.raises(LogUnavailableError):
        await holding.hold(ONE, Ground.UNRESOLVED)
    assert lines(office) == []


async def test_what_the_disk_refuses_is_in_the_log(
    office: Office, holding: Holding, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_path: Path, _values: Mapping[str, Any]) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(callfile, "append", refuse)
    with pytest.raises(OSError, match="No space"):
        await holding.hold(ONE, Ground.UNRESOLVED)
    assert office.entries("hold.failed") == [{"of": "recording.held", "why": "No space left on device"}]


async def test_of_two_who_agree_at_once_the_first_counts(
    office: Office, holding: Holding, monkeypatch: pytest.MonkeyPatch
) -> None:
    together, append = threading.Barrier(4), callfile.append

    def written_together(path: Path, values: Mapping[str, Any]) -> None:
        if values["type"] == "released":
            with contextlib.suppress(threading.BrokenBarrierError):
                together.wait(0.5)  # for all who have looked before anybody wrote
        append(path, values)

    monkeypatch.setattr(callfile, "append", written_together)
    hold = (await holding.hold(ONE, Ground.UNRESOLVED)).hold
    await holding.by("sato").ask(hold.id, "x")
    many = [holding.by(who).release(hold.id) for who in ("mori", "tanaka", "kato", "mori")]
    done = await asyncio.gather(*many, return_exceptions=True)
    assert sum(isinstance(one, HoldError) for one in done) == 3
    assert len(office.entries("hold.released")) == 1
    assert [line["type"] for line in lines(office)] == ["hold", "asked", "released"]


WRITER = """
import asyncio, sys
from pathlib import Path
from cti.holding import Holding
from policies.load import Policies, shipped
from retention.holds import Ground
from tests.unit.cti.office import open_office

async def main():
    office = await open_office(Path(sys.argv[1]))
    holding = Holding(office.desk, lambda: Policies(shipped()).retention)
    for _ in range(10):
        await holding.hold(sys.argv[2], Ground.UNRESOLVED)
    await office.desk.close()

asyncio.run(main())
"""


async def test_two_processes_write_at_once_and_nothing_is_damaged(office: Office, holding: Holding) -> None:
    command = (sys.executable, "-c", WRITER, str(office.root), ONE)
    two = [await asyncio.create_subprocess_exec(*command) for _ in range(2)]
    assert [await one.wait() for one in two] == [0, 0]
    (path,) = (office.vault.root / "held").glob("*.jsonl")
    assert list(callfile.check(path)) == []
    assert len((await holding.holds()).all) == len(office.entries("recording.held")) == 20


async def test_a_changed_line_of_holds_is_named_and_hides_no_other(office: Office, holding: Holding) -> None:
    await holding.hold(ONE, Ground.UNRESOLVED)
    (path,) = (office.vault.root / "held").glob("*.jsonl")
    path.write_bytes(b"{}\n" + path.read_bytes().replace(b"unresolved", b"other"))
    named = {finding.what for finding in await office.verify()}
    assert {f"{path}:1", f"{path}:2"} <= named
    found, unread = await holding.all()
    assert ([shown.hold.ground for shown in found], unread) == ([Ground.OTHER], (f"{path}:1",))


@pytest.mark.rule("B-18")
async def test_the_course_of_a_recording_knows_its_holds(office: Office, holding: Holding) -> None:
    before = await holding.course(ONE[:8])
    assert before.course.erased_at is not None
    await holding.hold(ONE, Ground.UNRESOLVED)
    held = await holding.by("kato").course(ONE)
    assert (held.course.erased_at, held.course.why[-1].reason) == (None, Reason.HELD)
    assert (held.recording, held.conversation, len(held.holds)) == (ONE, TALK, 1)
    assert (await holding.course(uuid("two"))).course.erased_at is not None
    assert len(office.entries("recordings.shown")) == 3


async def test_a_demand_is_held_once_and_its_log_line_is_one(
    office: Office, holding: Holding, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_path: Path, _values: Mapping[str, Any]) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    with monkeypatch.context() as patched:
        patched.setattr(callfile, "append", refuse)
        for _ in range(3):
            with pytest.raises(OSError, match="Read-only"):
                await holding.by("sato").demanded(uuid("demand"), TALK, "案件 12")
    assert lines(office) == []
    await asyncio.gather(*(holding.by("sato").demanded(uuid("demand"), TALK, "案件 12") for _ in range(4)))
    (hold,) = (await holding.holds()).all
    assert (hold.by, hold.ground, hold.reason) == ("sato", Ground.UNJUST_DEMAND, "案件 12")
    assert len(lines(office)) == len(office.entries("recording.held")) == 1
    assert office.entries("hold.failed") == []
