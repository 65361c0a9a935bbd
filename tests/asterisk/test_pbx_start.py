"""A real Asterisk on the rendered, shipped policies: it starts clean, and records by itself without a gate.

To be run by root inside `unshare -n -m -p --fork --mount-proc` with the loopback interface up.
"""

import csv
import grp
import pwd
import shutil
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from io import BufferedRWPair
from itertools import pairwise
from pathlib import Path
from threading import Thread

import pytest

from cti.calls.cel import CDR_COLUMNS, CEL_COLUMNS
from cti.demo.pbx import Pbx, Users, absent_modules, ensure_users, find_root, mount_spool
from cti.pbxconfig import Site
from policies.load import Policies, shipped
from tests.real import at_any_hour

SECRET = "a-secret-of-the-test"
TRUNK, PHONES = "127.0.0.2", "127.0.0.1"
TALK = 1.2  # seconds of a test call
SENT_ON = 4.0  # of one that is transferred after 0.3 s: on a busy machine the transfer itself took 0.4 s
RATE = 8000
REGISTERS = "2003"  # the one phone that has a secret instead of a fixed address

UAC = """<?xml version="1.0" encoding="UTF-8"?>
<scenario name="caller">
  <send retrans="500"><![CDATA[
INVITE sip:[service]@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: %(name)s<sip:%(user)s@[local_ip]:[local_port]>;tag=[pid]t[call_number]
To: <sip:[service]@[remote_ip]:[remote_port]>
Call-ID: [call_id]
CSeq: 1 INVITE
Contact: <sip:%(user)s@[local_ip]:[local_port]>
Max-Forwards: 70
Content-Type: application/sdp
Content-Length: [len]

v=0
o=- 1 1 IN IP4 [local_ip]
s=-
c=IN IP4 [media_ip]
t=0 0
m=audio [rtpstream_audio_port] RTP/AVP 0
a=rtpmap:0 PCMU/8000
]]></send>
%(rest)s
</scenario>
"""
TALKS = """  <recv response="100" optional="true"/>
  <recv response="180" optional="true"/>
  <recv response="183" optional="true"/>
  <recv response="200" rrs="true"/>
  <send><![CDATA[
ACK [next_url] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
[last_From:]
[last_To:]
Call-ID: [call_id]
CSeq: 1 ACK
Max-Forwards: 70
Content-Length: 0
]]></send>
  <nop><action><exec rtp_stream="%(audio)s,-1,0,PCMU/8000"/></action></nop>
  <pause milliseconds="%(talk)d"/>
  <send retrans="500"><![CDATA[
BYE [next_url] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
[last_From:]
[last_To:]
Call-ID: [call_id]
CSeq: 2 BYE
Max-Forwards: 70
Content-Length: 0
]]></send>
  <recv response="200"/>"""
