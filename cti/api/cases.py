"""Cases: every question of every channel, and what was done with it (事務取扱要綱4条 to 7条)."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request

from cti.api.caseshapes import (
    At,
    Called,
    Case,
    CaseLine,
    Cases,
    Category,
    Check,
    Dial,
    Digest,
    Do,
    Enter,
    Joined,
    JoinIn,
    Looked,
    Owner,
    Ownerless,
    Progress,
    Put,
    PutThrough,
    Reached,
    Recorded,
    Ringing,
    Section,
    Sections,
    Ticket,
    Tickets,
    TriedIn,
)
from cti.api.service import Once, Service, may, service_of
from cti.cases.acts import Channel, State, TicketKind
from cti.cases.contact import ContactError, contact
from cti.cases.lists import Kept, TicketsWanted, Wanted
from cti.cases.progress import Progress as Standing
from cti.errors import FieldError
from cti.explain import localise
from cti.review import Month
from cti.routing.onward import How
from policies.calendar import JST
from policies.rights import Act
from policies.sections import public
from recorder.access.sessions import Session

router = APIRouter(route_class=Once, tags=["cases"])

Which = Annotated[str, Path(pattern=r"^[0-9a-fA-F-]{1,36}$", description="Its number, or the beginning of its id")]
Unit = Annotated[str | None, Query(max_length=64)]
OfTicket = Annotated[str, Path(pattern=r"^[0-9]{1,10}-[0-9]{1,6}$", description="Its name, as the list has it")]
OfMonth = Annotated[str, Path(pattern=r"^[2-9][0-9]{3}-(0[1-9]|1[0-2])$")]


@router.get("/cases")
async def cases(
    request: Request,
    session: Session = may(Act.CASES),
    state: Annotated[list[State] | None, Query(description="One or several")] = None,
    owner: Unit = None,
    main: Unit = None,
    category: Unit = None,
    channel: Channel | None = None,
    conversation: Annotated[str | None, Query(max_length=36)] = None,
    number: Annotated[str | None, Query(max_length=64, description="Of the customer, in any writing")] = None,
    words: Annotated[
        str | None,
        Query(max_length=200, description="All of them in what was written, or a telephone number; one page"),
    ] = None,
    since: Annotated[At | None, Query(alias="from")] = None,
    until: Annotated[At | None, Query(alias="to")] = None,
    late: bool = False,
    soonest: Annotated[bool, Query(description="What is to be done first, first; without further pages")] = False,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    after: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
) -> Cases:
    """Those that one may see, the newest first. What was looked for, but not whom, is in the access log."""
    service, now = service_of(request), service_of(request).desk.now()
    wanted = Wanted(
        states=tuple(state or ()), owner=owner, main=main, category=category, channel=channel,
        conversation=conversation, number=_number(number), since=since, until=until, late=now if late else None,
    )  # fmt: skip
    if words is not None:
        hits = await service.cases.search(session.who.account, wanted, words, limit=limit)
        return Cases(items=[CaseLine.of(line, now) for line in hits], next=None)
    more = 0 if soonest else 1
    found = await service.cases.lines(
        session.who.account, wanted, limit=limit + more, after=None if soonest else after, soonest=soonest
    )
    page = [CaseLine.of(line, now) for line in found[:limit]]
    return Cases(items=page, next=page[-1].number if len(found) > limit else None)


@router.post("/cases", status_code=201)
async def enter(asked: Enter, request: Request, session: Session = may(Act.CASES)) -> Case:
    """Enter a question, with what is known of whoever asks (4条, A-16 to A-18)."""
    service = service_of(request)
    kept = await service.cases.enter(session.who.account, asked.model_dump(exclude_unset=True))
    return await _whole(request, session, kept)


@router.get("/cases/{case}")
async def show(case: Which, request: Request, session: Session = may(Act.CASES)) -> Case:
    """One, with its history. The access log has who looked."""
    return await _whole(request, session, await service_of(request).cases.look(session.who.account, case))


@router.post("/cases/{case}/acts", status_code=201)
async def act(case: Which, asked: Do, request: Request, session: Session = may(Act.CASES)) -> Case:
    """Do something with it, in the order that the rules ask for; 409 says which rule is in the way."""
    service = service_of(request)
    stated = [one.model_dump(exclude_unset=True) for one in asked.acts]
    kept = await service.cases.act(session.who.account, case, stated, asked.seen)
    said = service.cases.evasive(kept.case.history[-len(stated) :])
    return await _whole(request, session, kept, said)


@router.post("/cases/{case}/transfers", status_code=201)
async def put_through(
    case: Which, asked: PutThrough, request: Request, session: Session = may(Act.CASES)
) -> Put:  # fmt: skip
    """The caller goes to a 所管課 at once (A-19), which is told of the case before its telephone rings (E-13)."""
    service = service_of(request)
    found = await service.putting.put(
        session.who.account, case, asked.section, asked.why, words=asked.words, seen=asked.seen
    )  # fmt: skip
    return Put(case=await _whole(request, session, found.kept), section=found.to.section, phone=found.to.phone,
               instead=found.to.how is How.INSTEAD)  # fmt: skip


@router.post("/cases/{case}/join", status_code=201)
async def join(case: Which, asked: JoinIn, request: Request, session: Session = may(Act.CASES)) -> Joined:
    """It is a duplicate and ends; the calls that it owed are owed in the other case, each at its time (C-06, A-14)."""
    service = service_of(request)
    gone, come = await service.cases.join(
        session.who.account, case, asked.into, seen=asked.seen, seen_into=asked.seen_into, dry_run=asked.dry_run
    )  # fmt: skip
    return Joined(
        case=await _whole(request, session, gone), into=await _whole(request, session, come), dry_run=asked.dry_run
    )  # fmt: skip


@router.get("/tickets")
async def tickets(
    request: Request,
    session: Session = may(Act.CASES),
    everything: Annotated[bool, Query(alias="all", description="Those that are over, too")] = False,
    kind: TicketKind | None = None,
    unit: Unit = None,
    since: Annotated[At | None, Query(alias="from", description="Due then or later")] = None,
    until: Annotated[At | None, Query(alias="to")] = None,
    late: bool = False,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> Tickets:
    """What was promised or is owed to customers: callbacks, transfers, calls that nobody answered (D10, C-06, E-16)."""
    service, now = service_of(request), service_of(request).desk.now()
    wanted = TicketsWanted(
        open=not everything, kind=kind, unit=unit, since=since, until=until, late=now if late else None
    )  # fmt: skip
    found = await service.cases.tickets(session.who.account, wanted, limit=limit)
    return Tickets(items=[Ticket.of(line, now) for line in found])


@router.post("/tickets/{ticket}/calls", status_code=201)
async def dial(ticket: OfTicket, asked: Dial, request: Request, session: Session = may(Act.CASES)) -> Ringing:
    """A telephone of ours rings, then the customer's (C-06): not at hours that they did not agree to (E-16)."""
    found = await service_of(request).calling.dial(session.who.account, ticket, asked.phone)
    case = found.kept.case
    return Ringing(
        ticket=ticket, case=found.kept.number, phone=found.call.phone, conversation=found.call.conversation,
        name=case.reach.name if case.reach else "", contact=Reached.of(case.reach.contact if case.reach else None),
        inquiry=case.inquiry, discreet=bool(case.reach and case.reach.discreet), others=list(found.others),
    )  # fmt: skip


