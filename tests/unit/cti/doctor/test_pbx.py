"""Looking at the PBX: every answer is read, every refusal is kept as one, and nothing is touched."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from cti.ami.errors import LoginRefusedError
from cti.doctor.finding import Severity
from cti.doctor.judge import judge
from cti.doctor.pbx import look
from cti.doctor.seen import Conf, Endpoint, PbxSeen, Unseen
from cti.pbxconfig import MODULES
from tests.unit.cti.ami.fake import FakeAmi, config, served
from tests.unit.cti.doctor.good import FILTER, SEEN, WANT
from tests.unit.cti.doctor.talking import NOW as ITS_NOW
from tests.unit.cti.doctor.talking import Pbx, Talking

NOW = datetime.fromtimestamp(ITS_NOW, UTC)


async def looked(**pbx: Any) -> PbxSeen:
    async with served(Talking(Pbx(**pbx))) as server:
        return await look(config(server.port), WANT.endpoints, lambda: NOW, 0.2)


async def test_everything_is_seen() -> None:
    seen = await looked()
    assert (seen.version, seen.name, seen.stamped, seen.ahead) == ("22.10.1", "pbx1", True, 0.0)
    assert (seen.calls, seen.uptime) == (3, 600)
    assert not isinstance(seen.actions, Unseen)
    assert seen.actions["Status"] == {"system", "call", "reporting"}
    assert seen.actions["MixMonitor"] == {"system"}
    assert seen.actions["Ping"] == frozenset()
    assert seen.modules == dict.fromkeys(MODULES, True)
    assert seen.endpoints == dict.fromkeys(WANT.endpoints, Endpoint(codecs=("ulaw", "alaw"), direct_media=False))
    assert seen.heard == {"FullyBooted": 1, "Reload": 1}
    assert isinstance(seen.conf, Conf)
    assert seen.conf.general["timestampevents"] == "yes"
    assert seen.conf.filters() == (("eventfilter", FILTER),)


async def test_the_secret_in_manager_conf_is_not_kept() -> None:
    assert "not-to-be-kept" not in repr(await looked())


async def test_what_is_seen_of_a_good_pbx_is_judged_good() -> None:
    findings = judge(replace(SEEN, pbx=await looked()), WANT)
    assert [finding for finding in findings if finding.severity is not Severity.ok] == []


@pytest.mark.parametrize(
    ("action", "fields"),
    [
        ("CoreSettings", {"version", "name", "uptime"}), ("CoreStatus", {"calls"}), ("ListCommands", {"actions"}),
        ("ModuleCheck", {"modules"}), ("GetConfig", {"conf"}), ("PJSIPShowEndpoint", {"endpoints"}),
        ("Reload", {"stamped"}), ("Setvar", set()), ("Getvar", {"policies"}),
    ],
)  # fmt: skip
async def test_a_refusal_is_kept_as_one(action: str, fields: set[str]) -> None:
    seen = await looked(refuses=frozenset({action}))
    assert {name for name in PbxSeen.__dataclass_fields__ if isinstance(getattr(seen, name), Unseen)} == fields


async def test_what_is_missing_is_seen_to_be_missing() -> None:
    seen = await looked(absent=frozenset({"res_agi", "2001"}))
    assert not isinstance(seen.modules, Unseen)
    assert not isinstance(seen.endpoints, Unseen)
    assert [name for name, runs in seen.modules.items() if not runs] == ["res_agi.so"]
    assert [name for name, endpoint in seen.endpoints.items() if endpoint is None] == ["2001"]


async def test_events_without_a_time_and_events_that_should_not_come() -> None:
    seen = await looked(stamped=False, events={"Setvar": "VarSet"})
    assert seen.stamped is False
    assert seen.heard["VarSet"] == 1


@pytest.mark.parametrize("ahead", [-3600.0, -1.5, 0.25, 90.0])
async def test_the_clocks_are_compared(ahead: float) -> None:
    seen = await looked(now=NOW.timestamp() + ahead)
    assert seen.ahead == pytest.approx(ahead, abs=1e-5)


async def test_a_refused_login_is_an_error() -> None:
    server = FakeAmi(Pbx())
    server.refuse_login = True
    async with served(server):
        with pytest.raises(LoginRefusedError):
            await look(config(server.port), (), lambda: NOW, 0.2)
