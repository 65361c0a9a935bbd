"""What is answered in writing: drafted, checked by another person, then sent (C-04); it says whom to ask (C-05). Pure.

One draft at a time. Whatever changes it is another draft, and is looked at anew; what another address or another main
所管課 has made wrong is neither checked nor sent.
"""

from dataclasses import replace
from datetime import datetime
from typing import Final

from cti.cases.acts import SYSTEM, WRITTEN, Channel, Check, Close, Draft, Reach, Reply, TicketEnd, TicketKind
from cti.cases.case import Case, Letter, RuleError, owed, settled
from cti.cases.contact import folded
from cti.cases.words import fold, holds

TICKETS: Final = frozenset({TicketKind.CHECK, TicketKind.SEND})
"""What a draft leaves to be done."""


def drafted(case: Case, act: Draft) -> Case:
    """Something is to be sent; it takes the place of what was. Raises RuleError."""
    if act.channel not in WRITTEN:
        raise RuleError("C-04", "only a fax, a letter or an answer on the web is drafted")
    if not act.text.strip():
        raise RuleError("C-04", "the text that is to be sent is missing")
    if not act.to.strip():
        raise RuleError("C-04", "where it is to be sent is missing")
    if act.channel is Channel.FAX and act.to != act.again:
        raise RuleError("C-04", "the fax number is entered twice, and the second is not the first")
    if act.channel is Channel.LETTER and not act.name.strip():
        raise RuleError("C-04", "to whom the letter is addressed is missing")
    if not act.ask or not all(holds(fold(part), [act.text]) for part in act.ask):
        raise RuleError("C-05", "the text does not name the section to ask (問合せ先)")
    _stands(case, act)
    place = len(case.history) + 1
    made = replace(dropped(case, act.at), letter=Letter(draft=act, place=place))
    return owed(made, act, TicketKind.CHECK, leg=str(place), due=act.check_by)


def checked(case: Case, act: Check) -> Case:
    """Somebody looked at it. Whoever drafted it may take it back, and no more. Raises RuleError."""
    letter = case.letter
    if letter is None:
        raise RuleError("C-04", "there is no draft that could be checked")
    if act.draft != letter.place:
        raise RuleError("C-04", "the draft is another one since: look at it again")
    if letter.check is not None and (act.ok or not letter.check.ok):
        raise RuleError("C-04", "the draft was checked already, or given back")
    after = replace(case, letter=replace(letter, check=act))
    if not act.ok:
        if not act.reason.strip():
            raise RuleError("C-04", "why the draft goes back is missing")
        after = replace(after, tickets=settled(case, act.at, TicketEnd.KEPT, lambda one: one.kind is TicketKind.CHECK))
        return replace(after, tickets=settled(after, act.at, TicketEnd.VOID, lambda one: one.kind is TicketKind.SEND))
    if act.by in (letter.draft.by, SYSTEM):
        raise RuleError("C-04", "another person checks it than who drafted it")
    _stands(case, letter.draft)
    after = replace(after, tickets=settled(case, act.at, TicketEnd.KEPT, lambda one: one.kind is TicketKind.CHECK))
    return owed(after, act, TicketKind.SEND, leg=str(letter.place), due=act.send_by)


def sent(case: Case, act: Reply, *, kept: bool) -> Case:
    """An answer in writing: what was checked has gone. Raises RuleError.

    What was sent before the case was entered, nobody could draft here: it is entered as it was. `kept`: it is entered
    already, maybe when nobody asked for a check: a rule that is new makes no case unreadable (A-46).
    """
    at = act.answered_at or act.at
    if at < case.entered_at:
        return case
    if not kept:
        _may_go(case, act, at)
    done = settled(case, at, TicketEnd.KEPT, lambda one: one.kind is TicketKind.SEND)
    return replace(case, letter=None, tickets=done)


def _may_go(case: Case, act: Reply, at: datetime) -> None:
    """Whether another person has checked what was sent then."""
    letter = case.letter
    if letter is None or letter.draft.channel is not act.channel:
        raise RuleError("C-04", "what is answered in writing is drafted first, and another person checks it")
    if letter.check is None:
        raise RuleError("C-04", "another person checks the draft before it is sent")
    if not letter.check.ok:
        raise RuleError("C-04", "the draft was given back: it is drafted anew")
    if at < letter.check.at.replace(second=0, microsecond=0):  # times are entered by the minute
        raise RuleError("C-04", "it was sent before it was checked")
    _stands(case, letter.draft)


def dropped(case: Case, at: datetime) -> Case:
    """Without the draft: another takes its place, or who has the case now writes one of their own."""
    return replace(case, letter=None, tickets=settled(case, at, TicketEnd.VOID, lambda one: one.kind in TICKETS))


def ended(case: Case, act: Close) -> Case:
    """At the end of the case nothing waits to be sent. Raises RuleError."""
    if case.letter is not None and case.letter.waits and act.by != SYSTEM:
        raise RuleError("C-04", "a draft waits: send it, or give it back with a reason")
    return dropped(case, act.at)


def _stands(case: Case, draft: Draft) -> None:
    """Whether it still goes to the customer, and names who has the case."""
    if draft.section is not None and draft.section != case.main:
        raise RuleError("C-05", "the draft names another 所管課 than the main one: draft it anew")
    if draft.reason.strip():  # a reason is one for what was known then
        since = case.history[case.history.index(draft) + 1 :] if draft in case.history else ()
        if any(isinstance(act, Reach) and (act.name or act.email or act.address) for act in since):
            raise RuleError("C-04", "how the customer is reached has changed since the draft: draft it anew")
        return
    name = case.reach.name if case.reach else ""
    if draft.name and name and _plain(draft.name) != _plain(name):
        raise RuleError("C-04", "it is addressed to somebody else than the customer: say why")
    if draft.channel is Channel.FAX:
        return
    known = (case.reach.email if draft.channel is Channel.WEB else case.reach.address) if case.reach else ""
    if not known:
        raise RuleError("C-04", "the customer's address is not known: enter it, or say why it goes to this one")
    if _plain(draft.to) != _plain(known):
        raise RuleError("C-04", "it goes to another address than the customer's: say why")


def _plain(text: str) -> str:
    """Whatever the width, and wherever the spaces are."""
    return "".join(folded(text).casefold().split())
