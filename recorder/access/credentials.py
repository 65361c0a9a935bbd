"""What proves who somebody is: a password, a code that is good once, and what only both of them open. Pure.

```
key    = Argon2id(NFC(password), salt, 64 MiB, t=3, p=1)                                     32 bytes
sealed = nonce (12 bytes) || ChaCha20-Poly1305(key, nonce, JSON {identity, totp}, AAD "kikitori/account/v1/" + account)
```
There is no hash of the password beside it: that it opens `sealed` proves it. `identity` is the person's own X25519 key,
to which others seal what this person may open; `totp` is the seed of the codes (RFC 6238: SHA-1, 6 digits, 30 s).
Whoever steals the table has neither.
"""

import hmac
import json
import secrets
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import pyotp
from argon2.low_level import Type, hash_secret_raw
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from recorder.access.errors import AccessError
from recorder.vault.age import Identity, Recipient

SHORTEST: Final = 12
LONGEST: Final = 128
GUESSES: Final = 10**8
"""That somebody needs who tries what people take: zxcvbn's third of four grades."""
STEP: Final = 30
"""Seconds that a code is good for."""
DRIFT: Final = 1
"""Steps that a person's clock may differ."""

_SALT = 16
_NONCE = 12
_LETTERS = "ABCDEFGHJKMNPQRSTVWXYZ23456789"  # of what is read from paper: no I, L, O, U, 0, 1


class PasswordError(AccessError):
    """This cannot be a password."""

    code = "password"
    status = 65


class RefusedError(AccessError):
    """ID, password or code are not right."""

    code = "refused"
    status = 77


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a guess costs (OWASP ASVS 5.0, 11.4): `memory` in KiB."""

    memory: int = 64 * 1024
    passes: int = 3
    lanes: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """What is kept of it: nothing that opens anything."""

    salt: bytes
    cost: Cost
    recipient: str
    sealed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What a password opens."""

    identity: Identity = field(repr=False)
    totp: str = field(repr=False)


def one_time_secret() -> str:
    """`XXXXX-XXXXX-XXXXX-XXXXX-XXXXX-XXXXX`: 147 bits, to be handed over on paper and typed once."""
    return "-".join("".join(secrets.choice(_LETTERS) for _ in range(5)) for _ in range(6))


def seed() -> str:
    """A new seed of codes: 160 bits in Base32 (RFC 4226, 4)."""
    return pyotp.random_base32(32)


def check_password(password: str, about: Collection[str]) -> None:
    """Refuse what others would try first. `about`: words that belong to this person or place. Raises PasswordError.

    Length and what is known decide, and no rule of composition (OWASP ASVS 5.0, 6.2).
    """
    text = unicodedata.normalize("NFC", password)
    if len(text) < SHORTEST:
        raise PasswordError(f"it has {len(text)} characters; {SHORTEST} are needed, as a sentence of a few words has")
    if len(text) > LONGEST:
        raise PasswordError(f"it has {len(text)} characters; {LONGEST} are the most")
    folded = unicodedata.normalize("NFKC", text).casefold()
    rest, words = folded, sorted({word.casefold() for word in about if len(word) > 1}, key=len, reverse=True)
    for word in words:
        rest = rest.replace(word, "")
    if len(rest) < SHORTEST // 2:
        raise PasswordError("little is left of it without your name, your ID and the name of this system")
    from zxcvbn import zxcvbn  # type: ignore[import-untyped]  # its words take a while: not for who asks nothing

    # What it says in ten thousand guesses is a matter of seconds, in 10^8 one of hours, at the cost that we set.
    if zxcvbn(folded[:72], user_inputs=words)["guesses"] < GUESSES:
        raise PasswordError("others would soon guess it: take a few words that belong to nobody and nothing")


def seal(account: str, password: str, opened: Opened, cost: Cost = Cost()) -> Credential:
    """`opened` so that only `password` opens it, and for `account` only."""
    salt, nonce = secrets.token_bytes(_SALT), secrets.token_bytes(_NONCE)
    plain = json.dumps({"identity": str(opened.identity), "totp": opened.totp}).encode()
    sealed = ChaCha20Poly1305(_key(password, salt, cost)).encrypt(nonce, plain, _bound(account))
    return Credential(salt=salt, cost=cost, recipient=str(opened.identity.recipient), sealed=nonce + sealed)


def unseal(account: str, password: str, credential: Credential) -> Opened:
    """Raises RefusedError; that takes as long as success."""
    key = ChaCha20Poly1305(_key(password, credential.salt, credential.cost))
    try:
        plain = key.decrypt(credential.sealed[:_NONCE], credential.sealed[_NONCE:], _bound(account))
    except InvalidTag as error:
        raise RefusedError from error
    values = json.loads(plain)
    identity = Identity.parse(values["identity"])
    # Beside the seal, and not under it: others seal to it what this person may open.
    if identity.recipient != Recipient.parse(credential.recipient):
        raise RefusedError("the account's public key is not that of the person: who changed it would read along")
    return Opened(identity=identity, totp=values["totp"])


def nobody() -> Credential:
    """Of an account that is not there: a try costs the same, and fails."""
    return seal("nobody", secrets.token_hex(), Opened(identity=Identity.generate(), totp=seed()))


def step_of(totp: str, code: str, now: datetime, last: int) -> int:
    """The step whose code this is; it is good once, so it must be later than `last`. Raises RefusedError."""
    digits = unicodedata.normalize("NFKC", code).replace(" ", "")
    here, found = int(now.timestamp()) // STEP, None
    codes = pyotp.TOTP(totp)
    for step in range(here - DRIFT, here + DRIFT + 1):
        # All of them, always: how long it takes tells nothing.
        if hmac.compare_digest(codes.generate_otp(step).encode(), digits.encode()) and step > last:
            found = step
    if found is None:
        raise RefusedError
    return found


def otpauth(account: str, totp: str, issuer: str) -> str:
    """`otpauth://` for an authenticator."""
    return pyotp.TOTP(totp).provisioning_uri(name=account, issuer_name=issuer)


def _key(password: str, salt: bytes, cost: Cost) -> bytes:
    text = unicodedata.normalize("NFC", password).encode()
    return hash_secret_raw(text, salt, cost.passes, cost.memory, cost.lanes, 32, Type.ID)


def _bound(account: str) -> bytes:
    return f"kikitori/account/v1/{account}".encode()
