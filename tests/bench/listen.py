"""An hour of sound heard over the API: TLS on loopback, one listener, places at random; and what stands around it.

`python -m tests.bench.listen` prints one JSON object: ms to the first byte of a part of one second, against the seconds
that `age -d` of the whole recording takes; seconds of sound that a core gives away in a second; access-log appends and
verified entries a second; seconds of a sign-in.
"""

import argparse
import asyncio
import json
import random
import ssl
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyotp

from cti import store
from cti.api import certificate, edge, server
from cti.api.app import application
from cti.api.hearing import AT_ONCE
from cti.api.service import Service
from cti.app.clock import wall_clock
from cti.deciding import Deciding
from cti.demands import Demands
from cti.guard import Guard
from cti.journal import Journal
from cti.settings import Api
from policies.load import Fresh, shipped
from policies.rights import Role
from recorder.access.accounts import INSTALLER, Accounts
from recorder.access.credentials import seed
from recorder.access.known import DECIDING, known
from recorder.access.log import AccessLog
from recorder.vault import keys
from recorder.vault.keys import by_passphrase
from tests.bench.speech import conversation
from tests.unit.cti.office import (
    PASSPHRASE,
    WEAK,
    Office,
    calling_of,
    cases_of,
    holding_of,
    keys_of,
    moving_of,
    open_office,
    putting_of,
    reviewing_of,
)
from tests.unit.recorder.rig import RATE, START, Rig, record, uuid

PASSWORD = "雨の日は 傘を二本持って出る"  # nobody's
PARTS = 500
ENTRIES = 20_000
APPENDS = 300


