"""A whole installation under load: real Asterisk, real service, SIPp with media both ways. Root, in a namespace.

`python -m tests.bench.pbx --calls 100` prints one JSON object: what MixMonitor costs Asterisk, what recording costs us,
and when recordings began. The phases of a run, with the same calls in each:

```
plain    a number that is not designated: Asterisk alone
wav      the same, and MixMonitor writes one mixed wav: a system administrator's recorder
ours     a designated number: the gate, MixMonitor and the recorder
flooded  a designated number, more calls than this machine can carry, and busy loops beside them
```
"""

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from cti.ami.client import AmiClient, AmiConfig, LinkUp
from cti.ami.message import Message
from cti.calls.cel import CelEvent, read
from cti.calls.tracker import event_time
from cti.demo.lab import TRUNK_HOST, Lab
from cti.demo.scenarios import Answer, Dial, Talk
from cti.demo.sipp import TAIL, Phone, PhoneError
from cti.demo.tones import ulaw_encode
from tests.bench.machine import cpu_of, load
from tests.bench.speech import conversation

PLAIN, OURS = ("0664587000", "3001"), ("0664587211", "2201")
RATE = 10  # calls begun in a second
UP = "6"  # ChannelState of an answered channel


@dataclass(slots=True)
class Seen:
    """Event times of one call, seconds since the epoch, by Asterisk's own clock."""

    appeared: float
    caller: str
    started: float | None = None
    answered: float | None = None
    bridged: float | None = None
    over: bool = False


@dataclass(slots=True)
class Observer:
    """A manager connection of its own: notes when what happened, and in phase `wav` plays the administrator."""

    ami: AmiClient
    wav: Path | None = None
    calls: dict[str, Seen] = field(default_factory=dict)
    _tasks: set["asyncio.Task[Any]"] = field(default_factory=set)
    ready: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Until cancelled."""
        connection = asyncio.create_task(self.ami.run())
        try:
            async for item in self.ami.events():
                if isinstance(item, LinkUp):
                    self.ready.set()
                elif isinstance(item, Message):
                    self._note(item)
        finally:
            connection.cancel()

    def _note(self, event: Message) -> None:
        at = event_time(event)
        linked, uniqueid, name = event.get("Linkedid"), event.get("Uniqueid"), event.event
        if at is None:
            return
        when = at.timestamp()
        if name == "Newchannel" and uniqueid == linked:
            self.calls[linked] = Seen(when, uniqueid)
            if self.wav is not None:
                self._record(event.get("Channel"), self.wav / f"{uniqueid}.wav")
        call = self.calls.get(linked)
        if call is None:
            return
        if name == "MixMonitorStart" and call.started is None:
            call.started = when
        elif name == "Newstate" and event.get("ChannelState") == UP and call.answered is None:
            call.answered = when
        elif name == "BridgeEnter" and uniqueid == call.caller and call.bridged is None:
            call.bridged = when
        elif name == "Hangup" and uniqueid == call.caller:
            call.over = True

    def _record(self, channel: str, path: Path) -> None:
        action = {"Action": "MixMonitor", "Channel": channel, "File": str(path), "Options": "b"}
        task = asyncio.create_task(self.ami.send_action(action))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def standing(self) -> int:
        """Callers that talk now."""
        return sum(call.bridged is not None and not call.over for call in self.calls.values())


@dataclass(slots=True, kw_only=True)
class Bench:
    """One laboratory and what is measured in it."""

    lab: Lab
    observer: Observer
    window: float
    phases: int = 0

    async def phase(self, number: tuple[str, str], calls: int) -> dict[str, float]:
        """`calls` calls to `number`; CPU per call-second of Asterisk and recorder while all of them stand."""
        self.observer.calls.clear()
        asterisk, recorder = self.lab.pbx.pid, int(self.lab.status()["pid"])
        async with self._phones(number, calls):
            standing = await self._all_up(calls)
            before = cpu_of(asterisk), cpu_of(recorder)
            began = asyncio.get_running_loop().time()
            await asyncio.sleep(self.window)
            after = cpu_of(asterisk), cpu_of(recorder)
            spent = asyncio.get_running_loop().time() - began
            standing = (standing + self.observer.standing()) / 2
        await self.lab.idle(300)
        return {
            "asterisk_us": (after[0] - before[0]) / (standing * spent) * 1e6,
            "recorder_us": (after[1] - before[1]) / (standing * spent) * 1e6,
            "standing": standing,
            "load": load(),
        }

    async def flood(self, calls: int) -> dict[str, float]:
        """More calls than the machine can carry. No CPU figures: the recorder's process may not outlive it."""
        self.observer.calls.clear()
        async with _hogs(2 * (os.cpu_count() or 1)), self._phones(OURS, calls):
            standing = await self._all_up(calls)
            await asyncio.sleep(self.window)
            found = arming(self.observer.calls) | {"standing": standing, "load": load()}
            for call in self.observer.calls.values():
                if call.answered is not None and (call.started is None or call.started > call.answered):
                    print("begun late:", call, file=sys.stderr)
        await self.lab.idle(300)
        return found | self.completeness()

    def completeness(self) -> dict[str, float]:
        """What was sealed of the calls that the observer saw, against Asterisk's own record of who was bridged when."""
        callers = {call.caller for call in self.observer.calls.values()}
        takes: dict[str, set[str]] = {uniqueid: set() for uniqueid in callers}
        for path in (self.lab.home / "vault/segments").rglob("*.manifest"):
            manifest = json.loads(path.read_text().partition("\n")[2].partition("\n\n")[0])
            if manifest["uniqueid"] in callers:
                takes[manifest["uniqueid"]].add(manifest["take"])
        talked = bridged(read((Path(self.lab.pbx.site.log_dir) / "cel.csv").read_text(errors="replace")))
        return {
            "missing": len(talked & callers - {uniqueid for uniqueid, of in takes.items() if of}),
            "doubled": sum(len(of) > 1 for of in takes.values()),
        }

    async def _all_up(self, calls: int) -> float:
        """Wait until all talk, or as many as this machine can carry."""
        loop = asyncio.get_running_loop()
        end = loop.time() + calls / RATE + 4.0
        while self.observer.standing() < calls and loop.time() < end:  # noqa: ASYNC110  # ten looks a second
            await asyncio.sleep(0.1)
        return float(self.observer.standing())

    @contextlib.asynccontextmanager
    async def _phones(self, number: tuple[str, str], calls: int) -> AsyncIterator[None]:
        self.phases += 1
        seconds = calls / RATE + self.window + 5.0
        folder = self.lab.folder / "phones" / f"load-{self.phases}"
        folder.mkdir(parents=True)
        voices = []
        for side, sound in zip(("caller", "phone"), conversation(self.phases, seconds), strict=True):
            path = folder / f"{side}.ulaw"
            path.write_bytes(ulaw_encode(sound)[: round(seconds) * 8000] + b"\xff" * round(TAIL * 8000))
            voices.append(path)
        to, phone = number
        answering = Phone(
            self.lab.line(phone, port=10000 + int(phone), host="127.0.0.1"),
            Answer(talk=Talk(audio=voices[1])), folder, calls=calls, rate=RATE,
        )  # fmt: skip
        calling = Phone(
            self.lab.line("trunk", port=6000 + self.phases, host=TRUNK_HOST),
            Dial(to=to, number="0901234567", talk=Talk(audio=voices[0], hang_up_after=seconds)),
            folder, calls=calls, rate=RATE,
        )  # fmt: skip
        async with answering, calling:
            yield
            # A flooded SIPp loses calls of its own accord; what Asterisk saw is what counts.
            with contextlib.suppress(PhoneError):
                await calling.finished(seconds + 30)


