"""What 課長 and 監査 do: accounts, keys, the access log; and how the recorder is."""

import asyncio
from dataclasses import asdict
from itertools import islice
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from cti.api.service import Once, may, service_of
from cti.api.shapes import (
    Account,
    Accounts,
    End,
    Entry,
    Epochs,
    Granted,
    Holder,
    Id,
    Issue,
    Log,
    Review,
    Reviews,
    Rotation,
    Secret,
    Sign,
    Status,
)
from cti.api.tending import Rotation as Going
from cti.review import Month
from policies.rights import Act
from recorder.access.sessions import Session

router = APIRouter(route_class=Once)

Whose = Annotated[str, Path(pattern=r"^[a-z][a-z0-9.-]{1,31}$")]


@router.get("/accounts", tags=["accounts"])
async def accounts(request: Request, session: Session = may(Act.ACCOUNTS)) -> Accounts:
    """Every account that ever was."""
    return Accounts([Account(**asdict(one)) for one in await service_of(request).guard.accounts.all()])


@router.post("/accounts", status_code=201, tags=["accounts"])
async def issue(asked: Issue, request: Request, session: Session = may(Act.ISSUE)) -> Secret:
    """Issue an account. The one-time secret is shown once: hand it over in person."""
    secret = await service_of(request).guard.accounts.issue(
        asked.account, name=asked.name.strip(), role=asked.role, section=asked.section, by=session.who.account.id
    )
    return Secret(account=asked.account, secret=secret)


@router.post("/accounts/{account}/secret", status_code=201, tags=["accounts"])
async def renew(account: Whose, request: Request, session: Session = may(Act.ISSUE)) -> Secret:
    """Another one-time secret, for who lost password or authenticator; sessions end, keys are to be granted anew."""
    service = service_of(request)
    secret = await service.guard.accounts.renew(account, by=session.who.account.id)
    await service.end_of(account, "renewed")
    return Secret(account=account, secret=secret)


@router.post("/accounts/{account}/end", status_code=204, tags=["accounts"])
async def end(account: Whose, asked: End, request: Request, session: Session = may(Act.END)) -> Response:
    """End an account, at once and for good: its sessions and what they hear too."""
    service = service_of(request)
    await service.guard.accounts.end(account, by=session.who.account.id, reason=asked.reason)
    await service.end_of(account, "account ended")
    return Response(status_code=204)


@router.post("/accounts/{account}/review", status_code=204, tags=["accounts"])
async def review(account: Whose, request: Request, session: Session = may(Act.ACCOUNTS)) -> Response:
    """Looked through: the person is still there and still needs it (9条2)."""
    await service_of(request).guard.accounts.review(account, by=session.who.account.id)
    return Response(status_code=204)


@router.get("/keys", tags=["keys"])
async def keys(request: Request, session: Session = may(Act.KEYS)) -> Epochs:
    """Every epoch of the vault, and who holds its key."""
    tending = service_of(request).tending
    plan, tested = await tending.keys.plan(), await asyncio.to_thread(tending.keys.tested)
    return Epochs(
        epoch=plan.epoch, since=plan.since, due=tending.keys.due(plan.since, tending.keys.desk.now()),
        epochs=list(plan.before),
        holders=[Holder(**asdict(one)) for one in await tending.keys.grants.all()],
        tested=tested.slots, foreign=list(tested.foreign),
        rotation=_rotation(tending.rotation) if tending.rotation else None,
    )  # fmt: skip


@router.post("/keys/rotation", status_code=202, tags=["keys"])
async def rotate(request: Request, session: Session = may(Act.KEYS)) -> Rotation:
    """Begin another epoch, or go on with a rotation that was stopped; `GET /v1/keys` says how far it is."""
    tending = service_of(request).tending
    return _rotation(await tending.rotate(await tending.keys.grants.held(session.who)))


def _rotation(one: Going) -> Rotation:
    done = one.done
    return Rotation(
        by=one.by, running=one.running, looked=one.looked, of=one.of, problem=one.problem,
        epoch=done.epoch if done else None, moved=done.moved if done else None, kept=done.kept if done else None,
        foreign=list(done.foreign) if done else [], lost=list(done.lost) if done else [],
    )  # fmt: skip


