"""Another epoch: a new identity, every header sealed to it anew, the old identity destroyed. No sound is touched.

```
begin     the new identity is on the escrow medium, sealed to the escrow key (and under the passphrase, if one is given)
publish   recipients.note names its recipient: from the next segment on the recorder encrypts to it
reseal    each header that the old identity opens is sealed to the new one
destroy   the old identity's file is overwritten and removed
```
Stopped at any point, everything is readable by who could read it before, and the next rotation goes on from there.
"""

import os
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from recorder.access.entry import Entry
from recorder.access.errors import AccessError
from recorder.vault.age import Identity, Passphrase, Recipient, unwrap, wrap
from recorder.vault.errors import VaultError
from recorder.vault.folder import replace_whole, sync_folder, write_new
from recorder.vault.keys import (
    KeysError,
    Recipients,
    RotationError,
    dump_recipients,
    identity_file,
    load_recipients,
    load_verifier,
    parse_recipients,
)
from recorder.vault.note import Signer
from recorder.vault.slots import Slots
from recorder.vault.stream import encrypt

_GOING = ".going"

AT_ONCE: Final = 32
"""Headers that are sealed anew under one lock: 10 ms, for which a call that begins waits."""


class Listed:
    """To whom the recorder encrypts: what 課長 has signed last, looked at again when the file changes.

    The access log has to say the same (`rotated`: what its newest line with a list has). Where it
    does not (a list of before was put back, or somebody signed one with a verifier of his own), whom the log names is
    encrypted to, and `trouble` says why. What cannot be read changes nothing: a call is kept.
    """

    def __init__(self, folder: Path, rotated: "Callable[[], Told | None]") -> None:
        """Raises KeysError."""
        self._folder, self._rotated, self._manager = folder, rotated, load_verifier(folder / "manager.pub")
        self.trouble: str | None = None
        self._mark: tuple[int, int, int] | None = None
        found = load_recipients(folder, manager=self._manager)
        self._now = found.epoch, found.recipient
        self.now()

    def now(self) -> tuple[int, Recipient]:
        """Epoch and recipient."""
        try:
            if (mark := self._look()) != self._mark:
                self._compare(load_recipients(self._folder, manager=self._manager))
                self._mark = mark
        except (VaultError, AccessError, OSError) as error:
            self.trouble = str(error)
        return self._now

    def _compare(self, found: Recipients) -> None:
        told = self._rotated()
        self.trouble = disagreement(self._folder, found, told)
        if self.trouble is None:
            self._now = found.epoch, found.recipient
        elif told is not None:
            signed = parse_recipients(told.note, self._manager, "access log")
            self._now = signed.epoch, signed.recipient

    def _look(self) -> tuple[int, int, int]:
        found = (self._folder / "recipients.note").stat()
        return found.st_ino, found.st_mtime_ns, found.st_size


LISTS: Final = ("keys.rotated", "escrow.renewed")
"""Lines of the access log that have a list of recipients in them."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the access log says of the newest list: its epoch, and the whole of it as 課長 signed it."""

    epoch: int
    note: str


def told_by(newest: Entry | None) -> Told | None:
    """What the newest of the lines `LISTS` says."""
    return Told(int(newest.detail["epoch"]), str(newest.detail["note"])) if newest else None


def disagreement(folder: Path, found: Recipients, told: Told | None) -> str | None:
    """What the list and the access log do not agree on; None where they do. Of the first list the log says nothing."""
    if told is None:
        return None if found.epoch == 1 else _disagree(folder, found.epoch, 1)
    try:
        same = parse_recipients(told.note, load_verifier(folder / "manager.pub"), "access log") == found
    except VaultError:
        same = False
    return None if same else _disagree(folder, found.epoch, told.epoch)


