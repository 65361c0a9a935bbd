"""Which events a filter of manager.conf lets through, judged as Asterisk does."""

import re

import pytest

from cti.doctor.filters import CLASSES, NEEDED, Filters, UnreadableFilterError, sample
from cti.doctor.rights import to_act, to_hear
from cti.pbxconfig import NOISY_EVENTS
from tests.unit.cti.doctor.good import FILTER
from tests.unit.cti.test_pbxconfig import made

OURS = ("system", "call", "agent")


def filters(*values: str, read: tuple[str, ...] = OURS) -> Filters:
    return Filters([("eventfilter", value) for value in values], read)


def test_the_rendered_filter_drops_the_noise_and_nothing_else() -> None:
    ours = filters(FILTER, read=("all",))
    assert (ours.noise(), ours.hidden(), ours.hiding()) == ([], [], [])


def test_what_is_rendered_is_what_the_doctor_asks_for() -> None:
    found = dict(re.findall(r"(?m)^(\w+) = (.*)$", made()["manager.conf"]))
    assert found["eventfilter"] == FILTER
    assert found["read"] == ",".join(to_hear())
    assert found["write"] == ",".join(to_act())
    assert found["timestampevents"] == "yes"


def test_without_a_filter_comes_what_the_rights_bring() -> None:
    everything = Filters([], ("all",))
    assert everything.noise() == list(NOISY_EVENTS)
    assert everything.hidden() == everything.hiding() == []
    heard = Filters([], OURS).noise()
    assert not {"VarSet", "Newexten", "RTCPSent"} & set(heard)
    assert {"DeviceStateChange", "ContactStatus", "QueueMemberStatus"} <= set(heard)


def test_one_that_includes_leaves_the_rest_out() -> None:
    only = filters("^Event: (Newchannel|Hangup)")
    assert only.passes(sample("Hangup", "call"))
    assert not only.passes(sample("Newstate", "call"))
    assert only.hidden() == [name for name in NEEDED if not name.startswith(("Newchannel", "Hangup"))]


def test_one_that_excludes_beats_one_that_includes() -> None:
    both = filters("^Event: New", "!^Event: Newexten")
    assert both.passes(sample("Newchannel", "call"))
    assert not both.passes(sample("Newexten", "dialplan"))


def test_without_its_anchor_a_caller_hides() -> None:
    assert filters(FILTER.replace("^", "", 1)).hiding() == list(NOISY_EVENTS)


@pytest.mark.parametrize(
    ("key", "value", "dropped"),
    [
        ("eventfilter(name(VarSet),action(exclude))", "", {"VarSet"}),
        ("eventfilter(action(exclude),name(Hangup),method(regex))", "Channel: PJSIP/", {"Hangup"}),
        ("eventfilter(action(exclude),name(Hangup),method(regex))", "Channel: SIP/", set()),
        ("eventfilter(action(exclude))", "^Event: VarSet", {"VarSet"}),
    ],
)
def test_the_newer_way_to_write_it(key: str, value: str, dropped: set[str]) -> None:
    newer = Filters([(key, value)], ("all",))
    names = (*NOISY_EVENTS, *NEEDED)
    assert {name for name in names if not newer.passes(sample(name, "call"))} == dropped


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("eventfilter", "!^Event: [VarSet"),
        ("eventfilter(name(Newchannel),header(Channel),method(starts_with))", "PJSIP/"),
        ("eventfilter(name(Newchannel),method(exact))", "x"),
        ("eventfilter(header(Channel))", "x"),
    ],
)
def test_what_is_not_understood_is_not_judged(key: str, value: str) -> None:
    with pytest.raises(UnreadableFilterError, match=re.escape(key)):
        Filters([(key, value)], OURS)


def test_every_noisy_event_belongs_to_a_right() -> None:
    assert set(CLASSES) <= set(NOISY_EVENTS)
