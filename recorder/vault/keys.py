"""The key folder, made once by `kikitori init`. No identity is ever on disk in plain text.

```
keys/epoch-0001.age       the epoch's X25519 identity, an age file under the passphrase; `age -d -i` takes it as it is.
                          Gone after a rotation in somebody's own name: then grants alone open the vault (epochs.py)
keys/manager.key.age      課長's note key, under the same passphrase
keys/manager.pub          its verifier; whoever pins it elsewhere need not trust this folder
keys/recorder.key, .pub   signs manifests
keys/log.key, .pub        signs checkpoints
keys/recipients.note      signed by 課長: to whom the recorder encrypts

<escrow>/epoch-0001.escrow.age   the same identity, sealed to the escrow key that is shown once and kept on paper

recipients.note = "kikitori/recipients/v1" LF, JSON {epoch, escrow_recipient, from, key_id, recipient} LF, signature
```
"""

import io
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from recorder.vault.age import Identity, Passphrase, Recipient
from recorder.vault.errors import NoIdentityError, VaultError
from recorder.vault.folder import sync_folder
from recorder.vault.manifest import load_json, parse_stamp, stamp
from recorder.vault.note import NoteError, Signer, Verifier, open_note, sign
from recorder.vault.stream import decrypt, encrypt

Keys = Callable[[int], tuple[Identity, ...]]
"""What may open what was recorded in an epoch, from whoever holds it. Raises VaultError or AccessError."""

_FIRST_LINE = "kikitori/recipients/v1"
_FIELDS = {"epoch", "escrow_recipient", "from", "key_id", "recipient"}
_SECRET_MODE = 0o600
_PUBLIC_MODE = 0o644
_EPOCH = re.compile(r"epoch-(\d{4,9})\.", re.ASCII)
_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z./_-]{0,127}", re.ASCII)


class KeysError(VaultError):
    """The key folder cannot be used."""

    code = "keys"


class KeysExistError(KeysError):
    """There are keys already, and they are never overwritten."""

    code = "keys-exist"


class RotationError(KeysError):
    """The vault's keys cannot be changed now."""

    code = "rotation"


class WrongPassphraseError(KeysError):
    """The passphrase is wrong."""

    code = "wrong-passphrase"


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    """What `create` made. `escrow_identity` is the one secret that is not stored: show it once, on paper."""

    folder: Path
    escrow_file: Path
    epoch: int
    recipient: Recipient
    escrow_recipient: Recipient
    escrow_identity: str = field(repr=False)
    manager: Verifier
    recorder: Verifier
    log: Verifier


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipients:
    """The content of `recipients.note`."""

    epoch: int
    recipient: Recipient
    escrow_recipient: Recipient
    since: datetime


def create(
    folder: Path, escrow_folder: Path, *, passphrase: str, origin: str, epoch_start: datetime, work_factor: int = 18
) -> Created:
    """Make `folder`, whole or not at all, and the escrow file in `escrow_folder`, which must exist (a mounted medium).

    `origin` names this installation as a host name does (`recorder.example/pbx1`); note keys are called
    `<origin>/manager`, `/recorder`, `/log`. Owners are the caller's business. Raises KeysExistError, KeysError.
    """
    if not _NAME.fullmatch(origin):
        raise KeysError(f"the name {origin!r} has other characters than letters, digits, point, slash, - and _")
    if epoch_start.utcoffset() is None:
        raise KeysError(f"the epoch's start {epoch_start.isoformat()} has no time zone")
    if not escrow_folder.is_dir():
        raise KeysError(f"{escrow_folder}: is no folder; mount the medium that keeps the escrow")
    escrow_file = escrow_folder / "epoch-0001.escrow.age"
    for path in (folder, escrow_file):
        if path.exists() or path.is_symlink():
            raise KeysExistError(f"{path}: name another place, or move it away if it was never used")
    identity, escrow = Identity.generate(), Identity.generate()
    signers = {name: Signer.generate(f"{origin}/{name}") for name in ("manager", "recorder", "log")}
    recipients = Recipients(epoch=1, recipient=identity.recipient, escrow_recipient=escrow.recipient, since=epoch_start)
    secret = identity_file(identity, epoch_start)
    lock = [Passphrase(passphrase, work_factor)]
    files = {"epoch-0001.age": encrypt(secret, lock)}
    files["manager.key.age"] = encrypt(f"{signers['manager'].secret_text()}\n".encode(), lock)
    for name in ("recorder", "log"):
        files[f"{name}.key"] = f"{signers[name].secret_text()}\n".encode()
    public = {f"{name}.pub": f"{signer.verifier}\n".encode() for name, signer in signers.items()}
    public["recipients.note"] = dump_recipients(recipients, signers["manager"]).encode()
    _store(folder, files, public, escrow_file, encrypt(secret, [escrow.recipient]))
    return Created(
        folder=folder,
        escrow_file=escrow_file,
        epoch=1,
        recipient=identity.recipient,
        escrow_recipient=escrow.recipient,
        escrow_identity=str(escrow),
        manager=signers["manager"].verifier,
        recorder=signers["recorder"].verifier,
        log=signers["log"].verifier,
    )


