"""The public age test kit, every vector, through the sequential and the random-access reader."""

import hashlib
import io
import random
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import pytest

from recorder.vault import age, armor, stream
from recorder.vault.errors import (
    ArmorError,
    HeaderError,
    HeaderMacError,
    KeyFormatError,
    NoIdentityError,
    PayloadError,
    VaultError,
)

KIT = Path(__file__).parents[3] / "vectors" / "age" / "testkit.zip"
OUTCOMES: dict[str, type[VaultError]] = {
    "no match": NoIdentityError,
    "HMAC failure": HeaderMacError,
    "header failure": HeaderError,
    "payload failure": PayloadError,
    "armor failure": ArmorError,
}
# Their identity is of the hybrid (post-quantum) kind, which the vault does not have.
HYBRID_SUCCESS = {"armor_hybrid", "hybrid", "hybrid_and_x25519", "hybrid_grease", "hybrid_multiple_recipients"}
HYBRID_FAILURE = {
    "hybrid_bad_tag",
    "hybrid_currupted_enc_mlkem",
    "hybrid_currupted_enc_x25519",
    "hybrid_extra_argument",
    "hybrid_identity",
    "hybrid_long_file_key",
    "hybrid_long_share",
    "hybrid_low_order",
    "hybrid_no_match",
    "hybrid_not_canonical_body",
    "hybrid_not_canonical_enc",
    "hybrid_short_share",
    "hybrid_uppercase",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Vector:
    name: str
    expect: str
    payload: str | None
    file_key: bytes
    identities: tuple[str, ...]
    passphrases: tuple[str, ...]
    armored: bool
    file: bytes

    def keys(self) -> list[age.Identity | age.Passphrase]:
        native = [text for text in self.identities if not text.startswith("AGE-SECRET-KEY-PQ-")]
        keys: list[age.Identity | age.Passphrase] = [age.Identity.parse(text) for text in native]
        return keys + [age.Passphrase(text) for text in self.passphrases]

    def binary(self) -> bytes:
        return armor.decode(self.file) if self.armored else self.file


def read_kit() -> list[Vector]:
    vectors = []
    with zipfile.ZipFile(KIT) as kit:
        for name in kit.namelist():
            head, _, body = kit.read(name).partition(b"\n\n")
            fields = [line.split(": ", 1) for line in head.decode().splitlines()]
            single = dict(fields)
            known = {"expect", "payload", "file key", "identity", "passphrase", "armored", "compressed", "comment"}
            assert set(single) <= known, name
            vectors.append(
                Vector(
                    name=name,
                    expect=single["expect"],
                    payload=single.get("payload"),
                    file_key=bytes.fromhex(single["file key"]),
                    identities=tuple(value for key, value in fields if key == "identity"),
                    passphrases=tuple(value for key, value in fields if key == "passphrase"),
                    armored=single.get("armored") == "yes",
                    file=zlib.decompress(body) if single.get("compressed") == "zlib" else body,
                )
            )
    return vectors


VECTORS = {vector.name: vector for vector in read_kit()}
NATIVE = [vector for name, vector in VECTORS.items() if name not in HYBRID_SUCCESS | HYBRID_FAILURE]


def test_the_kit_is_whole() -> None:
    assert len(VECTORS) == 143
    assert set(VECTORS) >= HYBRID_SUCCESS | HYBRID_FAILURE
    assert len(NATIVE) == 125
    for vector in NATIVE:
        assert vector.keys() or vector.expect == "header failure", vector.name


def released(vector: Vector) -> tuple[bytes, VaultError | None]:
    out = bytearray()
    try:
        for chunk in stream.decrypt(io.BytesIO(vector.binary()), vector.keys()):
            out += chunk
    except VaultError as error:
        return bytes(out), error
    return bytes(out), None


@pytest.mark.parametrize("vector", NATIVE, ids=lambda vector: vector.name)
def test_sequential(vector: Vector) -> None:
    plaintext, error = released(vector)
    assert type(error) is OUTCOMES.get(vector.expect, type(None))
    if vector.payload is not None:
        assert hashlib.sha256(plaintext).hexdigest() == vector.payload
    else:
        assert plaintext == b""


@pytest.mark.parametrize("vector", NATIVE, ids=lambda vector: vector.name)
def test_random_access(vector: Vector) -> None:
    def read() -> tuple[stream.Reader, bytes]:
        reader = stream.Reader.open(io.BytesIO(vector.binary()), vector.keys())
        return reader, reader.read()

    if vector.expect != "success":
        with pytest.raises(OUTCOMES[vector.expect]):
            read()
        return
    reader, plaintext = read()
    assert hashlib.sha256(plaintext).hexdigest() == vector.payload
    assert reader.size == len(plaintext)
    chance = random.Random(vector.name)  # noqa: S311
    for _ in range(20):
        at, size = chance.randint(0, len(plaintext)), chance.randint(0, 100_000)
        reader.seek(at)
        assert reader.read(size) == plaintext[at : at + size]


@pytest.mark.parametrize("vector", [each for each in VECTORS.values() if each.armored], ids=lambda vector: vector.name)
def test_armor_is_recognised(vector: Vector) -> None:
    keys = vector.keys() or [age.Identity.generate()]
    if vector.expect == "success" and vector.keys():
        plaintext = b"".join(stream.decrypt(io.BytesIO(vector.file), keys))
        assert hashlib.sha256(plaintext).hexdigest() == vector.payload
        assert armor.decode(armor.encode(vector.binary())) == vector.binary()
    else:
        with pytest.raises(VaultError):
            list(stream.decrypt(io.BytesIO(vector.file), keys))


@pytest.mark.parametrize("vector", NATIVE, ids=lambda vector: vector.name)
def test_headers_have_one_spelling(vector: Vector) -> None:
    if vector.expect in ("header failure", "armor failure"):
        return
    binary = vector.binary()
    header, length = age.parse_header(binary)
    again = b"".join(stanza.encode() for stanza in header.stanzas)
    assert binary[:length].startswith(b"age-encryption.org/v1\n" + again + b"--- ")


@pytest.mark.parametrize("name", sorted(HYBRID_SUCCESS))
def test_hybrid_payloads_open_with_their_file_key(name: str) -> None:
    vector = VECTORS[name]
    with pytest.raises(KeyFormatError):
        age.Identity.parse(vector.identities[0])
    binary = vector.binary()
    with pytest.raises(NoIdentityError):
        stream.decrypt(io.BytesIO(binary), [age.Identity.generate()])
    header, length = age.parse_header(binary)
    age.verify(header, vector.file_key)
    plaintext = stream.Reader(io.BytesIO(binary), vector.file_key, length).read()
    assert hashlib.sha256(plaintext).hexdigest() == vector.payload


@pytest.mark.parametrize("name", sorted(HYBRID_FAILURE))
def test_hybrid_failures_fail_here_too(name: str) -> None:
    vector = VECTORS[name]
    with pytest.raises(KeyFormatError):
        age.Identity.parse(next(text for text in vector.identities if "PQ" in text))
    with pytest.raises((HeaderError, NoIdentityError)):
        stream.decrypt(io.BytesIO(vector.binary()), [age.Identity.generate()])
