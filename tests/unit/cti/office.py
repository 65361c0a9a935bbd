"""A desk over a vault with three recordings, of one, two and three segments."""

import asyncio
import io
import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import soundfile

from cti import store
from cti.app.desk import teller
from cti.cases.book import CaseBook
from cti.cases.calling import Calling
from cti.cases.desk import CaseDesk
from cti.cases.putting import Putting
from cti.cases.sealing import FieldKeys
from cti.demands import Demands
from cti.desk import Desk, Sound
from cti.holding import Holding
from cti.intake import IntakeBook
from cti.moving import Moving
from cti.purpose import Purpose
from cti.reviewing import Reviewing
from cti.vaultkeys import VaultKeys
from policies.load import Policies
from policies.retention import Retention
from recorder.access.accounts import Accounts
from recorder.access.credentials import Cost
from recorder.access.known import DECIDING, Known, known
from recorder.access.log import AccessLog
from recorder.catalogue import Catalogue
from recorder.vault.age import Identity
from recorder.vault.epochs import Listed, told_by
from recorder.vault.errors import VaultError
from recorder.vault.folder import HELD, VaultFolder
from recorder.vault.keys import by_passphrase, load_verifier
from recorder.verify import Finding
from retention.held import HeldFolder
from retention.mover import Mover, problem_of
from retention.plan import Plan
from tests import databases
from tests.unit.recorder.rig import RATE, START, interleave, noise, uuid

PASSPHRASE = "correct horse battery"
SECONDS = {"one": 3, "two": 5, "three": 12}
BREAKS = {"one": 0, "two": 1, "three": 2}
SIDES = {name: (noise(f"{name} l", RATE * s), noise(f"{name} r", RATE * s)) for name, s in SECONDS.items()}
BOTH = {name: interleave(*sides) for name, sides in SIDES.items()}
WEAK = 10
MONTH = timedelta(days=31)
CHEAP = Cost(memory=64, passes=1)


@dataclass
class Office:
    """A desk over a folder, and what the folder's parts are called."""

    root: Path
    desk: Desk
    vault: VaultFolder

    @property
    def log(self) -> Path:
        return self.root / "log/access.db"

    def entries(self, action: str) -> list[dict[str, Any]]:
        with AccessLog(self.log) as access:
            return [dict(entry.detail) for entry in access.find(action=action)]

    def open(self, name: str, start: float = 0, end: float | None = None) -> Sound:
        return self.desk.open(uuid(name), start, end)

    def play(self, name: str, start: float = 0, end: float | None = None, side: str = "both") -> bytes:
        return b"".join(
            self.desk.play(
                self.open(name, start, end), by_passphrase(self.desk.keys, PASSPHRASE), Purpose.QUALITY, side
            )
        )

    def export(self, name: str, kind: str, to: Identity | None = None, out: Any = None) -> bytes:
        out = out or io.BytesIO()
        self.desk.export(
            self.open(name),
            by_passphrase(self.desk.keys, PASSPHRASE),
            Purpose.CONTENT,
            kind=kind,
            recipient=to.recipient if to else None,
            out=out,
            progress=lambda _samples: None,
        )
        return bytes(out.getvalue()) if isinstance(out, io.BytesIO) else b""

    def segment(self, name: str, number: int, kind: str) -> Path:
        return self.vault.folder(uuid(name)) / f"{uuid(name)}.{number:03d}.{kind}"

    async def verify(self, passphrase: str | None = PASSPHRASE) -> list[Finding]:
        opening = by_passphrase(self.desk.keys, passphrase) if passphrase else None
        return [finding async for finding in self.desk.verify(None, opening, lambda _count: None)]


async def fill_catalogue(root: Path) -> None:
    engine = store.engine(databases.url(root))
    await store.migrate(engine)
    await engine.dispose()
    made = await open_office(root)
    assert await made.desk.catch_up() == 6
    assert not made.vault.waiting("index")
    await made.desk.close()


async def open_office(root: Path, **more: Any) -> Office:
    engine = store.engine(databases.url(root))
    vault = VaultFolder(root / "vault", root / "mirror")
    desk = Desk(
        vault=vault,
        keys=root / "keys",
        access=lambda: AccessLog(root / "log/access.db"),
        checkpoints=root / "checkpoints",
        catalogue=Catalogue(engine, "pbx1"),
        now=lambda: START + timedelta(hours=2),
        actor="staff-1",
        intake=IntakeBook(engine, "pbx1", lambda _at: None),
        **more,
    )
    return Office(root, desk, vault)


