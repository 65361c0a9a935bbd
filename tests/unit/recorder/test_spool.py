"""The spool: only in RAM, memory given back behind what was taken, closings seen, one's own not mistaken for one."""

import errno
import json
import os
import re
import select
from collections.abc import Iterator
from pathlib import Path

import pytest

from recorder.spool import RESERVE, Name, Spool, SpoolError, Watch, check_ram
from tests.unit.recorder.rig import RAM, RATE, MixMonitor, noise, ram_folder, take

NO_SWAP = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
SWAP = NO_SWAP + "/dev/sda2                               partition\t8388604\t\t0\t\t-2\n"
ZRAM = NO_SWAP + "/dev/zram0                              partition\t8388604\t\t0\t\t100\n"
ROOT = "27 1 259:1 / / rw,relatime shared:1 - ext4 /dev/root rw,discard"
STEM = "am-abc"


def table(*mounts: tuple[str, str, str]) -> str:
    lines = [
        f"{40 + number} 27 0:{number} / {point} rw,nosuid shared:{number} master:3 - {kind} source rw,{options}"
        for number, (point, kind, options) in enumerate(mounts)
    ]
    return "\n".join([ROOT, *lines]) + "\n"


TMPFS = ("/srv/kikitori/spool", "tmpfs", "size=1024k")
NOSWAP = ("/srv/kikitori/spool", "tmpfs", "size=1024k,noswap")
SPOOL = Path("/srv/kikitori/spool")

ACCEPTED = {
    "tmpfs": (SPOOL, table(TMPFS), NO_SWAP),
    "ramfs, which is never swapped": (SPOOL, table(("/srv/kikitori/spool", "ramfs", "mode=755")), SWAP),
    "tmpfs noswap with swap": (SPOOL, table(NOSWAP), SWAP),
    "swap is compressed RAM": (SPOOL, table(TMPFS), ZRAM),
    "a folder below": (SPOOL / "a/b", table(TMPFS), NO_SWAP),
    "RAM on a disk on RAM": (SPOOL, table(("/srv", "xfs", "x"), TMPFS), NO_SWAP),
    "the outer mount is listed last": (SPOOL, table(TMPFS, ("/srv", "xfs", "x")), NO_SWAP),
    "a blank in the name": (Path("/srv/a b/spool"), table(("/srv/a\\040b/spool", "tmpfs", "x")), NO_SWAP),
    "a tab and a backslash": (Path("/srv/a\tb\\c"), table(("/srv/a\\011b\\134c", "tmpfs", "x")), NO_SWAP),
    "mounted over a disk": (SPOOL, table(("/srv/kikitori/spool", "xfs", "x"), TMPFS), NO_SWAP),
}
REFUSED = {
    "disk": (SPOOL, table(), NO_SWAP, "ext4.*mount -t tmpfs"),
    "a disk below RAM": (SPOOL, table(("/srv", "tmpfs", "x"), ("/srv/kikitori", "xfs", "x")), NO_SWAP, "xfs"),
    "RAM beside it": (SPOOL, table(("/srv/kikitori/spool2", "tmpfs", "x")), NO_SWAP, "ext4"),
    "RAM below it": (SPOOL, table(("/srv/kikitori/spool/audio", "tmpfs", "x")), NO_SWAP, "ext4"),
    "a disk mounted over RAM": (SPOOL, table(TMPFS, ("/srv/kikitori/spool", "xfs", "x")), NO_SWAP, "xfs"),
    "swap": (SPOOL, table(TMPFS), SWAP, "/dev/sda2.*noswap"),
    "swap beside zram": (SPOOL, table(TMPFS), ZRAM + "/swapfile file 1 0 -3\n", "/swapfile"),
    "noswap is no part of a word": (SPOOL, table(("/srv/kikitori/spool", "tmpfs", "notnoswap")), SWAP, "swapped"),
    "an overlay": (SPOOL, table(("/srv", "overlay", "x")), NO_SWAP, "overlay"),
}


@pytest.mark.rule("B-12")
@pytest.mark.parametrize("case", ACCEPTED)
def test_ram_is_accepted(case: str) -> None:
    check_ram(*ACCEPTED[case])


