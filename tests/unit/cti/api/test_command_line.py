"""The command line by a session: signing in, finding, hearing on a loudspeaker, and what ends it."""

import asyncio
import json
import os
import pty
import subprocess
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pyotp
import pytest

from cti.calls.callback import called_for
from cti.cases.acts import CONTRACTOR, SYSTEM, DialEnded
from policies.calendar import JST
from recorder.access.log import AccessLog
from tests.unit.cti.api.conftest import PASSWORD, Served
from tests.unit.cti.office import BOTH, SECONDS, samples
from tests.unit.recorder.rig import RATE, uuid

pytestmark = pytest.mark.thorough

THREE = uuid("three")
LOUDSPEAKER = """
pcm.!default {{
  type file
  slave.pcm {{ type null }}
  file "{file}"
  format "raw"
}}
"""  # ALSA's own: what is played is kept


@dataclass
class Desk:
    """A person at a terminal with Kikitori, a state folder and a loudspeaker."""

    served: Served
    home: Path

    @property
    def session(self) -> Path:
        return self.home / "state/kikitori/session.json"

    @property
    def played(self) -> bytes:
        return (self.home / "played.raw").read_bytes()

    def environment(self, **more: str) -> dict[str, str]:
        return {
            "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "XDG_STATE_HOME": str(self.home / "state"), "COLUMNS": "200",
            "ALSA_CONFIG_PATH": str(self.home / "asound.conf"), **more,
        }  # fmt: skip

    async def run(self, *command: str, **more: str) -> subprocess.CompletedProcess[bytes]:
        return await asyncio.to_thread(
            subprocess.run, [sys.executable, "-m", "cti.cli", *command], check=False, capture_output=True,
            env=self.environment(**more), cwd=self.home, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    async def login(self, account: str = "sato", **more: str) -> subprocess.CompletedProcess[bytes]:
        return await self.run(
            "login", account, "--server", self.served.url, "--ca", str(self.served.settings.certificate),
            "--password-file", str(self.home / "password"), "--code", self.served.api.code(account), **more,
        )  # fmt: skip


@pytest.fixture
def desk(served: Served, tmp_path: Path) -> Desk:
    home = tmp_path / "home"
    home.mkdir()
    (home / "password").write_text(f"{PASSWORD}\n", "utf-8")
    (home / "asound.conf").write_text(LOUDSPEAKER.format(file=home / "played.raw"))
    return Desk(served, home)


@pytest.mark.rule("B-06", "B-08")
async def test_from_signing_in_to_signing_out(desk: Desk) -> None:
    early = await desk.run("whoami")
    assert (early.returncode, b"kikitori login" in early.stderr) == (77, True)
    done = await desk.login()
    assert done.returncode == 0, done.stderr
    assert desk.session.stat().st_mode & 0o777 == 0o600
    assert desk.session.parent.stat().st_mode & 0o777 == 0o700
    who = json.loads((await desk.run("whoami", "--json")).stdout)
    assert (who["account"], who["role"], who["server"]) == ("sato", "staff", desk.served.url)
    rows = [json.loads(line) for line in (await desk.run("recordings", "list", "--json")).stdout.splitlines()]
    assert {row["recording"] for row in rows} == {uuid(name) for name in SECONDS}
    (one,) = [row for row in rows if row["recording"] == uuid("one")]
    assert one["loudness"] == {"left": "fff", "right": "fff", "speech": [1.0, 1.0]}  # noise
    assert "100% · 100%" in (await desk.run("recordings", "list")).stdout.decode()
    few = (await desk.run("recordings", "list", "--json", "--limit", "1", "--min", "4")).stdout.splitlines()
    assert len(few) == 1
    shown = json.loads((await desk.run("recordings", "show", THREE[:8], "--json")).stdout)
    assert (shown["recording"], len(shown["parts"])) == (THREE, 3)
    wav = await desk.run("play", THREE, "--purpose", "応対品質の管理", "-o", "-")
    assert samples(wav.stdout) == BOTH["three"], wav.stderr
    told = json.loads((await desk.run("play", THREE, "--purpose", "content", "-o", "a.wav", "--json")).stdout)
    assert (told["recording"], told["seconds"]) == (THREE, 12.0)
    (result,) = desk.served.api.entries("play.result")[-1:]
    assert (result["actor"], result["heard"], result["outcome"]) == ("sato", 12.0, "done")
    assert (await desk.run("logout")).returncode == 0
    assert not desk.session.exists()
    assert (await desk.run("whoami")).returncode == 77


@pytest.mark.rule("A-13", "B-29")
async def test_other_hours_by_a_session(desk: Desk) -> None:
    await desk.login("tanaka")
    decided = ("--kind", "closed", "--from", "2027-05-06", "--to", "2027-05-06", "--reason", "停電")
    add = ("hours", "override", "add", *decided, "--decided-by", "水道局長")
    tried = await desk.run(*add, "--dry-run")
    assert (tried.returncode, "2027-05-06 (Thu)" in tried.stdout.decode()) == (0, True), tried.stderr
    assert (await desk.run("hours", "override", "list", "--json")).stdout == b""
    made = json.loads((await desk.run(*add, "--yes", "--json")).stdout)
    assert (made["entered_by"], made["entered"]) == ("tanaka", True)
    taken = ("hours", "override", "revoke", made["id"][:12], "--decided-by", "水道局長", "--reason", "復旧", "--yes")
    done = await desk.run(*taken)
    assert (done.returncode, done.stdout.decode()) == (0, f"Revoked: {made['id']}. It counts for the next call.\n")
    (row,) = (await desk.run("hours", "override", "list", "--json")).stdout.splitlines()
    assert json.loads(row)["state"] == "revoked"
    assert "revoked" in (await desk.run("hours", "override", "list")).stdout.decode()
    wrong = await desk.run("hours", "close", "停電", "--decided-by", "課長", "--yes")
    assert (wrong.returncode, "水道局長 alone" in wrong.stderr.decode()) == (77, True)


@pytest.mark.rule("B-06", "B-07", "B-30")
async def test_what_the_manager_does_by_a_session(desk: Desk) -> None:
    await desk.login("tanaka")

    async def rows(*command: str) -> list[dict[str, Any]]:
        done = await desk.run(*command, "--json")
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    # accounts
    (made,) = await rows("accounts", "issue", "suzuki", "--name", "鈴木", "--role", "section", "--section", "給水課")
    (desk.home / "secret").write_text(made["secret"], "utf-8")
    enrolling = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cti.cli", "accounts", "enrol", "suzuki", "--server", desk.served.url,
        "--ca", str(desk.served.settings.certificate), "--secret-file", str(desk.home / "secret"),
        "--password-file", str(desk.home / "password"), "--json",
        stdin=PIPE, stdout=PIPE, env=desk.environment(), cwd=desk.home,
    )  # fmt: skip
    assert enrolling.stdin is not None
    assert enrolling.stdout is not None
    seed = parse_qs(urlsplit(json.loads(await enrolling.stdout.readline())["otpauth"]).query)["secret"][0]
    enrolling.stdin.write(f"{pyotp.TOTP(seed).at(desk.served.api.at)}\n".encode())
    enrolling.stdin.close()
    assert await enrolling.wait() == 0
    listed = {row["id"]: row for row in await rows("accounts", "list")}
    assert (listed["suzuki"]["section"], listed["suzuki"]["initial"]) == ("給水課", False)
    await rows("accounts", "review", "sato", "mori")
    await rows("accounts", "end", "suzuki", "--reason", "異動", "--yes")
    assert "suzuki" not in {row["id"] for row in await rows("accounts", "list")}
    (again,) = await rows("accounts", "renew", "kansa")
    assert again["secret"]
    assert [entry["object"] for entry in desk.served.api.entries("account.reviewed")] == ["sato", "mori"]

    # keys
    (epoch,) = await rows("vault", "epochs")
    assert (epoch["epoch"], "sato" in {one["account"] for one in epoch["holders"]}) == (1, True)
    (taken,) = await rows("vault", "revoke", "sato")
    assert taken == {"account": "sato", "revoked": 1}
    (given,) = await rows("vault", "grant", "sato")
    assert given == {"account": "sato", "epochs": [1]}
    (changed,) = await rows("vault", "rotate")
    assert (changed["epoch"], changed["moved"], changed["kept"]) == (2, 6, False)
    assert [row["epoch"] for row in await rows("vault", "epochs")] == [2]

    # the log
    entries = await rows("audit", "list")
    assert [entry["seq"] for entry in entries] == list(range(len(entries)))
    about = await rows("audit", "list", "--object", "suzuki", "--action", "account.ended")
    assert [(entry["object"], entry["action"], entry["actor"]) for entry in about] == [
        ("suzuki", "account.ended", "tanaka")
    ]
    (shown,) = await rows("audit", "show", "0")
    with AccessLog(desk.served.api.office.log) as access:
        first = next(access.entries())
    assert shown == json.loads(first.raw) | {"sha256": first.digest}, "the bytes that the log has"
    assert (await desk.run("audit", "show", "99999")).returncode == 66
    (month,) = await rows("audit", "review", "2026-04")
    assert (month["month"], month["signed"]) == ("2026-04", False)
    early = await desk.run("audit", "review", "2026-04", "--sign", "--yes")
    assert (early.returncode, b"not over yet" in early.stderr) == (64, True)  # by the desk's clock

    # how it is
    (status,) = await rows("status")
    assert status == {"findings": []}


