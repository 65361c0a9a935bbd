"""Decisions on other hours, which 水道局長 makes and 課長 enters (3条2項, A-13; B-29)."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path, Request

from cti.api.service import Once, may, service_of
from cti.api.shapes import Decide, Decided, Override, Overrides, TakeBack, TakenBack
from cti.deciding import public
from policies.rights import Act
from recorder.access.sessions import Session

router = APIRouter(route_class=Once, prefix="/hours", tags=["hours"])

Which = Annotated[str, Path(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]


@router.get("/overrides")
async def overrides(request: Request, session: Session = may(None)) -> Overrides:
    """Every decision that was ever entered, the newest first."""
    service = service_of(request)
    found, now = await asyncio.to_thread(service.deciding.all), service.desk.now()
    return Overrides(items=[Override.model_validate(public(one, now)) for one in found])


@router.post("/overrides", status_code=201)
async def decide(asked: Decide, request: Request, session: Session = may(Act.HOURS)) -> Decided:
    """Enter a decision: it counts for the next call. `dry_run`: only what it would change."""
    service, who = service_of(request), session.who.account.id
    desk = service.desk.by(who)
    stated = asked.model_dump(mode="json", by_alias=True, exclude={"dry_run"})
    made = await asyncio.to_thread(service.deciding.propose, stated, who, desk.now())
    if not asked.dry_run:
        await asyncio.to_thread(service.deciding.enter, made, desk.log)
    return Decided.model_validate({**made.entry, "changes": made.changes, "entered": not asked.dry_run})


@router.post("/overrides/{override}/revocation", status_code=201)
async def take_back(override: Which, asked: TakeBack, request: Request, session: Session = may(Act.HOURS)) -> TakenBack:
    """From now on the decision does not count; its line stays."""
    service, who = service_of(request), session.who.account.id
    desk = service.desk.by(who)
    entry = await asyncio.to_thread(
        lambda: service.deciding.take_back(
            override, by=asked.by, reason=asked.reason, entered_by=who, now=desk.now(), tell=desk.log
        )
    )
    return TakenBack.model_validate(entry)
