"""Recordings over HTTP: found, heard in parts, exported; each by the log, and by nobody else's leave."""

import asyncio
import io
import time
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cti.api import hearing
from cti.api.hearing import Hearing
from cti.errors import NotFoundError
from policies.rights import Role
from recorder.access.errors import LogWriteError
from recorder.vault.age import Identity
from tests.unit.cti.api.conftest import IDS, Api
from tests.unit.cti.office import BOTH, SIDES, decoded, opened, samples
from tests.unit.recorder.rig import RATE, START, uuid

ONE, THREE = uuid("one"), uuid("three")


async def begun(api: Api, name: str = "three", account: str = "sato", **more: Any) -> dict[str, Any]:
    answer = await api.ask(account, "POST", f"/v1/recordings/{uuid(name)}/plays", json={"purpose": "quality"} | more)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def spoil(api: Api) -> None:
    """One bit of the first chunk of recording one."""
    body = api.office.segment("one", 1, "agebody")
    data = bytearray(body.read_bytes())
    data[20] ^= 1
    body.chmod(0o600)
    body.write_bytes(data)


async def test_pages_of_recordings(api: Api) -> None:
    first = (await api.ask("sato", "GET", "/v1/recordings", params={"limit": 2})).json()
    second = (await api.ask("sato", "GET", "/v1/recordings", params={"limit": 2, "cursor": first["next"]})).json()
    rows = first["items"] + second["items"]
    assert sorted(row["recording"] for row in rows) == sorted(uuid(name) for name in SIDES)
    assert all(after["start"] <= before["start"] for before, after in pairwise(rows))
    assert second["next"] is None
    short = (await api.ask("sato", "GET", "/v1/recordings", params={"max_seconds": 4})).json()["items"]
    assert [row["recording"] for row in short] == [ONE]
    later = {"from": (START + timedelta(days=1)).isoformat()}
    assert (await api.ask("sato", "GET", "/v1/recordings", params=later)).json()["items"] == []


@pytest.mark.parametrize(
    ("asked", "count"),
    [
        ({"number": "0664581132"}, 3), ({"number": "0664587160"}, 0), ({"caller": "1"}, 0), ({"callee": "1"}, 0),
        ({"agent": "nobody"}, 0), ({"direction": "out"}, 0), ({"direction": "in"}, 3), ({"min_seconds": 5}, 2),
        ({"min_seconds": 4, "max_seconds": 6}, 1), ({"to": START.isoformat()}, 0),
    ],
)  # fmt: skip
async def test_whatever_is_looked_for_narrows_the_list(api: Api, asked: dict[str, Any], count: int) -> None:
    answer = await api.ask("sato", "GET", "/v1/recordings", params=asked)
    assert len(answer.json()["items"]) == count, answer.text


async def test_gaps_are_told_with_the_play(api: Api) -> None:
    assert (await begun(api, "one"))["gaps"] == []
    shown = (await api.ask("sato", "GET", f"/v1/recordings/{THREE}")).json()
    lost = [{"at": part["starts_at"], "seconds": part["gap"]} for part in shown["parts"] if part["gap"]]
    assert (await begun(api, "three"))["gaps"] == lost


@pytest.mark.rule("B-07")
async def test_a_search_is_in_the_log_without_the_number_that_was_looked_for(api: Api) -> None:
    await api.ask("sato", "GET", "/v1/recordings", params={"caller": "0312345678", "limit": 5})
    entry = api.entries("recordings.searched")[-1]
    assert (entry["actor"], entry["by"]) == ("sato", ["caller"])
    assert "0312345678" not in api.office.log.read_bytes().decode("latin-1")


@pytest.mark.parametrize("cursor", ["x", "W10", "bnVsbA", "WzEsMl0", "é", "../../etc/passwd", "WyJ4Iiwi"])
async def test_a_made_up_cursor_is_refused(api: Api, cursor: str) -> None:
    answer = await api.ask("sato", "GET", "/v1/recordings", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["code"]) == (400, "usage")


@pytest.mark.rule("B-08")
@pytest.mark.parametrize("body", [{}, {"purpose": ""}, {"purpose": "curiosity"}, {"purpose": "quality", "why": "x"}])
async def test_without_a_purpose_of_the_rules_nothing_is_opened(api: Api, body: dict[str, str]) -> None:
    answer = await api.ask("sato", "POST", f"/v1/recordings/{ONE}/plays", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "not-valid")
    assert not api.entries("play.intent")


