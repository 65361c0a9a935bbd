"""`kikitori asterisk doctor` on a real Asterisk: all well on what we render, and each thing named that is not."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import cti.doctor
from tests.real import House

pytestmark = pytest.mark.asyncio(loop_scope="module")

PJSIP = "module reload res_pjsip.so"
Findings = dict[str, dict[str, Any]]


def examined(house: House) -> Findings:
    said = house.lab.kikitori("asterisk", "doctor", "--json", check=False)
    return {row["check"]: row for row in map(json.loads, said.splitlines())}


def wrong(findings: Findings) -> dict[str, str]:
    """Without what a calendar tells: in some months the holidays of the next year are a forecast."""
    bad = {check: row["severity"] for check, row in findings.items() if row["severity"] != "ok"}
    if "forecast" in findings["hours"]["found"]:
        assert bad.pop("hours") == "warning"
    return bad


@contextmanager
def written(house: House, name: str, reload: str, *changes: tuple[str, str]) -> Iterator[None]:
    """A configuration file of Asterisk's as somebody would write it, in force; the rendered one again afterwards."""
    path = house.lab.pbx.etc / name
    rendered = path.read_text()
    text = rendered
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    try:
        path.write_text(text)
        assert "No such command" not in house.lab.pbx.rx(reload)
        yield
    finally:
        path.write_text(rendered)
        house.lab.pbx.rx(reload)


def manager(house: House, *changes: tuple[str, str]) -> Any:
    return written(house, "manager.conf", "manager reload", *changes)


async def test_all_is_well_on_the_rendered_pbx(house_with_service: House) -> None:
    house = house_with_service
    assert wrong(examined(house)) == {"cel": "warning"}, "before the first call nothing shows that the record grows"
    async with house.call_in(1.0) as live:
        await live.talking()
    await house.lab.idle()
    findings = examined(house)
    assert wrong(findings) == {}
    assert findings["write-rights"]["found"] == "write = system,call,originate"
    assert findings["version"]["found"].startswith("22.")
    house.lab.kikitori("asterisk", "doctor")  # raises unless it ends with 0
    assert house.logged("gate left a call to the dialplan") == [], "the gate took the question for a call's"


@pytest.mark.rule("B-04", "B-12")
async def test_the_whole_doctor_while_a_call_stands(house_with_service: House) -> None:
    house = house_with_service
    async with house.call_in(4.0) as live:
        await live.talking()
        said = house.lab.kikitori("doctor", "--json", check=False)
    findings = {row["check"]: row for row in map(json.loads, said.splitlines())}
    for check in ("modes", "limits", "egress", "keys", "disk-speed", "login", "gate", "recorder"):
        assert findings[check]["severity"] == "ok", findings[check]
    await house.lab.idle()
    house.whole(live.call)


async def test_a_dialplan_that_was_made_of_other_policies_is_named(house_with_service: House) -> None:
    file = house_with_service.lab.settings.paths.policies / "recording.toml"
    text = file.read_text()
    assert "record_internal = true" in text
    try:
        file.write_text(text.replace("record_internal = true", "record_internal = false"))
        found = examined(house_with_service)
    finally:
        file.write_text(text)
    assert wrong(found) == {"dialplan-policies": "warning"}
    assert "asterisk render" in found["dialplan-policies"]["remedy"]


async def test_hours_that_cannot_be_read_are_named(house_with_service: House) -> None:
    file = house_with_service.lab.settings.paths.policies / "hours.toml"
    text = file.read_text()
    try:
        file.write_text(text.replace('"09:00-17:00"', '"9-17"'))
        found = examined(house_with_service)
    finally:
        file.write_text(text)
    assert wrong(found) == {"hours": "error", "dialplan-policies": "warning"}, "and that cannot be compared then"
    assert "hours.toml" in found["hours"]["found"]


async def test_each_thing_that_is_wrong_in_manager_conf_is_named(house_with_service: House) -> None:
    house = house_with_service
    changes = (
        ("timestampevents = yes", "timestampevents = no"),
        ("\neventfilter", "\n;eventfilter"),
        ("read = system,call,agent,user", "read = system,call,agent,user,dialplan,reporting"),
        ("write = system,call,originate", "write = system,call,originate,command"),
    )
    with manager(house, *changes):
        findings = examined(house)
    assert wrong(findings) == {
        "timestamps": "error", "noise": "warning", "read-rights": "warning", "write-rights": "warning",
    }  # fmt: skip
    assert "heard: VarSet" in findings["noise"]["found"]
    assert findings["read-rights"]["found"] == "more than is needed: dialplan, reporting"
    assert findings["write-rights"]["found"] == "more than is needed: command (it may run Command)"
    assert all(findings[check]["remedy"] for check in wrong(findings))


