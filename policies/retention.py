"""How long a recording is kept, and what stops its end (6条, 附則; B-15 to B-25, B-33; the decided readings). Pure."""

from enum import StrEnum

from pydantic import Field

from policies.model import Part, Policy


class MediumFrom(StrEnum):
    """From when the years of an external medium count: the day after the save, or the next 1 April."""

    DAY_AFTER = "day_after"
    FISCAL_YEAR = "fiscal_year"


class AtExpiry(StrEnum):
    """What something does to the erasure on the ordinary day."""

    STOPS = "stops"
    NOTHING = "nothing"


class System(Part):
    """Months in the recorder's own storage, and then on the second medium (6条1項)."""

    first_months: int = Field(ge=1, le=120)
    second_months: int = Field(ge=1, le=120)


class Media(Part):
    """An external medium: years, from when they count, and whether a period that is over can still be extended."""

    years: int = Field(ge=1, le=100)
    counted_from: MediumFrom
    extended_late: bool


class Expiry(Part):
    """What each does to the erasure of a recording whose period is over.

    `saved_hold`: a hold on what is also on an external medium. On what is on none it always stops it (6条1項ただし書).
    """

    saved_hold: AtExpiry
    pending_disclosure: AtExpiry
    undecided_erasure: AtExpiry


class Retention(Policy):
    """`retention.toml`: how long a recording is kept, and what stops its end (6条; B-15 to B-25)."""

    system: System
    media: Media
    at_expiry: Expiry
