"""Signing in and out, and the way from a one-time secret to a password: where somebody proves who they are."""

import time
from typing import Any

from fastapi import APIRouter, Request, Response

from cti.api.service import Once, may, service_of
from cti.api.shapes import Enrolment, SignedIn, SignIn, Whoami
from recorder.access.sessions import Session, left

open_to_all = APIRouter(tags=["session"])
router = APIRouter(route_class=Once, tags=["session"])


@open_to_all.post("/session", status_code=201)
async def sign_in(asked: SignIn, request: Request) -> SignedIn:
    """Sign in. A code is good once; after some wrong tries the next one has to wait (429)."""
    service = service_of(request)
    token, session = await service.begin(asked.account, asked.password, asked.code, address(request))
    return SignedIn(token=token, **await _whoami(request, session))


@open_to_all.post("/enrolment", status_code=204)
async def enrol(asked: Enrolment, request: Request) -> Response:
    """Turn a one-time secret into a password and codes of one's own."""
    accounts = service_of(request).guard.accounts
    await accounts.enrol(
        asked.account, asked.secret, asked.password, asked.totp, asked.code, address(request)
    )  # fmt: skip
    return Response(status_code=204)


@router.get("/session")
async def whoami(request: Request, session: Session = may(None)) -> Whoami:
    """Who is signed in."""
    return Whoami(**await _whoami(request, session))


@router.delete("/session", status_code=204)
async def sign_out(request: Request, session: Session = may(None)) -> Response:
    """Sign out. What is heard just now ends."""
    await service_of(request).end(session, "signed out")
    return Response(status_code=204)


def address(request: Request) -> str:
    """Where a request comes from: the other end of its connection, whatever it says of itself."""
    return request.client.host if request.client else "unknown"


async def _whoami(request: Request, session: Session) -> dict[str, Any]:
    guard = service_of(request).guard
    account, rights = session.who.account, guard.rights()
    held = await guard.accounts.grants.held(session.who)
    return {
        "account": account.id,
        "name": account.name,
        "role": account.role,
        "section": account.section,
        "acts": [right.act for right in rights.right if rights.allows(account.role, right.act)],
        "epochs": sorted(held.identities),
        "seconds_left": left(session, time.monotonic()),
    }
