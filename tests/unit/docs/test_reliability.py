"""The page of faults: every row is tried by the test that it names, and figures of no row are refused."""

import json
from pathlib import Path

import pytest

from scripts.pages.markdown import DocsError
from scripts.pages.reliability import DATA, FAULTS, faults, gather, reliability_page
from tests.unit.docs.shell import ROOT


def test_the_tests_of_all_rows_exist_and_count() -> None:
    for fault in faults(ROOT):
        text = (ROOT / "tests" / fault.test).read_text("utf-8")
        assert "survived" in text or "figures." in text, fault
        # Where one test is of several rows, their ids are put together there.
        role, _, how = fault.id.partition("-")
        assert f'"{fault.id}"' in text or (f'"{role}"' in text and f'"{how}"' in text) or f'f"{role}-{{' in text, fault


def test_figures_are_added_up() -> None:
    one = {"fault": "power", "tries": 1, "calls": 2, "lost": 0, "named": 0, "doubled": 0, "slowest": None}
    other = one | {"tries": 2, "lost": 1, "slowest": 0.512}
    lines = "\n".join(json.dumps(each) for each in (one, other, one | {"fault": "vault-full", "slowest": 2.0}))
    found = gather(lines + "\n")
    assert found["power"] == {"tries": 3, "calls": 4, "lost": 1, "named": 0, "doubled": 0, "slowest": 0.51}
    assert found["vault-full"]["slowest"] == 2.0
    more = gather(json.dumps(one), {name: sums | {"seed": "7"} for name, sums in found.items()})
    assert more == {"power": found["power"] | {"tries": 4, "calls": 6}}


def test_a_figure_of_no_row_is_refused(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / FAULTS).write_text((ROOT / FAULTS).read_text("utf-8"))
    figures = {"tries": 1, "calls": 2, "lost": 0, "named": 0, "doubled": 0, "slowest": 0.2}
    figures |= {"taken": "2028-02-29", "seed": "7"}
    data = {"machine": "a machine", "faults": {"power": figures}}
    (tmp_path / DATA).write_text(json.dumps(data))
    page = reliability_page(tmp_path)
    assert "| 1 | 2 | 0 | 0 | 0 | 0.2 s | 2028-02-29, seed 7 |" in page
    assert "not taken" in page
    (tmp_path / DATA).write_text(json.dumps(data | {"faults": {"moon": figures}}))
    with pytest.raises(DocsError, match="moon"):
        reliability_page(tmp_path)
