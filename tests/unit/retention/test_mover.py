"""To the second medium: whole or not at all, and at every moment there is a copy that is the one it was."""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from policies.calendar import JST
from policies.load import Policies, shipped
from recorder.vault import second, shred
from recorder.vault.folder import body_name
from recorder.vault.manifest import dump, load
from recorder.vault.second import Copy, Folder, Moved, SecondMediumError
from retention.holds import Holds
from retention.mover import Fate, Mover, Outcome
from retention.period import after, day_of, over
from retention.plan import Plan
from tests.unit.recorder.rig import RATE, Rig, noise, ram_folder, record, uuid

POLICY = Policies(shipped()).retention
DUE = datetime(2026, 10, 2, tzinfo=JST)
DIGEST = Folder.digest
LEFT, RIGHT = noise("left", 9 * RATE), noise("right", 9 * RATE)


class StoppedError(BaseException):
    """The process died."""


@dataclass
class House:
    """A vault with recordings, and somebody who moves them."""

    rig: Rig
    now: datetime = DUE
    lines: list[tuple[str, str, Mapping[str, Any]]] = field(default_factory=list)
    bytes: int = 0

    @property
    def second(self) -> Path:
        return self.rig.root / "mirror/segments"

    def mover(self) -> Mover:
        return Mover(
            self.rig.vault, [self.rig.signer.verifier], lambda: Plan(POLICY, Holds(), self.now), self.tell, self.count
        )

    def tell(self, lines: Sequence[tuple[str, str, Mapping[str, Any]]]) -> None:
        self.lines += lines

    def count(self, size: int) -> None:
        self.bytes += size

    def move(self, *names: str) -> list[Outcome]:
        return self.mover().move([uuid(name) for name in names], "act")

    def fates(self, *names: str) -> list[Fate]:
        return [outcome.fate for outcome in self.move(*names)]

    def first_bodies(self, name: str) -> list[Path]:
        return sorted(self.rig.vault.folder(uuid(name)).glob(f"{uuid(name)}.*.agebody"))

    def second_bodies(self, name: str) -> list[Path]:
        return sorted(self.second.glob(f"*/{uuid(name)}.*.agebody"))

    def whole(self, name: str) -> bool:
        return hashlib.sha256(self.rig.sound(uuid(name))).digest() == HEARD[name]


HEARD: dict[str, bytes] = {}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with ram_folder() as spool:
        rig = Rig(tmp_path, spool)
        record(rig, "one", LEFT, RIGHT)
        record(rig, "two", RIGHT, LEFT, breaks=2)
        for name in ("one", "two"):
            HEARD[name] = hashlib.sha256(rig.sound(uuid(name))).digest()
        yield House(rig)


@pytest.mark.rule("B-16")
def test_it_is_there_as_it_was_and_gone_from_here(house: House) -> None:
    before = {path.name: path.read_bytes() for path in house.first_bodies("two")}
    assert len(before) == 3
    (one, two) = house.move("one", "two")
    assert (one.fate, two.fate, two.segments) == (Fate.MOVED, Fate.MOVED, 3)
    assert two.size == sum(map(len, before.values()))
    assert house.first_bodies("two") == house.first_bodies("one") == []
    assert {path.name: path.read_bytes() for path in house.second_bodies("two")} == before
    assert house.whole("one")
    assert house.whole("two")
    manifests = {path.name: path.read_bytes() for path in house.rig.vault.manifests_of(uuid("two"))}
    assert {path.name: path.read_bytes() for path in house.second.glob(f"*/{uuid('two')}.*.manifest")} == manifests
    assert house.bytes >= 2 * (one.size + two.size), "written, and read back"


@pytest.mark.rule("B-16", "B-08")
def test_the_log_has_the_intent_first_and_what_became_of_each(house: House) -> None:
    house.move("one", "two")
    (intent, *results) = house.lines
    assert intent == ("move.intent", "pbx1", {"act": "act", "recordings": [uuid("one"), uuid("two")]})
    assert [(action, about, detail["outcome"]) for action, about, detail in results] == [
        ("move.result", uuid("one"), "moved"), ("move.result", uuid("two"), "moved"),
    ]  # fmt: skip


