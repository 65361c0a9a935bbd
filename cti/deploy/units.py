"""systemd's files, from the settings: a unit for each process, the spool's mount, and what they need around them.

Laid out as below `/`, so that one `cp` puts them where they belong. Every value is checked before it meets a template.
"""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from cti import places, users
from cti.deploy.peers import folders, hosts
from cti.errors import DeployError
from cti.i18n import _
from cti.notify import READY_SECONDS
from cti.places import Owned
from cti.settings import Settings
from cti.supervise import NICENESS, SESSION, STOP_SECONDS, WATCHDOG

UNITS: Final = "etc/systemd/system"
MADE: Final = "Made by `kikitori deploy render`: change the settings, or add a drop-in (systemctl edit)."

_WEIGHTS: Final = {10: 11, 0: 100, -10: 932}
"""CPUWeight that favours a group as that niceness favours a process: the kernel's weights are 110, 1024 and 9548."""

_WRITES: Final = {
    "recorder": ("vault", "mirror", "log", "spool", "run"),
    "gate": ("gate",),
    "keeper": ("vault", "mirror", "log", "run"),
    "desk": ("vault", "mirror", "log", "desk", "hours"),
}
_HIDDEN: Final = {
    "recorder": ("desk", "gate"),
    "gate": ("vault", "mirror", "log", "spool", "keys", "desk"),
    "keeper": ("spool", "desk", "gate"),
    "desk": ("spool", "gate"),
}
_PATH = re.compile(r"(/[A-Za-z0-9_.+-]+)+")
_SIZE = re.compile(r"[1-9][0-9]{0,5}[mgMG]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What no setting says: the program, the settings file, the spool's size, and whether tmpfs knows `noswap`."""

    program: Path
    config: Path
    spool_size: str
    noswap: bool
    asterisk_group: str


def files(settings: Settings, host: Host) -> dict[str, bytes]:
    """Every file by its name below `/`. Raises DeployError."""
    _check(settings, host)
    spool = settings.paths.spool
    texts = {f"{UNITS}/kikitori-{role}.service": _role(role, settings, host) for role in users.ROLES}
    texts[f"{UNITS}/kikitori.service"] = _text(
        "kikitori.service.j2", users=settings.users, home=_home(host.program, host.config)
    )
    options = ",".join(["mode=0755", f"size={host.spool_size}", *(["noswap"] if host.noswap else [])])
    texts[f"{UNITS}/{unit_name(spool)}.mount"] = _text("spool.mount.j2", spool=spool, options=options)
    texts[f"{UNITS}/asterisk.service.d/kikitori.conf"] = _text("asterisk.conf.j2", spool=spool, group=users.SPOOL)
    texts["etc/tmpfiles.d/kikitori.conf"] = _text("tmpfiles.conf.j2", folders=_folders(settings, host))
    texts["etc/sysctl.d/kikitori.conf"] = _text("sysctl.conf.j2")
    if settings.metrics.port:
        texts["etc/prometheus/kikitori.yml"] = _text("prometheus.yml.j2")
    return {name: text.encode() for name, text in texts.items()}


def unit_name(path: Path) -> str:
    """As `systemd-escape --path` has it: `/srv/kikitori/spool` -> `srv-kikitori-spool`."""
    joined = "/".join(path.parts[1:])
    return re.sub(
        r"[^A-Za-z0-9:_./]|^\.", lambda odd: "".join(f"\\x{byte:02x}" for byte in odd[0].encode()), joined
    ).replace("/", "-")


def _role(role: str, settings: Settings, host: Host) -> str:
    user = users.runs_as(settings.users, role)
    paths = settings.paths
    told = folders(settings) if role == "desk" else ()
    needed = {"recorder": [paths.vault, paths.spool], "gate": []}.get(role, [paths.vault])
    return _text(
        "role.service.j2",
        role=role,
        user=user,
        group=user,
        groups=" ".join(users.memberships(settings.users)[user]),
        program=host.program,
        config=host.config,
        mounts=" ".join(map(str, needed)),
        watchdog=f"{WATCHDOG[role]:g}",
        start=f"{READY_SECONDS:g}",
        stop=f"{STOP_SECONDS:g}",
        nice=NICENESS[role],
        weight=_WEIGHTS[SESSION[role]],
        # With "-": the second medium may be away, and calls are recorded all the same.
        writes=" ".join(f"-{path}" for path in (*(getattr(paths, name) for name in _WRITES[role]), *told)),
        hidden=" ".join(f"-{getattr(paths, name)}" for name in _HIDDEN[role]),
        peers=_peers(role, settings),
        home=_home(host.program, host.config),
    )


def _peers(role: str, settings: Settings) -> list[str]:
    """Addresses alone: the kernel's filter knows no names, and nobody here is to ask for one."""
    for name in hosts(settings, role):
        if not _is_address(name):
            raise DeployError(
                _("{host} is a name: write its address into kikitori.toml, for connections are filtered by it").format(
                    host=name
                )
            )
    return ["localhost", *(name for name in hosts(settings, role) if not ipaddress.ip_network(name).is_loopback)]


def _is_address(text: str) -> bool:
    """Not one with a zone: that may hold anything, and systemd knows none."""
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return "%" not in text


def _folders(settings: Settings, host: Host) -> Mapping[Path, Owned]:
    """What is made again at every start, because RAM forgets; and what Asterisk and the recorder share.

    `/run` by its own name: systemd-tmpfiles complains of `/var/run`, a link to it.
    """
    asterisk, who = settings.asterisk, settings.users.asterisk
    run = Path("/run").joinpath(*asterisk.run_dir.parts[3:]) if asterisk.run_dir.is_relative_to("/var/run") else None
    own = Owned(who, host.asterisk_group, 0o750)
    shared = {asterisk.log_dir: Owned(who, users.SPOOL, 0o2750), run or asterisk.run_dir: own}
    inside = {asterisk.var_dir / name: own for name in ("", "spool", "cache", "keys")}
    return places.spool(settings, settings.paths.spool) | shared | inside


def _home(*needed: Path) -> str:
    return "read-only" if any(path.parts[1] in ("home", "root") for path in needed) else "yes"


def _check(settings: Settings, host: Host) -> None:
    paths = settings.paths
    asterisk = settings.asterisk
    named = [host.program, host.config, *(getattr(paths, name) for name in type(paths).model_fields)]
    for path in [*named, asterisk.log_dir, asterisk.run_dir, asterisk.var_dir]:
        if not _PATH.fullmatch(str(path)) or {".", ".."} & set(path.parts):
            raise DeployError(
                _("{path}: letters, digits, point, +, - and _ only, from / on: systemd reads others otherwise").format(
                    path=path
                )
            )
    if not _SIZE.fullmatch(host.spool_size):
        raise DeployError(_("{size} is no size of the spool: 2g or 1980m").format(size=host.spool_size))
    for user in (*(users.runs_as(settings.users, role) for role in (*users.ROLES, "asterisk")), host.asterisk_group):
        if not re.fullmatch(r"[a-z_][a-z0-9_-]{0,31}", str(user)):
            raise DeployError(_("{user} is no name of a system user").format(user=user))


def _text(template: str, **values: object) -> str:
    environment = Environment(  # nosec  # unit files, not HTML
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701  # no HTML: what is not a plain word is refused before
    )
    return environment.get_template(template).render(made=MADE, **values)
