"""Where a CA is pinned, nobody who reaches the manager interface says a word to a peer that speaks plain text."""

import asyncio
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from cti.app.clock import wall_clock
from cti.app.recorder import build_ami
from cti.settings import FILE, load
from tests.unit.cti.ami.fake import BANNER, FakeAmi
from tests.unit.cti.ami.test_tls import Ca
from tests.unit.cti.cli.conftest import Kikitori
from tests.unit.cti.cli.served import in_a_thread, installation

REFUSED = "no TLS there"
SECRETS = (b"secret-of-the-manager", b"secret-of-a-reader", b"Login")


class Plain(FakeAmi):
    """Greets as Asterisk does, says yes to everything, and keeps what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = bytearray()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(BANNER)
        try:
            while data := await reader.read(65536):
                self.heard += data
                writer.write(b"Response: Success\r\nActionID: kikitori-visit-1\r\n\r\n")
        except ConnectionError:
            pass
        finally:
            writer.close()


@pytest.mark.parametrize(
    ("command", "status"),
    [
        (("calls", "capture", "x.ami", "--duration", "0.3"), 1),
        (("calls", "capture", "x.ami", "--duration", "0.3", "--user", "r", "--secret-file", "reader.secret"), 1),
        (("asterisk", "doctor", "--json"), 1),
        (("doctor", "--json"), 1),
    ],
)
def test_a_tool_refuses_it(kikitori: Kikitori, tmp_path: Path, command: tuple[str, ...], status: int) -> None:
    with in_a_thread(Plain()) as server:
        assert isinstance(server, Plain)
        installation(server.port, Ca(tmp_path, "ours").file)
        Path("reader.secret").write_text("secret-of-a-reader\n")
        said = kikitori(*command)
    assert said.status == status
    assert REFUSED in said.out + said.err
    assert server.heard, "it was called, and heard a TLS greeting"
    assert not any(secret in server.heard for secret in SECRETS)
    assert not Path("x.ami").exists()


def test_the_service_refuses_it(kikitori: Kikitori, tmp_path: Path) -> None:
    async def told() -> str:
        client = build_ami(load(Path(FILE), {}).settings, wall_clock)
        running = asyncio.create_task(client.run())
        with capture_logs() as said:
            async with asyncio.timeout(5):
                while not said:  # noqa: ASYNC110  # a line of the log calls nobody
                    await asyncio.sleep(0.005)
        running.cancel()
        await asyncio.wait([running])
        return str(said[0]["error"])

    with in_a_thread(Plain()) as server:
        assert isinstance(server, Plain)
        installation(server.port, Ca(tmp_path, "ours").file)
        assert REFUSED in asyncio.run(told())
    assert server.heard
    assert not any(secret in server.heard for secret in SECRETS)


@pytest.mark.parametrize("command", [("calls", "capture", "x.ami"), ("asterisk", "doctor", "--json")])
def test_a_ca_that_is_none_is_said_before_anybody_is_called(
    kikitori: Kikitori, tmp_path: Path, command: tuple[str, ...]
) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_text("not a certificate")
    with in_a_thread(Plain()) as server:
        assert isinstance(server, Plain)
        installation(server.port, ca)
        said = kikitori(*command)
    assert said.status == 1
    assert "ca.pem: is no certificate in PEM" in said.out + said.err
    assert server.heard == b""
