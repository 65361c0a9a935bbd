"""docs/reference/sbom.cdx.json: what is installed beside Kikitori, in CycloneDX 1.6, out of the lock file.

Versions are those of requirements.lock, which has the SHA-256 of every file; licences are those that each package's own
metadata names.
"""

import json
import re
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

from scripts.pages.markdown import DocsError

_PINNED = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^ ;\\]+)")
# The texts of old metadata, by the names that SPDX gives them.
SPDX = {
    "MIT": "MIT", "MIT License": "MIT", "The MIT License (MIT)": "MIT", "BSD": "BSD-3-Clause",
    "BSD License": "BSD-3-Clause", "BSD 3-Clause License": "BSD-3-Clause", "Apache 2.0": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0", "Apache Software License": "Apache-2.0", "MPL-2.0": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0", "ISC License (ISCL)": "ISC",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}  # fmt: skip
COPYLEFT = re.compile(r"\b(A?GPL|LGPL|SSPL|EUPL|CC-BY-SA|OSL)", re.IGNORECASE)


def sbom_page(root: Path) -> str:
    """The document. Raises DocsError for a package whose licence nobody knows, or that must not be part of this."""
    components = [_component(name, version) for name, version in locked(root / "requirements.lock")]
    made = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": "kikitori", "licenses": [_licence("Apache-2.0")]}},
        "components": components,
    }
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"


def locked(path: Path) -> list[tuple[str, str]]:
    """Name and version of each package of a lock file."""
    lines = path.read_text("utf-8").splitlines()
    return [(pinned[1], pinned[2]) for line in lines if (pinned := _PINNED.match(line))]


def licence_of(name: str) -> str:
    """The SPDX expression of an installed package. Raises DocsError."""
    try:
        said = metadata(name)
    except PackageNotFoundError as error:
        raise DocsError(f"{name}: is in requirements.lock and not installed: make env") from error
    if expression := said.get("License-Expression"):
        return str(expression)
    classes = [one.rpartition(" :: ")[2] for one in said.get_all("Classifier") or () if one.startswith("License ::")]
    for text in (*classes, (said.get("License") or "").strip()):
        if text in SPDX:
            return SPDX[text]
    raise DocsError(f"{name}: its metadata names no licence that SPDX in scripts/pages/sbom.py knows: {classes}")


def _component(name: str, version: str) -> dict[str, Any]:
    licence = licence_of(name)
    if COPYLEFT.search(licence):
        raise DocsError(f"{name}: {licence} must not be part of this")
    return {
        "type": "library",
        "name": name,
        "version": version,
        "purl": f"pkg:pypi/{name}@{version}",
        "licenses": [_licence(licence)],
    }


def _licence(expression: str) -> dict[str, Any]:
    if " " in expression:
        return {"expression": expression}
    return {"license": {"id": expression}}
