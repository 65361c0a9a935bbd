"""`kikitori init`: owners and modes, and nothing left where it fails."""

import grp
import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cti import setup, users
from cti.errors import InitError
from cti.settings import Settings, load
from recorder.access.log import AccessLog
from recorder.vault import keys
from recorder.vault.age import Identity
from recorder.vault.stream import decrypt
from tests.unit.recorder.rig import START, ram_folder

ROOT = os.geteuid() == 0  # only root can give a file to someone else; modes hold for everyone
R, D = "kikitori-recorder", "kikitori-desk"
TABLE = {
    ".": ("root", "root", 0o755),
    "kikitori.toml": ("root", "root", 0o644),
    "mirror": (R, users.VAULT, 0o3770),
    "mirror/keys.slots": (R, users.VAULT, 0o660),
    "mirror/segments": (R, users.VAULT, 0o2750),
    "mirror/checkpoints": (D, users.LOG, 0o2770),
    "mirror/escrow": (D, users.VAULT, 0o700),
    "keys": (D, users.VAULT, 0o755),
    "keys/epoch-0001.age": (D, users.VAULT, 0o400),
    "keys/manager.key.age": (D, users.VAULT, 0o400),
    "keys/cases.key": (D, users.VAULT, 0o400),
    "mirror/escrow/cases.key": (D, users.VAULT, 0o400),
    "keys/api.key": (D, users.VAULT, 0o400),
    "keys/api.crt": (D, users.VAULT, 0o444),
    "keys/manager.pub": (D, users.VAULT, 0o444),
    "keys/recorder.pub": (D, users.VAULT, 0o444),
    "keys/log.pub": (D, users.VAULT, 0o444),
    "keys/recipients.note": (D, users.VAULT, 0o444),
    "keys/recorder.key": (R, users.RUN, 0o400),
    "keys/ami.secret": (R, users.RUN, 0o400),
    "keys/phones.toml": (R, users.RUN, 0o400),
    "keys/log.key": (R, users.LOG, 0o440),
    "vault": (R, users.VAULT, 0o2750),
    "vault/keys.slots": (R, users.VAULT, 0o660),
    "vault/segments": (R, users.VAULT, 0o2750),
    "vault/calls": (R, users.VAULT, 0o2750),
    "vault/steps": (R, users.VAULT, 0o2750),
    "vault/witness": (R, users.VAULT, 0o2750),
    "vault/kept": (D, users.VAULT, 0o2750),
    "vault/held": (D, users.VAULT, 0o2750),
    "vault/statements": (D, users.VAULT, 0o2750),
    "vault/outbox": (R, users.VAULT, 0o2750),
    "vault/outbox/log": (R, users.VAULT, 0o2770),
    "vault/outbox/index": (R, users.VAULT, 0o2770),
    "log": (R, users.LOG, 0o2770),
    "log/access.db": (R, users.LOG, 0o660),
    "run": (R, users.RUN, 0o2750),
    "gate": ("kikitori-gate", "asterisk", 0o2750),
    "desk": (D, users.VAULT, 0o700),
    "hours": (D, users.VAULT, 0o755),
    "spool": ("root", "root", 0o755),
    "spool/audio": (R, users.SPOOL, 0o2770),
    "spool/open": (R, users.SPOOL, 0o700),
}


@pytest.fixture(params=[0o022, 0o077, 0o000])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def init(folder: Path) -> setup.Made:
    return setup.init(folder, passphrase="correct horse", pbx="pbx1", now=START, work_factor=10, mount=False)


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    with ram_folder() as folder:
        yield folder


def expected(row: tuple[str, str, int]) -> tuple[str, str, int]:
    return row if ROOT else ("", "", row[2])


def listed(path: Path) -> tuple[str, str, int]:
    status = path.stat()
    if not ROOT:
        return "", "", stat.S_IMODE(status.st_mode)
    return pwd.getpwuid(status.st_uid).pw_name, grp.getgrgid(status.st_gid).gr_name, stat.S_IMODE(status.st_mode)


