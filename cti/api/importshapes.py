"""What goes in and out when rows of a sheet become cases, as OpenAPI shows it."""

from typing import TYPE_CHECKING, Annotated, Final

from pydantic import AfterValidator, BaseModel, Field

from cti.api.caseshapes import At, Short, Text, Typed, Unit, mail
from cti.api.shapes import In
from cti.cases.acts import Channel, Outcome
from cti.cases.contact import Missing
from cti.cases.rows import Became

if TYPE_CHECKING:
    from cti.cases.importing import Verdict

MOST: Final = 100
"""Rows of a request."""

Nth = Annotated[int, Field(ge=1, le=1_000_000)]


class ImportRow(In):
    """One row: a case. `line`: where it stands. `nth`: which of the rows of its file that say the same; `asked_nth`:
    of those with the same question, whatever else they say.

    Answered, and closed, where `outcome` is said: with `result`, what was done, `answered_at`, and `reply`, how (as it
    was asked, if nothing is said). Without it, the case is open. What else is to be known becomes notes.
    """

    line: Nth
    nth: Nth = 1
    asked_nth: Nth = 1
    channel: Channel
    received_by: Unit | None = None
    received_at: At
    inquiry: Text
    category: Unit | None = None
    name: Short | None = None
    contact: Typed | None = None
    missing: Missing | None = None
    email: Annotated[str, Field(max_length=254), AfterValidator(mail)] | None = None
    address: Short | None = None
    main: Unit | None = None
    related: Annotated[tuple[Unit, ...], Field(max_length=20)] = ()
    reply: Channel | None = None
    answered_at: At | None = None
    wish: Text | None = None
    outcome: Outcome | None = None
    result: Text | None = None
    notes: Annotated[tuple[Text, ...], Field(max_length=30)] = ()


class Import(In):
    """Rows, each taken by itself. `batch`: names the import that they belong to, in the access log.

    `dry_run`: nothing is entered.
    """

    batch: Annotated[str, Field(pattern=r"^[0-9a-f-]{8,36}$")]
    dry_run: bool = True
    rows: Annotated[list[ImportRow], Field(min_length=1, max_length=MOST)]


class ImportedRow(BaseModel):
    """What became of a row, or would: new, there (a case already: `case`), or refused: `field` or `rule`, and why."""

    line: int
    became: Became
    case: int | None
    field: str | None
    rule: str | None
    problem: str | None

    @classmethod
    def of(cls, verdict: "Verdict") -> "ImportedRow":
        """Of the store's."""
        return cls(**{name: getattr(verdict, name) for name in cls.model_fields})


class Imported(BaseModel):
    """Row by row, in the order of the request."""

    dry_run: bool
    items: list[ImportedRow]
