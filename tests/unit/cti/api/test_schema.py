"""The OpenAPI document, and requests that schemathesis makes of it: none may end in 500, or be answered otherwise than
the document says.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
)

from cti.api import edge
from cti.api.app import OPEN, build
from cti.api.service import Once, may
from policies.rights import Act
from tests.unit.cti.api.conftest import Api


async def test_it_is_of_version_3_1_and_says_what_errors_look_like(api: Api) -> None:
    document = build(api.service).openapi()
    assert document["openapi"].startswith("3.1")
    for path, methods in document["paths"].items():
        for method, told in methods.items():
            assert list(told["responses"]["default"]["content"]) == ["application/problem+json"]
            assert "422" not in told["responses"], (method, path)  # it is one of the problems
            assert told["security"] == ([] if (method.upper(), path) in OPEN else [{"session": []}])


def test_a_route_that_names_no_right_is_not_served(monkeypatch: pytest.MonkeyPatch) -> None:
    async def anybody() -> str:
        return "everything"

    async def somebody(session: Any = may(Act.SEARCH)) -> str:
        return "something"

    from cti.api import office

    monkeypatch.setattr(office.router, "routes", [*office.router.routes])
    office.router.add_api_route("/good", somebody, methods=["GET"])
    assert isinstance(build(None), FastAPI)  # type: ignore[arg-type]
    office.router.add_api_route("/bad", anybody, methods=["GET"])
    assert isinstance(office.router.routes[-1], Once)
    with pytest.raises(RuntimeError, match="asks nobody for a right"):
        build(None)  # type: ignore[arg-type]


STREAMS = frozenset({"/v1/calls/live", "/v1/arrivals"})
CHECKS = [not_a_server_error, content_type_conformance, response_headers_conformance, response_schema_conformance]


@pytest.mark.thorough
@pytest.mark.parametrize("account", [None, "tanaka", "sato", "gyosha"])
async def test_whatever_is_asked_nothing_breaks(api: Api, account: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge, "BURST", 1e9)
    token = await api.sign_in(account) if account else "a" * 43
    schema = schemathesis.openapi.from_dict(build(api.service).openapi())
    loop, met = asyncio.get_running_loop(), set()

    async def ask(case: Any) -> None:
        # A session that was ended by the request before is begun anew.
        nonlocal token
        made = case.as_transport_kwargs(base_url="https://localhost")
        made = {name: made[name] for name in ("method", "url", "params", "json", "data", "headers") if name in made}
        headers = {**made.pop("headers", {}), "Authorization": f"Bearer {token}"}
        if "data" in made:
            made["content"] = made.pop("data")
        answer = await api.http.request(**made, headers=headers)
        met.add((case.method, case.path))
        assert answer.status_code < 500, (made, answer.text)
        case.validate_response(answer, checks=CHECKS)
        if account and (await api.http.get("/v1/session", headers={"Authorization": f"Bearer {token}"})).is_error:
            token = await api.sign_in(account)

    def every() -> None:
        for found in schema.get_all_operations():
            operation = found.ok()
            if operation.path in STREAMS:  # they have no end; test_live.py and test_putting.py ask them
                met.add((operation.method.upper(), operation.path))
                continue
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                if mode is GenerationMode.NEGATIVE and not (
                    operation.body or operation.path_parameters or operation.query
                ):
                    continue  # there is nothing to be wrong
                _run(
                    operation.as_strategy(generation_mode=mode),
                    lambda case: asyncio.run_coroutine_threadsafe(ask(case), loop).result(60),
                )

    await asyncio.to_thread(every)
    assert met == {(method.upper(), path) for path, methods in schema.raw_schema["paths"].items() for method in methods}


def _run(strategy: Any, each: Callable[[Any], None]) -> None:
    @settings(
        max_examples=10, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
    )  # fmt: skip
    @given(strategy)
    def run(case: Any) -> None:
        each(case)

    run()
