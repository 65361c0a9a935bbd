"""All routes together. One that does not say which right it needs is refused before anything is served."""

from typing import Any, Final

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from starlette.types import ASGIApp

from cti.api import arriving, cases, holds, hours, imports, live, moving, office, problems, signing, sound
from cti.api.edge import Edge
from cti.api.service import May, Service
from cti.api.shapes import Problem
from recorder.version import VERSION

PREFIX: Final = "/v1"
OPEN: Final = frozenset({("POST", "/v1/session"), ("POST", "/v1/enrolment")})
"""Addresses that ask nobody who they are: they are where somebody proves it."""

EXPORTS: Final = ("POST", "/v1/recordings/{recording}/exports")
"""A write that is done each time it is asked for: its answer is sound, of which nothing is kept."""

_ABOUT: Final = "What staff do with recordings. Sign in at POST /v1/session; errors are problem details (RFC 9457)."
_PROBLEM: Final = {
    "description": "A problem (RFC 9457)",
    "content": {problems.TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


class _App(FastAPI):
    """With our kind of errors in its OpenAPI document."""

    def openapi(self) -> dict[str, Any]:
        """The document."""
        if self.openapi_schema is None:
            self.openapi_schema = _document(self)
        return self.openapi_schema


def build(service: Service) -> FastAPI:
    """The application. Raises RuntimeError for a route without a right."""
    app = _assembled()
    app.state.service = service
    problems.install(app)
    return app


def application(service: Service) -> ASGIApp:
    """What is served: an error that nobody thought of goes through the edge, too."""
    return Edge(build(service))


def _assembled() -> FastAPI:
    app = _App(
        title="Kikitori", version=VERSION, description=_ABOUT, openapi_url="/v1/openapi.json", docs_url=None,
        redoc_url=None,
    )  # fmt: skip
    for router in (
        signing.open_to_all, signing.router, sound.router, sound.files, office.router, hours.router, cases.router,
        imports.router, live.router, arriving.router, holds.router, moving.router,
    ):  # fmt: skip
        for route in router.routes:
            if not (isinstance(route, APIRoute) and _guarded(route)):
                raise RuntimeError(f"{route} asks nobody for a right")
        app.include_router(router, prefix=PREFIX)
    return app


def openapi() -> dict[str, Any]:
    """The OpenAPI document alone, of no desk."""
    return _assembled().openapi()


def _document(app: FastAPI) -> dict[str, Any]:
    made = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    schemas = made["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas["Problem"] = Problem.model_json_schema()
    made["components"]["securitySchemes"] = {"session": {"type": "http", "scheme": "bearer"}}
    for path, methods in made["paths"].items():
        for method, told in methods.items():
            told["responses"].pop("422", None)
            told["responses"]["default"] = _PROBLEM
            told["security"] = [] if (method.upper(), path) in OPEN else [{"session": []}]
            if method != "get" and (method.upper(), path) not in OPEN | {EXPORTS}:
                told.setdefault("parameters", []).append(_ONCE)
    return made


_ONCE: Final = {
    "name": "Idempotency-Key", "in": "header", "required": False,
    "description": "The same request with the same key is done once, as long as the session lasts",
    "schema": {"type": "string", "pattern": r"^[\x21-\x7e]{8,128}$"},
}  # fmt: skip


def _guarded(route: APIRoute) -> bool:
    names = {(method, PREFIX + route.path) for method in route.methods or ()}
    return names <= OPEN or _asks(route.dependant)


def _asks(dependant: Dependant) -> bool:
    return any(isinstance(one.call, May) or _asks(one) for one in dependant.dependencies)