def dump_recipients(recipients: Recipients, manager: Signer) -> str:
    """The signed note of this module's docstring."""
    values = {
        "epoch": recipients.epoch,
        "escrow_recipient": str(recipients.escrow_recipient),
        "from": stamp(recipients.since),
        "key_id": recipients.recipient.key_id,
        "recipient": str(recipients.recipient),
    }
    return sign(f"{_FIRST_LINE}\n{json.dumps(values, indent=1, sort_keys=True)}\n", [manager])


def load_recipients(folder: Path, *, manager: Verifier | None = None) -> Recipients:
    """Read and verify `recipients.note` with `manager`, or with `manager.pub` beside it where none is pinned.

    Raises KeysError naming the file and what is wrong.
    """
    path = folder / "recipients.note"
    return parse_recipients(_text(path), manager or load_verifier(folder / "manager.pub"), str(path))


def parse_recipients(note: str, manager: Verifier, path: str) -> Recipients:
    """Such a note, from `path`. Raises KeysError."""
    try:
        text = open_note(note, [manager])
        values = _recipients_json(text, path)
        recipients = Recipients(
            epoch=values["epoch"],
            recipient=Recipient.parse(str(values["recipient"])),
            escrow_recipient=Recipient.parse(str(values["escrow_recipient"])),
            since=parse_stamp(str(values["from"])),
        )
    except KeysError:
        raise
    except (VaultError, ValueError) as error:
        raise KeysError(f"{path}: {error}") from error
    if recipients.recipient.key_id != values["key_id"]:
        raise KeysError(f"{path}: key_id is {values['key_id']!r}, the recipient's is {recipients.recipient.key_id}")
    return recipients


def _recipients_json(text: str, path: str) -> dict[str, Any]:
    first, _, body = text.partition("\n")
    if first != _FIRST_LINE:
        raise KeysError(f"{path}: the first line is {first!r}, not {_FIRST_LINE!r}")
    values = load_json(body, Path(path).name)
    if wrong := sorted(values.keys() ^ _FIELDS):
        raise KeysError(f"{path}: {wrong[0]}: missing, or not a field of this version")
    if type(values["epoch"]) is not int or values["epoch"] < 1:
        raise KeysError(f"{path}: epoch: {values['epoch']!r} is not a whole number from 1")
    return values


def epochs(folder: Path) -> list[int]:
    """The epochs whose identities are here, the newest first."""
    return sorted((number_of(path) for path in folder.glob("epoch-*.age")), reverse=True)


def number_of(path: Path) -> int:
    """The epoch of a file that is named by one; 0 for any other."""
    found = _EPOCH.match(path.name)
    return int(found[1]) if found else 0


def later(held: Mapping[int, Identity], epoch: int) -> tuple[Identity, ...]:
    """Of `held`, what may open what was recorded in `epoch`, the likeliest first: its own key, or, since its header was
    sealed anew, a later one's. Manifests go on naming the epoch in which they were written.
    """
    return tuple(held[one] for one in sorted(held) if one >= epoch)


def by_passphrase(folder: Path, passphrase: str) -> Keys:
    """What the vault's own passphrase opens, a second and 256 MiB for each identity. Raises KeysError, now and then."""
    if not epochs(folder):
        raise KeysError(
            f"{folder}: the passphrase opens nothing any more: the keys were changed since people have accounts, and "
            "each opens the vault by a password of their own"
        )

    @cache
    def opening(epoch: int) -> tuple[Identity, ...]:
        return later({one: unlock(folder, one, passphrase) for one in epochs(folder) if one >= epoch}, epoch)

    return opening


