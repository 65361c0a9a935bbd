"""Acts and cases as they are kept: what says who did what when, in the clear, and what is the customer's. Pure."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from cti.cases import acts
from cti.cases.acts import Act
from cti.cases.case import Case
from cti.cases.contact import Contact, Missing

KINDS: Final[Mapping[str, type[Act]]] = {
    "register": acts.Register, "amend": acts.Amend, "reach": acts.Reach, "consent": acts.Consent,
    "assign": acts.Assign, "hand-over": acts.HandOver, "accept": acts.Accept, "reply": acts.Reply,
    "result": acts.Result, "close": acts.Close, "reopen": acts.Reopen, "expect": acts.Expect, "note": acts.Note,
    "put-through": acts.PutThrough, "transferred": acts.Transferred, "transfer-ended": acts.TransferEnded,
    "missed": acts.Missed, "called-again": acts.CalledAgain, "dialled": acts.Dialled, "dial-ended": acts.DialEnded,
    "tried": acts.Tried, "draft": acts.Draft, "check": acts.Check, "share": acts.Share,
    "join": acts.Join, "joined": acts.Joined,
    "unjust-demand": acts.UnjustDemand, "reported": acts.Reported, "voice": acts.Voice, "voice-step": acts.VoiceStep,
}  # fmt: skip
"""What each act is called, in the database and at the API."""
_NAMES: Final = {made: name for name, made in KINDS.items()}
_ADAPTERS: Final[Mapping[str, TypeAdapter[Any]]] = {name: TypeAdapter(made) for name, made in KINDS.items()}
_CLEAR: Final = frozenset(one.name for one in fields(Act))


class FormError(ValueError):
    """What was kept of an act is no act."""


def kind(act: Act) -> str:
    """What it is called."""
    return _NAMES[type(act)]


def private(act: Act) -> bytes:
    """All of an act but who did it when, as JSON."""
    values = _ADAPTERS[kind(act)].dump_python(act, mode="json")
    return _json({name: value for name, value in values.items() if name not in _CLEAR})


def texts(act: Act) -> list[str]:
    """What people wrote in it: what a search by words looks through."""
    return [text for name in _WRITTEN if isinstance(text := getattr(act, name, None), str) and text]


_WRITTEN: Final = ("inquiry", "name", "words", "wish", "text", "reason", "email", "address", "left")


def act_of(name: str, at: datetime, by: str, unit: str, kept: bytes) -> Act:
    """The act again. Raises FormError."""
    try:
        values = json.loads(kept)
        made: Act = _ADAPTERS[name].validate_python(
            values | {"at": at, "by": by, "unit": unit}, strict=False
        )  # fmt: skip
    except (KeyError, ValueError, TypeError, ValidationError) as error:
        raise FormError(f"{name}: {type(error).__name__}") from error
    return made


def public(act: Act) -> dict[str, Any]:
    """For programs: with its name."""
    values: dict[str, Any] = _ADAPTERS[kind(act)].dump_python(act, mode="json")
    return {"kind": kind(act)} | values


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a list shows of a case and is the customer's."""

    inquiry: str
    name: str
    contact: Contact | Missing | None
    units: tuple[str, ...]

    def kept(self) -> bytes:
        """As JSON."""
        return _json(asdict(self))

    @classmethod
    def of(cls, case: Case, units: Iterable[str]) -> "Summary":
        """Of how it stands, and whose it is to see."""
        return cls(
            inquiry=case.inquiry,
            name=case.reach.name if case.reach else "",
            contact=case.reach.contact if case.reach else None,
            units=tuple(sorted(units)),
        )

    @classmethod
    def read(cls, kept: bytes) -> "Summary":
        """It again. Raises FormError."""
        try:
            return _SUMMARY.validate_json(kept)
        except ValidationError as error:
            raise FormError("summary") from error


def _json(values: Mapping[str, Any]) -> bytes:
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


_SUMMARY: Final = TypeAdapter(Summary)