def accounts_of(desk: Desk, now: Callable[[], datetime]) -> Accounts:
    """Those in the database of `desk`; their passwords cost little."""

    def logged(account: str) -> Known | None:
        return known(desk.logged_of(account, DECIDING))

    return Accounts(desk.catalogue.engine, desk.catalogue.pbx, tell=teller(desk), logged=logged, now=now, cost=CHEAP)


def keys_of(desk: Desk, accounts: Accounts) -> VaultKeys:
    """Those of the office's vault; a recorder answers that follows the list."""
    listed = Listed(desk.keys, lambda: told_by(desk.last_of(desk.catalogue.pbx, ["keys.rotated"])))

    async def ask(_question: Any, _deadline: float) -> dict[str, Any]:
        return {"epoch": listed.now()[0], "open": [], "damaged": []}

    desk._ask = ask  # the recorder
    return VaultKeys(desk, accounts.grants, desk.keys.with_name("escrow"), MONTH)


def reviewing_of(desk: Desk, policies: Path) -> Reviewing:
    """The office's log, by the policies of that folder."""
    return Reviewing(desk, lambda: Policies(policies).review, lambda: Policies(policies).opening_hours())


def cases_of(desk: Desk, policies: Path) -> CaseDesk:
    """The office's cases, and the 所管課 of that folder."""

    book = CaseBook(desk.catalogue.engine, lambda: FieldKeys(bytes(32)), desk.catalogue.pbx, teller(desk))
    return CaseDesk(
        book, lambda: Policies(policies).sections, desk.catalogue.pbx, teller(desk), lambda: desk.now(),
        done=Demands(book, holding_of(desk, policies)).hold,
    )  # fmt: skip


def holding_of(desk: Desk, policies: Path) -> Holding:
    """The holds of the office's vault."""
    return Holding(desk, lambda: Policies(policies).retention)


def moving_of(desk: Desk, policies: Path) -> Moving:
    """With the keeper's own mover behind it, in this process."""
    held = HeldFolder(desk.vault.root / HELD)

    def retention() -> Retention:
        return Policies(policies).retention

    def tell(lines: Sequence[tuple[str, str, Mapping[str, Any]]]) -> None:
        for action, about, detail in lines:
            desk.log(action, about, detail, actor="keeper")

    def plan() -> Plan:
        return Plan(retention(), held.now(), desk.now())

    mover = Mover(desk.vault, [load_verifier(desk.keys / "recorder.pub")], plan, tell, lambda _size: None)

    async def keeper(question: Mapping[str, Any], _deadline: float) -> dict[str, Any]:
        try:
            found = await asyncio.to_thread(mover.move, question["recordings"], question["act"])
        except VaultError as error:
            return {"problem": problem_of(error)}
        return {"outcomes": json.loads(json.dumps([asdict(one) for one in found]))}

    return Moving(desk, retention, keeper)


def calling_of(desk: Desk, cases: CaseDesk, policies: Path) -> Calling:
    """The office's callbacks; the recorder is whoever `keys_of` says."""
    return Calling(
        cases, desk.ask, lambda: Policies(policies), desk.catalogue.pbx, lambda: desk.now(), lambda _at: None
    )  # fmt: skip


def putting_of(desk: Desk, cases: CaseDesk, policies: Path) -> Putting:
    """Whoever puts callers through there."""
    return Putting(cases, desk.ask, lambda _at: Policies(policies).opening_hours(), lambda: desk.now())


def samples(wav: bytes) -> bytes:
    with soundfile.SoundFile(io.BytesIO(wav)) as sound:
        return bytes(sound.buffer_read(-1, "int16"))


def opened(data: bytes, reader: Identity, folder: Path) -> bytes:
    """What the public `age` tool makes of it."""
    (folder / "key").write_text(f"{reader}\n")
    return subprocess.run(
        ["age", "--decrypt", "--identity", folder / "key"], input=data, check=True, capture_output=True
    ).stdout


def decoded(flac: bytes, folder: Path) -> bytes:
    (folder / "a.flac").write_bytes(flac)
    subprocess.run(
        ["flac", "--decode", "--silent", "--force", "--force-raw-format", "--endian=little", "--sign=signed", "a.flac"],
        check=True,
        cwd=folder,
    )
    return (folder / "a.raw").read_bytes()
