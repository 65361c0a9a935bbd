"""A call that a person hears by an account of their own, and that 運営会社 does not hear."""

import asyncio
import json
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyotp
import pytest
import pytest_asyncio
import soundfile

from cti.app.clock import wall_clock
from cti.app.desk import accounts_at, build_desk
from cti.desk import closing
from policies.rights import Role
from recorder.access.accounts import INSTALLER, Accounts
from recorder.access.credentials import seed
from recorder.access.entry import Entry
from recorder.access.log import AccessLog
from recorder.vault.epochs import foreign
from recorder.vault.keys import unlock, unlock_manager
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


def logged(house: House) -> list[Entry]:
    """What the access log has; reading it is for who has an account, too."""
    with AccessLog(house.lab.settings.paths.log / "access.db") as access:
        return list(access.entries())


async def watched(house: House) -> None:
    """A call comes, is recorded and goes, and whoever is signed in sees each of it."""
    state = str(house.lab.folder / "state")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cti.cli", "--config", str(house.lab.config), "calls", "live", "--json",
        stdout=asyncio.subprocess.PIPE, env={"PATH": "/usr/bin:/bin", "XDG_STATE_HOME": state},
    )  # fmt: skip
    assert process.stdout is not None
    lines = process.stdout

    async def seen() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(await asyncio.wait_for(lines.readline(), 30))["calls"]
        return found

    try:
        assert await seen() == []
        async with house.call_in(5.0) as live:
            await live.talking()
            while not (told := await seen()) or not told[0]["recorded"]:
                assert len(told) <= 1
            assert told[0]["caller"] == live.call.party
            assert len(told[0]["phones"]) >= 1
        while await seen():
            continue
    finally:
        process.kill()
        await process.wait()


def play(house: House, office: Office, account: str, recording: str, out: Path) -> subprocess.CompletedProcess[str]:
    who = proof(house, office, account)
    return kikitori(house, "play", recording, "--purpose", "quality", "-o", str(out), "--by", account, *who)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def people(house_with_service: House) -> Office:
    """課長, 担当課長代理, 職員 and 運営会社 can sign in; nobody holds a key."""
    office = Office()
    async with closing(await build_desk(house_with_service.lab.settings, office.now, "accounts")) as desk:
        accounts = accounts_at(desk, office.now)
        await office.join(accounts, "tanaka", Role.MANAGER, INSTALLER)
        for account, role in (("mori", Role.DEPUTY), ("sato", Role.STAFF), ("gyosha", Role.CONTRACTOR)):
            await office.join(accounts, account, role, "tanaka")
    return office


async def granted(house: House, office: Office, *names: str) -> None:
    """The vault's keys, and 課長 the one that signs."""
    keys = house.lab.settings.paths.keys
    async with closing(await build_desk(house.lab.settings, office.now, "accounts")) as desk:
        grants, signer = accounts_at(desk, office.now).grants, unlock_manager(keys, PASSPHRASE)
        for name in names:
            await grants.give_all(name, {1: unlock(keys, 1, PASSPHRASE)}, signer, by="tanaka")


@pytest.mark.rule("B-06", "B-07", "B-08")
async def test_staff_hear_and_a_contractor_does_not(house_with_service: House, people: Office) -> None:
    house, office = house_with_service, people
    async with house.call_in(4.0) as live:
        await live.talking()
    await house.lab.idle()
    kept = house.of(live.call)
    heard = house.lab.folder / "heard.wav"
    early = play(house, office, "sato", kept.recording, heard)
    assert (early.returncode, heard.exists()) == (77, False), early.stderr
    assert "sato holds none of epoch 1" in early.stderr
    await granted(house, office, "sato")
    spent = office.code("sato")
    await house.lab.until(lambda: office.code("sato") != spent, 32, "the code stays the same")
    done = play(house, office, "sato", kept.recording, heard)
    assert done.returncode == 0, done.stderr
    sound, _rate = soundfile.read(heard, dtype="int16")
    assert np.array_equal(sound, kept.sound)
    refused = play(house, office, "gyosha", kept.recording, house.lab.folder / "never.wav")
    assert (refused.returncode, (house.lab.folder / "never.wav").exists()) == (77, False)
    assert "gyosha is 運営会社, who may not" in refused.stderr
    entries = [(entry.actor, entry.action) for entry in logged(house)]
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
    await watched(house)
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
    heard_over_api = [entry.detail for entry in logged(house) if entry.action == "play.result"][-1]
    assert heard_over_api["outcome"] == "done"
    assert heard_over_api["heard"] == pytest.approx(len(sound) / rate)


@pytest.mark.rule("B-03", "B-12", "B-30")
async def test_the_keys_are_changed_in_the_middle_of_a_call(house_with_service: House, people: Office) -> None:
    """What was recorded before, what is being recorded, what comes after: heard by the new key, none by the old."""
    house, office = house_with_service, people
    settings = house.lab.settings
    old = unlock(settings.paths.keys, 1, PASSPHRASE)
    await granted(house, office, "tanaka", "mori", "sato")
    async with house.call_in(3.0) as before:
        await before.talking()
    await house.lab.idle()
    async with house.call_in(12.0) as meanwhile:
        await meanwhile.talking()
        await house.lab.until(house.vault.unfinished, 10, "its first segment is open")
        done = await asyncio.to_thread(
            kikitori, house, "vault", "rotate", "--by", "tanaka", *proof(house, office, "tanaka"),
            "--passphrase-file", str(house.lab.passphrase_file), "--json",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    async with house.call_in(3.0) as after:
        await after.talking()
    await house.lab.idle()
    rotated = json.loads(done.stdout)
    assert (rotated["epoch"], rotated["kept"], rotated["foreign"], rotated["lost"]) == (2, False, [], [])
    assert sorted(rotated["holders"]) == ["mori", "sato", "tanaka"]
    assert not list(settings.paths.keys.glob("epoch-*"))
    async with closing(await build_desk(settings, wall_clock, "accounts")) as desk:
        accounts = accounts_at(desk, wall_clock)
        who = await accounts.sign_in("sato", PASSWORD, office.code("sato"), "console")
        held = await accounts.grants.held(who)
    house.opens_by(held.identities[2])
    house.whole(before.call, meanwhile.call, after.call)
    assert [house.of(one.call).parts[0].manifest.epoch for one in (before, meanwhile, after)] == [1, 1, 2]
    assert not foreign(house.vault.slots, range(house.vault.slots.count()), [held.identities[2]])
    everything = range(house.vault.slots.count())
    assert foreign(house.vault.slots, everything, [old]) == list(everything)
    checked = kikitori(house, "verify", "--all", "--open", "--by", "mori", *proof(house, office, "mori"), "--json")
    assert json.loads(checked.stdout.splitlines()[-1])["problems"] == 0, checked.stdout
