"""Looking at the PBX, over one visit to its manager interface. Nothing is changed that a call would notice.

Three questions provoke something, on purpose, since only an event shows how events come:

    Reload of a module that there is not   an event for every user with the right `system`; Asterisk also notes the time
                                           of its last reload, and reloads nothing
    Setvar of a global variable, to ""     a VarSet, which the filter should drop
    GetConfig manager.conf                 what is written there about our own user; `system` is enough to read it
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import TypeVar

from cti.ami.client import AmiConfig
from cti.ami.message import Message
from cti.calls.tracker import event_time
from cti.doctor.seen import Conf, Endpoint, PbxSeen, Unseen
from cti.i18n import _
from cti.pbxconfig import FINGERPRINT, MODULES
from cti.visit import Visit, visiting

Known = TypeVar("Known")

PROBE = "kikitori-doctor"
VARIABLE = "KIKITORI_DOCTOR"
_RIGHTS = re.compile(r"\(Priv: ([^)]*)\)\s*$")
_LINE = re.compile(r"line-\d+-\d+")


async def look(config: AmiConfig, endpoints: Iterable[str], now: Callable[[], datetime], listen: float) -> PbxSeen:
    """Log in, ask, and listen for `listen` seconds. Raises AmiError."""
    async with visiting(config) as visit:
        core = await _answer(visit, Action="CoreSettings")
        status = await _answer(visit, Action="CoreStatus")
        conf = await _conf(visit, config.username)
        made_of = await _answer(visit, Action="Getvar", Variable=FINGERPRINT)
        seen = {name: await _module(visit, name) for name in MODULES}
        known = {name: await _endpoint(visit, name) for name in endpoints}
        actions = await _actions(visit)
        await visit.ask({"Action": "Setvar", "Variable": VARIABLE, "Value": ""})
        await visit.ask({"Action": "Reload", "Module": PROBE})
        ahead = await _ahead(visit, now)
        heard = await visit.hear(listen)
    provoked = [event for event in heard if event.event == "Reload" and event.get("Module") == PROBE]
    booted = [event for event in heard if event.event == "FullyBooted"]
    return PbxSeen(
        version=core if isinstance(core, Unseen) else core.get("AsteriskVersion"),
        name=core if isinstance(core, Unseen) else core.get("SystemName"),
        actions=actions,
        modules=_all(seen),
        conf=conf,
        stamped="Timestamp" in provoked[0] if provoked else Unseen(_("the event that was provoked did not come")),
        ahead=ahead,
        heard=Counter(event.event for event in heard if event.event),
        endpoints=_all(known),
        calls=status if isinstance(status, Unseen) else _count(status.get("CoreProcessedCalls")),
        uptime=_count(booted[0].get("Uptime")) if booted else Unseen(_("Asterisk did not say when it started")),
        policies=made_of if isinstance(made_of, Unseen) else made_of.get("Value"),
    )


def _all(found: Mapping[str, Known | Unseen]) -> Mapping[str, Known] | Unseen:
    """The first thing that could not be looked at stands for all: what is refused once is refused each time."""
    known: dict[str, Known] = {}
    for name, value in found.items():
        if isinstance(value, Unseen):
            return value
        known[name] = value
    return known


def _count(text: str) -> int | Unseen:
    return int(text) if text.isascii() and text.isdigit() else Unseen(_("Asterisk says no number there"))


async def _answer(visit: Visit, **action: str) -> Message | Unseen:
    reply = (await visit.ask(action))[0]
    return reply if reply.get("Response") == "Success" else _refused(action["Action"], reply)


def _refused(action: str, reply: Message) -> Unseen:
    why = _("{action}: {reason}").format(action=action, reason=reply.get("Message"))
    return Unseen(why, _("mend our user's rights to act first") if "ermission" in why else "")


async def _ahead(visit: Visit, now: Callable[[], datetime]) -> float | Unseen:
    """Asterisk's clock less ours, taken in the middle between question and answer.

    A ping is answered with the clock that events are stamped by, whether they are stamped or not.
    """
    asked = now()
    reply = (await visit.ask({"Action": "Ping"}))[0]
    answered = now()
    told = event_time(reply)
    return (told - asked - (answered - asked) / 2).total_seconds() if told else _refused("Ping", reply)


async def _actions(visit: Visit) -> Mapping[str, frozenset[str]] | Unseen:
    """`Name: what it does  (Priv: system,call,all)`, of those that this user may run; any one of the rights will do."""
    reply = await _answer(visit, Action="ListCommands")
    if isinstance(reply, Unseen):
        return reply
    found: dict[str, frozenset[str]] = {}
    for line in reply.raw.decode(errors="replace").split("\r\n"):
        if rights := _RIGHTS.search(line):
            found[line.partition(":")[0]] = frozenset(rights[1].split(",")) - {"all", "<none>"}
    return found


async def _module(visit: Visit, name: str) -> bool | Unseen:
    """Whether a module runs. Asterisk says no by an error, and by another one that it may not be asked."""
    reply = (await visit.ask({"Action": "ModuleCheck", "Module": name.removesuffix(".so")}))[0]
    if reply.get("Response") == "Success":
        return True
    return False if "not loaded" in reply.get("Message") else _refused("ModuleCheck", reply)


async def _endpoint(visit: Visit, name: str) -> Endpoint | Unseen | None:
    replies = await visit.ask({"Action": "PJSIPShowEndpoint", "Endpoint": name})
    detail = next((reply for reply in replies if reply.event == "EndpointDetail"), None)
    if detail is not None:
        codecs = re.findall(r"[A-Za-z0-9_.-]+", detail.get("Allow"))
        return Endpoint(codecs=tuple(codecs), direct_media=detail.get("DirectMedia").lower() in ("true", "yes"))
    refused = replies[0].get("Message")
    return _refused("PJSIPShowEndpoint", replies[0]) if "ermission" in refused or "nvalid" in refused else None


async def _conf(visit: Visit, user: str) -> Conf | Unseen:
    sections: dict[str, list[tuple[str, str]]] = {}
    for section in ("general", user):
        reply = await _answer(visit, Action="GetConfig", Filename="manager.conf", Category=section)
        if isinstance(reply, Unseen):
            return reply
        lines = [value.partition("=") for name, value in reply.items() if _LINE.fullmatch(name)]
        # what is never needed is never kept
        sections[section] = [(key, value) for key, _equals, value in lines if key != "secret"]
    return Conf(general=dict(sections["general"]), user=tuple(sections[user]))
