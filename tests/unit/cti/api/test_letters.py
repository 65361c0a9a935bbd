"""What is answered in writing, over the API and by the command line: by whom it is checked, and what waits."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from policies.calendar import JST
from tests.unit.cti.api.conftest import Api
from tests.unit.cti.api.test_cases import do, done, entered
from tests.unit.cti.api.test_command_line import Desk, desk  # noqa: F401  # a fixture

TEXT = "検針の誤りでした。\n問合せ先: お客さまサービス課\nお客さまセンター"
LETTER = {"kind": "draft", "channel": "web", "text": TEXT}
FAX = {"kind": "draft", "channel": "fax", "to": "06-6458-1132", "again": "０６（６４５８）１１３２", "text": TEXT}


async def asked(api: Api, channel: str = "web", **more: Any) -> int:
    found: int = (await entered(api, channel=channel, **{"name": "山田 太郎", "email": "taro@example.jp"} | more))[
        "number"
    ]
    return found


@pytest.mark.rule("C-04", "C-05")
async def test_it_is_drafted_checked_by_another_account_and_sent(api: Api) -> None:
    number = await asked(api)
    letter = (await done(api, "gyosha", number, LETTER))["letter"]
    assert (letter["to"], letter["name"], letter["ok"], letter["by"], letter["ask"]) == (
        "taro@example.jp", "山田 太郎", None, "gyosha", "お客さまサービス課 お客さまセンター",
    )  # fmt: skip
    waits = (await api.ask("sato", "GET", "/v1/tickets", params={"kind": "check"})).json()["items"]
    assert [(one["case"], one["unit"], one["due"] > one["at"]) for one in waits] == [(number, "contractor", True)]
    mine = {"kind": "check", "draft": letter["draft"], "ok": True}
    reply = {"kind": "reply", "channel": "web"}
    for by, act in (("gyosha", mine), ("gyosha", reply), ("sato", reply), ("sato", mine | {"draft": 1})):
        answer = await do(api, by, number, act)
        assert (answer.status_code, "(C-04)" in answer.json()["detail"]) == (409, True), answer.text
    checked = (await done(api, "sato", number, mine))["letter"]
    assert (checked["ok"], checked["checked_by"]) == (True, "sato")
    assert (await api.ask("sato", "GET", "/v1/tickets", params={"kind": "check"})).json()["items"] == []
    (send,) = (await api.ask("gyosha", "GET", "/v1/tickets", params={"kind": "send"})).json()["items"]
    assert send["due"] is not None
    sent = await done(api, "gyosha", number, reply)
    assert (sent["letter"], sent["replied_at"] is not None) == (None, True)
    assert [act["kind"] for act in sent["history"]][-3:] == ["draft", "check", "reply"]


@pytest.mark.rule("C-04")
async def test_a_fax_number_is_typed_twice_in_any_writing(api: Api) -> None:
    number = await asked(api, "fax")
    letter = (await done(api, "gyosha", number, FAX))["letter"]
    assert (letter["to"], letter["channel"]) == ("06-6458-1132", "fax")
    for again in ("06-6458-1133", None):
        answer = await do(api, "gyosha", number, FAX | {"again": again})
        assert (answer.status_code, "(C-04)" in answer.json()["detail"]) == (409, True), answer.text
    for field, value in (("to", "110"), ("again", "x"), ("to", "06-6458-1132 内線 12")):
        answer = await do(api, "gyosha", number, FAX | {field: value})
        assert (answer.status_code, answer.json()["errors"][0]["at"]) == (400, field), answer.text


@pytest.mark.rule("C-05")
async def test_what_is_missing_of_whom_to_ask_is_said(api: Api) -> None:
    number = await asked(api, main="給水課")
    answer = await do(api, "gyosha", number, LETTER | {"text": "検針の誤りでした。"})
    assert answer.status_code == 409
    assert "給水課 / お客さまサービス課 お客さまセンター is missing (C-05)" in answer.json()["detail"]
    assert (await done(api, "gyosha", number, LETTER | {"text": "問合せ先: 給水課"}))["letter"]["ask"] == "給水課"
    path = api.policies / "sections.toml"
    path.write_text(path.read_text().replace("check_within = 24", 'phone = "06-6458-1132"\ncheck_within = 24'))
    answer = await do(api, "gyosha", number, LETTER)
    assert "(問合せ先): 06-6458-1132 is missing" in answer.json()["detail"]
    whole = await done(api, "gyosha", number, LETTER | {"text": f"{TEXT} 電話 (06)6458-1132"})
    assert whole["letter"]["ask"] == "お客さまサービス課 お客さまセンター 06-6458-1132"


@pytest.mark.rule("C-05")
async def test_a_template_is_filled_in(api: Api) -> None:
    number = await asked(api, main="給水課", inquiry="断水は{section}いつまで")
    filled = {"kind": "draft", "channel": "web", "template": "answer", "text": "17時までです。"}
    text = (await done(api, "gyosha", number, filled))["letter"]["text"]
    assert text.startswith("山田 太郎 様\n")
    assert "\n断水は{section}いつまで\n" in text, "what somebody asked is no blank"
    assert text.rstrip().endswith("17時までです。\n\n問合せ先: 大阪市水道局 給水課")
    for field, wrong in (("template", {"template": "none"}), ("text", {"text": None})):
        answer = await do(api, "gyosha", number, filled | wrong)
        assert (answer.status_code, answer.json()["errors"][0]["at"]) == (400, field), answer.text
    nobody = await asked(api, name="", email="x@example.jp")
    answer = await do(api, "gyosha", nobody, filled)
    assert (answer.status_code, answer.json()["errors"][0]["at"]) == (400, "name"), answer.text


@pytest.mark.rule("C-04")
async def test_what_is_not_checked_or_sent_in_time_is_named(api: Api) -> None:
    path = api.policies / "sections.toml"
    number = await asked(api)
    await done(api, "gyosha", number, LETTER)
    assert (await api.ask("sato", "GET", "/v1/progress")).json()["unsent"] == []
    path.write_text(path.read_text().replace("send_within = 24", "send_within = 1"))
    desk_ = api.office.desk
    at = desk_.now()
    letter = (await api.ask("gyosha", "GET", f"/v1/cases/{number}")).json()["letter"]
    await done(api, "sato", number, {"kind": "check", "draft": letter["draft"], "ok": True})
    late = await api.service.cases.book.progress(at, at.replace(year=at.year + 1), ())
    assert (late.unsent, late.counts["unsent"]) == ((number,), 1)
    await done(api, "gyosha", number, {"kind": "reply", "channel": "web"})
    assert (await api.service.cases.book.progress(at, at.replace(year=at.year + 1), ())).unsent == ()


@pytest.mark.rule("A-44", "C-04")
async def test_who_does_not_see_a_case_checks_nothing_in_it(api: Api) -> None:
    number = await asked(api)
    letter = (await done(api, "gyosha", number, LETTER))["letter"]
    answer = await do(api, "kyusui", number, {"kind": "check", "draft": letter["draft"], "ok": True})
    assert answer.status_code == 404


@pytest.mark.rule("C-04")
async def test_what_was_sent_before_it_was_entered_is_entered_if_the_policy_has_it_so(api: Api) -> None:
    at = api.office.desk.now()
    answered = {"kind": "reply", "channel": "fax", "answered_at": (at - timedelta(days=1)).isoformat()}
    more = {"channel": "fax", "received_at": (at - timedelta(days=2)).isoformat()}
    first, second = [(await entered(api, "kyusui", **more))["number"] for _time in range(2)]
    await done(api, "kyusui", first, answered)
    path = api.policies / "sections.toml"
    path.write_text(path.read_text().replace("unchecked_before_entry = true", "unchecked_before_entry = false"))
    answer = await do(api, "kyusui", second, answered)
    assert (answer.status_code, "(C-04)" in answer.json()["detail"]) == (409, True), answer.text
    by_phone = answered | {"channel": "phone", "wish": "電話がよい"}
    await done(api, "kyusui", second, by_phone)


async def test_an_address_that_is_none_is_refused(api: Api) -> None:
    number = await asked(api)
    answer = await do(api, "gyosha", number, LETTER | {"to": "taro"})
    assert answer.status_code == 422, answer.text


# --- by the command line ----------------------------------------------------------------------------------------------


@pytest.mark.rule("C-04", "C-05")
@pytest.mark.thorough
async def test_by_the_command_line(desk: Desk, tmp_path: Path) -> None:  # noqa: F811  # the fixture
    await desk.login("gyosha")
    made = await desk.run("case", "enter", "--channel", "fax", "--inquiry", "断水の予定", "--name", "山田", "--json")
    number = str(json.loads(made.stdout)["number"])
    assert (await desk.run("case", "checks")).stdout.decode() == "No drafts wait.\n"
    (tmp_path / "回答.txt").write_text(f"{TEXT}\n", "utf-8")
    fax = ("--fax", "06-6458-1132", "--again", "06-6458-1132")
    drafted = await desk.run("case", "draft", number, *fax, "--text-file", str(tmp_path / "回答.txt"))
    assert drafted.returncode == 0, drafted.stderr
    early = await desk.run("case", "answer", number, "--result", "案内")
    assert (early.returncode, "(C-04)" in early.stderr.decode()) == (65, True), early.stderr
    mine = await desk.run("case", "check", number, "--ok")
    assert (mine.returncode, "(C-04)" in mine.stderr.decode()) == (65, True), mine.stderr
    await desk.login("sato")
    assert "check" in (await desk.run("case", "checks")).stdout.decode()
    shown = (await desk.run("case", "check", number, LC_ALL="ja_JP.UTF-8")).stdout.decode()
    for part in (
        "宛先: 06-6458-1132",
        "宛名: 山田",
        "検針の誤りでした。",
        "問合せ先: お客さまサービス課 お客さまセンター",
        "未照合",
    ):
        assert part in shown, shown
    back = await desk.run("case", "check", number, "--back", "日付が違う")
    assert back.returncode == 0, back.stderr
    await desk.login("gyosha")
    assert "日付が違う" in (await desk.run("case", "check", number)).stdout.decode()
    again = await desk.run("case", "draft", number, *fax, "--template", "answer", "--text", "17時まで")
    assert again.returncode == 0, again.stderr
    await desk.login("sato")
    checked = await desk.run("case", "check", number, "--ok")
    assert (checked.returncode, "17時まで" in checked.stdout.decode()) == (0, True), checked.stderr
    assert json.loads((await desk.run("case", "checks", "--json")).stdout)["kind"] == "send"
    sent = await desk.run("case", "answer", number, "--result", "案内", "--json")
    assert json.loads(sent.stdout)["state"] == "closed", sent.stderr
    history = (await desk.run("case", "show", number, LC_ALL="ja_JP.UTF-8")).stdout.decode()
    for part in ("文案: ファクス, 山田, 06-6458-1132", "照合: #3, 差戻し, 日付が違う", "照合: #5, 照合済み"):
        assert part in history, history
    for command, status, said in (
        (("draft", number), 64, "--text, --text-file or --template"),
        (("draft", number, "--to", "x", "--fax", "y"), 64, "one of --to and --fax"),
        (("draft", number, "--text", "x", "--text-file", "y"), 64, "one of --text"),
        (("draft", number, "--text-file", str(tmp_path / "none")), 64, "--text-file: "),
        (("check", number, "--ok", "--back", "x"), 64, "one of --ok"),
        (("check", number, "--ok"), 64, f"case {number} has no draft"),
    ):
        wrong = await desk.run("case", *command)
        assert (wrong.returncode, said in wrong.stderr.decode()) == (status, True), (command, wrong.stderr)
    by_phone = str(json.loads((await desk.run("case", "enter", "--inquiry", "x", "--json")).stdout)["number"])
    wrong = await desk.run("case", "draft", by_phone, "--text", "x")
    assert (wrong.returncode, "--channel: they did not ask in writing" in wrong.stderr.decode()) == (64, True)


@pytest.mark.rule("E-05")
@pytest.mark.thorough
async def test_others_see_a_case_and_are_asked_by_the_command_line(desk: Desk) -> None:  # noqa: F811  # the fixture
    await desk.login("gyosha")
    number = str(json.loads((await desk.run("case", "enter", "--inquiry", "断水", "--json")).stdout)["number"])
    shared = await desk.run("case", "share", number, "--with", "庶務課", "--why", "同じ家の苦情")
    assert shared.returncode == 0, shared.stderr
    assert (await desk.run("case", "help", number, "--to", "CC", "--why", "課長の判断がほしい")).returncode == 0
    for command, said in (
        (("share", number, "--with", "下水課", "--why", "x"), "--with: '下水課' is none of"),
        (("help", number, "--to", "CC", "--why", "x"), "(E-05)"), (("share", number, "--with", "給水課"), "(E-05)"),
    ):  # fmt: skip
        wrong = await desk.run("case", *command)
        assert (wrong.returncode > 0, said in wrong.stderr.decode()) == (True, True), (command, wrong.stderr)
    await desk.login("sato")
    waits = json.loads((await desk.run("ticket", "list", "--unit", "cc", "--json")).stdout)
    assert (waits["kind"], waits["unit"]) == ("help", "cc")
    await desk.run("case", "note", number, "断ってよい")
    assert (await desk.run("ticket", "list", "--json")).stdout == b""
    assert (await desk.run("case", "share", number, "--with", "庶務課", "--end")).returncode == 0
    said = await desk.run("case", "answer", number, "--result", "検討します", "--keep-open")
    assert (said.returncode, "neither yes nor no: 検討します" in said.stderr.decode()) == (0, True)
    month = desk.served.api.office.desk.now().astimezone(JST).strftime("%Y-%m")
    digest = (await desk.run("digest", month, LC_ALL="ja_JP.UTF-8")).stdout.decode()
    for part in ("検討します", "受付日に回答", "件数が少ない"):
        assert part in digest, digest
    shown = (await desk.run("case", "show", number, LC_ALL="ja_JP.UTF-8")).stdout.decode()
    for part in ("共有: 庶務課, 同じ家の苦情", "共有: CC, 応援要請, 課長の判断がほしい", "共有: 庶務課, 取りやめ"):
        assert part in shown, shown