def bridged(events: Iterable[CelEvent]) -> set[str]:
    """The channels that were in a bridge, by Asterisk's own record."""
    return {event.get("Uniqueid") for event in events if event.event == "BridgeEnter"}


def arming(calls: dict[str, Seen]) -> dict[str, float]:
    """Milliseconds from Newchannel to MixMonitorStart, and recordings that were begun after somebody answered."""
    answered = [call for call in calls.values() if call.answered is not None]
    took = sorted((call.started - call.appeared) * 1000 for call in calls.values() if call.started is not None)
    quantiles = statistics.quantiles(took, n=100, method="inclusive") if len(took) > 1 else [0.0] * 99
    return {
        "begun": len(calls),
        "answered": len(answered),
        "p50_ms": quantiles[49],
        "p99_ms": quantiles[98],
        "max_ms": took[-1] if took else 0.0,
        "late": sum(call.started is None or call.started > (call.answered or 0.0) for call in answered),
        "least_ms": min(
            (
                (call.answered - call.started) * 1000
                for call in answered
                if call.started is not None and call.answered is not None
            ),
            default=0.0,
        ),
    }


@contextlib.asynccontextmanager
async def _hogs(count: int) -> AsyncIterator[None]:
    """Busy loops."""
    made = [await asyncio.create_subprocess_exec(sys.executable, "-c", "while True: pass") for _ in range(count)]
    try:
        yield
    finally:
        for process in made:
            process.kill()
            await process.wait()


async def measure(*, calls: int, flood: int, window: float, folder: Path, keep: Path | None) -> dict[str, Any]:
    """One run of all phases."""
    lab = Lab(folder, plain=True)
    try:
        await lab.start()
        lab.pbx.rx("module load format_wav.so")
        site = lab.pbx.site
        observer = Observer(
            AmiClient(AmiConfig(host=site.ami_bind, port=site.ami_port, username=site.ami_user, secret=site.ami_secret))
        )
        watching = asyncio.create_task(observer.run())
        await observer.ready.wait()
        bench = Bench(lab=lab, observer=observer, window=window)
        found: dict[str, Any] = {"asterisk": lab.pbx.rx("core show version").split(" built")[0]}
        if calls:
            found["plain"] = await bench.phase(PLAIN, calls)
            observer.wav = Path(site.var_dir) / "spool"
            found["wav"] = await bench.phase(PLAIN, calls)
            found["wav"]["files"] = len(list(observer.wav.glob("*.wav")))
            observer.wav = None
            found["ours"] = await bench.phase(OURS, calls)
            found["arming"] = arming(observer.calls)
        if flood:
            found["flooded"] = await bench.flood(flood)
        found["sealed"] = len(list((lab.home / "vault/segments").rglob("*.manifest")))
        said = (folder / "service.log").read_text()
        found["fallbacks"] = said.count("begun by the dialplan")
        found["restarts"] = said.count("starting it again")
        if keep:
            keep.write_text(said)  # noqa: ASYNC240  # at the end
        watching.cancel()
    finally:
        await lab.stop()
    return found


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--flood", type=int, default=0)
    parser.add_argument("--window", type=float, default=20.0, help="seconds in which all calls stand")
    parser.add_argument("--disk", type=Path, default=Path("/var/tmp"))  # a disk, not RAM
    parser.add_argument("--keep", type=Path, help="where to copy the service's log")
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    with tempfile.TemporaryDirectory(dir=given.disk) as folder:
        print(json.dumps(asyncio.run(measure(
            calls=given.calls, flood=given.flood, window=given.window, folder=Path(folder),
            keep=given.keep,
        ))))  # fmt: skip


if __name__ == "__main__":
    main()
