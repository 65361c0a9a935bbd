"""The key folder: made whole or not at all, readable by the outside age tool, never a secret in plain text."""

import io
import os
import pty
import re
import select
import stat
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recorder.vault import folder, keys
from recorder.vault.age import Identity, Recipient
from recorder.vault.keys import (
    Created,
    KeysError,
    KeysExistError,
    WrongPassphraseError,
    create,
    load_recipients,
    load_signer,
    load_verifier,
    unlock,
    unlock_manager,
)
from recorder.vault.note import Signer, Verifier, open_note, sign
from recorder.vault.stream import decrypt, encrypt

PASSPHRASE = "正しい馬 battery staple"
START = datetime(2026, 4, 1, tzinfo=UTC)


def load_recipient(where: Path, *, manager: Verifier | None = None) -> tuple[int, Recipient]:
    """To whom is encrypted, and in which epoch."""
    found = load_recipients(where, manager=manager)
    return found.epoch, found.recipient


def make(root: Path, **changes: object) -> Created:
    (root / "safe").mkdir(exist_ok=True)
    values = {"passphrase": PASSPHRASE, "origin": "recorder.example/pbx1", "epoch_start": START, "work_factor": 4}
    return create(root / "keys", root / "safe", **values | changes)  # type: ignore[arg-type]


@pytest.fixture
def created(tmp_path: Path) -> Created:
    return make(tmp_path)


