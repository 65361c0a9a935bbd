"""A whole installation in a scratch folder: disk image, Asterisk, service, telephones. The demo and the tests use it.

To be used by root in namespaces of its own (`cti.demo.namespace`).
"""

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from cti.app.clock import wall_clock
from cti.app.site import asterisk_site
from cti.demo.pbx import Pbx, Users, absent_modules, ensure_users, find_root
from cti.demo.scenarios import Answer, Dial, Hold, Talk
from cti.demo.sipp import Line, Phone, write_speech
from cti.hours import known
from cti.i18n import _
from cti.pbxconfig import Decided
from cti.settings import Settings, load
from policies.load import Policies

PASSPHRASE = "a passphrase for the demonstration"  # noqa: S105  # it protects tones
YEARS_OPEN = timedelta(days=3650)  # more is taken for a slip
TRUNK_HOST = "127.0.0.2"
TRUNK_PORT = 5070
READY = _("Kikitori is ready.")  # as the service says it, which inherits our language


class LabError(Exception):
    """The laboratory could not be set up, or something in it did not happen in time."""


class Lab:
    """`async with Lab(folder) as lab:`; everything lies below `folder`, the installation on a disk image of its own."""

    def __init__(
        self,
        folder: Path,
        *,
        disk_size: str = "1G",
        gate: str = "fastagi",
        plain: bool = False,
        database: str = "",
        pbx: str = "pbx1",
    ) -> None:
        """Nothing is made before `start`. `gate`: how Asterisk asks it, as `[asterisk] gate` has it; `database`: as
        `[database] url` has it; `pbx`: its name.

        `plain`: no announcement, and the trunk's own ringing: a call is put through at once.
        """
        self.gate, self.plain, self.database, self.name = gate, plain, database, pbx
        self.folder = folder
        self.disk = folder / "disk"
        self.image = folder / "disk.img"
        self.home = self.disk / "kikitori"
        self.config = self.home / "kikitori.toml"
        self.passphrase_file = folder / "passphrase"
        self.disk_size = disk_size
        self.service: asyncio.subprocess.Process | None = None
        self.escrow = ""
        self._line = 0

    async def start(self) -> None:
        """Disk, installation, Asterisk, service: ready for calls."""
        self.folder.chmod(0o755)
        await asyncio.to_thread(self._mount_disk)
        self.passphrase_file.write_text(PASSPHRASE + "\n")
        made = json.loads(
            self.kikitori("init", str(self.home), "--passphrase-file", str(self.passphrase_file), "--work-factor", "12",
                          "--spool-size", "512m", "--pbx", self.name, "--json")
        )  # fmt: skip
        self.escrow = made["escrow_identity"]
        with self.config.open("a") as file:
            file.write(self._settings())
        self.settings: Settings = load(self.config, {}).settings
        self.decide("numbers.toml", hours='"centre"')  # nobody may open the offices at night
        if self.plain:
            self.decide("routing.toml", recorded="false", early_media="false", whisper="false")
        await asyncio.to_thread(self._open)
        self.pbx = self._pbx()
        await asyncio.to_thread(self.pbx.start)
        await self.serve()
        await asyncio.to_thread(os.sync)  # an installation is older than its first power failure

    async def __aenter__(self) -> "Lab":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """End what runs and let go of the disk."""
        await self.stop_service()
        self.pbx.stop()
        await asyncio.to_thread(self._unmount)

    def _unmount(self) -> None:
        for path in (self.home / "spool", self.disk):
            subprocess.run(["umount", "-l", path], check=False, capture_output=True)

    # --- parts ------------------------------------------------------------------------------------------------------

    def _mount_disk(self) -> None:
        """A file system in a file: what a disk held at any moment can be searched byte by byte."""
        subprocess.run(["truncate", "-s", self.disk_size, self.image], check=True)
        subprocess.run(["mkfs.ext4", "-q", "-F", self.image], check=True)
        self.disk.mkdir()
        subprocess.run(["mount", "-o", "loop", self.image, self.disk], check=True)
        self.disk.chmod(0o755)

    def decide(self, policy: str, **values: str) -> None:
        """Give keys of a policy file other values, as TOML writes them. Raises LabError for a key that is not there."""
        path = self.settings.paths.policies / policy
        text = path.read_text("utf-8")
        for key, value in values.items():
            text, count = re.subn(rf"(?m)^{key} = .*$", f"{key} = {value}", text)
            if not count:
                raise LabError(f"{policy} has no {key}")
        path.write_text(text, "utf-8")

    def _open(self) -> None:
        """Whatever the hour is: a demonstration at night is decided by the same rules."""
        today = wall_clock().date()
        self.kikitori(
            *("hours", "override", "add", "--kind", "open", "--from", str(today), "--to", str(today + YEARS_OPEN)),
            *("--reason", "laboratory", "--decided-by", "水道局長", "--yes"),
        )
        # As if entered long ago: one counts from then on, also where a test sets the clock back. At night that decides.
        path = self.settings.paths.hours / "overrides.jsonl"
        text = path.read_text("utf-8")
        path.write_text(re.sub(r'("(?:entered_at|from)": ?)"[^"]*"', r'\1"2026-01-01T00:00:00+09:00"', text), "utf-8")

    def _settings(self) -> str:
        asterisk = self.disk / "asterisk"
        return "\n".join(
            (
                "",
                "[asterisk]",
                'sip_bind = "127.0.0.1"',
                # clear of the telephones' own ports: a phone that finds Asterisk's media on its port cannot be called
                "rtp_start = 20000",
                "rtp_end = 29999",
                'trunk_match = "127.0.0.2"',
                f'trunk_contact = "sip:{TRUNK_HOST}:{TRUNK_PORT}"',
                f'log_dir = "{asterisk}/log"',
                f'run_dir = "{asterisk}/run"',
                f'gate = "{self.gate}"',
                # the host's Asterisk runs with what this runs with; one in a root file system has a Python of its own
                f'python = "{sys.executable if find_root() is None else "/usr/bin/python3"}"',
                f'var_dir = "{asterisk}/var"',
                "",
                "[database]",
                f'url = "{self.database}"',
                "",
            )
        )

    def _pbx(self) -> Pbx:
        policies = Policies(self.settings.paths.policies)
        users: Users = ensure_users()
        phones = [phone for group in policies.plan.group for phone in group.phones]
        site = replace(
            asterisk_site(self.settings),
            phone_contacts={phone: f"sip:{phone}@127.0.0.1:{10000 + int(phone)}" for phone in phones},
            absent=absent_modules(find_root()),
        )
        work = self.disk / "asterisk"
        work.mkdir(exist_ok=True)
        text = self.config.read_text().replace("/var/log/asterisk/cel.csv", f"{site.log_dir}/cel.csv")
        self.config.write_text(text)
        return Pbx(work, site, decided=self.decided(), users=users)

    def decided(self) -> Decided:
        """What the policies say now."""
        return Decided.of(*known(self.settings.paths.policies, self.settings.paths.hours), wall_clock())

    async def serve(self) -> None:
        """Start the service; return when it is ready and in step with the PBX."""
        await self.serve_alone()
        await self.in_step()

    async def in_step(self) -> None:
        """Wait until the recorder knows what happens on the PBX."""
        await self.until(lambda: self.status().get("in_step", False), 30, "the recorder did not find the PBX")

    async def serve_alone(self) -> None:
        """Start the service; return when it is ready, with or without a PBX."""
        log = (self.folder / "service.log").open("wb")
        self.service = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "cti.cli", "--config", str(self.config), "serve",
            stdout=log, stderr=asyncio.subprocess.STDOUT, stdin=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        log.close()
        said = self.folder / "service.log"
        await self.until(lambda: READY in said.read_text(), 30, "the service did not come up")

    async def stop_service(self) -> None:
        """SIGTERM, and wait."""
        if self.service is not None and self.service.returncode is None:
            self.service.terminate()
            await self.service.wait()

    def kikitori(self, *arguments: str, check: bool = True, text: str | None = None) -> str:
        """Run the command line as a person would; its standard output. Raises LabError with its standard error."""
        config = ["--config", str(self.config)] if self.config.exists() else []
        done = subprocess.run(
            [sys.executable, "-m", "cti.cli", *config, *arguments], check=False, capture_output=True, text=True,
            input=text, env=os.environ | {"LC_ALL": "C.UTF-8", "KIKITORI_PASSPHRASE_FILE": str(self.passphrase_file)},
        )  # fmt: skip
        if check and done.returncode != 0:
            raise LabError(f"kikitori {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def rows(self, *arguments: str) -> list[dict[str, Any]]:
        """The JSON lines of a command."""
        return [json.loads(line) for line in self.kikitori(*arguments, "--json").splitlines()]

    def status(self) -> dict[str, Any]:
        """What the recorder says of itself; empty where it does not answer."""
        return _ask(self.home / "run" / "recorder.sock")

    def kill_recorder(self) -> int:
        """SIGKILL to the recorder; its pid. The supervisor starts it again."""
        pid = int(self.status()["pid"])
        os.kill(pid, signal.SIGKILL)
        return pid

    async def until(self, holds: Callable[[], bool], seconds: float, complaint: str) -> None:
        """Wait for a fact. Raises LabError."""
        end = time.monotonic() + seconds
        while not await asyncio.to_thread(holds):
            if time.monotonic() > end:
                raise LabError(f"{complaint} within {seconds} s; see {self.folder / 'service.log'}")
            await asyncio.sleep(0.05)

    async def back(self, old: int) -> None:
        """Wait until a recorder other than `old` is in step with the PBX."""

        def there() -> bool:
            status = self.status()
            return bool(status.get("in_step")) and status["pid"] != old

        await self.until(there, 30, "the recorder did not come back")

    async def idle(self, seconds: float = 30) -> None:
        """Wait until no call is on, nothing is armed and the spool holds no sound."""

        def quiet() -> bool:
            status = self.status()
            return status.get("armed") == 0 and status["calls"] == 0 and not any((self.home / "spool/audio").iterdir())

        try:
            await self.until(quiet, seconds, "the recorder did not finish")
        except LabError as error:
            spool = [f"{path.name} {path.stat().st_size}" for path in (self.home / "spool/audio").iterdir()]
            asked = self.pbx.rx("core show channels concise").splitlines()[:20]
            said = f"{error}; {self.status()}; Asterisk's channels: {asked}; spool: {spool}; {self._last_words()}"
            raise LabError(said) from error

    def _last_words(self) -> str:
        """The end of the service's log, which goes with the laboratory."""
        return "\n".join((self.folder / "service.log").read_text(errors="replace").splitlines()[-40:])

    # --- calls ------------------------------------------------------------------------------------------------------

    def line(self, name: str, *, port: int, host: str) -> Line:
        """A telephone socket with media ports of its own."""
        self._line += 1
        # Below the ports that the kernel gives to whoever asks for none.
        return Line(name=name, port=port, media_port=30000 + 4 * (self._line % 690), host=host)

    @contextlib.asynccontextmanager
    async def call_in(
        self, call: int, seconds: float, *, to: str = "0664581132", phone: str = "2001", number: str = "0901234567",
        holds: tuple[Hold, ...] = (),
    ) -> AsyncIterator[tuple[Phone, Phone]]:  # fmt: skip
        """A caller on the trunk dials `to`, `phone` answers; both spell `call`. Yields (caller, phone)."""
        folder = self.folder / "phones" / str(call)
        folder.mkdir(parents=True)
        said = write_speech(folder / "caller.ulaw", call, "caller", seconds)
        answered = write_speech(folder / "callee.ulaw", call, "callee", seconds)
        extra = sum(hold.seconds for hold in holds)
        answer = Answer(talk=Talk(audio=answered, holds=holds))
        dial = Dial(to=to, number=number, talk=Talk(audio=said, hang_up_after=seconds + extra + 1.0))
        callee = Phone(self.line(phone, port=10000 + int(phone), host="127.0.0.1"), answer, folder)
        caller = Phone(self.line("trunk", port=6000 + call, host=TRUNK_HOST), dial, folder)
        async with callee, caller:
            yield caller, callee
            await caller.finished(seconds + 30)
            await callee.finished(10)

    @contextlib.asynccontextmanager
    async def call_out(
        self, call: int, seconds: float, *, to: str = "0666123456", phone: str = "2002"
    ) -> AsyncIterator[tuple[Phone, Phone]]:
        """`phone` dials `to` over the trunk. Yields (phone, outside party) while it goes on."""
        folder = self.folder / "phones" / str(call)
        folder.mkdir(parents=True)
        said = write_speech(folder / "callee.ulaw", call, "callee", seconds)
        answered = write_speech(folder / "caller.ulaw", call, "caller", seconds)
        secret = self.pbx.site.phone_secrets[phone]
        dial = Dial(
            to=to, number=phone, user=phone, password=secret, talk=Talk(audio=said, hang_up_after=seconds + 1.0)
        )
        outside = Phone(
            self.line("outside", port=TRUNK_PORT, host=TRUNK_HOST), Answer(talk=Talk(audio=answered)), folder
        )
        inside_phone = Phone(self.line(phone, port=10000 + int(phone), host="127.0.0.1"), dial, folder)
        async with outside, inside_phone:
            yield inside_phone, outside
            await inside_phone.finished(seconds + 30)
            await outside.finished(10)


def _ask(path: Path) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX) as channel:
        channel.settimeout(2.0)
        try:
            channel.connect(str(path))
            channel.sendall(b'{"ask": "status"}\n')
            answer: dict[str, Any] = json.loads(channel.makefile().readline() or "{}")
        except OSError:
            return {}
    return answer


def remove(folder: Path) -> None:
    """Forget a laboratory's folder."""
    shutil.rmtree(folder, ignore_errors=True)
