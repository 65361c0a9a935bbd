"""`kikitori doctor`, and `asterisk doctor`: a line a finding; the status says whether something has to be mended."""

import json
from pathlib import Path

from cti.doctor.finding import house_titles, titles
from tests.unit.cti.ami.fake import FakeAmi
from tests.unit.cti.cli.conftest import Kikitori
from tests.unit.cti.cli.served import in_a_thread, installation
from tests.unit.cti.doctor.talking import Pbx

KEYS = {"check", "severity", "found", "why", "remedy", "made"}


def test_without_asterisk_the_login_is_to_be_mended_and_nothing_is_well_by_silence(kikitori: Kikitori) -> None:
    installation(1)
    said = kikitori("asterisk", "doctor", "--json")
    assert said.status == 1
    rows = {row["check"]: row for row in map(json.loads, said.out.splitlines())}
    assert list(rows) == list(titles())
    assert all(row.keys() == KEYS for row in rows.values())
    assert rows["login"]["severity"] == "error"
    assert "127.0.0.1:1: Connection refused" in rows["login"]["found"]
    assert rows["modules"] | {"why": ""} == {
        "check": "modules", "severity": "warning", "found": "not checked: nobody let us in", "why": "",
        "remedy": "mend the manager login first", "made": False,
    }  # fmt: skip
    assert all(row["remedy"] for row in rows.values() if row["severity"] != "ok")


def test_a_wrong_secret(kikitori: Kikitori) -> None:
    server = FakeAmi(Pbx())
    server.refuse_login = True
    with in_a_thread(server):
        installation(server.port)
        said, people = kikitori("asterisk", "doctor", "--json"), kikitori("asterisk", "doctor")
    assert said.status == people.status == 1
    assert "refused user 'kikitori': Authentication failed" in json.loads(said.out.splitlines()[0])["found"]
    assert "✗  manager login" in people.out
    assert "?  modules" in people.out


def test_a_secret_that_cannot_be_read(kikitori: Kikitori) -> None:
    installation(1)
    Path("keys/ami.secret").unlink()
    said = kikitori("asterisk", "doctor", "--json")
    assert said.status == 1
    assert "ami.secret: No such file or directory" in json.loads(said.out.splitlines()[0])["found"]


def test_what_the_pbx_tells_is_judged(kikitori: Kikitori) -> None:
    server = FakeAmi(Pbx(absent=frozenset({"res_agi"}), stamped=False))
    with in_a_thread(server):
        installation(server.port)
        said = kikitori("asterisk", "doctor", "--listen", "0.3", "--json")
        people = kikitori("asterisk", "doctor", "--listen", "0.3")
    rows = {row["check"]: row for row in map(json.loads, said.out.splitlines())}
    assert said.status == people.status == 1
    assert (rows["login"]["severity"], rows["codecs"]["found"]) == ("ok", "alaw, ulaw")
    assert "res_agi.so" in rows["modules"]["found"]
    assert rows["timestamps"]["severity"] == "error"
    assert "✓  manager login" in people.out
    assert "✗  modules" in people.out
    errors = sum(row["severity"] == "error" for row in rows.values())
    unmade = sum(not row["made"] for row in rows.values())
    assert people.out.rstrip().splitlines()[-1].startswith(f"{errors} errors, ")
    assert people.out.rstrip().endswith(f"{unmade} not checked")


def test_everything_is_looked_at_by_one_command(kikitori: Kikitori) -> None:
    with in_a_thread(FakeAmi(Pbx())) as server:
        installation(server.port)
        said = kikitori("doctor", "--listen", "0.3", "--json")
        people = kikitori("doctor", "--listen", "0.3")
    rows = {row["check"]: row for row in map(json.loads, said.out.splitlines())}
    assert list(rows) == [*house_titles(), *titles()]
    assert all(row.keys() == KEYS for row in rows.values())
    assert all(row["remedy"] for row in rows.values() if row["severity"] != "ok")
    # There is a PBX, and no installation but its settings.
    assert rows["login"]["severity"] == "ok"
    assert "vault is not there" in rows["modes"]["found"]
    assert (rows["limits"]["made"], rows["egress"]["made"]) == (False, False)
    assert said.status == people.status == 1
    assert "✗  owners and modes" in people.out
    assert "✓  manager login" in people.out