@router.put("/keys/{account}", tags=["keys"])
async def grant(account: Id, request: Request, session: Session = may(Act.KEYS)) -> Granted:
    """Seal every key that you hold to somebody; the signing key too, to 課長. Nobody grants what they do not hold."""
    service = service_of(request)
    plan = await service.tending.keys.plan()
    held = await service.may_open(session, [plan.epoch], account)
    await service.tending.keys.give_all(account, held.identities, held.signer, session.who.account.id)
    return Granted(account=account, epochs=sorted(held.identities))


@router.delete("/keys/{account}", tags=["keys"])
async def revoke(account: Id, request: Request, session: Session = may(Act.KEYS)) -> Granted:
    """Take the keys of this PBX away from somebody: from the next request on nothing more is opened."""
    service = service_of(request)
    held = [one.epoch for one in await service.guard.accounts.grants.all() if one.account == account]
    await service.tending.keys.revoke(account, session.who.account.id)
    return Granted(account=account, epochs=held)


@router.get("/log", tags=["log"])
async def log(
    request: Request,
    session: Session = may(Act.LOG),
    first: Annotated[int, Query(ge=0, le=2**53, alias="from")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    about: Annotated[str | None, Query(max_length=256, alias="object")] = None,
    action: Annotated[str | None, Query(max_length=256)] = None,
) -> Log:
    """The access log, from entry `from` on."""
    desk = service_of(request).desk.by(session.who.account.id)
    found = await asyncio.to_thread(
        lambda: list(islice(desk.audit(first, about=about, action=action), limit + 1))
    )  # fmt: skip
    page = [
        Entry(
            seq=one.seq, ts=one.ts, actor=one.actor, action=one.action, object=one.object, detail=dict(one.detail),
            prev=one.prev,
        )
        for one in found[:limit]
    ]  # fmt: skip
    # Reading it is an act of which it speaks (9条2).
    await asyncio.to_thread(desk.log, "log.read", desk.catalogue.pbx, {"from": first, "entries": len(page)})
    return Log(items=page, next=found[limit].seq if len(found) > limit else None)


Which = Annotated[str, Path(pattern=r"^[2-9][0-9]{3}-(0[1-9]|1[0-2])$")]


@router.get("/reviews", tags=["log"])
async def reviews(request: Request, session: Session = may(Act.LOG)) -> Reviews:
    """Which months of the log were looked through (9条2)."""
    reviewing = service_of(request).reviewing
    done = await asyncio.to_thread(reviewing.reviewed)
    return Reviews(
        next=str(await reviewing.next()), late=[str(one) for one in await asyncio.to_thread(reviewing.missing)],
        reviewed={month: entry.actor for month, entry in done.items()},
    )  # fmt: skip


@router.get("/reviews/{month}", tags=["log"])
async def review_of(month: Which, request: Request, session: Session = may(Act.LOG)) -> Review:
    """A month of the log: who did how much, and what is unusual."""
    service = service_of(request)
    found = await service.reviewing.report(Month.parse(month))
    desk = service.desk.by(session.who.account.id)
    await asyncio.to_thread(desk.log, "log.read", desk.catalogue.pbx, {"from": found.first})
    return Review(**found.values(), sha256=found.digest)


@router.post("/reviews/{month}", status_code=201, tags=["log"])
async def sign_off(month: Which, asked: Sign, request: Request, session: Session = may(Act.REVIEW)) -> Review:
    """課長 has looked it through, and what is unusual in it."""
    found = await service_of(request).reviewing.sign_off(Month.parse(month), asked.sha256, session.who.account.id)
    return Review(**found.values(), sha256=found.digest)


@router.get("/status", tags=["status"])
async def status(request: Request, session: Session = may(Act.STATUS)) -> Status:
    """How the recorder, the gate, the disks, the clock, the keys, the statements and the promises are."""
    return Status.model_validate(await service_of(request).health())
