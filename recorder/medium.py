"""Where the sound of a recording lies (6条1項)."""

from enum import StrEnum


class Medium(StrEnum):
    """One of two, and while it moves both."""

    FIRST = "first"  # 通話録音装置に内蔵されている記憶装置
    SECOND = "second"  # お客さまセンターシステム内の別記憶媒体
