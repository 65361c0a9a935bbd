"""Who tells other systems of cases: each destination by itself, so that a slow or dead one holds up no other.

At least once, under the same id: whatever dies between the telling and the line that says so, it is told again.
"""

import asyncio
import ssl
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

import httpx
import structlog
from sqlalchemy.exc import SQLAlchemyError

from cti.cases import form
from cti.cases.book import CaseBook, Tell
from cti.cases.model import fold
from cti.errors import KikitoriError
from cti.explain import explain
from cti.outward import signing, webhook, zammad
from cti.outward.events import told
from cti.outward.queue import Delivery, Outbox
from cti.outward.webhook import NotToldError
from policies.outward import Destination, Outward

log = structlog.get_logger()

PATIENCE: Final = 10.0
"""Seconds that a destination is waited for."""
AT_ONCE: Final = 4
"""Cases that a destination is told of at the same time."""
MANY: Final = 100
TICK: Final = 1.0
SYSTEM: Final = "kikitori:desk"


class Sending:
    """Of one desk."""

    def __init__(
        self, queue: Outbox, book: CaseBook, policy: Callable[[], Outward], tell: Tell, site: str,
        now: Callable[[], datetime],
    ) -> None:  # fmt: skip
        """`policy` reads what is in force; `tell` writes into the access log."""
        self._queue, self._book, self._policy, self._tell = queue, book, policy, tell
        self._site, self._now = site, now
        self._working: dict[str, asyncio.Task[None]] = {}

    async def look(self) -> None:
        """Once: what is to be told is begun, and what everybody has is forgotten. Waits for no destination."""
        destinations = (await asyncio.to_thread(self._policy)).destination
        await self._queue.tidy([one.name for one in destinations])
        for one in destinations:
            task = self._working.get(one.name)
            if task is None or task.done():
                self._working[one.name] = asyncio.create_task(self._serve(one))

    async def settled(self) -> None:
        """Wait for what was begun."""
        await asyncio.gather(*self._working.values())

    async def close(self) -> None:
        """Break off; what was told and not put down is told again."""
        for task in self._working.values():
            task.cancel()
        await asyncio.gather(*self._working.values(), return_exceptions=True)

    async def _serve(self, destination: Destination) -> None:
        try:
            due = await self._queue.due(destination.name, self._now(), limit=MANY)
            if not due:
                return
            async with _client(destination) as http:
                turn = asyncio.Semaphore(AT_ONCE)

                async def one(delivery: Delivery) -> None:
                    async with turn:
                        await self._deliver(http, destination, delivery)

                await asyncio.gather(*(one(delivery) for delivery in due))
        except (OSError, SQLAlchemyError, KikitoriError) as error:
            log.error("nothing is told to a destination", destination=destination.name, error=explain(error))
        except Exception:  # whatever it is, it must not end the telling
            log.exception("nothing is told to a destination", destination=destination.name)

    async def _deliver(self, http: httpx.AsyncClient, destination: Destination, delivery: Delivery) -> None:
        try:
            history = (await self._book.get(delivery.case)).case
            for act in range(delivery.act + 1, len(history.history) + 1):
                case = fold(history.history[:act], history.id)
                theirs = None
                if destination.wants(form.kind(case.history[-1]), case.main):
                    event = told(case, delivery.case, self._site, destination.content)
                    if destination.content == "full":
                        detail = {"act": act, "destination": destination.name}
                        await asyncio.to_thread(self._tell, SYSTEM, "case.told", history.id, detail)
                    theirs = await self._send(http, destination, event, delivery)
                delivery = await self._queue.told(delivery, act, theirs)
        except SQLAlchemyError as error:
            log.error("what was told could not be put down", destination=destination.name, error=explain(error))
        except (NotToldError, httpx.HTTPError, OSError, KikitoriError, signing.SecretError) as error:
            why = str(error) or type(error).__name__
            log.warning("a case was not told", destination=destination.name, case=delivery.case, error=why)
            failed = await self._queue.failed(delivery, why, self._now(), destination.give_up_after)
            if failed.dead:
                log.error("a case is told no more", destination=destination.name, case=delivery.case, error=why)

    async def _send(
        self, http: httpx.AsyncClient, destination: Destination, event: dict[str, object], delivery: Delivery
    ) -> str | None:
        secret = await asyncio.to_thread(Path(destination.secret_file).read_text, "utf-8")
        if destination.kind == "zammad":
            theirs = delivery.theirs
            if theirs is None:  # whoever dies now looks for it next time
                await self._queue.told(delivery, delivery.act, zammad.ASKED)
            return await zammad.tell(http, destination, secret.strip(), event, theirs)
        await webhook.tell(http, destination.url, signing.secret(secret), event, self._now())
        return None


def _client(destination: Destination) -> httpx.AsyncClient:
    """To that address alone: no redirect is followed, and no proxy of the environment asked."""
    verify = ssl.create_default_context(cafile=destination.ca) if destination.url.startswith("https:") else False
    return httpx.AsyncClient(timeout=PATIENCE, follow_redirects=False, trust_env=False, verify=verify)


async def try_once(destination: Destination, site: str, at: datetime) -> str | None:
    """Tell it something that is no case; None where it took that, else why not."""
    event = {
        "specversion": "1.0", "id": f"test.{int(at.timestamp())}", "source": f"urn:kikitori:{site}",
        "type": "kikitori.test", "time": at.isoformat(), "datacontenttype": "application/json", "data": {},
    }  # fmt: skip
    try:
        secret = await asyncio.to_thread(Path(destination.secret_file).read_text, "utf-8")
        async with _client(destination) as http:
            if destination.kind == "zammad":
                await zammad.reached(http, destination, secret.strip())
            else:
                await webhook.tell(http, destination.url, signing.secret(secret), event, at)
    except (NotToldError, httpx.HTTPError, OSError, signing.SecretError) as error:
        return str(error) or type(error).__name__
    return None
