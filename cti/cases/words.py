"""What people type and what others wrote, made alike: 漏水 finds 漏　水, ﾛｳｽｲ finds ろうすい, 高 finds 髙. Pure (E-06).

Nothing but letters and digits counts. Two characters side by side are a gram: the shortest word that is found, and what
an index of Japanese can be made of without knowing where words end.
"""

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

SHORTEST: Final = 2
"""Characters of a word that can be searched for."""

# Each character, and the one that it counts as: what names on a certificate have, and what a keyboard gives.
_ALIKE: Final = """
髙高 﨑崎 嵜崎 邉辺 邊辺 齋斉 齊斉 斎斉 濵浜 濱浜 澤沢 廣広 眞真 國国 櫻桜 嶋島 嶌島 惠恵 榮栄 與与 應応 學学 縣県 會会
德徳 淸清 黑黒 槇槙 瀨瀬 龍竜 瀧滝 壽寿 實実 寬寛 將将 條条 檜桧 曻昇 舘館 冨富 峯峰 臺台 桒桑 𠮷吉 渕淵 渊淵 藪薮 萬万
豐豊 彌弥 禮礼 禰祢 來来 莊荘 藏蔵 讓譲 釋釈 鐵鉄 關関 靜静 顯顕 亞亜 圓円 壯壮 奧奥 圖図 鹽塩 區区 號号 變変 當当 對対
晝昼
"""
_TABLE: Final = {ord(pair[0]): pair[1] for pair in _ALIKE.split()} | {
    katakana: katakana - 0x60
    for katakana in range(0x30A1, 0x30F7)  # hiragana of the same sound
}
# A long vowel between digits was typed for a hyphen.
_HYPHEN: Final = re.compile(r"(?<=[0-9])ー(?=[0-9])")


def fold(text: str) -> str:
    """Letters and digits alone, each in one form."""
    plain = unicodedata.normalize("NFKC", text).casefold().translate(_TABLE)
    return "".join(one for one in _HYPHEN.sub("", plain) if unicodedata.category(one)[0] in "LN")


def grams(texts: Iterable[str]) -> set[str]:
    """Every two characters that stand side by side in one of `texts`, folded."""
    return {folded[place : place + 2] for folded in map(fold, texts) for place in range(len(folded) - 1)}


def words(query: str) -> list[str]:
    """What is searched for, word by word, folded. Raises ValueError for one that is too short to be found."""
    found = list(dict.fromkeys(filter(None, map(fold, query.split()))))
    if not found or any(len(word) < SHORTEST for word in found):
        raise ValueError("a word of two characters at least is needed")
    return found


def holds(word: str, texts: Iterable[str]) -> bool:
    """Whether one of `texts` has the folded `word` in it."""
    return any(word in fold(text) for text in texts)
