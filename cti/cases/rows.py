"""What a row of somebody's sheet becomes: the acts of one case, in their order (4条, 5条); when two rows are one. Pure.

No promise is made of it, no consent and no number read back: nobody can know that by a sheet.
"""

import json
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal

from cti.cases.acts import Act, Channel, Close, Note, Outcome, Register, Reply, Result
from cti.cases.contact import ContactError, contact
from cti.cases.model import as_asked

Became = Literal["new", "there", "refused"]
"""What comes of a row."""

ASKED: Final = (
    "channel", "received_by", "received_at", "inquiry", "name", "contact", "missing", "email", "address",
)  # fmt: skip
"""What makes a question the same one, whatever was done with it since."""
ALL: Final = (
    *ASKED, "category", "main", "related", "reply", "answered_at", "wish", "outcome", "result", "notes",
)  # fmt: skip


def question(stated: Mapping[str, Any]) -> bytes:
    """The question of a row, so that the same one is the same bytes, in any file and any writing."""
    return _same(stated, ASKED)


def whole(stated: Mapping[str, Any]) -> bytes:
    """All that a row says, likewise."""
    return _same(stated, ALL)


def followed(opened: Sequence[Act], stated: Mapping[str, Any]) -> list[Act]:
    """What the row says behind the acts that open its case: notes, then the answer, and the end where it has one."""
    by: dict[str, Any] = {"at": opened[0].at, "by": opened[0].by, "unit": opened[0].unit}
    new: list[Act] = [Note(**by, text=note) for note in stated.get("notes") or ()]
    outcome = stated.get("outcome")
    if outcome is None:
        return new
    answered_at = stated.get("answered_at")
    if answered_at is not None or outcome is not Outcome.WITHDRAWN:
        asked = next(act.channel for act in opened if isinstance(act, Register))
        channel = Channel(stated.get("reply") or as_asked(asked))
        new.append(Reply(**by, channel=channel, wish=stated.get("wish") or "", answered_at=answered_at))
    new.append(Result(**by, outcome=Outcome(outcome), text=stated.get("result") or ""))
    return [*new, Close(**by)]


def _same(stated: Mapping[str, Any], names: Sequence[str]) -> bytes:
    values = {name: _plain(name, stated[name]) for name in names if stated.get(name) not in (None, "", (), [])}
    return json.dumps(values, ensure_ascii=False, sort_keys=True).encode()


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, list | tuple):
        return [_plain(name, one) for one in value]
    text = " ".join(unicodedata.normalize("NFKC", str(value)).split())
    if name == "contact":
        try:
            found = contact(text)
        except ContactError:
            return text
        return [found.e164, found.extension]
    return text
