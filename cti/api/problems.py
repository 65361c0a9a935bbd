"""Errors as `application/problem+json` (RFC 9457): `code` is the command line's, the words are the reader's."""

import json
from collections.abc import Mapping
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException

from cti.errors import FieldError, KikitoriError
from cti.explain import explain, localise
from cti.i18n import _, mark
from cti.phrases import KINDS
from policies.errors import PolicyError
from recorder.access.accounts import TooSoonError
from recorder.access.errors import AccessError
from recorder.errors import AudioError
from recorder.vault.errors import VaultError
from retention.errors import HoldError

log = structlog.get_logger()
TYPE: Final = "application/problem+json"

_STATUS: Final[Mapping[str, int]] = {
    "usage": 400, "refused": 401, "no-session": 401, "not-entitled": 403, "disclosure": 403, "forged": 403,
    "no-key-held": 403, "not-found": 404, "account": 409, "idempotency": 409, "order": 409, "hold": 409, "changed": 409,
    "rotation": 409, "slot-erased": 410, "password": 422, "recipient": 422, "key-format": 422, "too-soon": 429,
    "too-fast": 429, "log-unavailable": 503, "database": 503, "not-running": 503,
    "policy": 503, "access": 503, "access-file": 503, "access-damaged": 503, "access-write": 503, "access-busy": 503,
}  # fmt: skip
"""What is not here is 500: something is wrong that the caller cannot put right."""

NOT_VALID: Final = mark("The request has not the form that this address takes")
NO_ADDRESS: Final = mark("There is no such address")
INTERNAL: Final = mark("Something is wrong here; the service's journal says what")


class NoSessionError(KikitoriError):
    """Nobody is signed in by that token, or no longer."""

    code = "no-session"
    status = 77


class TooFastError(KikitoriError):
    """Too many requests."""

    code = "too-fast"
    status = 75

    def __init__(self, seconds: float) -> None:
        """`seconds` until the next one is looked at."""
        super().__init__(_("the next one is looked at in {seconds:.0f} s").format(seconds=max(1.0, seconds)))
        self.seconds = seconds


class DisclosureError(KikitoriError):
    """A recording cannot be disclosed here and so."""

    code = "disclosure"
    status = 77


class IdempotencyError(KikitoriError):
    """The same idempotency key was used for another request."""

    code = "idempotency"
    status = 64


OURS: Final = (KikitoriError, AccessError, VaultError, PolicyError, AudioError, HoldError)


def of(error: Exception) -> Response:
    """The answer for an error of ours."""
    code = str(getattr(error, "code", "error"))
    status = _STATUS.get(code, 500)
    headers = {}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, TooSoonError | TooFastError):
        headers["Retry-After"] = str(max(1, round(error.seconds)))
    if status == 500:
        log.error("a request failed", code=code, error=str(error))
    more = {"errors": [{"at": error.field, "problem": error.problem}]} if isinstance(error, FieldError) else {}
    return problem(status, code, _(KINDS.get(code, KINDS["error"])), explain(error), headers, **more)


def problem(
    status: int, code: str, title: str, detail: str, headers: Mapping[str, str] | None = None, **more: Any
) -> Response:
    """One answer. `more`: members beside those of the RFC."""
    body = {"type": f"urn:kikitori:problem:{code}", "title": title, "status": status, "detail": detail, "code": code}
    return Response(json.dumps(body | more, ensure_ascii=False), status, dict(headers or {}), TYPE)


def install(app: FastAPI) -> None:
    """Every error that a route can raise becomes a problem; none shows a traceback or what was typed."""

    async def ours(_request: Request, error: Exception) -> Response:
        return of(error)

    for kind in OURS:
        app.add_exception_handler(kind, ours)

    @app.exception_handler(RequestValidationError)
    async def not_valid(_request: Request, error: RequestValidationError) -> Response:
        # Where and why, and never what: it may be a password.
        wrong = [{"at": ".".join(map(str, one["loc"])), "problem": localise(one["msg"])} for one in error.errors()[:20]]
        said = "; ".join(f"{one['at']}: {one['problem']}" for one in wrong)
        return problem(422, "not-valid", _(NOT_VALID), said, errors=wrong)

    @app.exception_handler(HTTPException)
    async def other(_request: Request, error: HTTPException) -> Response:
        code, title = ("no-such-address", _(NO_ADDRESS)) if error.status_code == 404 else ("http", "")
        said = localise(str(error.detail))
        return problem(error.status_code, code, title or said, said, error.headers)

    @app.exception_handler(SQLAlchemyError)
    async def database(_request: Request, error: SQLAlchemyError) -> Response:
        log.error("the database does not answer", error=str(error).partition("\n")[0])
        return problem(503, "database", _(KINDS["database"]), _(KINDS["database"]))

    @app.exception_handler(Exception)
    async def unknown(_request: Request, error: Exception) -> Response:
        log.error("a request failed", exc_info=error)
        return problem(500, "internal", _(INTERNAL), _(INTERNAL))
