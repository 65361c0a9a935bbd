"""A folder that others reach: one file a case, whole or not at all, whatever is in the way; and never a formula."""

import asyncio
import csv
import io
import os
import stat
import subprocess
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from python_calamine import CalamineWorkbook

from cti.cases.acts import Accept, Channel, Note, Reach, Reply
from cti.cases.model import fold
from cti.outward import folder
from cti.outward.sending import try_once
from policies.outward import Destination, Outward
from tests.unit.cti.cases.test_book import NUMBER
from tests.unit.cti.outward.test_sending import Post, post

__all__ = ["post"]
pytestmark = pytest.mark.rule("E-01", "E-08")

IDS = ["case", "act", "at", "kind", "unit", "main", "next_at"]


def to(post: Post, **more: Any) -> Path:
    place = post.folder / "exchange"
    place.mkdir()
    post.destinations.append(Destination(name="exchange", kind="folder", folder=str(place), **more))
    return place


def read(file: Path) -> list[list[str]]:
    return list(csv.reader(io.StringIO(file.read_bytes().decode("utf-8-sig"), newline="")))


async def waits(post: Post) -> Sequence[str | None]:
    return [one.error for one in await post.queue.waiting(post.one("exchange"))]


async def test_a_file_is_the_history_of_its_case_and_names_nobody(post: Post) -> None:
    place = to(post)
    kept = await post.shelf.handed_over()
    await post.round()
    (file,) = place.iterdir()
    assert (file.name, stat.S_IMODE(file.stat().st_mode)) == (f"case-{kept.number}.csv", 0o640)
    head, *rows = read(file)
    assert head == IDS
    assert [row[3] for row in rows] == ["register", "reach", "consent", "assign", "hand-over"]
    assert [row[1] for row in rows] == list("12345")
    assert [row[5] for row in rows] == ["", "", "", "kyusui", "kyusui"]
    assert rows[-1][6].endswith("+09:00")
    before = file.stat().st_ino
    await post.close(kept.number)
    for _ in range(2):
        await post.round()
    assert [row[3] for row in read(file)[6:]] == ["accept", "reply", "result", "close"]
    assert file.stat().st_ino != before, "replaced, not written into"
    text = file.read_bytes().decode()
    assert not [name for name in ("山田", "06-6458", "検針票", "gyosha") if name in text]
    assert [entry for entry in post.shelf.told if entry[1] == "case.told"] == []
    assert await waits(post) == []
    assert [one.name for one in place.iterdir()] == [file.name]


async def test_a_file_that_says_everything_does_and_the_log_says_of_what(post: Post) -> None:
    place = to(post, content="full")
    kept = await post.shelf.handed_over()
    await post.shelf.book().add(kept.number, [post.shelf.act(Note, text="=HYPERLINK(\"http://x\")"),
                                              post.shelf.act(Reach, contact=NUMBER)])  # fmt: skip
    await post.round()
    head, *rows = read(place / f"case-{kept.number}.csv")
    assert head == [*IDS, "by", "text"]
    assert "検針票" in rows[0][8]
    assert rows[5][8] == '\'=HYPERLINK("http://x")'
    assert rows[6][8].endswith("06-6458-1132")
    (told,) = [entry for entry in post.shelf.told if entry[1] == "case.told"]
    assert told[3] == {"act": 7, "acts": [1, 2, 3, 4, 5, 6, 7], "destination": "exchange"}


async def test_a_workbook_holds_the_same(post: Post) -> None:
    place = to(post, form="xlsx", content="full")
    kept = await post.shelf.handed_over()
    await post.round()
    with CalamineWorkbook.from_path(place / f"case-{kept.number}.xlsx") as book:
        rows = book.get_sheet_by_index(0).to_python()
    assert rows[0] == [*IDS, "by", "text"]
    assert [row[3] for row in rows[1:]] == ["register", "reach", "consent", "assign", "hand-over"]


async def test_only_what_is_wanted_is_told(post: Post) -> None:
    place = to(post, events=["hand-over", "close"], sections=["kyusui"])
    kept = await post.shelf.handed_over()
    await post.shelf.enter()
    await post.round()
    file = place / f"case-{kept.number}.csv"
    assert [one.name for one in place.iterdir()] == [file.name]
    written = file.stat().st_ino
    await post.shelf.book().add(kept.number, [post.shelf.act(Note, text="確認")])
    await post.round()
    assert (file.stat().st_ino, await waits(post)) == (written, []), "a note is not told, so nothing is written"
    await post.close(kept.number)
    await post.round()
    assert [row[3] for row in read(file)[1:]] == ["hand-over", "close"]


async def test_what_is_in_the_way_is_said_and_tried_again(post: Post) -> None:
    place = to(post)
    kept = await post.shelf.handed_over()
    place.rmdir()
    await post.round()
    assert await waits(post) == [f"{place}: No such file or directory"]
    place.mkdir()
    await post.round()
    assert list(place.iterdir()) == [], "not before it is time"
    post.shelf.at += timedelta(seconds=6)
    await post.round()
    assert (place / f"case-{kept.number}.csv").exists()
    assert await waits(post) == []