@router.get("/tickets/{ticket}/calls/last")
async def last_call(ticket: OfTicket, request: Request, session: Session = may(Act.CASES)) -> Called:
    """What the PBX saw of the last call for a ticket."""
    found = await service_of(request).calling.last(session.who.account, ticket)
    return Called(ticket=ticket, outcome=found.outcome or None, seconds=found.seconds, again=found.again)


@router.post("/tickets/{ticket}/tries", status_code=201)
async def tried(ticket: OfTicket, asked: TriedIn, request: Request, session: Session = may(Act.CASES)) -> Case:
    """Whom a call for a ticket met; reached, the promise is kept, and else it is tried again."""
    service = service_of(request)
    kept = await service.calling.tried(
        session.who.account, ticket, asked.met, left=asked.left, again=asked.again
    )  # fmt: skip
    return await _whole(request, session, kept, service.cases.evasive(kept.case.history[-1:]))


async def _whole(request: Request, session: Session, kept: Kept, evasive: Sequence[str] = ()) -> Case:
    service = service_of(request)
    others, held = await service.cases.others(session.who.account, kept), await service.demands.state(kept)
    return Case.whole(kept, service.desk.now(), others, evasive, held)


@router.get("/sections")
async def sections(request: Request, session: Session = may(None)) -> Sections:
    """The 所管課, and which kind of question is whose (A-05, A-06)."""
    service = service_of(request)
    found, today = await asyncio.to_thread(service.cases.sections), service.desk.now().astimezone(JST).date()
    return Sections(
        sections=[Section.model_validate(one) for one in public(found, today)],
        categories=[Category(**one.model_dump()) for one in found.category],
    )  # fmt: skip


@router.get("/progress")
async def progress(
    request: Request,
    session: Session = may(Act.PROGRESS),
    since: Annotated[At | None, Query(alias="from", description="Recordings since then; a week by itself")] = None,
) -> Progress:
    """How all cases stand by unit and age, and what was left out (7条なお書)."""
    service = service_of(request)
    return await _progress(service, await service.cases.progress(session.who.account, since or _week(service)))


@router.post("/progress/check", status_code=201)
async def check(asked: Looked, request: Request, session: Session = may(Act.PROGRESS)) -> Progress:
    """Somebody has looked it through, together with CC: the log has what there was (A-34)."""
    service = service_of(request)
    since = asked.since or _week(service)
    return await _progress(service, await service.cases.progress(session.who.account, since, sign=True))


async def _progress(service: Service, found: Standing) -> Progress:
    last = await asyncio.to_thread(service.desk.last_of, service.desk.catalogue.pbx, ["progress.checked"])
    counts = {name: int(last.detail.get(name, 0)) for name in found.counts} if last else {}
    return Progress(
        at=found.at, since=found.since, unasked=list(found.unasked), unsent=list(found.unsent),
        unresolved=list(found.unresolved), counts=found.counts,
        ownerless=[Ownerless(**asdict(one)) for one in found.ownerless],
        owners=[Owner(**asdict(one)) for one in found.owners],
        unentered=[Recorded(**asdict(one)) for one in found.unentered],
        checked=Check(by=last.actor, at=last.ts, counts=counts) if last else None,
    )  # fmt: skip


def _week(service: Service) -> datetime:
    return service.desk.now() - timedelta(days=7)


@router.get("/digests/{month}")
async def digest(month: OfMonth, request: Request, session: Session = may(Act.PROGRESS)) -> Digest:
    """A month in numbers, for the meeting that hears of complaints: nobody is named (C-22)."""
    found = Month.parse(month)
    values = await service_of(request).cases.month(found.start, found.end)
    calls, times = asdict(values["calls"]), {name: asdict(one) for name, one in values["times"].items()}
    return Digest(month=month, **values | {"calls": calls, "times": times})


def _number(text: str | None) -> str | None:
    try:
        return contact(text).e164 if text is not None else None
    except ContactError as error:
        raise FieldError("number", localise(str(error))) from error
