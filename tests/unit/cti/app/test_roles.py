"""Each process loads what it needs, and no more: whoever died is there again the sooner."""

import subprocess
import sys

import pytest

HEAVY = frozenset({"sqlalchemy", "alembic", "asyncpg", "numpy", "soundfile", "fastapi", "argon2", "zxcvbn"})
NEEDS = {
    "import cti.app.gate": frozenset(),
    "import cti.app.recorder": frozenset({"numpy", "soundfile"}),
    "import cti.cli.root, cti.cli.serve": frozenset(),
    "from cti.cli.root import app; app(['--version'], standalone_mode=False)": frozenset(),
}


@pytest.mark.parametrize("what", NEEDS)
def test_what_is_loaded(what: str) -> None:
    script = f"import sys\n{what}\nprint(*sorted({set(HEAVY)!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert set(done.stdout.splitlines()[-1].split()) == NEEDS[what]
