"""Whom each process may talk to (B-04): this host, and the addresses that settings and `outward.toml` name.

No process of ours looks up a name at an address outside: where a setting names a host, whoever asks brings the answer.
"""

import ipaddress
from collections.abc import Callable

from sqlalchemy.engine import make_url

from cti.settings import Settings
from cti.users import ROLES
from policies.errors import PolicyError
from policies.load import Policies

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str], list[Network]]

LOOPBACK: tuple[Network, ...] = (ipaddress.IPv4Network("127.0.0.0/8"), ipaddress.IPv6Network("::1/128"))


def hosts(settings: Settings, role: str) -> tuple[str, ...]:
    """The hosts and networks that a process connects to, or is asked by, beside this one."""
    named = {
        "recorder": [settings.pbx.host],
        "gate": [settings.pbx.host],
        "keeper": [],
        "desk": [_database(settings), _mail(settings), *_told(settings), *settings.api.networks],
    }[role]
    return tuple(host for host in named if host and host != "localhost")


def folders(settings: Settings) -> tuple[str, ...]:
    """Folders of destinations, which the desk writes into."""
    try:
        told = Policies(settings.paths.policies).outward.destination
    except PolicyError:
        return ()
    return tuple(sorted({one.folder for one in told if one.folder}))


def _told(settings: Settings) -> list[str]:
    try:
        return [one.host for one in Policies(settings.paths.policies).outward.destination]
    except PolicyError:
        return []  # nobody is told of anything by it


def _mail(settings: Settings) -> str:
    return settings.mail.host if settings.mail.to else ""


def _database(settings: Settings) -> str:
    if not settings.database.url:
        return ""
    url = make_url(settings.database.url)
    asked = url.query.get("host", "")
    host = url.host or (asked if isinstance(asked, str) else asked[0])
    return "" if host.startswith("/") else host  # a folder: a socket of this host


def networks(settings: Settings, resolve: Resolve) -> tuple[Network, ...]:
    """Everything that any process may talk to."""
    found = list(LOOPBACK)
    for role in ROLES:
        for host in hosts(settings, role):
            try:
                found.append(ipaddress.ip_network(host))
            except ValueError:
                found += resolve(host)
    return tuple(found)
