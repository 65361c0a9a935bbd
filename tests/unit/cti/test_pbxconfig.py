"""The rendered configuration: safe values, least rights, and a dialplan that records what the table says."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cti.errors import PbxConfigError
from cti.pbxconfig import (
    MODULES,
    OUTSIDE,
    RINGING,
    SCRIPT,
    Decided,
    Site,
    hold_tone,
    render,
    texts,
)
from cti.rendered import MARK
from policies.load import Policies, shipped
from policies.model import Kind, Plan, Recording
from policies.overrides import Overrides

POLICIES = Policies(shipped())
DECIDED = Decided.of(POLICIES, Overrides(), datetime(2026, 11, 26, tzinfo=UTC))
PLAN, RECORDING = POLICIES.plan, POLICIES.recording
PHONES = [phone for group in PLAN.group for phone in group.phones]
SITE = Site(
    name="pbx1",
    gate_host="127.0.0.1",
    gate_port=4573,
    ami_bind="127.0.0.1",
    ami_port=5038,
    ami_user="kikitori",
    ami_secret="ami-secret-0123",
    sip_bind="192.0.2.1",
    sip_port=5060,
    rtp_start=10000,
    rtp_end=10999,
    spool="/run/kikitori/spool/audio",
    log_dir="/var/log/asterisk",
    run_dir="/run/asterisk",
    var_dir="/var/lib/asterisk",
    trunk_match=("198.51.100.7",),
    trunk_contact="sip:198.51.100.7:5060",
    phone_secrets={phone: f"secret-of-{phone}-x" for phone in PHONES},
)

# application or function -> the module that brings it; None: Asterisk's core
BRINGS = {
    **dict.fromkeys(("Set", "Goto", "GotoIf", "GotoIfTime", "Hangup", "NoOp", "Answer", "Progress", "Wait"), None),
    "Playback": "app_playback.so",
    "Read": "app_read.so",
    "UserEvent": "app_userevent.so",
    "StackPop": "app_stack.so",
    "CELGenUserEvent": "app_celgenuserevent.so",
    "CUT": "func_cut.so",
    "CHANNEL": "func_channel.so",
    **dict.fromkeys(("REGEX", "LEN", "STRFTIME", "ARRAY"), "func_strings.so"),
    "LOCAL": "app_stack.so",
    **dict.fromkeys(("Gosub", "GosubIf", "Return"), "app_stack.so"),
    "Dial": "app_dial.so",
    "Queue": "app_queue.so",
    "AGI": "res_agi.so",
    **dict.fromkeys(("MixMonitor", "StopMixMonitor"), "app_mixmonitor.so"),
    "IF": "func_logic.so",
    "FILTER": "func_strings.so",
    "CALLERID": "func_callerid.so",
}


def made(site: Site = SITE, plan: Plan = PLAN, recording: Recording = RECORDING) -> dict[str, str]:
    return texts(replace(DECIDED, plan=plan, recording=recording), site, "/etc/asterisk")


def context(text: str, name: str) -> str:
    """The lines of one context or section, without comments."""
    body = text.split(f"\n[{name}]\n", 1)[1].split("\n[", 1)[0]
    return "\n".join(line for line in body.splitlines() if not line.startswith(";"))


def extension(body: str, name: str) -> str:
    """The priorities of one extension."""
    lines = body.splitlines()
    first = next(index for index, line in enumerate(lines) if line.startswith(f"exten => {name},1,"))
    rest = lines[first + 1 :]
    last = next((index for index, line in enumerate(rest) if not line.startswith(" same")), len(rest))
    return "\n".join([lines[first], *rest[:last]])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "pbx1\nlive_dangerously = yes"),
        ("ami_user", ""),
        ("ami_user", "kikitori]"),
        ("ami_secret", "secret;with-a-comment"),
        ("ami_secret", "secret-with\nwrite = all"),
        ("ami_secret", "short"),
        ("spool", "/run/spool${SHELL(id)}"),
        ("spool", "/run/../etc"),
        ("spool", "run/spool"),
        ("log_dir", "/var/log/asterisk)"),
        ("run_dir", "/" + "r" * 94),
        ("gate_host", "127.0.0.1/x"),
        ("gate_port", 0),
        ("ami_bind", "0.0.0.0"),  # noqa: S104
        ("sip_bind", "192.0.2.1\n"),
        ("rtp_end", 10000),
        ("trunk_match", ()),
        ("trunk_match", ("198.51.100.7\nendpoint = 2001",)),
        ("trunk_contact", "sip:198.51.100.7;transport=tcp"),
        ("phone_contacts", {"2001": "sip:2001@phone.example"}),
        ("phone_secrets", {"2001": "a secret with spaces"}),
        ("codecs", ()),
        ("codecs", ("ulaw\nallow=all",)),
    ],
)
def test_a_value_that_could_end_a_line_or_add_an_option_is_refused(field: str, value: Any) -> None:
    with pytest.raises(PbxConfigError) as caught:
        replace(SITE, **{field: value})
    if "secret" in field:
        assert str(value) not in str(caught.value), "a secret does not belong in a message"


def test_secrets_stay_out_of_the_representation() -> None:
    assert SITE.ami_secret not in repr(SITE)
    assert "secret-of-" not in repr(SITE)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"trunks": ["one", "two"]}, "one trunk"),
        ({"trunks": ["global"]}, "another name"),
        ({"phones": ["h"]}, "its name is its extension"),
        ({"phones": ["0901"]}, "its name is its extension"),
    ],
)
def test_a_plan_that_the_dialplan_cannot_carry_is_refused(change: dict[str, list[str]], message: str) -> None:
    values = PLAN.model_dump()
    if "phones" in change:
        values["group"][0]["phones"] = change["phones"]
    else:
        values |= change
    site = replace(SITE, phone_secrets={**SITE.phone_secrets, "h": "a-secret-of-h", "0901": "a-secret-of-0901"})
    with pytest.raises(PbxConfigError, match=message):
        made(site, plan=Plan.model_validate(values))


def test_a_phone_without_secret_and_contact_is_refused() -> None:
    with pytest.raises(PbxConfigError, match="phone 2001 has neither"):
        made(replace(SITE, phone_secrets={}))


def test_a_phone_with_a_contact_is_taken_from_there_alone() -> None:
    site = replace(SITE, phone_secrets={}, phone_contacts={phone: f"sip:{phone}@192.0.2.9" for phone in PHONES})
    endpoint = context(made(site)["pjsip.conf"], "2001")
    assert "deny = 0.0.0.0/0.0.0.0\npermit = 192.0.2.9/255.255.255.255" in endpoint
    assert "auth" not in endpoint
    assert "auth = 2001" in context(made()["pjsip.conf"], "2001")


def test_nothing_is_loaded_that_runs_a_shell_or_that_nobody_uses() -> None:
    text = made()["modules.conf"]
    assert "autoload = no" in text
    assert text.count("\nload = ") == len(MODULES)
    assert not re.search(r"app_system|func_shell|app_exec|func_env|res_http|chan_local|app_originate", text)
    assert "res_cdrel_custom" not in made(replace(SITE, absent=frozenset({"res_cdrel_custom.so"})))["modules.conf"]


def test_every_application_and_function_of_the_dialplan_has_its_module() -> None:
    for recording in (RECORDING, RECORDING.model_copy(update={"after_transfer": "continue", "record_internal": False})):
        text = made(recording=recording)["extensions.conf"]
        steps = re.findall(r"^(?:exten => [^,]+,1,| same => n(?:\(\w+\))?,)(\w+)\(", text, re.MULTILINE)
        assert len(steps) == len(re.findall(r"^(?:exten =>| same =>)", text, re.MULTILINE)), "a step that is not read"
        for name in {*steps, *re.findall(r"\$\{([A-Z]+)\(", text)}:
            assert BRINGS[name] is None or BRINGS[name] in MODULES


def test_every_place_that_the_dialplan_goes_to_is_there() -> None:
    text = made()["extensions.conf"]
    contexts = set(re.findall(r"^\[([\w-]+)\]$", text, re.MULTILINE))
    went = set(re.findall(r"(?:Gosub\(|[?,(])([a-z]+(?:-[a-z]+)*)[,^]s[,^]1", text))
    assert went <= contexts
    assert {"kikitori-in", "kikitori-own", "kikitori-out", "kikitori-leave", "emergency"} <= went


@pytest.mark.rule("B-02")
def test_a_call_to_a_designated_number_records_itself_where_the_gate_does_not_answer() -> None:
    body = context(made()["extensions.conf"], "from-trunk")
    for number in PLAN.number:
        steps = extension(body, number.digits)
        assert steps.index("kikitori-in") < steps.index("kikitori-closed,s,1") < steps.index("kikitori-unsure,s,1")
        assert ("Gosub(kikitori-fallback,s,1)" in steps) is number.designated
        if number.designated:
            dialled = steps.index("Queue(") if "Queue(" in steps else steps.index("Dial(")
            assert steps.index("kikitori-closed,s,1") < steps.index("kikitori-fallback") < dialled
        assert f"exten => +81{number.digits[1:]},1,Goto({number.digits},1)" in body


@pytest.mark.rule("B-02", "B-03")
@pytest.mark.parametrize("internal", [True, False])
def test_the_dialplan_hooks_the_channel_that_the_table_names(internal: bool) -> None:
    body = context(
        made(recording=RECORDING.model_copy(update={"record_internal": internal}))["extensions.conf"], "phones"
    )
    for phone in PHONES:
        steps = extension(body, phone)
        if PLAN.kind(phone) is Kind.DESIGNATED:
            own = "Gosub(kikitori-own,s,1)" if internal else '"${KIKITORI_KIND}" = "trunk"]?kikitori-own,s,1)'
            assert own in steps
            assert "kikitori-out" not in steps
        else:
            assert ("b(kikitori-out^s^1)" in steps) is internal
            assert "kikitori-own" not in steps
    outside = extension(body, "_0XXXXXXXXX")
    assert 'GotoIf($["${KIKITORI_KIND}" = "designated"]?recorded)' in outside
    assert "n(recorded),Dial(PJSIP/${KIKITORI_DIALLED}@trunk,,ib(kikitori-out^s^1(${KIKITORI_SHOWN})))" in outside
    assert "n,Dial(PJSIP/${KIKITORI_DIALLED}@trunk,,ib(kikitori-shown^s^1(${KIKITORI_SHOWN})))" in outside


@pytest.mark.rule("C-06")
def test_each_telephone_shows_a_number_that_can_be_called_back() -> None:
    """The group's own, where it has one, else the centre's; never an extension, and nothing of the caller's."""
    sections = re.split(r"\n(?=\[)", made()["pjsip.conf"])
    shown = {
        found[1]: found[2]
        for section in sections
        if (
            found := re.match(
                r"\[([0-9]+)\]\ntype = endpoint\n.*set_var = KIKITORI_SHOWN=([0-9]+)\n", section, re.DOTALL
            )
        )
    }
    assert shown.keys() == set(PHONES)
    own = {group.name: number.digits for group in PLAN.group for number in PLAN.number if number.group == group.name}
    of = {phone: group.name for group in PLAN.group for phone in group.phones}
    assert shown == {phone: own.get(of[phone], "0664581132") for phone in PHONES}


