"""Holds on recordings: what may have to be looked at later is not erased (6条1項ただし書; B-18)."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request

from cti.api.service import Once, may, service_of
from cti.api.shapes import AskRelease, Hold, Holds, Question, Retention, SetHold
from cti.courses import worded
from cti.holding import Holding, Shown
from policies.rights import Act
from recorder.access.sessions import Session

router = APIRouter(route_class=Once, tags=["holds"])

Which = Annotated[str, Path(max_length=36, description="Its id, or the beginning of it")]


@router.get("/holds")
async def holds(
    request: Request,
    session: Session = may(Act.HOLD),
    everything: Annotated[bool, Query(alias="all", description="Those that were released, too")] = False,
) -> Holds:
    """Those that hold; the access log has who looked."""
    found, unread = await _by(request, session).all(open_only=not everything)
    return Holds(items=[_hold(one) for one in found], unread=list(unread))


@router.post("/recordings/{recording}/holds", status_code=201)
async def hold(recording: str, asked: SetHold, request: Request, session: Session = may(Act.HOLD)) -> Hold:
    """Hold every recording of its conversation, also those that are still to come."""
    return _hold(await _by(request, session).hold(recording, asked.ground, asked.reason))


@router.post("/holds/{hold}/ask", status_code=201)
async def ask(hold: Which, asked: AskRelease, request: Request, session: Session = may(Act.HOLD)) -> Hold:
    """Ask that it be released: another person agrees."""
    return _hold(await _by(request, session).ask(hold, asked.reason))


@router.post("/holds/{hold}/release", status_code=201)
async def release(hold: Which, request: Request, session: Session = may(Act.RELEASE)) -> Hold:
    """Agree to what another person asked for: it holds no more."""
    return _hold(await _by(request, session).release(hold))


@router.post("/holds/{hold}/keep", status_code=201)
async def keep(hold: Which, request: Request, session: Session = may(None)) -> Hold:
    """It goes on: whoever asked takes it back, or whoever could agree refuses."""
    service, who = service_of(request), session.who.account
    holding, only = _by(request, session), None
    if not service.guard.rights().allows(who.role, Act.RELEASE):
        await service.entitled(who, Act.HOLD)  # before anybody learns what there is
        found = await holding.find(hold)
        if found.waiting is not None:
            if found.waiting.by != who.id:
                await service.entitled(who, Act.RELEASE, found.id)
            only = found.waiting.id
    return _hold(await holding.keep(hold, question=only))


@router.get("/recordings/{recording}/retention")
async def retention(recording: str, request: Request, session: Session = may(Act.SEARCH)) -> Retention:
    """Until when it is kept by the policy in force, what stops its end, and its holds. Nothing is erased yet."""
    found = await _by(request, session).course(recording)
    of = found.course
    return Retention(
        recording=found.recording, conversation=found.conversation, ended=found.ended, medium=found.medium,
        primary_until=of.primary_until,
        secondary_until=of.secondary_until, erased_at=of.erased_at,
        why=[worded(why, placed=False) for why in of.why],
        holds=[_hold(one) for one in found.holds],
    )  # fmt: skip


def _by(request: Request, session: Session) -> Holding:
    return service_of(request).holding.by(session.who.account.id)


def _hold(shown: Shown) -> Hold:
    of = shown.hold
    state = "released" if of.released else "asked" if of.waiting else "held"
    return Hold(
        id=of.id, conversation=of.conversation, recordings=list(shown.recordings), at=of.at, by=of.by,
        ground=of.ground, reason=of.reason, state=state,
        questions=[Question.model_validate(one, from_attributes=True) for one in of.questions],
    )  # fmt: skip
