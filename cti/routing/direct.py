"""What the gate tells the dialplan of a call from outside: where to, by which rule, and what the caller may be told."""

import re
from collections.abc import Callable
from datetime import datetime

import structlog

from cti.hours import HoursBook
from cti.routing.route import NOT_KNOWN, Decision, arrival, route
from cti.routing.speech import Language, opening
from policies.calendar import JST
from policies.errors import PolicyError

log = structlog.get_logger()

FIELDS = ("ROUTE", "RULE", "WHY", "URGENT", "OPENS_JA", "OPENS_EN")
"""Of KIKITORI_GATE, behind whether the call is recorded; asterisk-config/extensions.conf.j2 takes them apart."""

_PLAIN = re.compile(r"[A-Za-z0-9._-]{1,40}", re.ASCII)


class Director:
    """Decides by what is in force now. It never raises: a caller whose hours cannot be told has both (A-12)."""

    def __init__(self, book: HoursBook, now: Callable[[], datetime]) -> None:
        """`now` is the clock."""
        self._book, self._now = book, now
        self._spoken: tuple[object, dict[Language, str]] = (None, {})

    def decide(self, uniqueid: str, dialled: str | None) -> Decision:
        """For a call that came in through `dialled`."""
        try:
            now = self._now()
            hours = self._book.now(now)
            if self._book.plan is not None:
                return route(dialled, arrival(uniqueid, now), self._book.plan, hours)
        except PolicyError as error:
            log.error("opening hours are not known: callers get the centre and the emergency line", error=str(error))
        except Exception:  # whatever it is, it must not close the line
            log.exception("opening hours are not known: callers get the centre and the emergency line")
        return NOT_KNOWN

    def __call__(self, uniqueid: str, dialled: str | None) -> str:
        """The decision as `FIELDS`, separated by commas."""
        made = self.decide(uniqueid, dialled)
        why = made.why if _PLAIN.fullmatch(made.why) else "override"
        spoken = (self._say(made, "ja"), self._say(made, "en"))
        return ",".join((made.route.value, made.rule, why, made.urgent, *spoken))

    def _say(self, made: Decision, language: Language) -> str:
        """When it opens next, as prompts; the same all night, so made once."""
        if made.opens is None:
            return ""
        now = self._now()
        key = (made.opens, now.astimezone(JST).date())  # "tomorrow" is Japan's
        if self._spoken[0] != key:
            self._spoken = (key, {})
        if language not in self._spoken[1]:
            try:
                self._spoken[1][language] = "&".join(opening(made.opens, now, language))
            except Exception:  # a sentence that is not said costs no call
                log.exception("the next opening cannot be said")
                self._spoken[1][language] = ""
        return self._spoken[1][language]