def _disagree(folder: Path, found: int, told: int) -> str:
    return (
        f"{folder}: recipients.note is of epoch {found}, and not what the access log says of epoch {told}: find out "
        "who changed it"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Resealed:
    """What one round did: of `looked` slots `moved` headers are sealed anew.

    `foreign`: slots that no key here opens; `lost`: whole on neither medium.
    """

    looked: int
    moved: int
    foreign: tuple[int, ...]
    lost: tuple[int, ...]


def begin(
    folder: Path, escrow: Path, recipients: Recipients, after: int, *, since: datetime, passphrase: Passphrase | None
) -> tuple[Recipients, Identity]:
    """A new identity that is safe, and of which the recorder does not know yet. Raises KeysError.

    `escrow`: the folder on the second medium. `after`: the highest epoch that there ever was.
    """
    epoch, identity = after + 1, Identity.generate()
    while any(path.exists() for place in (folder, escrow) for path in place.glob(f"epoch-{epoch:04d}.*")):
        epoch += 1  # one that was begun and never used
    secret = identity_file(identity, since)
    try:
        write_new(escrow / f"epoch-{epoch:04d}.escrow.age", encrypt(secret, [recipients.escrow_recipient]), 0o600)
        if passphrase is not None:
            write_new(folder / f"epoch-{epoch:04d}.age", encrypt(secret, [passphrase]), 0o400)
    except OSError as error:
        raise KeysError(f"{error.filename}: cannot be written ({error.strerror})") from error
    return replace(recipients, epoch=epoch, recipient=identity.recipient, since=since), identity


def publish(folder: Path, recipients: Recipients, manager: Signer) -> None:
    """From now on the recorder encrypts to these. Raises KeysError."""
    if manager.verifier != load_verifier(folder / "manager.pub"):
        raise KeysError(f"{folder / 'manager.pub'}: is not of the key that would sign")
    path = folder / "recipients.note"
    try:
        replace_whole(path, dump_recipients(recipients, manager).encode(), 0o444)
        sync_folder(folder)
    except OSError as error:
        raise KeysError(f"{path}: cannot be written ({error.strerror})") from error


def reseal(slots: Slots, held: Sequence[Identity], new: Identity, done: Callable[[int], None]) -> Resealed:
    """Seal each header that one of `held` opens to `new`; `done` is told of so many that were looked at.

    Raises OSError, where one of the media is away.
    """
    moved, strangers, lost = 0, [], []

    def anew(number: int, copies: Sequence[bytes]) -> bytes | None:
        nonlocal moved
        for header in copies:
            if _opened(header, [new]) is not None:
                return header
        key = next((key for header in copies if (key := _opened(header, held)) is not None), None)
        if key is None:
            strangers.append(number)
            return None
        made = wrap(key, [new.recipient])
        if unwrap(made, [new]) != key:
            raise RotationError("a header that was sealed anew does not open")
        moved += 1
        return made

    every = range(slots.count())
    for first in range(0, len(every), AT_ONCE):
        batch = every[first : first + AT_ONCE]
        lost += slots.change(batch, anew)
        done(len(batch))
    return Resealed(looked=len(every), moved=moved, foreign=tuple(strangers), lost=tuple(lost))


def foreign(slots: Slots, numbers: Iterable[int], held: Sequence[Identity]) -> list[int]:
    """The slots of `numbers` of which no copy can be opened by `held`: sealed to somebody else, or no header at all."""
    return [
        number
        for number in numbers
        if (copies := slots.copies(number)) and all(_opened(header, held) is None for header in copies)
    ]


def destroy(path: Path) -> None:
    """Overwrite a file of secrets and remove it; it may be gone already. Raises KeysError.

    Under another name first: whoever is stopped in between leaves nothing that is taken for a key (`sweep`). On a disk
    that copies on writing, or levels its wear, old bytes may stay (docs/explanation/threat-model.md).
    """
    if path.is_symlink() or not path.exists():
        return
    going = path.with_name(f".{path.name}{_GOING}")
    try:
        path.rename(going)
        sync_folder(path.parent)
    except OSError as error:
        raise KeysError(f"{path}: cannot be destroyed ({error.strerror})") from error
    _overwrite(going)


def sweep(folder: Path) -> None:
    """End what `destroy` was stopped in. Raises KeysError."""
    for path in folder.glob(f".epoch-*{_GOING}"):
        _overwrite(path)


def _overwrite(path: Path) -> None:
    try:
        path.chmod(0o600)  # nobody else may write it, and nobody needs to: it is ours
        with path.open("r+b") as file:
            file.write(secrets.token_bytes(path.stat().st_size))
            file.flush()
            os.fsync(file.fileno())
        path.unlink()
        sync_folder(path.parent)
    except OSError as error:
        raise KeysError(f"{path}: cannot be destroyed ({error.strerror})") from error


def _opened(header: bytes, held: Sequence[Identity]) -> bytes | None:
    try:
        return unwrap(header, held)
    except VaultError:
        return None
