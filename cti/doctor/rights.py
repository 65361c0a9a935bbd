"""The rights of our manager user: the least that serve, and why each. Pure."""

from collections.abc import Iterator, Mapping

from cti.doctor.finding import Finding, error, unmade, warning, well
from cti.doctor.seen import Conf, Unseen
from cti.i18n import _

# An action of Asterisk itself that needs this one right: whoever is shown it has the right.
WITNESS = {"system": "ModuleCheck", "call": "Redirect", "originate": "Originate"}


def to_act() -> dict[str, str]:
    """`write =`: right -> what it is for."""
    return {
        "system": _("MixMonitor and StopMixMonitor record; CoreShowChannels finds the calls after a break"),
        "call": _("Setvar notes what was stopped; Status, Redirect, BlindTransfer and Hangup serve the desk"),
        "originate": _("Originate dials for somebody"),
    }


def to_hear() -> dict[str, str]:
    """`read =`: right -> what it is for."""
    return {
        "system": _("FullyBooted, Shutdown and Reload"),
        "call": _("channels, bridges, holds and transfers: what is recorded is decided by them"),
        "agent": _("queues: whom a caller waits for"),
        "user": _("what the dialplan did with a call: where it went, what it took of the caller"),
    }


def reload_and_restart() -> str:
    """What puts the section of a user in manager.conf into force."""
    return _(
        "asterisk -rx 'manager reload', then restart the recorder: a login keeps the rights and filters it began with"
    )


def _put(line: str, user: str) -> str:
    return _("{line} under [{user}] in manager.conf; {reload}").format(
        line=line, user=user, reload=reload_and_restart()
    )


def judge(user: str, actions: Mapping[str, frozenset[str]] | Unseen, conf: Conf | Unseen) -> Iterator[Finding]:
    """`actions` is what runs, `conf` what is written down."""
    yield _acting(user, actions)
    yield _hearing(user, conf)
    yield _in_force(actions, conf)


def _acting(user: str, actions: Mapping[str, frozenset[str]] | Unseen) -> Finding:
    least = to_act()
    if isinstance(actions, Unseen):
        return unmade("write-rights", actions, _("ask `asterisk -rx 'manager show user {user}'`").format(user=user))
    line = f"write = {','.join(least)}"
    if missing := [right for right in least if WITNESS[right] not in actions]:
        return error(
            "write-rights",
            _("without: {rights}").format(rights=", ".join(missing)),
            _each(least, missing),
            _put(line, user),
        )
    if beyond := [name for name, rights in actions.items() if rights and rights.isdisjoint(least)]:
        rights = sorted({right for name in beyond for right in actions[name]})
        return warning(
            "write-rights",
            _("more than is needed: {rights} (it may run {actions})").format(
                rights=", ".join(rights), actions=", ".join(sorted(beyond))
            ),
            _("Nobody here runs these; whoever gets hold of the secret could."),
            _put(line, user),
        )
    return well("write-rights", line, _each(least, least))


def _hearing(user: str, conf: Conf | Unseen) -> Finding:
    least = to_hear()
    if isinstance(conf, Unseen):
        return unmade("read-rights", conf, _("ask `asterisk -rx 'manager show user {user}'`").format(user=user))
    has = conf.classes("read")
    line = f"read = {','.join(least)}"
    remedy = _put(line, user)
    if "all" not in has and (missing := [right for right in least if right not in has]):
        return error(
            "read-rights", _("without: {rights}").format(rights=", ".join(missing)), _each(least, missing), remedy
        )
    if beyond := sorted(has - least.keys()):
        return warning(
            "read-rights",
            _("more than is needed: {rights}").format(rights=", ".join(beyond)),
            _("Events that nobody wants cost time, and hold what callers type and are told."),
            remedy,
        )
    return well("read-rights", line, _each(least, least))


def _in_force(actions: Mapping[str, frozenset[str]] | Unseen, conf: Conf | Unseen) -> Finding:
    remedy = reload_and_restart()
    if isinstance(actions, Unseen):
        return unmade("reloaded", actions, remedy)
    if isinstance(conf, Unseen):
        return unmade("reloaded", conf, remedy)
    written = conf.classes("write")
    runs = {name for name, rights in actions.items() if rights}
    older = [name for name in sorted(runs) if "all" not in written and actions[name].isdisjoint(written)]
    newer = [WITNESS[right] for right in WITNESS if right in written and WITNESS[right] not in runs]
    if older or newer:
        return warning(
            "reloaded",
            _("manager.conf says other rights than are in force ({actions})").format(
                actions=", ".join([*older, *newer])
            ),
            _("What is written there is not what happens."),
            remedy,
        )
    return well("reloaded", _("what is written there is what happens"))


def _each(rights: Mapping[str, str], which: Mapping[str, str] | list[str]) -> str:
    return "\n".join(f"{right}: {rights[right]}" for right in which)
