"""What somebody asks for, made into a draft: out of a template, to the customer's address, with whom to ask in it.

Pure: what the policy says on that day goes into the act, which stays as it is when the policy changes.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from cti.cases.acts import WRITTEN, Channel, Check, Draft, Reply
from cti.cases.book import OrderError
from cti.cases.case import Case, RuleError
from cti.cases.contact import ContactError, contact
from cti.cases.words import fold, holds
from cti.errors import FieldError
from cti.explain import localise
from cti.i18n import _
from policies.sections import Sections

_Ask = tuple[str | None, tuple[str, ...]]
"""The 所管課, None for the centre, and what has to stand in the text."""


def draft(case: Case, by: Mapping[str, Any], given: Mapping[str, Any], sections: Sections) -> Draft:
    """What is to be sent of `case`. Raises FieldError, OrderError."""
    channel = Channel(given["channel"])
    reach = case.reach
    name = given.get("name") or (reach.name if reach else "")
    text = _text(case, name, given, sections)
    if not text.strip():
        raise OrderError(RuleError("C-04", "the text that is to be sent is missing"))
    section, ask = _named(text, _to_ask(case, sections))
    to, again = given.get("to", ""), given.get("again", "")
    if channel is Channel.FAX:
        to, again = (_fax(field, value) for field, value in (("to", to), ("again", again)))
    elif not to and reach is not None and channel in WRITTEN:
        to = reach.email if channel is Channel.WEB else reach.address
    return Draft(
        **by, channel=channel, to=to, again=again, name=name, text=text, ask=ask, section=section,
        reason=given.get("reason", ""), check_by=by["at"] + timedelta(hours=sections.letters.check_within),
    )  # fmt: skip


def reply(case: Case, by: Mapping[str, Any], given: Mapping[str, Any], sections: Sections) -> Reply:
    """That a customer was answered. Raises OrderError where the policy has nothing entered that was not checked."""
    made = Reply(**by, **given)
    may_be_unchecked(made, case.entered_at, sections)
    return made


def may_be_unchecked(made: Reply, entered_at: datetime, sections: Sections) -> None:
    """What was sent before its case was entered, where the policy lets it be. Raises OrderError."""
    before = made.answered_at is not None and made.answered_at < entered_at
    if before and made.channel in WRITTEN and not sections.letters.unchecked_before_entry:
        raise OrderError(RuleError("C-04", "it was sent before it was checked"))


def check(by: Mapping[str, Any], given: Mapping[str, Any], sections: Sections) -> Check:
    """That somebody looked at a draft."""
    send_by = by["at"] + timedelta(hours=sections.letters.send_within) if given["ok"] else None
    return Check(**by, **given, send_by=send_by)


def _to_ask(case: Case, sections: Sections) -> list[_Ask]:
    """Whom a customer can be told to ask: the main 所管課, or the centre."""
    main, letters = sections.find(case.main or ""), sections.letters
    centre = (letters.ask, *([letters.phone] if letters.phone else []))
    return [*([(main.name, (main.title,))] if main else []), (None, centre)]


def _named(text: str, known: list[_Ask]) -> _Ask:
    """The one of them that the text names. Raises OrderError."""
    for section, parts in known:
        if all(holds(fold(part), [text]) for part in parts):
            return section, parts
    begun = [parts for _section, parts in known if holds(fold(parts[0]), [text])]
    lacks = [" ".join(part for part in parts if not holds(fold(part), [text])) for parts in begun]
    missing = " / ".join(lacks or [" ".join(parts) for _section, parts in known])
    raise OrderError(RuleError("C-05", f"the text does not name the section to ask (問合せ先): {missing} is missing"))


def _text(case: Case, name: str, given: Mapping[str, Any], sections: Sections) -> str:
    """As it was typed, or out of a template."""
    text: str = given.get("text", "")
    if "template" not in given:
        return text
    wanted = given["template"]
    template = next((one for one in sections.template if wanted in (one.name, one.title)), None)
    if template is None:
        names = ", ".join(one.name for one in sections.template) or "-"
        raise FieldError("template", _("no template {text!r}: there are {names}").format(text=wanted, names=names))
    section = " ".join(_to_ask(case, sections)[0][1])
    values = {"section": section, "inquiry": case.inquiry, "name": name, "text": text}
    if lacks := next((blank for blank in sorted(template.blanks) if not values[blank].strip()), None):
        raise FieldError(lacks, _("the template has a blank for it, and it is missing"))
    if text and "text" not in template.blanks:
        raise FieldError("text", _("the template has no blank for it"))
    return template.filled(values).strip()


def _fax(field: str, text: str) -> str:
    """A fax number as it is compared. Raises FieldError."""
    if not text:
        return ""
    try:
        found = contact(text)
    except ContactError as error:
        raise FieldError(field, localise(str(error))) from error
    if found.extension:
        raise FieldError(field, _("a fax machine asks for no extension"))
    return found.e164
