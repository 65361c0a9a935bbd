"""The manager interface of a real Asterisk: a reader that lags is cut off, notices it and comes back; TLS."""

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from cti.ami.client import AmiClient, AmiConfig, LinkUp
from cti.ami.errors import TlsError
from cti.ami.tls import pinned
from tests.asterisk.reader import SECRET, USER
from tests.real import House
from tests.unit.cti.ami.test_tls import Ca

pytestmark = pytest.mark.asyncio(loop_scope="module")

USERS = f"""
[{USER}]
secret = {SECRET}
read = user
writetimeout = 1000

[writer]
secret = {SECRET}
write = user
"""
BULK = ["x" * 900] * 100  # 90 kB an event
COUNT = 200  # 18 MB: more than the kernel's buffers of both ends take


class Reader:
    """The process, and what it says."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def says(self) -> str:
        assert self.process.stdout is not None
        async with asyncio.timeout(20):
            return (await self.process.stdout.readline()).decode().strip()

    async def until(self, kind: str) -> list[str]:
        """What it says, up to the first of a kind."""
        said = [await self.says()]
        while not said[-1].startswith(kind):
            said.append(await self.says())
        return said


@asynccontextmanager
async def reading(port: int) -> AsyncIterator[Reader]:
    """A reader that is logged in. Killed at the end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.asterisk.reader", str(port)), stdout=PIPE, stderr=PIPE
    )
    try:
        reader = Reader(process)
        assert await reader.says() == "up"
        yield reader
    finally:
        process.kill()
        await process.wait()


async def test_a_reader_that_lags_is_cut_off_notices_it_and_comes_back(house_with_service: House) -> None:
    house, pbx = house_with_service, house_with_service.lab.pbx
    with (pbx.etc / "manager.conf").open("a") as conf:
        conf.write(USERS)
    pbx.rx("manager reload")

    async def event(writer: AmiClient, number: int, *, bulk: bool = False) -> None:
        action = {"Action": "UserEvent", "UserEvent": "Probe", "Number": number, "Bulk": BULK if bulk else []}
        assert (await writer.send_action(action, deadline=10))[0].get("Response") == "Success"

    async with house.manager("writer", SECRET) as manager, reading(house.lab.settings.pbx.port) as reader:
        writer = manager.client
        await event(writer, 0)
        assert await reader.says() == "event 0"
        reader.process.send_signal(signal.SIGSTOP)
        for number in range(1, COUNT + 1):
            await event(writer, number, bulk=True)
        await house.lab.until(lambda: USER not in pbx.rx("manager show connected"), 30, "Asterisk cut nobody off")
        await event(writer, COUNT + 1)
        reader.process.send_signal(signal.SIGCONT)
        *heard, down = await reader.until("down")
        assert heard == [f"event {number}" for number in range(1, len(heard) + 1)]
        assert len(heard) < COUNT
        assert await reader.says() == "up"
        await event(writer, COUNT + 2)
        assert await reader.says() == f"event {COUNT + 2}"
        assert reader.process.stderr is not None
        logged = [(await reader.process.stderr.readline()).decode() for _ in range(3)]
    assert ["ami connected" in logged[0], "ami lost" in logged[1], "ami connected" in logged[2]] == [True] * 3
    assert down.removeprefix("down ") in logged[1]


async def test_tls_with_a_ca_of_our_own(house_with_service: House, tmp_path: Path) -> None:
    pbx = house_with_service.lab.pbx
    ours, theirs = Ca(tmp_path, "ours"), Ca(tmp_path, "theirs")
    ours.server()
    shown = pbx.etc / "manager.pem"
    shown.write_bytes((tmp_path / "server.pem").read_bytes())
    shown.chmod(0o644)
    with (pbx.etc / "manager.conf").open("a") as conf:
        conf.write(f"\n[general](+)\ntlsenable = yes\ntlsbindaddr = 127.0.0.1:5039\ntlscertfile = {shown}\n")
    pbx.rx("manager reload")
    site = pbx.site

    def client(ca: Ca, port: int) -> AmiClient:
        return AmiClient(
            AmiConfig(
                host="127.0.0.1", port=port, username=site.ami_user, secret=site.ami_secret, tls=pinned(ca.file),
            )
        )  # fmt: skip

    right = client(ours, 5039)
    running = asyncio.create_task(right.run())
    async with asyncio.timeout(10):
        async for item in right.events():
            if isinstance(item, LinkUp):
                break
    assert (await right.send_action({"Action": "CoreShowChannels"}))[-1].event == "CoreShowChannelsComplete"
    running.cancel()
    await asyncio.wait([running])
    with pytest.raises(TlsError, match="its certificate was refused"):
        await client(theirs, 5039)._connect()
    with pytest.raises(TlsError, match="no TLS there"):
        await client(ours, site.ami_port)._connect()
