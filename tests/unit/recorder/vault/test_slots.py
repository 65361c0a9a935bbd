"""The key file: a model, a crash at every call, two processes, erasure."""

import os
import stat
import subprocess
import sys
from contextlib import suppress
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder.vault import age
from recorder.vault.disk import Disk
from recorder.vault.errors import SlotErasedError, SlotError
from recorder.vault.slots import MAX_HEADER, SLOT, Finding, Slots

HEADER = age.wrap(bytes(16), [age.Identity.generate().recipient])
OTHER = age.wrap(bytes(16), [age.Identity.generate().recipient, age.Identity.generate().recipient])


def create(folder: Path) -> Slots:
    return Slots.create(folder / "keys.slots", folder / "mirror.slots")


def smudge(path: Path, number: int) -> None:
    fd = os.open(path, os.O_RDWR)
    os.pwrite(fd, b"\xff" * 10, number * SLOT + 100)
    os.close(fd)


def test_layout_and_rights(tmp_path: Path) -> None:
    old = os.umask(0o077)
    try:
        slots = Slots.create(tmp_path / "a", tmp_path / "b", mode=0o660)
    finally:
        os.umask(old)
    assert (slots.append(HEADER), slots.append(OTHER), slots.count()) == (0, 1, 2)
    raw = (tmp_path / "a").read_bytes()
    assert raw == (tmp_path / "b").read_bytes()
    assert len(raw) == 2 * SLOT
    assert raw[:2] == (168).to_bytes(2, "big")
    assert raw[2:170] == HEADER
    assert not any(raw[170:508])
    assert {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in "ab"} == {0o660}
    assert slots.check() == []


def test_what_exists_is_not_created_again(tmp_path: Path) -> None:
    slots = create(tmp_path)
    slots.append(HEADER)
    with pytest.raises(FileExistsError):
        create(tmp_path)
    slots.mirror.unlink()
    with pytest.raises(FileExistsError):
        create(tmp_path)
    assert not slots.mirror.exists()
    assert slots.read(0) == HEADER


@pytest.mark.parametrize("size", [0, MAX_HEADER + 1])
def test_headers_that_do_not_fit(tmp_path: Path, size: int) -> None:
    slots = create(tmp_path)
    with pytest.raises(SlotError):
        slots.append(bytes(size))
    assert slots.count() == 0
    slots.append(bytes([7]) * MAX_HEADER)
    with pytest.raises(SlotError):
        slots.rewrite(0, bytes(size))
    assert slots.read(0) == bytes([7]) * MAX_HEADER


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["append", "rewrite", "wipe", "smudge primary", "smudge mirror"]),
            st.integers(0, 5),
            st.binary(min_size=1, max_size=MAX_HEADER),
        ),
        max_size=14,
    )
)
def test_against_a_model(steps: list[tuple[str, int, bytes]]) -> None:
    with TemporaryDirectory() as name:
        slots = create(Path(name))
        model: list[bytes | None] = []
        for verb, number, header in steps:
            if verb == "append":
                assert slots.append(header) == len(model)
                model.append(header)
            elif number >= len(model):
                with pytest.raises(SlotError):
                    slots.wipe(number) if verb == "wipe" else slots.rewrite(number, header)
            elif verb == "wipe":
                slots.wipe(number)
                model[number] = None
            elif verb == "rewrite" and model[number] is None:
                with pytest.raises(SlotErasedError):
                    slots.rewrite(number, header)
            elif verb == "rewrite":
                slots.rewrite(number, header)
                model[number] = header
            else:
                smudge(slots.primary if verb == "smudge primary" else slots.mirror, number)
                assert [finding.slot for finding in slots.check()] == [number]
                if model[number] is not None:
                    assert slots.read(number) == model[number]
                slots.repair(number)
            assert slots.check() == []
            assert slots.count() == len(model)
        for number, expected in enumerate(model):
            if expected is None:
                with pytest.raises(SlotErasedError):
                    slots.read(number)
            else:
                assert slots.read(number) == expected


class Stopped(BaseException):
    """The process died."""


class Shaky(Disk):
    """Stops before call number `stop`; a write does the part `torn` of itself."""

    def __init__(self, stop: int, torn: float) -> None:
        self.left, self.torn = stop, torn

    def write(self, fd: int, data: memoryview, offset: int) -> int:
        self.left -= 1
        if self.left == 0:
            super().write(fd, data[: int(len(data) * self.torn)], offset)
            raise Stopped
        return super().write(fd, data, offset)

    def sync(self, fd: int) -> None:
        self.left -= 1
        if self.left == 0:
            raise Stopped