@pytest.mark.rule("B-15", "B-16")
def test_nothing_leaves_before_its_day_whoever_asks(house: House) -> None:
    house.now = DUE - timedelta(microseconds=1)
    assert house.fates("one", "two") == [Fate.NOT_DUE, Fate.NOT_DUE]
    assert house.lines == []
    assert len(house.first_bodies("two")) == 3
    assert not house.second.exists()


@pytest.mark.rule("B-15")
def test_what_is_over_altogether_does_not_stay_here_either(house: House) -> None:
    house.now = datetime(2027, 4, 2, tzinfo=JST)
    assert house.fates("one") == [Fate.MOVED]


@pytest.mark.rule("B-16")
def test_the_first_medium_is_no_second_one(house: House) -> None:
    house.second.symlink_to(house.rig.vault.root / "segments")
    with pytest.raises(SecondMediumError, match="no folder of its own"):
        house.move("one")
    assert house.whole("one")


@pytest.mark.rule("B-16")
@pytest.mark.parametrize(("link", "fate"), [(Path.symlink_to, Fate.MOVED), (Path.hardlink_to, Fate.FAILED)])
def test_a_link_to_the_first_body_is_no_copy_of_it(house: House, link: Callable[..., None], fate: Fate) -> None:
    (body,) = house.first_bodies("one")
    there = house.second / uuid("one")[:2] / body.name
    there.parent.mkdir(parents=True)
    link(there, body)
    assert house.fates("one") == [fate]
    assert body.exists() is (fate is Fate.FAILED)
    assert house.whole("one")
    assert not there.is_symlink()


def test_a_folder_of_somebody_else_s_is_no_second_medium(house: House) -> None:
    house.second.mkdir()
    if os.geteuid() == 0:
        os.chown(house.second, 12345, -1)
        with pytest.raises(SecondMediumError, match="whoever has it can take recordings away"):
            house.move("one")
        assert len(house.first_bodies("one")) == 1


@pytest.mark.rule("B-16")
def test_a_medium_that_goes_away_in_the_middle_takes_nothing_with_it(house: House) -> None:
    sign, away = house.rig.root / "mirror/keys.slots", house.rig.root / "away"

    def count(_size: int) -> None:
        if sign.exists():
            sign.rename(away)

    mover = Mover(
        house.rig.vault, [house.rig.signer.verifier], lambda: Plan(POLICY, Holds(), DUE), house.tell, count
    )  # fmt: skip
    outcomes = mover.move([uuid("one"), uuid("two")], "act")
    assert [one.fate for one in outcomes] == [Fate.FAILED, Fate.FAILED]
    assert (len(house.first_bodies("one")), len(house.first_bodies("two"))) == (1, 3)
    away.rename(sign)
    assert house.fates("one", "two") == [Fate.MOVED, Fate.MOVED]


@pytest.mark.rule("B-16")
def test_a_medium_that_is_away_has_lost_nothing(house: House) -> None:
    house.move("one")
    said = len(house.lines)
    (house.rig.root / "mirror/keys.slots").rename(house.rig.root / "away")
    with pytest.raises(SecondMediumError):
        house.move("one")
    assert len(house.lines) == said


def test_what_lies_on_neither_medium_is_said_to(house: House) -> None:
    (body,) = house.first_bodies("one")
    body.unlink()
    (one, two) = house.move("one", "two")
    assert (one.fate, one.problem, two.fate) == (Fate.FAILED, f"{body.name} lies on neither medium", Fate.MOVED)


@pytest.mark.rule("B-15")
def test_the_latest_end_counts_and_a_clock_that_was_set_back_makes_nothing_older(house: House) -> None:
    paths = house.rig.vault.manifests_of(uuid("two"))
    ends = []
    for path, late in zip(paths, (timedelta(), timedelta(hours=20), timedelta()), strict=True):
        made = load(path.read_text(), [house.rig.signer.verifier], str(path))
        # The clock was set back in the middle: it ended before it began.
        changed = replace(made, start=made.start + late, end=made.start - timedelta(hours=5))
        ends.append(changed.start + timedelta(seconds=changed.frames / changed.rate))
        path.chmod(0o640)
        path.write_text(dump(changed, house.rig.signer))
    last = over(after(day_of(max(ends)), 6))
    assert last > DUE
    house.now = last - timedelta(microseconds=1)
    assert house.fates("two") == [Fate.NOT_DUE]
    house.now = last
    assert house.fates("two") == [Fate.MOVED]