REFUSED = """  <recv response="100" optional="true"/>
  <recv response="404"/>
  <send><![CDATA[
ACK sip:[service]@[remote_ip]:[remote_port] SIP/2.0
[last_Via:]
[last_From:]
[last_To:]
Call-ID: [call_id]
CSeq: 1 ACK
Max-Forwards: 70
Content-Length: 0
]]></send>"""
GIVES_UP = """  <recv response="100"/>
  <pause milliseconds="500"/>
  <send retrans="500"><![CDATA[
CANCEL sip:[service]@[remote_ip]:[remote_port] SIP/2.0
[last_Via:]
From: <sip:%(user)s@[local_ip]:[local_port]>;tag=[pid]t[call_number]
To: <sip:[service]@[remote_ip]:[remote_port]>
Call-ID: [call_id]
CSeq: 1 CANCEL
Max-Forwards: 70
Content-Length: 0
]]></send>
  <recv response="200"/>
  <recv response="487"/>
  <send><![CDATA[
ACK sip:[service]@[remote_ip]:[remote_port] SIP/2.0
[last_Via:]
[last_From:]
[last_To:]
Call-ID: [call_id]
CSeq: 1 ACK
Max-Forwards: 70
Content-Length: 0
]]></send>"""
REFUSES = {
    "404": REFUSED,
    "401": REFUSED.replace("404", "401"),
}
REGISTER = """<?xml version="1.0" encoding="UTF-8"?>
<scenario name="registers">
  <send retrans="500"><![CDATA[
REGISTER sip:[remote_ip] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:[service]@[remote_ip]>;tag=[pid]r[call_number]
To: <sip:[service]@[remote_ip]>
Call-ID: [call_id]
CSeq: 1 REGISTER
Contact: <sip:[service]@[local_ip]:[local_port]>
Max-Forwards: 70
Expires: 60
Content-Length: 0
]]></send>
  <recv response="401" auth="true"/>
  <send retrans="500"><![CDATA[
REGISTER sip:[remote_ip] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:[service]@[remote_ip]>;tag=[pid]r[call_number]
To: <sip:[service]@[remote_ip]>
Call-ID: [call_id]
CSeq: 2 REGISTER
Contact: <sip:[service]@[local_ip]:[local_port]>
[authentication username=%(user)s password=%(secret)s]
Max-Forwards: 70
Expires: 60
Content-Length: 0
]]></send>
  <recv response="%(answer)d"/>
</scenario>
"""
UAS = """<?xml version="1.0" encoding="UTF-8"?>
<scenario name="phone">
  <recv request="INVITE" rrs="true"/>
  <send><![CDATA[
SIP/2.0 180 Ringing
[last_Via:]
[last_From:]
[last_To:];tag=[pid]u[call_number]
[last_Call-ID:]
[last_CSeq:]
Contact: <sip:[local_ip]:[local_port]>
Content-Length: 0
]]></send>
  <pause milliseconds="200"/>
  <send retrans="500"><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:];tag=[pid]u[call_number]
[last_Call-ID:]
[last_CSeq:]
Contact: <sip:[local_ip]:[local_port]>
Content-Type: application/sdp
Content-Length: [len]

v=0
o=- 1 1 IN IP4 [local_ip]
s=-
c=IN IP4 [media_ip]
t=0 0
m=audio [media_port] RTP/AVP 0
a=rtpmap:0 PCMU/8000
]]></send>
  <recv request="ACK"/>
  <recv request="BYE"/>
  <send><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0
]]></send>
  <pause milliseconds="100"/>
</scenario>
"""


