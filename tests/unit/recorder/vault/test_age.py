"""Headers and keys: our own round trips, Debian's age and pyrage both ways, and refusals by name."""

import io
import subprocess
from pathlib import Path

import pyrage  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder.vault import age, bech32, stream
from recorder.vault.errors import (
    HeaderError,
    HeaderMacError,
    KeyFormatError,
    NoIdentityError,
    RecipientError,
    VaultError,
)

# From the specification, "The X25519 recipient type".
SECRET = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"
PUBLIC = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"
FILE_KEY = bytes(range(16))


def test_keys_of_the_specification() -> None:
    identity = age.Identity.parse(SECRET)
    assert str(identity) == SECRET
    assert str(identity.recipient) == PUBLIC
    assert age.Recipient.parse(PUBLIC) == identity.recipient
    assert len(identity.recipient.key_id) == 16


def test_a_secret_shows_only_where_it_is_asked_for() -> None:
    identity, passphrase = age.Identity.parse(SECRET), age.Passphrase("open sesame, please")
    assert SECRET not in repr([identity])
    assert "GFPYYSJZ" not in f"{identity!r}"
    assert "sesame" not in f"{passphrase!r} {passphrase}"
    with pytest.raises(KeyFormatError) as caught:
        age.Identity.parse(SECRET[:-1] + "Y")
    assert "GFPYYSJZ" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "age1",
        PUBLIC.upper(),
        PUBLIC[:-1] + "q",
        "Age1" + PUBLIC[4:],
        SECRET,
        bech32.encode("age", bytes(31)),
        bech32.encode("age1pq", bytes(32)),
        PUBLIC + " ",
    ],
)
def test_recipients_are_parsed_strictly(text: str) -> None:
    with pytest.raises(KeyFormatError):
        age.Recipient.parse(text)


@pytest.mark.parametrize(
    "text", [SECRET.lower(), PUBLIC, "AGE-SECRET-KEY-PQ-1" + SECRET[16:], SECRET[:-7], "ſ" + SECRET]
)
def test_identities_are_parsed_strictly(text: str) -> None:
    with pytest.raises(KeyFormatError):
        age.Identity.parse(text)


@given(prefix=st.text("abcz-", min_size=1, max_size=8), data=st.binary(max_size=80))
def test_bech32_round_trip(prefix: str, data: bytes) -> None:
    text = bech32.encode(prefix, data)
    assert bech32.decode(text) == (prefix, data)
    assert bech32.decode(text.upper()) == (prefix.upper(), data)


@given(
    data=st.binary(min_size=32, max_size=32), at=st.integers(4, 61), letter=st.sampled_from("qpzry9x8gf2tvdw0s3jn54kh")
)
def test_bech32_finds_a_mistyped_character(data: bytes, at: int, letter: str) -> None:
    text = bech32.encode("age", data)
    wrong = text[:at] + letter + text[at + 1 :]
    if wrong != text:
        with pytest.raises(KeyFormatError):
            bech32.decode(wrong)


@settings(deadline=None)
@given(file_key=st.binary(min_size=16, max_size=16), count=st.integers(1, 4))
def test_each_recipient_opens_the_header(file_key: bytes, count: int) -> None:
    identities = [age.Identity.generate() for _ in range(count)]
    header = age.wrap(file_key, [identity.recipient for identity in identities])
    assert len(header) == 70 + 98 * count
    assert age.parse_header(header + b"payload")[1] == len(header)
    for identity in identities:
        assert age.unwrap(header, [age.Identity.generate(), identity]) == file_key
    with pytest.raises(NoIdentityError):
        age.unwrap(header, [age.Identity.generate()])
    assert age.wrap(file_key, [identities[0].recipient]) != age.wrap(file_key, [identities[0].recipient])


IDENTITY = age.Identity.parse(SECRET)
HEADER = age.wrap(FILE_KEY, [age.Identity.generate().recipient, IDENTITY.recipient])


def test_every_changed_bit_is_noticed() -> None:
    for at in range(len(HEADER)):
        for bit in range(8):
            changed = bytearray(HEADER)
            changed[at] ^= 1 << bit
            with pytest.raises(VaultError):
                age.unwrap(bytes(changed), [IDENTITY])


def test_every_cut_is_noticed() -> None:
    for size in range(len(HEADER)):
        with pytest.raises(HeaderError):
            age.unwrap(HEADER[:size], [IDENTITY])
    with pytest.raises(HeaderError):
        age.unwrap(HEADER + b"\n", [IDENTITY])


