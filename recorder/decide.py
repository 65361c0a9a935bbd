"""Which channels of a conversation are recorded now. Pure; the table "what is recorded" (B-02, B-03).

The answer is a set of channels to be hooked. Whoever asks compares it with what is hooked and starts or stops the
difference, so asking twice, late, or after a restart gives the same result.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from policies.model import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """One leg as this decision sees it. `bridge` is the bridge it is in, `bridged` whether it ever was in one.

    `designated_number`: the leg began the call by dialling a designated number.
    """

    uniqueid: str
    kind: Kind | None
    originator: bool
    bridge: str | None
    bridged: bool
    designated_number: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The part of `recording.toml` that decides. `follow`: go on after the last designated phone left."""

    record_internal: bool
    follow: bool


def hooks(parties: Sequence[Party], rules: Rules, *, recorded: bool) -> frozenset[str]:
    """The uniqueids of the channels that MixMonitor should be on.

    `recorded`: a designated phone has been joined in this conversation before.
    """
    designated = [party for party in parties if party.kind is Kind.DESIGNATED]
    chosen = _candidates(parties, designated, rules)
    return frozenset(
        party.uniqueid
        for party in chosen
        if any(_together(phone, party) for phone in designated if phone is not party)
        or (party.designated_number and not party.bridged)
        or (rules.follow and recorded)
    )


def joined(parties: Sequence[Party], hooked: str) -> bool:
    """Whether the hooked channel talks to a designated phone at this moment (or is one that talks to another)."""
    hook = next((party for party in parties if party.uniqueid == hooked), None)
    if hook is None or hook.bridge is None:
        return False
    return any(
        party.kind is Kind.DESIGNATED and party.bridge == hook.bridge for party in parties if party.uniqueid != hooked
    )


def _candidates(parties: Sequence[Party], designated: Sequence[Party], rules: Rules) -> list[Party]:
    """Whose channel carries the hook: the outside party's, else the section's, else the calling phone's."""
    outside = [party for party in parties if party.kind is Kind.TRUNK]
    if outside:
        return outside
    if not rules.record_internal:
        return []
    inside = [party for party in parties if party.kind is not Kind.DESIGNATED]
    if inside:
        return inside
    return [party for party in designated if party.originator]


def _together(phone: Party, party: Party) -> bool:
    """Whether a designated phone talks to `party`, or may within moments: it rings, or is about to be bridged."""
    if phone.bridge is None:
        return not phone.bridged
    # Asterisk lets two channels into a bridge one after the other: the second is on its way.
    return party.bridge is None or party.bridge == phone.bridge