@pytest.mark.parametrize("torn", [0.0, 0.1, 0.5, 0.99])
@pytest.mark.parametrize("verb", ["append", "rewrite", "wipe", "repair"])
def test_stopped_at_every_call(tmp_path: Path, verb: str, torn: float) -> None:
    for stop in count(1):
        folder = tmp_path / str(stop)
        folder.mkdir()
        sound = create(folder)
        assert [sound.append(HEADER) for _ in range(3)] == [0, 1, 2]
        if verb == "repair":
            smudge(sound.primary, 1)
        slots = Slots(sound.primary, sound.mirror, disk=Shaky(stop, torn))
        done = False
        with suppress(Stopped):
            match verb:
                case "append":
                    assert slots.append(OTHER) == 3
                case "rewrite":
                    slots.rewrite(1, OTHER)
                case "wipe":
                    slots.wipe(1)
                case _:
                    slots.repair(1)
            done = True
        assert sound.read(0) == sound.read(2) == HEADER
        changed = {finding.slot for finding in sound.check()}
        assert changed <= {3 if verb == "append" else 1}
        if verb == "append":
            number = sound.append(OTHER)
            assert number in ((4,) if done else (3, 4))
            assert sound.read(number) == OTHER
        elif verb == "rewrite":
            assert sound.read(1) == OTHER if done else sound.read(1) in (HEADER, OTHER)
            assert set(sound.copies(1)) <= {HEADER, OTHER}
            sound.rewrite(1, OTHER)
            assert (sound.check(), sound.copies(1)) == ([], [OTHER])
        elif verb == "wipe":
            sound.wipe(1)
            with pytest.raises(SlotErasedError):
                sound.read(1)
            assert sound.check() == []
        else:
            sound.repair(1)
            assert (sound.read(1), sound.check()) == (HEADER, [])
        if done:
            return