@pytest.mark.parametrize("name", SIDES)
async def test_the_whole_is_the_recording_sample_by_sample(api: Api, name: str) -> None:
    made = await begun(api, name)
    answer = await api.ask("sato", "GET", made["audio"])
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "audio/wav")
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    assert samples(answer.content) == BOTH[name]


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_any_part_is_that_part_of_the_whole(api: Api, data: st.DataObject) -> None:
    which = data.draw(st.sampled_from(["both", "left", "right"]))
    made = await begun(api, side=which, **{"from": data.draw(st.floats(0, 5)), "to": data.draw(st.floats(6, 20))})
    whole = (await api.ask("sato", "GET", made["audio"])).content
    first = data.draw(st.integers(0, len(whole) - 1))
    last = data.draw(st.integers(first, len(whole) + 10))
    answer = await api.ask("sato", "GET", made["audio"], headers={"Range": f"bytes={first}-{last}"})
    assert answer.status_code == 206
    assert answer.content == whole[first : last + 1]
    assert answer.headers["Content-Range"] == f"bytes {first}-{min(last, len(whole) - 1)}/{len(whole)}"


async def test_beyond_the_end_there_is_nothing(api: Api) -> None:
    made = await begun(api)
    size = 44 + 4 * 12 * RATE
    answer = await api.ask("sato", "GET", made["audio"], headers={"Range": f"bytes={size}-"})
    assert (answer.status_code, answer.headers["Content-Range"]) == (416, f"bytes */{size}")


