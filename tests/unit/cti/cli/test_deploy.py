"""`kikitori deploy render`: a folder that is laid out as below /, and known again."""

import json
from pathlib import Path

import pytest

from cti.cli import deploy
from cti.deploy.units import UNITS
from tests.unit.cti.cli.conftest import Kikitori
from tests.unit.cti.cli.served import installation

NAMES = {
    *(f"{UNITS}/kikitori{role}.service" for role in ("", "-recorder", "-gate", "-keeper", "-desk")),
    f"{UNITS}/asterisk.service.d/kikitori.conf",
    *("etc/tmpfiles.d/kikitori.conf", "etc/sysctl.d/kikitori.conf"),
}


def test_it_is_written_and_written_again_but_not_over_a_hand(kikitori: Kikitori) -> None:
    installation(1)
    said = kikitori("deploy", "render", "--out", "made", "--spool-size", "3g", "--json")
    assert said.status == 0
    made = Path("made").absolute()
    written = {str(Path(json.loads(line)["file"]).relative_to(made)) for line in said.out.splitlines()}
    [mount] = written - NAMES
    assert written == NAMES | {mount}
    assert mount.endswith("-spool.mount")
    assert "size=3g" in (made / mount).read_text()
    unit = made / UNITS / "kikitori-gate.service"
    assert f"--config {Path.cwd()}/kikitori.toml serve --role gate" in unit.read_text()
    assert unit.stat().st_mode & 0o777 == 0o644
    assert kikitori("deploy", "render", "--out", "made").status == 0
    assert "size=2g" in (made / mount).read_text(), "there is no spool whose size could be taken"
    unit.write_text(unit.read_text() + "User=root\n")
    said = kikitori("deploy", "render", "--out", "made")
    assert said.status == 78
    assert "kikitori-gate.service was changed by hand" in said.err


def test_what_cannot_be_put_into_a_unit(kikitori: Kikitori, monkeypatch: pytest.MonkeyPatch) -> None:
    installation(1)
    monkeypatch.setenv("KIKITORI_PBX_HOST", "pbx.example")
    said = kikitori("deploy", "render", "--out", "made")
    assert (said.status, "pbx.example is a name" in said.err) == (78, True)
    assert not Path("made").exists()


def test_which_kernel_keeps_a_tmpfs_from_being_swapped() -> None:
    assert deploy._release("6.1.0-28-amd64") < deploy.NOSWAP <= deploy._release("6.4.0-1-amd64")
    assert deploy._release("6.18.44-fc-v669") > deploy.NOSWAP