@pytest.mark.parametrize("torn", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("deaths", [[2], [2, 2], [2, 4, 6], [1, 2, 1, 3]])
def test_what_is_appended_alone_after_some_deaths_outlives_the_mirrors_return(
    tmp_path: Path, deaths: list[int], torn: float
) -> None:
    """The mirror holds slots that nobody knows of; none may lie where a living one does."""
    sound = create(tmp_path)
    sound.append(HEADER)
    for stop in deaths:
        with suppress(Stopped):
            Slots(sound.primary, sound.mirror, disk=Shaky(stop, torn)).append(HEADER)
    away = sound.mirror.rename(tmp_path / "away")
    number = sound.append_alone(OTHER)
    away.rename(sound.mirror)
    for finding in sound.check():
        with suppress(SlotError):  # torn in one, and in the other not there
            sound.repair(finding.slot)
    assert (sound.read(0), sound.read(number)) == (HEADER, OTHER)
    assert Slots(sound.mirror, sound.primary).read(number) == OTHER


def test_which_of_two_whole_copies_is_right_only_who_holds_the_keys_can_tell(tmp_path: Path) -> None:
    """A second medium that comes back from a backup has the headers of before the keys were changed."""
    sound = create(tmp_path)
    sound.append(HEADER)
    before = sound.mirror.read_bytes()
    sound.rewrite(0, OTHER)
    sound.mirror.write_bytes(before)
    assert sound.check() == [Finding(slot=0, copy="both", what="differ")]
    with pytest.raises(SlotError, match=r"differs from .*, and both are whole"):
        sound.repair(0)
    assert sound.copies(0) == [OTHER, HEADER]
    asked = []
    assert sound.change([0], lambda number, copies: asked.append((number, list(copies)))) == []
    assert asked == [(0, [OTHER, HEADER])]
    assert sound.copies(0) == [OTHER, HEADER], "None: they stay"
    assert sound.change([0], lambda _number, copies: copies[0]) == []
    assert (sound.check(), sound.copies(0)) == ([], [OTHER])


@pytest.mark.parametrize("torn", [0.0, 0.5, 0.99])
@pytest.mark.parametrize("damaged", ["primary", "mirror", None])
def test_many_that_are_changed_at_once_are_whole_in_one_copy_at_any_moment(
    tmp_path: Path, damaged: str | None, torn: float
) -> None:
    for stop in count(1):
        folder = tmp_path / str(stop)
        folder.mkdir()
        sound = create(folder)
        for _ in range(4):
            sound.append(HEADER)
        sound.wipe(3)
        if damaged:
            smudge(getattr(sound, damaged), 1)
        slots, done = Slots(sound.primary, sound.mirror, disk=Shaky(stop, torn)), False
        with suppress(Stopped):
            assert slots.change([0, 1, 3], lambda _number, _copies: OTHER) == []
            done = True
        for number in (0, 1):
            assert set(sound.copies(number)) <= {HEADER, OTHER}
            assert sound.copies(number), f"stopped at call {stop}"
        assert sound.read(2) == HEADER
        with pytest.raises(SlotErasedError):
            sound.read(3)
        if done:
            assert [sound.copies(number) for number in (0, 1)] == [[OTHER], [OTHER]]
            assert sound.check() == []
            return


def test_a_half_wiped_slot_stays_wiped(tmp_path: Path) -> None:
    sound = create(tmp_path)
    sound.append(HEADER)
    with suppress(Stopped):
        Slots(sound.primary, sound.mirror, disk=Shaky(3, 0)).wipe(0)
    assert sound.check() == [Finding(slot=0, copy="both", what="differ")]
    with pytest.raises(SlotErasedError):
        sound.rewrite(0, OTHER)
    sound.repair(0)
    with pytest.raises(SlotErasedError):
        sound.read(0)


def test_wiping_leaves_no_byte_of_the_header(tmp_path: Path) -> None:
    slots = create(tmp_path)
    for _ in range(3):
        slots.append(HEADER)
    slots.wipe(1)
    for path in (slots.primary, slots.mirror):
        raw = path.read_bytes()
        assert not any(raw[SLOT : 2 * SLOT - 4])
        assert raw.count(HEADER) == 2
    assert slots.read(0) == slots.read(2) == HEADER


def test_both_copies_damaged(tmp_path: Path) -> None:
    slots = create(tmp_path)
    slots.append(HEADER)
    smudge(slots.primary, 0)
    smudge(slots.mirror, 0)
    for call in (slots.read, slots.repair, lambda number: slots.rewrite(number, OTHER)):
        with pytest.raises(SlotError, match=f"{slots.primary}, slot 0"):
            call(0)
    assert [(finding.copy, finding.what) for finding in slots.check()] == [
        ("primary", "damaged"),
        ("mirror", "damaged"),
    ]
    for number in (1, -1):
        with pytest.raises(SlotError):
            slots.read(number)


@pytest.mark.parametrize("lost", ["keys.slots", "mirror.slots"])
def test_a_lost_copy_is_read_around_and_rebuilt(tmp_path: Path, lost: str) -> None:
    slots = create(tmp_path)
    for header in (HEADER, OTHER, HEADER):
        slots.append(header)
    slots.wipe(2)
    (tmp_path / lost).unlink()
    assert (slots.read(0), slots.read(1), slots.count()) == (HEADER, OTHER, 3)
    with pytest.raises(FileNotFoundError):
        slots.append(HEADER)
    findings = slots.check()
    assert {(finding.slot, finding.what) for finding in findings} == {(0, "missing"), (1, "missing"), (2, "missing")}
    for finding in findings:
        slots.repair(finding.slot, 0o640)
    assert slots.check() == []
    assert stat.S_IMODE((tmp_path / lost).stat().st_mode) == 0o640
    assert slots.append(OTHER) == 3


def test_processes_do_not_take_the_same_slot(tmp_path: Path) -> None:
    slots = create(tmp_path)
    script = (
        "import sys; from pathlib import Path; from recorder.vault.slots import Slots\n"
        "slots = Slots(Path(sys.argv[1]), Path(sys.argv[2]))\n"
        "for _ in range(40): number = slots.append(sys.argv[3].encode()); print(number)\n"
    )
    arguments = [sys.executable, "-c", script, str(slots.primary), str(slots.mirror)]
    started = [
        subprocess.Popen([*arguments, who], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[4])
        for who in ("one", "two", "three")
    ]
    taken = {process.args[-1]: process.communicate()[0].split() for process in started}  # type: ignore[index]
    assert sorted(int(number) for numbers in taken.values() for number in numbers) == list(range(120))
    for who, numbers in taken.items():
        assert {slots.read(int(number)).decode() for number in numbers} == {who}
    assert slots.check() == []
