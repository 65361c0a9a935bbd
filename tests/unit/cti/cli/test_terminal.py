"""What a caller, a PBX or a file name says reaches the terminal as text: it moves no cursor and turns no line round."""

import json
from pathlib import Path

import pytest

from cti.ami.message import Message
from cti.cli.common import say_json, table
from cti.cli.terminal import STEERING, one_line, printable
from tests.unit.cti.ami.fake import FakeAmi, Peer
from tests.unit.cti.calls.streams import Script, talk
from tests.unit.cti.cli.conftest import Kikitori, Said
from tests.unit.cti.cli.served import in_a_thread, installation
from tests.unit.cti.doctor.talking import Pbx

EVIL = "\x1b]0;owned\x07\x9b2J\x7f\u202e[/red][bold]:bomb:"
SHOWN = "␛]0;owned␇\\x9b2J␡\\u202e[/red][bold]:bomb:"


def steers(said: Said) -> bool:
    return any(STEERING.search(text) for text in (said.out, said.err))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("水道局 0664581132 – ½", "水道局 0664581132 – ½"),
        ("\x1b[2J", "␛[2J"),
        ("\x00\x08\r", "␀␈␍"),
        ("\x7f\x80\x9b", "␡\\x80\\x9b"),
        ("a\u202eb\u2066c\u200fd", "a\\u202eb\\u2066c\\u200fd"),
        ("\udcff", "\\udcff"),
        ("a\n\tb", "a\n\tb"),
    ],
)
def test_what_steers_is_shown(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_one_line_stays_one() -> None:
    assert one_line("a\nb\tc\x1b") == "a␊b␉c␛"


@pytest.mark.parametrize("more", [(), ("--explain",)])
def test_a_call_that_steers_is_replayed_as_text(kikitori: Kikitori, more: tuple[str, ...]) -> None:
    pbx = Script()
    caller = pbx.channel(f"PJSIP/trunk{EVIL}-00000001", number=f"090{EVIL}", caller_name=EVIL, exten=f"06{EVIL}")
    phone = pbx.channel("PJSIP/2001-00000002", number=f"2001{EVIL}", of=caller)
    pbx.ring(phone)
    talk(pbx, caller, phone)
    pbx.hangup(caller, phone)
    Path("x.ami").write_bytes(b"".join(event.raw + b"\r\n\r\n" for event in pbx.events))
    said = kikitori("calls", "replay", "x.ami", *more)
    assert said.status == 0
    assert f"090{SHOWN}" in said.out
    assert f"trunk{SHOWN}" in said.out
    assert not steers(said)
    said = kikitori("calls", "replay", "x.ami", "--json")
    assert json.loads(said.out.splitlines()[0])["legs"][0]["number"] == f"090{EVIL}", "a program gets what was said"
    assert not steers(said)


class Steering(Pbx):
    """A PBX with a version that steers, and an answer that does."""

    def coresettings(self, peer: Peer, action: Message) -> None:
        peer.reply(action, f"AsteriskVersion: 22.10.1{EVIL}", "SystemName: pbx1")


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_a_version_that_steers(kikitori: Kikitori, more: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    with in_a_thread(FakeAmi(Steering())) as server:
        installation(server.port)
        said = kikitori("asterisk", "doctor", "--listen", "0.3", *more)
    assert "owned" in said.out
    assert not steers(said)


def test_a_refusal_that_steers(kikitori: Kikitori) -> None:
    class Refusing(FakeAmi):
        async def _take(self, peer: Peer, action: Message) -> None:
            peer.reply(action, f"Message: {EVIL}", response="Error")

    with in_a_thread(Refusing()) as server:
        installation(server.port)
        said, tried = kikitori("asterisk", "doctor"), kikitori("calls", "capture", "x.ami")
    assert "owned" in said.out
    assert f"refused user 'kikitori': {SHOWN}" in tried.err
    assert not steers(said)
    assert not steers(tried)


@pytest.mark.parametrize("name", [r"/nonexist\[/red]x", f"nonexist{EVIL.replace('/', '')}", "none\udcff", "[/x]", "\\"])
def test_a_file_name_is_no_markup(kikitori: Kikitori, name: str) -> None:
    said = kikitori("calls", "replay", name)
    assert (said.status, said.out) == (65, "")
    assert said.err == f"kikitori: {printable(name)}: No such file or directory\n"


def test_an_option_is_no_markup(kikitori: Kikitori) -> None:
    said = kikitori("calls", r"\[/red]x" + EVIL)
    assert said.status == 2
    assert "owned" in said.err
    assert not steers(said)


def test_a_cell_is_text_on_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    table(("A", "B"), [(EVIL, "x\ny"), (None, 1)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == [SHOWN, "x␊y"]
    assert len(lines) == 3


def test_json_keeps_the_value(capsys: pytest.CaptureFixture[str]) -> None:
    say_json({"a": EVIL + "\udcff水"})
    line = capsys.readouterr().out
    assert json.loads(line) == {"a": EVIL + "\udcff水"}
    assert not STEERING.search(line)
    assert "水" in line
