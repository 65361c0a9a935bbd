"""Signed notes: the vectors of Go and of the specification, openssl, and every kind of change."""

import base64
import subprocess
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from recorder.vault.note import (
    BadSignatureError,
    MalformedNoteError,
    NoteError,
    NoteKeyError,
    Signer,
    UnsignedNoteError,
    Verifier,
    open_note,
    sign,
)

# golang.org/x/mod/sumdb/note, its documentation and tests.
PETER_SECRET = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
ENOCH = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
PETER_LINE = (
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
ENOCH_LINE = (
    "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n"
)
# c2sp.org/signed-note, its first example.
FOO = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
FOO_NOTE = (
    "This is an example message.\n\n— example.com/foo "
    "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)

texts = st.text(st.characters(min_codepoint=0x20, exclude_categories=["Cs"]) | st.just("\n")).map(lambda t: t + "\n")


def test_the_go_example_byte_for_byte() -> None:
    signer = Signer.parse(PETER_SECRET)
    assert str(signer.verifier) == PETER
    assert signer.secret_text() == PETER_SECRET
    note = sign(TEXT, [signer])
    assert note == f"{TEXT}\n{PETER_LINE}"
    assert open_note(note, [Verifier.parse(PETER)]) == TEXT


def test_two_signatures_of_the_go_tests() -> None:
    note = f"{TEXT}\n{PETER_LINE}{ENOCH_LINE}"
    for keys in ([PETER], [ENOCH], [ENOCH, PETER], [FOO, PETER]):
        assert open_note(note, map(Verifier.parse, keys)) == TEXT


def test_the_example_of_the_specification() -> None:
    assert open_note(FOO_NOTE, [Verifier.parse(FOO)]) == "This is an example message.\n"


def test_openssl_accepts_our_signature(tmp_path: Path) -> None:
    signer = Signer.generate("recorder.example/pbx1/recorder")
    note = sign("一行目\n", [signer])
    spki = bytes.fromhex("302a300506032b6570032100") + signer.verifier.public
    (tmp_path / "key.der").write_bytes(spki)
    (tmp_path / "text").write_bytes("一行目\n".encode())
    (tmp_path / "signature").write_bytes(base64.b64decode(note.split(" ")[-1])[4:])
    options = ["-verify", "-rawin", "-pubin", "-keyform", "DER", "-inkey", "key.der", "-sigfile", "signature"]
    command = ["openssl", "pkeyutl", *options, "-in", "text"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "Signature Verified Successfully" in result.stdout, result.stderr


@given(text=texts)
def test_any_text_comes_back(text: str) -> None:
    signer = Signer.parse(PETER_SECRET)
    assert open_note(sign(text, [signer]), [signer.verifier]) == text


@pytest.mark.rule("B-13")
@given(data=st.data())
def test_no_bit_of_a_signed_note_can_change(data: st.DataObject) -> None:
    raw = bytearray(f"{TEXT}\n{PETER_LINE}".encode())
    place = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[place // 8] ^= 1 << place % 8
    with pytest.raises(NoteError):
        open_note(raw.decode("utf-8", "surrogateescape"), [Verifier.parse(PETER)])


def test_what_failed_is_named() -> None:
    peter = Verifier.parse(PETER)
    with pytest.raises(BadSignatureError, match=r"signature 1, key PeterNeumann\+c74f20a3"):
        open_note(f"{TEXT}\n{PETER_LINE}".replace("answer", "answers"), [peter])
    with pytest.raises(UnsignedNoteError, match=r"known keys are: EnochRoot\+af0cfe78"):
        open_note(f"{TEXT}\n{PETER_LINE}", [Verifier.parse(ENOCH)])
    with pytest.raises(UnsignedNoteError, match="none"):
        open_note(f"{TEXT}\n{PETER_LINE}", [])


def test_a_bad_signature_of_a_known_key_refuses_beside_a_good_one() -> None:
    other = sign("other\n", [Signer.parse(PETER_SECRET)]).split("\n")[-2]
    note = f"{TEXT}\n{ENOCH_LINE}{other}\n"
    assert open_note(note, [Verifier.parse(ENOCH)]) == TEXT
    with pytest.raises(BadSignatureError, match="signature 2"):
        open_note(note, [Verifier.parse(ENOCH), Verifier.parse(PETER)])


def test_the_same_name_with_another_key_is_another_signer() -> None:
    impostor = Signer.generate("PeterNeumann")
    note = sign(TEXT, [impostor])
    with pytest.raises(UnsignedNoteError):
        open_note(note, [Verifier.parse(PETER)])


@pytest.mark.parametrize(
    "text", ["no newline", "", "tab\there\n", "carriage\r\n", "nul\0\n", "lone surrogate \ud800\n", "escape\x1b\n"]
)
def test_texts_that_no_note_can_carry(text: str) -> None:
    with pytest.raises(MalformedNoteError):
        sign(text, [Signer.parse(PETER_SECRET)])


@pytest.mark.parametrize(
    "note",
    [
        TEXT,
        f"{TEXT}{PETER_LINE}",
        f"{TEXT}\n{PETER_LINE[:-1]}",
        f"{TEXT}\n{PETER_LINE}\n",
        f"{TEXT}\n{PETER_LINE}rest\n",
        f"{TEXT}\n{PETER_LINE.replace('— ', '- ')}",
        f"{TEXT}\n{PETER_LINE.replace('AM=', 'AN=')}",  # the same bytes, spelt differently
        f"{TEXT}\n{PETER_LINE.replace('AM=', 'AM')}",
        f"{TEXT}\n— PeterNeumann AAAA\n",
        f"{TEXT}\n{PETER_LINE * 101}",
    ],
)
def test_malformed_notes(note: str) -> None:
    with pytest.raises(MalformedNoteError):
        open_note(note, [Verifier.parse(PETER)])


@pytest.mark.parametrize(("key", "kind"), [(PETER, Verifier), (PETER_SECRET, Signer)])
@given(place=st.integers(0, 200), letter=st.characters(min_codepoint=33, max_codepoint=126))
def test_no_character_of_a_key_can_change(key: str, kind: type[Verifier | Signer], place: int, letter: str) -> None:
    place %= len(key)
    changed = key[:place] + letter + key[place + 1 :]
    assume(changed != key)
    with pytest.raises(NoteKeyError) as caught:
        kind.parse(changed)
    assert PETER_SECRET[-40:-8] not in str(caught.value)


def test_a_signer_does_not_show_its_secret() -> None:
    signer = Signer.parse(PETER_SECRET)
    assert repr(signer) == str(signer) == "<Signer PeterNeumann+c74f20a3>"


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u3000b", "a\nb", "a\x01b"])
def test_names_that_no_key_can_have(name: str) -> None:
    with pytest.raises(NoteKeyError):
        Signer.generate(name)
