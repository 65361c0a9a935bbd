"""What is due by the rules, and recordings on their way to the second medium (6条1項; B-15, B-16)."""

import asyncio
from dataclasses import asdict

from fastapi import APIRouter, Request

from cti.api.service import Once, may, service_of
from cti.api.shapes import RetentionDue, RetentionPlan, RetentionRun, RetentionStopped
from cti.explain import localise
from cti.moving import Run, Sum
from policies.rights import Act
from recorder.access.sessions import Session
from retention.plan import Deed

router = APIRouter(route_class=Once, tags=["retention"])


@router.get("/retention/plan")
async def plan(request: Request, session: Session = may(Act.STATUS)) -> RetentionPlan:
    """What is due now: what moves, what is over, and what a hold stops. Nothing is done."""
    service = service_of(request)
    found = await service.moving.plan()
    said = {"by": ["due"], "found": len(found.stopped)}
    desk = service.desk.by(session.who.account.id)
    await asyncio.to_thread(desk.log, "recordings.searched", desk.catalogue.pbx, said)
    return RetentionPlan(
        at=found.at, move=_due(found.sums[Deed.MOVE]), erase=_due(found.sums[Deed.ERASE]),
        stopped=_due(found.sums[Deed.STOPPED]),
        recordings=[RetentionStopped(**asdict(one)) for one in found.stopped],
    )  # fmt: skip


@router.get("/retention/run")
async def last(request: Request, session: Session = may(Act.STATUS)) -> RetentionRun:
    """How far it is: what is on its way just now, or else the last time that anything was."""
    moving = service_of(request).moving
    return _run(moving.last, running=moving.running)


@router.post("/retention/run", status_code=202)
async def run(request: Request, session: Session = may(Act.STATUS)) -> RetentionRun:
    """Move what is due now, also what failed a short while ago. It goes on whether or not anybody waits for it."""
    moving = service_of(request).moving
    moving.begin()
    return _run(moving.last, running=True)


def _due(found: Sum) -> RetentionDue:
    return RetentionDue.model_validate(found, from_attributes=True)


def _run(found: Run | None, *, running: bool) -> RetentionRun:
    if found is None:
        return RetentionRun(running=running)
    values = asdict(found) | {
        "problem": localise(found.problem) if found.problem else None,
        "failed": [asdict(one) | {"problem": localise(one.problem)} for one in found.failed],
    }
    return RetentionRun(running=running, **values)
