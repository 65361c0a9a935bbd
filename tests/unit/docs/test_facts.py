"""The page of facts knows every word that a fact can say."""

from pathlib import Path

import pytest

from cti.calls.model import Disposition, Transfer, What

PAGE = (Path(__file__).parents[3] / "docs/reference/facts.md").read_text("utf-8")


@pytest.mark.parametrize("word", [*What, *Transfer, *Disposition])
def test_every_word_is_on_the_page(word: str) -> None:
    assert f"`{word}`" in PAGE
