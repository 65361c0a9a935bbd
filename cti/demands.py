"""What belongs to an unjust demand is held: the recordings of its conversation (5条3, 6条1項ただし書; B-14, B-18).

Right after the act, and again at every look: the act stands, whatever the vault can do just then.
"""

from collections.abc import Iterator
from uuid import NAMESPACE_URL, uuid5

import structlog

from cti.cases.acts import UnjustDemand
from cti.cases.book import CaseBook
from cti.cases.lists import Held, Kept
from cti.errors import KikitoriError
from cti.explain import explain
from cti.holding import Holding
from recorder.access.errors import AccessError
from recorder.vault.errors import VaultError

log = structlog.get_logger()


class Demands:
    """The unjust demands of a database, held in the vault of a desk."""

    def __init__(self, book: CaseBook, holding: Holding) -> None:
        """`holding` is anybody's: each hold is set in the name of whoever entered the demand."""
        self._book, self.holding = book, holding
        self._done: dict[int, int] = {}

    async def look(self) -> None:
        """Hold what is not held yet, of all cases."""
        for number, acts in (await self._book.demanding()).items():
            if self._done.get(number) == acts:
                continue
            try:
                kept = await self._book.get(number)
            except KikitoriError as error:  # one that cannot be read holds up no other
                log.error("nobody knows what an unjust demand was made in", case=number, error=explain(error))
                continue
            if await self.hold(kept):
                self._done[number] = acts

    async def hold(self, kept: Kept) -> bool:
        """Hold every conversation of its demands, each once for each demand; whether all is done."""
        try:
            for identity, conversation, by in _demands(kept):
                await self.holding.by(by).demanded(identity, conversation, f"案件 {kept.number}")
        except (KikitoriError, AccessError, VaultError, OSError) as error:
            log.error("the recordings of an unjust demand are not held yet", case=kept.number, error=explain(error))
            return False
        return True

    async def state(self, kept: Kept) -> Held | None:
        """None where there was no demand, or no call belongs to it."""
        wanted = {identity for identity, _conversation, _by in _demands(kept)}
        if not wanted:
            return None
        try:
            found = [hold for hold in (await self.holding.holds()).all if hold.id in wanted]
        except OSError:
            return Held.NOT_YET
        if len(found) < len(wanted):
            return Held.NOT_YET
        return Held.RELEASED if all(hold.released for hold in found) else Held.HELD


def _demands(kept: Kept) -> Iterator[tuple[str, str, str]]:
    """The id of the hold, the conversation and who entered it, of each demand in a call."""
    case = kept.case
    for place, act in enumerate(case.history, start=1):
        if isinstance(act, UnjustDemand) and (conversation := act.conversation or case.conversation):
            name = f"kikitori:hold/{case.id}/{place}/{conversation}"
            yield str(uuid5(NAMESPACE_URL, name)), conversation, act.by