def tree(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def test_what_is_made(created: Created, tmp_path: Path) -> None:
    secret = {"epoch-0001.age", "manager.key.age", "recorder.key", "log.key"}
    public = {"manager.pub", "recorder.pub", "log.pub", "recipients.note"}
    files = {path.name: stat.S_IMODE(path.stat().st_mode) for path in created.folder.iterdir()}
    assert files == dict.fromkeys(secret, 0o600) | dict.fromkeys(public, 0o644)
    assert stat.S_IMODE(created.folder.stat().st_mode) == 0o750
    assert tree(tmp_path / "safe") == ["epoch-0001.escrow.age"]
    assert {path.name for path in tmp_path.iterdir()} == {"keys", "safe"}
    assert created.escrow_identity not in repr(created)


def test_the_keys_belong_together(created: Created) -> None:
    assert load_recipient(created.folder) == (1, created.recipient)
    recipients = load_recipients(created.folder, manager=created.manager)
    assert (recipients.escrow_recipient, recipients.since) == (created.escrow_recipient, START)
    identity = unlock(created.folder, 1, PASSPHRASE)
    assert identity.recipient == created.recipient
    assert load_signer(created.folder / "recorder.key").verifier == created.recorder
    assert load_signer(created.folder / "log.key").verifier == created.log == load_verifier(created.folder / "log.pub")
    manager = unlock_manager(created.folder, PASSPHRASE)
    assert open_note(sign("x\n", [manager]), [load_verifier(created.folder / "manager.pub")]) == "x\n"
    assert created.log.name == "recorder.example/pbx1/log"


def test_the_escrow_holds_the_same_identity(created: Created) -> None:
    escrow = Identity.parse(created.escrow_identity)
    assert escrow.recipient == created.escrow_recipient
    plain = b"".join(decrypt(io.BytesIO(created.escrow_file.read_bytes()), [escrow])).decode()
    assert plain.splitlines()[-1] == str(unlock(created.folder, 1, PASSPHRASE))


def test_no_identity_lies_in_plain_text(created: Created, tmp_path: Path) -> None:
    everything = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"AGE-SECRET-KEY" not in everything
    assert everything.count(b"PRIVATE+KEY") == 2  # the recorder's and the log's, which only sign


def age_with_terminal(arguments: list[str], answer: str, stdin: bytes) -> tuple[int, bytes, bytes]:
    """Run age with a terminal of its own, since it takes a passphrase from nowhere else; answer its prompt."""
    ours, theirs = pty.openpty()
    name = os.ttyname(theirs)

    def take_terminal() -> None:
        os.setsid()
        os.close(os.open(name, os.O_RDWR))  # the first terminal a session opens becomes its own

    with subprocess.Popen(
        ["age", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=take_terminal,
    ) as process:
        assert process.stdin
        process.stdin.write(stdin)
        process.stdin.close()
        process.stdin = None
        prompt = b""
        while b"assphrase" not in prompt and select.select([ours], [], [], 20)[0]:
            prompt += os.read(ours, 1000)
        os.write(ours, f"{answer}\n".encode())
        output, errors = process.communicate(timeout=30)
    os.close(ours)
    os.close(theirs)
    return process.returncode, output, errors


def test_the_outside_tool_takes_the_identity_file(created: Created) -> None:
    sealed = encrypt(b"audio", [created.recipient])
    arguments = ["-d", "-i", str(created.folder / "epoch-0001.age")]
    code, output, errors = age_with_terminal(arguments, PASSPHRASE, sealed)
    assert (code, output) == (0, b"audio"), errors
    code, output, errors = age_with_terminal(arguments, "wrong", sealed)
    assert (code, output) == (1, b"")
    assert b"incorrect passphrase" in errors


def test_the_outside_tools_read_the_escrow(created: Created, tmp_path: Path) -> None:
    paper = tmp_path / "paper"
    paper.write_text(f"{created.escrow_identity}\n")
    identity = subprocess.run(["age", "-d", "-i", paper, created.escrow_file], capture_output=True, check=True).stdout
    public = (
        subprocess.run(["age-keygen", "-y"], input=identity, capture_output=True, check=True).stdout.decode().strip()
    )
    assert public == str(created.recipient)
    lines = identity.decode().splitlines()
    assert lines[0] == "# created: 2026-04-01T00:00:00+00:00"
    assert lines[1] == f"# public key: {created.recipient}"


def test_a_wrong_passphrase_has_its_own_error(created: Created) -> None:
    with pytest.raises(WrongPassphraseError, match=r"epoch-0001\.age"):
        unlock(created.folder, 1, PASSPHRASE + " ")
    with pytest.raises(WrongPassphraseError, match=r"manager\.key\.age"):
        unlock_manager(created.folder, "wrong")


def test_a_damaged_or_missing_identity_is_not_a_wrong_passphrase(created: Created) -> None:
    path = created.folder / "epoch-0001.age"
    with pytest.raises(KeysError, match=r"epoch-0002\.age: cannot be read"):
        unlock(created.folder, 2, PASSPHRASE)
    raw = path.read_bytes()
    path.write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    with pytest.raises(KeysError, match=r"epoch-0001\.age: .*damaged") as caught:
        unlock(created.folder, 1, PASSPHRASE)
    assert not isinstance(caught.value, WrongPassphraseError)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(data=st.data())
def test_no_bit_of_the_recipients_can_change(created: Created, data: st.DataObject) -> None:
    path = created.folder / "recipients.note"
    good = path.read_bytes()
    raw = bytearray(good)
    place = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[place // 8] ^= 1 << place % 8
    path.write_bytes(raw)
    with pytest.raises(KeysError, match=r"recipients\.note"):
        load_recipient(created.folder)
    path.write_bytes(good)


def test_a_recipient_swapped_by_who_cannot_sign(created: Created) -> None:
    other = Signer.generate(created.manager.name)
    swapped = keys.Recipients(
        epoch=1, recipient=Identity.generate().recipient, escrow_recipient=created.escrow_recipient, since=START
    )
    (created.folder / "recipients.note").write_text(keys.dump_recipients(swapped, other))
    with pytest.raises(KeysError, match="known key"):
        load_recipient(created.folder)
    # With the verifier replaced as well, only a pinned one or the next unlock can tell.
    (created.folder / "manager.pub").write_text(f"{other.verifier}\n")
    assert load_recipient(created.folder) == (1, swapped.recipient)
    with pytest.raises(KeysError, match="known key"):
        load_recipient(created.folder, manager=created.manager)
    with pytest.raises(KeysError, match="stop recording"):
        unlock(created.folder, 1, PASSPHRASE)


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('"epoch": 1', '"epoch": 0', "epoch"),
        ('"epoch": 1', '"epoch": true', "epoch"),
        ('"epoch": 1', '"epoc": 1', "epoc"),
        ('"key_id": "', '"key_id": "0', "key_id"),
        ("2026-04-01T", "2026-04-31T", "day is out of range"),
        ("recipients/v1", "recipients/v2", "first line"),
        ('"recipient": "age1', '"recipient": "agex', "key of the expected kind"),
    ],
)
def test_a_signed_list_out_of_form_is_named(created: Created, old: str, new: str, named: str) -> None:
    path = created.folder / "recipients.note"
    text = open_note(path.read_text(), [created.manager])
    assert old in text
    path.write_text(sign(text.replace(old, new), [unlock_manager(created.folder, PASSPHRASE)]))
    with pytest.raises(KeysError, match=rf"recipients\.note: .*{named}"):
        load_recipient(created.folder)


def test_nothing_is_overwritten(created: Created, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(KeysExistError, match=re.escape(str(created.folder))):
        make(tmp_path)
    created.folder.rename(tmp_path / "moved")
    with pytest.raises(KeysExistError, match=r"epoch-0001\.escrow\.age"):
        make(tmp_path)
    (tmp_path / "moved").rename(created.folder)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


# 9 files of which the escrow is the last; 3 folders: the temporary one, the escrow's, the parent.
@pytest.mark.parametrize(
    ("call", "nth"), [*(("_write", nth) for nth in (1, 4, 8, 9)), ("sync_folder", 1), ("sync_folder", 2)]
)
def test_a_failure_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, nth: int) -> None:
    """The disk fails at the nth write or sync: no key, no escrow, no temporary folder stays."""
    real, calls = getattr(keys, call), 0

    def failing(path: Path, *rest: object) -> None:
        nonlocal calls
        calls += 1
        if calls == nth:
            raise OSError(28, "No space left on device", str(path))
        real(path, *rest)

    monkeypatch.setattr(keys, call, failing)
    with pytest.raises(KeysError, match="No space left"):
        make(tmp_path)
    assert calls == nth
    assert tree(tmp_path) == ["safe"]
    monkeypatch.undo()
    make(tmp_path)


def test_a_failure_after_the_rename_keeps_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The keys are whole and in place; taking them away again could lose the only copy."""
    real = folder.sync_folder

    def failing(path: Path) -> None:
        if path == tmp_path:
            raise OSError(5, "Input/output error", str(path))
        real(path)

    monkeypatch.setattr(keys, "sync_folder", failing)
    with pytest.raises(KeysError, match="Input/output"):
        make(tmp_path)
    assert unlock(tmp_path / "keys", 1, PASSPHRASE).recipient == load_recipient(tmp_path / "keys")[1]
    assert (tmp_path / "safe" / "epoch-0001.escrow.age").exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"origin": "two words"}, "two words"),
        ({"origin": ""}, "''"),
        ({"epoch_start": datetime(2026, 4, 1)}, "time zone"),  # noqa: DTZ001  # what is refused
    ],
)
def test_bad_arguments_make_nothing(tmp_path: Path, changes: dict[str, object], said: str) -> None:
    with pytest.raises(KeysError, match=said):
        make(tmp_path, **changes)
    assert tree(tmp_path) == ["safe"]


def test_the_escrow_medium_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(KeysError, match="mount the medium"):
        create(tmp_path / "keys", tmp_path / "safe", passphrase="x", origin="a", epoch_start=START, work_factor=4)
    assert tree(tmp_path) == []
