"""Calls in and outside the opening hours, as callers hear them: every word is compared with the prompt that it is.

The hours are what 水道局長 decides in the test, or what they are at another time (a gate with another clock); the
dialplan's own are asked for 24 months, by Asterisk's own GotoIfTime.
"""

import asyncio
import contextlib
import os
import random
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from cti.app.clock import wall_clock
from cti.app.desk import book_at, build_desk
from cti.cases.acts import CENTRE as CC
from cti.cases.acts import State
from cti.cases.contact import calling as calling_number
from cti.cases.lists import Line, Wanted
from cti.demo.ear import Ear
from cti.demo.scenarios import Answer, Talk
from cti.demo.sipp import Phone
from cti.desk import closing
from cti.pbxconfig import Decided
from cti.routing.baseline import ZONE
from policies.calendar import JST, midnight
from policies.load import Policies, shipped
from policies.overrides import Overrides, moment
from tests.real import House, a_house

pytestmark = pytest.mark.asyncio(loop_scope="module")

CENTRE = "0664581132"
LINE = "3901"
CREDIT = "0664587160"
RANDOM_MINUTES = 10_000
KEYS = Talk(audio=None, keys=True)


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody outside who hears and presses keys."""

    house: House
    phone: Phone
    ear: Ear

    async def hears(self, *names: str, seconds: float = 30) -> None:
        """Wait until exactly these prompts were heard, in this order, since the call began."""
        folder = self.house.lab.pbx.etc / "prompts/ja"

        def there() -> bool:
            return self.ear.prompts(folder) == list(names)

        try:
            await self.house.lab.until(there, seconds, "")
        except Exception as error:
            raise AssertionError(f"heard {self.ear.prompts(folder)}, not {list(names)}") from error

    async def asked(self, name: str, keys: str) -> None:
        """Press `keys` while prompt `name` asks for them."""
        await self.house.lab.until(lambda: name in self.all(), 40, f"{name} was not heard")
        self.ear.press(keys)

    def all(self) -> list[str]:
        """Every prompt that was heard."""
        return self.ear.prompts(self.house.lab.pbx.etc / "prompts/ja")


@contextlib.asynccontextmanager
async def calling(house: House, to: str = CENTRE, number: str | None = None) -> AsyncIterator[Caller]:
    """Somebody calls `to` and stays on the line until hung up by the PBX, or by the end of this."""
    phone = house.outside(to, number=number) if number else house.outside(to)
    port = 50_000 + 2 * (phone.line.port - 6000)
    phone.role = replace(phone.role, talk=Talk(audio=None, keys=True, media_port=port))  # type: ignore[type-var]
    ear = await Ear.open(port)
    try:
        async with phone:
            yield Caller(house, phone, ear)
    finally:
        ear.close()
        # Whoever was still on, or rang, has gone.
        house.lab.pbx.rx("channel request hangup all")


def close(house: House) -> None:
    house.lab.kikitori("hours", "close", "試験", "--decided-by", "水道局長", "--yes")


def reopen(house: House) -> None:
    for row in house.lab.rows("hours", "override", "list"):
        if row["state"] in ("in force", "to come") and row["reason"] != "laboratory":
            house.lab.kikitori(
                "hours", "override", "revoke", row["id"], "--decided-by", "水道局長", "--reason", "終", "--yes"
            )


async def intake(house: House, number: str) -> dict[str, Any]:
    """The row that `number` left, once it is there."""
    found: list[dict[str, Any]] = []

    def there() -> bool:
        found[:] = [row for row in house.lab.rows("intake", "list") if row["number"] == number]
        return bool(found)

    await house.lab.until(there, 10, f"no intake of {number}")
    return found[-1]


def steps(house: House, row: dict[str, Any]) -> list[str]:
    """What `calls why` says of the call that left `row`, as words."""
    rows = house.lab.rows("calls", "why", row["conversation"])
    return [" ".join(str(row[name]) for name in list(row)[3:]) for row in rows]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house() -> AsyncIterator[House]:
    """A house of its own: what is decided here holds for nobody else."""
    async with a_house() as house:
        yield house


@pytest.fixture
def closed(house: House) -> Iterator[House]:
    """Closed by a decision, for one test."""
    close(house)
    yield house
    reopen(house)


@pytest.mark.rule("A-07", "A-12")
async def test_outside_the_hours_1_leads_to_the_emergency_line_which_is_not_recorded(closed: House) -> None:
    before = set(closed.recordings())
    async with closed.rings(LINE, Answer(talk=KEYS)) as line, calling(closed, number="0312340001") as caller:
        await caller.asked("closed", "1")
        await line.reached("talking", 30)
        await caller.hears("closed", "connecting", seconds=5)
        await line.press("hang up")
    await closed.lab.idle()
    assert set(closed.recordings()) == before
    row = await intake(closed, "0312340001")
    await closed.lab.until(lambda: len(steps(closed, row)) == 5, 10, "not all was told")
    said = steps(closed, row)
    assert re.match(r"route closed A-13 \S+ gate 0664581132", said[0])
    assert said[1:] == [
        "key menu 1",
        "route emergency A-12 urgent menu 0664581132",
        "intake emergency 0312340001 calling ja",
        "line 3901 ANSWER",
    ]
    row = await intake(closed, "0312340001")
    assert (row["kind"], row["answered_by"], row["unanswered"]) == ("emergency", LINE, False)


@pytest.mark.rule("A-12")
async def test_whoever_presses_nothing_reaches_the_emergency_line_too(closed: House) -> None:
    async with closed.rings(LINE, Answer(talk=KEYS)) as line, calling(closed) as caller:
        await line.reached("talking", 60)
        await caller.hears(*("closed", "menu", "menu-english", "again", "menu", "menu-english", "connecting"))
        await line.press("hang up")


@pytest.mark.rule("A-12", "A-22")
async def test_2_says_when_it_opens_and_takes_a_wish_to_be_called_back(closed: House) -> None:
    async with calling(closed, number="0661230002") as caller:
        await caller.asked("closed", "2")
        await caller.asked("callback-offer", "1")
        await caller.asked("your-number-ok", "1")
        await caller.phone.finished(30)
    heard = caller.all()
    assert heard[:2] == ["closed", "next-opening"]
    assert heard[heard.index("your-number") + 1 :][:3] == ["digit-0", "digit-6", "group"]
    assert heard[-2:] == ["taken", "goodbye"]
    row = await intake(closed, "0661230002")
    await closed.lab.until(lambda: closed.lab.rows("intake", "list")[-1]["source"] == "confirmed", 10, "not confirmed")
    assert (row["kind"], row["overdue"]) == ("callback", False)
    hours = closed.lab.decided().hours
    assert row["due"] == str(hours.next_business_day(datetime.fromisoformat(row["at"])))


async def test_a_withheld_caller_keys_a_number_in(closed: House) -> None:
    async with calling(closed, number="anonymous") as caller:
        await caller.asked("closed", "2")
        await caller.asked("callback-offer", "1")
        await caller.asked("enter-number", "0661230003#")
        await caller.asked("entered-number-ok", "1")
        await caller.phone.finished(30)
    row = await intake(closed, "0661230003")
    assert (row["kind"], row["source"]) == ("callback", "keyed")


@pytest.mark.rule("A-12", "A-21")
async def test_an_emergency_line_that_does_not_answer_takes_the_number_and_alarms(closed: House) -> None:
    busy = Answer(talk=None, refuse=486)
    async with calling(closed, number="0661230004") as caller:
        async with closed.rings(LINE, busy):
            await caller.asked("closed", "1")
            await caller.hears("closed", "connecting", "emergency-busy", seconds=20)
        async with closed.rings(LINE, busy):
            await caller.asked("your-number-ok", "1")
            await caller.phone.finished(40)
    heard = caller.all()
    assert heard[:4] == ["closed", "connecting", "emergency-busy", "emergency-failed"]
    assert heard[-2:] == ["taken-urgent", "goodbye"]
    row = await intake(closed, "0661230004")
    await closed.lab.until(lambda: closed.lab.rows("intake", "list")[-1]["source"] == "confirmed", 10, "not confirmed")
    assert (row["kind"], row["unanswered"], row["overdue"]) == ("emergency", True, True)
    await closed.lab.until(
        lambda: "did not answer" in (closed.lab.folder / "service.log").read_text(), 10, "nobody was alarmed"
    )


@pytest.mark.rule("A-21")
async def test_whoever_gives_up_while_the_emergency_line_rings_is_in_need_all_the_same(closed: House) -> None:
    async with closed.rings(LINE, Answer(talk=None)) as line, calling(closed, number="0661230005") as caller:
        await caller.asked("closed", "1")
        await line.reached("ringing", 20)
        await caller.phone.press("hang up")
        await caller.phone.finished(10)
    await closed.lab.until(
        lambda: any(row["number"] == "0661230005" and row["unanswered"] for row in closed.lab.rows("intake", "list")),
        10,
        "nobody was alarmed",
    )


@pytest.mark.rule("A-03", "A-21", "A-22")
async def test_what_the_night_took_is_a_case_and_one_however_often_the_desk_dies(closed: House) -> None:
    """Every call of the tests above, and one more; the desk is killed while it makes cases of them."""
    lab = closed.lab
    async with closed.rings(LINE, Answer(talk=None)) as line, calling(closed, number="0661230006") as caller:
        await caller.asked("closed", "1")
        await line.reached("ringing", 20)
        os.kill(await closed.process("desk"), signal.SIGKILL)
        await caller.phone.press("hang up")
        await caller.phone.finished(10)
    row = await intake(closed, "0661230006")
    os.kill(await closed.process("desk"), signal.SIGKILL)
    lab.kikitori("intake", "done", row["id"][:8], "--done-by", "給水課", "--note", "止水栓を閉めた")
    desk = await build_desk(lab.settings, wall_clock, "test")
    async with closing(desk):
        book = book_at(desk, lab.settings)

        async def found() -> dict[str, Line]:
            return {line.id: line for line in await book.lines(Wanted(), CC, limit=100)}

        async def settled() -> dict[str, Line] | None:
            there, rows = await found(), await desk.intake.rows(done=True)
            done = there.keys() == {one.id for one in rows} and there[row["id"]].state is State.CLOSED
            return there if done else None

        async with asyncio.timeout(30):
            while (there := await settled()) is None:  # noqa: ASYNC110  # another process makes them
                await asyncio.sleep(0.2)
        assert there[row["id"]].inquiry == "止水栓を閉めた"
        assert len(there) == len(await book.lines(Wanted(), CC, limit=100)) >= 2, "none twice"
        for one in await desk.intake.rows():
            line = there[one.id]
            assert (line.state, line.conversation) == (State.OPEN, one.conversation)
            assert line.contact == calling_number(one.number)
            assert line.late(wall_clock()) is one.unanswered
        entered = [entry.object for entry in desk.audit(action="case.entered")]
        assert sorted(entered) == sorted(there), "each has its line in the access log"


async def test_at_the_second_of_the_boundary(house: House) -> None:
    """A decision closes at a second that comes while callers call: those before it reach the centre, the others not."""
    at = (wall_clock().astimezone(JST) + timedelta(seconds=6)).replace(microsecond=0)
    house.lab.kikitori(
        *("hours", "override", "add", "--kind", "closed", "--from", at.isoformat(), "--to"),
        *((at + timedelta(hours=1)).isoformat(), "--reason", "境", "--decided-by", "水道局長", "--yes"),
    )
    try:
        found: dict[int, str] = {}
        for _ in range(12):
            began = wall_clock().astimezone(JST)
            if began > at + timedelta(seconds=3):
                break
            async with calling(house, "0664587211"):
                await asyncio.sleep(0.7)
        await house.lab.idle()
        decided = [
            (float(match[1]), match[2])
            for match in re.finditer(
                r'"KIKITORI","[\d.]+","PJSIP/trunk[^"]*","pbx1-(\d+)\.\d+".*?kikitori/route/(centre|closed)/',
                (Path(house.lab.pbx.site.log_dir) / "cel.csv").read_text(),
            )
        ]
        for second, where in decided[-12:]:
            if abs(second - at.timestamp()) < 15:
                found[int(second - at.timestamp())] = where
                assert (where == "closed") is (second >= at.timestamp()), found
        assert {"centre", "closed"} <= set(found.values())
    finally:
        reopen(house)


@pytest.mark.rule("A-13")
async def test_a_decision_made_while_a_caller_listens_counts_for_the_next_one(house: House) -> None:
    # Not the number of the test before: Asterisk still tries telephones that were not there, which would answer now.
    async with house.call_in(4.0, CREDIT) as live:
        await live.talking()
        close(house)
    async with calling(house, CREDIT) as caller:
        await caller.hears("closed", seconds=15)
    reopen(house)
    async with house.call_in(2.0, CREDIT) as live:
        await live.talking()
    await house.lab.idle()
    house.whole(live.call)


@pytest.mark.rule("C-07", "C-08")
async def test_who_lets_it_ring_more_than_three_times_is_told_so(house: House) -> None:
    house.lab.decide("routing.toml", whisper="true", early_media="true")
    house.lab.pbx.stop()
    house.lab.pbx.decided = house.lab.decided()
    await asyncio.to_thread(house.lab.pbx.start)
    await house.lab.in_step()
    folder = house.lab.pbx.etc / "prompts/ja"
    rung = []
    for port, ring, told in ((49_000, 11.0, ["whisper"]), (49_100, 7.0, []), (49_200, 0.2, [])):
        ear = await Ear.open(port, "127.0.0.1")
        answer = Answer(talk=Talk(audio=None, keys=True, media_port=port), ring=ring)
        async with house.rings("2201", answer) as phone, calling(house, "0664587211") as caller:
            await phone.reached("talking", 30)
            await caller.phone.reached("talking", 10)
            assert ear.prompts(folder) == told
            assert caller.ear.prompts(folder) == (["waiting"] if told else [])
        ear.close()
        await house.lab.idle()
        newest = house.lab.rows("calls", "list")[0]
        rung.append((newest["rings"], newest["in_time"]))
    assert rung == [(4, False), (3, True), (1, True)]
    counted = house.lab.rows("calls", "answering", "--per", "number")
    assert next(row for row in counted if row["number"] == "0664587211")["longest"] == 4


# --- at other times -------------------------------------------------------------------------------------------------


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def alone(house: House) -> AsyncIterator[House]:
    """The house without its service and without decisions: gates with other clocks take its place."""
    await house.lab.stop_service()
    (house.lab.settings.paths.hours / "overrides.jsonl").unlink()
    house.lab.pbx.stop()
    house.lab.pbx.decided = house.lab.decided()
    await asyncio.to_thread(house.lab.pbx.start)
    yield house


INSTANTS = {
    "2026-12-28T19:59:30": "centre", "2026-12-28T20:00": "closed", "2026-12-29T08:59": "closed",
    "2026-12-30T09:00": "centre", "2026-12-31T12:00": "closed", "2027-01-01T16:59": "centre",
    "2027-01-03T10:00": "closed", "2027-01-04T08:00": "centre", "2027-03-07T10:00": "centre",
}  # fmt: skip


@pytest.mark.rule("A-08", "A-09", "A-10", "A-11")
@pytest.mark.parametrize(("at", "where"), INSTANTS.items())
async def test_a_call_at_another_time(alone: House, at: str, where: str) -> None:
    command = (sys.executable, "-m", "tests.asterisk.gate_at", str(alone.lab.config), at)
    gate = await asyncio.create_subprocess_exec(*command, cwd=Path(__file__).parents[2])
    try:
        await alone.lab.until(lambda: _listens(alone.lab.settings.gate.port), 20, "the gate did not come up")
        before = _routes(alone)
        async with calling(alone, "0664587211"):
            await alone.lab.until(lambda: len(_routes(alone)) > len(before), 10, "nothing was decided")
        assert _routes(alone)[len(before) :] == [(where, "gate")]
    finally:
        gate.kill()
        await gate.wait()


@pytest.mark.rule("A-12")
@pytest.mark.parametrize("gate", ["dead", "hung"])
async def test_without_a_gate_the_dialplans_own_hours_decide(alone: House, gate: str) -> None:
    """Hung: it accepts and says nothing, until its watchdog ends it after two seconds."""

    async def hang(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(2)
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", alone.lab.settings.gate.port) if gate == "hung" else None
    try:
        before = _routes(alone)
        now = alone.lab.decided().hours.at(wall_clock().astimezone(JST))
        async with calling(alone) as caller:
            await alone.lab.until(lambda: len(_routes(alone)) > len(before), 5, "nothing was decided")
            assert _routes(alone)[len(before) :] == [("centre" if now.open else "closed", "baseline")]
            if not now.open:
                await caller.hears("closed", seconds=15)
    finally:
        if server is not None:
            server.close()


def _listens(port: int) -> bool:
    return re.search(rf":{port:04X} 0+:0000 0A", Path("/proc/net/tcp").read_text()) is not None


def _routes(house: House) -> list[tuple[str, str]]:
    text = (Path(house.lab.pbx.site.log_dir) / "cel.csv").read_text()
    return re.findall(r"kikitori/route/(\w+)/[^/]*/[^/]*/(gate|baseline)/", text)


# --- the dialplan's own hours ----------------------------------------------------------------------------------------


class Judge:
    """Asterisk, asked through the channel of a caller whom we hold in the gate's place."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def decides(self, calendar: str, instants: Iterable[datetime]) -> list[str]:
        """`centre` or `closed` for each."""
        found = []
        for at in instants:
            for command in (
                f'SET VARIABLE "TESTTIME()" "{at:%Y/%m/%d %H:%M:%S} {ZONE}"',
                f"GOSUB kikitori-hours-{calendar} s 1",
                "GET VARIABLE KIKITORI_ROUTE",
            ):
                self._writer.write(f"{command}\n".encode())
                while (answer := await self._line()).startswith("100"):
                    pass  # it is at it
            found.append(answer.partition("(")[2].partition(")")[0])
        return found

    async def _line(self) -> str:
        # Asterisk answers in two packets, and the second one waits 40 ms for the first one's receipt.
        self._writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return (await self._reader.readline()).decode()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def judge(alone: House) -> AsyncIterator[Judge]:
    """Asterisk's own judgement."""
    held: asyncio.Future[Judge] = asyncio.get_running_loop().create_future()
    over = asyncio.Event()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (await reader.readline()).strip():
            pass
        held.set_result(Judge(reader, writer))
        await over.wait()
        writer.close()

    server = await asyncio.start_server(hold, "127.0.0.1", alone.lab.settings.gate.port)
    async with alone.outside("0664587211") as phone:
        yield await asyncio.wait_for(held, 20)
        await phone.stop()
    over.set()
    server.close()


