"""Who tells other systems of cases: each destination by itself, so that a slow or dead one holds up no other.

At least once, under the same id: whatever dies between the telling and the line that says so, it is told again.
"""

import asyncio
import re
import ssl
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, Final

import httpx
import structlog
from sqlalchemy.exc import SQLAlchemyError

from cti.cases import form
from cti.cases.acts import SYSTEM
from cti.cases.book import CaseBook, Tell
from cti.cases.case import Case
from cti.cases.model import stages
from cti.errors import KikitoriError
from cti.explain import explain, localise
from cti.outward import folder, signing, webhook, zammad
from cti.outward.events import told, trial
from cti.outward.queue import Delivery, Outbox
from cti.outward.webhook import NotToldError
from policies.outward import Destination, Outward

log = structlog.get_logger()

PATIENCE: Final = 10.0
"""Seconds that each part of an answer is waited for."""
WHOLE: Final = 30.0
"""Seconds that all of it may take."""
AT_ONCE: Final = 4
"""Cases that a destination is told of at the same time."""
MANY: Final = 100
AWAY: Final = timedelta(minutes=1)
"""Who took nothing for so long was away: one case that is refused, and others now and then, are not that."""
_TOKEN: Final = re.compile(r"[\x21-\x7e]{1,500}")


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
        self._away: dict[str, datetime] = {}
        """Since when a destination has taken nothing of all that it was told."""

    async def look(self) -> None:
        """Once: what is to be told is begun, and what everybody has is forgotten. Waits for no destination."""
        destinations = (await asyncio.to_thread(self._policy)).destination
        await self._queue.tidy(destinations)
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
            due = await self._queue.due(destination, self._now(), limit=MANY)
            if due:
                await self._tell_of(destination, due)
        except (OSError, SQLAlchemyError, KikitoriError) as error:
            log.error("nothing is told to a destination", destination=destination.name, error=explain(error))

    async def _tell_of(self, destination: Destination, due: Sequence[Delivery]) -> None:
        turn = asyncio.Semaphore(AT_ONCE)
        try:
            if destination.kind == "folder":
                await asyncio.to_thread(folder.tidy, destination, self._now())
            http = await asyncio.to_thread(_client, destination)
        except (OSError, ValueError, NotToldError) as error:  # the file of its authority, or the folder
            for delivery in due:
                if (taken := await self._queue.take(delivery, self._now())) is not None:
                    await self._failed(destination, taken, _why(error))
            self._away.setdefault(destination.name, self._now())
            return

        async def one(delivery: Delivery) -> bool | None:
            async with turn:
                return await self._deliver(http, destination, delivery)

        async with http:
            came = await asyncio.gather(*(one(delivery) for delivery in due))
        if True in came:
            since = self._away.pop(destination.name, None)
            if since is not None and self._now() - since >= AWAY:  # or each would wait for itself, for half an hour
                await self._queue.soon(destination)
        elif False in came:
            self._away.setdefault(destination.name, self._now())

    async def _deliver(
        self, http: httpx.AsyncClient, destination: Destination, delivery: Delivery
    ) -> bool | None:  # fmt: skip
        """Whether all of it was told; None: somebody else has it. What is in the way of one case is so of no other."""
        try:
            taken = await self._queue.take(delivery, self._now())
            if taken is None:
                return None
            try:
                whole = (await self._book.get(taken.case)).case
                if destination.kind == "folder":
                    taken = await self._file(destination, taken, whole)
                else:
                    for case in islice(stages(whole.history, whole.id), taken.act, None):
                        if await self._gone(destination):
                            break
                        taken = await self._act(http, destination, taken, case)
            except SQLAlchemyError:
                raise
            except Exception as error:  # noqa: BLE001  # whatever it is, it is tried again, later and later
                await self._failed(destination, taken, _why(error))
            else:
                await self._queue.release(taken)
                return True
        except SQLAlchemyError as error:
            log.error("what was told could not be put down", destination=destination.name, error=explain(error))
        return False

    async def _gone(self, destination: Destination) -> bool:
        """Whether it is in the policy no more: whoever takes it out wants it to end now."""
        return destination not in (await asyncio.to_thread(self._policy)).destination

    async def _file(self, destination: Destination, delivery: Delivery, whole: Case) -> Delivery:
        """All acts of a case at once: its file is replaced, if any that was not told yet is wanted."""
        if await self._gone(destination):
            return delivery
        cases = folder.wanted(whole, destination)
        acts = [len(case.history) for case in cases]
        if acts and acts[-1] > delivery.act:
            if destination.content == "full":
                detail = {"act": acts[-1], "acts": acts, "destination": destination.name}
                await asyncio.to_thread(self._tell, SYSTEM, "case.told", whole.id, detail)
            async with asyncio.timeout(WHOLE):
                await asyncio.to_thread(folder.put, destination, delivery.case, cases)
        return await self._queue.told(delivery, len(whole.history))

    async def _act(self, http: httpx.AsyncClient, destination: Destination, delivery: Delivery, case: Case) -> Delivery:
        """Tell the last act of `case`, as it is after it; how far it is then."""
        act, theirs = len(case.history), None
        if destination.wants(form.kind(case.history[-1]), case.main):
            await self._queue.keep(delivery, self._now())
            event = told(case, delivery.case, self._site, destination.content)
            if destination.content == "full":
                detail = {"act": act, "destination": destination.name}
                await asyncio.to_thread(self._tell, SYSTEM, "case.told", case.id, detail)
            async with asyncio.timeout(WHOLE):
                theirs = await self._send(http, destination, event, delivery, act)
        return await self._queue.told(delivery, act, theirs)

    async def _send(
        self, http: httpx.AsyncClient, destination: Destination, event: dict[str, Any], delivery: Delivery, act: int
    ) -> str | None:
        secret = await asyncio.to_thread(secret_of, destination)
        if destination.kind == "zammad":
            theirs = delivery.theirs
            if theirs is None:  # whoever dies now looks for it next time
                await self._queue.asked(delivery, f"{zammad.ASKED}{act}")
            return await zammad.tell(http, destination, secret, event, theirs)
        await webhook.tell(http, destination.url, signing.secret(secret), event, self._now())
        return None

    async def _failed(self, destination: Destination, delivery: Delivery, why: str) -> None:
        log.warning("a case was not told", destination=destination.name, case=delivery.case, error=why)
        failed = await self._queue.failed(delivery, why, self._now(), destination.give_up_after)
        if failed.dead:
            log.error("a case is told no more", destination=destination.name, case=delivery.case, error=why)


