"""Somebody who is issued an account and uses it, at the recorder itself."""

import json
from pathlib import Path

from tests.unit.cti.cli.conftest import Kikitori, Said


def enrolled(kikitori: Kikitori, house: Path, account: str, role: str, *more: str) -> Said:
    """Issued and enrolled; what the enrolling said."""
    said = kikitori("accounts", "issue", account, "--name", "佐藤 花子", "--role", role, "--json", *more)
    assert said.status == 0, said.err
    (house / "secret").write_text(json.loads(said.out)["secret"], "utf-8")
    done = kikitori("accounts", "enrol", account, "--secret-file", house / "secret", *password(house))
    assert done.status == 0, done.err
    return done


def password(house: Path) -> tuple[str, str]:
    return ("--password-file", str(house / "password"))
