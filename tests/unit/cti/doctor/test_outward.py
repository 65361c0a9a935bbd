"""Looking at what the desk needs to tell other systems, with the desk's own rights."""

import os
import pwd
from pathlib import Path

import pytest

from cti.doctor import outward
from cti.doctor.machine import TargetSeen
from cti.doctor.seen import Unseen
from cti.outward import signing
from cti.settings import Settings, at
from policies.load import shipped
from tests.unit.cti.ami.test_tls import Ca
from tests.unit.recorder.rig import ram_folder

ROOT = os.geteuid() == 0
DESK = "nobody" if ROOT else pwd.getpwuid(os.geteuid()).pw_name


class Site:
    """A folder that the desk's user may enter, and a policy that names one destination."""

    def __init__(self, folder: Path) -> None:
        folder.chmod(0o755)
        self.folder = folder
        found = at(Settings(), folder)
        self.settings = found.model_copy(update={
            "users": found.users.model_copy(update={"desk": DESK}),
            "paths": found.paths.model_copy(update={"policies": folder}),
        })  # fmt: skip

    def policy(self, text: str) -> None:
        head = (shipped() / "outward.toml").read_text().partition("# [[destination]]")[0]
        (self.folder / "outward.toml").write_text(f'{head}[[destination]]\nname = "portal"\n{text}\n')

    def secret(self, text: str = signing.made(bytes(32)), mode: int = 0o400) -> None:
        file = self.folder / "secret"
        file.unlink(missing_ok=True)
        file.write_text(f"{text}\n")
        self.give(file, mode)

    def give(self, path: Path, mode: int) -> None:
        path.chmod(mode)
        if ROOT:
            os.chown(path, pwd.getpwnam(DESK).pw_uid, -1)

    def seen(self) -> TargetSeen:
        found = outward.look(self.settings)
        assert not isinstance(found, Unseen), found.why
        (one,) = found
        return one

    def wrong(self) -> dict[str, str]:
        return {field: problem for field, problem in self.seen().wrong.items() if isinstance(problem, str)}


@pytest.fixture
def site() -> object:
    with ram_folder() as folder:
        yield Site(folder)


def webhook(site: Site, more: str = "") -> None:
    site.policy(f'url = "https://192.0.2.20/"\nsecret_file = "{site.folder}/secret"\n{more}')


@pytest.mark.rule("B-04")
def test_a_secret_is_there_and_is_one(site: Site) -> None:
    webhook(site)
    assert "No such file" in site.wrong()["secret_file"]
    site.secret()
    assert site.wrong() == {}
    for text, said in (("a secret", "holds no secret"), ("whsec_x", "is not base64"), ("whsec_eA==", "24 to 64 bytes")):
        site.secret(text)
        assert said in site.wrong()["secret_file"]
    site.secret(mode=0o640)
    assert [field for field, _problem in outward._open(site.seen())] == ["secret_file"]
    site.policy(f'kind = "zammad"\nurl = "https://192.0.2.21"\ncustomer = "a@b"\nsecret_file = "{site.folder}/secret"')
    site.secret("a-token-of-zammad")
    assert site.wrong() == {}


@pytest.mark.skipif(not ROOT, reason="only root can look as somebody else")
def test_what_root_reads_and_the_desk_does_not_is_said(site: Site) -> None:
    webhook(site)
    site.secret()
    os.chown(site.folder / "secret", 0, 0)
    assert "Permission denied" in site.wrong()["secret_file"]


def test_the_authority_is_one(site: Site, tmp_path: Path) -> None:
    site.secret()
    webhook(site, f'ca = "{site.folder}/ca.pem"')
    assert "ca.pem" in site.wrong()["ca"]
    (site.folder / "ca.pem").write_text("nothing")
    assert "ca.pem" in site.wrong()["ca"]
    (site.folder / "ca.pem").write_bytes(Ca(tmp_path, "bureau").file.read_bytes())
    site.give(site.folder / "ca.pem", 0o444)  # whatever the umask is
    assert site.wrong() == {}


@pytest.mark.rule("B-04")
def test_the_folder_is_one_that_the_desk_writes_into(site: Site) -> None:
    there = site.folder / "exchange"
    site.policy(f'kind = "folder"\nfolder = "{there}"\ncontent = "full"')
    assert "No such file" in site.wrong()["folder"]
    there.write_text("")
    assert "Not a directory" in site.wrong()["folder"]
    there.unlink()
    there.mkdir()
    site.give(there, 0o2750)
    seen = site.seen()
    assert (seen.wrong, outward._open(seen), list(there.iterdir())) == ({}, [], [])
    site.give(there, 0o2755)
    assert [field for field, _problem in outward._open(site.seen())] == ["folder"]
    site.policy(f'kind = "folder"\nfolder = "{there}"')
    assert outward._open(site.seen()) == [], "nothing of a customer lies there"
    if ROOT:
        os.chown(there, 0, 0)
        assert "Permission denied" in site.wrong()["folder"]
    there.rename(site.folder / "elsewhere")
    there.symlink_to(site.folder / "elsewhere")
    assert "symbolic link" in site.wrong()["folder"]


def test_what_the_policy_does_not_allow_is_said_with_the_place(site: Site) -> None:
    site.policy(f'url = "http://192.0.2.20/"\nsecret_file = "{site.folder}/secret"')
    found = outward.look(site.settings)
    assert isinstance(found, Unseen)
    assert "begins with http://" in found.why


def test_a_user_whom_there_is_not_is_no_mistake_of_the_policy(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    webhook(site)
    site.settings = site.settings.model_copy(update={
        "users": site.settings.users.model_copy(update={"desk": "no-such-user"})
    })  # fmt: skip
    assert all(isinstance(problem, Unseen) for problem in site.seen().wrong.values())