def vault(root: Path, spool: Path, seconds: int) -> None:
    """One recording of so many seconds of speech."""
    for name in ("log", "escrow", "checkpoints"):
        (root / name).mkdir(parents=True)
    keys.create(
        root / "keys", root / "escrow", passphrase=PASSPHRASE, origin="kikitori/pbx1", epoch_start=START,
        work_factor=WEAK,
    )  # fmt: skip
    signer = keys.load_signer(root / "keys/recorder.key")
    rig = Rig(root, spool, identity=keys.unlock(root / "keys", 1, PASSPHRASE), signer=signer)
    rig.told = Journal(lambda: AccessLog(root / "log/access.db"), rig.vault, lambda: START)  # type: ignore[assignment]
    minutes = [conversation(number, 60.0) for number in range(10)]
    sides = [
        np.concatenate([minutes[place % 10][side] for place in range(seconds // 60)]).astype("<i2").tobytes()
        for side in (0, 1)
    ]
    record(rig, "hour", *sides)


@contextmanager
def served(root: Path, port: int) -> Iterator[tuple[httpx.Client, float]]:
    """A client who has signed in, and how long that took."""
    ready, loop = threading.Event(), asyncio.new_event_loop()
    state: dict[str, Any] = {}

    async def run() -> None:
        engine = store.engine(f"sqlite+aiosqlite:///{root}/catalogue.db")
        await store.migrate(engine)
        await engine.dispose()
        office: Office = await open_office(root)
        await office.desk.catch_up()
        office.desk.kept_up = True
        desk = office.desk

        def tell(actor: str, action: str, about: str, detail: Mapping[str, Any]) -> None:
            desk.log(action, about, detail, actor=actor)

        accounts = Accounts(
            desk.catalogue.engine, "pbx1", tell=tell, logged=lambda one: known(desk.logged_of(one, DECIDING)),
            now=lambda: state["now"],
        )  # fmt: skip
        state["now"] = wall_clock() - timedelta(minutes=5)
        secret = await accounts.issue("tanaka", name="田中", role=Role.MANAGER, section=None, by=INSTALLER)
        state["seed"] = seed()
        code = pyotp.TOTP(state["seed"]).at(state["now"])
        await accounts.enrol("tanaka", secret, PASSWORD, state["seed"], code, "127.0.0.1")
        await accounts.grants.give("tanaka", 1, keys.unlock(desk.keys, 1, PASSPHRASE), by="tanaka")
        state["now"] = wall_clock()

        async def status() -> None:
            """Nobody asks."""

        policies = Fresh(shipped())
        guard = Guard(accounts=accounts, rights=lambda: policies.now().rights)
        service = Service(
            desk, guard, terminals=lambda: policies.now().terminals, health=status, keys=keys_of(desk, accounts),
            reviewing=reviewing_of(desk, shipped()), deciding=Deciding(shipped(), root),
            cases=(cases := cases_of(desk, shipped())), calling=calling_of(desk, cases, shipped()),
            putting=putting_of(desk, cases, shipped()), holding=(holding := holding_of(desk, shipped())),
            demands=Demands(cases.book, holding), moving=moving_of(desk, shipped()),
        )  # fmt: skip
        api = Api(port=port, certificate=root / "api.crt", key=root / "api.key")
        state["task"] = asyncio.create_task(server.serve(application(service), api))
        ready.set()
        await asyncio.wait([state["task"]])
        await desk.close()

    made = certificate.make(("localhost",), wall_clock())
    (root / "api.crt").write_bytes(made.certificate)
    (root / "api.key").write_bytes(made.key)
    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    ready.wait()
    trusted = ssl.create_default_context(cafile=str(root / "api.crt"))
    with httpx.Client(base_url=f"https://localhost:{port}", verify=trusted, timeout=60) as http:
        for _ in range(100):
            try:
                http.get("/v1/session")
                break
            except httpx.ConnectError:
                time.sleep(0.05)
        body = {"account": "tanaka", "password": PASSWORD, "code": pyotp.TOTP(state["seed"]).at(state["now"])}
        began = time.perf_counter()
        token = http.post("/v1/session", json=body).json()["token"]
        took = time.perf_counter() - began
        http.headers["Authorization"] = f"Bearer {token}"
        try:
            yield http, took
        finally:
            loop.call_soon_threadsafe(state["task"].cancel)
            thread.join()


def first_bytes(http: httpx.Client, recording: str, seconds: int) -> list[float]:
    """Milliseconds until the first byte of each of `PARTS` parts of a second."""
    play = http.post(f"/v1/recordings/{recording}/plays", json={"purpose": "quality"}).json()
    chance, took = random.Random(1), []  # noqa: S311  # places
    for _ in range(PARTS):
        at = 44 + 4 * chance.randrange((seconds - 1) * RATE)
        began = time.perf_counter()
        with http.stream("GET", play["audio"], headers={"Range": f"bytes={at}-{at + 4 * RATE - 1}"}) as answer:
            assert answer.status_code == 206, answer.status_code
            for place, _block in enumerate(answer.iter_raw()):
                if not place:
                    took.append((time.perf_counter() - began) * 1e3)
        time.sleep(1 / edge.RATE)  # who asks faster is told to wait, and soon
    return sorted(took)


def listeners(http: httpx.Client, recording: str, seconds: int) -> float:
    """Seconds of sound that the desk gives away in one second of CPU: a listener in his own time takes one.

    Four hear the whole as fast as it comes, in one answer each; other processes take it in.
    """
    asked = [
        http.post(f"/v1/recordings/{recording}/plays", json={"purpose": "quality"}).json()["audio"]
        for _ in range(AT_ONCE)
    ]
    began = time.process_time()
    with ProcessPoolExecutor(AT_ONCE, mp_context=get_context("spawn")) as ears:
        took = list(ears.map(_hear, [f"{http.base_url}".rstrip("/") + audio for audio in asked],
                             AT_ONCE * [http.headers["Authorization"]]))  # fmt: skip
    assert min(took) >= 4 * RATE * seconds, "not everything was given"
    return AT_ONCE * seconds / (time.process_time() - began)


def _hear(url: str, authorization: str) -> int:
    """Bytes that came."""
    with httpx.stream("GET", url, headers={"Authorization": authorization}, verify=False, timeout=60) as answer:  # noqa: S501  # ours
        return sum(len(block) for block in answer.iter_raw())


def with_age(root: Path, folder: Path) -> float:
    """Seconds that `age -d` takes for the whole."""
    office = asyncio.run(open_office(root))
    identity = keys.unlock(root / "keys", 1, PASSPHRASE)
    (folder / "key").write_text(f"{identity}\n")
    with (folder / "hour.age").open("wb") as out:
        office.desk.export(
            office.open("hour"), by_passphrase(office.desk.keys, PASSPHRASE), office_purpose(), kind="age",
            recipient=identity.recipient, out=out, progress=lambda _: None,
        )  # fmt: skip
    took = []
    for _ in range(5):
        began = time.perf_counter()
        subprocess.run(["age", "-d", "-i", folder / "key", "-o", "/dev/null", folder / "hour.age"], check=True)
        took.append(time.perf_counter() - began)
    return statistics.median(took)


def office_purpose() -> Any:
    """Why."""
    from cti.purpose import Purpose

    return Purpose.CONTENT


def of_the_log(folder: Path) -> tuple[float, float]:
    """Durable appends a second, and verified entries a second."""
    with AccessLog(folder / "bench.db") as log:
        began = time.perf_counter()
        for number in range(APPENDS):
            log.append(ts=START, actor="tanaka", action="play.intent", object=f"r-{number}", detail={"purpose": "q"})
        appends = APPENDS / (time.perf_counter() - began)
    with AccessLog(Path(tempfile.mkdtemp(dir="/dev/shm")) / "bench.db") as log:  # RAM: what the disk costs is above
        for number in range(ENTRIES):
            log.append(ts=START, actor="tanaka", action="play.intent", object=f"r-{number}", detail={"purpose": "q"})
        began = time.perf_counter()
        assert not log.verify().problems
        verified = ENTRIES / (time.perf_counter() - began)
    return appends, verified


def main() -> None:
    """See the module."""
    given = argparse.ArgumentParser()
    given.add_argument("--seconds", type=int, default=3600)
    given.add_argument("--disk", type=Path, default=Path("/var/tmp"))
    given.add_argument("--port", type=int, default=18443)
    options = given.parse_args()
    with tempfile.TemporaryDirectory(dir=options.disk) as name:
        root, folder = Path(name) / "site", Path(name)
        vault(root, folder / "spool", options.seconds)
        with served(root, options.port) as (http, sign_in):
            took = first_bytes(http, uuid("hour"), options.seconds)
            heard = listeners(http, uuid("hour"), options.seconds)
        whole = with_age(root, folder)
        appends, verified = of_the_log(folder)
    print(
        json.dumps(
            {
                "first_byte_p50_ms": statistics.median(took), "first_byte_p99_ms": took[int(len(took) * 0.99)],
                "age_seconds": whole, "appends": appends, "verified": verified, "sign_in_seconds": sign_in,
                "listeners": heard,
            }
        )
    )  # fmt: skip


if __name__ == "__main__":
    main()