@pytest.mark.rule("B-16")
def test_a_copy_is_durable_before_it_has_its_name_and_read_back_before_the_first_goes(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    def noted(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **more: Any) -> Any:
            if "agebody" in str(args[0]) or name.startswith("sync"):
                done.append(name)
            return real(*args, **more)

        return call

    monkeypatch.setattr(os, "rename", noted("rename", os.rename))
    monkeypatch.setattr(os, "unlink", noted("unlink", os.unlink))
    monkeypatch.setattr(Folder, "digest", lambda self, *args: done.append("read") or DIGEST(self, *args))
    for module in (second, shred):
        monkeypatch.setattr(module, "sync_all", noted(f"sync {module.__name__[15:]}", module.sync_all))
    house.move("one", "two")
    assert [name for number, name in enumerate(done) if done[number - 1 : number] != [name]] == [
        "unlink",  # what an earlier try left half-written
        "sync second", "rename", "sync second", "read", "unlink", "read", "unlink", "sync shred",
    ]  # fmt: skip
    assert done.count("read") == 4


def test_an_old_copy_that_cannot_be_read_is_made_anew(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    (path,) = house.first_bodies("one")
    there = house.rig.vault.second.path(path.name)  # type: ignore[attr-defined]
    there.parent.mkdir(parents=True)
    there.write_bytes(b"old")
    tried: list[str] = []

    def digest(self: Folder, name: str, source: Path, moved: Moved) -> str | None:
        tried.append(name)
        if len(tried) == 1:
            raise OSError(5, "Input/output error", name)
        return DIGEST(self, name, source, moved)

    monkeypatch.setattr(Folder, "digest", digest)
    assert house.fates("one") == [Fate.MOVED]
    assert house.whole("one")


@pytest.mark.parametrize("name", ["", "../../etc", "x" * 36, uuid("one").upper(), f"{uuid('one')}\n", "*" * 36])
def test_what_is_no_recording_is_unknown(house: House, name: str) -> None:
    (found,) = house.mover().move([name], "act")
    assert (found.fate, house.lines) == (Fate.UNKNOWN, [])
    assert house.fates("nobody") == [Fate.UNKNOWN]


def test_asked_twice_it_is_there(house: House) -> None:
    house.move("one")
    assert house.fates("one", "one") == [Fate.THERE]
    assert house.lines[-1][2]["outcome"] == "there"


def test_a_body_that_is_damaged_stays_and_the_others_go(house: House) -> None:
    (path,) = house.first_bodies("one")
    flip(path)
    (one, two) = house.move("one", "two")
    assert (one.fate, two.fate) == (Fate.FAILED, Fate.MOVED)
    assert one.problem is not None
    assert one.problem.startswith(f"{path.name} is not what its manifest says")
    assert house.first_bodies("one") == [path]
    assert house.second_bodies("one") == []
    assert house.lines[1][2]["outcome"].startswith("failed: ")


def test_a_manifest_that_nobody_signed_moves_nothing(house: House) -> None:
    manifest = house.rig.vault.manifest_path(uuid("one"), 1)
    manifest.chmod(0o640)
    manifest.write_text(manifest.read_text().replace('"end": "2026', '"end": "2025'))
    (one,) = house.move("one")
    assert (one.fate, len(house.first_bodies("one"))) == (Fate.FAILED, 1)


def test_one_that_cannot_even_be_looked_at_does_not_hold_up_the_others(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    (path,) = house.first_bodies("one")
    looking = Path.stat

    def refuse(self: Path, **more: Any) -> os.stat_result:
        if self == path:
            raise OSError(117, "Structure needs cleaning", str(self))
        return looking(self, **more)

    monkeypatch.setattr(Path, "stat", refuse)
    (one, two) = house.move("one", "two")
    assert (one.fate, one.problem, two.fate) == (Fate.FAILED, f"{path}: Structure needs cleaning", Fate.MOVED)


@pytest.mark.rule("B-16")
def test_an_older_copy_that_is_not_the_same_is_made_anew(house: House) -> None:
    (path,) = house.first_bodies("one")
    there = house.rig.vault.second.path(path.name)  # type: ignore[attr-defined]
    there.parent.mkdir(parents=True)
    there.write_bytes(b"something else")
    assert house.fates("one") == [Fate.MOVED]
    assert house.whole("one")


@pytest.mark.rule("B-16")
def test_a_medium_that_gives_other_bytes_than_it_took_gets_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = Folder.take

    def take(self: Folder, copies: Sequence[Copy], moved: Moved) -> list[str]:
        wrong = honest(self, copies, moved)
        for copy in copies:
            if copy.name.endswith("agebody"):
                flip(self.path(copy.name))
        return wrong

    monkeypatch.setattr(Folder, "take", take)
    (one,) = house.move("one")
    assert one.fate is Fate.FAILED
    assert one.problem is not None
    assert "is not the one that its manifest names" in one.problem
    assert len(house.first_bodies("one")) == 1
    assert house.whole("one")


def test_an_empty_mount_point_is_no_medium(house: House) -> None:
    away = house.rig.root / "mirror/keys.slots"
    away.rename(house.rig.root / "away")
    with pytest.raises(SecondMediumError, match="is empty: mount it"):
        house.move("one")
    assert (house.second.exists(), house.lines) == (False, [])
    (house.rig.root / "away").rename(away)
    assert house.fates("one") == [Fate.MOVED]


def test_a_medium_without_room_gets_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    (path,) = house.first_bodies("one")
    monkeypatch.setattr(Folder, "room", lambda _self: path.stat().st_size - 1)
    with pytest.raises(SecondMediumError, match="it has room for"):
        house.move("one")
    assert (house.second.exists(), house.lines, house.first_bodies("one")) == (False, [], [path])


def test_one_that_cannot_be_read_does_not_hold_up_the_others(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    (path,) = house.first_bodies("one")
    reading = Path.open

    def refuse(self: Path, *args: Any, **more: Any) -> Any:
        if self == path:
            raise OSError(5, "Input/output error", str(self))
        return reading(self, *args, **more)

    monkeypatch.setattr(Path, "open", refuse)
    (one, two) = house.move("one", "two")
    assert (one.fate, one.problem, two.fate) == (Fate.FAILED, f"{path}: Input/output error", Fate.MOVED)


def test_a_log_that_takes_no_intent_moves_nothing(house: House) -> None:
    def refuse(_lines: object) -> None:
        raise OSError("full")

    mover = Mover(house.rig.vault, [house.rig.signer.verifier], lambda: Plan(POLICY, Holds(), DUE), refuse, house.count)
    with pytest.raises(OSError, match="full"):
        mover.move([uuid("one")], "act")
    assert len(house.first_bodies("one")) == 1
    assert not house.second.exists()


CALLS = ("fsync", "open", "posix_fadvise", "unlink", "rename", "mkdir", "link")


def died(at: int, monkeypatch: pytest.MonkeyPatch, work: Callable[[], object]) -> bool:
    """Whether `work` was killed at its system call `at`; after its death it does nothing more."""
    made = 0

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **more: Any) -> Any:
            nonlocal made
            made += 1
            if made > at:
                raise StoppedError
            return real(*args, **more)

        return call

    with monkeypatch.context() as patched:
        for name in CALLS:
            patched.setattr(os, name, counted(getattr(os, name)))
        try:
            work()
        except StoppedError:
            return True
    return False


@pytest.mark.rule("B-16")
def test_killed_at_any_moment_nothing_is_lost_and_the_next_try_ends_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = 0
    while died(at, monkeypatch, lambda: house.move("one", "two")):
        for name in ("one", "two"):
            assert house.whole(name), f"killed at {at}"
        at += 1
    assert at > 20, "each round went a step further, over what those before had left"
    assert house.fates("one", "two") == [Fate.THERE, Fate.THERE]
    assert not list(house.second.glob("*/.*")), "nothing half-written is left"


@pytest.mark.rule("B-16")
@pytest.mark.parametrize("at", range(60))
def test_killed_once_and_done_again(house: House, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    died(at, monkeypatch, lambda: house.move("one", "two"))
    for name in ("one", "two"):
        assert house.whole(name)
    assert set(house.fates("one", "two")) <= {Fate.MOVED, Fate.THERE}
    for name in ("one", "two"):
        assert house.first_bodies(name) == []
        assert house.whole(name)
    names = [body_name(uuid("one"), 1), *(body_name(uuid("two"), number) for number in (1, 2, 3))]
    assert sorted(path.name for path in house.second.glob("*/*.agebody")) == sorted(names)
    assert not list(house.second.glob("*/.*"))


def flip(path: Path) -> None:
    path.chmod(0o640)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
