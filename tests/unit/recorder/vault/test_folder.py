"""The vault's folder: names, files that are whole or absent, and who is still to be told."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from recorder.vault import folder as folder_module
from recorder.vault.age import unwrap
from recorder.vault.disk import Disk
from recorder.vault.errors import SlotErasedError
from recorder.vault.folder import segment_name, write_new
from recorder.vault.slots import SLOT, Slots
from tests.unit.recorder.rig import RATE, Rig, noise, ram_folder, record, take, uuid


@pytest.fixture
def rig() -> Iterator[Rig]:
    with ram_folder() as folder:
        yield Rig(folder / "vault", folder / "spool")


def test_a_new_file_is_whole_has_its_mode_and_is_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "a.manifest"
    write_new(path, b"first", 0o640)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    with pytest.raises(FileExistsError):
        write_new(path, b"second", 0o640)
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_crash_left_half_written_does_not_stop_the_next_attempt(tmp_path: Path) -> None:
    (tmp_path / ".a.manifest.new").write_bytes(b"half of a much longer manifest")
    write_new(tmp_path / "a.manifest", b"whole", 0o640)
    assert [path.name for path in tmp_path.iterdir()] == ["a.manifest"]
    assert (tmp_path / "a.manifest").read_bytes() == b"whole"


def test_a_crash_between_the_two_names_does_not_open_the_first_file_again(tmp_path: Path) -> None:
    path = tmp_path / "a.manifest"
    write_new(path, b"durable", 0o640)
    (tmp_path / ".a.manifest.new").hardlink_to(path)  # killed between link and unlink
    with pytest.raises(FileExistsError):
        write_new(path, b"another", 0o640)
    assert path.read_bytes() == b"durable"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_in_the_place_of_the_temporary_is_not_followed(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"other")
    (tmp_path / ".a.new").symlink_to(other)
    write_new(tmp_path / "a", b"mine", 0o640)
    assert (other.read_bytes(), (tmp_path / "a").read_bytes()) == (b"other", b"mine")


def test_a_full_disk_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_new(tmp_path / "a", b"x", 0o640)
    assert not list(tmp_path.iterdir())


def test_the_content_is_durable_before_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def noting(name: str) -> None:
        real = getattr(os, name)

        def call(*args: object) -> object:
            done.append(name)
            return real(*args)

        monkeypatch.setattr(os, name, call)

    for name in ("fsync", "link"):
        noting(name)
    write_new(tmp_path / "a", b"x", 0o640)
    assert done == ["fsync", "link", "fsync"]


def test_segments_are_found_in_their_order_beyond_999(rig: Rig) -> None:
    folder = rig.writer().prepare(uuid("x"))
    for number in (1000, 2, 999, 1):
        (folder / f"{segment_name(uuid('x'), number)}.manifest").touch()
    (folder / f"{uuid('x')}.1001.agebody").touch()
    (folder / f"{uuid('y')}.001.manifest").touch()
    assert [path.name.split(".")[1] for path in rig.vault.manifests_of(uuid("x"))] == ["001", "002", "999", "1000"]
    assert rig.vault.numbers(uuid("x")) == {1, 2, 999, 1000, 1001}
    assert rig.vault.free_number(uuid("x")) == 3
    assert rig.vault.free_number(uuid("never seen")) == 1


def test_the_key_is_durable_before_anything_else_and_no_two_are_alike(rig: Rig) -> None:
    keys = [rig.writer().new_key() for _ in range(3)]
    assert [key.slot for key in keys] == [0, 1, 2]
    assert len({key.file_key for key in keys}) == 3
    assert rig.vault.slots.check() == []
    for key in keys:
        assert unwrap(rig.vault.slots.read(key.slot), [rig.identity]) == key.file_key


class Sick(Disk):
    """Takes what is written to `paths`, and says that it could not; nor does it take it back, unless it `cuts`."""

    def __init__(self, *paths: Path, cuts: bool = False) -> None:
        self.paths, self.cuts, self.well = paths, cuts, False

    def _fail(self, fd: int) -> None:
        if not self.well and any(os.path.samestat(os.fstat(fd), path.stat()) for path in self.paths):
            raise OSError(5, "Input/output error")

    def sync(self, fd: int) -> None:
        self._fail(fd)
        super().sync(fd)

    def cut(self, fd: int, size: int) -> None:
        if not self.cuts:
            self._fail(fd)
        super().cut(fd, size)


def test_tries_on_a_disk_with_errors_leave_no_slots(rig: Rig) -> None:
    before = rig.writer().new_key()
    disk = Sick(rig.vault.slots.primary, rig.vault.slots.mirror, cuts=True)
    rig.vault.slots = Slots(rig.vault.slots.primary, rig.vault.slots.mirror, disk=disk)
    writer = rig.writer()
    for _ in range(20):
        with pytest.raises(OSError, match="Input/output error"):
            writer.new_key()
    disk.well = True
    key = writer.new_key()
    assert (before.slot, key.slot) == (0, 1)
    assert rig.vault.slots.check() == []
    assert unwrap(rig.vault.slots.read(key.slot), [rig.identity]) == key.file_key


def test_what_a_sick_mirror_took_and_denied_is_erased_there_when_it_is_well(rig: Rig) -> None:
    disk = Sick(rig.vault.slots.mirror)
    rig.vault.slots = Slots(rig.vault.slots.primary, rig.vault.slots.mirror, disk=disk)
    writer = rig.writer()
    keys = [writer.new_key() for _ in range(2)]
    assert writer.mirror_trouble is not None
    assert "differ" in {finding.what for finding in rig.vault.slots.check()}
    disk.well = True
    assert writer.mend_mirror() == 4
    assert rig.vault.slots.check() == []
    assert writer.mirror_trouble is None
    with pytest.raises(SlotErasedError):
        rig.vault.slots.read(0)
    for key in keys:
        assert unwrap(rig.vault.slots.read(key.slot), [rig.identity]) == key.file_key
    assert writer.mend_mirror() == 0


def damage(path: Path, slot: int) -> None:
    data = bytearray(path.read_bytes())
    data[slot * SLOT + 100] ^= 1
    path.write_bytes(data)


def test_a_damaged_copy_is_mended_from_the_whole_one_and_one_dead_slot_does_not_stop_the_rest(rig: Rig) -> None:
    keys = [rig.writer().new_key() for _ in range(4)]
    slots = rig.vault.slots
    for path, slot in ((slots.primary, 0), (slots.mirror, 0), (slots.primary, 1), (slots.mirror, 2)):
        damage(path, slot)
    writer = rig.writer()
    assert writer.mend_mirror() == 2
    assert [(finding.slot, finding.what) for finding in slots.check()] == [(0, "damaged"), (0, "damaged")]
    for key in keys[1:]:
        assert unwrap(slots.read(key.slot), [rig.identity]) == key.file_key
    assert writer.mend_mirror() == 0


@pytest.mark.parametrize("copy", ["primary", "mirror"])
def test_a_lost_slot_file_is_not_made_anew_behind_anybodys_back(rig: Rig, copy: str) -> None:
    rig.writer().new_key()
    path: Path = getattr(rig.vault.slots, copy)
    path.unlink()
    assert rig.writer().mend_mirror() == 0
    assert not path.exists()


@pytest.mark.rule("B-12")
def test_a_body_is_the_recorders_alone_until_its_manifest_is_written(rig: Rig) -> None:
    made = take()
    life = rig.life()
    work = life.begin(made)
    rig.spool_root.joinpath("audio", f"{made.stem}-r.sln").write_bytes(noise("l", 4 * RATE))
    rig.spool_root.joinpath("audio", f"{made.stem}-t.sln").write_bytes(noise("r", 4 * RATE))
    life.sealer.step(work)
    (body,) = (rig.vault.root / "segments").rglob("*.agebody")
    assert stat.S_IMODE(body.stat().st_mode) == 0o600
    life.sealer.seal(work, None)
    assert stat.S_IMODE(body.stat().st_mode) == 0o640
    assert stat.S_IMODE(rig.vault.manifest_path(made.order.recording, 1).stat().st_mode) == 0o640
    life.die()


def test_both_outboxes_know_before_the_manifest_is_there(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(path: Path, data: bytes, mode: int) -> None:
        name = path.name.removesuffix(".manifest")
        assert rig.vault.waiting("log") == rig.vault.waiting("index") == [name]
        write_new(path, data, mode)

    monkeypatch.setattr(folder_module, "write_new", check)
    record(rig, "call", noise("l", RATE), noise("r", RATE))
    (name,) = rig.vault.waiting("log")
    rig.vault.told("log", name)
    rig.vault.told("log", name)
    assert rig.vault.waiting("log") == []
    assert rig.vault.waiting("index") == [name]