async def test_a_filter_that_hides_callers_is_named(house_with_service: House) -> None:
    with manager(house_with_service, ("!^Event: ", "!Event: ")):
        findings = examined(house_with_service)
    assert wrong(findings) == {"hidden": "error"}


async def test_too_few_rights_are_named_and_what_they_hide_is_not_taken_for_well(house_with_service: House) -> None:
    with manager(house_with_service, ("write = system,call,originate", "write = call")):
        findings = examined(house_with_service)
    assert findings["write-rights"]["found"] == "without: system, originate"
    unmade = {check for check, row in findings.items() if not row["made"]}
    assert unmade >= {"version", "modules", "read-rights", "noise", "endpoints", "codecs", "direct-media"}
    assert all(findings[check]["severity"] == "warning" for check in unmade)


async def test_a_file_that_is_not_in_force_is_named(house_with_service: House) -> None:
    path = house_with_service.lab.pbx.etc / "manager.conf"
    rendered = path.read_text()
    path.write_text(rendered.replace("write = system,call,originate", "write = system,call"))
    try:
        assert wrong(examined(house_with_service)) == {"reloaded": "warning"}
    finally:
        path.write_text(rendered)


async def test_sound_that_passes_by_the_pbx_is_named(house_with_service: House) -> None:
    change = ("direct_media = no", "direct_media = yes")
    with written(house_with_service, "pjsip.conf", PJSIP, change, ("allow = ulaw,alaw", "allow = g729")):
        findings = examined(house_with_service)
    assert wrong(findings) == {"direct-media": "error", "codecs": "error"}
    assert "trunk" in findings["direct-media"]["found"]


async def test_a_module_that_is_gone_is_named(house_with_service: House) -> None:
    pbx = house_with_service.lab.pbx
    assert "Unloaded" in pbx.rx("module unload codec_g722.so")
    try:
        findings = examined(house_with_service)
    finally:
        pbx.rx("module load codec_g722.so")
    assert wrong(findings) == {"modules": "error"}
    assert findings["modules"]["found"] == "not running: codec_g722.so"


async def test_a_wrong_secret_is_named(house_with_service: House) -> None:
    path = house_with_service.lab.settings.pbx.secret_file
    right = path.read_text()
    path.write_text("a-secret-that-is-wrong\n")
    try:
        findings = examined(house_with_service)
    finally:
        path.write_text(right)
    assert findings["login"]["severity"] == "error"
    assert "refused user 'kikitori': Authentication failed" in findings["login"]["found"]
    assert not findings["modules"]["made"]


async def test_modes_of_the_spool_are_named(house_with_service: House) -> None:
    audio = Path(house_with_service.lab.settings.paths.spool) / "audio"
    audio.chmod(0o755)
    try:
        findings = examined(house_with_service)
    finally:
        audio.chmod(0o2770)
    assert wrong(findings) == {"spool-modes": "error"}
    assert "audio: 0755 kikitori-recorder:kikitori-spool" in findings["spool-modes"]["found"]


async def test_the_commands_of_the_remedies_are_asterisks(house_with_service: House) -> None:
    texts = [path.read_text() for path in Path(cti.doctor.__file__).parent.glob("*.py")]
    commands = {command for text in texts for command in re.findall(r"asterisk -rx '([a-z ]+[a-z])", text)}
    assert {"manager reload", "module reload res"} <= commands
    for command in sorted(commands):
        words = command.removesuffix(" res")
        assert "No such command" not in house_with_service.lab.pbx.rx(f"core show help {words}"), command


async def test_what_does_not_run_is_named(house_with_service: House) -> None:
    """Last: it ends the PBX and the service."""
    house = house_with_service
    await house.lab.stop_service()
    findings = examined(house)
    assert wrong(findings) == {"gate": "error", "recorder": "error"}
    house.lab.pbx.stop()
    findings = examined(house)
    assert findings["login"]["severity"] == "error"
    assert "Connection refused" in findings["login"]["found"]
    assert not findings["asterisk-process"]["made"]
