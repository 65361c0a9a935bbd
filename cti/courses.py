"""The course of a recording in sentences of the reader's language."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from cti.i18n import _, mark
from policies.calendar import JST
from retention.course import Reason, Why


def worded(why: Why, *, placed: bool = True) -> str:
    """A sentence; `placed`: an event by its place in the list."""
    day = why.at.astimezone(JST).isoformat(sep=" ", timespec="seconds")[:19] if isinstance(why.at, datetime) else why.at
    about = f"events[{why.event}]: " if placed and why.event is not None else ""
    return about + _(_SENTENCES[why.reason]).format(day=day)


_SENTENCES: Final[Mapping[Reason, str]] = {
    Reason.BEFORE_RULE: mark("recorded before the rule of {day}: reckoned by it all the same, to be confirmed (B-33)"),
    Reason.FIRST: mark("in the recorder's own storage until {day} (B-15, Civil Code 140, 143)"),
    Reason.SECOND: mark("on the second medium until {day} (B-16)"),
    Reason.EXPIRED: mark("erased {day}, when its period is over (B-17)"),
    Reason.APPROVED: mark("erased {day}, as an approved request asks (B-25)"),
    Reason.UNSTOPPED: mark("erased {day}, when nothing stopped it any more (B-17, B-18)"),
    Reason.HELD: mark("not erased after {day}: it is held, and on no external medium (B-18)"),
    Reason.PENDING: mark("not erased after {day}: a disclosure is still to be decided or carried out (B-27)"),
    Reason.UNDECIDED: mark("not erased after {day}: an erase request is still to be decided (B-24)"),
    Reason.SAVED: mark("on an external medium until {day} (B-20)"),
    Reason.EXTENDED: mark("on the external medium until {day}: extended (B-22)"),
    Reason.DESTROYED: mark("the medium was destroyed {day} (B-21)"),
    Reason.REMAKE: mark("the external medium, kept until {day}, is to be made again without it (B-25)"),
    Reason.NO_SUCH: mark("without effect: there is no such hold, or no such request"),
    Reason.GONE: mark("without effect: it was erased {day}"),
    Reason.UNDER_HOLD: mark("not allowed: it is held (B-18, B-25)"),
    Reason.ERASED_BEFORE: mark("not allowed: it was erased {day} (B-19)"),
    Reason.NO_MEDIUM: mark("not allowed: it is on no external medium (B-20)"),
    Reason.NOT_YET: mark("not allowed: the medium is kept until {day} (B-21)"),
    Reason.SHORTER: mark("not allowed: the medium is kept until {day} already, and no period is shortened (B-22)"),
    Reason.NO_LONGER: mark("not allowed: the medium is destroyed (B-21)"),
    Reason.TOO_LATE: mark("not allowed: the period of the medium was over after {day} (B-22)"),
}
