"""What is installed beside us: all of it, in the versions of the lock, and nothing that must not be."""

import json
from email.message import Message
from pathlib import Path

import pytest

from scripts.pages import sbom
from scripts.pages.markdown import DocsError

ROOT = Path(__file__).parents[3]


def test_every_package_of_the_lock_is_in_it_and_no_other() -> None:
    made = json.loads((ROOT / "docs/reference/sbom.cdx.json").read_text("utf-8"))
    lines = (ROOT / "requirements.lock").read_text("utf-8").splitlines()
    pinned = {line.split(" ")[0] for line in lines if "==" in line and not line.startswith(" ")}
    assert {f"{one['name']}=={one['version']}" for one in made["components"]} == pinned
    assert (made["bomFormat"], made["specVersion"]) == ("CycloneDX", "1.6")
    assert all(one["licenses"] for one in made["components"])


@pytest.mark.parametrize("licence", ["GPL-3.0-only", "LGPL-2.1-or-later", "AGPL-3.0", "SSPL-1.0", "MIT AND GPL-2.0"])
def test_copyleft_is_refused(monkeypatch: pytest.MonkeyPatch, licence: str) -> None:
    monkeypatch.setattr(sbom, "licence_of", lambda _name: licence)
    with pytest.raises(DocsError, match="must not be part of this"):
        sbom.sbom_page(ROOT)


def test_a_licence_that_nobody_knows_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    said = Message()
    said["Classifier"] = "License :: Other/Proprietary License"
    monkeypatch.setattr(sbom, "metadata", lambda _name: said)
    with pytest.raises(DocsError, match="names no licence"):
        sbom.licence_of("x")


def test_what_is_not_installed_is_said() -> None:
    with pytest.raises(DocsError, match="make env"):
        sbom.licence_of("there-is-no-such-package")
