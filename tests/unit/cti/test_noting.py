"""Whether the 所管課 was told: the caller waits for that, and for nobody who is not there."""

import asyncio

import pytest

from cti import noting
from cti.noting import MOST, Notices

pytestmark = [pytest.mark.asyncio, pytest.mark.rule("E-13")]

CALLER = {"uniqueid": "pbx1-1.1", "section": "kyusui"}


class Copies:
    def __init__(self) -> None:
        self.times = 0

    async def __call__(self) -> None:
        self.times += 1


async def desk(notices: Notices) -> "asyncio.Task[dict[str, object]]":
    """One that asks, and waits."""
    task = asyncio.create_task(notices.waiting({}))
    await asyncio.sleep(0)
    return task


async def test_who_waits_is_told_to_the_desk_at_once_and_then_to_the_gate() -> None:
    copies = Copies()
    notices = Notices(copies)
    asking = await desk(notices)
    assert await notices.noted(CALLER) == {"noted": "wait"}
    assert copies.times == 1, "what the PBX wrote lies where the desk reads it before the desk is woken"
    assert await asking == {"waiting": True}
    await notices.note(CALLER | {"case": 12})
    assert await notices.noted(CALLER) == {"noted": "12"}


async def test_without_a_desk_nobody_waits() -> None:
    assert await Notices(Copies()).noted(CALLER) == {"noted": "no"}


async def test_between_two_questions_the_desk_is_there_still_and_later_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noting, "POLL", 0.01)
    notices = Notices(Copies())
    assert await (await desk(notices)) == {"waiting": False}
    assert await notices.noted(CALLER) == {"noted": "wait"}
    monkeypatch.setattr(noting, "GONE", -1.0)
    assert await notices.noted(CALLER) == {"noted": "no"}


async def test_put_through_once_more_they_wait_for_a_new_word() -> None:
    notices = Notices(Copies())
    await desk(notices)
    await notices.note(CALLER | {"case": 12})
    assert await notices.noted(CALLER | {"section": "shomu"}) == {"noted": "wait"}, "another 所管課 was not told"
    assert await notices.noted(CALLER) == {"noted": "12"}
    assert await notices.noted(CALLER) == {"noted": "wait"}


async def test_not_all_that_ever_called_are_remembered() -> None:
    notices = Notices(Copies())
    asking = await desk(notices)
    for number in range(MOST + 5):
        await notices.note({"uniqueid": f"pbx1-1.{number}", "section": "kyusui", "case": number})
    assert await notices.noted({"uniqueid": "pbx1-1.0", "section": "kyusui"}) == {"noted": "wait"}
    assert await notices.noted({"uniqueid": f"pbx1-1.{MOST + 4}", "section": "kyusui"}) == {"noted": str(MOST + 4)}
    await asking
