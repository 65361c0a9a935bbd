"""TLS with one CA of our own: who has no certificate of it learns nothing, and the log says what to do."""

import asyncio
import ssl
from collections.abc import MutableMapping
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from structlog.testing import capture_logs

from cti.ami.client import AmiClient, LinkUp
from cti.ami.errors import TlsError
from cti.ami.tls import pinned
from cti.app.recorder import build_ami
from cti.settings import Pbx, Settings
from tests.unit.cti.ami.fake import FakeAmi, config, connected

NOW = datetime.now(UTC)  # noqa: TID251  # OpenSSL asks the wall clock


class Ca:
    """A certification authority in a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.file = folder / f"{name}.pem"
        usage = x509.KeyUsage(
            digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False, key_encipherment=False,
            data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
        )  # fmt: skip
        made = self._certificate(self.name, self.key).add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        self.file.write_bytes(_pem(made.add_extension(usage, True).sign(self.key, hashes.SHA256())))

    def server(self, address: str = "127.0.0.1", *, days: int = 1) -> ssl.SSLContext:
        """What a server at `address` shows; `days` until it has expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))])
        about = self._certificate(x509.Name([]), key, days).add_extension(names, True)
        shown = about.sign(self.key, hashes.SHA256())
        path = self.folder / "server.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + _pem(shown)
        )
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(path)
        return context

    def _certificate(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, days: int = 1
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - timedelta(days=2))
            .not_valid_after(NOW + timedelta(days=days))
        )


def _pem(made: x509.Certificate) -> bytes:
    return made.public_bytes(serialization.Encoding.PEM)


async def refused(server: FakeAmi, ca: Path) -> MutableMapping[str, Any]:
    """What the log says of `server`, which must not have let the client in, nor heard anything."""
    with capture_logs() as said:
        async with connected(server, tls=pinned(ca)) as client, asyncio.timeout(5):
            # A second attempt: the first one has failed, and was told.
            while len(said) < 2:  # noqa: ASYNC110  # a line of the log calls nobody
                await asyncio.sleep(0.005)
            assert not client.connected
    assert server.actions == []
    return said[0]


async def test_a_certificate_of_our_ca_lets_us_in(tmp_path: Path) -> None:
    ca = Ca(tmp_path, "ours")
    server = FakeAmi(lambda peer, action: peer.reply(action), tls=ca.server())
    async with connected(server, tls=pinned(ca.file)) as client, asyncio.timeout(5):
        assert isinstance(await anext(client.events()), LinkUp)
        assert (await client.send_action({"Action": "Probe"}))[0].get("Response") == "Success"
        assert server.peers[0].writer.get_extra_info("cipher") is not None


@pytest.mark.parametrize(
    ("address", "days", "why"), [("127.0.0.9", 1, "IP address mismatch"), ("127.0.0.1", -1, "certificate has expired")]
)
async def test_one_for_another_host_or_of_yesterday_is_refused(
    tmp_path: Path, address: str, days: int, why: str
) -> None:
    ca = Ca(tmp_path, "ours")
    said = await refused(FakeAmi(tls=ca.server(address, days=days)), ca.file)
    assert why in said["error"]


async def test_one_of_another_ca_is_refused_and_the_log_says_what_to_do(tmp_path: Path) -> None:
    said = await refused(FakeAmi(tls=Ca(tmp_path, "theirs").server()), Ca(tmp_path, "ours").file)
    assert (said["log_level"], said["event"]) == ("error", "ami not reachable")
    assert "its certificate was refused (unable to get local issuer certificate)" in said["error"]
    assert "Let [pbx] ami_tls_ca name the CA that signed it" in said["error"]


async def test_a_peer_that_speaks_plain_text_gets_no_secret(tmp_path: Path) -> None:
    said = await refused(FakeAmi(), Ca(tmp_path, "ours").file)
    assert said["log_level"] == "error"
    assert "no TLS there" in said["error"]
    assert "Let [pbx] port be that of tlsbindaddr in manager.conf, or take [pbx] ami_tls_ca out" in said["error"]


async def test_without_a_ca_a_peer_that_wants_tls_is_not_reached(tmp_path: Path) -> None:
    server = FakeAmi(tls=Ca(tmp_path, "ours").server())
    await server.listen()
    client = AmiClient(config(server.port, action_deadline=0.2))
    running = asyncio.create_task(client.run())
    with capture_logs() as said:
        async with asyncio.timeout(5):
            while not said:  # noqa: ASYNC110  # as above
                await asyncio.sleep(0.005)
    assert (said[0]["event"], client.connected) == ("ami not reachable", False)
    running.cancel()
    await asyncio.wait([running])
    await server.stop()


@pytest.mark.parametrize("named", [True, False])
def test_the_setting_names_it(tmp_path: Path, named: bool) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s\n")
    ca = Ca(tmp_path, "ours").file if named else None
    config = build_ami(Settings(pbx=Pbx(secret_file=secret, ami_tls_ca=ca)), lambda: NOW).config
    assert config.secret == "s"
    known = config.tls.get_ca_certs() if config.tls else []
    assert [dict(part[0] for part in found["subject"]) for found in known] == (
        [{"commonName": "ours"}] if named else []
    )


@pytest.mark.parametrize(
    ("text", "problem"), [(None, "cannot be read (No such file"), ("", "no certificate"), ("x", "no certificate")]
)
def test_a_ca_that_is_none_is_named(tmp_path: Path, text: str | None, problem: str) -> None:
    path = tmp_path / "ca.pem"
    if text is not None:
        path.write_text(text)
    with pytest.raises(TlsError) as raised:
        pinned(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert problem in str(raised.value)
    assert "[pbx] ami_tls_ca" in str(raised.value)
    assert raised.value.code == "ami-tls"
