"""Blocks of the documentation that a test runs, and commands in it that a test reads."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[3]
_BLOCK = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: str, kind: str) -> list[str]:
    """The fenced blocks of `docs/<page>` that begin with exactly "```<kind>"."""
    text = (ROOT / "docs" / page).read_text("utf-8")
    return [body for info, body in _BLOCK.findall(text) if info == kind]


def run(script: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run shell text in `folder`; the first command that fails ends it."""
    home = {"PATH": f"{ROOT}/.venv/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C.UTF-8", "HOME": str(folder)}
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=home | environment,
        capture_output=True,
        text=True,
        check=False,
    )
