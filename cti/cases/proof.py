"""Whether the acts of the cases are those that the access log knows of: none changed, put in or taken out (0026).

No key is needed: the log has the digest of each act's sealed bytes, which bind who did it, when and for which unit.
"""

from collections.abc import AsyncIterator, Iterable
from hashlib import sha256
from typing import Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from cti.cases.sealing import digest
from cti.cases.tables import acts, cases
from recorder.access.entry import Entry
from recorder.verify import Finding

LOGGED: Final = ("case.entered", "case.changed", "case.failed")


async def findings(engine: AsyncEngine, site: str, logged: Iterable[Entry]) -> AsyncIterator[Finding]:
    """What is not as the log of `site` says. `logged`: its entries of the actions `LOGGED`, in order.

    Memory: some 150 bytes an act.
    """
    said: dict[bytes, tuple[int, int]] = {}
    for entry in logged:
        number = int(entry.detail["number"])
        for act in entry.detail["acts"]:
            name = _name(entry.object, act["act"], act["sha256"])
            if entry.action == "case.failed":
                said.pop(name, None)
            else:
                said[name] = (number, int(act["act"]))
    rows = select(cases.c.number, cases.c.id, acts.c.act, acts.c.sealed)
    rows = rows.join(acts, acts.c.case == cases.c.number).where(acts.c.site == site).order_by(acts.c.id)
    async with engine.connect() as connection:
        async for row in await connection.stream(rows):
            if said.pop(_name(row.id, row.act, digest(row.sealed)), None) is None:
                yield Finding(what=_what(row.number, row.act), problem="is not as the access log has it")
    for number, place in said.values():
        yield Finding(what=_what(number, place), problem="is in the access log, and not there")


def _name(case: str, act: int, digested: str) -> bytes:
    return sha256(f"{case}/{act}/{digested}".encode()).digest()[:16]


def _what(number: int, place: int) -> str:
    return f"case {number}: act {place}"
