"""The watch: looks once a minute; tells Prometheus, the log and, where it is set, somebody by mail what is not well."""

import asyncio
import smtplib
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Final

import structlog

from cti import health
from cti.doctor import finding as findings_of
from cti.doctor.finding import Finding, Severity
from cti.doctor.machine import StockSeen
from cti.doctor.seen import Unseen
from cti.doctor.want import Want
from cti.health import HealthSeen
from cti.i18n import _, ngettext
from cti.metrics import Metrics
from cti.settings import Mail
from policies.calendar import JST

log = structlog.get_logger()

STOCK_FOR: Final = timedelta(hours=1)  # every name in the vault is read for it
MAIL_SECONDS: Final = 20.0

Look = Callable[[StockSeen | Unseen], Awaitable[HealthSeen]]
Send = Callable[[str, str], None]


def alarms(findings: Sequence[Finding]) -> dict[str, Finding]:
    """What is not well, by its check. What could not be looked at is no alarm of its own: its cause has one."""
    return {each.check: each for each in findings if each.made and each.severity is not Severity.ok}


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
        self._known: dict[str, Finding] = {}
        self._unsent: list[str] = []

    async def round(self) -> None:
        """Look, and tell what has changed."""
        now = self._now()
        if self._taken is None or abs(now - self._taken[0]) >= STOCK_FOR:
            self._taken = now, await asyncio.to_thread(self._stock)
        seen = await self._look(self._taken[1])
        found = health.judge(seen, self._want(), now)
        self._metrics.show(seen, found, now)
        new, over = self._changes(alarms(found))
        titles = findings_of.titles() | findings_of.house_titles() | health.titles()
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

    def _changes(self, alarms: dict[str, Finding]) -> tuple[list[Finding], list[Finding]]:
        known, self._known = self._known, alarms
        new = [each for check, each in alarms.items() if _worse(known.get(check), each)]
        return new, [each for check, each in known.items() if check not in alarms]

    async def _tell(self, now: datetime) -> None:
        if self._send is None:
            self._unsent.clear()
            return
        count = len(self._known)
        subject = ngettext("Kikitori: {count} alarm", "Kikitori: {count} alarms", count).format(count=count)
        at = now.astimezone(JST).strftime("%Y-%m-%d %H:%M:%S")
        try:
            await asyncio.to_thread(self._send, subject, "\n".join([at, "", *self._unsent, ""]))
        except (OSError, smtplib.SMTPException) as error:
            log.error("alarm not sent by mail, tried again in a minute", error=str(error))
        else:
            self._unsent.clear()


def _worse(before: Finding | None, now: Finding) -> bool:
    return before is None or (before.severity is Severity.warning and now.severity is Severity.error)


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
