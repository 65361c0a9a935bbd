"""Calls that the PBX is asked for: to a customer, from a telephone of ours, and from one of ours to a 所管課."""

import asyncio
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import structlog

from cti.ami.client import AmiClient
from cti.ami.errors import DeadlineError, NotConnectedError
from cti.ami.message import Message
from cti.calls.board import conversation_id
from cti.calls.callback import called_for
from cti.calls.model import Direction, Leg
from cti.calls.passing import CALLED_BACK
from cti.routing.onward import read
from policies.model import Kind, Plan
from recorder import callfile
from recorder.vault.folder import STEPS

log = structlog.get_logger()

RING_MS: Final = 30_000
"""For how long the telephone of ours rings."""
_OUTSIDE: Final = re.compile(r"0[0-9]{8,18}")


class Dialler:
    """The recorder's: it alone talks to the PBX. Calls a customer; nothing that it does touches another call."""

    def __init__(self, ami: AmiClient, plan: Plan, vault: Path, pbx: str, now: Callable[[], datetime]) -> None:
        """`vault`: its root folder, where what came of a call is put down."""
        self._ami, self._plan, self._folder, self._pbx, self._now = ami, plan, vault / STEPS, pbx, now

    async def dial(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """`phone` rings, then `number` is called, on channel `leg`: {"placed": True} where the PBX does it.

        Else {"problem": ...}: `unknown` where it may do it all the same.

        The dialplan records and shows what it does for whoever dials on that telephone by hand.
        """
        phone, number, leg = (str(question[name]) for name in ("phone", "number", "leg"))
        if self._plan.kind(phone) in (None, Kind.TRUNK):
            return {"problem": "no-phone"}
        if not _OUTSIDE.fullmatch(number) or called_for(leg) is None:
            return {"problem": "no-number"}
        action = {
            "Action": "Originate", "Channel": f"PJSIP/{phone}", "Context": "phones", "Exten": number, "Priority": "1",
            "ChannelId": leg, "CallerID": f"<{number}>", "Timeout": str(RING_MS), "Async": "true",
        }  # fmt: skip
        return await _asked(self._ami, action)

    def heard(self, message: Message) -> None:
        """OriginateResponse: where no channel came to be, Asterisk's own record says nothing of the call.

        Where there was one, the same is copied from that record, and counts once.
        """
        leg = message.get("Uniqueid")  # as it was asked for, though there is none
        if message.get("Response") != "Failure" or called_for(leg) is None:
            return
        work = asyncio.get_running_loop().run_in_executor(None, self._put_down, leg)
        work.add_done_callback(_said)

    def _put_down(self, leg: str) -> None:
        at = self._now()
        step = {
            "key": f"{self._pbx}/{leg}/{CALLED_BACK}", "conversation": str(conversation_id(self._pbx, leg)),
            "uniqueid": leg, "at": at.isoformat(), "what": CALLED_BACK, "values": {"outcome": "not-picked-up"},
        }  # fmt: skip
        callfile.append(self._folder / f"{at.isoformat()[:10]}.jsonl", step)


class Putter:
    """The recorder's: has the PBX put a caller through, as the telephone that talks to them would (REFER)."""

    def __init__(self, ami: AmiClient, calls: Callable[[], Iterable[tuple[UUID, str, Sequence[Leg]]]]) -> None:
        """`calls`: those that go on."""
        self._ami, self._calls = ami, calls

    async def put(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """Whoever talks to our telephone, one of `phones`, in `conversation` goes to `dialled` (`cti.routing.onward`).

        {"placed": True}, or {"problem": ...}: `unknown` where the PBX may do it all the same.
        """
        conversation, dialled = str(question["conversation"]), str(question["dialled"])
        if read(dialled) is None:
            return {"problem": "no-number"}
        phones = question.get("phones")
        ours = [leg for one, _, legs in self._calls() if str(one) == conversation for leg in _talking(legs)]
        ours = [leg for leg in ours if phones is None or leg.endpoint in phones]
        if len(ours) != 1:
            return {"problem": "no-call"}
        action = {"Action": "BlindTransfer", "Channel": ours[0].channel, "Context": "phones", "Exten": dialled}
        return await _asked(self._ami, action)


def _talking(legs: Sequence[Leg]) -> Iterator[Leg]:
    """Telephones of ours that talk to somebody outside, the two of them alone."""
    for leg in legs:
        others = [other.direction for other in legs if other.bridge == leg.bridge and other is not leg]
        if leg.bridge and leg.direction is Direction.INTERNAL and others in ([Direction.IN], [Direction.OUT]):
            yield leg


async def _asked(ami: AmiClient, action: Mapping[str, str]) -> dict[str, Any]:
    if not ami.connected:
        return {"problem": "no-pbx"}
    try:
        reply = (await ami.send_action(action))[0]
    except (NotConnectedError, DeadlineError) as error:
        log.error("it is not known whether the PBX did it", action=action["Action"], error=str(error))
        return {"problem": "unknown"}
    if reply.get("Response") != "Success":
        log.error("the PBX refused", action=action["Action"], error=reply.get("Message"))
        return {"problem": "refused"}
    return {"placed": True}


def _said(work: asyncio.Future[None]) -> None:
    if not work.cancelled() and (error := work.exception()) is not None:
        log.error("what came of a call was not put down", error=str(error))
