"""Signed notes: text with Ed25519 signatures that outsiders can check (C2SP `signed-note`, Go `sumdb/note`).

```
<text, one or more lines, each ending in a newline>
<empty line>
— <key name> <base64(key id, 4 bytes || signature, 64 bytes)>

verifier   <name>+<key id, 8 hex>+<base64(0x01 || public key, 32 bytes)>
secret     PRIVATE+KEY+<name>+<key id, 8 hex>+<base64(0x01 || seed, 32 bytes)>
key id   = first 4 bytes of SHA-256(name || 0x0A || 0x01 || public key)
```

Base64 is read strictly: two encodings of one signature would let a stored byte change unnoticed.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from recorder.vault.errors import VaultError

_ED25519 = b"\x01"
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")  # all but newline
_DASH = "— "
_SECRET = "PRIVATE+KEY+"  # noqa: S105  # the form's first words, not a secret
# The spec asks for at least 16; Go's reader takes 100.
_MOST_SIGNATURES = 100


class NoteError(VaultError):
    """A signed note cannot be trusted."""

    code = "note"


class MalformedNoteError(NoteError):
    """The text has not the form of a signed note."""

    code = "note-malformed"


class UnsignedNoteError(NoteError):
    """None of the known keys has signed the note."""

    code = "note-unsigned"


class BadSignatureError(NoteError):
    """A known key's signature does not fit the text: the text or the signature was changed."""

    code = "note-signature"


class NoteKeyError(NoteError):
    """This is not an Ed25519 note key."""

    code = "note-key"


