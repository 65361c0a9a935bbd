"""What an attacker tried, each as he tried it: by the database, by waiting, by asking in another way."""

import asyncio
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import insert, select

from cti.api import hearing, server
from recorder.access import tables
from recorder.access.errors import LogWriteError
from recorder.access.log import AccessLog
from recorder.catalogue import recordings as catalogue
from recorder.catalogue import segments
from tests.unit.cti.api.conftest import Api, Served
from tests.unit.cti.api.test_sound import DISCLOSURE, begun, register, running, spoil
from tests.unit.recorder.rig import RATE, uuid

ONE, THREE = uuid("one"), uuid("three")


async def until(holds: Callable[[], bool]) -> None:
    for _ in range(500):
        if holds():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never holds")


@pytest.mark.rule("B-07")
@pytest.mark.parametrize("name", [THREE[:2] + "*", THREE[:8] + "?" * 28, f"[{THREE[0]}]{THREE[1:]}"])
async def test_a_pattern_in_the_catalogue_opens_no_recording_under_another_name(api: Api, name: str) -> None:
    engine = api.office.desk.catalogue.engine
    async with engine.begin() as connection:
        for table, key in ((segments, "name"), (catalogue, "recording")):
            wanted = select(table).where(table.c.recording == THREE).limit(1)
            row = dict((await connection.execute(wanted)).mappings().one())
            await connection.execute(insert(table).values(row | {"recording": name[:36], key: name[:36]}))
    answer = await api.ask("sato", "POST", f"/v1/recordings/{name[:2]}/plays", json={"purpose": "quality"})
    exact = api.service.desk
    with pytest.raises(Exception, match=r"no recording|is that of"):
        exact.open(name[:36], 0, None)
    assert answer.status_code != 201 or api.entries("play.intent")[-1]["object"] == THREE


@pytest.mark.rule("B-07")
async def test_a_level_is_a_picture_and_no_sound_and_the_log_has_it(api: Api) -> None:
    made = await begun(api, "three", **{"from": 0, "to": 0.5})
    found = (await api.ask("sato", "GET", f"/v1/plays/{made['play']}/level", params={"points": 2000})).json()
    assert len(found["left"]) == 5
    await api.ask("sato", "DELETE", f"/v1/plays/{made['play']}")
    assert api.entries("play.result")[-1]["levels"] == 1


@pytest.mark.rule("B-06", "B-07")
async def test_who_waits_for_an_export_is_looked_at_again(api: Api) -> None:
    await api.sign_in("sato")
    await api.service.exporting.acquire()
    body = {"purpose": "content", "format": "wav"}
    waiting = asyncio.create_task(api.ask("sato", "POST", f"/v1/recordings/{ONE}/exports", json=body))
    await until(lambda: bool(api.service.exporting._waiters))
    await api.service.guard.accounts.end("sato", by="tanaka", reason="異動")
    api.service.exporting.release()
    assert (await waiting).status_code == 401
    assert not api.entries("export.intent")
    assert not api.service.exporting.locked()


