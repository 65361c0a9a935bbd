"""The table "what is recorded", row by row, and what holds for every conversation."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.model import Kind
from recorder.decide import Party, Rules, hooks, joined

RULES = Rules(record_internal=True, follow=False)
NO_INTERNAL = Rules(record_internal=False, follow=False)
FOLLOW = Rules(record_internal=True, follow=True)


def party(
    name: str,
    kind: Kind | None,
    bridge: str | None = None,
    *,
    began: bool = False,
    was: bool = False,
    number: bool = False,
) -> Party:
    return Party(
        uniqueid=name,
        kind=kind,
        originator=began,
        bridge=bridge,
        bridged=was or bridge is not None,
        designated_number=number,
    )


def caller(bridge: str | None = None, *, was: bool = False, number: bool = True, name: str = "caller") -> Party:
    return party(name, Kind.TRUNK, bridge, began=True, was=was, number=number)


def callee(bridge: str | None = None) -> Party:
    return party("callee", Kind.TRUNK, bridge)


def phone(bridge: str | None = None, *, began: bool = False, was: bool = False, name: str = "phone") -> Party:
    return party(name, Kind.DESIGNATED, bridge, began=began, was=was)


def section(bridge: str | None = None, *, began: bool = False) -> Party:
    return party("section", Kind.SECTION, bridge, began=began)


def emergency(bridge: str | None = None) -> Party:
    return party("emergency", Kind.EMERGENCY, bridge)


TABLE: dict[str, tuple[Sequence[Party], set[str]]] = {
    # in through a designated number
    "in: arrived": ([caller()], {"caller"}),
    "in: ringing": ([caller(), phone()], {"caller"}),
    "in: talking": ([caller("b"), phone("b")], {"caller"}),
    "in: caller first in the bridge": ([caller("b"), phone()], {"caller"}),
    "in: phone first in the bridge": ([caller(), phone("b")], {"caller"}),
    "in: the phone left": ([caller("b", was=True)], set()),
    "in: the phone left, the caller waits": ([caller(was=True)], set()),
    "in: the phone lives on elsewhere": ([caller("b"), phone("c")], set()),
    # in through another number
    "other number: arrived": ([caller(number=False)], set()),
    "other number: a section answers": ([caller("b", number=False), section("b")], set()),
    "other number: a designated phone is called in": ([caller("b", number=False), section("b"), phone()], {"caller"}),
    "other number: transferred to a designated phone": ([caller("b", number=False), phone("b")], {"caller"}),
    "other number: the designated phone is first in the bridge": ([caller(number=False), phone("b")], {"caller"}),
    # a designated phone calls out
    "out: the phone alone": ([phone(began=True)], set()),
    "out: dialling": ([phone(began=True), callee()], {"callee"}),
    "out: talking": ([phone("b", began=True), callee("b")], {"callee"}),
    # by click-to-dial the phone is called first, and waits
    "click: phone up, callee called": ([phone(began=True), callee()], {"callee"}),
    # internal
    "internal: to a section, ringing": ([phone(began=True), section()], {"section"}),
    "internal: to a section": ([phone("b", began=True), section("b")], {"section"}),
    "internal: from a section": ([section("b", began=True), phone("b")], {"section"}),
    "internal: two designated phones": ([phone("b", began=True), phone("b", name="other")], {"phone"}),
    "internal: two designated phones, ringing": ([phone(began=True), phone(name="other")], {"phone"}),
    # conference
    "conference": ([caller("b"), phone("b"), section("b")], {"caller"}),
    "conference: the designated phone left": ([caller("b", was=True), section("b")], set()),
    # never
    "outside and section": ([caller("b", number=False), section("b")], set()),
    "outside and emergency line": ([caller("b", number=False), emergency("b")], set()),
    "section and emergency line": ([section("b", began=True), emergency("b")], set()),
    "a channel that no policy knows": ([party("unknown", None, "b", began=True)], set()),
    "nobody": ([], set()),
}


@pytest.mark.rule("B-02", "B-03")
@pytest.mark.parametrize("row", TABLE)
def test_the_table(row: str) -> None:
    parties, expected = TABLE[row]
    assert hooks(parties, RULES, recorded=False) == expected
    assert hooks(parties, RULES, recorded=True) == expected, "`recorded` decides only where recording follows"


@pytest.mark.parametrize("row", [row for row in TABLE if row.startswith("internal")])
def test_internal_calls_are_not_recorded_where_the_policy_says_so(row: str) -> None:
    assert hooks(TABLE[row][0], NO_INTERNAL, recorded=False) == set()


@pytest.mark.parametrize("row", [row for row in TABLE if not row.startswith("internal")])
def test_which_changes_nothing_for_calls_with_the_outside(row: str) -> None:
    assert hooks(TABLE[row][0], NO_INTERNAL, recorded=False) == TABLE[row][1]


def test_recording_follows_only_a_conversation_that_was_recorded() -> None:
    transferred = [caller("b", was=True), section("b")]
    assert hooks(transferred, FOLLOW, recorded=True) == {"caller"}
    assert hooks([caller("b", number=False), section("b")], FOLLOW, recorded=False) == set()


def test_joined_is_sharing_a_bridge_with_a_designated_phone() -> None:
    assert joined([caller("b"), phone("b")], "caller")
    assert not joined([caller("b"), phone()], "caller")
    assert not joined([caller(), phone()], "caller")
    assert not joined([caller("b"), phone("c")], "caller")
    assert not joined([caller("b"), section("b")], "caller")
    assert not joined([phone("b")], "phone"), "alone with itself"
    assert joined([phone("b", began=True), phone("b", name="other")], "phone")
    assert not joined([phone("b")], "gone")


BRIDGE = st.sampled_from([None, None, "b", "c"])


@st.composite
def conversations(draw: st.DrawFn) -> list[Party]:
    parties = []
    for number in range(draw(st.integers(0, 5))):
        bridge = draw(BRIDGE)
        parties.append(
            Party(
                uniqueid=f"{number}",
                kind=draw(st.sampled_from([None, *Kind])),
                originator=draw(st.booleans()),
                bridge=bridge,
                bridged=bridge is not None or draw(st.booleans()),
                designated_number=draw(st.booleans()),
            )
        )
    return parties


ANY_RULES = st.builds(Rules, record_internal=st.booleans(), follow=st.booleans())


@given(parties=conversations(), rules=ANY_RULES, recorded=st.booleans())
def test_only_channels_of_the_conversation_are_hooked(parties: list[Party], rules: Rules, recorded: bool) -> None:
    assert hooks(parties, rules, recorded=recorded) <= {party.uniqueid for party in parties}


@pytest.mark.rule("B-02")
@given(parties=conversations(), rules=ANY_RULES, recorded=st.booleans())
def test_without_a_designated_phone_only_a_new_call_on_a_designated_number_is_hooked(
    parties: list[Party], rules: Rules, recorded: bool
) -> None:
    without = [party for party in parties if party.kind is not Kind.DESIGNATED]
    expecting = {party.uniqueid for party in without if party.designated_number and not party.bridged}
    hooked = hooks(without, rules, recorded=recorded)
    assert hooked <= expecting or (rules.follow and recorded)


@pytest.mark.rule("B-02", "B-03")
@given(parties=conversations(), rules=ANY_RULES, recorded=st.booleans())
def test_whoever_talks_with_a_designated_phone_from_outside_is_hooked(
    parties: list[Party], rules: Rules, recorded: bool
) -> None:
    bridges = {party.bridge for party in parties if party.kind is Kind.DESIGNATED and party.bridge}
    outside = {party.uniqueid for party in parties if party.kind is Kind.TRUNK and party.bridge in bridges}
    assert outside <= hooks(parties, rules, recorded=recorded)


@given(parties=conversations(), rules=ANY_RULES, recorded=st.booleans(), seed=st.randoms())
def test_the_order_of_the_legs_does_not_matter(
    parties: list[Party], rules: Rules, recorded: bool, seed: object
) -> None:
    shuffled = list(parties)
    seed.shuffle(shuffled)  # type: ignore[attr-defined]
    assert hooks(shuffled, rules, recorded=recorded) == hooks(parties, rules, recorded=recorded)