@pytest.mark.rule("B-03")
@pytest.mark.parametrize(("value", "stops"), [("stop", True), ("continue", False)])
def test_what_follows_a_transfer_is_stopped_or_not_by_policy(value: str, stops: bool) -> None:
    text = made(recording=RECORDING.model_copy(update={"after_transfer": value}))["extensions.conf"]
    assert ("kikitori-stop" in context(text, "kikitori-leave")) is stops


@pytest.mark.parametrize(("rate", "ending"), [(8000, "sln"), (16000, "sln16")])
def test_the_fallback_names_files_by_unique_id_alone(rate: int, ending: str) -> None:
    text = made(recording=RECORDING.model_copy(update={"rate": rate}))["extensions.conf"]
    body = context(text, "kikitori-fallback")
    assert "Set(KIKITORI_NAME=/run/kikitori/spool/audio/fb-${UNIQUEID}" in body
    assert f"MixMonitor(,br(${{KIKITORI_NAME}}-r.{ending})t(${{KIKITORI_NAME}}-t.{ending})i(KIKITORI_MM))" in body
    assert text.count("MixMonitor(,") == 1


def test_nothing_of_the_callers_choosing_is_used() -> None:
    text = made()["extensions.conf"]
    filtered = text.replace("Set(CALLERID(num)=${FILTER(0-9A-Za-z+*#,${CALLERID(num)})})", "")
    filtered = filtered.replace("Set(KIKITORI_FROM=${FILTER(0-9,${CALLERID(num)})})", "")
    assert filtered.count("CALLERID") == 0
    assert set(re.findall(r"\$\{(CONNECTEDLINE|REDIRECTING|PJSIP_HEADER|SIP_HEADER)", text)) == set()
    assert re.findall(r".{11}\$\{EXTEN\}.", text) == ["FILTER(0-9,${EXTEN})"] * len(OUTSIDE)
    assert "Local/" not in text


