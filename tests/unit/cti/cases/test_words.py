"""Words made alike: what people type finds what others wrote."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cti.cases.words import fold, grams, holds, words

pytestmark = pytest.mark.rule("E-06")


@pytest.mark.parametrize(
    ("written", "typed"),
    [
        ("道路で漏水している", "漏水"), ("漏　水", "漏水"), ("漏\n水", "漏水"), ("苦情（二回目）", "苦情"),
        ("ﾛｳｽｲ", "ろうすい"), ("ろうすい", "ロウスイ"), ("ｶﾞｽ", "ガス"), ("メーター", "ﾒｰﾀｰ"), ("Ｗｅｂ申込", "web"),
        ("髙橋", "高橋"), ("高橋", "髙橋"), ("渡邉", "渡辺"), ("渡邊", "渡邉"), ("齋藤", "斎藤"), ("斉藤", "齊藤"),
        ("山﨑", "山崎"), ("濵田", "浜田"), ("𠮷田", "吉田"), ("葛󠄀城", "葛城"), ("神田", "\ufa19田"),
        ("第３浄水場", "第3浄水場"),
        ("06-6458-1132へ", "06 6458 1132"), ("０６ー６４５８ー１１３２", "0664581132"), ("STRASSE", "straße"),
    ],
)  # fmt: skip
def test_what_people_type_finds_what_others_wrote(written: str, typed: str) -> None:
    assert holds(fold(typed), [written])
    assert grams([typed]) <= grams([written])


@pytest.mark.parametrize(
    ("written", "typed"),
    [("水漏れ", "漏水"), ("高い橋", "高橋"), ("", "漏水"), ("ガス", "カス"), ("はし", "ばし"), ("メーター", "メター")],
)
def test_what_is_another_word_is_not_found(written: str, typed: str) -> None:
    assert not holds(fold(typed), [written])


def test_a_word_does_not_go_from_one_text_into_the_next() -> None:
    assert not holds(fold("漏水"), ["雨漏", "水道"])
    assert fold("漏水") not in grams(["雨漏", "水道"])


def test_words_are_searched_for_one_by_one() -> None:
    assert words("漏水　山田 漏水") == ["漏水", "山田"]
    for short in ("", " ", "水", "漏水 水", "！？"):
        with pytest.raises(ValueError, match="two characters"):
            words(short)


@given(st.text(max_size=40), st.text(max_size=10), st.text(max_size=10))
def test_whatever_stands_in_a_text_is_found_in_it(word: str, before: str, behind: str) -> None:
    written = before + word + behind
    # At its edges a word may grow together with what stands there (a mark, a hyphen between digits): with spaces not.
    apart = f"{before} {word} {behind}"
    if len(fold(word)) >= 2 and fold(apart).find(fold(word)) >= 0:
        assert grams([word]) <= grams([apart])
        assert holds(fold(word), [apart])
    assert grams([written]) == {fold(written)[place : place + 2] for place in range(max(0, len(fold(written)) - 1))}


@given(st.text(max_size=40))
def test_folding_is_done_once_and_for_all(text: str) -> None:
    folded = fold(text)
    assert all(unicodedata.category(one)[0] in "LN" for one in folded)
    assert fold(folded) == folded or len(fold(folded)) <= len(folded)