@pytest.mark.rule("B-12")
@pytest.mark.parametrize("case", REFUSED)
def test_what_a_disk_could_hold_is_refused(case: str) -> None:
    folder, mounts, swaps, words = REFUSED[case]
    with pytest.raises(SpoolError) as refused:
        check_ram(folder, mounts, swaps)
    assert str(folder) in str(refused.value)
    assert re.search(words, str(refused.value), re.DOTALL)


def test_this_machine_is_judged_by_its_own_tables(tmp_path: Path) -> None:
    mounts = Path("/proc/self/mountinfo").read_text()
    check_ram(RAM, mounts, NO_SWAP)
    with pytest.raises(SpoolError):
        check_ram(Path("/proc/self"), mounts, NO_SWAP)
    assert tmp_path


@pytest.fixture
def spool() -> Iterator[Spool]:
    with ram_folder() as folder:
        for name in ("audio", "open"):
            (folder / name).mkdir()
        made = Spool(folder)
        yield made
        for handle in made._files.values():
            os.close(handle)


def blocks(spool: Spool) -> int:
    return sum(spool.path(STEM, side, RATE).stat().st_blocks * 512 for side in "rt")


def test_punching_gives_the_memory_back_and_reading_behind_it_goes_on(spool: Spool) -> None:
    left, right = noise("l", 100_000), noise("r", 100_000)
    monitor = MixMonitor(spool.root, STEM, left, right)
    monitor.write(160_000, 160_000)
    before = blocks(spool)
    assert spool.punch(STEM, RATE, 50_001) == 98_304, "whole pages below 100,002 bytes"
    assert before - blocks(spool) == 2 * 98_304
    assert spool.size(STEM, "r", RATE) == 80_000
    assert spool.read(STEM, "r", RATE, 50_001, 100) == left[100_002:100_202]
    assert spool.read(STEM, "r", RATE, 49_152, 5) == left[98_304:98_314]
    assert spool.read(STEM, "r", RATE, 0, 49_152) == bytes(98_304)
    monitor.write(40_000, 40_000)
    assert spool.size(STEM, "t", RATE) == 100_000
    assert spool.read(STEM, "t", RATE, 80_000, 50_000) == right[160_000:]
    assert spool.punch(STEM, RATE, 100_000) == 196_608
    assert blocks(spool) == 2 * 4096
    assert spool.punch(STEM, RATE, 100) == 0


def test_an_odd_byte_is_no_sample(spool: Spool) -> None:
    spool.path(STEM, "r", RATE).write_bytes(b"abc")
    assert spool.size(STEM, "r", RATE) == 1
    assert spool.read(STEM, "r", RATE, 0, 1) == b"ab"
    assert spool.size(STEM, "t", RATE) is None
    assert spool.read(STEM, "t", RATE, 0, 5) == b""


def events(watch: Watch) -> list[tuple[str, str, bool]]:
    select.select([watch.fileno()], [], [], 0.5)
    return [(name.stem, name.side, closed) for name, closed in watch.events()]


def quiet(watch: Watch) -> bool:
    return not select.select([watch.fileno()], [], [], 0)[0] and not watch.events()


def test_the_watch_tells_what_began_and_what_was_closed(spool: Spool) -> None:
    watch = Watch(spool)
    with spool.path(STEM, "r", RATE).open("wb") as file:
        assert events(watch) == [(STEM, "r", False)]
        file.write(bytes(4096))
        file.flush()
        assert quiet(watch)
    assert events(watch) == [(STEM, "r", True)]
    (spool.audio / "notes.txt").write_text("not ours")
    assert events(watch) == []
    watch.close()


def test_the_watch_tells_which_runs_grew_and_wakes_nobody_for_it(spool: Spool) -> None:
    watch = Watch(spool)
    with spool.path(STEM, "r", RATE).open("wb") as file:
        assert events(watch) == [(STEM, "r", False)]
        assert watch.grown() == set()
        for _ in range(2):
            file.write(bytes(4096))
            file.flush()
            assert quiet(watch)
            assert watch.grown() == {STEM.partition("-")[2]}
            assert watch.grown() == set()
    watch.close()


