"""`kikitori calls capture`, against a manager interface that is not Asterisk's."""

import asyncio
import json
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cti.ami.message import Message
from tests.unit.cti.ami.fake import FakeAmi, Peer
from tests.unit.cti.calls.streams import Numbers, Script, inbound, talk
from tests.unit.cti.cli.conftest import Kikitori
from tests.unit.cti.cli.served import in_a_thread, installation


def pbx(peer: Peer, action: Message) -> None:
    """A PBX on which a call comes and goes, with the secrets of this house on its lips."""
    if action.get("Action") == "CoreSettings":
        peer.reply(action, "AsteriskVersion: 22.10.1")
        return
    peer.reply(action, "EventList: start")
    peer.send("Event: CoreShowChannelsComplete", f"ActionID: {action.get('ActionID')}", "EventList: Complete")
    script = Script()
    caller, phone = inbound(script, Numbers())
    talk(script, caller, phone)
    script.hangup(caller, phone)
    for event in script.events:
        peer.writer.write(event.raw + b"\r\n\r\n")
    peer.send("Event: UserEvent", "Note: secret-of-the-manager", "Other: secret-of-a-phone")


@pytest.fixture
def house(kikitori: Kikitori) -> Iterator[FakeAmi]:
    """Settings here, and the PBX they name."""
    with in_a_thread(FakeAmi(pbx)) as server:
        installation(server.port)
        yield server


def facts(kikitori: Kikitori, file: str) -> list[tuple[str, str]]:
    said = kikitori("calls", "replay", file, "--json")
    assert said.status == 0
    return [(row["fact"], row["at"]) for row in map(json.loads, said.out.splitlines())]


@pytest.mark.usefixtures("house")
def test_a_capture_is_replayed(kikitori: Kikitori) -> None:
    said = kikitori("calls", "capture", "x.ami", "--duration", "0.5", "--json")
    assert (said.status, said.err) == (0, "")
    told = json.loads(said.out)
    stream = Path("x.ami").read_bytes()
    assert (told["asterisk"], told["calls"], told["bytes"]) == ("22.10.1", 1, len(stream))
    assert [fact for fact, _ in facts(kikitori, "x.ami")] == [
        "CallArrived", "CallRinging", "CallAnswered", "LegJoined", "LegJoined", "LegLeft", "LegLeft", "CallEnded",
    ]  # fmt: skip
    assert "山田太郎".encode() in stream
    assert b"secret-of" not in stream
    assert Path("x.ami").stat().st_mode & 0o777 == 0o600


@pytest.mark.usefixtures("house")
def test_without_numbers_the_same_facts(kikitori: Kikitori) -> None:
    kikitori("calls", "capture", "plain.ami", "--duration", "0.5")
    said = kikitori("calls", "capture", "x.ami", "--duration", "0.5", "--mask-numbers")
    assert said.status == 0
    assert said.err.startswith("x.ami: ")
    assert said.err.endswith("Asterisk 22.10.1\n")
    assert facts(kikitori, "x.ami") == facts(kikitori, "plain.ami")
    stream = Path("x.ami").read_bytes()
    assert b"0664581132" in stream, "our own number stays"
    assert b"0901234567" not in stream
    assert b"0901234567" in Path("plain.ami").read_bytes()
    assert "山田太郎".encode() not in stream


@pytest.mark.usefixtures("house")
def test_an_existing_file_stays_unless_it_is_forced(kikitori: Kikitori, house: FakeAmi) -> None:
    Path("x.ami").write_bytes(b"old")
    said = kikitori("calls", "capture", "x.ami")
    assert (said.status, said.out) == (74, "")
    assert "x.ami" in said.err
    assert "File exists" in said.err
    assert Path("x.ami").read_bytes() == b"old"
    assert house.actions == [], "nobody was asked"
    assert kikitori("calls", "capture", "x.ami", "--force", "--duration", "0.3").status == 0
    assert Path("x.ami").read_bytes() != b"old"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_good_order(kikitori: Kikitori, number: signal.Signals) -> None:
    def stopped(peer: Peer, action: Message) -> None:
        pbx(peer, action)
        if action.get("Action") == "CoreShowChannels":
            # the events are on their way before the signal is
            asyncio.get_running_loop().call_later(0.3, os.kill, os.getpid(), number)

    with in_a_thread(FakeAmi(stopped)) as server:
        installation(server.port)
        said = kikitori("calls", "capture", "x.ami", "--json")
    assert said.status == 0
    stream = Path("x.ami").read_bytes()
    assert json.loads(said.out)["bytes"] == len(stream)
    assert stream.endswith(b"\r\n\r\n")


