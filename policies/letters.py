"""What leaves in writing, what is not to be said in it, and what is counted (C-04, C-05, E-15, A-01). Pure."""

import re
from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import Field, StringConstraints, field_validator

from policies.model import Name, Part

BLANKS: Final = ("section", "inquiry", "name", "text")
"""What a template has blanks for: whom to ask, what was asked, who asked, and what is written to them."""
_BLANK: Final = re.compile(r"\{([^{}]*)\}")
_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120)]


class Letters(Part):
    """What is sent in writing, once another person has looked at it.

    `ask`: whom the customer asks where it is no 所管課 (問合せ先), `phone`: the number that stands beside it, if any.
    `check_within`, `send_within`: hours in which a draft is checked, and then sent. `unchecked_before_entry`: an answer
    that was sent before its case was entered, when nobody could check it here, is entered without a draft.
    """

    ask: _Text = "お客さまサービス課 お客さまセンター"
    phone: Annotated[str, StringConstraints(pattern=r"^[0-9][0-9-]{2,19}$")] | None = None
    check_within: int = Field(default=24, ge=1, le=720)
    send_within: int = Field(default=24, ge=1, le=720)
    unchecked_before_entry: bool = True


class Phrases(Part):
    """`evasive`: what says neither yes nor no. Whoever writes it is told so, and it is counted (E-15)."""

    evasive: tuple[Annotated[str, StringConstraints(strip_whitespace=True, min_length=2, max_length=40)], ...] = (
        "検討します",
        "時間をください",
    )


class Digest(Part):
    """`fewest`: answers, or calls, of which a month's times are given; of fewer somebody could tell whose they are."""

    fewest: int = Field(default=5, ge=1, le=1000)


class Template(Part):
    """A text with blanks: `{section}` for whom to ask, which none lacks; `{inquiry}`, `{name}`, and `{text}`."""

    name: Name
    title: str = Field(min_length=1, max_length=120)
    text: str = Field(min_length=1, max_length=8000)

    @field_validator("text")
    @classmethod
    def _filled_in(cls, value: str) -> str:
        found = _BLANK.findall(value)
        if "section" not in found:
            raise ValueError("names nobody to ask (C-05): write {section} where the 問合せ先 belongs")
        if strange := sorted(set(found) - set(BLANKS)):
            raise ValueError(f"has a blank {{{strange[0]}}}: there are {', '.join(BLANKS)}")
        return value

    @property
    def blanks(self) -> frozenset[str]:
        """What it has blanks for."""
        return frozenset(_BLANK.findall(self.text))

    def filled(self, values: Mapping[str, str]) -> str:
        """The text with `values` in its blanks; what stands in a value is no blank."""
        return _BLANK.sub(lambda blank: values[blank[1]], self.text)