def test_where_the_kernel_lost_count_every_run_may_have_grown(spool: Spool) -> None:
    watch = Watch(spool)
    most = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    # Events that repeat the one before are one: two files in turn.
    with spool.path(STEM, "r", RATE).open("wb") as left, spool.path(STEM, "t", RATE).open("wb") as right:
        for number in range(most + 2):
            os.pwrite((left, right)[number % 2].fileno(), b"x", 0)
    assert watch.grown() is None
    assert watch.grown() == set()
    watch.close()


def test_our_own_reading_and_punching_looks_like_no_closing(spool: Spool) -> None:
    watch = Watch(spool)
    with spool.path(STEM, "r", RATE).open("wb") as file:
        file.write(bytes(1 << 20))
        file.flush()
        assert events(watch) == [(STEM, "r", False)]
        spool.size(STEM, "r", RATE)
        spool.read(STEM, "r", RATE, 0, 100)
        spool.punch(STEM, RATE, 1 << 18)
        assert quiet(watch)
    assert events(watch) == [(STEM, "r", True)]
    watch.close()


def test_removing_leaves_nothing_and_may_be_repeated(spool: Spool) -> None:
    MixMonitor(spool.root, STEM, b"ab", b"cd").write()
    assert list(spool.stems("am")) == [STEM]
    assert not spool.stems("fb")
    spool.size(STEM, "r", RATE)
    for _ in range(2):
        spool.remove(STEM, RATE)
    assert not spool.stems("am")
    assert not spool._files


def test_what_is_saved_is_for_the_recorder_alone_and_comes_back(spool: Spool) -> None:
    one, two = take("one"), take("two")
    for made in (one, two, one):
        spool.save(made)
    assert sorted(values["id"] for values in spool.saved()) == sorted([one.id, two.id])
    assert next(iter(spool.saved())) in [json.loads(json.dumps(made.to_dict())) for made in (one, two)]
    assert {path.stat().st_mode & 0o777 for path in spool.open.iterdir()} == {0o600}
    spool.forget(one.id)
    spool.forget(one.id)
    assert [path.name for path in spool.open.iterdir()] == [f"{two.id}.json"]


def test_a_file_that_a_crash_left_half_written_is_not_read(spool: Spool) -> None:
    (spool.open / ".x.new").write_text('{"id": ')
    assert list(spool.saved()) == []


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("am-0af3-r.sln", Name(starter="am", run="0af3", side="r", extension="sln")),
        ("fb-1775001600.12-t.sln16", Name(starter="fb", run="1775001600.12", side="t", extension="sln16")),
        ("fb-1.2_3-r.sln", Name(starter="fb", run="1.2_3", side="r", extension="sln")),
    ],
)  # fmt: skip
def test_names_are_read(text: str, name: Name) -> None:
    assert Name.parse(text) == name
    assert text == f"{name.stem}-{name.side}.{name.extension}"


def test_a_name_tells_rate_and_channel() -> None:
    name = Name.parse("fb-1775001600.12_1775001601-t.sln16")
    assert name is not None
    assert (name.uniqueid, name.rate) == ("1775001600.12", 16000)


@pytest.mark.parametrize(
    "text", ["am--r.sln", "am-x-q.sln", "xx-x-r.sln", "am-x-r.wav", "am-../x-r.sln", ".am-x-r.sln", "am-x-r.sln.new"]
)
def test_other_names_are_not_ours(text: str) -> None:
    assert Name.parse(text) is None


def test_free_is_less_than_all(spool: Spool) -> None:
    free, whole = spool.free()
    assert 0 < free <= whole


def test_a_spool_has_one_recorder(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    first = Spool(tmp_path)
    assert first.lock()
    assert not Spool(tmp_path).lock()
    os.close(first._held)
    assert Spool(tmp_path).lock()


def test_a_full_spool_still_takes_the_file_beside_the_sound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "open").mkdir()
    spool = Spool(tmp_path)
    spool.keep_reserve()
    reserve = tmp_path / "open/.reserve"
    assert reserve.stat().st_blocks * 512 >= RESERVE
    write = os.open

    def full(path: str | Path, flags: int, mode: int = 0o777) -> int:
        if reserve.exists():
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return write(path, flags, mode)

    monkeypatch.setattr(os, "open", full)
    made = take("call")
    spool.save(made)
    assert [values["id"] for values in spool.saved()] == [made.id]
