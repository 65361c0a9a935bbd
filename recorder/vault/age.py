"""age v1 headers and keys (C2SP, age-encryption.org/v1): X25519 and scrypt recipients. Pure: nothing here does I/O.

```
age-encryption.org/v1
-> X25519 b64(ephemeral public key)
b64(ChaCha20-Poly1305(HKDF(shared secret), file key))     32 bytes; a body ends with a line under 64 columns
--- b64(HMAC-SHA256(HKDF(file key, "header"), all up to and including "---"))
```
Base64 is unpadded and canonical, lines end with LF, nothing is optional: what parses has one spelling.
"""

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from recorder.vault import bech32
from recorder.vault.errors import HeaderError, HeaderMacError, KeyFormatError, NoIdentityError, RecipientError

FILE_KEY_SIZE: Final = 16
MAX_WORK_FACTOR: Final = 22  # 4 GiB of memory; more is an attack by the file's sender, not a choice

_VERSION = b"age-encryption.org/v1\n"
_X25519_INFO = b"age-encryption.org/v1/X25519"
_SCRYPT_SALT = b"age-encryption.org/v1/scrypt"
_ZERO_NONCE = bytes(12)  # a wrap key is used once: it depends on a fresh ephemeral key or salt
_WRAPPED_SIZE = FILE_KEY_SIZE + 16
_COLUMNS = 64
_ARGUMENTS = re.compile(rb"[!-~]+(?: [!-~]+)*")
_BASE64 = re.compile(rb"[A-Za-z0-9+/]*")
_WORK_FACTOR = re.compile(r"[1-9][0-9]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stanza:
    """One recipient's wrapping of the file key: its kind, the other arguments, the decoded body."""

    kind: str
    arguments: tuple[str, ...]
    body: bytes

    def encode(self) -> bytes:
        """The stanza's lines, the last one shorter than 64 columns and possibly empty."""
        text = _encode64(self.body)
        lines = [text[at : at + _COLUMNS] for at in range(0, len(text) + 1, _COLUMNS)]
        head = " ".join(["->", self.kind, *self.arguments]).encode("ascii")
        return b"\n".join([head, *lines, b""])


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """A parsed header: its stanzas, its MAC, and the bytes that the MAC covers."""

    stanzas: tuple[Stanza, ...]
    mac: bytes
    covered: bytes


class Recipient:
    """The public half of an X25519 identity."""

    __slots__ = ("_public",)

    def __init__(self, public: bytes) -> None:
        """`public` is the point's 32 bytes."""
        if len(public) != 32:
            raise KeyFormatError(f"a recipient has 32 bytes, not {len(public)}")
        self._public = bytes(public)

    @classmethod
    def parse(cls, text: str) -> Self:
        """The recipient written as `age1...`."""
        prefix, data = bech32.decode(text)
        if prefix != "age":
            raise KeyFormatError(f'an X25519 recipient starts with "age1", this one with "{prefix}1"')
        return cls(data)

    @property
    def public(self) -> bytes:
        """The point's 32 bytes."""
        return self._public

    @property
    def key_id(self) -> str:
        """First 16 hex digits of the SHA-256 of the public bytes: what slots, manifests and logs call this key."""
        return hashlib.sha256(self._public).hexdigest()[:16]

    def wrap(self, file_key: bytes) -> Stanza:
        """`file_key` for this recipient, under a new ephemeral key each time."""
        ephemeral = X25519PrivateKey.from_private_bytes(secrets.token_bytes(32))
        share = ephemeral.public_key().public_bytes_raw()
        secret = _exchange(ephemeral, self._public)
        if secret is None:
            raise RecipientError(f"{self} is a point of low order: anyone could read what is wrapped for it")
        body = ChaCha20Poly1305(_x25519_key(secret, share, self._public)).encrypt(_ZERO_NONCE, file_key, None)
        return Stanza(kind="X25519", arguments=(_encode64(share).decode("ascii"),), body=body)

    def __str__(self) -> str:
        return bech32.encode("age", self._public)

    def __repr__(self) -> str:
        return f"Recipient.parse({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Recipient) and self._public == other._public

    def __hash__(self) -> int:
        return hash(self._public)


class Identity:
    """An X25519 key pair. `str()` is the secret key; repr and errors never show it."""

    __slots__ = ("_private", "_secret", "recipient")

    def __init__(self, secret: bytes) -> None:
        """`secret` is the scalar's 32 bytes."""
        if len(secret) != 32:
            raise KeyFormatError(f"an identity has 32 bytes, not {len(secret)}")
        self._secret = bytes(secret)
        self._private = X25519PrivateKey.from_private_bytes(self._secret)
        self.recipient = Recipient(self._private.public_key().public_bytes_raw())

    @classmethod
    def generate(cls) -> Self:
        """A new identity."""
        return cls(secrets.token_bytes(32))

    @classmethod
    def parse(cls, text: str) -> Self:
        """The identity written as `AGE-SECRET-KEY-1...`."""
        prefix, data = bech32.decode(text)
        if prefix != "AGE-SECRET-KEY-":
            raise KeyFormatError('an X25519 identity starts with "AGE-SECRET-KEY-1"; other kinds are not supported')
        return cls(data)

    def unwrap(self, stanzas: Sequence[Stanza]) -> bytes | None:
        """The file key from the first X25519 stanza meant for this identity, None if there is none.

        A malformed X25519 stanza raises HeaderError, whomever it is for.
        """
        for stanza in stanzas:
            if stanza.kind != "X25519":
                continue
            if len(stanza.arguments) != 1:
                raise HeaderError(f"an X25519 stanza has one argument, not {len(stanza.arguments)}")
            share = _decode64(stanza.arguments[0].encode("ascii"), "the X25519 share")
            if len(share) != 32:
                raise HeaderError(f"an X25519 share has 32 bytes, not {len(share)}")
            _check_wrapped(stanza)
            secret = _exchange(self._private, share)
            if secret is None:
                raise HeaderError("an X25519 share is a point of low order")
            file_key = _open_wrapped(_x25519_key(secret, share, self.recipient.public), stanza.body)
            if file_key is not None:
                return file_key
        return None

    def __str__(self) -> str:
        return bech32.encode("age-secret-key-", self._secret).upper()

    def __repr__(self) -> str:
        return f"<Identity of {self.recipient}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Identity) and hmac.compare_digest(self._secret, other._secret)

    def __hash__(self) -> int:
        return hash(self.recipient)


class Passphrase:
    """A passphrase as recipient and identity (scrypt, N = 2 ** work_factor, r = 8, p = 1)."""

    __slots__ = ("_secret", "work_factor")

    def __init__(self, secret: str, work_factor: int = 18) -> None:
        """`work_factor` is for wrapping; unwrapping takes the file's own, up to 22."""
        if not secret:
            raise KeyFormatError("a passphrase cannot be empty")
        if not 1 <= work_factor <= MAX_WORK_FACTOR:
            raise KeyFormatError(f"the scrypt work factor is 1 to {MAX_WORK_FACTOR}, not {work_factor}")
        self._secret = secret.encode("utf-8")
        self.work_factor = work_factor

    def wrap(self, file_key: bytes) -> Stanza:
        """`file_key` for this passphrase, under a new salt each time."""
        salt = secrets.token_bytes(16)
        body = ChaCha20Poly1305(self._key(salt, self.work_factor)).encrypt(_ZERO_NONCE, file_key, None)
        return Stanza(kind="scrypt", arguments=(_encode64(salt).decode("ascii"), str(self.work_factor)), body=body)

    def unwrap(self, stanzas: Sequence[Stanza]) -> bytes | None:
        """The file key from the scrypt stanza, None if there is none or the passphrase is wrong."""
        for stanza in stanzas:
            if stanza.kind != "scrypt":
                continue
            if len(stanza.arguments) != 2:
                raise HeaderError(f"an scrypt stanza has two arguments, not {len(stanza.arguments)}")
            salt = _decode64(stanza.arguments[0].encode("ascii"), "the scrypt salt")
            if len(salt) != 16:
                raise HeaderError(f"an scrypt salt has 16 bytes, not {len(salt)}")
            if not _WORK_FACTOR.fullmatch(stanza.arguments[1]):
                raise HeaderError("the scrypt work factor is not a decimal number")
            # Digits are counted first: int() refuses numbers of thousands of digits with an error of its own.
            if len(stanza.arguments[1]) > 2 or int(stanza.arguments[1]) > MAX_WORK_FACTOR:
                raise HeaderError(f"the scrypt work factor is over {MAX_WORK_FACTOR}")
            _check_wrapped(stanza)
            return _open_wrapped(self._key(salt, int(stanza.arguments[1])), stanza.body)
        return None

    def _key(self, salt: bytes, work_factor: int) -> bytes:
        return Scrypt(salt=_SCRYPT_SALT + salt, length=32, n=1 << work_factor, r=8, p=1).derive(self._secret)

    def __repr__(self) -> str:
        return f"<Passphrase, work factor {self.work_factor}>"


def new_file_key() -> bytes:
    """A new file key: 16 random bytes, for one file only."""
    return secrets.token_bytes(FILE_KEY_SIZE)


def wrap(file_key: bytes, recipients: Sequence[Recipient | Passphrase]) -> bytes:
    """The header, through its MAC line, that lets each of `recipients` open `file_key`. A passphrase must be alone."""
    _check_file_key(file_key)
    if not recipients:
        raise RecipientError("there are none")
    if len(recipients) > 1 and any(isinstance(each, Passphrase) for each in recipients):
        raise RecipientError("a passphrase cannot be combined with another recipient")
    covered = _VERSION + b"".join(each.wrap(file_key).encode() for each in recipients) + b"---"
    return covered + b" " + _encode64(_mac(file_key, covered)) + b"\n"


def unwrap(header: bytes, identities: Sequence[Identity | Passphrase]) -> bytes:
    """The file key in `header`, which must end with its MAC line. Tries the identities in their order.

    Raises HeaderError (malformed), NoIdentityError (for someone else) or HeaderMacError (changed after it was written).
    """
    parsed, length = parse_header(header)
    if length != len(header):
        raise HeaderError(f"{len(header) - length} bytes follow the MAC line")
    for identity in identities:
        file_key = identity.unwrap(parsed.stanzas)
        if file_key is not None:
            verify(parsed, file_key)
            return file_key
    raise NoIdentityError


def verify(header: Header, file_key: bytes) -> None:
    """Raise HeaderMacError unless `header` was made by someone who knew `file_key`."""
    _check_file_key(file_key)
    if not hmac.compare_digest(_mac(file_key, header.covered), header.mac):
        raise HeaderMacError


def parse_header(data: bytes) -> tuple[Header, int]:
    """The header at the start of `data`, and its length; the payload may follow. Raises HeaderError with the line."""
    if not data.startswith(_VERSION):
        raise HeaderError(f"line 1 is not {_VERSION.decode('ascii').strip()}: not an age v1 file")
    stanzas: list[Stanza] = []
    at, number = len(_VERSION), 2
    while not data.startswith(b"---", at):
        line, at = _line(data, at, number)
        if not line.startswith(b"-> "):
            raise HeaderError(f"line {number} starts neither a stanza nor the MAC")
        if not _ARGUMENTS.fullmatch(line, 3):
            raise HeaderError(f"line {number} has an empty argument or a character outside ASCII 33-126")
        kind, *arguments = line[3:].decode("ascii").split(" ")
        number += 1
        text = []
        while True:
            line, at = _line(data, at, number)
            if len(line) > _COLUMNS or not _BASE64.fullmatch(line):
                raise HeaderError(f"line {number} is not up to {_COLUMNS} characters of unpadded base64")
            text.append(line)
            number += 1
            if len(line) < _COLUMNS:
                break
        body = _decode64(b"".join(text), f"the stanza that ends at line {number - 1}")
        stanzas.append(Stanza(kind=kind, arguments=tuple(arguments), body=body))
    line, end = _line(data, at, number)
    if len(line) != 4 + 43 or not line.startswith(b"--- "):
        raise HeaderError(f"line {number} is not the MAC: three dashes, a space, 43 characters")
    mac = _decode64(line[4:], "the MAC")
    if not stanzas:
        raise HeaderError("there is no stanza")
    if len(stanzas) > 1 and any(stanza.kind == "scrypt" for stanza in stanzas):
        raise HeaderError("an scrypt stanza is not alone")
    return Header(stanzas=tuple(stanzas), mac=mac, covered=data[: at + 3]), end


def _line(data: bytes, start: int, number: int) -> tuple[bytes, int]:
    end = data.find(b"\n", start)
    if end < 0:
        raise HeaderError(f"line {number} has no end: the header is cut off")
    return data[start:end], end + 1


def _encode64(data: bytes) -> bytes:
    return base64.b64encode(data).rstrip(b"=")


def _decode64(text: bytes, what: str) -> bytes:
    try:
        data = base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise HeaderError(f"{what} is not base64") from None
    if _encode64(data) != text:
        raise HeaderError(f"{what} is not canonical, unpadded base64")
    return data


def _exchange(private: X25519PrivateKey, public: bytes) -> bytes | None:
    """The shared secret; None where it is all zero, which the library refuses with ValueError."""
    try:
        return private.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:
        return None


def _x25519_key(secret: bytes, share: bytes, public: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=share + public, info=_X25519_INFO).derive(secret)


def _mac(file_key: bytes, covered: bytes) -> bytes:
    key = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"header").derive(file_key)
    return hmac.digest(key, covered, "sha256")


def _check_wrapped(stanza: Stanza) -> None:
    # Before any decryption: a longer body could be made to open under two keys (partitioning oracle).
    if len(stanza.body) != _WRAPPED_SIZE:
        raise HeaderError(f"the body of a {stanza.kind} stanza has {_WRAPPED_SIZE} bytes, not {len(stanza.body)}")


def _open_wrapped(key: bytes, body: bytes) -> bytes | None:
    try:
        return ChaCha20Poly1305(key).decrypt(_ZERO_NONCE, body, None)
    except InvalidTag:
        return None


def _check_file_key(file_key: bytes) -> None:
    if len(file_key) != FILE_KEY_SIZE:
        raise KeyFormatError(f"a file key has {FILE_KEY_SIZE} bytes, not {len(file_key)}")
