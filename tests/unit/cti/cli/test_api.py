"""`kikitori api`: the desk's certificate, and what the API takes."""

import json
import ssl
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509

from cti import setup, users
from cti.cli import api
from cti.settings import FILE
from tests.unit.cti.cli.conftest import Kikitori

NOW = datetime(2027, 4, 1, tzinfo=UTC)


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Those of an installation."""
    monkeypatch.setattr(users, "acting_as", lambda _user: nullcontext())
    monkeypatch.setattr(api, "wall_clock", lambda: NOW)
    folder = tmp_path / "house"
    setup.init(folder, passphrase="of the vault", pbx="pbx1", now=NOW, work_factor=10, mount=False)
    monkeypatch.setenv("KIKITORI_CONFIG", str(folder / FILE))
    return folder / "keys"


def test_a_certificate_for_other_names_takes_the_place_of_the_first(kikitori: Kikitori, keys: Path) -> None:
    before = (keys / "api.crt").read_bytes()
    mode = (keys / "api.key").stat().st_mode
    done = kikitori("api", "certificate", "--name", "recorder.example", "--name", "192.0.2.20", "--yes", "--json")
    assert done.status == 0, done.err
    told = json.loads(done.out)
    assert {"localhost", "127.0.0.1", "recorder.example", "192.0.2.20"} <= set(told["names"])
    after = (keys / "api.crt").read_bytes()
    assert before != after
    names = x509.load_pem_x509_certificate(after).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "recorder.example" in names.get_values_for_type(x509.DNSName)
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(keys / "api.crt", keys / "api.key")
    assert (keys / "api.key").stat().st_mode == mode
    assert not list(keys.glob(".api*"))


@pytest.mark.parametrize("arguments", [("--name", "水道局", "--yes"), ()])
def test_what_cannot_be_or_was_not_agreed_to_changes_nothing(
    kikitori: Kikitori, keys: Path, arguments: tuple[str, ...]
) -> None:
    before = (keys / "api.crt").read_bytes()
    assert kikitori("api", "certificate", *arguments).status == 64
    assert (keys / "api.crt").read_bytes() == before


def test_the_document_is_open_api(kikitori: Kikitori) -> None:
    document = json.loads(kikitori("api", "document", "--json").out)
    assert document["openapi"].startswith("3.1")
    assert "/v1/plays/{play}/audio" in document["paths"]