@dataclass(frozen=True, slots=True)
class Verifier:
    """The public half of a note key: `name` and 32 bytes of Ed25519 public key."""

    name: str
    public: bytes

    def __post_init__(self) -> None:
        """Raises NoteKeyError."""
        _check_name(self.name)
        if len(self.public) != 32:
            raise NoteKeyError(f"{self.name}: the public key has {len(self.public)} bytes, not 32")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `<name>+<hash8>+<base64>`, surrounding white space allowed. Raises NoteKeyError."""
        name, key_id, public = _parse_key(text.strip())
        verifier = cls(name, public)
        _check_id(verifier, key_id)
        return verifier

    def __str__(self) -> str:
        """The form that `parse` reads."""
        return f"{self.name}+{self.key_id.hex()}+{_b64(_ED25519 + self.public)}"

    @property
    def key_id(self) -> bytes:
        """4 bytes: an index of keys, not a fingerprint to rely on."""
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:4]

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Whether `signature` (64 bytes) is this key's over `message`."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


class Signer:
    """The private half of a note key. `repr` and `str` never show the secret."""

    __slots__ = ("_key", "verifier")

    def __init__(self, name: str, key: Ed25519PrivateKey) -> None:
        """Raises NoteKeyError for a name that a note cannot carry."""
        self._key = key
        self.verifier = Verifier(name, key.public_key().public_bytes_raw())

    @classmethod
    def generate(cls, name: str) -> Self:
        """A new key from the system's generator."""
        return cls(name, Ed25519PrivateKey.generate())

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the secret form, surrounding white space allowed. Raises NoteKeyError, which never quotes the input."""
        stripped = text.strip()
        if not stripped.startswith(_SECRET):
            raise NoteKeyError("the secret form begins with PRIVATE+KEY+")
        name, key_id, seed = _parse_key(stripped.removeprefix(_SECRET))
        signer = cls(name, Ed25519PrivateKey.from_private_bytes(seed))
        _check_id(signer.verifier, key_id)
        return signer

    def secret_text(self) -> str:
        """The form that `parse` reads; whoever has it can sign."""
        return f"{_SECRET}{self.name}+{self.verifier.key_id.hex()}+{_b64(_ED25519 + self._key.private_bytes_raw())}"

    def __repr__(self) -> str:
        """Name and key id only."""
        return f"<Signer {self.name}+{self.verifier.key_id.hex()}>"

    @property
    def name(self) -> str:
        """The key name that stands in the signature line."""
        return self.verifier.name

    def sign(self, message: bytes) -> bytes:
        """64 bytes of Ed25519 signature, the same each time (RFC 8032)."""
        return self._key.sign(message)


def sign(text: str, signers: Iterable[Signer]) -> str:
    """`text` signed by each of `signers`. Raises MalformedNoteError for a text that no note can carry."""
    message = _encode(text)
    if not text.endswith("\n"):
        raise MalformedNoteError("the text does not end in a newline")
    lines = [f"{_DASH}{key.name} {_b64(key.verifier.key_id + key.sign(message))}\n" for key in signers]
    if not 1 <= len(lines) <= _MOST_SIGNATURES:
        raise MalformedNoteError(f"{len(lines)} signatures, a note has 1 to {_MOST_SIGNATURES}")
    return f"{text}\n{''.join(lines)}"


def open_note(note: str, verifiers: Iterable[Verifier]) -> str:
    """The text of `note`, once one of `verifiers` has signed it.

    Signatures of other keys are ignored. Raises MalformedNoteError, BadSignatureError (any signature of a known key
    that does not verify refuses the whole note) or UnsignedNoteError.
    """
    _encode(note)
    text, blank, block = note.rpartition("\n\n")
    if not blank or not block.endswith("\n"):
        raise MalformedNoteError("no signature lines after an empty line at its end")
    text += "\n"
    message = text.encode()
    known: dict[tuple[str, bytes], Verifier] = {}
    for verifier in verifiers:
        if known.setdefault((verifier.name, verifier.key_id), verifier) != verifier:
            raise NoteKeyError(f"two known keys are both called {verifier.name}+{verifier.key_id.hex()}")
    lines = block[:-1].split("\n")
    if len(lines) > _MOST_SIGNATURES:
        raise MalformedNoteError(f"{len(lines)} signatures, more than {_MOST_SIGNATURES}")
    signed = False
    for number, (name, key_id, signature) in enumerate(map(_parse_signature, lines), start=1):
        signer = known.get((name, key_id))
        if signer is None:
            continue
        if not signer.verify(message, signature):
            raise BadSignatureError(f"signature {number}, key {name}+{key_id.hex()}")
        signed = True
    if not signed:
        names = ", ".join(f"{name}+{key_id.hex()}" for name, key_id in known) or "none"
        raise UnsignedNoteError(f"the known keys are: {names}")
    return text


def _parse_signature(line: str) -> tuple[str, bytes, bytes]:
    name, space, encoded = line.removeprefix(_DASH).partition(" ")
    raw = _unb64(encoded)
    if not line.startswith(_DASH) or not space or raw is None or len(raw) < 5 or not _is_name(name):
        raise MalformedNoteError("a line after the last empty line is no signature")
    return name, raw[:4], raw[4:]


def _parse_key(text: str) -> tuple[str, str, bytes]:
    parts = text.split("+", 2)
    if len(parts) != 3:
        raise NoteKeyError("not <name>+<hash>+<base64>")
    name, key_id, encoded = parts
    _check_name(name)
    raw = _unb64(encoded)
    if raw is None or len(raw) != 33 or not raw.startswith(_ED25519):
        raise NoteKeyError(f"{name}: not base64 of 0x01 and 32 bytes (Ed25519 is the one kind read here)")
    return name, key_id, raw[1:]


def _check_id(verifier: Verifier, key_id: str) -> None:
    if verifier.key_id.hex() != key_id:
        raise NoteKeyError(f"{verifier.name}: its hash does not fit; a letter of the key was changed")


def _is_name(name: str) -> bool:
    return bool(name) and "+" not in name and not any(c.isspace() or c < " " or "\ud800" <= c <= "\udfff" for c in name)


def _check_name(name: str) -> None:
    if not _is_name(name):
        raise NoteKeyError(f"the name {name!r} is empty or has a space, a plus or a control character")


def _encode(text: str) -> bytes:
    if _CONTROL.search(text):
        raise MalformedNoteError("contains a control character other than newline")
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise MalformedNoteError(f"not valid UTF-8 at character {error.start}") from error


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _unb64(text: str) -> bytes | None:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if _b64(raw) == text else None
