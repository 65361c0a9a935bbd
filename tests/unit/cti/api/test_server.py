"""The API on a socket of its own: TLS that a client pins, and clients that dawdle."""

import asyncio
import contextlib
import socket
import ssl
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog.testing
from cryptography import x509

from cti.api import certificate, server
from cti.errors import UsageError
from tests.unit.cti.api.conftest import Api, Served, free_port, serving, settings
from tests.unit.recorder.rig import START, uuid


async def said(event: str, logs: list[Any]) -> None:
    for _ in range(1000):
        if any(line["event"] == event for line in logs):
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{event!r} was not said")


async def test_sound_over_tls_that_the_client_pins(served: Served) -> None:
    token = await served.api.sign_in("sato")
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=served.url, verify=served.ca, headers=headers) as http:
        made = (await http.post(f"/v1/recordings/{uuid('three')}/plays", json={"purpose": "quality"})).json()
        whole = (await http.get(made["audio"])).content
        part = await http.get(made["audio"], headers={"Range": "bytes=100000-200000"})
    assert part.content == whole[100_000:200_001]


async def test_another_certificate_is_not_believed(served: Served) -> None:
    async with httpx.AsyncClient(base_url=served.url) as http:
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            await http.get("/v1/session")


async def test_in_the_clear_nothing_is_said(served: Served) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(b"GET /v1/session HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b"HTTP" not in await reader.read()
    writer.close()


async def test_who_sends_a_head_byte_by_byte_is_let_go(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "PATIENCE", 0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port, ssl=served.ca, server_hostname="localhost")
    ended = asyncio.create_task(reader.read())
    with contextlib.suppress(OSError):
        for byte in b"GET /v1/session HTTP/1.1\r\n" + b"X: " + b"a" * 1000:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.01)
            if ended.done():
                break
    assert ended.done()
    assert await ended == b""


async def test_who_sends_a_body_too_slowly_is_told(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cti.api.edge.PATIENCE", 0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port, ssl=served.ca, server_hostname="localhost")
    writer.write(b"POST /v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{")
    assert (await reader.readline()).startswith(b"HTTP/1.1 408 ")
    writer.close()


async def test_one_address_does_not_take_all_connections(served: Served) -> None:
    held = [
        await asyncio.open_connection("127.0.0.1", served.port, ssl=served.ca, server_hostname="localhost")
        for _ in range(server.OF_ONE)
    ]
    reader, one_more = await asyncio.open_connection(
        "127.0.0.1", served.port, ssl=served.ca, server_hostname="localhost"
    )  # fmt: skip
    with contextlib.suppress(OSError):
        one_more.write(b"GET /v1/session HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert await reader.read() == b""
    for _, writer in (*held, (reader, one_more)):
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    for _ in range(200):
        if not server._Patient.connected:
            break
        await asyncio.sleep(0.01)
    async with httpx.AsyncClient(base_url=served.url, verify=served.ca) as http:
        assert (await http.get("/v1/session")).status_code == 401


async def test_a_line_break_in_a_header_makes_no_second_one(served: Served) -> None:
    token = await served.api.sign_in("sato")
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port, ssl=served.ca, server_hostname="localhost")
    path = "/v1/recordings/x%0d%0aSet-Cookie:%20a=b"
    writer.write(
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n".encode()
    )
    head, _, _ = (await reader.read()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 404")
    assert b"set-cookie" not in head.lower()
    writer.close()


async def test_who_does_not_read_on_holds_nobody_up(served: Served) -> None:
    token = await served.api.sign_in("sato")
    made = await served.api.ask("sato", "POST", f"/v1/recordings/{uuid('three')}/plays", json={"purpose": "quality"})
    _reader, writer = await asyncio.open_connection(
        "127.0.0.1", served.port, ssl=served.ca, server_hostname="localhost", limit=1
    )
    writer.write(
        f"GET {made.json()['audio']} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    )
    await writer.drain()
    async with httpx.AsyncClient(base_url=served.url, verify=served.ca) as http:
        for _ in range(5):
            assert (await http.get("/v1/session", headers={"Authorization": f"Bearer {token}"})).status_code == 200
    writer.close()


async def test_where_the_address_is_taken_it_is_tried_again(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "AGAIN", 0.05)
    its = settings(tmp_path, free_port())
    with structlog.testing.capture_logs() as logs, socket.create_server(("127.0.0.1", its.port)) as other:
        async with serving(api, its):
            await said("no API", logs)
            other.close()
            ca = ssl.create_default_context(cafile=its.certificate)
            await said("API", logs)
            async with httpx.AsyncClient(base_url=f"https://localhost:{its.port}", verify=ca) as http:
                assert (await http.get("/v1/session")).status_code == 401


async def test_without_a_certificate_it_waits_for_one(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "AGAIN", 0.05)
    its = settings(tmp_path, free_port())
    kept = its.certificate.read_bytes()
    its.certificate.write_text("nonsense")
    with structlog.testing.capture_logs() as logs:
        async with serving(api, its):
            await said("no API", logs)
            its.certificate.write_bytes(kept)
            await said("API", logs)


def test_the_certificate_is_of_the_host_s_names() -> None:
    made = certificate.make(("localhost", "127.0.0.1", "::1", "recorder.example"), START)
    found = x509.load_pem_x509_certificate(made.certificate)
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "recorder.example"]
    assert [str(one) for one in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
    assert found.not_valid_before_utc <= START < found.not_valid_after_utc < START + timedelta(days=400)
    assert len(certificate.fingerprint(made.certificate)) == 95
    assert b"PRIVATE" not in made.certificate
    assert b"PRIVATE KEY" in made.key
    assert b"PRIVATE" not in repr(made).encode()


def test_a_name_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="水道局"):
        certificate.make(("水道局",), START)
