"""TLS to the manager interface, with the one CA that is accepted."""

import ssl
from pathlib import Path

from cti.ami.errors import TlsError


def pinned(ca: Path) -> ssl.SSLContext:
    """Accepts what `ca` (PEM) signed for the host that is called, and nothing that another CA did. Raises TlsError."""
    try:
        # With a file of its own it loads none of the system's.
        return ssl.create_default_context(cafile=ca)
    except ssl.SSLError as error:
        raise TlsError(f"{ca}: is no certificate in PEM. Let [pbx] ami_tls_ca name the CA's certificate") from error
    except OSError as error:
        raise TlsError(
            f"{ca}: cannot be read ({error.strerror}). [pbx] ami_tls_ca names the CA's certificate"
        ) from error


def refusal(address: str, error: ssl.SSLError) -> TlsError:
    """What is to be done where the peer at `address` was not accepted."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return TlsError(
            f"{address}: its certificate was refused ({error.verify_message}). Let [pbx] ami_tls_ca name the CA that "
            "signed it, and [pbx] host a name that it has"
        )
    return TlsError(
        f"{address}: no TLS there ({error.reason}). Let [pbx] port be that of tlsbindaddr in manager.conf, or take "
        "[pbx] ami_tls_ca out"
    )