@pytest.mark.rule("A-08", "A-09", "A-10", "A-11")
@pytest.mark.parametrize("calendar", ["centre", "office"])
async def test_the_dialplan_decides_as_the_policy_at_each_boundary(alone: House, judge: Judge, calendar: str) -> None:
    decided = alone.lab.pbx.decided
    days = [decided.hours.day(decided.on + timedelta(days=number), calendar) for number in range(728)]
    instants = [
        midnight(day.date) + timedelta(seconds=second, minutes=minutes)
        for day in days
        for second in sorted({second for interval in day.intervals for second in interval})
        for minutes in (-1, 0, 1)
    ]
    assert len(instants) > 2500
    assert await judge.decides(calendar, instants) == [_expected(decided, calendar, at) for at in instants]


async def test_the_dialplan_decides_as_the_policy_at_any_minute(alone: House, judge: Judge) -> None:
    decided = alone.lab.pbx.decided
    chance = random.Random(20261126)  # noqa: S311  # minutes, no secret
    first = midnight(decided.on)
    instants = [first + timedelta(minutes=chance.randrange(728 * 24 * 60)) for _ in range(RANDOM_MINUTES)]
    assert await judge.decides("centre", instants) == [_expected(decided, "centre", at) for at in instants]


def _expected(decided: Decided, calendar: str, at: datetime) -> str:
    return "centre" if decided.hours.at(at, calendar).open else "closed"


async def test_the_shipped_policy_is_what_is_judged() -> None:
    at = moment("2026-12-30T08:30")
    assert not Policies(shipped()).opening_hours(Overrides()).at(at).open