@pytest.mark.rule("B-07", "B-08")
async def test_the_log_has_the_intent_before_and_what_really_went_out_after(api: Api) -> None:
    made = await begun(api, request="R8-12")
    (intent,) = api.entries("play.intent")
    assert (intent["actor"], intent["object"], intent["purpose"], intent["request"]) == (
        "sato", THREE, "quality", "R8-12"
    )  # fmt: skip
    assert not api.entries("play.result")
    second = 4 * RATE
    for first, last in ((44, 44 + second - 1), (44 + second // 2, 44 + 2 * second - 1), (44 + 5 * second, None)):
        end = "" if last is None else last
        await api.ask("sato", "GET", made["audio"], headers={"Range": f"bytes={first}-{end}"})
    assert (await api.ask("sato", "DELETE", f"/v1/plays/{made['play']}")).status_code == 204
    (result,) = api.entries("play.result")
    assert (result["act"], result["outcome"]) == (intent["act"], "done")
    assert (result["seconds"], result["heard"], result["parts"]) == (1 + 1.5 + 7, 9.0, [[0.0, 2.0], [5.0, 12.0]])
    assert (await api.ask("sato", "GET", made["audio"])).status_code == 404


@pytest.mark.rule("B-07")
async def test_no_log_line_no_audio(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    await api.sign_in("sato")

    def full(*_arguments: Any, **_more: Any) -> None:
        raise LogWriteError("no room")

    monkeypatch.setattr("recorder.access.log.AccessLog.append", full)
    answer = await api.ask("sato", "POST", f"/v1/recordings/{ONE}/plays", json={"purpose": "quality"})
    assert (answer.status_code, answer.json()["code"]) == (503, "log-unavailable")
    export = await api.ask(
        "sato", "POST", f"/v1/recordings/{ONE}/exports", json={"purpose": "content", "format": "wav"}
    )  # fmt: skip
    assert export.status_code == 503
    assert (await api.ask("sato", "GET", "/v1/recordings")).status_code == 503
    assert (await api.ask("tanaka", "GET", "/v1/session")).status_code == 503 if "tanaka" in api.tokens else True


async def test_what_is_not_asked_for_any_more_gets_its_line(api: Api) -> None:
    made = await begun(api)
    await api.ask("sato", "GET", made["audio"])
    await api.service.hearings.expire(time.monotonic() + hearing.IDLE + 1)
    (result,) = api.entries("play.result")
    assert (result["outcome"], result["seconds"]) == ("done", 12.0)


async def test_who_listens_is_not_idle(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    at = [time.monotonic()]
    monkeypatch.setattr("time.monotonic", lambda: at[0])
    one, sent = await running(api)
    for _ in range(2):
        at[0] += hearing.IDLE - 1
        next(sent)
        await api.service.look()
    assert not one.over
    assert one.session.seen == at[0]


async def test_the_fifth_play_of_a_session_ends_the_one_that_was_asked_for_longest_ago(api: Api) -> None:
    plays = [(await begun(api))["play"] for _ in range(hearing.AT_ONCE)]
    await api.ask("sato", "GET", f"/v1/plays/{plays[0]}")
    await begun(api)
    statuses = [(await api.ask("sato", "GET", f"/v1/plays/{play}")).status_code for play in plays]
    assert statuses == [200, 404, 200, 200]
    assert len(api.entries("play.result")) == 1


async def test_damage_is_said_before_any_sound_and_in_the_log(api: Api) -> None:
    spoil(api)
    made = await begun(api, "one")
    answer = await api.ask("sato", "GET", made["audio"], headers={"Range": "bytes=44-"})
    assert (answer.status_code, answer.json()["code"]) == (500, "payload")
    await api.ask("sato", "DELETE", f"/v1/plays/{made['play']}")
    assert api.entries("play.result")[-1]["outcome"].startswith("failed: ")


@pytest.mark.rule("B-06")
async def test_a_key_taken_away_is_gone_from_the_next_request_on(api: Api) -> None:
    made = await begun(api)
    assert (await api.ask("tanaka", "DELETE", "/v1/keys/sato")).json()["epochs"] == [1]
    answer = await api.ask("sato", "GET", made["audio"])
    assert (answer.status_code, answer.json()["code"]) == (403, "no-key-held")
    assert api.entries("act.denied")[-1]["object"] == THREE
    again = await api.ask("sato", "POST", f"/v1/recordings/{ONE}/plays", json={"purpose": "quality"})
    assert again.json()["code"] == "no-key-held"


async def test_whoever_holds_no_key_hears_nothing_whatever_the_role(api: Api) -> None:
    await api.service.guard.accounts.grants.revoke("mori", by="tanaka")
    answer = await api.ask("mori", "POST", f"/v1/recordings/{ONE}/plays", json={"purpose": "quality"})
    assert (answer.status_code, answer.json()["code"]) == (403, "no-key-held")
    assert not api.entries("play.intent")


async def running(api: Api) -> tuple[Hearing, Iterator[bytes]]:
    """A long answer of which the head and the first block are out."""
    made = await begun(api)
    (one,) = api.service.hearings.all()
    assert one.name == made["play"]
    sent = one.read(0, one.size - 1)
    assert len(next(sent)) == 44
    await asyncio.to_thread(next, sent)
    return one, sent


@pytest.mark.rule("B-06", "B-07")
@pytest.mark.parametrize("why", ["account ended", "key taken away", "right taken away", "signed out", "desk ended"])
async def test_a_long_answer_stops_when_its_listener_may_no_more(api: Api, why: str) -> None:
    one, sent = await running(api)
    accounts = api.service.guard.accounts
    if why == "account ended":
        await accounts.end("sato", by="tanaka", reason="異動")  # by a command, in another process
    elif why == "key taken away":
        await accounts.grants.revoke("sato", by="tanaka")
    elif why == "right taken away":
        path = api.policies / "rights.toml"
        head, act, rest = path.read_text("utf-8").partition('act = "recordings.play"')
        path.write_text(head + act + rest.replace(', "staff"', "", 1), "utf-8")
    elif why == "signed out":
        await api.ask("sato", "DELETE", "/v1/session")
    else:
        await api.service.close()
    await api.service.look()
    with pytest.raises(NotFoundError):
        next(sent)
    (result,) = api.entries("play.result")
    assert (result["outcome"], result["seconds"]) == ("interrupted", 4.0)
    assert one.over


async def test_a_long_answer_of_who_may_goes_on(api: Api) -> None:
    one, sent = await running(api)
    await api.service.look()
    assert sum(map(len, sent)) == one.size - 44 - 4 * 4 * RATE


# --- disclosure -------------------------------------------------------------------------------------------------------

TERMINAL = """
basis = "B-28"
decided_by = "お客さまサービス課長 (9条)"
effective_from = 2025-12-01
[[terminal]]
name = "窓口1"
address = "{address}"
"""
DISCLOSURE = {"purpose": "disclosure", "request": "R8-1", "witness": "mori"}


def register(api: Api, address: str) -> None:
    (api.policies / "terminals.toml").write_text(TERMINAL.format(address=address), "utf-8")


@pytest.mark.rule("B-26", "B-28")
async def test_disclosure_at_a_registered_terminal_with_a_request_and_a_second_person(api: Api) -> None:
    register(api, "192.0.2.10")
    made = await begun(api, **DISCLOSURE)
    (intent,) = api.entries("play.intent")
    assert {key: intent[key] for key in ("purpose", "request", "witness", "terminal")} == {
        "purpose": "disclosure", "request": "R8-1", "witness": "mori", "terminal": "窓口1",
    }  # fmt: skip
    assert (await api.ask("sato", "GET", made["audio"])).status_code == 200


@pytest.mark.rule("B-26", "B-28")
@pytest.mark.parametrize(
    "change",
    [
        {"request": None}, {"witness": None}, {"witness": "sato"}, {"witness": "gyosha"}, {"witness": "nobody"},
        {"witness": "new"},
    ],
)  # fmt: skip
async def test_disclosure_lacking_something_is_refused(api: Api, change: dict[str, Any]) -> None:
    register(api, "192.0.2.10")
    # Issued, and never enrolled: nobody has come for it.
    await api.service.guard.accounts.issue("new", name="新人", role=Role.STAFF, section=None, by="tanaka")
    answer = await api.ask("sato", "POST", f"/v1/recordings/{ONE}/plays", json=DISCLOSURE | change)
    assert (answer.status_code, answer.json()["code"]) == (403, "disclosure")
    assert not api.entries("play.intent")


async def test_a_second_person_is_named_for_disclosure_only(api: Api) -> None:
    body = {"purpose": "quality", "witness": "mori"}
    answer = await api.ask("sato", "POST", f"/v1/recordings/{ONE}/plays", json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "usage")


@pytest.mark.rule("B-28")
@pytest.mark.parametrize("address", [None, "192.0.2.11", "::1"])
async def test_from_another_terminal_nothing_is_disclosed(api: Api, address: str | None) -> None:
    if address:
        register(api, address)
    forged = {"X-Forwarded-For": "192.0.2.11", "Forwarded": "for=192.0.2.11", "X-Real-IP": "::1"}
    answer = await api.ask("sato", "POST", f"/v1/recordings/{ONE}/plays", json=DISCLOSURE, headers=forged)
    assert (answer.status_code, answer.json()["code"]) == (403, "disclosure")


@pytest.mark.rule("B-28")
async def test_only_staff_disclose(api: Api) -> None:
    register(api, "192.0.2.10")
    for role, account in IDS.items():
        answer = await api.ask(account, "POST", f"/v1/recordings/{ONE}/plays", json=DISCLOSURE)
        assert answer.status_code == (201 if role is Role.STAFF else 403)


# --- exports ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["flac", "wav"])
async def test_an_export_is_the_whole_recording(api: Api, kind: str) -> None:
    body = {"purpose": "content", "format": kind}
    answer = await api.ask("sato", "POST", f"/v1/recordings/{THREE}/exports", json=body)
    assert answer.headers["Content-Type"] == f"audio/{kind}"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{THREE}.{kind}"'
    with soundfile.SoundFile(io.BytesIO(answer.content)) as sound:
        assert bytes(sound.buffer_read(-1, "int16")) == BOTH["three"]
    assert api.entries("export.result")[-1]["outcome"] == "done"


async def test_an_export_for_a_recipient_opens_with_its_key_alone(api: Api, tmp_path: Path) -> None:
    reader = Identity.generate()
    body = {"purpose": "content", "format": "age", "recipient": str(reader.recipient)}
    answer = await api.ask("sato", "POST", f"/v1/recordings/{ONE}/exports", json=body)
    assert decoded(opened(answer.content, reader, tmp_path), tmp_path) == BOTH["one"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"purpose": "disclosure", "format": "wav"}, "not-valid"),
        ({"purpose": "content", "format": "mp3"}, "not-valid"),
        ({"purpose": "content", "format": "age"}, "usage"),
        ({"purpose": "content", "format": "age", "recipient": "age1nonsense"}, "key-format"),
    ],
)
async def test_an_export_that_makes_no_sense_is_refused(api: Api, body: dict[str, str], code: str) -> None:
    answer = await api.ask("sato", "POST", f"/v1/recordings/{ONE}/exports", json=body)
    assert (answer.status_code in (400, 422), answer.json()["code"]) == (True, code)


@pytest.mark.rule("B-06")
async def test_an_export_needs_the_key_of_now(api: Api) -> None:
    await api.sign_in("sato")
    await api.service.guard.accounts.grants.revoke("sato", by="tanaka")
    body = {"purpose": "content", "format": "flac"}
    answer = await api.ask("sato", "POST", f"/v1/recordings/{ONE}/exports", json=body)
    assert (answer.status_code, answer.json()["code"]) == (403, "no-key-held")
    assert not api.entries("export.intent")


async def test_an_export_that_fails_lets_the_next_one_in(api: Api) -> None:
    kept = api.office.segment("one", 1, "agebody")
    data = kept.read_bytes()
    kept.chmod(0o600)
    kept.write_bytes(data[:100])
    body = {"purpose": "content", "format": "flac"}
    assert (await api.ask("sato", "POST", f"/v1/recordings/{ONE}/exports", json=body)).status_code == 500
    assert api.entries("export.result")[-1]["outcome"].startswith("failed: ")
    kept.write_bytes(data)
    assert (await api.ask("sato", "POST", f"/v1/recordings/{ONE}/exports", json=body)).status_code == 200
    assert not api.service.exporting.locked()


# --- level ------------------------------------------------------------------------------------------------------------


async def test_the_level_of_what_is_heard(api: Api) -> None:
    made = await begun(api, "three")
    found = (await api.ask("sato", "GET", f"/v1/plays/{made['play']}/level", params={"points": 10})).json()
    assert len(found["left"]) == len(found["right"]) == 10
    assert all(0 < peak <= 1 for peak in found["left"])
    assert len(found["speech"]) == 2
