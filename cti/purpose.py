"""What a recording may be heard for."""

from enum import StrEnum

from cti.errors import UsageError
from cti.i18n import _


class Purpose(StrEnum):
    """What a recording may be heard for (B-08, 4条; disclosure: 7条, 8条)."""

    QUALITY = "quality"
    CONTENT = "content"
    DISCLOSURE = "disclosure"

    @property
    def wording(self) -> str:
        """As 別表 and 7条 say it."""
        return {"quality": "応対品質の管理", "content": "対応内容等の確認", "disclosure": "開示"}[self.value]

    @classmethod
    def parse(cls, text: str) -> "Purpose":
        """From its key or its title. Raises UsageError."""
        for purpose in cls:
            if text in (purpose.value, purpose.wording):
                return purpose
        allowed = ", ".join(f"{purpose.value} ({purpose.wording})" for purpose in cls)
        raise UsageError(
            _("{text!r} is no purpose that 4条 knows. Name one of: {allowed}").format(text=text, allowed=allowed)
        )
