"""The program in this process: what it prints, and the status it leaves with."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import structlog

from cti.cli import common
from cti.cli.common import State
from cti.cli.root import main


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
