"""The rendered units: systemd understands them, they are as closed as asserted, and say what the settings say."""

import configparser
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from cti import places, rendered, users
from cti.deploy.units import UNITS, Host, files, unit_name
from cti.errors import DeployError
from cti.notify import BEAT
from cti.settings import Settings, at
from cti.supervise import NICENESS, STOP_SECONDS, WATCHDOG
from cti.users import ROLES
from policies.load import shipped

HOUSE = Path("/srv/kikitori")
SETTINGS = at(Settings(), HOUSE)
PROGRAM = Path(sys.executable).parent / "kikitori"
HOST = Host(program=PROGRAM, config=HOUSE / "kikitori.toml", spool_size="2g", noswap=True, asterisk_group="asterisk")
EXPOSURE = {
    "kikitori-recorder": 1.3,
    "kikitori-gate": 1.1,
    "kikitori-keeper": 1.1,
    "kikitori-desk": 1.5,
    "kikitori": 0.4,
}
"""By `systemd-analyze security` of systemd 252: 10 is open, 0 closed. Of what is left: sockets, and libsndfile."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rendered folder, with a unit of Asterisk's for the drop-in to be of."""
    folder = tmp_path_factory.mktemp("made")
    rendered.write(folder, files(SETTINGS, HOST), refuse=DeployError, folder_mode=0o755, mode=lambda _: 0o644)
    (folder / UNITS / "asterisk.service").write_text("[Service]\nExecStart=/bin/true\n")
    return folder


