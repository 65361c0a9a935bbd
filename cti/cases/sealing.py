"""What is the customer's in a case, sealed before it goes into the database (A-44): AES-256-GCM, by a key beside it.

```
sealed = 0x01 || nonce, 12 random bytes || ciphertext and tag    of the JSON (`cti.cases.form`)
```

What stands in the clear around it (whose case, which act, when, by whom) is bound to it: a row that was changed, or
put in another's place, does not open. A number is found again by its `tag`, a keyed hash: whoever has the database and
not the key can compare two rows, and learns no number.
"""

import hmac
import os
import secrets
from hashlib import sha256
from pathlib import Path
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from cti.errors import KikitoriError, SettingsError
from cti.explain import explain
from cti.i18n import _

FILE: Final = "cases.key"
_HEAD: Final = "kikitori-cases-1:"
_VERSION: Final = b"\x01"
_NONCE: Final = 12


class CaseDamagedError(KikitoriError):
    """What the database holds of a case was changed, or sealed by another key."""

    code = "case-damaged"
    status = 65


def generate() -> bytes:
    """A new key file's content."""
    return f"{_HEAD}{secrets.token_hex(32)}\n".encode()


class FieldKeys:
    """The keys of one installation's cases."""

    def __init__(self, master: bytes) -> None:
        """`master`: 32 random bytes, of which one key is made for each use."""
        self._aead = AESGCM(_derived(master, b"fields"))
        self._tags, self._words = _derived(master, b"tags"), _derived(master, b"words")
        self._rows = _derived(master, b"rows")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises SettingsError, which does not repeat what stands there."""
        try:
            text = path.read_text("ascii").strip()
            master = bytes.fromhex(text.removeprefix(_HEAD)) if text.startswith(_HEAD) else b""
        except (OSError, ValueError) as error:
            raise SettingsError(
                _("{file}: the key of the cases cannot be read ({error})").format(file=path, error=explain(error))
            ) from error
        if len(master) != 32:
            raise SettingsError(_("{file}: is no key of cases").format(file=path))
        return cls(master)

    def seal(self, text: bytes, around: bytes) -> bytes:
        """`text`, readable with the key and the same `around` only."""
        nonce = os.urandom(_NONCE)
        return _VERSION + nonce + self._aead.encrypt(nonce, text, around)

    def open(self, sealed: bytes, around: bytes) -> bytes:
        """The text again. Raises CaseDamagedError."""
        version, nonce, text = sealed[:1], sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :]
        try:
            opened = self._aead.decrypt(nonce, text, around) if version == _VERSION else None
        except (InvalidTag, ValueError):
            opened = None
        if opened is None:
            raise CaseDamagedError(
                _("a row of the cases was changed, or sealed by another key than {file}").format(file=FILE)
            )
        return opened

    def tag(self, e164: str) -> str:
        """By which rows of the same number are found: 32 hex digits."""
        return hmac.digest(self._tags, e164.encode(), "sha256").hex()[:32]

    def row(self, said: bytes) -> str:
        """By which a row of a sheet is known again: 64 hex digits."""
        return hmac.digest(self._rows, said, "sha256").hex()

    def word(self, gram: str) -> int:
        """By which rows with the same two characters are found: 32 bits, signed."""
        return int.from_bytes(hmac.digest(self._words, gram.encode(), "sha256")[:4], "big", signed=True)


def _derived(master: bytes, use: bytes) -> bytes:
    return HKDF(SHA256(), 32, None, b"kikitori cases " + use).derive(master)


def digest(sealed: bytes) -> str:
    """What the access log has of an act: hex SHA-256 of its sealed bytes."""
    return sha256(sealed).hexdigest()
