"""Signatures of webhooks, as Standard Webhooks has them: HMAC-SHA-256 over id, second and body. Pure.

Specification: https://www.standardwebhooks.com, "v1" (symmetric). A secret is `whsec_` and 24 to 64 bytes in base64.
"""

import base64
import binascii
import hmac
from collections.abc import Mapping
from datetime import datetime

PREFIX = "whsec_"
_SHORTEST, _LONGEST = 24, 64


class SecretError(ValueError):
    """What the file holds is no secret; it is not repeated."""


def secret(text: str) -> bytes:
    """The key in a secret's text. Raises SecretError."""
    plain = text.strip()
    try:
        key = base64.b64decode(plain.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError) as error:
        raise SecretError("is not base64") from error
    if not plain.startswith(PREFIX) or not _SHORTEST <= len(key) <= _LONGEST:
        raise SecretError(f"is not {PREFIX} and {_SHORTEST} to {_LONGEST} bytes in base64")
    return key


def made(key: bytes) -> str:
    """The text of a secret, for the sender's file and the receiver's."""
    return PREFIX + base64.b64encode(key).decode()


def headers(key: bytes, identity: str, at: datetime, body: bytes) -> Mapping[str, str]:
    """By which the receiver knows that `body` is ours, and not an old one."""
    second = str(int(at.timestamp()))
    signed = b".".join((identity.encode(), second.encode(), body))
    signature = base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
    return {"webhook-id": identity, "webhook-timestamp": second, "webhook-signature": f"v1,{signature}"}
