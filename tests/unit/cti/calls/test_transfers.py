"""Who gave a call to whom, who waited and who gave up: what real PBXs say in orders and forms of their own."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from cti.calls.model import Direction, Fact, What
from cti.calls.tracker import Tracker
from policies.load import Policies, shipped
from tests.story import story
from tests.unit.cti.calls.streams import START, Chan, Numbers, Script, inbound, talk

PLAN = Policies(shipped()).plan
TALK = "A Arrived trunk; A Ringing 2001; A Answered 2001"


def facts(pbx: Script) -> list[Fact]:
    tracker = Tracker(pbx="pbx1", plan=PLAN)
    found = [fact for event in pbx.events for fact in tracker.feed(event)]
    assert tracker.calls() == []
    return found


def talking() -> tuple[Script, Numbers, Chan, Chan]:
    pbx, names = Script(), Numbers()
    caller, phone = inbound(pbx, names)
    talk(pbx, caller, phone)
    return pbx, names, caller, phone


def local(pbx: Script, serial: int, of: Chan | None = None) -> tuple[Chan, Chan]:
    """A pair of Local channels; the second half runs the dialplan."""
    one = pbx.channel(f"Local/x@phones-{serial:08x};1", of=of)
    two = pbx.channel(f"Local/x@phones-{serial:08x};2", of=of or one)
    return one, two


# --- transfers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("late", [False, True])
def test_a_blind_transfer_told_before_or_after_the_one_who_transfers_is_gone(late: bool) -> None:
    pbx, names, caller, phone = talking()
    if late:
        pbx.unbridge(caller)
        pbx.hangup(phone)
    pbx.parties("BlindTransfer", ("Extension", "3101"), Transferer=phone, Transferee=caller)
    if not late:
        pbx.unbridge(caller)
        pbx.hangup(phone)
    section = pbx.channel(names.name("3101"), number="3101", of=caller)
    pbx.ring(section)
    talk(pbx, caller, section, bridge="bridge-2")
    pbx.hangup(caller, section)
    found = facts(pbx)
    assert story(found) == f"{TALK}; A Transferred 2001 blind; A Ringing 3101; A Answered 3101; A Ended completed"
    [transfer] = [fact for fact in found if fact.what is What.TRANSFERRED]
    assert (transfer.leg, transfer.more) == (phone.uniqueid, {"transferee": caller.uniqueid, "target": "3101"})


def test_a_transfer_that_failed_is_none() -> None:
    pbx, _, caller, phone = talking()
    pbx.parties("BlindTransfer", ("Result", "Fail"), Transferer=phone, Transferee=caller)
    pbx.events[-1].raw = pbx.events[-1].raw.replace(b"Result: Success\r\n", b"")
    pbx.hangup(caller, phone)
    assert story(facts(pbx)) == f"{TALK}; A Ended completed"


def consulted(pbx: Script, names: Numbers, section_up: bool) -> tuple[Chan, Chan]:
    other = pbx.channel(names.name("2001"), number="2001", exten="3101")
    section = pbx.channel(names.name("3101"), number="3101", of=other)
    pbx.ring(section)
    if section_up:
        talk(pbx, other, section, bridge="bridge-2")
    return other, section


@pytest.mark.parametrize(
    ("up", "headers", "kind"),
    [
        (True, (("DestType", "Bridge"),), "attended"),
        (False, (("DestType", "App"), ("DestApp", "Dial")), "blonde"),
        (False, (("DestType", "App"), ("DestApp", "Queue")), None),
        (False, (("DestType", "App"), ("DestApp", "VoiceMail")), None),
        (False, (("DestType", "Bridge"), ("TransferTargetChannelStateDesc", "Ringing")), "blonde"),
        (False, (("DestType", "Bridge"), ("TransferTargetChannelStateDesc", "Up")), "attended"),
    ],
)
@pytest.mark.parametrize("late", [False, True])
def test_how_a_call_was_given_over(
    up: bool, headers: tuple[tuple[str, str], ...], kind: str | None, late: bool
) -> None:
    pbx, names, caller, phone = talking()
    other, section = consulted(pbx, names, up)
    tell: Callable[[], None] = lambda: pbx.parties(  # noqa: E731  # told in one of two places
        "AttendedTransfer", *headers, OrigTransferer=phone, SecondTransferer=other, Transferee=caller
    )
    if not late:
        tell()
    pbx.hangup(phone, other)
    if late:
        tell()
    pbx.hangup(caller, section)
    found = facts(pbx)
    [transfer] = [fact for fact in found if fact.what is What.TRANSFERRED]
    assert transfer.kind == kind
    assert (transfer.leg, transfer.more["target"]) == (phone.uniqueid, "3101")
    assert [fact.merged for fact in found if fact.what is What.MERGED] != []


def test_what_the_own_channel_dialled_is_no_target() -> None:
    """A feature code: one channel holds both calls, and its extension is what it dialled first."""
    pbx, names = Script(), Numbers()
    phone = pbx.channel(names.name("2002"), number="2002", exten="0666123456")
    outside = pbx.channel(names.name("trunk"), of=phone)
    talk(pbx, phone, outside)
    pbx.parties(
        "AttendedTransfer", ("DestType", "Bridge"), OrigTransferer=phone, SecondTransferer=phone, Transferee=outside
    )
    pbx.hangup(phone, outside)
    [transfer] = [fact for fact in facts(pbx) if fact.what is What.TRANSFERRED]
    assert "target" not in transfer.more


def test_three_who_go_on_together_were_not_transferred() -> None:
    pbx, names, caller, phone = talking()
    other, section = consulted(pbx, names, section_up=True)
    pbx.parties(
        "AttendedTransfer", ("DestType", "Threeway"), OrigTransferer=phone, SecondTransferer=other, Transferee=caller
    )
    pbx.hangup(caller, phone, other, section)
    assert "Transferred" not in story(facts(pbx))


@pytest.mark.parametrize("gone", [False, True])
def test_a_pickup_told_before_or_after_the_phone_that_rang_is_gone(gone: bool) -> None:
    pbx, names = Script(), Numbers()
    caller, phone = inbound(pbx, names)
    picker = pbx.channel(names.name("2301"), number="2301", exten="*8")
    pbx.answer(picker)
    if gone:
        pbx.hangup(phone, cause=26)
    pbx.parties("Pickup", ("Uniqueid", picker.uniqueid), ("Linkedid", picker.linkedid), ("Channel", picker.name),
                Target=phone)  # fmt: skip
    if not gone:
        pbx.hangup(phone, cause=26)
    pbx.dial_end(picker, caller, "ANSWER")
    pbx.bridge("bridge-1", picker, caller)
    pbx.hangup(picker, caller)
    assert story(facts(pbx)) == (
        "A Arrived trunk; A Ringing 2001; B Arrived 2301; A Merged 2301 B; A Transferred 2301 pickup; A Answered 2301; "
        "A Ended completed"
    )


# --- waiting ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hung", [True, False])
def test_a_queue_says_abandon_of_a_caller_whose_time_is_over_too(hung: bool) -> None:
    pbx, names = Script(), Numbers()
    caller, phone = inbound(pbx, names)
    pbx.about("QueueCallerJoin", caller, ("Queue", "daihyo"), ("Position", 1))
    if hung:
        pbx.about("HangupRequest", caller)
    pbx.dial_end(phone, caller, "CANCEL" if hung else "NOANSWER")
    pbx.hangup(phone)
    pbx.about("QueueCallerAbandon", caller, ("Queue", "daihyo"), ("Position", 1), ("HoldTime", 20))
    pbx.about("QueueCallerLeave", caller, ("Queue", "daihyo"), ("Position", 1))
    pbx.hangup(caller)
    waited = "A Arrived trunk; A Ringing 2001; A QueueEntered trunk"
    told = "A Abandoned trunk; A QueueLeft trunk; A Ended cancelled" if hung else "A QueueLeft trunk; A Ended no-answer"
    assert story(facts(pbx)) == f"{waited}; {told}"


def test_those_who_wait_with_music_do_not_talk_to_each_other() -> None:
    pbx, names = Script(), Numbers()
    one = pbx.channel(names.name("trunk"), number="0901111111", exten="0664581132")
    other = pbx.channel(names.name("trunk"), number="0902222222", exten="0664587160")
    pbx.bridge("music", one, other, technology="holding_bridge")
    pbx.hangup(one, other)
    assert story(facts(pbx)) == "A Arrived trunk; B Arrived trunk; A Ended None; B Ended None"


@pytest.mark.parametrize(("application", "calls"), [("ConfBridge", 1), ("Park", 2), ("BridgeWait", 2)])
def test_those_who_are_found_in_one_bridge_talk_unless_they_wait(application: str, calls: int) -> None:
    pbx, names = Script(), Numbers()
    caller = pbx.channel(names.name("trunk"), number="0901234567", exten="0664581132")
    phone = pbx.channel(names.name("2001"), number="2001", exten="800")
    pbx.bridge("room", caller, phone)
    listed = pbx.listed()
    for event in listed:
        event.raw = event.raw.replace(b"AppDial", application.encode())
    tracker = Tracker(pbx="pbx1", plan=PLAN)
    tracker.resync(listed, datetime.fromtimestamp(START, UTC))
    assert len(tracker.calls()) == calls


# --- calls that the PBX begins, and those behind Local channels -------------------------------------------------------


def test_a_customer_whom_the_pbx_calls_first_is_called_out() -> None:
    pbx, names = Script(), Numbers()
    customer = pbx.channel(names.name("trunk"), number="0901234567")
    pbx.dial_begin(customer, None)
    pbx.ring(customer)
    pbx.dial_end(customer, customer, "NOANSWER")
    pbx.hangup(customer, cause=0)
    found = facts(pbx)
    [leg] = found[-1].legs
    assert leg.direction is Direction.OUT
    assert found[-1].disposition == "no-answer"


def test_a_mailbox_that_answers_and_is_refused_has_not_answered_the_call() -> None:
    """Follow-me: the mobile's mailbox picks up, nobody confirms, the caller gives up."""
    pbx, names = Script(), Numbers()
    caller = pbx.channel(names.name("trunk"), number="0901234567", exten="0664581132")
    one, two = local(pbx, 1, of=caller)
    pbx.dial_begin(one, caller)
    mobile = pbx.channel(names.name("trunk"), number="0909999999", of=caller)
    pbx.dial_begin(mobile, two)
    pbx.ring(mobile)
    pbx.answer(mobile)
    pbx.dial_end(mobile, two, "ANSWER")
    pbx.about("HangupRequest", caller)
    pbx.dial_end(one, caller, "CANCEL")
    pbx.hangup(mobile, one, two, caller)
    assert facts(pbx)[-1].disposition == "cancelled"


