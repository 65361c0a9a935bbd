"""Facts as a line that a person can write by hand and compare."""

from collections import Counter
from collections.abc import Iterable
from uuid import UUID

from cti.calls.model import Fact, What


def story(facts: Iterable[Fact]) -> str:
    """`A Arrived trunk; A Ringing 201; ...`: conversations by letters in the order of their arrival, legs by endpoint.

    Legs that join and leave bridges are left out, and where the dialplan sent a call: it says so of each.
    """
    names: dict[UUID, str] = {}
    endpoints: dict[str | None, str | None] = {}
    said: list[str] = []
    for fact in facts:
        endpoints |= {leg.uniqueid: leg.endpoint for leg in fact.legs}
        name = names.setdefault(fact.conversation, "ABCDEF"[len(names)])
        if fact.what in (What.JOINED, What.LEFT, What.ROUTED):
            continue
        words = [name, fact.what.value.removeprefix("Call")]
        words.append(str(fact.disposition) if fact.what is What.ENDED else str(endpoints[fact.leg]))
        words += [fact.kind.value] if fact.kind else []
        words += [names[fact.merged]] if fact.merged else []
        said.append(" ".join(words))
    return "; ".join(said)


def balanced(facts: Iterable[Fact]) -> None:
    """Every conversation that arrived ended once or went on in another, after all else that was said of it."""
    seen: dict[object, list[What]] = {}
    for fact in facts:
        seen.setdefault(fact.conversation, []).append(fact.what)
        if fact.merged is not None:
            seen[fact.merged].append(What.ENDED)
    for story in seen.values():
        assert story[0] is What.ARRIVED
        assert story[-1] is What.ENDED
        assert Counter(story)[What.ARRIVED] == Counter(story)[What.ENDED] == 1
