"""The log over the API, month by month."""

from datetime import datetime

import pytest

from policies.calendar import JST
from tests.unit.cti.api.conftest import Api


@pytest.mark.rule("B-30")
async def test_a_month_is_looked_through_and_signed_for(api: Api) -> None:
    for path in ("/v1/log", "/v1/accounts"):
        assert (await api.ask("sato", "GET", path)).status_code == 403
    api.office.desk.now = lambda: datetime(2026, 5, 11, tzinfo=JST)
    assert (await api.ask("kansa", "GET", "/v1/reviews")).json() == {
        "next": "2026-04",
        "late": ["2026-04"],
        "reviewed": {},
    }
    report = (await api.ask("tanaka", "GET", "/v1/reviews/2026-04")).json()
    found = {(one["what"], one["actor"], one["about"]) for one in report["unusual"]}
    assert found >= {("denied", "sato", "log.read"), ("denied", "sato", "accounts.review")}
    answer = await api.ask("tanaka", "POST", "/v1/reviews/2026-04", json={"sha256": 64 * "0"})
    assert (answer.status_code, answer.json()["code"]) == (400, "usage")
    answer = await api.ask("tanaka", "POST", "/v1/reviews/2026-04", json={"sha256": report["sha256"]})
    assert answer.status_code == 201, answer.text
    now = (await api.ask("kansa", "GET", "/v1/reviews")).json()
    assert now == {"next": "2026-05", "late": [], "reviewed": {"2026-04": "tanaka"}}
    assert [line["actor"] for line in api.entries("log.reviewed")] == ["tanaka"]


@pytest.mark.parametrize("month", ["2026-13", "26-04", "2026-4", "x", "2026-04-01"])
async def test_what_is_no_month_is_no_address(api: Api, month: str) -> None:
    assert (await api.ask("tanaka", "GET", f"/v1/reviews/{month}")).status_code in (404, 422)
