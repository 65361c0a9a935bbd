"""`kikitori case import` to a desk over TLS: killed half-way and done again, each row is one case."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import func, select

from cti.cases.tables import cases
from tests.unit.cti.api.test_command_line import Desk, desk

__all__ = ["desk"]
pytestmark = [pytest.mark.thorough, pytest.mark.rule("E-08")]

MANY = 400


async def count(desk: Desk) -> int:
    async with desk.served.api.service.desk.catalogue.engine.connect() as connection:
        return int(await connection.scalar(select(func.count()).select_from(cases)) or 0)


def sheet(folder: Path, name: str = "受付簿.csv") -> Path:
    rows = [f"2026/3/2 13:05,電話,山田 {n % 7},06-6458-1132,断水 {n // 2}\r\n" for n in range(MANY)]
    (folder / name).write_bytes(("受付日,受付方法,氏名,電話番号,内容\r\n" + "".join(rows)).encode("cp932"))
    return folder / name


async def test_killed_half_way_and_done_again_each_row_is_one_case(desk: Desk) -> None:
    file = sheet(desk.home)
    assert (await desk.login("gyosha")).returncode == 0
    command = [sys.executable, "-m", "cti.cli", "case", "import", str(file), "--apply", "--json"]
    for _ in range(2):
        before = await count(desk)
        working = subprocess.Popen(command, env=desk.environment(), cwd=desk.home, stdout=subprocess.DEVNULL)  # noqa: ASYNC220
        for _ in range(3000):
            if await count(desk) > before or working.poll() is not None:
                break
            await asyncio.sleep(0.01)
        os.kill(working.pid, signal.SIGKILL)
        await asyncio.to_thread(working.wait)
    half = await count(desk)
    assert 0 < half < MANY
    done = await desk.run("case", "import", str(file), "--apply", "--json")
    assert done.returncode == 0, done.stderr
    whole = json.loads(done.stdout.splitlines()[-1])
    assert (whole["new"] + whole["there"], await count(desk)) == (MANY, MANY)
    assert whole["there"] >= half
    again = json.loads((await desk.run("case", "import", str(file), "--json")).stdout.splitlines()[-1])
    assert (again["new"], again["there"]) == (0, MANY)


async def test_two_people_at_once(desk: Desk) -> None:
    file = sheet(desk.home)
    assert (await desk.login("gyosha")).returncode == 0
    both = await asyncio.gather(*(desk.run("case", "import", str(file), "--apply", "--json") for _ in range(2)))
    ends = [json.loads(one.stdout.splitlines()[-1]) for one in both]
    assert [one.returncode for one in both] == [0, 0], [one.stderr for one in both]
    assert await count(desk) == MANY
    assert sum(end["new"] for end in ends) == MANY


async def test_in_japanese_it_is_said_in_japanese(desk: Desk) -> None:
    file = desk.home / "受付簿.csv"
    file.write_text("受付日,受付方法,内容\n2026/3/2 13:05,ファクス,断水\n2026/3/2 13:05,電話,断水\n", "utf-8")
    assert (await desk.login("sato")).returncode == 0
    said = await desk.run("case", "import", str(file), LC_ALL="ja_JP.UTF-8", LANGUAGE="ja")
    assert said.returncode == 65
    text = said.stdout.decode()
    assert "FAX" in text or "ファクス" in text
    assert "予行" in text
    assert "運営会社" in text
