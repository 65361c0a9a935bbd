"""A certificate of one's own for the API, of whom nobody else has to vouch: who asks knows it by the file."""

import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cti.errors import UsageError
from cti.i18n import _

VALID: Final = timedelta(days=398)
"""What browsers take at most (CA/Browser Forum BR 6.3.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """Both as PEM."""

    certificate: bytes
    key: bytes = field(repr=False)


def names_here() -> tuple[str, ...]:
    """By which this host is called by itself."""
    return tuple(dict.fromkeys(("localhost", "127.0.0.1", "::1", socket.gethostname())))


def make(names: Sequence[str], now: datetime) -> Made:
    """P-256, signed by itself, good for `VALID` from an hour before `now`. Raises UsageError for what is no name."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Kikitori")])
    begin = now - timedelta(hours=1)  # the clock of who asks may be behind
    made = (
        x509.CertificateBuilder(issuer_name=name, subject_name=name, public_key=key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + VALID)
        .add_extension(x509.SubjectAlternativeName([_name(one) for one in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True, key_cert_sign=True, crl_sign=False, content_commitment=False,
                key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )  # fmt: skip
    return Made(certificate=made.public_bytes(serialization.Encoding.PEM), key=secret)


def fingerprint(pem: bytes) -> str:
    """SHA-256 of the first certificate in `pem`, as browsers show it."""
    digest = x509.load_pem_x509_certificate(pem).fingerprint(hashes.SHA256())
    return ":".join(f"{byte:02X}" for byte in digest)


def _name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(text))
    except ValueError:
        pass
    try:
        return x509.DNSName(text)
    except ValueError as error:
        raise UsageError(
            _("{text!r} is no name of a host: letters of ASCII, digits and hyphens").format(text=text)
        ) from error
