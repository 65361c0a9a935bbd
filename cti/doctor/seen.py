"""What was seen, without an opinion. What could not be looked at says why."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cti.pbxconfig import Decided
from cti.places import Owned


@dataclass(frozen=True, slots=True)
class Unseen:
    """What could not be looked at; `remedy` where it is another than that of the check: then that comes first."""

    why: str
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conf:
    """`manager.conf` as it lies on Asterisk's disk: [general], and the section of our user without its secret.

    What runs may be older: it is read when Asterisk starts, and on `manager reload`.
    """

    general: Mapping[str, str]
    user: tuple[tuple[str, str], ...]

    def classes(self, key: str) -> frozenset[str]:
        """The words of `read` or `write`."""
        last = next((value for name, value in reversed(self.user) if name == key), "")
        return frozenset(word.strip().lower() for word in last.split(",") if word.strip())

    def filters(self) -> tuple[tuple[str, str], ...]:
        """The `eventfilter` lines: (what stands before the =, what behind it)."""
        return tuple((name, value) for name, value in self.user if name.startswith("eventfilter"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A telephone or trunk of PJSIP."""

    codecs: tuple[str, ...]
    direct_media: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PbxSeen:
    """What a visit to the manager interface showed.

    `actions`: what our user may run, with the rights of which one is enough. `stamped`: whether an event has a time.
    `ahead`: seconds that Asterisk's clock is ahead of ours. `heard`: events by name, while we looked. `endpoints`: None
    for one that Asterisk does not know. `calls` since it started, `uptime` in seconds. `policies`: what the dialplan
    says that it was made of (`Decided.fingerprint`), empty where it is not of our making.
    """

    version: str | Unseen
    name: str | Unseen
    actions: Mapping[str, frozenset[str]] | Unseen
    modules: Mapping[str, bool] | Unseen
    conf: Conf | Unseen
    stamped: bool | Unseen
    ahead: float | Unseen
    heard: Mapping[str, int]
    endpoints: Mapping[str, Endpoint | None] | Unseen
    calls: int | Unseen
    uptime: float | Unseen
    policies: str | Unseen


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolSeen:
    """The spool. `mountinfo` and `swaps` are the kernel's tables; `free` and `size` in bytes; None: no such folder.

    `foreign`: files of Asterisk's that the spool's group cannot read and write.
    """

    path: Path
    mountinfo: str
    swaps: str
    free: int
    size: int
    audio: Owned | Unseen | None
    open: Owned | Unseen | None
    foreign: tuple[str, ...] | Unseen


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSeen:
    """The running Asterisk: its user, its umask (None where the kernel does not tell), all its groups."""

    user: str
    umask: int | None
    groups: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSeen:
    """What the gate answered about a channel that there is not: `yes`, `no`; and after how many seconds."""

    answer: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CelSeen:
    """Asterisk's own record of events, opened as the recorder would; `age`: seconds since something was written.

    `size` None: there is no such file, as before the first call.
    """

    path: Path
    size: int | None
    age: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HoursSeen:
    """The opening hours as the gate reads them. `trouble`: what of them does not count.

    `year`: the one that is soon to come, and whether a `table` of its holidays is known, a `forecast` or nothing.
    """

    state: str
    until: datetime | None
    trouble: str | None
    year: int
    holidays: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """All of it. `pbx` is unseen where nobody let us in. `spool` None: no such folder; `cel` None: no such setting.

    `decided`: what the policies say today.
    """

    pbx: PbxSeen | Unseen
    spool: SpoolSeen | Unseen | None
    asterisk: ProcessSeen | Unseen
    gate: GateSeen | Unseen
    recorder: Mapping[str, object] | Unseen
    cel: CelSeen | Unseen | None
    hours: HoursSeen | Unseen
    decided: Decided | Unseen
