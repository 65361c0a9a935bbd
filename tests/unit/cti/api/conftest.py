"""The API over the desk of three recordings, and somebody of every role who can sign in."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pyotp
import pytest

from cti.api import certificate, server
from cti.api.app import application
from cti.api.service import Service
from cti.app.clock import wall_clock
from cti.deciding import Deciding
from cti.demands import Demands
from cti.guard import Guard
from cti.settings import Api as Settings
from policies.calendar import JST
from policies.load import Policies, shipped
from policies.rights import Role
from recorder.access.credentials import STEP, seed
from recorder.access.log import AccessLog
from recorder.access.tables import SIGNING
from recorder.vault import keys
from tests.unit.cti.office import (
    PASSPHRASE,
    Office,
    accounts_of,
    calling_of,
    cases_of,
    holding_of,
    keys_of,
    moving_of,
    putting_of,
    reviewing_of,
)
from tests.unit.recorder.rig import START

PASSWORD = "雨の日は 傘を二本持って出る"  # nobody's
IDS = {
    Role.MANAGER: "tanaka", Role.DEPUTY: "mori", Role.STAFF: "sato", Role.LIAISON: "kato", Role.CONTRACTOR: "gyosha",
    Role.SECTION: "kyusui", Role.AUDITOR: "kansa",
}  # fmt: skip
HOLDERS = {Role.MANAGER, Role.DEPUTY, Role.STAFF, Role.LIAISON}


@dataclass
class Api:
    """The service, a client of it, and everybody's authenticator."""

    office: Office
    service: Service
    http: httpx.AsyncClient
    policies: Path
    seeds: dict[str, str]
    at: datetime = START + timedelta(days=1)
    tokens: dict[str, str] = field(default_factory=dict)

    def now(self) -> datetime:
        return self.at

    def code(self, account: str) -> str:
        """One that was not used yet."""
        self.at += timedelta(seconds=STEP)
        return pyotp.TOTP(self.seeds[account]).at(self.at)

    async def sign_in(self, account: str) -> str:
        """The token."""
        body = {"account": account, "password": PASSWORD, "code": self.code(account)}
        answer = await self.http.post("/v1/session", json=body)
        assert answer.status_code == 201, answer.text
        token: str = answer.json()["token"]
        self.tokens[account] = token
        return token

    async def ask(self, account: str, method: str, path: str, **more: Any) -> httpx.Response:
        """In the name of `account`, signed in if need be."""
        token = self.tokens.get(account) or await self.sign_in(account)
        headers = {"Authorization": f"Bearer {token}"} | more.pop("headers", {})
        return await self.http.request(method, path, headers=headers, **more)

    def entries(self, action: str) -> list[dict[str, Any]]:
        """What the access log has of one kind: detail, with who and of what."""
        with AccessLog(self.office.log) as access:
            return [
                dict(entry.detail) | {"actor": entry.actor, "object": entry.object}
                for entry in access.find(action=action)
            ]


@pytest.fixture
async def api(office: Office, tmp_path: Path) -> AsyncIterator[Api]:
    desk, policies = office.desk, tmp_path / "policies"
    policies.mkdir()
    for path in shipped().iterdir():
        (policies / path.name).write_bytes(path.read_bytes())

    accounts = accounts_of(desk, lambda: made.now())

    async def status() -> dict[str, Any]:
        return {"recorder": None, "findings": []}

    guard = Guard(accounts=accounts, rights=lambda: Policies(policies).rights)
    service = Service(
        desk, guard, terminals=lambda: Policies(policies).terminals, health=status, keys=keys_of(desk, accounts),
        reviewing=reviewing_of(desk, policies), deciding=Deciding(policies, tmp_path),
        cases=(cases := cases_of(desk, policies)), calling=calling_of(desk, cases, policies),
        putting=putting_of(desk, cases, policies), holding=holding_of(desk, policies),
        demands=Demands(cases.book, holding_of(desk, policies)), moving=moving_of(desk, policies),
    )  # fmt: skip
    transport = httpx.ASGITransport(application(service), raise_app_exceptions=False, client=("192.0.2.10", 40000))
    async with httpx.AsyncClient(transport=transport, base_url="https://localhost") as http:
        made = Api(office, service, http, policies, {account: seed() for account in IDS.values()})
        identity = keys.unlock(desk.keys, 1, PASSPHRASE)
        for role, account in IDS.items():
            section = "給水課" if role is Role.SECTION else None
            by = "init" if role is Role.MANAGER else "tanaka"
            secret = await accounts.issue(account, name="佐藤 花子", role=role, section=section, by=by)
            await accounts.enrol(
                account, secret, PASSWORD, made.seeds[account], made.code(account), "192.0.2.10"
            )  # fmt: skip
            if role in HOLDERS:
                await accounts.grants.give(account, 1, identity, by="tanaka")
        signer = keys.unlock_manager(desk.keys, PASSPHRASE)
        await accounts.grants.give("tanaka", SIGNING, signer, by="tanaka")
        yield made
        await service.close()


@dataclass
class Served:
    """Where it listens, and by what it is known."""

    api: Api
    port: int
    ca: ssl.SSLContext
    settings: Settings

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


def settings(folder: Path, port: int) -> Settings:
    made = certificate.make(("localhost", "127.0.0.1"), wall_clock())
    (folder / "api.crt").write_bytes(made.certificate)
    (folder / "api.key").write_bytes(made.key)
    return Settings(port=port, certificate=folder / "api.crt", key=folder / "api.key")


@contextlib.asynccontextmanager
async def serving(api: Api, its: Settings) -> AsyncIterator[None]:
    task = asyncio.create_task(server.serve(application(api.service), its))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def listening(port: int) -> None:
    for _ in range(500):
        with contextlib.suppress(OSError):
            _reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        await asyncio.sleep(0.01)
    raise AssertionError("nobody listens")


@pytest.fixture
async def served(api: Api, tmp_path: Path) -> AsyncIterator[Served]:
    its = settings(tmp_path, free_port())
    async with serving(api, its):
        await listening(its.port)
        yield Served(api, its.port, ssl.create_default_context(cafile=its.certificate), its)


NOON = datetime(2027, 4, 2, 12, tzinfo=JST)


def placed() -> dict[str, Any]:
    """The PBX does it."""
    return {"placed": True}


class Pbx:
    """The recorder, who asks the PBX."""

    def __init__(self, api: Api) -> None:
        self.asked: list[dict[str, Any]] = []
        self.answer: Callable[[], dict[str, Any]] = placed
        api.office.desk._ask = self.ask

    async def ask(self, question: Any, _deadline: float) -> dict[str, Any]:
        self.asked.append(dict(question))
        return self.answer()


@pytest.fixture
def pbx(api: Api) -> Pbx:
    return Pbx(api)


@pytest.fixture
def noon(api: Api, monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """The desk's time, to be set: noon of a day on which the office is open."""
    clock = [NOON]
    monkeypatch.setattr(api.office.desk, "now", lambda: clock[0])
    return clock
