"""Calling for somebody: the PBX rings a telephone of ours, and whoever picks it up is put through to the customer."""

import asyncio
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import structlog

from cti.ami.client import AmiClient
from cti.ami.errors import DeadlineError, NotConnectedError
from cti.ami.message import Message
from cti.calls.board import conversation_id
from cti.calls.callback import called_for
from cti.calls.passing import CALLED_BACK
from policies.model import Kind, Plan
from recorder import callfile
from recorder.vault.folder import STEPS

log = structlog.get_logger()

RING_MS: Final = 30_000
"""For how long the telephone of ours rings."""
_OUTSIDE: Final = re.compile(r"0[0-9]{8,18}")


class Dialler:
    """The recorder's: it alone talks to the PBX. Nothing that it does touches another call."""

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
        if not self._ami.connected:
            return {"problem": "no-pbx"}
        try:
            reply = (await self._ami.send_action(action))[0]
        except (NotConnectedError, DeadlineError) as error:
            log.error("it is not known whether a call was placed", leg=leg, error=str(error))
            return {"problem": "unknown"}
        if reply.get("Response") != "Success":
            log.error("a call was not placed", leg=leg, error=reply.get("Message"))
            return {"problem": "refused"}
        return {"placed": True}

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


def _said(work: asyncio.Future[None]) -> None:
    if not work.cancelled() and (error := work.exception()) is not None:
        log.error("what came of a call was not put down", error=str(error))
