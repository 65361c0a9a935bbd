"""The program in this process: what it prints, and the status it leaves with."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyotp
import pytest
import structlog

from cti import setup, users
from cti.cli import accounts, common, escrow, hours, local, overrides, review, signin, vault
from cti.cli.common import State
from cti.cli.root import main
from cti.settings import FILE
from recorder.access import accounts as core
from recorder.access.credentials import Cost

PASSWORD = "雨の日は 傘を二本持って出る"  # nobody's
TOTP = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


@dataclass(frozen=True)
class Said:
    """What a command did."""

    status: int
    out: str
    err: str


Kikitori = Callable[..., Said]


@pytest.fixture
def kikitori(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Kikitori]:
    """`kikitori("config", "show")`, in a folder without settings."""
    monkeypatch.chdir(tmp_path_factory.mktemp("here"))
    monkeypatch.setenv("COLUMNS", "200")
    for terminal in (common.out, common.err):
        monkeypatch.setattr(terminal, "_width", 200)
    monkeypatch.setattr(State, "config", None)
    for name in ("KIKITORI_CONFIG", "KIKITORI_PASSPHRASE_FILE"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: object) -> Said:
        monkeypatch.setattr("sys.argv", ["kikitori", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            main()
        heard = capsys.readouterr()
        assert "Traceback" not in heard.err
        code = left.value.code
        return Said(code if isinstance(code, int) else int(bool(code)), heard.out, heard.err)

    yield run
    # `serve` makes the log go to standard error, which is this test's alone.
    structlog.reset_defaults()


Later = Callable[..., None]


@dataclass
class Clock:
    """A minute later each time somebody signs in: a code is good once."""

    at: datetime = datetime(2027, 4, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at

    def later(self, **how: int) -> None:
        self.at += timedelta(**how)

    def code(self, _question: str, *, piped: bool = False) -> str:
        self.later(minutes=1)
        return pyotp.TOTP(TOTP).at(self.at)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    for module in (accounts, vault, escrow, local, overrides, hours, review):
        monkeypatch.setattr(module, "wall_clock", made.now)
    for module in (accounts, signin):
        monkeypatch.setattr(module, "visible", made.code)
    monkeypatch.setattr(accounts, "seed", lambda: TOTP)
    return made


@pytest.fixture
def later(clock: Clock) -> Later:
    return clock.later


@pytest.fixture
def house(clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation without accounts, and the password in a file."""
    monkeypatch.setattr(users, "acting_as", lambda _user: nullcontext())
    monkeypatch.setattr(core.Accounts.__init__, "__kwdefaults__", {"cost": Cost(memory=64, passes=1)})
    folder = tmp_path / "house"
    setup.init(folder, passphrase="of the vault", pbx="pbx1", now=clock.now(), work_factor=10, mount=False)
    monkeypatch.setattr(State, "config", folder / FILE)
    monkeypatch.setenv("KIKITORI_CONFIG", str(folder / FILE))
    (tmp_path / "password").write_text(f"{PASSWORD}\n", "utf-8")
    return tmp_path
