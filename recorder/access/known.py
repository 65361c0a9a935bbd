"""What the access log says of an account: who can write into the database, and not into it, gets nothing by that."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from recorder.access.entry import Entry

DECIDING: Final = (
    "account.issued", "account.enrolled", "account.renewed", "account.ended", "key.granted", "key.revoked",
)  # fmt: skip
"""The actions in the access log that say whether an account is, of which role, and with which keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the access log says of a live account: it is not in the database, and cannot be changed with it.

    `epochs`: what was granted, with its public half; "" where the line names none.
    """

    role: str
    recipient: str
    epochs: Mapping[int, str] = field(default_factory=dict)


def known(entries: Iterable[Entry]) -> Known | None:
    """What the entries of `DECIDING` on one account say of it; None where it was never issued, or has ended."""
    found: Known | None = None
    for entry in entries:
        if entry.action == "account.issued":
            found = Known(role=str(entry.detail["role"]), recipient=str(entry.detail["recipient"]))
        elif found is None:
            continue
        elif entry.action == "account.enrolled":
            found = replace(found, recipient=str(entry.detail["recipient"]))
        elif entry.action == "account.renewed":
            found = replace(found, recipient=str(entry.detail["recipient"]), epochs={})
        elif entry.action == "key.granted":
            granted = {int(entry.detail["epoch"]): str(entry.detail.get("public", ""))}
            found = replace(found, epochs={**found.epochs, **granted})
        elif entry.action == "key.revoked":
            found = replace(found, epochs={})
        elif entry.action == "account.ended":
            found = None
    return found