async def test_what_is_done_at_the_recorder_alone_says_so(desk: Desk) -> None:
    await desk.login("tanaka")
    for command in (("intake", "list"), ("calls", "list"), ("completeness", "check"), ("verify", "--all")):
        refused = (
            await desk.run(*command, "--password-file", "password") if "--by" in command else await desk.run(*command)
        )
        assert refused.returncode == 78, command
        assert b"at the recorder's host" in refused.stderr, command
    hours = await desk.run("hours", "check", "2026-12-30T10:00", "--json")
    assert (hours.returncode, b"those of the desk are not here" in hours.stderr) == (0, True)


async def test_who_may_not_is_refused_by_the_desk(desk: Desk) -> None:
    await desk.login("sato")
    for command in (
        ("accounts", "list"), ("accounts", "end", "mori", "--reason", "x", "--yes"), ("audit", "list"),
        ("vault", "epochs"), ("vault", "grant", "mori"), ("audit", "review"),
        ("hours", "close", "x", "--decided-by", "水道局長", "--yes"),
    ):  # fmt: skip
        refused = await desk.run(*command)
        assert (refused.returncode, refused.stdout) == (77, b""), command


async def test_the_loudspeaker_gets_every_sample_in_order(desk: Desk) -> None:
    await desk.login()
    done = await desk.run("play", uuid("one"), "--purpose", "quality", "--side", "left")
    assert done.returncode == 0, done.stderr
    left = np.frombuffer(BOTH["one"], dtype="<i2")[0::2].tobytes()
    assert desk.played[: len(left)] == left
    assert not desk.played[len(left) :].strip(b"\0")  # ALSA fills up its last period
    assert "0:03.0 / 0:03.0" in done.stderr.decode()