def test_a_refused_login_leaves_no_file(kikitori: Kikitori) -> None:
    server = FakeAmi()
    server.refuse_login = True
    with in_a_thread(server):
        installation(server.port)
        said = kikitori("calls", "capture", "x.ami")
    assert said.status == 1
    assert "refused user 'kikitori'" in said.err
    assert not Path("x.ami").exists()


def test_no_pbx(kikitori: Kikitori) -> None:
    installation(1)
    said = kikitori("calls", "capture", "x.ami")
    assert (said.status, said.out) == (69, "")
    assert "127.0.0.1:1: Connection refused. Is Asterisk running" in said.err
    assert not Path("x.ami").exists()


def test_a_pbx_that_dies_leaves_what_it_said(kikitori: Kikitori) -> None:
    def dies(peer: Peer, action: Message) -> None:
        pbx(peer, action)
        if action.get("Action") == "CoreShowChannels":
            peer.writer.close()

    with in_a_thread(FakeAmi(dies)) as server:
        installation(server.port)
        said = kikitori("calls", "capture", "x.ami")
    assert said.status == 69
    assert "closed by Asterisk. What came before is in x.ami" in said.err
    assert len(facts(kikitori, "x.ami")) == 8


@pytest.mark.usefixtures("house")
def test_another_user(kikitori: Kikitori) -> None:
    said = kikitori("calls", "capture", "x.ami", "--user", "reader")
    assert (said.status, said.err) == (
        64, "kikitori: --user and --secret-file belong together: name both\n",
    )  # fmt: skip
    Path("reader.secret").write_text("hush\n")
    arguments = ("--user", "reader", "--secret-file", "reader.secret", "--duration", "0.3")
    assert kikitori("calls", "capture", "x.ami", *arguments).status == 0
    said = kikitori("calls", "capture", "y.ami", "--user", "reader", "--secret-file", "none")
    assert said.status == 78
    assert "none" in said.err


@pytest.mark.usefixtures("house")
def test_standard_output_may_be_a_file(kikitori: Kikitori, monkeypatch: pytest.MonkeyPatch) -> None:
    with Path("x.ami").open("w") as file:
        monkeypatch.setattr(sys, "stdout", file)
        said = kikitori("calls", "capture", "-", "--duration", "0.5", "--json")
    assert json.loads(said.err)["bytes"] == Path("x.ami").stat().st_size > 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_reader_that_stands_still_does_not_keep_it(
    kikitori: Kikitori, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    def talks(peer: Peer, action: Message) -> None:
        pbx(peer, action)
        for serial in range(4000):
            peer.send("Event: Newstate", f"Uniqueid: {serial}", "Linkedid: 0", "ChannelStateDesc: Up")

    reading, writing = os.pipe()
    over = threading.Event()

    def signalled_when_full() -> None:
        while select.select([], [writing], [], 0)[1] and not over.is_set():
            time.sleep(0.01)
        os.kill(os.getpid(), number)
        if not over.wait(5):
            os.close(reading)  # whoever still waits for room gets an error

    watch = threading.Thread(target=signalled_when_full)
    with in_a_thread(FakeAmi(talks)) as server, os.fdopen(writing, "w") as pipe:
        installation(server.port)
        monkeypatch.setattr(sys, "stdout", pipe)
        watch.start()
        said = kikitori("calls", "capture", "-", "--json")
        over.set()
        watch.join()
    assert said.status == 0
    stream = os.read(reading, 1 << 20)
    os.close(reading)
    assert json.loads(said.err)["bytes"] == len(stream) > 50_000
    assert stream.endswith(b"\r\n\r\n")
