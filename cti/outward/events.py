"""What is said of an act: a CloudEvent (1.0, JSON). Pure.

`ids` names cases, units, times and what was done, and nothing of a customer. `full` says all that the case shows.
"""

import json
from datetime import datetime
from typing import Any, Final, Literal

from cti.cases import form
from cti.cases.acts import Act, Reach
from cti.cases.case import Case
from cti.cases.contact import Contact

TYPE: Final = "kikitori.case."
_CLEAR: Final = (
    "way", "why", "channel", "outcome", "main", "related", "promised", "until", "how", "met", "again", "into",
    "duplicate",
)  # fmt: skip
"""What an act says that names nobody."""


def told(case: Case, number: int, site: str, content: Literal["ids", "full"]) -> dict[str, Any]:
    """Of the last act of `case`, as the case is after it. Its id is always the same: who gets it twice can tell."""
    place, act = len(case.history), case.history[-1]
    data = _data(case, number, act, content)
    return _event(f"{case.id}.{place}", f"{TYPE}{form.kind(act)}", site, act.at, data) | {"subject": case.id}


def trial(site: str, at: datetime) -> dict[str, Any]:
    """Of no case: whether it is taken."""
    return _event(f"test.{int(at.timestamp())}", "kikitori.test", site, at, {})


def _event(identity: str, kind: str, site: str, at: datetime, data: dict[str, Any]) -> dict[str, Any]:
    return {
        "specversion": "1.0", "id": identity, "source": f"urn:kikitori:{site}", "type": kind, "time": at.isoformat(),
        "datacontenttype": "application/json", "data": data,
    }  # fmt: skip


def _data(case: Case, number: int, act: Act, content: Literal["ids", "full"]) -> dict[str, Any]:
    values = form.public(act)
    data: dict[str, Any] = {
        "case": number, "act": len(case.history), "kind": values["kind"], "unit": act.unit,
        "state": case.state, "channel": case.channel, "received_by": case.received_by,
        "received_at": case.received_at.isoformat(), "owner": case.owner, "main": case.main,
        "related": list(case.related), "category": case.category, "conversation": case.conversation,
        "next_at": case.next_at.isoformat() if case.next_at else None,
        "outcome": case.result.outcome if case.result else None,
        "tickets": [
            {
                "ticket": f"{number}-{place}", "kind": one.kind, "unit": one.unit, "tries": one.tries,
                "due": one.due.isoformat() if one.due else None, "outcome": one.outcome,
            }
            for place, one in enumerate(case.tickets, start=1)
        ],
    }  # fmt: skip
    if content == "ids":
        return data | {"details": {name: values[name] for name in _CLEAR if values.get(name)}}
    contact = case.reach.contact if case.reach else None
    return data | {
        "details": {name: value for name, value in values.items() if name not in ("kind", "at", "unit")},
        "inquiry": case.inquiry, "name": case.reach.name if case.reach else "",
        "number": contact.written if isinstance(contact, Contact) else None,
        "email": case.reach.email if isinstance(case.reach, Reach) else "",
    }  # fmt: skip


def body(event: dict[str, Any]) -> bytes:
    """As it is sent and signed."""
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