async def test_without_a_loudspeaker_it_says_so_and_what_to_do(desk: Desk) -> None:
    await desk.login()
    none = await desk.run("play", THREE, "--purpose", "quality", PATH="/nowhere")
    assert (none.returncode, b"--output call.wav" in none.stderr) == (69, True)
    assert not desk.served.api.entries("play.intent")
    broken = await desk.run("play", THREE, "--purpose", "quality", ALSA_CONFIG_PATH="/nowhere")
    assert (broken.returncode, b"--output call.wav" in broken.stderr) == (69, True)
    assert b"Traceback" not in broken.stderr
    assert desk.served.api.entries("play.result")[-1]["outcome"] == "done"


def _on_a_terminal(desk: Desk, *command: str, keys: Callable[[bytes], bytes]) -> str:
    """What a terminal shows; `keys` is given all of it so far and says what is pressed now."""
    pid, terminal = pty.fork()
    if not pid:
        os.chdir(desk.home)
        os.execve(sys.executable, [sys.executable, "-m", "cti.cli", *command], desk.environment())  # noqa: S606
    shown = b""
    until = time.monotonic() + 60
    try:
        while time.monotonic() < until:
            shown += os.read(terminal, 4096)
            if pressed := keys(shown):
                os.write(terminal, pressed)
        raise AssertionError(f"it does not end: {shown!r}")
    except OSError:  # it has ended
        return shown.decode("utf-8", "replace")
    finally:
        os.close(terminal)
        os.waitpid(pid, 0)


async def test_arrow_keys_go_back_and_forth_and_q_ends_it(desk: Desk) -> None:
    await desk.login()
    pressed: list[bytes] = []

    def keys(shown: bytes) -> bytes:
        steps = [(b"0:01.0 /", b"\x1b[C"), (b"0:07.0 /", b"\x1b[D"), (b"0:08.0 /", b"q")]
        if len(pressed) < len(steps) and steps[len(pressed)][0] in shown:
            pressed.append(steps[len(pressed)][1])
            return pressed[-1]
        return b""

    shown = await asyncio.to_thread(_on_a_terminal, desk, "play", THREE, "--purpose", "quality", keys=keys)
    assert pressed == [b"\x1b[C", b"\x1b[D", b"q"], shown
    assert "0:12.0 / " not in shown
    (result,) = desk.served.api.entries("play.result")
    begins = [begin for begin, _end in result["parts"]]
    assert begins[0] == 0.0
    assert result["outcome"] == "done"
    # The file has what the last device got, which began where the second key led.
    assert desk.played
    at = BOTH["three"].find(desk.played)
    assert (at % 4, 1.0 < at / 4 / RATE < 4.0) == (0, True)


