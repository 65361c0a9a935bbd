"""What was done with a case, act by act, in words."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from cti.cases.acts import Channel
from cti.explain import word
from cti.i18n import _
from cti.sentences import moment_text

Names = Mapping[str, str]
"""What units and kinds of questions are called."""


def done(act: Mapping[str, Any], names: Names) -> str:
    """An act, in words."""
    details = _OF_KINDS.get(act["kind"], _details)(act, names)
    said = ", ".join(one for one in details if one)
    return f"{word(act['kind'])}: {said}" if said else word(act["kind"])


def called(names: Names, name: str) -> str:
    """What a unit or a kind of question is called; its name where nobody knows it."""
    return names.get(name, name.removeprefix("category:"))


def spoken_channel(name: str) -> str:
    """How something came in, or was answered."""
    return _("by telephone") if name == Channel.PHONE else word(name)


def _details(act: Mapping[str, Any], names: Names) -> list[str | None]:
    match act["kind"]:
        case "amend":
            category = called(names, f"category:{act['category']}") if act["category"] else ""
            return [act["inquiry"], category, act["conversation"]]
        case "reach":
            reached = act["contact"]
            return [
                act["name"],
                (reached["number"] or word(reached["missing"])) if reached else "",
                _("read back") if act["read_back"] else "",
                act["email"],
                act["address"],
                "-".join(act["between"]) if act["between"] else "",
                _("at any hour") if act["any_hour"] else "",
                _("nothing to family or a voicemail") if act["discreet"] else "",
            ]
        case "consent":
            return [_("they agree") if act["given"] else _("they do not agree")]
        case "assign":
            return [called(names, act["main"]), *(called(names, one) for one in act["related"])]
        case "hand-over":
            told = _("told on {number}").format(number=act["reached"]) if act["reached"] else ""
            promised = _("promised for {time}").format(time=_moment(act["promised"])) if act["promised"] else ""
            return [word(act["way"]), word(act["why"]), act["words"], told, promised]
        case "reply":
            return [spoken_channel(act["channel"]), act["wish"], _moment(act["answered_at"])]
        case "result":
            return [word(act["outcome"]), act["text"]]
        case "expect":
            return [_moment(act["until"]) or _("no longer"), act["reason"]]
        case "reported":
            return [act["to"], _moment(act["told_at"])]
        case "voice" | "voice-step":
            return [word(act.get("basis") or act["step"]), act["text"]]
        case _:
            return [act.get(name) for name in ("inquiry", "reason", "text")]


def _dialled(act: Mapping[str, Any], _names: Names) -> list[str | None]:
    return [f"#{act['place']}", act["phone"]]


def _dial_ended(act: Mapping[str, Any], _names: Names) -> list[str | None]:
    talked = _("{seconds} s").format(seconds=act["seconds"]) if act["outcome"] == "answered" else ""
    return [_outcome(act["outcome"]), talked, _tried_again(act["again"])]


def _tried(act: Mapping[str, Any], _names: Names) -> list[str | None]:
    return [f"#{act['place']}", word(act["met"]), act["left"], _tried_again(act["again"])]


def _transferred(act: Mapping[str, Any], names: Names) -> list[str | None]:
    to = called(names, act["section"]) if act["section"] else act["to"]
    return [word(act["how"]), act["phone"], to, word(act["why"]) if act.get("why") else None]


def _called_again(act: Mapping[str, Any], _names: Names) -> list[str | None]:
    return [_moment(act["answered_at"])]


def _put_through(act: Mapping[str, Any], names: Names) -> list[str | None]:
    return [called(names, act["section"]), word(act["why"]), act["words"]]


def _transfer_ended(act: Mapping[str, Any], _names: Names) -> list[str | None]:
    return [_outcome(act["outcome"])]


def _outcome(name: str) -> str:
    """Of a call; of a case, `answered` is another word."""
    return _("somebody answered") if name == "answered" else word(name)


def _missed(act: Mapping[str, Any], _names: Names) -> list[str | None]:
    return [act["number"], word(act["why"]), _("after {seconds} s").format(seconds=act["seconds"])]


def _draft(act: Mapping[str, Any], _names: Names) -> list[str | None]:
    return [word(act["channel"]), act["name"], act["to"], act["reason"], act["text"]]


def _check(act: Mapping[str, Any], _names: Names) -> list[str | None]:
    return [f"#{act['draft']}", _("it can go") if act["ok"] else _("it goes back"), act["reason"]]


def _share(act: Mapping[str, Any], names: Names) -> list[str | None]:
    asked = _("asked for something") if act["help"] else ""
    return [called(names, act["to"]), _("taken back") if act["ended"] else asked, act["reason"]]


def _join(act: Mapping[str, Any], _names: Names) -> list[str | None]:
    return [_("case {number}").format(number=act["into"])]


def _joined(act: Mapping[str, Any], _names: Names) -> list[str | None]:
    """The calls that come with it, and when the customer was told that they are made."""
    owed = [
        _("{ticket} due {time}").format(ticket=word(one["kind"]), time=_moment(one["due"])) if one["due"]
        else word(one["kind"])
        for one in act["promises"]
    ]  # fmt: skip
    promised = _("promised for {time}").format(time=_moment(act["promised"])) if act["promised"] else ""
    return [_("case {number}").format(number=act["duplicate"]), act["conversation"], *owed, promised]


def _tried_again(text: str | None) -> str:
    return _("again at {time}").format(time=_moment(text)) if text else ""


def _moment(text: str | None) -> str:
    return moment_text(datetime.fromisoformat(text)) if text else ""


_OF_KINDS: Final = {
    "put-through": _put_through, "transferred": _transferred, "transfer-ended": _transfer_ended,
    "missed": _missed, "called-again": _called_again, "dialled": _dialled,
    "dial-ended": _dial_ended, "tried": _tried, "draft": _draft, "check": _check, "share": _share,
    "join": _join, "joined": _joined,
}  # fmt: skip
