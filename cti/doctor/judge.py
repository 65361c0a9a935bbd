"""What was seen -> findings. Pure.

Recording is judged, not taste: an error is what loses sound, or puts it where it can be read.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from typing import Final

from cti.doctor import rights, service
from cti.doctor.filters import Filters, UnreadableFilterError
from cti.doctor.finding import Finding, error, unmade, warning, well
from cti.doctor.seen import Endpoint, PbxSeen, Seen, Unseen
from cti.doctor.want import Want
from cti.i18n import _
from cti.pbxconfig import MODULES, NOISY_EVENTS, Decided

OLDEST: Final = 18
NEEDS_CDREL: Final = (22, 9)  # from then on cdr_custom and cel_custom stand on res_cdrel_custom
CLOCK_SECONDS: Final = 1.0
CODECS: Final = frozenset({"ulaw", "alaw", "g722"})

ASKED: Final = (
    *("version", "name", "modules", "write-rights", "read-rights", "reloaded", "timestamps", "noise", "hidden"),
    *("dialplan-policies", "endpoints", "codecs", "direct-media", "clock"),
)
"""What only Asterisk can tell."""


def judge(seen: Seen, want: Want) -> list[Finding]:
    """Every finding, in the order in which a person would mend."""
    pbx = want.settings.pbx
    findings: list[Finding] = []
    if isinstance(seen.pbx, Unseen):
        why = _(
            "Without it nothing is known of a call until the dialplan records it, and none of the desk's acts works."
        )
        remedy = _(
            "Compare [pbx] host, port, user and secret file with manager.conf; `kikitori asterisk render` writes both "
            "alike, then: asterisk -rx 'manager reload'"
        )
        findings.append(error("login", seen.pbx.why, why, seen.pbx.remedy or remedy))
        nobody = Unseen(_("nobody let us in"))
        findings += [unmade(check, nobody, _("mend the manager login first")) for check in ASKED]
    else:
        findings.append(well("login", _("{user} at {address}").format(user=pbx.user, address=f"{pbx.host}:{pbx.port}")))
        findings += _asked(seen.pbx, seen.decided, want)
    return [*findings, *service.judge(seen, want)]


def _asked(seen: PbxSeen, decided: Decided | Unseen, want: Want) -> Iterator[Finding]:
    yield _version(seen)
    yield _name(seen, want)
    yield _modules(seen)
    yield from rights.judge(want.settings.pbx.user, seen.actions, seen.conf)
    yield _timestamps(seen)
    yield _noise(seen)
    yield _hidden(seen)
    yield _dialplan(seen.policies, decided)
    yield from _endpoints(seen, want)
    yield _clock(seen)


def release(version: str) -> tuple[int, int] | None:
    """`22.10.1+dfsg`, `certified/18.9-cert1`, `GIT-20-1a2b` as numbers; None for what is none."""
    found = re.search(r"(?:^|[/-])(\d+)(?:\.(\d+))?", version)
    return (int(found[1]), int(found[2] or 0)) if found else None


def _version(seen: PbxSeen) -> Finding:
    if isinstance(seen.version, Unseen):
        return unmade("version", seen.version, _("ask `asterisk -V`"))
    number = release(seen.version)
    if number is None:
        return unmade(
            "version", Unseen(_("{version!r} is no version").format(version=seen.version)), _("ask `asterisk -V`")
        )
    if number[0] < OLDEST:
        return error(
            "version", seen.version, _("Older ones write other events, and MixMonitor behaves otherwise."),
            _("Asterisk {oldest} or later is needed").format(oldest=OLDEST),
        )  # fmt: skip
    return well("version", seen.version)


def _name(seen: PbxSeen, want: Want) -> Finding:
    ours = want.settings.site.pbx
    remedy = _("systemname = {name} in asterisk.conf, and restart Asterisk; or correct [site] pbx").format(name=ours)
    if isinstance(seen.name, Unseen):
        return unmade("name", seen.name, remedy)
    if seen.name != ours:
        return warning(
            "name", _("{name!r}, not {ours!r}").format(name=seen.name, ours=ours),
            _("Unique ids begin with it; those of two PBXs must differ. It may also be another PBX than was meant."),
            remedy,
        )  # fmt: skip
    return well("name", seen.name)


def _modules(seen: PbxSeen) -> Finding:
    if isinstance(seen.modules, Unseen):
        return unmade("modules", seen.modules, _("ask `asterisk -rx 'module show'`"))
    number = None if isinstance(seen.version, Unseen) else release(seen.version)
    wanted = [name for name in MODULES if name != "res_cdrel_custom.so" or number is None or number >= NEEDS_CDREL]
    if missing := [name for name in wanted if not seen.modules.get(name)]:
        return error(
            "modules", _("not running: {names}").format(names=", ".join(missing)),
            _("The rendered dialplan, the telephones or the recording need them."),
            _("install the package that brings them; `load = NAME` in modules.conf; asterisk -rx 'module load NAME'"),
        )  # fmt: skip
    return well("modules", _("all {count} run").format(count=len(wanted)))


def _timestamps(seen: PbxSeen) -> Finding:
    remedy = _("timestampevents = yes under [general] in manager.conf, then: asterisk -rx 'manager reload'")
    if isinstance(seen.stamped, Unseen):
        return unmade("timestamps", seen.stamped, remedy)
    if not seen.stamped:
        return error(
            "timestamps", _("events have no time"),
            _("When something happened is only known by when it was read, and calls cannot be understood."), remedy,
        )  # fmt: skip
    written = None if isinstance(seen.conf, Unseen) else seen.conf.general.get("timestampevents", "")
    if written is not None and written.lower() not in ("yes", "true", "y", "t", "1", "on"):
        return warning(
            "timestamps", _("events have a time, but manager.conf does not ask for it"),
            _("After the next start of Asterisk they will have none."), remedy,
        )  # fmt: skip
    return well("timestamps", "timestampevents = yes")


def _filters(seen: PbxSeen) -> Filters | Unseen:
    if isinstance(seen.conf, Unseen):
        return seen.conf
    try:
        return Filters(seen.conf.filters(), seen.conf.classes("read"))
    except UnreadableFilterError as problem:
        return Unseen(_("this filter is not understood: {line}").format(line=problem))


def _filter_of_ours() -> str:
    return _("the eventfilter line that `kikitori asterisk render` writes; {reload}").format(
        reload=rights.reload_and_restart()
    )


def _noise(seen: PbxSeen) -> Finding:
    remedy = _filter_of_ours()
    why = _("Two thirds of what Asterisk says is of no use here, and costs time that events of calls wait for.")
    if heard := [name for name in NOISY_EVENTS if seen.heard.get(name)]:
        return warning("noise", _("heard: {events}").format(events=", ".join(heard)), why, remedy)
    filters = _filters(seen)
    if isinstance(filters, Unseen):
        return unmade("noise", filters, remedy)
    if noise := filters.noise():
        return warning("noise", _("let through: {events}").format(events=", ".join(noise)), why, remedy)
    return well("noise", _("none heard, none let through"))


def _hidden(seen: PbxSeen) -> Finding:
    remedy = _filter_of_ours()
    filters = _filters(seen)
    if isinstance(filters, Unseen):
        return unmade("hidden", filters, remedy)
    if lost := filters.hidden():
        return error(
            "hidden", _("filtered out: {events}").format(events=", ".join(lost)),
            _("A call whose events do not come is not recorded in time."), remedy,
        )  # fmt: skip
    if names := filters.hiding():
        return error(
            "hidden", _("a caller named {name!r} is filtered out").format(name=f"Event: {names[0]}: x"),
            _("The filter looks at the whole event and has no ^: whoever knows it can call unheard."), remedy,
        )  # fmt: skip
    return well("hidden", _("all of them pass the filter"))


def _dialplan(made_of: str | Unseen, decided: Decided | Unseen) -> Finding:
    """The gate reads the policies, the dialplan was made of them: who changes one has to render the other."""
    remedy = _("`kikitori asterisk render --out DIR`, then: asterisk -rx 'dialplan reload'")
    if isinstance(made_of, Unseen):
        return unmade("dialplan-policies", made_of, remedy)
    if isinstance(decided, Unseen):
        return unmade("dialplan-policies", decided, _("mend that file, then ask again"))
    day, _blank, _digits = made_of.partition(" ")
    try:
        on = date.fromisoformat(day)
    except ValueError:
        found = _("Asterisk does not run the rendered dialplan, or an older one")
    else:
        if replace(decided, on=on).fingerprint() == made_of:
            return well("dialplan-policies", _("made of the policies as they are, on {day}").format(day=day))
        found = _("made of other policies, on {day}").format(day=day)
    why = _(
        "While the gate is silent the dialplan decides by what it was made of: hours, telephones, and what is recorded."
    )
    return warning("dialplan-policies", found, why, remedy)


def _endpoints(seen: PbxSeen, want: Want) -> Iterator[Finding]:
    remedy = _(
        "pjsip.conf as `kikitori asterisk render` writes it from the policies, then: "
        "asterisk -rx 'module reload res_pjsip.so'"
    )
    if isinstance(seen.endpoints, Unseen):
        for check in ("endpoints", "codecs", "direct-media"):
            yield unmade(check, seen.endpoints, remedy)
        return
    known = {name: found for name in want.endpoints if (found := seen.endpoints.get(name)) is not None}
    if missing := [name for name in want.endpoints if name not in known]:
        yield error(
            "endpoints", _("unknown to Asterisk: {names}").format(names=", ".join(missing)),
            _("The policies name them; what goes on at a telephone of another name is not recorded."), remedy,
        )  # fmt: skip
    else:
        yield well("endpoints", _("all {count} are known").format(count=len(known)))
    yield _codecs(known, remedy)
    if direct := _those(known, lambda endpoint: endpoint.direct_media):
        yield error(
            "direct-media", _("direct_media = yes: {names}").format(names=direct),
            _("Sound that does not pass through the PBX cannot be recorded."), remedy,
        )  # fmt: skip
    elif known:
        yield well("direct-media", _("direct_media = no everywhere"))
    else:
        yield unmade("direct-media", Unseen(_("there is no endpoint to look at")), remedy)


def _codecs(known: dict[str, Endpoint], remedy: str) -> Finding:
    if not known:
        return unmade("codecs", Unseen(_("there is no endpoint to look at")), remedy)
    if none := _those(known, lambda endpoint: CODECS.isdisjoint(endpoint.codecs)):
        return error(
            "codecs", _("none of {codecs}: {names}").format(codecs=", ".join(sorted(CODECS)), names=none),
            _("Asterisk as it is loaded here decodes no other, so nothing could be recorded."), remedy,
        )  # fmt: skip
    if others := sorted({codec for endpoint in known.values() for codec in endpoint.codecs} - CODECS):
        return warning(
            "codecs", _("allowed besides: {codecs}").format(codecs=", ".join(others)),
            _("A call that uses one may be recorded as silence: there is no decoder in the modules above."), remedy,
        )  # fmt: skip
    return well("codecs", ", ".join(sorted({codec for endpoint in known.values() for codec in endpoint.codecs})))


def _those(known: dict[str, Endpoint], wrong: Callable[[Endpoint], bool]) -> str:
    return ", ".join(name for name, endpoint in known.items() if wrong(endpoint))


def _clock(seen: PbxSeen) -> Finding:
    remedy = _("one source of time for both machines: chrony or systemd-timesyncd, then `timedatectl`")
    if isinstance(seen.ahead, Unseen):
        return unmade("clock", seen.ahead, remedy)
    if abs(seen.ahead) > CLOCK_SECONDS:
        return warning(
            "clock", _("Asterisk's clock differs from ours by {seconds} s").format(seconds=f"{seen.ahead:+.1f}"),
            _("Recordings carry Asterisk's times, the access log ours: they would not fit."), remedy,
        )  # fmt: skip
    return well("clock", _("they differ by {seconds} ms").format(seconds=round(abs(seen.ahead) * 1000)))
