"""What 課長 is shown of a month of the access log, and by when it is looked through (9条2, B-30)."""

from pydantic import Field

from policies.model import Part, Policy


class Own(Part):
    """Whose telephones somebody answers: their own calls are for somebody else to look at."""

    account: str = Field(min_length=2)
    phones: tuple[str, ...] = Field(min_length=1)


class Review(Policy):
    """`review.toml`: from how often on something is unusual. That is not wrong: somebody has to have looked at it."""

    due_day: int = Field(ge=1, le=28)
    margin_minutes: int = Field(ge=0, le=720)
    plays_a_day: int = Field(ge=1)
    same_recording: int = Field(ge=1)
    refused_a_day: int = Field(ge=1)
    own: tuple[Own, ...] = ()

    def phones_of(self, account: str) -> frozenset[str]:
        """The telephones that somebody answers."""
        return frozenset(phone for one in self.own if one.account == account for phone in one.phones)