@pytest.mark.rule("B-12")
@pytest.mark.usefixtures("umask")
def test_everyone_can_reach_what_is_theirs_and_no_more(tmp_path: Path) -> None:
    folder = tmp_path / "site"
    init(folder)
    found = {str(path.relative_to(folder)): listed(path) for path in [folder, *folder.rglob("*")]}
    policies = {name: found.pop(name) for name in list(found) if name.startswith("policies")}
    escrow = found.pop("mirror/escrow/epoch-0001.escrow.age")
    assert found == {name: expected(row) for name, row in TABLE.items()}
    assert escrow[2] == 0o600
    assert all(mode & 0o444 == 0o444 for _, _, mode in policies.values())


def test_what_it_made_works(tmp_path: Path) -> None:
    made = init(tmp_path / "a/site")
    assert (made.folder, made.mounted) == (tmp_path / "a/site", False)
    settings = load(made.folder / "kikitori.toml", {}).settings
    assert settings.site.pbx == "pbx1"
    assert settings.paths.vault == made.folder / "vault"
    identity = keys.unlock(made.folder / "keys", 1, "correct horse")
    assert str(identity.recipient) == made.recipient
    with (made.folder / "mirror/escrow/epoch-0001.escrow.age").open("rb") as sealed:
        opened = b"".join(decrypt(sealed, [Identity.parse(made.escrow_identity)]))
    assert str(identity).encode() in opened
    with AccessLog(made.folder / "log/access.db") as access:
        assert access.head().size == 0
    for path in made.folder.rglob("*"):
        if path.is_file():
            assert made.escrow_identity.encode() not in path.read_bytes()
            assert b"correct horse" not in path.read_bytes()


def test_everything_is_durable_before_anybody_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there: list[set[Path]] = []
    monkeypatch.setattr(os, "sync", lambda: there.append(set(tmp_path.rglob("*"))))
    init(tmp_path / "site")
    assert there == [set(tmp_path.rglob("*"))]


def test_secrets_are_not_the_same_twice(tmp_path: Path) -> None:
    made = [init(tmp_path / name).folder for name in ("one", "two")]
    for name in ("ami.secret", "phones.toml", "recorder.key", "log.key"):
        first, second = ((folder / "keys" / name).read_text() for folder in made)
        assert first != second


@pytest.mark.rule("B-12")
@pytest.mark.usefixtures("umask")
def test_no_secret_is_ever_open_to_others_on_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys_folder, own = tmp_path / "site/keys", users.own
    open_when: list[set[str]] = []

    def watching(path: Path, *args: Any) -> None:
        if keys_folder.exists():
            mode = {file.name: stat.S_IMODE(file.stat().st_mode) for file in keys_folder.iterdir()}
            assert not {name for name in ("ami.secret", "phones.toml", "recorder.key") if mode.get(name, 0) & 0o077}
            if keys_folder.stat().st_mode & 0o007:
                open_when.append({name for name, bits in mode.items() if bits & 0o200})
        own(path, *args)

    monkeypatch.setattr(users, "own", watching)
    init(tmp_path / "site")
    # Once the folder is open, no file in it waits for its owner and mode.
    assert open_when
    assert set().union(*open_when) == set()


def test_a_folder_that_is_not_empty_is_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("x")
    with pytest.raises(InitError, match="not empty"):
        init(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


def test_an_installation_is_never_overwritten(tmp_path: Path) -> None:
    init(tmp_path)
    before = (tmp_path / "keys/recipients.note").read_bytes()
    with pytest.raises(InitError, match="never overwritten"):
        init(tmp_path)
    assert (tmp_path / "keys/recipients.note").read_bytes() == before


STEPS = [
    "keys.create",
    "_keys",
    "_vault",
    "AccessLog",
    "users.own",
    "shutil.copytree",
    "_settings_text",
    "load",
    "prepare_spool",
]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("step", STEPS)
def test_a_failure_halfway_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, error: BaseException
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    for folder, fresh in ((tmp_path / "new", True), (tmp_path / "empty", False)):
        if not fresh:
            folder.mkdir()
        with monkeypatch.context() as broken:
            broken.setattr(f"cti.setup.{step}", fail)
            with pytest.raises(type(error)):
                init(folder)
        assert folder.exists() is not fresh
        assert fresh or not list(folder.iterdir())


def test_the_spool_is_made_again_after_ram_forgot_it(tmp_path: Path) -> None:
    for _ in range(2):
        setup.prepare_spool(tmp_path / "spool", Settings())
    assert listed(tmp_path / "spool/audio") == expected((R, users.SPOOL, 0o2770))
    assert listed(tmp_path / "spool/open") == expected((R, users.SPOOL, 0o700))