async def test_a_disk_that_is_full_leaves_the_file_of_before(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    place = to(post)
    kept = await post.shelf.handed_over()
    await post.round()
    file = place / f"case-{kept.number}.csv"
    before = file.read_bytes()
    await post.close(kept.number)

    def full(_file: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        await post.round()
    assert (file.read_bytes(), [one.name for one in place.iterdir()]) == (before, [file.name])
    assert await waits(post) == ["No space left on device"]
    post.shelf.at += timedelta(seconds=6)
    await post.round()
    assert len(read(file)) == 10


@pytest.mark.parametrize("where", ["itself", "above"])
async def test_nothing_is_put_behind_a_symbolic_link(post: Post, where: str) -> None:
    place = to(post)
    elsewhere = post.folder / "elsewhere"
    (elsewhere / "inner").mkdir(parents=True)
    if where == "itself":
        place.rmdir()
        place.symlink_to(elsewhere)
    else:
        (post.folder / "link").symlink_to(elsewhere)
        one = Destination(name="exchange", kind="folder", folder=str(post.folder / "link/inner"))
        post.destinations[:] = [one]
    await post.shelf.handed_over()
    await post.round()
    (error,) = await waits(post)
    assert "symbolic link" in str(error)
    assert [one.name for one in elsewhere.rglob("*")] == ["inner"]
    assert "symbolic link" in str(await try_once(post.one("exchange"), "pbx1", post.shelf.at))


async def test_a_link_in_the_place_of_a_file_is_replaced_and_not_followed(post: Post) -> None:
    place = to(post)
    secret = post.folder / "passwd"
    secret.write_text("root")
    (place / "case-1.csv").symlink_to(secret)
    kept = await post.shelf.handed_over()
    assert kept.number == 1
    await post.round()
    assert (secret.read_text(), (place / "case-1.csv").is_symlink()) == ("root", False)


async def test_a_folder_is_tried_before_it_counts(post: Post) -> None:
    place = to(post)
    assert await try_once(post.one("exchange"), "pbx1", post.shelf.at) is None
    assert list(place.iterdir()) == []
    place.rmdir()
    assert "No such file" in str(await try_once(post.one("exchange"), "pbx1", post.shelf.at))


KILLED = """
import os, sys
from cti.outward import folder
def replace(*_a, **_k): os.kill(os.getpid(), 9)
if sys.argv[2] == "before": os.rename = replace
folder._replace(os.open(sys.argv[1], os.O_RDONLY), "case-1.csv", b"new" * 100_000)
os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("when", ["before", "after"])
async def test_who_is_killed_leaves_no_half_of_a_file_and_nothing_piles_up(post: Post, when: str) -> None:
    place = to(post)
    (place / "case-1.csv").write_bytes(b"old")
    left = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", KILLED, str(place), when], check=False)
    assert left.returncode == -9
    assert (place / "case-1.csv").read_bytes() == (b"old" if when == "before" else b"new" * 100_000)
    assert len(list(place.iterdir())) == (2 if when == "before" else 1)
    folder.tidy(post.one("exchange"), post.shelf.at)
    rests = [one for one in place.iterdir() if one.name.startswith(".")]
    for one in rests:
        os.utime(one, (0, 0))
    folder.tidy(post.one("exchange"), post.shelf.at)
    assert [one.name for one in place.iterdir()] == ["case-1.csv"]


async def test_another_folder_or_form_is_another_destination(post: Post) -> None:
    place = to(post)
    kept = await post.shelf.handed_over()
    await post.round()
    post.destinations[:] = [Destination(name="exchange", kind="folder", folder=str(place), form="xlsx")]
    await post.shelf.book().add(kept.number, [post.shelf.act(Note, text="確認")])
    await post.round()
    assert sorted(one.suffix for one in place.iterdir()) == [".csv", ".xlsx"]


async def test_who_takes_it_out_of_the_policy_ends_it(post: Post) -> None:
    place = to(post)
    await post.shelf.handed_over()
    sender, named = post.sender(), post.sender()._policy()
    answers = [named, Outward(basis="B-04", decided_by="x", effective_from="2025-12-01")]
    sender._policy = lambda: answers.pop(0) if answers else named
    await post.round(sender)
    assert list(place.iterdir()) == []


@pytest.mark.rule("A-46")
async def test_what_was_sent_when_nobody_asked_for_a_check_is_told_as_it_was(post: Post) -> None:
    place = to(post)
    kept = await post.shelf.handed_over()
    at = kept.case.last_at + timedelta(hours=1)
    acts = (*kept.case.history, Accept(at=at, by="kyusui", unit="kyusui"),
            Reply(at=at, by="kyusui", unit="kyusui", channel=Channel.LETTER, wish="文書で"))  # fmt: skip
    old = fold(acts, kept.case.id)
    (destination,) = post.destinations
    folder.put(destination, kept.number, folder.wanted(old, destination))
    (file,) = place.iterdir()
    assert [row[3] for row in read(file)[-2:]] == ["accept", "reply"]
