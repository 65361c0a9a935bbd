"""The systems that are told of cases: what the desk needs for that, and whom else it serves. Leaves nothing behind."""

import os
from collections.abc import Callable
from pathlib import Path

from cti import users
from cti.doctor.finding import Finding, error, unmade, well
from cti.doctor.host import denied, owned
from cti.doctor.machine import TargetSeen
from cti.doctor.seen import Unseen
from cti.errors import InitError
from cti.explain import explain, localise
from cti.i18n import _
from cti.outward import folder, sending, signing
from cti.outward.webhook import NotToldError
from cti.places import Owned
from cti.settings import Settings
from policies.errors import PolicyError
from policies.load import Policies
from policies.outward import Destination


def look(settings: Settings) -> tuple[TargetSeen, ...] | Unseen:
    """Each that the policy names, as the desk would reach it; nobody is asked over the network."""
    try:
        destinations = Policies(settings.paths.policies).outward.destination
    except PolicyError as problem:
        return Unseen(explain(problem))
    return tuple(_target(one, settings.users.desk) for one in destinations)


def _target(one: Destination, desk: str) -> TargetSeen:
    steps: dict[str, Callable[[Destination], object]] = (
        {"folder": folder.tried} if one.kind == "folder" else {"secret_file": _secret, "ca": sending.verified}
    )
    tried = {field: _tried(step, one, desk) for field, step in steps.items()}
    wrong = {field: problem for field, problem in tried.items() if problem is not None}
    return TargetSeen(destination=one, wrong=wrong, found=owned(Path(one.folder or one.secret_file)))


def _tried(step: Callable[[Destination], object], one: Destination, desk: str) -> str | Unseen | None:
    try:
        with users.acting_as(desk):
            step(one)
    except InitError as problem:
        return Unseen(str(problem))
    except OSError as problem:
        unsaid = isinstance(problem, PermissionError) and os.geteuid() != 0
        return denied(problem) if unsaid else explain(problem)
    except (NotToldError, signing.SecretError) as problem:
        return localise(str(problem))
    return None


def _secret(one: Destination) -> None:
    text = sending.secret_of(one)
    if one.kind == "webhook":
        signing.secret(text)


def judge(seen: tuple[TargetSeen, ...] | Unseen, desk: str) -> Finding:
    """Pure. `desk`: the user who tells."""
    waits = _("What is done with cases waits, and is given up after days.")
    if isinstance(seen, Unseen):
        return error("outward", seen.why, waits, _("mend that file; `kikitori outward list` reads it as the desk does"))
    read = _("Who reads a secret speaks in our name; who reads a folder reads of customers.")
    found = [(one, *wrong, waits) for one in seen for wrong in one.wrong.items()]
    found += [(one, *wrong, read) for one in seen for wrong in _open(one)]
    unseen = [problem for *_each, problem, _why in found if isinstance(problem, Unseen)]
    if wrong := [each for each in found if not isinstance(each[2], Unseen)]:
        return error(
            "outward",
            "\n".join(f"{one.destination.name}: {field}: {problem}" for one, field, problem, _why in wrong),
            "\n".join(dict.fromkeys(why for *_each, why in wrong)),
            "\n".join(dict.fromkeys(_remedy(one, field, desk) for one, field, *_each in wrong)),
        )
    if unseen:
        return unmade("outward", unseen[0], _("run this command as root"))
    names = ", ".join(one.destination.name for one in seen)
    return well(
        "outward", _("what the desk needs is there: {names}").format(names=names) if names else _("none is told")
    )


def _open(one: TargetSeen) -> list[tuple[str, str | Unseen]]:
    """What others may do with it who should not."""
    found, of = one.found, one.destination
    if not isinstance(found, Owned):
        return [] if found is None else [("folder" if of.folder else "secret_file", found)]
    if of.folder:
        theirs = 0o007 if of.content == "full" else 0o002
        return [("folder", _("{found}: open to everybody").format(found=found))] if found.mode & theirs else []
    return [("secret_file", _("{found}: others may read it").format(found=found))] if found.mode & 0o077 else []


def _remedy(one: TargetSeen, field: str, desk: str) -> str:
    of = one.destination
    if field == "folder":
        return _(
            "install -d -o {desk} -g GROUP -m 2750 {folder} (GROUP: who fetches); then `kikitori outward test {name}`"
        ).format(desk=desk, folder=of.folder, name=of.name)
    if field == "ca":
        return _("{file}: the certificate of the receiver's authority, as PEM, readable by {desk}").format(
            file=of.ca, desk=desk
        )
    return _(
        "{file}: what `kikitori outward secret` makes for a webhook, or Zammad's token; then chown {desk}: {file} "
        "&& chmod 0400 {file}"
    ).format(file=of.secret_file, desk=desk)