def service(folder: Path, role: str) -> dict[str, list[str]]:
    """The [Service] section of a role's unit: each key with all of its values, in order."""
    found: dict[str, list[str]] = {}
    text = (folder / UNITS / f"kikitori-{role}.service").read_text().partition("[Service]")[2].partition("[Install]")[0]
    for line in text.splitlines():
        if line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def analyze(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", "--no-pager", *map(str, arguments)]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def test_systemd_understands_them(made: Path) -> None:
    units = [*(made / UNITS).glob("*.service"), *(made / UNITS).glob("*.mount")]
    assert len(units) == 7
    said = analyze("verify", *units)
    assert (said.returncode, said.stdout, said.stderr) == (0, "", "")


def test_what_systemd_does_not_understand_would_be_noticed(made: Path, tmp_path: Path) -> None:
    text = (made / UNITS / "kikitori-gate.service").read_text()
    (tmp_path / "kikitori-gate.service").write_text(text.replace("WatchdogSec=", "WatchdogSecs="))
    assert "WatchdogSecs" in analyze("verify", tmp_path / "kikitori-gate.service").stderr


@pytest.mark.parametrize("unit", EXPOSURE)
def test_how_closed_they_are(made: Path, unit: str) -> None:
    def over(limit: float) -> bool:
        # In tenths here; the option takes them so.
        threshold = f"--threshold={round(limit * 10)}"
        path = made / UNITS / f"{unit}.service"
        return analyze("security", "--offline=true", threshold, path).returncode != 0

    assert not over(EXPOSURE[unit])
    assert over(EXPOSURE[unit] - 0.1), "it is better than is asserted: say so"


@pytest.mark.parametrize("role", ROLES)
def test_each_is_run_as_the_supervisor_would(made: Path, role: str) -> None:
    said = service(made, role)
    user = users.runs_as(SETTINGS.users, role)
    assert said["User"] == said["Group"] == [user]
    assert set(said["SupplementaryGroups"][0].split()) == set(users.memberships(SETTINGS.users)[user])
    assert said["ExecStart"] == [f"{PROGRAM} --config {HOUSE}/kikitori.toml serve --role {role}"]
    assert said["Type"] == ["notify"]
    assert float(said["WatchdogSec"][0]) == WATCHDOG[role] > 3 * BEAT
    assert float(said["TimeoutStopSec"][0]) == STOP_SECONDS
    assert int(said["Nice"][0]) == NICENESS[role]
    assert (said["UMask"], said["LimitCORE"], said["MemorySwapMax"]) == (["0007"], ["0"], ["0"])
    assert ("MemoryDenyWriteExecute" in said) is (role in ("gate", "keeper"))


@pytest.mark.parametrize("role", ROLES)
def test_each_writes_where_something_is_its_own_and_nowhere_else(made: Path, role: str) -> None:
    said = service(made, role)
    writes = {Path(word.removeprefix("-")) for word in said["ReadWritePaths"][0].split()}
    hidden = {Path(word.removeprefix("-")) for word in said["InaccessiblePaths"][0].split()}
    user = users.runs_as(SETTINGS.users, role)
    owned = {
        path for path, owner in places.wanted(SETTINGS, "asterisk", ["epoch-0001.age"]).items() if owner.user == user
    }
    folders = {path for path in owned if path.is_relative_to(HOUSE) and "keys" not in path.relative_to(HOUSE).parts}
    # What is decided on the command line, as root, the desk's process only reads.
    folders -= {SETTINGS.paths.hours}
    assert {path for path in folders if not any(path.is_relative_to(top) for top in writes)} == set()
    assert writes.isdisjoint(hidden)
    assert said["ProtectSystem"] == ["strict"]


@pytest.mark.rule("B-04")
def test_nobody_may_talk_to_whom_no_setting_names() -> None:
    pbx = SETTINGS.pbx.model_copy(update={"host": "192.0.2.7"})
    database = SETTINGS.database.model_copy(update={"url": "postgresql://kikitori@198.51.100.5/kikitori"})
    named = SETTINGS.model_copy(update={"pbx": pbx, "database": database})
    for role, peers in (
        ("recorder", {"192.0.2.7"}), ("gate", {"192.0.2.7"}), ("keeper", set()), ("desk", {"198.51.100.5"}),
    ):  # fmt: skip
        lines = files(named, HOST)[f"{UNITS}/kikitori-{role}.service"].decode().splitlines()
        allowed = {line.partition("=")[2] for line in lines if line.startswith("IPAddressAllow=")}
        assert allowed == {"localhost"} | peers
        assert "IPAddressDeny=any" in lines
    alone = files(SETTINGS, HOST)[f"{UNITS}/kikitori-desk.service"].decode()
    assert alone.count("IPAddressAllow=") == 1


@pytest.mark.rule("E-08")
def test_the_desk_alone_may_write_where_it_tells_of_cases(tmp_path: Path) -> None:
    policies = tmp_path / "policies"
    shutil.copytree(shipped(), policies)
    (policies / "outward.toml").write_text(
        'basis = "B-04"\ndecided_by = "x"\neffective_from = 2025-12-01\n'
        '[[destination]]\nname = "exchange"\nkind = "folder"\nfolder = "/srv/exchange"\n'
    )
    named = SETTINGS.model_copy(update={"paths": SETTINGS.paths.model_copy(update={"policies": policies})})
    made = files(named, HOST)
    for role in ROLES:
        text = made[f"{UNITS}/kikitori-{role}.service"].decode()
        assert ("-/srv/exchange" in text) is (role == "desk")
        assert text.count("IPAddressAllow=") == 1


def test_the_spool_is_mounted_and_filled_again_after_a_start(made: Path) -> None:
    mount = configparser.RawConfigParser()
    mount.read(made / UNITS / "srv-kikitori-spool.mount")
    assert mount["Mount"]["Where"] == "/srv/kikitori/spool"
    assert mount["Mount"]["Options"] == "mode=0755,size=2g,noswap"
    old = files(SETTINGS, replace(HOST, noswap=False))[f"{UNITS}/srv-kikitori-spool.mount"].decode()
    assert "noswap" not in old
    lines = (made / "etc/tmpfiles.d/kikitori.conf").read_text().splitlines()
    assert "d /srv/kikitori/spool/audio 2770 kikitori-recorder kikitori-spool" in lines
    assert "d /srv/kikitori/spool/open 0700 kikitori-recorder kikitori-spool" in lines
    assert "d /run/asterisk 0750 asterisk asterisk" in lines
    assert service(made, "recorder")["ExecStartPre"] == ["+/usr/bin/systemd-tmpfiles --create kikitori.conf"]


def test_a_unit_is_named_as_systemd_names_it() -> None:
    for path in ("/srv/kikitori/spool", "/mnt/a-b/c", "/srv/.hidden/x", "/.a"):
        told = subprocess.run(["systemd-escape", "--path", path], check=True, capture_output=True, text=True)
        assert unit_name(Path(path)) == told.stdout.strip()


def test_what_is_below_a_home_can_be_read() -> None:
    def home(program: str) -> list[str]:
        texts = files(SETTINGS, replace(HOST, program=Path(program)))
        return [line for line in texts[f"{UNITS}/kikitori-gate.service"].decode().splitlines() if "ProtectHome" in line]

    assert home("/opt/kikitori/.venv/bin/kikitori") == ["ProtectHome=yes"]
    assert home("/home/x/kikitori") == ["ProtectHome=read-only"]


def test_what_systemd_would_read_otherwise_is_refused() -> None:
    bad = SETTINGS.model_copy(update={"paths": SETTINGS.paths.model_copy(update={"vault": Path("/srv/a b")})})
    named = SETTINGS.model_copy(update={"pbx": SETTINGS.pbx.model_copy(update={"host": "pbx.example"})})
    odd = SETTINGS.model_copy(update={"users": SETTINGS.users.model_copy(update={"desk": "x\nUser=root"})})
    for settings, host, problem in (
        (bad, HOST, "/srv/a b: letters"),
        (named, HOST, "pbx.example is a name"),
        (odd, HOST, "no name of a system user"),
        (SETTINGS, replace(HOST, spool_size="2g,exec"), "no size"),
        (SETTINGS, replace(HOST, program=Path("/opt/%h/kikitori")), "letters"),
    ):
        with pytest.raises(DeployError, match=problem):
            files(settings, host)


WRITES_AND_RUNS = """
import ctypes, io, sys
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(65, 1, 0, 0, 0) != 0:  # PR_SET_MDWE, Linux 6.3
    sys.exit(77)
import cti.app.desk, cti.app.recorder
import numpy, soundfile
try:
    with soundfile.SoundFile(io.BytesIO(), "w", 8000, 2, format="FLAC", subtype="PCM_16") as file:
        file.write(numpy.zeros((8, 2), "int16"))
except MemoryError:
    sys.exit(3)
"""


def test_why_recorder_and_desk_may_write_and_run_memory() -> None:
    """The day this fails, MemoryDenyWriteExecute can be for all."""
    status = subprocess.run([sys.executable, "-c", WRITES_AND_RUNS], check=False, capture_output=True).returncode
    assert status in (3, 77)
