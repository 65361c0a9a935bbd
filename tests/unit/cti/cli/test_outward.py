"""`kikitori outward`: what waits, what was given up, and what somebody does about it."""

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cti.app.desk import book_at, build_desk, sending_at
from cti.cases import sealing
from cti.cases.acts import CONTRACTOR, Channel, Note, Register
from cti.desk import closing
from cti.outward import signing
from cti.settings import FILE, load
from tests.unit.cti.cli.conftest import Kikitori
from tests.unit.cti.outward.receiver import Receiver, receiving

AT = datetime(2027, 4, 1, 1, tzinfo=UTC)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@pytest.fixture
def portal(house: Path, receiver: Receiver) -> Receiver:
    """The receiver, named in the policy of the house."""
    (house / "secret").write_text(signing.made(b"k" * 32))
    (house / "house/policies/outward.toml").write_text(
        'basis = "B-04"\ndecided_by = "課長"\neffective_from = 2025-12-01\n'
        f'[[destination]]\nname = "portal"\nurl = "{receiver.url}"\nsecret_file = "{house / "secret"}"\n'
        "give_up_after = 1\n",
        "utf-8",
    )
    return receiver


def told(house: Path, *, hours: int = 0) -> None:
    """The desk enters a case, and tells it; `hours` later once more."""

    async def work() -> None:
        settings = load(house / "house" / FILE, {}).settings
        key = settings.paths.keys / sealing.FILE
        if not key.exists():
            key.write_bytes(sealing.generate())
        clock = [AT]
        async with closing(await build_desk(settings, lambda: clock[0], "desk")) as desk:
            book = book_at(desk, settings)
            act = {"at": AT, "by": "gyosha", "unit": CONTRACTOR}
            await book.enter([
                Register(**act, channel=Channel.PHONE, received_by=CONTRACTOR, received_at=AT, inquiry="断水の予定"),
                Note(**act, text="家の裏"),
            ])  # fmt: skip
            sending = sending_at(desk, settings, book, lambda: clock[0])
            for _ in range(2 if hours else 1):
                await sending.look()
                await sending.settled()
                clock[0] += timedelta(hours=hours)

    asyncio.run(work())


def test_nothing_is_told_where_nobody_is_named(kikitori: Kikitori, house: Path) -> None:
    assert kikitori("outward", "list").out == "No destination: outward.toml names none.\n"
    said = kikitori("outward", "test", "portal")
    assert (said.status, "no destination 'portal'" in said.err) == (66, True)


def test_a_destination_is_tried_and_what_it_does_not_take_waits(
    kikitori: Kikitori, house: Path, portal: Receiver
) -> None:
    assert kikitori("outward", "list").out == "Everything is told.\n"
    assert kikitori("outward", "test", "portal").out == "portal took it.\n"
    portal.answer = lambda _request: (503, b"secret words of theirs")
    said = kikitori("outward", "test", "portal")
    assert (said.status, said.out) == (69, "portal did not take it: HTTP 503\n")
    assert json.loads(kikitori("outward", "test", "portal", "--json").out) == {
        "destination": "portal", "problem": "HTTP 503",
    }  # fmt: skip
    told(house)
    (row,) = [json.loads(line) for line in kikitori("outward", "list", "--json").out.splitlines()]
    assert (row["case"], row["told"], row["acts"], row["error"], row["dead"]) == (1, 0, 2, "HTTP 503", False)
    assert "HTTP 503" in kikitori("outward", "list").out
    assert kikitori("outward", "list", "--dead", "--json").out == ""


def test_what_was_given_up_is_replayed_or_left_out(kikitori: Kikitori, house: Path, portal: Receiver) -> None:
    portal.answer = lambda _request: (422, b"")
    told(house, hours=3)
    assert "given up" in kikitori("outward", "list", "--dead").out
    assert json.loads(kikitori("outward", "replay", "portal", "--case", "9", "--json").out)["cases"] == 0
    assert kikitori("outward", "skip", "portal", "1").out == "Left out: act 1 of case 1.\n"
    skipped = json.loads(kikitori("audit", "list", "--action", "outward.skipped", "--json").out)
    assert (skipped["object"], skipped["detail"]) == ("portal", {"number": 1, "act": 1})
    said = kikitori("outward", "skip", "portal", "1")
    assert (said.status, "nothing of case 1 is in the way" in said.err) == (66, True)
    assert kikitori("outward", "replay", "portal").out == "Tried again: 0 cases.\n"
    assert json.loads(kikitori("audit", "list", "--action", "outward.replayed", "--json").out.splitlines()[0])


@pytest.mark.rule("E-08")
def test_an_exchange_folder_is_tried_filled_and_what_is_in_the_way_is_listed(kikitori: Kikitori, house: Path) -> None:
    folder = house / "exchange"
    (house / "house/policies/outward.toml").write_text(
        'basis = "B-04"\ndecided_by = "課長"\neffective_from = 2025-12-01\n'
        f'[[destination]]\nname = "exchange"\nkind = "folder"\nfolder = "{folder}"\n',
        "utf-8",
    )
    said = kikitori("outward", "test", "exchange")
    assert (said.status, "No such file or directory" in said.out) == (69, True)
    told(house)
    (row,) = [json.loads(line) for line in kikitori("outward", "list", "--json").out.splitlines()]
    assert (row["destination"], row["error"]) == ("exchange", f"{folder}: No such file or directory")
    folder.mkdir()
    assert kikitori("outward", "test", "exchange").out == "exchange took it.\n"
    assert list(folder.iterdir()) == []


def test_a_new_secret_is_one(kikitori: Kikitori) -> None:
    first, second = (kikitori("outward", "secret").out for _ in range(2))
    assert len(signing.secret(first)) == 32
    assert first != second
