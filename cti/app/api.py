"""The API of the desk's process."""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from cti import health
from cti.api.app import application
from cti.api.server import serve
from cti.api.service import Service
from cti.app.clock import Clock
from cti.app.desk import accounts_at, keys_at, next_day_at, reviewing_at, teller
from cti.app.site import want_of
from cti.cases.book import CaseBook
from cti.cases.calling import Calling
from cti.cases.desk import CaseDesk
from cti.cases.putting import Putting
from cti.deciding import Deciding
from cti.demands import Demands
from cti.desk import Desk
from cti.doctor import storage
from cti.guard import Guard
from cti.hours import HoursBook
from cti.moving import Moving
from cti.settings import Settings
from policies.load import Fresh


async def run_api(
    settings: Settings, desk: Desk, clock: Clock, book: CaseBook, demands: Demands, moving: Moving
) -> None:
    """The API, while the desk runs; `book`, `demands` and `moving`: those of its process, of which there is one."""
    if not settings.api.port:
        return

    policies = Fresh(settings.paths.policies)

    async def status() -> dict[str, Any]:
        stock = await asyncio.to_thread(storage.stock, settings, clock())
        seen = await health.look(settings, desk, clock(), stock)
        findings = [asdict(finding) for finding in health.judge(seen, want_of(settings), clock())]
        recorder = dict(seen.recorder) if isinstance(seen.recorder, Mapping) else None
        return {"recorder": recorder, "findings": findings}

    cases = CaseDesk(
        book, lambda: policies.now().sections, desk.catalogue.pbx, teller(desk), clock,
        next_day_at(settings, clock), demands.hold,
    )  # fmt: skip
    guard = Guard(accounts=accounts_at(desk, clock), rights=lambda: policies.now().rights)
    service = Service(
        desk, guard, terminals=lambda: policies.now().terminals, health=status, keys=keys_at(desk, settings, clock),
        reviewing=reviewing_at(desk, settings), deciding=Deciding(settings.paths.policies, settings.paths.hours),
        cases=cases,
        calling=Calling(cases, desk.ask, policies.now, desk.catalogue.pbx, clock, desk.intake.due),
        putting=Putting(cases, desk.ask, HoursBook(settings.paths.policies, settings.paths.hours).now, clock),
        holding=demands.holding, demands=demands, moving=moving,
    )  # fmt: skip
    async with asyncio.TaskGroup() as group:
        group.create_task(service.keep())
        try:
            await serve(application(service), settings.api)
        finally:
            await service.close()