class Exchange:
    """The PBX of these tests and both kinds of telephones around it."""

    def __init__(self, pbx: Pbx, users: Users, spool: Path) -> None:
        self.pbx, self.users, self.spool = pbx, users, spool
        self.folder = pbx.work / "sipp"
        self.folder.mkdir()
        (self.folder / "tone.ulaw").write_bytes(bytes((0x1E, 0x1E, 0x9E, 0x9E)) * RATE)
        self._runs = 0

    def call(
        self,
        number: str,
        *,
        phone: str | None = None,
        caller: str = "0312345678",
        name: str = "",
        rest: str = TALKS,
        then: str | None = None,
        at: str | None = None,
        talk: float = TALK,
    ) -> float:
        """A call to `number`, from the trunk or a phone; answered by `phone`, who sends it on to the phone `then`."""
        self._runs += 1
        inside = caller.startswith(("2", "3"))
        values = {"name": name, "user": caller, "audio": self.folder / "tone.ulaw", "talk": talk * 1000}
        uac, uas = self.folder / f"uac{self._runs}.xml", self.folder / f"uas{self._runs}.xml"
        uac.write_text(UAC % {**values, "rest": rest % values})
        uas.write_text(UAS)
        running = []
        try:
            for index, answering in enumerate(one for one in (phone, then) if one is not None):
                there, port = (TRUNK, 5070) if answering == "trunk" else (PHONES, 20000 + int(answering))
                media = 30000 + 8 * self._runs + 4 * index
                running.append(self._sipp("-sf", str(uas), "-rtp_echo", at=there, port=port, media=media))
                wait_for(partial(bound, there, port), f"{answering} listens")
            where, began = at or (PHONES if inside else TRUNK), time.monotonic()
            target = ("-s", number, "-recv_timeout", "15000", f"{PHONES}:5060")
            calling = self._sipp("-sf", str(uac), *target, at=where, port=40000 + self._runs, media=35000)
            running.append(calling)
            if then is not None:
                self._send_on(f"PJSIP/{phone}-", then)
            output = calling.communicate(timeout=40)[0]
            took = time.monotonic() - began
            assert calling.returncode == 0, output.decode(errors="replace")[-3000:]
            assert [process.wait(20) for process in running] == [0] * len(running)
        finally:
            for process in running:
                process.kill()
                process.communicate()
        wait_for(lambda: "0 active channels" in self.pbx.rx("core show channels count"), "the channels are gone")
        return took

    def _send_on(self, channel: str, target: str) -> None:
        def talking() -> list[str]:
            rows = [row.split("!") for row in self.pbx.rx("core show channels concise").splitlines()]
            return [row[0] for row in rows if row[0].startswith(channel) and row[-2]]

        wait_for(talking, "the call is bridged")
        time.sleep(TALK / 4)
        action = f"Action: BlindTransfer\r\nChannel: {talking()[0]}\r\nContext: phones\r\nExten: {target}"
        assert "Response: Success" in ami(LOGIN, action).split("ActionID: n0", 1)[1]

    def _sipp(self, *arguments: str, at: str, port: int, media: int) -> subprocess.Popen[bytes]:
        where = ("-i", at, "-mi", at, "-p", str(port), "-m", "1", "-nostdin", "-timeout", "30s")
        command = ("sipp", *arguments, *where, "-mp", str(media))
        return subprocess.Popen(command, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def register(self, phone: str, secret: str, answer: int) -> None:
        """`phone` registers with `secret`; the PBX gives `answer`."""
        scenario = self.folder / f"register{answer}.xml"
        scenario.write_text(REGISTER % {"user": phone, "secret": secret, "answer": answer})
        target = ("-s", phone, "-recv_timeout", "5000", f"{PHONES}:5060")
        process = self._sipp("-sf", str(scenario), *target, at=PHONES, port=20000 + int(phone), media=36000)
        output = process.communicate(timeout=20)[0]
        assert process.returncode == 0, output.decode(errors="replace")[-3000:]

    def recorded(self) -> dict[str, Path]:
        """Side ("r", "t") -> the one recording in the spool; empty where there is none."""
        files = sorted(self.spool.iterdir())
        assert len(files) in (0, 2), files
        assert len({path.name.rsplit("-", 1)[0] for path in files}) == len(files) // 2
        return {path.stem[-1]: path for path in files}

    def rows(self, name: str, columns: tuple[str, ...]) -> list[dict[str, str]]:
        """What Asterisk's own witness says so far."""
        with Path(self.pbx.site.log_dir, name).open(newline="") as file:
            return [dict(zip(columns, row, strict=True)) for row in csv.reader(file)]


def wait_for(fact: Callable[[], object], what: str, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.02)


def bound(address: str, port: int) -> bool:
    want = f"{socket.inet_aton(address)[::-1].hex().upper()}:{port:04X}"
    return any(line.split()[1] == want for line in Path("/proc/net/udp").read_text().splitlines()[1:])


@contextmanager
def gate(*commands: str, silent: bool = False) -> Iterator[list[str]]:
    """A FastAGI server that sends `commands` and closes (`silent`: says nothing). Yields the paths asked for."""
    asked: list[str] = []
    with socket.create_server(("127.0.0.1", 4573)) as server:

        def serve() -> None:
            held: list[socket.socket | BufferedRWPair] = []
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    for one in held:
                        one.close()
                    return
                file = connection.makefile("rwb")
                lines = [line.decode().strip() for line in iter(file.readline, b"\n")]
                environment = {key: value for key, _, value in (line.partition(": ") for line in lines)}
                asked.append(environment["agi_network_script"])
                if silent:
                    held += [connection, file]
                    continue
                for command in commands:
                    file.write(f"{command}\n".encode())
                    file.flush()
                    file.readline()
                file.close()
                connection.close()

        thread = Thread(target=serve)
        thread.start()
        try:
            yield asked
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def ami(*actions: str) -> str:
    """What AMI says after a login and `actions`, up to the answer of the last."""
    with socket.create_connection(("127.0.0.1", 5038), timeout=10) as connection:
        text = ""
        for index, action in enumerate(actions):
            connection.sendall(f"{action}\r\nActionID: n{index}\r\n\r\n".encode())
            while f"ActionID: n{index}\r\n" not in text or not text.endswith("\r\n\r\n"):
                data = connection.recv(65536)
                if not data:
                    return text
                text += data.decode()
        return text


LOGIN = f"Action: Login\r\nUsername: kikitori\r\nSecret: {SECRET}"


@pytest.fixture(scope="module")
def exchange() -> Iterator[Exchange]:
    policies, users = Policies(shipped()), ensure_users()
    work = Path(tempfile.mkdtemp(prefix="kikitori-pbx-"))
    mount_spool(work / "spool", users)
    phones = [phone for group in policies.plan.group for phone in group.phones]
    site = Site(
        name="pbx1",
        gate_host="127.0.0.1",
        gate_port=4573,
        ami_bind="127.0.0.1",
        ami_port=5038,
        ami_user="kikitori",
        ami_secret=SECRET,
        sip_bind="127.0.0.1",
        sip_port=5060,
        rtp_start=10000,
        rtp_end=10999,
        spool=str(work / "spool"),
        log_dir=str(work / "log"),
        run_dir=str(work / "run"),
        var_dir=str(work / "var"),
        trunk_match=(TRUNK,),
        trunk_contact=f"sip:{TRUNK}:5070",
        phone_contacts={phone: f"sip:{phone}@{PHONES}:{20000 + int(phone)}" for phone in phones if phone != REGISTERS},
        phone_secrets={REGISTERS: SECRET},
        codecs=("ulaw",),
        absent=absent_modules(find_root()),
    )
    pbx = Pbx(work, site, decided=at_any_hour(policies), users=users)
    try:
        pbx.start()
        assert pbx.log_problems() == []
        yield Exchange(pbx, users, work / "spool")
    finally:
        pbx.close()
        subprocess.run(["umount", work / "spool"], check=True)
        shutil.rmtree(work)


@pytest.fixture(autouse=True)
def empty_spool(exchange: Exchange) -> None:
    for path in exchange.spool.iterdir():
        path.unlink()


def test_it_runs_as_asterisk_and_never_as_root(exchange: Exchange) -> None:
    status = dict(
        line.split(":\t", 1)
        for line in Path(f"/proc/{exchange.pbx.pid}/status").read_text().splitlines()
        if ":\t" in line
    )
    assert set(status["Uid"].split()) == {str(exchange.users.asterisk)}
    assert set(status["Groups"].split()) == {str(exchange.users.group), str(exchange.users.spool)}
    assert status["Umask"] == "0007"
    assert int(status["CapEff"], 16) == 0
    assert exchange.users.asterisk != 0


def test_ami_lets_in_who_knows_the_secret_and_keeps_the_command_line_shut(exchange: Exchange) -> None:
    text = ami(LOGIN, "Action: CoreShowChannels", "Action: Command\r\nCommand: core show version")
    assert text.startswith("Asterisk Call Manager/")
    assert "Authentication accepted" in text
    assert "Event: FullyBooted" in text
    assert "EventList: start" in text
    assert "Permission denied" in text
    assert "Authentication failed" in ami(LOGIN + "x")


@pytest.mark.rule("B-03")
@pytest.mark.parametrize(
    ("number", "phone", "caller", "of"),
    [
        ("0664587211", "2201", "0312345678", "PJSIP/trunk-"),
        ("+81664581132", "2001", "0312345678", "PJSIP/trunk-"),
        ("0901234567", "trunk", "2201", "PJSIP/trunk-"),
        ("3101", "3101", "2201", "PJSIP/3101-"),
        ("2201", "2201", "3101", "PJSIP/3101-"),
        ("2201", "2201", "2101", "PJSIP/2101-"),
    ],
    ids=["in", "in-queue", "out", "to-section", "from-section", "designated-both"],
)
def test_without_a_gate_the_dialplan_records_the_right_channel(
    exchange: Exchange, number: str, phone: str, caller: str, of: str
) -> None:
    took = exchange.call(number, phone=phone, caller=caller)
    assert took < TALK + 2.0, "a refused gate may not hold the call"
    files = exchange.recorded()
    events = exchange.rows("cel.csv", CEL_COLUMNS)
    uniqueid = files["r"].name.removeprefix("fb-").removesuffix("-r.sln")
    assert {row["channame"].startswith(of) for row in events if row["uniqueid"] == uniqueid} == {True}
    mine = [row for row in events if row["uniqueid"] == uniqueid]
    bridged = [float(row["eventtime"]) for row in mine if row["eventtype"] in ("BRIDGE_ENTER", "BRIDGE_EXIT")]
    for path in files.values():
        # a file is up to 0.12 s longer than the bridge: SIPp sends its first packets in one burst
        assert path.stat().st_size / 2 / RATE == pytest.approx(bridged[1] - bridged[0], abs=0.25)
        # Silence in either file would mean that the sides do not arrive where the recorder looks for them. Half a
        # second of it: a packet that came late is 20 ms of silence.
        assert max(path.read_bytes()[RATE : 2 * RATE]) > 0


@pytest.mark.rule("B-03")
def test_the_recorder_may_punch_and_unlink_what_asterisk_wrote(exchange: Exchange) -> None:
    exchange.call("0664587211", phone="2201")
    recorder = pwd.getpwnam("kikitori-recorder")
    assert recorder.pw_uid not in (0, exchange.users.asterisk)
    for path in exchange.recorded().values():
        status = path.stat()
        assert stat.S_IMODE(status.st_mode) == 0o660
        assert status.st_uid == exchange.users.asterisk
        assert grp.getgrgid(status.st_gid).gr_name == "kikitori-spool"
        for command in (
            ["fallocate", "--punch-hole", "--offset", "0", "--length", "8192", str(path)],
            ["rm", str(path)],
        ):
            subprocess.run(
                command, user=recorder.pw_uid, group=recorder.pw_gid, extra_groups=[exchange.users.spool], check=True
            )


@pytest.mark.rule("B-02")
@pytest.mark.parametrize(
    ("number", "phone", "caller"),
    [("0664587000", "3001", "0312345678"), ("3102", "3102", "3101"), ("0901234567", "trunk", "3101")],
    ids=["other-number", "between-sections", "section-out"],
)
def test_what_is_not_designated_is_not_recorded(exchange: Exchange, number: str, phone: str, caller: str) -> None:
    exchange.call(number, phone=phone, caller=caller)
    assert exchange.recorded() == {}


@pytest.mark.rule("B-02")
def test_what_is_said_after_a_transfer_to_a_section_is_not_recorded(exchange: Exchange) -> None:
    exchange.call("0664587211", phone="2201", then="3101", talk=SENT_ON)
    for path in exchange.recorded().values():
        assert 0 < path.stat().st_size / 2 / RATE < SENT_ON / 2


@pytest.mark.rule("B-03")
def test_a_transfer_to_a_designated_phone_begins_files_of_its_own(exchange: Exchange) -> None:
    exchange.call("0664587211", phone="2201", then="2101", talk=SENT_ON)
    sizes = {path.name: path.stat().st_size / 2 / RATE for path in sorted(exchange.spool.iterdir())}
    assert len(sizes) == 4
    assert min(sizes.values()) > 0
    assert SENT_ON - 1.5 < sum(sizes.values()) / 2 < SENT_ON + 0.4
    assert len([name for name in sizes if "_" in name]) == 2


def test_an_armed_call_is_not_recorded_twice(exchange: Exchange) -> None:
    with gate(
        'SET VARIABLE KIKITORI_ARMED "yes"', 'SET VARIABLE KIKITORI_GATE "yes,centre,A-08,weekday,emergency,,"'
    ) as asked:
        exchange.call("0664587211", phone="2201")
        exchange.call("0901234567", phone="trunk", caller="2201")
        exchange.call("2201", phone="2201", caller="3101")
        exchange.call("0664587000", phone="3001")
    assert asked == ["in/0664587211", "out", "internal", "in/0664587000"]
    assert exchange.recorded() == {}


def test_a_caller_who_gives_up_is_let_go_while_the_gate_is_silent(exchange: Exchange) -> None:
    with gate(silent=True):
        assert exchange.call("0664587211", rest=GIVES_UP) < 3.0


def test_a_number_that_is_not_ours_is_unallocated(exchange: Exchange) -> None:
    before = exchange.rows("cel.csv", CEL_COLUMNS)
    exchange.call("0664589999", rest=REFUSES["404"])
    assert exchange.rows("cel.csv", CEL_COLUMNS) == before, "refused before there is a channel"


def test_a_number_with_line_breaks_is_refused_before_there_is_a_channel(exchange: Exchange) -> None:
    before = exchange.rows("cel.csv", CEL_COLUMNS)
    exchange.call("0602000070%0d%0a%0d%0a", rest=REFUSES["404"])
    exchange.call("0602000070%0d%0a%0d%0a", caller="2201", rest=REFUSES["404"])
    assert exchange.rows("cel.csv", CEL_COLUMNS) == before


def test_a_phone_registers_with_its_secret_and_is_then_reached(exchange: Exchange) -> None:
    exchange.call("3101", caller=REGISTERS, rest=REFUSES["401"])
    exchange.register(REGISTERS, SECRET + "x", 401)
    exchange.register(REGISTERS, SECRET, 200)
    exchange.call(REGISTERS, phone=REGISTERS, caller="2201")


def test_a_phone_with_a_fixed_address_is_not_taken_from_another(exchange: Exchange) -> None:
    exchange.call("3102", caller="3101", at="127.0.0.3", rest=REFUSES["401"])


def test_who_calls_from_the_trunk_is_the_trunk_whatever_he_calls_himself(exchange: Exchange) -> None:
    before = len(exchange.rows("cel.csv", CEL_COLUMNS))
    exchange.call("0664587211", phone="2201", caller="3101", at=TRUNK)
    assert exchange.rows("cel.csv", CEL_COLUMNS)[before]["channame"].startswith("PJSIP/trunk-")


def test_no_name_of_a_caller_hides_his_call_from_ami(exchange: Exchange) -> None:
    with socket.create_connection(("127.0.0.1", 5038), timeout=10) as connection:
        connection.sendall(f"{LOGIN}\r\n\r\n".encode())
        exchange.call("0664587211", phone="2201", name='"Event: VarSet " ')
        connection.sendall(b"Action: Logoff\r\n\r\n")
        events = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    assert "CallerIDName: Event: VarSet" in events
    seen = {line for line in events.splitlines() if line.startswith("Event: ")}
    assert {"Event: Newchannel", "Event: BridgeEnter", "Event: MixMonitorStart", "Event: Hangup"} <= seen
    assert not seen & {"Event: VarSet", "Event: Newexten", "Event: RTCPSent", "Event: DeviceStateChange"}
    stamped = [line for line in events.splitlines() if line.startswith(("Event: ", "Timestamp: "))]
    bare = {line for line, after in pairwise(stamped) if line[0] + after[0] == "EE"}
    assert bare <= {"Event: FullyBooted"}, "the one that greets a login comes without a time"


def test_asterisks_own_records_are_complete_and_exact(exchange: Exchange) -> None:
    before = len(exchange.rows("cdr.csv", CDR_COLUMNS))
    exchange.call("0664587211", phone="2201")
    wait_for(lambda: len(exchange.rows("cdr.csv", CDR_COLUMNS)) > before, "the CDR is written")
    row = exchange.rows("cdr.csv", CDR_COLUMNS)[-1]
    events = [event for event in exchange.rows("cel.csv", CEL_COLUMNS) if event["linkedid"] == row["linkedid"]]
    assert row["disposition"] == "ANSWERED"
    assert row["uniqueid"].startswith("pbx1-")
    assert float(row["end"]) - float(row["answer"]) == pytest.approx(TALK, abs=0.3)
    kinds = [event["eventtype"] for event in events]
    assert kinds.count("BRIDGE_ENTER") == kinds.count("BRIDGE_EXIT") == kinds.count("CHAN_END") == 2
    assert kinds[-1] == "LINKEDID_END"
    assert all(event["eventtime"].count(".") == 1 for event in events)
    assert any("bridge_id" in event["eventextra"] for event in events)


def test_a_killed_asterisk_comes_back(exchange: Exchange) -> None:
    exchange.pbx.kill()
    exchange.pbx.start()
    assert Path(f"/proc/{exchange.pbx.pid}").exists()
    exchange.call("0664587211", phone="2201")
    assert set(exchange.recorded()) == {"r", "t"}


def test_asterisk_complained_of_nothing_but_the_missing_gate(exchange: Exchange) -> None:
    expected = ("failed for url 'agi://127.0.0.1:4573/", "FastAGI failed.")
    assert [line for line in exchange.pbx.log_problems() if not any(text in line for text in expected)] == []