def test_a_stanza_added_later_breaks_the_mac() -> None:
    more = age.Stanza(kind="grease", arguments=("x",), body=bytes(48)).encode()
    changed = HEADER.replace(b"--- ", more + b"--- ")
    assert len(age.parse_header(changed)[0].stanzas) == 3
    with pytest.raises(HeaderMacError):
        age.unwrap(changed, [IDENTITY])


@given(st.binary(max_size=300).map(lambda rest: b"age-encryption.org/v1\n-> " + rest))
def test_no_input_raises_anything_else(data: bytes) -> None:
    with pytest.raises(HeaderError):
        age.parse_header(data)


def test_who_cannot_be_a_recipient() -> None:
    with pytest.raises(RecipientError):
        age.wrap(FILE_KEY, [])
    with pytest.raises(RecipientError):
        age.wrap(FILE_KEY, [age.Passphrase("secret", 1), IDENTITY.recipient])
    with pytest.raises(RecipientError, match="low order"):
        age.wrap(FILE_KEY, [age.Recipient(bytes(32))])
    with pytest.raises(KeyFormatError):
        age.wrap(FILE_KEY[:-1], [IDENTITY.recipient])


def test_passphrases() -> None:
    header = age.wrap(FILE_KEY, [age.Passphrase("鍵は一つ", 4)])
    assert age.unwrap(header, [age.Passphrase("wrong", 1), age.Passphrase("鍵は一つ")]) == FILE_KEY
    with pytest.raises(NoIdentityError):
        age.unwrap(header, [age.Passphrase("wrong"), IDENTITY])
    with pytest.raises(KeyFormatError):
        age.Passphrase("")
    with pytest.raises(KeyFormatError):
        age.Passphrase("secret", 23)
    for factor in (b" 23\n", b" 9999999999\n", b" " + b"9" * 5000 + b"\n"):
        with pytest.raises(HeaderError, match="work factor is over 22"):
            age.unwrap(header.replace(b" 4\n", factor), [age.Passphrase("鍵は一つ")])


PAYLOADS = [b"", b"x", bytes(stream.CHUNK), bytes(stream.CHUNK + 1), bytes(range(256)) * 1024]


@pytest.mark.parametrize("plaintext", PAYLOADS, ids=len)
def test_debian_age_agrees(tmp_path: Path, plaintext: bytes) -> None:
    key_file = tmp_path / "key"
    subprocess.run(["age-keygen", "-o", key_file], check=True, capture_output=True)
    theirs = age.Identity.parse(key_file.read_text().splitlines()[-1])
    printed = subprocess.run(["age-keygen", "-y", key_file], check=True, capture_output=True, text=True).stdout
    assert printed.strip() == str(theirs.recipient)

    ours = stream.encrypt(plaintext, [age.Identity.generate().recipient, theirs.recipient])
    opened = subprocess.run(["age", "-d", "-i", key_file], input=ours, check=True, capture_output=True)
    assert opened.stdout == plaintext
    for arguments in ([], ["-a"]):
        command = ["age", *arguments, "-r", str(theirs.recipient)]
        sealed = subprocess.run(command, input=plaintext, check=True, capture_output=True).stdout
        assert b"".join(stream.decrypt(io.BytesIO(sealed), [theirs])) == plaintext


def test_debian_age_takes_our_identity(tmp_path: Path) -> None:
    identity = age.Identity.generate()
    key_file = tmp_path / "key"
    key_file.write_text(f"{identity}\n")
    sealed = stream.encrypt(b"audio", [identity.recipient])
    opened = subprocess.run(["age", "-d", "-i", key_file], input=sealed, check=True, capture_output=True)
    assert opened.stdout == b"audio"


@pytest.mark.parametrize("plaintext", PAYLOADS, ids=len)
def test_pyrage_agrees(plaintext: bytes) -> None:
    theirs = pyrage.x25519.Identity.generate()
    identity = age.Identity.parse(str(theirs))
    assert str(identity.recipient) == str(theirs.to_public())
    sealed = pyrage.encrypt(plaintext, [theirs.to_public()])
    assert stream.Reader.open(io.BytesIO(sealed), [identity]).read() == plaintext
    assert pyrage.decrypt(stream.encrypt(plaintext, [identity.recipient]), [theirs]) == plaintext


def test_pyrage_agrees_on_passphrases() -> None:
    sealed = stream.encrypt(b"audio", [age.Passphrase("three words here", 10)])
    assert pyrage.passphrase.decrypt(sealed, "three words here") == b"audio"
