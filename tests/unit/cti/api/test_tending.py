"""The keys over the API: asked for, at a sign-in when it is time, while somebody listens."""

from datetime import timedelta
from typing import Any

import pytest

from policies.rights import Role
from recorder.access.tables import SIGNING
from recorder.vault import keys
from recorder.vault.age import Identity
from recorder.vault.folder import Writer
from tests.unit.cti.api.conftest import Api
from tests.unit.cti.office import BOTH, samples
from tests.unit.recorder.rig import uuid

TWO = uuid("two")


async def state(api: Api) -> Any:
    await api.service.tending.settled()
    return (await api.ask("tanaka", "GET", "/v1/keys")).json()


async def play(api: Api, account: str) -> str:
    answer = await api.ask(account, "POST", f"/v1/recordings/{TWO}/plays", json={"purpose": "quality"})
    assert answer.status_code == 201, answer.text
    name: str = answer.json()["play"]
    return name


async def audio(api: Api, account: str, name: str) -> bytes:
    answer = await api.ask(account, "GET", f"/v1/plays/{name}/audio")
    assert answer.status_code == 200, answer.text
    return samples(answer.content)


@pytest.mark.rule("B-30")
async def test_who_listens_goes_on_while_the_keys_are_changed_and_after(api: Api) -> None:
    begun = await play(api, "sato")
    answer = await api.ask("tanaka", "POST", "/v1/keys/rotation")
    assert (answer.status_code, answer.json()["by"]) == (202, "tanaka")
    now = await state(api)
    assert (now["epoch"], now["epochs"], now["due"], now["tested"], now["foreign"]) == (2, [2], False, 6, [])
    assert {key: now["rotation"][key] for key in ("running", "moved", "looked", "of", "kept", "problem")} == {
        "running": False, "moved": 6, "looked": 12, "of": 12, "kept": False, "problem": None,
    }  # fmt: skip
    assert {one["account"] for one in now["holders"] if one["epoch"] == 2} == {"tanaka", "mori", "sato", "kato"}
    assert await audio(api, "sato", begun) == BOTH["two"]
    assert await audio(api, "sato", await play(api, "sato")) == BOTH["two"]
    assert (await api.ask("sato", "GET", "/v1/session")).json()["epochs"] == [2]


async def test_when_it_is_time_the_manager_s_sign_in_begins_it_and_nobody_else_s(api: Api) -> None:
    api.office.desk.now = api.now
    api.at += timedelta(days=31)
    await api.sign_in("sato")
    await api.service.tending.settled()
    assert keys.load_recipients(api.office.desk.keys).epoch == 1
    await api.sign_in("tanaka")
    now = await state(api)
    assert (now["epoch"], now["rotation"]["by"]) == (2, "tanaka")
    await api.sign_in("tanaka")
    assert (await state(api))["epoch"] == 2


async def test_without_the_signing_key_it_is_due_and_stays_so(api: Api) -> None:
    api.office.desk.now = api.now
    await api.service.guard.accounts.grants.revoke("tanaka", by="tanaka")
    identity = keys.unlock(api.office.desk.keys, 1, "correct horse battery")
    await api.service.guard.accounts.grants.give("tanaka", 1, identity, by="tanaka")
    api.at += timedelta(days=31)
    now = await state(api)
    assert (now["epoch"], now["due"], now["rotation"]) == (1, True, None)
    answer = await api.ask("tanaka", "POST", "/v1/keys/rotation")
    assert (answer.status_code, answer.json()["code"]) == (409, "rotation")
    assert "does not hold the signing key" in answer.json()["detail"]


async def test_a_second_one_is_refused_while_one_goes_on(api: Api) -> None:
    await api.sign_in("tanaka")
    await api.service.tending.settled()
    first = await api.ask("tanaka", "POST", "/v1/keys/rotation")
    second = await api.ask("tanaka", "POST", "/v1/keys/rotation")
    assert (first.status_code, second.status_code) == (202, 409)
    assert (await state(api))["epoch"] == 2


async def test_a_swapped_recipient_shows_at_the_next_sign_in(api: Api) -> None:
    thief = Identity.generate()
    signer = keys.load_signer(api.office.desk.keys / "recorder.key")
    stolen = Writer(api.office.vault, to=lambda: (1, thief.recipient), signer=signer).new_key()
    await api.sign_in("kato")
    now = await state(api)
    assert (now["tested"], now["foreign"]) == (7, [stolen.slot])
    assert {one["actor"] for one in api.entries("keys.tested")} == {"kato"}


@pytest.mark.rule("B-06")
async def test_the_signing_key_goes_to_a_manager_and_to_nobody_else(api: Api) -> None:
    accounts = api.service.guard.accounts
    await accounts.issue("yamada", name="山田", role=Role.MANAGER, section=None, by="tanaka")
    for account in ("yamada", "sato"):
        assert (await api.ask("tanaka", "PUT", f"/v1/keys/{account}")).status_code == 200
    signing = {one.account for one in await accounts.grants.all() if one.epoch == SIGNING}
    assert signing == {"tanaka", "yamada"}
