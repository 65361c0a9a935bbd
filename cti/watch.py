"""The watch: looks once a minute; tells Prometheus, the log and, where it is set, somebody by mail what is not well."""

import asyncio
import re
import smtplib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Final

import structlog

from cti import health
from cti.doctor.finding import Finding, Severity, error, well
from cti.doctor.machine import StockSeen
from cti.doctor.seen import Unseen
from cti.doctor.want import Want
from cti.explain import explain
from cti.health import HealthSeen
from cti.i18n import _, ngettext
from cti.metrics import Metrics
from cti.settings import Mail
from policies.calendar import JST

log = structlog.get_logger()

STOCK_FOR: Final = timedelta(hours=1)  # every name in the vault is read for it
MAIL_SECONDS: Final = 20.0
MAIL_MOST: Final = 60.0  # of a whole mail: a relay may say a little every few seconds
HOLD: Final = 3  # looks that must be well before an alarm is over: at an edge it would come and go each minute
AGAIN: Final = timedelta(days=1)  # an error that still stands is told again

Look = Callable[[StockSeen | Unseen], Awaitable[HealthSeen]]
Send = Callable[[str, str], None]


class Watch:
    """`round` as often as you like."""

    def __init__(
        self,
        *,
        look: Look,
        stock: Callable[[], StockSeen | Unseen],
        want: Callable[[], Want],
        metrics: Metrics,
        send: Send | None,
        now: Callable[[], datetime],
    ) -> None:
        """`send(subject, text)` tells somebody outside, None where nobody is named. Raises OSError."""
        self._look, self._stock, self._want, self._metrics = look, stock, want, metrics
        self._send, self._now = send, now
        self._taken: tuple[datetime, StockSeen | Unseen] | None = None
        self._known: dict[str, _Alarm] = {}
        self._unsent: list[str] = []
        self._seen: set[str] = set()
        self._unseen: dict[str, int] = {}

    async def round(self) -> None:
        """Look, and tell what has changed."""
        now = self._now()
        if self._taken is None or abs(now - self._taken[0]) >= STOCK_FOR:
            self._taken = now, await asyncio.to_thread(self._stock)
        try:
            seen = await self._look(self._taken[1])
            found = health.judge(seen, self._want(), now)
        except Exception as problem:  # a watch that ended, or looked at nothing, would be silent for ever
            log.exception("not watched")
            found = [_blind(problem)]
            self._metrics.alarms(found)
        else:
            found.append(well("watch", ""))
            self._metrics.show(seen, found, now)
        new, over = self._changes(found, now)
        titles = health.titles()
        for each in new:
            say = log.error if each.severity is Severity.error else log.warning
            say("alarm", check=each.check, found=each.found, remedy=each.remedy)
            self._unsent.append(_("ALARM  {title}: {found}").format(title=titles[each.check], found=each.found))
            self._unsent += ["       " + line for line in (each.why, each.remedy) if line]
        for each in over:
            log.info("alarm over", check=each.check)
            self._unsent.append(_("OVER   {title}").format(title=titles[each.check]))
        if self._unsent:
            await self._tell(now)

    def _changes(self, found: Sequence[Finding], now: datetime) -> tuple[list[Finding], list[Finding]]:
        """(what is to be told, what is over). Over is what was well for a while; what cannot be seen is as it was."""
        new, over = [], []
        for each in found:
            known = self._known.get(each.check)
            if each.made:
                self._seen.add(each.check)
                self._unseen.pop(each.check, None)
            if each.severity is not Severity.ok and each.made:
                if known is None or _worse(known, each, now):
                    new.append(each)
                    self._known[each.check] = _Alarm(each, now)
                else:
                    known.well = 0
            elif not each.made:
                self._unseen[each.check] = self._unseen.get(each.check, 0) + 1
                # What was seen before, and is not any more: that is not well either.
                if self._unseen[each.check] == HOLD and each.check in self._seen and known is None:
                    new.append(each)
                    self._known[each.check] = _Alarm(each, now)
            elif known is not None:
                known.well += 1
                if known.well >= HOLD:
                    over.append(known.finding)
                    del self._known[each.check]
        return new, over

    async def _tell(self, now: datetime) -> None:
        if self._send is None:
            self._unsent.clear()
            return
        count = len(self._known)
        subject = ngettext("Kikitori: {count} alarm", "Kikitori: {count} alarms", count).format(count=count)
        if not count:
            subject = _("Kikitori: all alarms are over")
        at = now.astimezone(JST).strftime("%Y-%m-%d %H:%M:%S")
        # A name of a file may hold bytes that no mail can.
        text = "\n".join([at, "", *self._unsent, ""]).encode("utf-8", "backslashreplace").decode()
        try:
            async with asyncio.timeout(MAIL_MOST):
                await asyncio.to_thread(self._send, subject, text)
        except Exception as problem:  # noqa: BLE001  # whatever a relay does, the watch goes on
            log.error("alarm not sent by mail, tried again in a minute", error=str(problem) or type(problem).__name__)
        else:
            self._unsent.clear()


@dataclass(slots=True)
class _Alarm:
    """One that was told, when, and for how many looks it has been well since."""

    finding: Finding
    told: datetime
    well: int = 0


def _worse(known: _Alarm, found: Finding, now: datetime) -> bool:
    """Whether it is to be told again: it became an error, has another cause, or has stood for a day."""
    before = known.finding
    if found.severity is not before.severity:
        return found.severity is Severity.error
    return _cause(found) != _cause(before) or (found.severity is Severity.error and now - known.told >= AGAIN)


def _cause(finding: Finding) -> str:
    """What is found, without numbers that change from look to look; in two checks they are what it is about."""
    return finding.found if finding.check in ("completeness", "statement") else re.sub(r"[\d.]+", "", finding.found)


def _blind(problem: Exception) -> Finding:
    why = _("Nobody watches until this is mended.")
    return error("watch", explain(problem), why, _("read the desk's log; `kikitori status` looks at the same"))


def by_mail(settings: Mail, now: Callable[[], datetime]) -> Send | None:
    """How alarms are sent; None where nobody is to be told."""
    if not settings.to:
        return None

    def send(subject: str, text: str) -> None:
        message = EmailMessage()
        message["Subject"], message["From"], message["To"] = subject, settings.sender, settings.to
        message["Date"] = format_datetime(now())
        message.set_content(text)
        with smtplib.SMTP(settings.host, settings.port, timeout=MAIL_SECONDS) as relay:
            relay.send_message(message)

    return send
