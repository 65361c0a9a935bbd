"""Help and errors of the command line: one sentence on standard error that says what, where and what to do."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from cti.cli.common import length, passphrase, plain, seconds, when
from cti.errors import UsageError
from cti.settings import FILE
from policies.load import shipped
from recorder.version import VERSION
from tests.unit.cti.calls.streams import Numbers, Script, inbound, talk
from tests.unit.cti.cli.conftest import Kikitori
from tests.unit.cti.cli.walk import pages

NEEDS_SETTINGS = {
    "config show": (), "status": (), "recordings list": (), "recordings show": ("3f2a",), "audit list": (),
    "audit verify": (), "calls list": (), "catalogue rebuild": (), "verify": ("--all",), "serve": (),
    "asterisk render": ("--out", "d"), "recover": (), "calls capture": ("x.ami",), "asterisk doctor": (),
    "doctor": (), "deploy render": ("--out", "d"), "prompts check": (), "prompts list": (),
}  # fmt: skip


def test_every_help_page_says_how_it_is_typed() -> None:
    for command, text in pages("en").items():
        page = " ".join(text.split())
        assert f"Usage: {command}" in page
        assert "Show this message and exit." in page, command
        assert "COMMAND [ARGS]" in page or "Example" in page, f"{command} does not show how it is typed"


def test_the_verbs_are_all_there() -> None:
    assert {name.removeprefix("kikitori ") for name in pages("en")} >= {
        "init", "config show", "serve", "status", "recordings list", "recordings show", "play", "export", "verify",
        "audit list", "audit verify", "calls replay", "calls capture", "asterisk render", "asterisk doctor",
        "catalogue rebuild", "demo", "recover", "prompts check", "prompts list", "prompts render",
        "doctor", "deploy render",
    }  # fmt: skip


def test_every_command_speaks_to_programs() -> None:
    mute = [command for command, page in pages("en").items() if "COMMAND [ARGS]" not in page and "--json" not in page]
    assert mute == []


def test_the_version_is_the_one_that_manifests_name(kikitori: Kikitori) -> None:
    said = kikitori("--version")
    assert (said.status, said.out) == (0, f"{VERSION}\n")


def test_without_a_command_the_help(kikitori: Kikitori) -> None:
    said = kikitori()
    assert "Usage: kikitori" in said.out + said.err


@pytest.mark.parametrize(("command", "more"), NEEDS_SETTINGS.items())
def test_no_settings_file(kikitori: Kikitori, command: str, more: tuple[str, ...]) -> None:
    said = kikitori(*command.split(), *more)
    assert said.status == 78
    assert said.err == (
        "kikitori: no kikitori.toml here, in KIKITORI_CONFIG or in /etc/kikitori. `kikitori init DIR` makes one\n"
    )
    assert said.out == ""


def test_a_wrong_key_names_file_and_line(kikitori: Kikitori) -> None:
    path = Path(FILE).absolute()
    path.write_text("[site]\npbx = 'pbx1'\n[pbx]\nprot = 1\n")
    said = kikitori("config", "show")
    assert said.status == 78
    assert said.err.startswith(f"kikitori: {FILE}:4: pbx.prot: ") or said.err.startswith(
        f"kikitori: {path}:4: pbx.prot: "
    )


def test_a_settings_file_that_is_not_there(kikitori: Kikitori, tmp_path: Path) -> None:
    said = kikitori("--config", tmp_path / "none.toml", "config", "show")
    assert said.status == 78
    assert f"{tmp_path / 'none.toml'}: cannot be read" in said.err


def test_config_show(kikitori: Kikitori) -> None:
    Path(FILE).write_text("[pbx]\nport = 5039\n")
    rows = {row["key"]: row for row in map(json.loads, kikitori("config", "show", "--json").out.splitlines())}
    assert rows["pbx.port"]["value"] == 5039
    assert rows["pbx.port"]["source"].endswith(f"{FILE}:2")
    assert rows["pbx.host"]["source"] == "default"
    assert "5039" in kikitori("config", "show").out


def test_a_recorder_that_does_not_run(kikitori: Kikitori) -> None:
    Path(FILE).write_text("[pbx]\nport = 5039\n")
    said = kikitori("status")
    assert said.status == 69
    assert "recorder.sock" in said.err
    assert "Start it: systemctl start kikitori" in said.err


def test_events_that_wait_come_late_or_are_lost_are_said(kikitori: Kikitori, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = {
        "in_step": True, "calls": 3, "recording": 2, "spool_free": 1 << 30, "spool_size": 1 << 30, "trouble": None,
        "events_waiting": 12, "by_dialplan": 0,
        "events_delay": 4.25, "events_dropped": 5, "events_oversized": 2, "events_tampered": 0,
    }  # fmt: skip

    async def ask(*_: object) -> dict[str, object]:
        return answer

    Path(FILE).write_text("[pbx]\nport = 5039\n")
    shutil.copytree(shipped(), "policies")
    monkeypatch.setattr("cti.control.ask", ask)
    said = kikitori("status")
    assert said.status == 1, "there is no gate"
    assert "gate" in said.out
    assert "Events: 12 wait, the last one was 4.2 s late; 7 lost since the start\n" in said.out
    assert json.loads(kikitori("status", "--json").out)["events_delay"] == 4.25


@pytest.mark.parametrize(
    "arguments",
    [("nonsense",), ("calls", "nonsense"), ("play",), ("serve", "--role", "king"), ("calls", "replay"),
     ("audit", "list", "--from", "-1"), ("--nonsense",)],
)  # fmt: skip
def test_a_command_that_is_none(kikitori: Kikitori, arguments: tuple[str, ...]) -> None:
    said = kikitori(*arguments)
    assert said.status == 2
    assert said.out == ""
    assert "kikitori" in said.err


@pytest.mark.parametrize("arguments", [(), ("3f2a", "--all")])
def test_verify_wants_one_recording_or_all(kikitori: Kikitori, arguments: tuple[str, ...]) -> None:
    said = kikitori("verify", *arguments)
    assert (said.status, said.err) == (64, "kikitori: name one recording, or --all\n")


def test_a_purpose_that_is_none(kikitori: Kikitori) -> None:
    said = kikitori("play", "3f2a", "--purpose", "curiosity", "-o", "x.wav")
    assert said.status == 64
    assert "quality" in said.err
    assert not Path("x.wav").exists()


# --- calls replay -----------------------------------------------------------------------------------------------------


def stream(*, timed: bool = True) -> bytes:
    pbx = Script(timed=timed)
    caller, phone = inbound(pbx, Numbers())
    talk(pbx, caller, phone)
    pbx.hangup(caller, phone)
    return b"Asterisk Call Manager/9.0.0\r\n" + b"".join(event.raw + b"\r\n\r\n" for event in pbx.events)


def test_replay_gives_a_json_line_a_fact(kikitori: Kikitori) -> None:
    Path("x.ami").write_bytes(stream())
    said = kikitori("calls", "replay", "x.ami", "--json")
    rows = [json.loads(line) for line in said.out.splitlines()]
    assert (said.status, said.err) == (0, "")
    assert [row["fact"] for row in rows] == [
        "CallArrived", "CallRinging", "CallAnswered", "LegJoined", "LegJoined", "LegLeft", "LegLeft", "CallEnded",
    ]  # fmt: skip
    assert all(row.keys() >= {"fact", "conversation", "at", "legs"} for row in rows)
    keys = {"channel", "uniqueid", "number", "caller_name", "endpoint", "designated", "direction"}
    assert all(leg.keys() == keys for row in rows for leg in row["legs"])
    assert {leg["designated"] for row in rows for leg in row["legs"]} == {None}
    assert "山田太郎" in said.out


def test_replay_with_policies(kikitori: Kikitori) -> None:
    from policies.load import shipped

    Path("x.ami").write_bytes(stream())
    said = kikitori("calls", "replay", "x.ami", "--json", "--policies", shipped())
    last = json.loads(said.out.splitlines()[1])
    assert [(leg["designated"], leg["direction"]) for leg in last["legs"]] == [(False, "in"), (True, "internal")]


def test_replay_for_people_is_one_line_a_fact(kikitori: Kikitori, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    Path("x.ami").write_bytes(stream())
    lines = kikitori("calls", "replay", "x.ami").out.splitlines()
    assert len(lines) == 8
    assert lines[0].startswith("00:00:00.001 CallArrived")


def test_replay_without_times(kikitori: Kikitori) -> None:
    Path("x.ami").write_bytes(stream(timed=False))
    said = kikitori("calls", "replay", "x.ami", "--json")
    assert (said.status, said.out) == (65, "")
    assert "timestampevents=yes" in said.err
    assert "--untimed" in said.err
    said = kikitori("calls", "replay", "x.ami", "--untimed", "--json")
    assert said.status == 0
    assert {json.loads(line)["at"] for line in said.out.splitlines()} == {None}


def test_replay_from_standard_input(kikitori: Kikitori, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("x.ami").write_bytes(stream())
    with Path("x.ami").open() as file:
        monkeypatch.setattr(sys, "stdin", file)
        assert len(kikitori("calls", "replay", "-", "--json").out.splitlines()) == 8


@pytest.mark.parametrize(
    "content", [b"", b"\0\xff" * 1000, b"not a stream\n" * 10, b"\r\n" * 100, b"Response: Success\r\n\r\n"]
)
def test_replay_of_what_is_no_stream(kikitori: Kikitori, content: bytes) -> None:
    Path("x.ami").write_bytes(content)
    said = kikitori("calls", "replay", "x.ami", "--json")
    assert (said.status, said.out) == (65, "")
    assert said.err == "kikitori: x.ami holds no manager event: is it a captured manager stream?\n"


def test_replay_of_a_file_that_is_not_there(kikitori: Kikitori) -> None:
    said = kikitori("calls", "replay", "none.ami")
    assert (said.status, said.err) == (65, "kikitori: none.ami: No such file or directory\n")
    said = kikitori("calls", "replay", ".")
    assert (said.status, said.err) == (65, "kikitori: .: Is a directory\n")


def test_replay_with_policies_that_are_not_there(kikitori: Kikitori) -> None:
    Path("x.ami").write_bytes(stream())
    said = kikitori("calls", "replay", "x.ami", "--policies", "nowhere")
    assert said.status == 1
    assert "numbers.toml: cannot be read" in said.err


# --- what commands share ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"), [("80", 80.0), ("1:20", 80.0), ("1:02:03.5", 3723.5), ("0", 0.0), (None, None)]
)
def test_a_time_in_a_recording(text: str | None, value: float | None) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "-1", "1:2:3:4", "abc", "1:", ":1", "1e3", "１", "1.5:20"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(UsageError, match="is no time"):
        seconds(text)


def test_times_are_read_in_osaka() -> None:
    from datetime import UTC, datetime

    assert when(datetime(2025, 12, 1, 0, 0, tzinfo=UTC)) == "2025-12-01 09:00:00"
    assert when(None) == ""
    assert length(65.25) in ("1:05.2", "1:05.3")


def test_the_passphrase_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "p"
    file.write_text("first line\nsecond\n")
    assert passphrase(file) == "first line"
    file.write_text("\nsecond\n")
    with pytest.raises(UsageError, match="empty"):
        passphrase(file)
    with pytest.raises(UsageError, match="No such file"):
        passphrase(tmp_path / "none")
    file.write_bytes(b"\xff\n")
    with pytest.raises(UsageError, match=r"UTF-8|decode"):
        passphrase(file)
    with file.open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        with pytest.raises(UsageError, match="no terminal"):
            passphrase(None)


def test_what_has_no_json_form_is_an_error() -> None:
    assert plain(b"\x01\xff") == "01ff"
    assert plain(Path("/x")) == "/x"
    with pytest.raises(TypeError):
        plain(object())
