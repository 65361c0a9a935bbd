#!/usr/bin/env -S bash -c 'exec "${0%/*}/../.venv/bin/python" "$0" "$@"'
"""Writes the generated pages of docs, or with --check shows what is out of date (exit 1)."""

import argparse
import difflib
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from policies.errors import PolicyError  # noqa: E402
from scripts.pages.cli import cli_page  # noqa: E402
from scripts.pages.exits import exits_page  # noqa: E402
from scripts.pages.markdown import DocsError  # noqa: E402
from scripts.pages.policies import policies_page, questions_page  # noqa: E402
from scripts.pages.reliability import reliability_page  # noqa: E402
from scripts.pages.rules import rules_page  # noqa: E402
from scripts.pages.sbom import sbom_page  # noqa: E402
from scripts.pages.settings import settings_page  # noqa: E402

PAGES = {
    "rules.md": rules_page,
    "open-questions.md": questions_page,
    "policies.md": policies_page,
    "cli.md": cli_page,
    "settings.md": settings_page,
    "exit-codes.md": exits_page,
    "sbom.cdx.json": sbom_page,
    "../reliability.md": reliability_page,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0 done or up to date, 1 out of date (--check), 2 a source is wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; show the difference")
    parser.add_argument("--root", type=Path, default=ROOT, help="the repository (default: this one)")
    options = parser.parse_args(arguments)
    folder = options.root / "docs/reference"
    try:
        pages = {folder / name: make(options.root) for name, make in PAGES.items()}
    except (DocsError, PolicyError) as error:
        print(f"scripts/docs.py: {error}", file=sys.stderr)
        return 2
    stale = 0
    for path, wanted in pages.items():
        present = path.read_text("utf-8") if path.exists() else ""
        if present == wanted:
            continue
        stale = 1
        if options.check:
            name = path.resolve().relative_to(options.root.resolve()).as_posix()
            lines = difflib.unified_diff(
                present.splitlines(), wanted.splitlines(), name, f"{name} (wanted)", lineterm=""
            )
            print("\n".join(lines))
        else:
            path.write_text(wanted, "utf-8")
    if options.check and stale:
        print("Out of date: run scripts/docs.py and commit what it writes.", file=sys.stderr)
    return stale if options.check else 0


if __name__ == "__main__":
    sys.exit(main())