async def test_a_session_that_is_over_says_so_and_is_forgotten(desk: Desk) -> None:
    await desk.login()
    await desk.served.api.service.guard.accounts.end("sato", by="tanaka", reason="異動")
    over = await desk.run("recordings", "list")
    assert (over.returncode, b"kikitori login sato" in over.stderr) == (77, True)
    assert not desk.session.exists()


@pytest.mark.parametrize("spoil", ["mode", "text", "fields"])
async def test_a_session_file_that_is_not_right_is_not_used(desk: Desk, spoil: str) -> None:
    await desk.login()
    if spoil == "mode":
        desk.session.chmod(0o644)
    else:
        desk.session.write_text("{" if spoil == "text" else '{"token": "x"}')
    refused = await desk.run("whoami")
    assert (refused.returncode, b"session.json" in refused.stderr) == (78, True)
    assert b"Traceback" not in refused.stderr


async def test_the_token_is_shown_nowhere(desk: Desk) -> None:
    done = await desk.login()
    token = json.loads(desk.session.read_text())["token"]
    who = await desk.run("whoami", "--json")
    assert token.encode() not in done.stdout + done.stderr + who.stdout + who.stderr
    assert PASSWORD.encode() not in desk.session.read_bytes()


@pytest.mark.parametrize(
    ("server", "status"), [("http://localhost:1", 64), ("https://localhost:1", 69), ("localhost", 64)]
)
async def test_a_desk_that_is_none(desk: Desk, server: str, status: int) -> None:
    done = await desk.run(
        "login", "sato", "--server", server, "--password-file", str(desk.home / "password"), "--code", "000000"
    )  # fmt: skip
    assert done.returncode == status, done.stderr
    assert b"Traceback" not in done.stderr
    assert not desk.session.exists()


async def test_a_desk_of_another_certificate_is_told_no_password(desk: Desk, tmp_path: Path) -> None:
    other = tmp_path / "other.crt"
    from cti.api.certificate import make
    from cti.app.clock import wall_clock

    other.write_bytes(make(("localhost",), wall_clock()).certificate)
    done = await desk.run(
        "login", "sato", "--server", desk.served.url, "--ca", str(other), "--password-file",
        str(desk.home / "password"), "--code", "000000",
    )  # fmt: skip
    assert (done.returncode, b"certificate is known" in done.stderr) == (69, True)
    assert not desk.served.api.entries("account.refused")


async def test_a_refusal_in_the_reader_s_language(desk: Desk) -> None:
    await desk.login("gyosha", KIKITORI_LANG="ja")
    refused = await desk.run("recordings", "list", KIKITORI_LANG="ja")
    assert refused.returncode == 77
    assert "運営会社" in refused.stderr.decode()
    assert "who may not" not in refused.stderr.decode()


async def test_an_export_by_a_session(desk: Desk) -> None:
    await desk.login()
    done = await desk.run("export", THREE, "--purpose", "content", "--format", "wav", "-o", "a.wav", "--json")
    assert done.returncode == 0, done.stderr
    assert samples((desk.home / "a.wav").read_bytes()) == BOTH["three"]
    told = json.loads(done.stdout)
    assert (told["segments"], told["bytes"]) == (3, (desk.home / "a.wav").stat().st_size)
    again = await desk.run("export", THREE, "--purpose", "content", "--format", "wav", "-o", "a.wav")
    assert again.returncode == 74
    assert len(desk.served.api.entries("export.intent")) == 1


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("play", THREE, "--purpose", "quality", "-o", "a.wav", "--to", "0"), b"--to"),
        (("play", THREE, "--purpose", "disclosure", "-o", "a.wav", "--witness", "X Y"), b"--witness"),
        (("play", THREE, "--purpose", "quality", "-o", "a.wav", "--request", "\x1b[31m"), b"--request"),
        (("export", THREE, "--purpose", "disclosure", "--format", "wav", "-o", "a.wav"), b"terminal"),
        (("recordings", "list", "--from", "yesterday"), b"--from"),
    ],
)
async def test_what_makes_no_sense_is_a_sentence(desk: Desk, command: tuple[str, ...], said: bytes) -> None:
    await desk.login()
    done = await desk.run(*command)
    assert (done.returncode, said in done.stderr) == (64, True), done.stderr
    assert b"Traceback" not in done.stderr
    assert not (desk.home / "a.wav").exists()
    assert not desk.served.api.entries("play.intent")


async def test_what_is_typed_too_long_is_not_shown(desk: Desk) -> None:
    (desk.home / "password").write_text("secret-of-sato" * 100)
    done = await desk.login()
    assert (done.returncode, b"secret-of-sato" in done.stderr) == (64, False), done.stderr


async def test_a_session_of_another_kind_of_server_is_not_used(desk: Desk) -> None:
    await desk.login()
    kept = json.loads(desk.session.read_text())
    desk.session.write_text(json.dumps(kept | {"server": "http://127.0.0.1:1"}))
    assert (await desk.run("whoami")).returncode == 78


