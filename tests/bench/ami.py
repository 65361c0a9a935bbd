"""The manager connection: from bytes to facts, ours against panoramisk that does the same work with the same tracker.

`python -m tests.bench.ami` prints one JSON object. A fake manager interface in a process of its own sends real-shaped
events; each client runs in a process of its own too, in turn, `--repeat` times, and the median counts.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import structlog
from panoramisk import Manager

from cti.ami.client import AmiClient, AmiConfig
from cti.ami.message import Message
from cti.calls.tracker import Event, Tracker
from policies.load import Policies, shipped
from tests.bench.machine import load
from tests.bench.stream import events

SLOWEST = 60.0  # seconds that a client may take


class Work:
    """What both clients do with an event: the tracker's facts, and when they were there."""

    def __init__(self, *, paced: bool, tracked: bool) -> None:
        """`paced`: events carry the monotonic time of their sending. Not `tracked`: only the unique id is looked at."""
        self.tracker = Tracker(pbx="pbx1", plan=Policies(shipped()).plan) if tracked else None
        self.loop = asyncio.get_running_loop()
        self.paced = paced
        self.events, self.facts = 0, 0
        self.began, self.ended, self.cpu = 0.0, 0.0, 0.0
        self.waits: list[float] = []

    def take(self, event: Event) -> bool:
        """Whether this was the last."""
        if not self.events:
            self.began, self.cpu = self.loop.time(), time.process_time()
        if event.event == "End":
            self.ended, self.cpu = self.loop.time(), time.process_time() - self.cpu
            return True
        self.events += 1
        if self.tracker is None:
            event.get("Uniqueid")
            return False
        facts = self.tracker.feed(event)
        self.facts += len(facts)
        if self.paced and facts and facts[0].at is not None:
            self.waits.append(self.loop.time() - facts[0].at.timestamp())
        return False

    def found(self) -> dict[str, float]:
        """Events and facts, events a second, us of CPU an event, milliseconds from event to fact."""
        found = {"events": self.events, "facts": self.facts, "rate": self.events / (self.ended - self.began)}
        found["cpu_us"] = self.cpu / self.events * 1e6
        if len(self.waits) > 1:
            quantiles = statistics.quantiles(self.waits, n=100, method="inclusive")
            found |= {"p50_ms": quantiles[49] * 1000, "p99_ms": quantiles[98] * 1000}
        return found


async def ours(port: int, work: Work, limit: int) -> dict[str, float]:
    """The client of cti.ami as the recorder runs it; `limit` of its queue, 0: its own."""
    config = AmiConfig(host="127.0.0.1", port=port, username="u", secret="s", ping_interval=3600.0)
    client = AmiClient(replace(config, queue_limit=limit or config.queue_limit))
    running = asyncio.create_task(client.run())
    async for item in client.events():
        if isinstance(item, Message) and work.take(item):
            break
    running.cancel()
    await asyncio.wait([running])
    return work.found() | {"dropped": client.dropped, "tampered": client.tampered}


async def panoramisk(port: int, work: Work, limit: int) -> dict[str, float]:
    """panoramisk's Manager, with the cheapest callback that it has: a plain function."""
    over = asyncio.Event()
    manager = Manager(loop=asyncio.get_running_loop(), host="127.0.0.1", port=port, username="u", secret="s")
    manager.register_event("*", lambda _, event: over.set() if work.take(event) else None)
    manager.connect()
    await over.wait()
    manager.close()
    return work.found()


CLIENTS = {"ours": ours, "panoramisk": panoramisk}


async def client(name: str, file: Path, *, rate: float, limit: int, tracked: bool) -> dict[str, float]:
    """One client against a server of its own."""
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.manager", str(file), "--rate", str(rate)), stdout=subprocess.PIPE
    )
    try:
        if server.stdout is None:
            raise RuntimeError("a pipe was asked for")
        port = int(await server.stdout.readline())
        async with asyncio.timeout(SLOWEST):
            return await CLIENTS[name](port, Work(paced=bool(rate), tracked=tracked), limit)
    finally:
        with suppress(ProcessLookupError):
            server.kill()
        await server.wait()


def _measured(name: str, file: Path, *options: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.bench.ami", "--client", name, "--file", str(file), *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _against(file: Path, repeat: int, *options: str) -> dict[str, Any]:
    """Both clients on one stream, in turn. Raises RuntimeError where they do not find the same facts."""
    # A sender without pause fills any queue: what is asked here is how fast it is emptied.
    options = ("--rate", "0", "--limit", "1000000", *options)
    runs = [{name: _measured(name, file, *options) for name in CLIENTS} for _ in range(repeat)]
    if len({(found["events"], found["facts"]) for run in runs for found in run.values()}) != 1:
        raise RuntimeError(f"not the same events and facts: {runs}")
    found: dict[str, Any] = {name: statistics.median(run[name]["rate"] for run in runs) for name in CLIENTS}
    found["cpu_us"] = {name: statistics.median(run[name]["cpu_us"] for run in runs) for name in CLIENTS}
    found["ratio"] = statistics.median(run["ours"]["rate"] / run["panoramisk"]["rate"] for run in runs)
    return found | {"events": runs[0]["ours"]["events"], "facts": runs[0]["ours"]["facts"]}


def measure(*, count: int, burst: int, rate: float, seconds: float, repeat: int, folder: Path) -> dict[str, Any]:
    """All figures of the manager connection. `count` events of the full stream."""
    found: dict[str, Any] = {}
    for name in ("filtered", "full"):
        file = folder / name
        with file.open("wb") as out:
            out.writelines(events(count, full=name == "full"))
        found[name] = _against(file, repeat)
        found[name]["bytes"] = file.stat().st_size / found[name]["events"]
        found[name]["untracked"] = _against(file, repeat, "--no-tracker")
    paced, burst_file = folder / "paced", folder / "burst"
    for file, wanted in ((paced, round(rate * seconds)), (burst_file, burst)):
        file.write_bytes(b"".join(events(3 * wanted, full=False)))
    found["paced"] = _measured("ours", paced, "--rate", str(rate))
    found["burst"] = _measured("ours", burst_file, "--rate", "0")
    return found | {"load": load()}


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=200_000, help="of the full stream")
    parser.add_argument("--burst", type=int, default=50_000)
    parser.add_argument("--rate", type=float, default=1000.0, help="events a second, for the delay")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long at that rate")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--client", choices=CLIENTS, help="one client alone, on --file")
    parser.add_argument("--file", type=Path)
    parser.add_argument("--tracker", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--limit", type=int, default=0, help="of our queue")
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    if given.client:
        print(
            json.dumps(
                asyncio.run(client(given.client, given.file, rate=given.rate, limit=given.limit, tracked=given.tracker))
            )
        )
        return
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(
            count=given.events, burst=given.burst, rate=given.rate, seconds=given.seconds, repeat=given.repeat,
            folder=Path(folder),
        )))  # fmt: skip


if __name__ == "__main__":
    main()
