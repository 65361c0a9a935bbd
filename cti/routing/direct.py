"""What the gate tells the dialplan of a call from outside: where to, by which rule, and what the caller may be told."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

import structlog

from cti.hours import HoursBook
from cti.routing.onward import How, Onward, onward
from cti.routing.route import NOT_KNOWN, Decision, arrival, route
from cti.routing.speech import Language, opening
from policies.calendar import JST
from policies.errors import PolicyError
from policies.hours import OpeningHours
from policies.sections import Section, Sections

log = structlog.get_logger()

FIELDS = ("ROUTE", "RULE", "WHY", "URGENT", "OPENS_JA", "OPENS_EN")
"""Of KIKITORI_GATE, behind whether the call is recorded; asterisk-config/extensions.conf.j2 takes them apart."""

_PLAIN = re.compile(r"[A-Za-z0-9._-]{1,40}", re.ASCII)


class _Goes(NamedTuple):
    """Where a caller goes who is put through, and the kind of question that they chose."""

    to: Onward
    about: str

    @property
    def told(self) -> str:
        return f"{self.to.section},{self.to.phone},{self.to.how},{self.about}"


class Director:
    """Decides by what is in force now. It never raises: a caller whose hours cannot be told has both (A-12)."""

    def __init__(self, book: HoursBook, now: Callable[[], datetime]) -> None:
        """`now` is the clock."""
        self._book, self._now = book, now
        self._spoken: tuple[object, dict[Language, str]] = (None, {})
        # What was told in one second, by one reading of the hours: of a burst of callers most are answered by it.
        self._second: tuple[object, datetime | None] = (None, None)
        self._told: dict[str | None, str] = {}

    def __call__(self, uniqueid: str, dialled: str | None) -> str:
        """The decision as `FIELDS`, separated by commas."""
        now = self._now()
        try:
            hours = self._book.now(now)
            at = arrival(uniqueid, now)
            if self._second[0] is not hours or self._second[1] != at:
                self._second, self._told = (hours, at), {}
            if dialled not in self._told:
                self._told[dialled] = self._text(self._decided(dialled, at, hours), now)
            return self._told[dialled]
        except PolicyError as error:
            log.error("opening hours are not known: callers get the centre and the emergency line", error=str(error))
        except Exception:  # whatever it is, it must not close the line
            log.exception("opening hours are not known: callers get the centre and the emergency line")
        return self._text(NOT_KNOWN, now)

    def passing(self, code: str) -> str:
        """`section,telephone,how,` for a caller who is put through to `code`; empty where no 所管課 has that."""
        made = self._onward(lambda sections: (sections.dialled(code), ""))
        return made.told if made else ""

    def chosen(self, key: str) -> str:
        """The same for a caller who pressed `key`, and the kind of question; empty where nobody would answer."""

        def meant(sections: Sections) -> tuple[Section | None, str]:
            category = sections.chosen(key)
            return (sections.find(category.section or ""), category.name) if category else (None, "")

        made = self._onward(meant)
        return made.told if made and made.to.how is not How.CLOSED else ""

    def _onward(self, meant: Callable[[Sections], tuple[Section | None, str]]) -> "_Goes | None":
        now = self._now()
        try:
            hours = self._book.now(now)
            sections = self._book.sections
            one, about = meant(sections)
            return _Goes(onward(one, now, sections, hours), about) if one is not None else None
        except Exception:  # whatever it is, the caller is put through as the dialplan knows it
            log.exception("it is not known who answers for a section")
            return None

    def _decided(self, dialled: str | None, at: datetime, hours: OpeningHours) -> Decision:
        return route(dialled, at, self._book.plan, hours) if self._book.plan is not None else NOT_KNOWN

    def _text(self, made: Decision, now: datetime) -> str:
        why = made.why if _PLAIN.fullmatch(made.why) else "override"
        spoken = (self._say(made, "ja", now), self._say(made, "en", now))
        return ",".join((made.route.value, made.rule, why, made.urgent, *spoken))

    def _say(self, made: Decision, language: Language, now: datetime) -> str:
        """When it opens next, as prompts; the same all night, so made once."""
        if made.opens is None:
            return ""
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