@pytest.mark.rule("B-03")
def test_no_pattern_takes_anything_but_digits() -> None:
    """PJSIP decodes %0d%0a in what is dialled, and Asterisk writes it into its events as it came."""
    patterns = re.findall(r"^exten => (_[^,]*),", made()["extensions.conf"], re.MULTILINE)
    assert patterns
    assert all(re.fullmatch(r"_(\*8)?[0-9XZN\[\]]+(\*\[123\])?", pattern) for pattern in patterns)


@pytest.mark.rule("B-02")
def test_no_title_or_name_in_japanese_reaches_a_configuration_file() -> None:
    for name, text in made().items():
        assert text.isascii(), name


def test_ami_gives_the_least_and_its_filter_looks_at_the_events_name_alone() -> None:
    text = made()["manager.conf"]
    user = context(text, "kikitori")
    assert "timestampevents = yes" in text
    assert "bindaddr = 127.0.0.1" in text
    assert "read = system,call,agent,user\n" in user
    assert "write = system,call,originate\n" in user
    expression = re.search(r"^eventfilter = !(.*)$", user, re.MULTILINE)
    assert expression is not None
    for event, dropped in {
        "Event: VarSet\r\nChannel: x\r\n": True,
        "Event: RTCPSent\r\n": True,
        "Event: Newexten\r\n": True,
        "Event: Newchannel\r\nCallerIDName: Event: VarSet\r\n": False,
        "Event: VarSetting\r\n": False,
        "Event: MixMonitorStart\r\n": False,
        "Event: DeviceStateChange\r\n": True,
    }.items():
        assert bool(re.match(expression[1].removeprefix("^"), event)) is dropped, event
    assert expression[1].startswith("^")


