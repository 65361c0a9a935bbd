"""Whose a case is to see (9条, A-44), and which unit somebody acts for (A-04). Pure."""

from cti.cases.acts import CENTRE, CONTRACTOR, TicketKind
from cti.cases.case import Case
from policies.rights import Role
from policies.sections import Sections

_OF_CENTRE = frozenset({Role.MANAGER, Role.DEPUTY, Role.STAFF, Role.LIAISON})


def unit_of(role: Role, section: str | None, sections: Sections) -> str | None:
    """The unit of an account: `section` is named as the policy names or titles it. None: it acts for none."""
    if role in _OF_CENTRE:
        return CENTRE
    if role is Role.CONTRACTOR:
        return CONTRACTOR
    if role is Role.SECTION and section is not None:
        found = sections.called(section)
        return found.name if found else None
    return None


def concerned(case: Case) -> frozenset[str]:
    """The units whose people see all of it; CC sees every case.

    Who handed it on to another 所管課 and did not receive it is done with it, and sees it no more (9条); nor does
    anybody with whom they shared it. To whom the caller is put through sees it before they speak (E-13), and no more
    when somebody else has the caller again.
    """
    others = (*case.related, *case.shared, *(one.unit for one in case.owes(TicketKind.TRANSFER)))
    return frozenset({case.owner, case.received_by, case.entered_by, case.main or case.owner, *others})


def sees(case: Case, unit: str) -> bool:
    """Whether people of `unit` do."""
    return unit == CENTRE or unit in concerned(case)