async def test_a_long_list_comes_by_pages(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    await desk.login()
    few = (await desk.run("recordings", "list", "--json", "--limit", "2")).stdout.splitlines()
    assert len(few) == 2
    rows = (await desk.run("recordings", "list", "--json", "--way", "in", "--agent", "nobody")).stdout
    assert rows == b""


@pytest.mark.rule("A-14", "A-18", "A-23", "A-24")
async def test_a_case_from_the_question_to_the_answer(desk: Desk) -> None:
    refused = await desk.run("case", "list")
    assert (refused.returncode, b"kikitori login" in refused.stderr) == (77, True)
    await desk.login("gyosha")
    asked = ("--inquiry", "検針票の金額が 先月の倍です", "--name", "山田 太郎", "--contact", "０６−６４５８−１１３２")
    made = await desk.run("case", "enter", *asked, "--read-back", "--callback", "--main", "給水課")
    assert made.returncode == 0, made.stderr
    (row,) = (json.loads(line) for line in (await desk.run("case", "list", "--json")).stdout.splitlines())
    number = str(row["number"])
    assert made.stdout.decode() == f"Entered: case {number}. being worked on.\n"
    early = await desk.run("case", "hand-over", number)
    assert (early.returncode, "(E-16)" in early.stderr.decode()) == (65, True), early.stderr
    over = await desk.run("case", "hand-over", number, "--promised", "2030-04-01T15:00")
    assert over.stdout.decode() == f"Done: case {number}. handed over. Due: 2030-04-01 (Mon) 15:00\n"
    found = (await desk.run("case", "list", "--number", "+81 6 6458 1132", "--state", "handed-over")).stdout.decode()
    assert "山田 太郎 06-6458-1132" in found
    assert "給水課" in found
    await desk.login("kyusui")
    assert (await desk.run("case", "accept", number)).returncode == 0
    wrong = await desk.run("case", "answer", number, "--result", "案内", "--channel", "letter")
    assert "(A-25)" in wrong.stderr.decode()
    done = await desk.run("case", "answer", number, "--result", "修繕業者を案内", "--json")
    assert json.loads(done.stdout)["state"] == "closed"
    shown = (await desk.run("case", "show", number, LC_ALL="ja_JP.UTF-8")).stdout.decode()
    for part in (
        f"案件 {number}: 完了", "山田 太郎 06-6458-1132", "検針票の金額が 先月の倍です", "運営会社", "給水課", "受付: ",
        "引継ぎ: 折り返し, 折り返し予定 2030-04-01 (月) 15:00", "折り返しの了解: 了解あり",
        "対応結果: 回答, 修繕業者を案内",
    ):  # fmt: skip
        assert part in shown, shown
    again = await desk.run("case", "reopen", number, "もう一度電話があった")
    assert again.stdout.decode() == f"Done: case {number}. taken on.\n"


async def test_each_command_of_a_case_says_what_it_cannot_take(desk: Desk) -> None:
    await desk.login("gyosha")
    for command, status, said in (
        (("enter", "--inquiry", "x", "--main", "下水課"), 64, "--main: no 所管課 '下水課': there are shomu, kyusui"),
        (("enter", "--inquiry", "x", "--contact", "110"), 64, "--contact: no number that is given out"),
        (
            ("enter", "--inquiry", "x", "--contact", "0664581132", "--no-number", "withheld"),
            64,
            "--no-number: there is",
        ),
        (("enter", "--inquiry", "x", "--received-at", "tomorrow"), 64, "--received-at"),
        (("show", "999"), 66, "no case '999' that you may see"),
        (("amend", "1"), 64, "--inquiry, --category or --call"),
        (("reach", "1", "--name", "山田"), 66, "no case '1'"),
        (("reach", "1", "--read-back"), 64, "--read-back: name the number"),
        (("reach", "1", "--between", "18-20"), 64, "--between: '18-20' are no hours"),
        (("reach", "1", "--email", "hanako"), 64, "--email: is no e-mail address"),
        (("reach", "1"), 64, "name what is known: --contact"),
        (("hand-over", "1", "--written", "--transfer", "wish"), 64, "one of --transfer"),
        (("expect", "1", "soon"), 64, "TIME"),
        (("list", "--number", "x"), 64, "--number: "),
    ):
        done = await desk.run("case", *command)
        assert (done.returncode, said in done.stderr.decode()) == (status, True), (command, done.stderr.decode())
        assert done.stdout == b""
    assert (await desk.run("case", "list")).stdout.decode() == "No cases.\n"


@pytest.mark.rule("C-06", "E-16")
async def test_a_customer_is_called_and_what_came_of_it_is_said(desk: Desk) -> None:
    service = desk.served.api.service
    outcomes = ["busy", "answered"]

    async def ask(question: Any, _deadline: float) -> dict[str, Any]:
        """The recorder; the call is over at once."""
        case, _ = called_for(question["leg"]) or (0, 0)
        kept = await service.cases.book.get(case)
        await service.cases.book.add(case, [DialEnded(
            at=kept.case.last_at, by=SYSTEM, unit=CONTRACTOR, leg=question["leg"], outcome=outcomes.pop(0), seconds=7,
            again=datetime(2030, 4, 1, 12, tzinfo=JST),
        )])  # fmt: skip
        return {"placed": True}

    desk.served.api.office.desk._ask = ask
    await desk.login("gyosha")
    asked = ("--inquiry", "断水の予定", "--name", "山田 太郎", "--contact", "06-6458-1132 内線 12", "--discreet")
    asked += ("--between", "０:00－23:59")
    await desk.run("case", "enter", *asked, "--read-back", "--callback", "--main", "給水課")
    (row,) = (json.loads(line) for line in (await desk.run("case", "list", "--json")).stdout.splitlines())
    await desk.run("case", "hand-over", str(row["number"]), "--promised", "2030-04-01T15:00")
    ticket = f"{row['number']}-1"
    await desk.login("kyusui")
    assert ticket in (await desk.run("callback", "list", COLUMNS="200")).stdout.decode()
    dialled = await desk.run("callback", "dial", ticket, KIKITORI_PHONE="3101")
    assert dialled.returncode == 0, dialled.stderr
    assert dialled.stdout.decode().splitlines() == [
        "3101 rings: pick it up.",
        "山田 太郎 06-6458-1132 内線12  断水の予定",
        "Ask for extension 12.",
        "Say nothing of it to family or a voicemail: they asked for that.",
        "busy; again at 2030-04-01 (Mon) 12:00.",
    ]
    listed = (await desk.run("callback", "list")).stdout.decode()
    assert "tried 1×, again: 2030-04-01 (Mon) 12:00" in listed
    dialled = await desk.run("callback", "dial", ticket, "--phone", "3101", LC_ALL="ja_JP.UTF-8")
    assert dialled.stdout.decode().splitlines()[-2:] == [
        "応答あり (7秒)。", f"相手を入力してください: kikitori callback result {ticket} …",
    ]  # fmt: skip
    left = await desk.run("callback", "result", ticket, "voicemail", "--left", "水道料金の件")
    assert (left.returncode, "(C-06)" in left.stderr.decode()) == (65, True), left.stderr
    put_down = await desk.run("callback", "result", ticket, "voicemail", "--again", "2026-04-10T17:30")
    assert put_down.stdout.decode() == "Put down; again at 2026-04-10 (Fri) 17:30.\n"
    kept = await desk.run("callback", "result", ticket, "customer")
    assert kept.stdout.decode() == f"Kept: {ticket}. Then: kikitori case answer {row['number']}\n"
    assert (await desk.run("callback", "list")).stdout.decode() == "No tickets.\n"
    shown = (await desk.run("case", "show", str(row["number"]), LC_ALL="ja_JP.UTF-8")).stdout.decode()
    for part in (
        "発信: #1, 3101", "発信の結果: 話中", "発信の結果: 応答, 7秒", "通話相手: #1, 留守番電話", "通話相手: #1, 本人",
        "家族・留守番電話には伝えない",
    ):  # fmt: skip
        assert part in shown, shown
    for command, status, said in (
        (("dial", "12", "--phone", "3101"), 64, "TICKET"), (("dial", ticket), 2, "--phone"),
        (("result", ticket, "cat"), 2, "'cat'"),
        (("dial", "99-1", "--phone", "3101"), 66, "no case '99'"),
        (("result", ticket, "nobody", "--again", "soon"), 64, "--again"),
    ):  # fmt: skip
        wrong = await desk.run("callback", *command)
        assert (wrong.returncode, said in wrong.stderr.decode()) == (status, True), (command, wrong.stderr.decode())


async def test_a_case_is_put_right_and_waited_for(desk: Desk) -> None:
    await desk.login("gyosha")
    number = str(json.loads((await desk.run("case", "enter", "--inquiry", "断水", "--json")).stdout)["number"])
    for command in (
        ("note", number, "家の裏に止水栓"),
        ("amend", number, "--inquiry", "断水の時間", "--category", "漏水"),
        ("reach", number, "--no-number", "payphone", "--no-callback"),
        ("assign", number, "給水課", "--related", "庶務課"),
        ("expect", number, "2020-04-02T10:00", "--reason", "在宅の日"),
    ):
        done = await desk.run("case", *command)
        assert done.returncode == 0, (command, done.stderr)
    (late,) = (await desk.run("case", "list", "--late", "--soonest")).stdout.decode().splitlines()[1:]
    assert "LATE" in late
    await desk.run("case", "expect", number, "-")
    assert (await desk.run("case", "list", "--late", "--json")).stdout == b""
    history = json.loads((await desk.run("case", "show", number, "--json")).stdout)["history"]
    assert [act["kind"] for act in history] == [
        "register",
        "note",
        "amend",
        "reach",
        "consent",
        "assign",
        "expect",
        "expect",
    ]
    shown = (await desk.run("case", "show", number)).stdout.decode()
    for part in (
        "register: 断水",
        "amend: 断水の時間, 漏水",
        "reach: payphone",
        "assign: 給水課, 庶務課",
        "expect: no longer",
    ):
        assert part in shown, shown
    await desk.run("case", "demand", number, "土下座しろ")
    (owed_,) = (json.loads(line) for line in (await desk.run("ticket", "list", "--json")).stdout.splitlines())
    assert (owed_["kind"], owed_["unit"], owed_["due"]) == ("report", "cc", owed_["at"])
    mine = await desk.run("case", "report", number)
    assert (mine.returncode, "(B-14)" in mine.stderr.decode()) == (65, True), mine.stderr
    await desk.login("sato")
    assert (await desk.run("case", "report", number)).returncode == 0
    wrong_ = await desk.run("case", "voice", number, "--basis", "unit-judged")
    assert (wrong_.returncode, "(A-27)" in wrong_.stderr.decode()) == (65, True), wrong_.stderr
    told_ = (await desk.run("case", "show", number, LC_ALL="ja_JP.UTF-8")).stdout.decode()
    assert "不当要求行為: 土下座しろ" in told_
    assert "局長への報告: 水道局長" in told_
    await desk.login("gyosha")
    for wrong, said in (("--owner", "下水課"), ("--main", "水道"), ("--category", "下水")):
        none = await desk.run("case", "list", wrong, said)
        assert (none.returncode, f"{wrong}: '{said}' is none of" in none.stderr.decode()) == (64, True), none.stderr
    for title in ("--main", "給水課"), ("--category", "漏水"), ("--owner", "運営会社"):
        assert len((await desk.run("case", "list", *title, "--json")).stdout.splitlines()) == 1
    assert (await desk.run("case", "expect", number, "２０３０-０４-０２T１０:００")).returncode == 0
    assert (await desk.run("ticket", "list")).stdout.decode() == "No tickets.\n"
    assert json.loads((await desk.run("ticket", "rate", "--json")).stdout.splitlines()[0]) == {
        "kind": "callback", "due": 0, "in_time": 0, "late": 0, "open": 0, "share": None,
    }  # fmt: skip
    assert [
        json.loads(line)["number"]
        for line in (await desk.run("case", "list", "断水", "止水栓", "--json")).stdout.splitlines()
    ]
    short = await desk.run("case", "list", "水")
    assert (short.returncode, "WORD: a word of two characters" in short.stderr.decode()) == (64, True), short.stderr
    assert "kikitori progress sign" in (await desk.run("progress", "show")).stdout.decode()
    signed = (await desk.run("progress", "sign")).stdout.decode()
    assert "運営会社" in signed
    assert "Looked through by gyosha" in signed
    assert json.loads((await desk.run("progress", "show", "--json")).stdout)["checked"]["by"] == "gyosha"
    digest = (await desk.run("digest", "2026-04")).stdout.decode()
    assert digest.startswith("2026-04: ")
    listed = json.loads((await desk.run("section", "list", "--json")).stdout.splitlines()[1])
    assert (listed["title"], listed["categories"]) == ("給水課", ["漏水"])

    assert (await desk.run("case", "help", number, "--to", "給水課", "--why", "古い図面")).returncode == 0
    sections = desk.served.api.policies / "sections.toml"
    sections.write_text(sections.read_text().replace('name = "kyusui"', 'name = "kyusui"\nuntil = 2026-01-01'))
    ended = (await desk.run("progress", "show", LC_ALL="ja_JP.UTF-8")).stdout.decode()
    assert "担当する部署が廃止された" in ended
    (row,) = [line.split() for line in ended.splitlines() if line.startswith(f"{number} ")]
    assert row == [number, "応援要請", "給水課"], ended


@pytest.mark.rule("B-16", "B-18")
async def test_what_is_due_is_shown_and_moved(desk: Desk) -> None:
    office = desk.served.api.office
    await desk.login("sato")
    assert (await desk.run("retention", "run")).stdout.decode() == "Nothing is due.\n"
    assert json.loads((await desk.run("retention", "plan", "--json")).stdout)["move"] == {
        "count": 0, "seconds": 0, "since": None,
    }  # fmt: skip
    office.desk.now = lambda: datetime(2026, 10, 2, tzinfo=JST)
    shown = (await desk.run("retention", "plan")).stdout.decode()
    assert shown.splitlines()[1].split() == ["to", "the", "second", "medium", "3", "0.0", "2026-10-02", "00:00:00"]
    assert "`kikitori retention run`" in shown
    slots = office.root / "mirror/keys.slots"
    slots.rename(office.root / "away")
    away = await desk.run("retention", "run", LC_ALL="ja_JP.UTF-8")
    assert (away.returncode, away.stdout.decode()) == (75, "0 件の音声記録を移送しました（0.0 MiB）。\n")
    assert "第2媒体に書き込めません" in away.stderr.decode()
    assert "マウントしてください" in away.stderr.decode()
    (office.root / "away").rename(slots)
    done = await desk.run("retention", "run", "--json")
    assert (done.returncode, json.loads(done.stdout)["moved"]) == (0, 3), done.stderr
    assert (
        await desk.run("retention", "run", LC_ALL="ja_JP.UTF-8")
    ).stdout.decode() == "期日の来たものはありません。\n"
    assert "Lies on: the second medium" in (await desk.run("retention", "show", "be3b")).stdout.decode()
    office.desk.now = lambda: datetime(2027, 4, 2, tzinfo=JST)
    assert (await desk.run("retention", "hold", "be3b", "--ground", "unresolved")).returncode == 0
    late_ = (await desk.run("retention", "plan", LC_ALL="ja_JP.UTF-8")).stdout.decode()
    assert "保存期間が終わった保留中の記録です" in late_
    assert "be3bd2a0" in late_


@pytest.mark.rule("B-18")
async def test_a_recording_is_held_and_released_by_two(desk: Desk) -> None:
    async def one(*command: str) -> dict[str, Any]:
        done = await desk.run("retention", *command, "--json")
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    await desk.login()
    assert (await desk.run("retention", "holds")).stdout == b"No holds.\n"
    wrong = await desk.run("retention", "hold", THREE, "--ground", "other")
    assert (wrong.returncode, b"--reason" in wrong.stderr) == (64, True)
    held = await one("hold", THREE[:8], "--ground", "other", "--reason", "訴訟の見込み")
    told = (await desk.run("retention", "hold", THREE, "--ground", "unresolved")).stdout.decode()
    assert told.startswith("Held: ")
    assert told.endswith("Recordings: 1.\n")
    name = held["id"][:12]
    asked = await desk.run("retention", "ask", name, "--reason", "和解した")
    assert f"kikitori retention release {held['id'][:8]}" in asked.stdout.decode()
    listed = (await desk.run("retention", "holds")).stdout.decode()
    assert "sato asks for its release: 和解した" in listed
    assert (await desk.run("retention", "release", name, "--yes")).returncode == 77  # 職員
    await desk.login("mori")
    assert (await desk.run("retention", "release", name)).returncode == 64  # nobody to ask
    assert (await one("release", name, "--yes"))["state"] == "released"
    late = await desk.run("retention", "keep", name)
    assert (late.returncode, b"stays so" in late.stderr) == (65, True)
    assert len((await desk.run("retention", "holds", "--json")).stdout.splitlines()) == 1
    every = (await desk.run("retention", "holds", "--all", LC_ALL="ja_JP.UTF-8", LANGUAGE="ja")).stdout.decode()
    assert "解除" in every
    assert "その他" in every
    shown = (await desk.run("retention", "show", THREE)).stdout.decode()
    assert "it is held, and on no external medium (B-18)" in shown
    assert shown.count("Hold: ") == 2
    assert (await one("show", THREE))["erased_at"] is None


@pytest.mark.rule("B-14")
async def test_a_demand_says_whether_its_recordings_are_held(desk: Desk) -> None:
    await desk.login("gyosha")
    made = await desk.run("case", "enter", "--inquiry", "検針票", "--json")
    number = str(json.loads(made.stdout)["number"])
    none = await desk.run("case", "demand", number, "土下座しろ")
    assert (none.returncode, f"kikitori case amend {number} --call" in none.stderr.decode()) == (0, True)
    known = await desk.run("case", "demand", number, "土下座しろ", "--call", uuid("three conversation"))
    assert "are held (6条1ただし書)" in known.stdout.decode(), known.stderr
    folder = desk.served.api.office.vault.root / "held"
    folder.rename(folder.with_name("away"))
    later = await desk.run("case", "demand", number, "土下座しろ", "--call", uuid("three conversation"))
    assert (later.returncode, "are not held yet" in later.stderr.decode()) == (0, True)