async def try_once(destination: Destination, site: str, at: datetime) -> str | None:
    """Tell it something that is no case; None where it took that, else why not."""
    try:
        if destination.kind == "folder":
            async with asyncio.timeout(WHOLE):
                return await asyncio.to_thread(folder.tried, destination)
        secret = await asyncio.to_thread(secret_of, destination)
        async with asyncio.timeout(WHOLE), await asyncio.to_thread(_client, destination) as http:
            if destination.kind == "zammad":
                await zammad.reached(http, destination, secret)
            else:
                await webhook.tell(http, destination.url, signing.secret(secret), trial(site, at), at)
    except (NotToldError, httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, TimeoutError) as error:
        return _why(error)
    return None


def secret_of(destination: Destination) -> str:
    """What signs, or the token. Raises OSError, SecretError."""
    try:
        text = Path(destination.secret_file).read_bytes().decode("ascii").strip()
    except UnicodeDecodeError as error:
        raise signing.SecretError(f"{destination.secret_file} holds no secret") from error
    if not _TOKEN.fullmatch(text):
        raise signing.SecretError(f"{destination.secret_file} holds no secret")
    return text


def verified(destination: Destination) -> ssl.SSLContext | bool:
    """By what the receiver proves itself; within this host it need not. Raises OSError."""
    if not destination.url.startswith("https:"):
        return False
    try:
        return ssl.create_default_context(cafile=destination.ca)
    except OSError as error:
        raise OSError(error.errno, error.strerror or "no certificate", destination.ca) from error


def _client(destination: Destination) -> httpx.AsyncClient:
    """To that address alone: no redirect is followed, and no proxy of the environment asked. Raises OSError."""
    return httpx.AsyncClient(
        timeout=PATIENCE, follow_redirects=False, trust_env=False, verify=verified(destination),
        headers={"Accept-Encoding": "identity"},
    )  # fmt: skip


def _why(error: Exception) -> str:
    """What is in the way, and nothing of what was sent: not a name, not a secret."""
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return "no answer in time"
    if isinstance(error, NotToldError | signing.SecretError | KikitoriError | httpx.NetworkError):
        return localise(str(error)) or type(error).__name__
    return explain(error) if isinstance(error, OSError) else type(error).__name__
