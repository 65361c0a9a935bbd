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
    number_of,
)
from recorder.vault.note import Signer
from recorder.vault.slots import Slots
from recorder.vault.stream import encrypt

AT_ONCE: Final = 32
"""Headers that are sealed anew under one lock: 10 ms, for which a call that begins waits."""


class Listed:
    """To whom the recorder encrypts, as 課長 has signed it last: looked at again when the file changes.

    What cannot be believed changes nothing: a call is kept, sealed to whom it was before, and `trouble` says why. The
    verifier is the one that was there at the start, and no epoch comes back.
    """

    def __init__(self, folder: Path) -> None:
        """Raises KeysError."""
        self._folder, self._manager = folder, load_verifier(folder / "manager.pub")
        self._mark = self._look()
        self._recipients = load_recipients(folder, manager=self._manager)
        self.trouble: str | None = None

    def now(self) -> tuple[int, Recipient]:
        """Epoch and recipient."""
        try:
            if (mark := self._look()) != self._mark:
                found = load_recipients(self._folder, manager=self._manager)
                if found.epoch < self._recipients.epoch:
                    raise RotationError(f"{self._folder}: recipients.note goes back to epoch {found.epoch}")
                self._mark, self._recipients, self.trouble = mark, found, None
        except (VaultError, OSError) as error:
            self.trouble = str(error)
        return self._recipients.epoch, self._recipients.recipient

    def _look(self) -> tuple[int, int, int]:
        found = (self._folder / "recipients.note").stat()
        return found.st_ino, found.st_mtime_ns, found.st_size


@dataclass(frozen=True, slots=True, kw_only=True)
class Resealed:
    """What one round did. `moved` headers are sealed anew; `foreign`: slots that no key here opens; `lost`: whole on
    neither medium.
    """

    moved: int
    foreign: tuple[int, ...]
    lost: tuple[int, ...]


def begin(
    folder: Path, escrow: Path, recipients: Recipients, *, since: datetime, passphrase: Passphrase | None
) -> tuple[Recipients, Identity]:
    """A new identity that is safe, and of which the recorder does not know yet. Raises KeysError.

    `escrow`: the folder on the second medium.
    """
    used = [recipients.epoch, *(number_of(path) for path in (*folder.glob("epoch-*"), *escrow.glob("epoch-*")))]
    epoch, identity = max(used) + 1, Identity.generate()
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

    def anew(number: int, header: bytes) -> bytes | None:
        nonlocal moved
        if _opened(header, [new]) is not None:
            return None
        key = _opened(header, held)
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
    return Resealed(moved=moved, foreign=tuple(strangers), lost=tuple(lost))


def foreign(slots: Slots, numbers: Iterable[int], held: Sequence[Identity]) -> list[int]:
    """The slots of `numbers` that none of `held` opens: sealed to somebody else, or no header at all."""
    return [number for number in numbers if (header := _header(slots, number)) and _opened(header, held) is None]


def destroy(path: Path) -> None:
    """Overwrite a file of secrets and remove it; it may be gone already. Raises KeysError.

    On a disk that copies on writing, or levels its wear, old bytes may stay (docs/explanation/threat-model.md).
    """
    try:
        if path.is_symlink() or not path.exists():
            return
        path.chmod(0o600)  # nobody else may write it, and nobody needs to: it is ours
        with path.open("r+b") as file:
            file.write(secrets.token_bytes(path.stat().st_size))
            file.flush()
            os.fsync(file.fileno())
        path.unlink()
        sync_folder(path.parent)
    except OSError as error:
        raise KeysError(f"{path}: cannot be destroyed ({error.strerror})") from error


def _header(slots: Slots, number: int) -> bytes | None:
    try:
        return slots.read(number)
    except VaultError:  # erased, or whole nowhere, which `verify` names
        return None


def _opened(header: bytes, held: Sequence[Identity]) -> bytes | None:
    try:
        return unwrap(header, held)
    except VaultError:
        return None
