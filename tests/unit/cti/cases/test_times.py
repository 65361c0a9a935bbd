"""How long customers wait: equal to what is counted by hand of a fixed set of cases and calls (A-01)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert

from cti.cases.acts import CENTRE, CONTRACTOR, Channel, Close, Outcome, Register, Reopen, Reply, Result
from cti.cases.times import Handled, Spread, Times, by_channel, spread
from cti.intake import steps
from recorder.catalogue import calls, plain
from tests.unit.cti.cases.test_book import Shelf
from tests.unit.recorder.rig import uuid

FIRST, LAST = datetime(2027, 3, 31, 15, tzinfo=UTC), datetime(2027, 4, 30, 15, tzinfo=UTC)
NOON = datetime(2027, 4, 5, 3, tzinfo=UTC)
ENTERED = NOON + timedelta(days=20)


@pytest.mark.rule("A-01")
@pytest.mark.parametrize(
    ("seconds", "fewest", "wanted"),
    [
        ([], 1, None), ([], 0, None), ([60], 1, Spread(median=60, p90=60)), ([60], 2, None),
        ([1, 3], 1, Spread(median=2, p90=3)), ([5, 1, 3], 3, Spread(median=3, p90=5)),
        (list(range(10, 0, -1)), 5, Spread(median=6, p90=9)), (list(range(1, 21)), 5, Spread(median=10, p90=18)),
    ],
)  # fmt: skip
def test_half_and_nine_of_ten(seconds: list[float], fewest: int, wanted: Spread | None) -> None:
    assert spread(seconds, fewest) == wanted


@pytest.mark.rule("A-01")
def test_the_day_is_that_of_japan() -> None:
    def of(received: str, replied: str) -> bool:
        at = datetime.fromisoformat
        return Handled(
            channel="phone", received_at=at(received), replied_at=at(replied), ended=False, reopened=False
        ).same_day

    assert of("2027-04-05T14:59:00+00:00", "2027-04-05T14:59:59+00:00")
    assert not of("2027-04-05T14:59:00+00:00", "2027-04-05T15:00:00+00:00")
    assert of("2027-04-05T15:00:00+00:00", "2027-04-06T14:59:00+00:00")


def test_of_few_no_time_is_given() -> None:
    few = [
        Handled(channel="fax", received_at=NOON, replied_at=NOON, ended=True, reopened=False) for _number in range(4)
    ]
    assert by_channel(few, 5) == {"fax": Times(cases=4, answered=4, same_day=None, reply=None, ended=4, reopened=0)}
    assert by_channel(few, 4)["fax"].same_day == 4


async def entered(
    shelf: Shelf, channel: Channel, *answers: timedelta, close: bool = False, again: bool = False
) -> None:
    """A case that came in at NOON, and was answered so much later."""
    shelf.at = ENTERED
    by = CENTRE if channel is Channel.FAX else CONTRACTOR
    acts = [shelf.act(Register, channel=channel, received_by=by, received_at=NOON, inquiry="x")]
    acts += [shelf.act(Reply, channel=channel, answered_at=NOON + wait) for wait in answers]
    if close:
        acts += [shelf.act(Result, outcome=Outcome.ANSWERED, text="済"), shelf.act(Close)]
    if again:
        acts += [shelf.act(Reopen, reason="まだ"), shelf.act(Reply, channel=channel)]
    await shelf.book().enter(acts)


@pytest.mark.rule("A-01")
async def test_a_month_is_measured_as_by_hand(shelf: Shelf) -> None:
    hours = [timedelta(hours=wait) for wait in (1, 2, 3, 13, 30)]
    await entered(shelf, Channel.PHONE, hours[0], close=True)
    await entered(shelf, Channel.PHONE, hours[1], close=True, again=True)  # the first answer counts
    await entered(shelf, Channel.PHONE, hours[2], hours[4])
    await entered(shelf, Channel.PHONE, hours[3])  # at one in the morning
    await entered(shelf, Channel.PHONE, hours[4])
    await entered(shelf, Channel.PHONE)
    await entered(shelf, Channel.FAX, hours[0], close=True)
    found = await shelf.book().month(FIRST, LAST, fewest=5)
    assert found["times"] == {
        "fax": Times(cases=1, answered=1, same_day=None, reply=None, ended=1, reopened=0),
        "phone": Times(
            cases=6, answered=5, same_day=3, reply=Spread(median=3 * 3600, p90=30 * 3600), ended=2, reopened=1
        ),
    }
    assert (await shelf.book().month(LAST, LAST + timedelta(days=30)))["times"] == {}


async def rang(shelf: Shelf, name: str, at: datetime, answer: int | None, talk: int = 0, what: str = "ring") -> None:
    """A call that rang `at`, and was answered so many seconds later."""
    answered = at + timedelta(seconds=answer) if answer is not None else None
    call: dict[str, Any] = {
        "conversation": uuid(name), "arrived": plain(at), "answered": plain(answered), "pbx": "pbx1",
        "ended": plain(answered + timedelta(seconds=talk) if answered else at + timedelta(seconds=90)),
    }  # fmt: skip
    step = {"conversation": uuid(name), "uniqueid": name, "what": what, "values": {}, "pbx": "pbx1"}
    async with shelf.engine.begin() as connection:
        await connection.execute(insert(calls).values(**call))
        for place in (0, 30):  # a second group rings later: the first ring counts
            await connection.execute(
                insert(steps).values(**step, key=f"{name}.{place}", at=plain(at + timedelta(seconds=place)))
            )


@pytest.mark.rule("A-01")
async def test_calls_are_measured_as_by_hand(shelf: Shelf) -> None:
    for name, answer, talk in (("a", 3, 60), ("b", 6, 120), ("c", 9, 180), ("d", 40, 600), ("e", 5, 90)):
        await rang(shelf, name, NOON, answer, talk)
    await rang(shelf, "nobody", NOON, None)
    await rang(shelf, "before", FIRST - timedelta(seconds=1), 1, 1)
    await rang(shelf, "after", LAST, 1, 1)
    await rang(shelf, "closed", NOON, 1, 1, what="menu")
    found = (await shelf.book().month(FIRST, LAST, fewest=5))["calls"]
    assert (found.rang, found.answered) == (6, 5)
    assert (found.answer, found.talk) == (Spread(median=6, p90=40), Spread(median=120, p90=600))
    few = (await shelf.book().month(FIRST, LAST, fewest=6))["calls"]
    assert (few.rang, few.answered, few.answer, few.talk) == (6, 5, None, None)
