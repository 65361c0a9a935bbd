"""Whose each folder and file of an installation is: `kikitori init` makes them so, the doctor compares. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cti.settings import Settings, Users
from cti.users import LOG, RUN, SPOOL, VAULT
from recorder.vault.folder import HELD, KEPT, LINES, OUTBOXES, STATEMENTS, WITNESS
from recorder.vault.keys import number_of

SOCKET: Final = "recorder.sock"  # in paths.run
KEEPER_SOCKET: Final = "keeper.sock"  # there, too: whoever asks, only what is due is moved
GATE_SOCKET: Final = "gate.sock"  # in paths.gate
SECRET_FILES: Final = (
    "recorder.key",
    "log.key",
    "ami.secret",
    "phones.toml",
    "manager.key.age",
    "api.key",
    "cases.key",
)


@dataclass(frozen=True, slots=True)
class Owned:
    """Owner, group and mode bits."""

    user: str
    group: str
    mode: int

    def __str__(self) -> str:
        """As `ls` and `stat` tell it: `2770 kikitori-recorder:kikitori-vault`."""
        return f"{self.mode:04o} {self.user}:{self.group}"


def mirror(settings: Settings) -> dict[Path, Owned]:
    """The second medium's folders."""
    who, root = settings.users, settings.paths.mirror
    return {
        # Sticky: whoever makes a file there takes away none of another.
        root: Owned(who.recorder, VAULT, 0o3770),
        root / "segments": Owned(who.recorder, VAULT, 0o2750),
        root / "checkpoints": Owned(who.desk, LOG, 0o2770),
        root / "escrow": Owned(who.desk, VAULT, 0o700),
    }


def vault(settings: Settings) -> dict[Path, Owned]:
    """The vault's folders: the desk reads what is sealed, and writes where it is told to take things out."""
    who, root = settings.users, settings.paths.vault
    made = {root: Owned(who.recorder, VAULT, 0o2750)}
    for name in ("segments", "outbox", WITNESS, STATEMENTS, *LINES):
        owner = who.desk if name in (KEPT, HELD, STATEMENTS) else who.recorder
        made[root / name] = Owned(owner, VAULT, 0o2750)
    return made | {root / "outbox" / name: Owned(who.recorder, VAULT, 0o2770) for name in OUTBOXES}


def slots(settings: Settings) -> dict[Path, Owned]:
    """The file of slots and its copy."""
    ours = Owned(settings.users.recorder, VAULT, 0o660)
    return {settings.paths.vault / "keys.slots": ours, settings.paths.mirror / "keys.slots": ours}


def others(settings: Settings, asterisk_group: str) -> dict[Path, Owned]:
    """Folders of log, sockets and the desk. `asterisk_group`: of the user who runs Asterisk."""
    who, paths = settings.users, settings.paths
    return {
        paths.log: Owned(who.recorder, LOG, 0o2770),
        # Only the recorder's user binds there: who could put a socket in place of the recorder's would be given
        # keys.
        paths.run: Owned(who.recorder, RUN, 0o2750),
        paths.gate: Owned(who.gate, asterisk_group, 0o2750),
        paths.desk: Owned(who.desk, VAULT, 0o700),
        # Everybody reads what was decided: the gate at each call.
        paths.hours: Owned(who.desk, VAULT, 0o755),
    }


def log_file(settings: Settings) -> dict[Path, Owned]:
    """The access log."""
    return {settings.paths.log / "access.db": Owned(settings.users.recorder, LOG, 0o660)}


def policies(settings: Settings) -> dict[Path, Owned]:
    """Everybody reads the rules, nobody who runs a process of ours changes them."""
    return {settings.paths.policies: Owned("root", "root", 0o755)}


def spool(settings: Settings, root: Path) -> dict[Path, Owned]:
    """`audio` for Asterisk and the recorder, `open` for the recorder alone."""
    who = settings.users
    return {root / "audio": Owned(who.recorder, SPOOL, 0o2770), root / "open": Owned(who.recorder, SPOOL, 0o700)}


def key_file(name: str, who: Users) -> Owned:
    """A file of the key folder: what is no secret may be read by all."""
    return {
        "recorder.key": Owned(who.recorder, RUN, 0o400),
        "phones.toml": Owned(who.recorder, RUN, 0o400),
        "ami.secret": Owned(who.recorder, RUN, 0o400),
        "log.key": Owned(who.recorder, LOG, 0o440),
        "manager.key.age": Owned(who.desk, VAULT, 0o400),
        "api.key": Owned(who.desk, VAULT, 0o400),
        "cases.key": Owned(who.desk, VAULT, 0o400),
    }.get(name, Owned(who.desk, VAULT, 0o400 if number_of(Path(name)) else 0o444))


def keys(settings: Settings) -> dict[Path, Owned]:
    """The key folder itself, which everybody may enter."""
    return {settings.paths.keys: Owned(settings.users.desk, VAULT, 0o755)}


def wanted(settings: Settings, asterisk_group: str, epochs: Iterable[str]) -> dict[Path, Owned]:
    """All of it but the spool, which the doctor looks at by itself. `epochs`: the identities' files that there are."""
    secrets = {settings.paths.keys / name: key_file(name, settings.users) for name in (*SECRET_FILES, *epochs)}
    return (
        keys(settings) | secrets | vault(settings) | mirror(settings) | slots(settings)
        | others(settings, asterisk_group) | log_file(settings) | policies(settings)
    )  # fmt: skip
