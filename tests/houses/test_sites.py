"""Two PBXs, each with a recorder of its own, in network namespaces of their own, with one database: one catalogue."""

import asyncio
import json
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.databases import Postgres

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.rule("B-04")]

SECONDS = 120  # for an answer


class Site:
    """The process of one, and what it answers."""

    def __init__(self, process: Process) -> None:
        self.process = process

    async def answers(self) -> Any:
        """The next line that is one."""
        assert self.process.stdout is not None
        async with asyncio.timeout(SECONDS):
            while True:
                line = await self.process.stdout.readline()
                assert line, "the site has ended"
                if line.startswith((b"{", b'"')):
                    return json.loads(line)

    async def asked(self, word: str) -> Any:
        """Its answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n".encode())
        return await self.answers()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sites() -> AsyncIterator[dict[str, Site]]:
    """Two that run."""
    with tempfile.TemporaryDirectory(prefix="kikitori-pg-", dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)  # noqa: ASYNC240  # before anything runs
        server = await asyncio.to_thread(Postgres(Path(folder) / "pg").start)
        url = await asyncio.to_thread(server.url, "kikitori")
        made = {}
        try:
            for name in ("osaka", "sakai"):
                command = (sys.executable, "-m", "cti.demo.namespace", sys.executable, "-m", "tests.houses.site")
                made[name] = Site(await asyncio.create_subprocess_exec(*command, name, url, stdin=PIPE, stdout=PIPE))
            for site in made.values():
                assert await site.answers() == "ready"
            yield made
        finally:
            for site in made.values():
                assert site.process.stdin is not None
                site.process.stdin.close()
                await site.process.wait()
            await asyncio.to_thread(server.stop)


async def test_one_catalogue_and_neither_sees_the_others_spool(sites: dict[str, Site]) -> None:
    calls = dict(zip(sites, await asyncio.gather(*(site.asked("call") for site in sites.values())), strict=True))
    recordings = {name: said["recording"] for name, said in calls.items()}
    assert len(set(recordings.values())) == 2
    for name, said in calls.items():
        assert len(said["spool"]) == 2, "the two sides of its own call"
        assert said["in_vault"] == [recordings[name]]
    assert not set(calls["osaka"]["spool"]) & set(calls["sakai"]["spool"])
    for site in sites.values():
        seen = await site.asked("look")
        assert seen["listed"] == {recording: name for name, recording in recordings.items()}, "one catalogue"
        assert sorted(seen["calls"]) == sorted(recordings.values())
        assert (seen["exceptions"], seen["problems"]) == ([], 0), "each is complete by its own records"
