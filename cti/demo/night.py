"""One call outside the opening hours: what the caller hears, where it goes, and what is left of it."""

from dataclasses import dataclass
from typing import Any

from cti.demo.ear import Ear
from cti.demo.lab import TRUNK_HOST, Lab
from cti.demo.scenarios import Answer, Dial, Talk
from cti.demo.sipp import Phone

CALLER = "0312345678"
NUMBER = "0664581132"
LINE = "3901"
CALL = 99
MEDIA_PORT = 50_000
KEYS = Talk(audio=None, keys=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """`heard`: the prompts, by name. `steps`: what `calls why` says of the call. `intake`: what it left."""

    heard: list[str]
    steps: list[dict[str, Any]]
    intake: dict[str, Any]


async def call_at_night(lab: Lab, reason: str) -> Night:
    """The centre is closed by decision; somebody calls, presses 1 and reaches the emergency line. Then it opens again.

    Raises LabError or PhoneError where it went otherwise.
    """
    lab.kikitori("hours", "close", reason, "--decided-by", "水道局長", "--yes")
    try:
        heard = await _call(lab)
    finally:
        (decision,) = [row for row in lab.rows("hours", "override", "list") if row["reason"] == reason]
        revoked = ("--decided-by", "水道局長", "--reason", reason, "--yes")
        lab.kikitori("hours", "override", "revoke", decision["id"], *revoked)

    def left() -> list[dict[str, Any]]:
        return [row for row in lab.rows("intake", "list") if row["number"] == CALLER]

    await lab.until(lambda: bool(left()), 15, "the emergency line left no intake")
    intake = left()[0]
    return Night(heard=heard, steps=lab.rows("calls", "why", intake["conversation"]), intake=intake)


async def _call(lab: Lab) -> list[str]:
    """The prompts that the caller heard."""
    folder = lab.folder / "phones" / str(CALL)
    talk = Talk(audio=None, keys=True, media_port=MEDIA_PORT)
    line = Phone(lab.line(LINE, port=10000 + int(LINE), host="127.0.0.1"), Answer(talk=KEYS), folder)
    caller = Phone(
        lab.line("trunk", port=6000 + CALL, host=TRUNK_HOST), Dial(to=NUMBER, number=CALLER, talk=talk), folder
    )
    prompts = lab.pbx.etc / "prompts/ja"
    ear = await Ear.open(MEDIA_PORT, TRUNK_HOST)
    try:
        async with line, caller:
            await lab.until(lambda: "closed" in ear.prompts(prompts), 30, "the announcement was not heard")
            ear.press("1")
            await line.reached("talking", 30)
            heard = ear.prompts(prompts)
            await line.press("hang up")
            await caller.finished(15)
    finally:
        ear.close()
    return heard
