"""A call that a person hears by an account of their own, and that 運営会社 does not hear."""

import json
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyotp
import pytest
import soundfile

from cti.app.clock import wall_clock
from cti.app.desk import accounts_at, build_desk
from cti.desk import closing
from policies.rights import Role
from recorder.access.accounts import INSTALLER, Accounts
from recorder.access.credentials import seed
from recorder.vault.keys import unlock
from tests.real import PASSPHRASE, House

pytestmark = pytest.mark.asyncio(loop_scope="module")

PASSWORD = "雨の日は 傘を二本持って出る"


class Office:
    """People whose codes are those of a clock that runs ten minutes late: none is used up for now."""

    def __init__(self) -> None:
        self.seeds: dict[str, str] = {}

    def now(self) -> datetime:
        return wall_clock() - timedelta(minutes=10)

    async def join(self, accounts: Accounts, account: str, role: Role, by: str) -> None:
        self.seeds[account] = seed()
        secret = await accounts.issue(account, name="佐藤 花子", role=role, section=None, by=by)
        code = pyotp.TOTP(self.seeds[account]).at(self.now())
        await accounts.enrol(account, secret, PASSWORD, self.seeds[account], code, "console")

    def code(self, account: str) -> str:
        return pyotp.TOTP(self.seeds[account]).at(wall_clock())


def kikitori(house: House, *command: str) -> subprocess.CompletedProcess[str]:
    """As somebody at a terminal of the host types it."""
    return subprocess.run(
        [sys.executable, "-m", "cti.cli", "--config", str(house.lab.config), *command],
        check=False, capture_output=True, text=True,
        env={"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin", "XDG_STATE_HOME": str(house.lab.folder / "state")},
    )  # fmt: skip


def proof(house: House, office: Office, account: str) -> tuple[str, ...]:
    password = house.lab.folder / "password"
    password.write_text(f"{PASSWORD}\n", "utf-8")
    password.chmod(0o600)  # of whoever types: the desk's user cannot read it
    return ("--password-file", str(password), "--code", office.code(account))


def play(house: House, office: Office, account: str, recording: str, out: Path) -> subprocess.CompletedProcess[str]:
    who = proof(house, office, account)
    return kikitori(house, "play", recording, "--purpose", "quality", "-o", str(out), "--by", account, *who)


@pytest.mark.rule("B-06", "B-07", "B-08")
async def test_staff_hear_and_a_contractor_does_not(house_with_service: House) -> None:
    house, office = house_with_service, Office()
    async with house.call_in(4.0) as live:
        await live.talking()
    await house.lab.idle()
    kept, settings = house.of(live.call), house.lab.settings
    identity = unlock(settings.paths.keys, 1, PASSPHRASE)
    async with closing(await build_desk(settings, office.now, "accounts")) as desk:
        accounts = accounts_at(desk, office.now)
        await office.join(accounts, "tanaka", Role.MANAGER, INSTALLER)
        await office.join(accounts, "sato", Role.STAFF, "tanaka")
        await office.join(accounts, "gyosha", Role.CONTRACTOR, "tanaka")
        heard = house.lab.folder / "heard.wav"
        early = play(house, office, "sato", kept.recording, heard)
        assert (early.returncode, heard.exists()) == (77, False), early.stderr
        assert "sato holds none of epoch 1" in early.stderr
        await accounts.grants.give("sato", 1, identity, by="tanaka")
    spent = office.code("sato")
    await house.lab.until(lambda: office.code("sato") != spent, 32, "the code stays the same")
    done = play(house, office, "sato", kept.recording, heard)
    assert done.returncode == 0, done.stderr
    sound, _rate = soundfile.read(heard, dtype="int16")
    assert np.array_equal(sound, kept.sound)
    refused = play(house, office, "gyosha", kept.recording, house.lab.folder / "never.wav")
    assert (refused.returncode, (house.lab.folder / "never.wav").exists()) == (77, False)
    assert "gyosha is 運営会社, who may not" in refused.stderr
    entries = [(entry["actor"], entry["action"]) for entry in house.lab.rows("audit", "list")]
    assert ("sato", "play.intent") in entries
    assert ("gyosha", "act.denied") in entries
    assert ("gyosha", "play.intent") not in entries
    by_passphrase = kikitori(
        house, "play", kept.recording, "--purpose", "quality", "-o", str(house.lab.folder / "never.wav"),
        "--passphrase-file", str(house.lab.passphrase_file),
    )  # fmt: skip
    assert (by_passphrase.returncode, (house.lab.folder / "never.wav").exists()) == (77, False)
    assert "people have accounts here" in by_passphrase.stderr
    assert kikitori(house, "recordings", "list").returncode == 77

    # By a session at the desk, over TLS.
    await house.lab.until(lambda: office.code("sato") != spent, 32, "the code stays the same")
    spent = office.code("sato")
    await house.lab.until(lambda: office.code("sato") != spent, 32, "the code stays the same")
    signed_in = kikitori(house, "login", "sato", *proof(house, office, "sato"))
    assert signed_in.returncode == 0, signed_in.stderr
    assert json.loads(kikitori(house, "whoami", "--json").stdout)["epochs"] == [1]
    rows = [json.loads(line) for line in kikitori(house, "recordings", "list", "--json").stdout.splitlines()]
    assert kept.recording in {row["recording"] for row in rows}
    again = house.lab.folder / "again.wav"
    done = kikitori(house, "play", kept.recording[:8], "--purpose", "content", "--from", "1", "-o", str(again))
    assert done.returncode == 0, done.stderr
    sound, rate = soundfile.read(again, dtype="int16")
    assert np.array_equal(sound, kept.sound[rate:])
    flac = house.lab.folder / "again.flac"
    done = kikitori(house, "export", kept.recording, "--purpose", "content", "--format", "flac", "-o", str(flac))
    assert done.returncode == 0, done.stderr
    assert np.array_equal(soundfile.read(flac, dtype="int16")[0], kept.sound)
    assert kikitori(house, "logout").returncode == 0
    assert kikitori(house, "whoami").returncode == 77
    heard_over_api = [entry["detail"] for entry in house.lab.rows("audit", "list") if entry["action"] == "play.result"][
        -1
    ]
    assert heard_over_api["outcome"] == "done"
    assert heard_over_api["heard"] == pytest.approx(len(sound) / rate)