@pytest.mark.rule("B-06")
async def test_a_session_that_ends_while_a_play_begins_hears_nothing(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    await api.sign_in("sato")
    begin = hearing.Hearings.begin

    async def late(self: hearing.Hearings, session: Any, *what: Any, **how: Any) -> hearing.Hearing:
        await api.service.end(session, "meanwhile")
        return await begin(self, session, *what, **how)

    monkeypatch.setattr(hearing.Hearings, "begin", late)
    answer = await api.ask("sato", "POST", f"/v1/recordings/{ONE}/plays", json={"purpose": "quality"})
    assert answer.status_code == 401
    assert not api.service.hearings.all()
    assert api.entries("play.result")[-1]["outcome"] == "interrupted"


@pytest.mark.rule("B-28")
async def test_what_was_opened_at_a_terminal_is_heard_nowhere_else(api: Api) -> None:
    register(api, "192.0.2.10")
    made = await begun(api, **DISCLOSURE)
    assert (await api.ask("sato", "GET", made["audio"])).status_code == 200
    register(api, "192.0.2.11")
    elsewhere = await api.ask("sato", "GET", made["audio"])
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (403, "disclosure")
    await api.service.look()
    assert not api.service.hearings.all()


@pytest.mark.rule("B-06", "B-28")
async def test_a_witness_that_only_the_database_knows_is_none(api: Api) -> None:
    register(api, "192.0.2.10")
    async with api.office.desk.catalogue.engine.begin() as connection:
        for table, key in ((tables.accounts, "id"), (tables.credentials, "account")):
            row = dict((await connection.execute(select(table).where(table.c[key] == "mori"))).mappings().one())
            await connection.execute(insert(table).values(row | {key: "ghost"}))
    answer = await api.ask("sato", "POST", f"/v1/recordings/{ONE}/plays", json=DISCLOSURE | {"witness": "ghost"})
    assert (answer.status_code, answer.json()["code"]) == (403, "disclosure")


@pytest.mark.rule("B-06")
async def test_a_key_that_was_taken_away_and_put_back_by_sql_opens_nothing(api: Api) -> None:
    engine = api.office.desk.catalogue.engine
    async with engine.connect() as connection:
        kept = dict(
            (await connection.execute(select(tables.grants).where(tables.grants.c.account == "sato"))).mappings().one()
        )
    await api.sign_in("sato")
    await api.service.guard.accounts.grants.revoke("sato", by="tanaka")
    async with engine.begin() as connection:
        await connection.execute(insert(tables.grants).values(kept))
    for _ in range(2):
        answer = await api.ask("sato", "POST", f"/v1/recordings/{ONE}/plays", json={"purpose": "quality"})
        assert (answer.status_code, answer.json()["code"]) == (403, "no-key-held")
        await api.sign_in("sato")
    assert api.entries("account.signed-in")[-1]["unusable"] == [1]


@pytest.mark.rule("B-07")
async def test_a_line_that_could_not_be_written_is_written_when_it_can(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, sent = await running(api)

    def full(*_arguments: Any, **_more: Any) -> None:
        raise LogWriteError("no room")

    with monkeypatch.context() as broken:
        broken.setattr(AccessLog, "append", full)
        answer = await api.ask("sato", "DELETE", f"/v1/plays/{one.name}")
        assert answer.status_code == 503
        await api.service.end(one.session, "signed out")
        with pytest.raises(Exception, match="goes on"):
            next(sent)
    assert not api.entries("play.result")
    await api.service.look()
    (result,) = api.entries("play.result")
    assert (result["seconds"], one.over) == (4.0, True)


@pytest.mark.rule("B-07")
async def test_whoever_looks_at_one_recording_after_the_other_is_in_the_log(api: Api) -> None:
    for name in (ONE, THREE):
        assert (await api.ask("kato", "GET", f"/v1/recordings/{name}")).status_code == 200
    assert [(entry["actor"], entry["object"]) for entry in api.entries("recordings.shown")] == [
        ("kato", ONE), ("kato", THREE)
    ]  # fmt: skip


@pytest.mark.rule("A-04")
async def test_who_may_not_learns_not_what_there_is(api: Api) -> None:
    for name in (ONE, "00000000-0000-0000-0000-000000000000"):
        answer = await api.ask("gyosha", "POST", f"/v1/recordings/{name}/plays", json={"purpose": "quality"})
        assert (answer.status_code, answer.json()["code"]) == (403, "not-entitled")


async def test_damage_is_a_problem_from_the_first_byte_on_too(api: Api) -> None:
    spoil(api)
    made = await begun(api, "one")
    answer = await api.ask("sato", "GET", made["audio"])
    assert (answer.status_code, answer.json()["code"]) == (500, "payload")


async def test_many_short_pieces_do_not_hide_the_long_one(api: Api) -> None:
    made = await begun(api)
    for place in range(hearing.LISTED + 5):
        at = 44 + place * 80
        await api.ask("sato", "GET", made["audio"], headers={"Range": f"bytes={at}-{at + 3}"})
    at = 44 + 4 * 6 * RATE
    await api.ask("sato", "GET", made["audio"], headers={"Range": f"bytes={at}-"})
    await api.ask("sato", "DELETE", f"/v1/plays/{made['play']}")
    (result,) = api.entries("play.result")
    assert [6.0, 12.0] in result["parts"]
    assert (len(result["parts"]), result["parts_in_all"]) == (hearing.LISTED, hearing.LISTED + 6)


@pytest.mark.parametrize("text", ["\x1b[31mR8", "R8\nplay", "x" * 65, ""])
async def test_a_request_s_number_is_no_place_for_other_things(api: Api, text: str) -> None:
    body = {"purpose": "quality", "request": text}
    answer = await api.ask("sato", "POST", f"/v1/recordings/{ONE}/plays", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "not-valid")


async def test_a_handshake_that_is_not_begun_is_not_waited_for(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """`PATIENCE` was read when it began to listen: what holds is that it ends, long before asyncio's own minute."""
    silent = socket.create_connection(("127.0.0.1", served.port))
    silent.settimeout(server.PATIENCE + 5)
    begun_at = time.monotonic()
    assert await asyncio.to_thread(silent.recv, 1) == b""
    assert time.monotonic() - begun_at < server.PATIENCE + 4
    silent.close()
