"""Which call a leg belongs to, what a merged call is called, and who hears whom through Local channels."""

import pytest

from cti.calls.board import MEMORY, Board, LiveLeg, Past, born, conversation_id


def test_what_is_over_is_not_remembered_for_ever() -> None:
    past = Past()
    for number in range(MEMORY + 10):
        past.add(str(number))
    assert len(past.names) == MEMORY
    assert "9" not in past
    assert "10" in past


def test_a_call_that_was_merged_twice_is_found_under_its_last_name() -> None:
    past = Past()
    past.add("3", "2")
    past.add("2", "1")
    assert [past.now(name) for name in ("3", "2", "1", "4")] == ["1", "1", "1", "4"]


def test_names_that_mean_each_other_end() -> None:
    past = Past()
    past.add("1", "2")
    past.add("2", "1")
    assert past.now("1") in ("1", "2")


@pytest.mark.parametrize(
    ("linkedid", "found"),
    [("1795705454.15", (1795705454, 15)), ("pbx1-1795705454.15", (1795705454, 15)), ("abc", None), ("", None),
     ("1" * 40 + ".1", (10**15 // 9, 1)), ("\uff11.\uff11", None)],
)  # fmt: skip
def test_when_a_linked_id_was_born(linkedid: str, found: tuple[int, int] | None) -> None:
    assert born(linkedid) == found


def test_the_older_call_lives_on() -> None:
    board = Board("pbx1", None)
    younger, older = board.call("pbx1-20.3", "x"), board.call("pbx1-20.1", "y")
    assert board.elder(younger, older) == (older, younger)
    assert board.elder(older, younger) == (older, younger)
    nameless = board.call("nameless", "z")
    assert board.elder(younger, nameless) == (younger, nameless)


def test_a_leg_that_comes_after_a_merge_belongs_to_what_lives_on() -> None:
    board = Board("pbx1", None)
    first, second = board.seat("1.1", "SIP/a-00000001", "1.1"), board.seat("1.2", "SIP/b-00000002", "1.2")
    board.merge(first.call, second.call)
    late = board.seat("1.3", "SIP/c-00000003", "1.2")
    assert late.call is second.call is first.call
    assert first.call.conversation == conversation_id("pbx1", "1.1")
    assert (first.originator, second.originator, late.originator) == (True, False, False)


def chain(board: Board) -> list[LiveLeg]:
    """A caller and a phone, joined by a pair of Local channels."""
    names = ["SIP/a-00000001", "Local/b@c-00000001;1", "Local/b@c-00000001;2", "SIP/b-00000002"]
    legs = [board.seat(f"1.{number}", name, "1.0") for number, name in enumerate(names)]
    for leg, bridge in zip(legs, ("left", "left", "right", "right"), strict=True):
        board.enter(leg, bridge)
    return legs


def test_local_channels_join_bridges_and_are_not_shown() -> None:
    board = Board("pbx1", None)
    caller, one, two, phone = chain(board)
    assert set(board.room(["left"])) == {caller, one, two, phone}
    shown = board.frozen(caller.call)
    assert [leg.endpoint for leg in shown] == ["a", "b"]
    assert shown[0].bridge == shown[1].bridge is not None
    board.leave(two)
    apart = board.frozen(caller.call)
    assert apart[0].bridge != apart[1].bridge


def test_a_bridge_that_everybody_left_is_empty() -> None:
    board = Board("pbx1", None)
    for leg in chain(board):
        board.leave(leg)
    assert list(board.room(["left", "right", None])) == []