def unlock(folder: Path, epoch: int, passphrase: str) -> Identity:
    """The identity of `epoch`. Takes a second and 256 MiB at the default work factor.

    Raises WrongPassphraseError; KeysError where the file is missing or damaged, or is not the identity of the
    recipient that 課長 signed for this epoch (a swapped recipient: nobody here could read what is recorded).
    """
    path = folder / f"epoch-{epoch:04d}.age"
    identity = identity_in(_unseal(path, passphrase), path)
    recipients = load_recipients(folder)
    if recipients.epoch == epoch:
        check_signed(folder, recipients, identity)
    return identity


def check_signed(folder: Path, recipients: Recipients, identity: Identity) -> None:
    """The recorder encrypts to whom `identity` belongs. Raises KeysError."""
    if recipients.recipient != identity.recipient:
        raise KeysError(
            f"{folder / 'recipients.note'}: names {recipients.recipient.key_id} for epoch {recipients.epoch}, "
            f"but the identity here is {identity.recipient.key_id}: stop recording and find out who signed it"
        )


def unlock_manager(folder: Path, passphrase: str) -> Signer:
    """課長's note key. Raises WrongPassphraseError, KeysError."""
    path = folder / "manager.key.age"
    return _signer(path, _unseal(path, passphrase))


def load_signer(path: Path) -> Signer:
    """The note key in a `.key` file. Raises KeysError."""
    return _signer(path, _text(path))


def load_verifier(path: Path) -> Verifier:
    """The verifier in a `.pub` file. Raises KeysError."""
    try:
        return Verifier.parse(_text(path))
    except NoteError as error:
        raise KeysError(f"{path}: {error}") from error


def _signer(path: Path, text: str) -> Signer:
    try:
        return Signer.parse(text)
    except NoteError as error:
        raise KeysError(f"{path}: {error}") from error


def identity_in(text: str, path: Path) -> Identity:
    """The one that the plain text of `path` has. Raises KeysError."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    if len(lines) != 1:
        raise KeysError(f"{path}: has {len(lines)} identities, not one")
    try:
        return Identity.parse(lines[0])
    except VaultError as error:
        raise KeysError(f"{path}: {error}") from error


def identity_file(identity: Identity, created: datetime) -> bytes:
    """The plain text of an identity's file."""
    # The lines of age-keygen, so that its users find what they know.
    lines = (f"# created: {created.isoformat()}", f"# public key: {identity.recipient}", str(identity), "")
    return "\n".join(lines).encode()


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except OSError as error:
        raise KeysError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise KeysError(f"{path}: is not UTF-8 at byte {error.start}") from error


def _unseal(path: Path, passphrase: str) -> str:
    try:
        return b"".join(decrypt(io.BytesIO(path.read_bytes()), [Passphrase(passphrase)])).decode()
    except OSError as error:
        raise KeysError(f"{path}: cannot be read ({error.strerror})") from error
    except NoIdentityError as error:
        raise WrongPassphraseError(f"{path.name}") from error
    except (VaultError, UnicodeDecodeError) as error:
        raise KeysError(f"{path}: {error}") from error


def _store(folder: Path, secret: dict[str, bytes], public: dict[str, bytes], escrow: Path, sealed: bytes) -> None:
    """Build beside `folder`, write the escrow, rename: where `folder` exists, its escrow does."""
    temporary: Path | None = None
    escrowed = renamed = False
    try:
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        temporary.chmod(0o750)
        for name, data in secret.items():
            _write(temporary / name, data, _SECRET_MODE)
        for name, data in public.items():
            _write(temporary / name, data, _PUBLIC_MODE)
        sync_folder(temporary)
        _write(escrow, sealed, _SECRET_MODE)
        escrowed = True
        sync_folder(escrow.parent)
        temporary.rename(folder)
        renamed = True
        sync_folder(folder.parent)
    except BaseException as error:
        if temporary is not None and not renamed:
            shutil.rmtree(temporary, ignore_errors=True)
        if escrowed and not renamed:
            escrow.unlink(missing_ok=True)
        if isinstance(error, FileExistsError):
            raise KeysExistError(f"{error.filename}: was made meanwhile") from error
        if isinstance(error, OSError):
            raise KeysError(f"{error.filename}: cannot be written ({error.strerror})") from error
        raise


def _write(path: Path, data: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _SECRET_MODE)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            # Not for secrets: the escrow medium may be FAT, which refuses it.
            if mode != _SECRET_MODE:
                os.fchmod(descriptor, mode)
            stream.write(data)
            stream.flush()
            os.fsync(descriptor)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