def test_rendered_twice_it_is_the_same_and_only_the_group_may_read_it(tmp_path: Path) -> None:
    out = tmp_path / "etc"
    first = {path: path.read_bytes() for path in render(out, DECIDED, SITE)}
    again = {path: path.read_bytes() for path in render(out, DECIDED, SITE)}
    assert first == again
    assert {path.stat().st_mode & 0o777 for path in first} == {0o640}
    assert {path.name for path in out.iterdir()} == {*made(), "moh", "prompts", RINGING, MARK}
    assert out.stat().st_mode & 0o777 == 0o750
    assert (out / "moh/hold.sln").read_bytes() == hold_tone()


def test_a_folder_of_others_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "sip.conf").write_text("[general]\n")
    with pytest.raises(PbxConfigError, match="not made by kikitori"):
        render(tmp_path, DECIDED, SITE)
    assert [path.name for path in tmp_path.iterdir()] == ["sip.conf"]


def test_a_change_by_hand_is_not_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "etc"
    render(out, DECIDED, SITE)
    (out / "rtp.conf").write_text("[general]\nrtpstart = 20000\n")
    with pytest.raises(PbxConfigError, match=r"rtp\.conf was changed by hand"):
        render(out, DECIDED, replace(SITE, rtp_start=9000))
    assert "rtpstart = 20000" in (out / "rtp.conf").read_text()
    (out / "rtp.conf").unlink()
    render(out, DECIDED, replace(SITE, rtp_start=9000))
    assert "rtpstart = 9000" in (out / "rtp.conf").read_text()


def test_a_file_that_is_no_longer_made_goes(tmp_path: Path) -> None:
    out = tmp_path / "etc"
    render(out, DECIDED, SITE)
    (out / "old.conf").write_bytes(b"")
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    (out / MARK).write_text((out / MARK).read_text() + f"{empty}  old.conf\n")
    render(out, DECIDED, SITE)
    assert not (out / "old.conf").exists()
    assert " old.conf" not in (out / MARK).read_text()


def test_what_is_heard_on_hold_is_soft_and_ends_in_silence() -> None:
    tone = memoryview(hold_tone()).cast("h")
    assert len(tone) == 8 * 8000
    assert 0 < max(tone) < 3000
    assert not any(tone[4 * 8000 :])


def test_the_gate_is_asked_by_a_script_where_there_is_a_socket(tmp_path: Path) -> None:
    out = tmp_path / "etc"
    site = replace(SITE, gate_socket="/srv/kikitori/gate/gate.sock", python="/opt/agi/bin/python3")
    render(out, DECIDED, site)
    text = (out / "extensions.conf").read_text()
    asked = re.findall(r"AGI\((.*)\)$", text, re.MULTILINE)
    assert asked == [
        f"kikitori-route,/srv/kikitori/gate/gate.sock,{request},${{UNIQUEID}}"
        for request in (
            "/choose/${FILTER(0-9,${KIKITORI_KEY})}",
            "/pass/${KIKITORI_CODE}",
            "/note/${KIKITORI_SECTION}",
            "/say/${ARG1}",
            "/in/${KIKITORI_DID}",
            "/internal",
            "/out",
        )
    ]
    assert f"astagidir => {out}/agi-bin\n" in (out / "asterisk.conf").read_text()
    script = out / SCRIPT
    assert script.stat().st_mode & 0o777 == script.parent.stat().st_mode & 0o777 == 0o750
    assert script.read_text().startswith('#!/opt/agi/bin/python3 -I\n"""AGI(kikitori-route')
    render(out, DECIDED, SITE)
    assert not script.exists()
    assert "AGI(agi://127.0.0.1:4573/in/${KIKITORI_DID})" in (out / "extensions.conf").read_text()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("gate_socket", "gate.sock"),
        ("gate_socket", "/run/a,b"),
        ("gate_socket", "/" + "s" * 107),
        ("python", "python3"),
    ],
)
def test_what_runs_the_script_is_a_path(field: str, value: str) -> None:
    with pytest.raises(PbxConfigError, match=field):
        replace(SITE, **{field: value})  # type: ignore[arg-type]