def test_a_call_that_only_asterisks_own_channels_are_in_is_none() -> None:
    pbx = Script()
    one, two = local(pbx, 1)
    tracker = Tracker(pbx="pbx1", plan=PLAN)
    assert [fact for event in pbx.events for fact in tracker.feed(event)] == []
    assert tracker.calls() == []
    assert tracker.call_of(one.uniqueid) is None
    pbx.hangup(one, two)
    assert facts(pbx) == []


def test_a_leg_that_becomes_one_of_asterisks_own_has_left() -> None:
    pbx, _, caller, phone = talking()
    pbx.rename(phone, "Surrogate/2001-00000009")
    pbx.hangup(phone)
    pbx.rename(caller, "Surrogate/trunk-00000009")
    pbx.hangup(caller)
    assert story(facts(pbx)) == f"{TALK}; A Ended completed"


# --- order ------------------------------------------------------------------------------------------------------------


def test_the_phones_channel_told_before_the_callers() -> None:
    pbx, _, caller, phone = talking()
    pbx.hangup(caller, phone)
    pbx.events[0], pbx.events[1] = pbx.events[1], pbx.events[0]
    assert story(facts(pbx)) == f"{TALK}; A Ended completed"


def test_a_phone_that_is_up_before_it_rang_is_not_told_to_ring() -> None:
    pbx, names = Script(), Numbers()
    caller = pbx.channel(names.name("trunk"), number="0901234567", exten="0664581132")
    phone = pbx.channel(names.name("2001"), number="2001", of=caller)
    pbx.answer(phone, caller)
    pbx.ring(phone)
    pbx.hangup(caller, phone)
    assert story(facts(pbx)) == "A Arrived trunk; A Answered 2001; A Ended completed"
