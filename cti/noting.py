"""A 所管課 is told who comes before its telephone rings (E-13): the caller waits for that, and never long.

The gate asks for a caller whether it is done, the desk whether anybody waits, and says so when the case is there.
Both ask the recorder, which stands beside the PBX and knows none of it but these names: it is a notice board.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

MOST: Final = 1000
"""Callers who are remembered."""
POLL: Final = 20.0
"""Seconds after which the desk asks again."""
GONE: Final = 3.0
"""Seconds without a question of the desk, after which nobody waits for it."""


class Notices:
    """Which callers are waited for, and which case tells of each."""

    def __init__(self, copy: Callable[[], Awaitable[object]]) -> None:
        """`copy` puts what the PBX wrote of callers where the desk reads it."""
        self._copy = copy
        self._told: dict[str, str] = {}
        self._anybody = asyncio.Event()
        self._asked = float("-inf")
        self._asking = 0

    async def noted(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """Of the caller on `uniqueid` for `section`: the number of the case, `wait`, or `no` where no desk is there."""
        caller = _named(question)
        if (case := self._told.pop(caller, None)) is not None:  # put through once more, it is asked anew
            return {"noted": case}
        now = asyncio.get_running_loop().time()
        if not self._asking and now - self._asked > GONE:
            return {"noted": "no"}
        await self._copy()
        self._anybody.set()
        return {"noted": "wait"}

    async def waiting(self, _question: Mapping[str, Any]) -> dict[str, Any]:
        """The desk's: answered when somebody waits, or after `POLL` seconds."""
        self._asking += 1
        try:
            async with asyncio.timeout(POLL):
                await self._anybody.wait()
        except TimeoutError:
            return {"waiting": False}
        finally:
            self._asking -= 1
            self._asked = asyncio.get_running_loop().time()
        self._anybody.clear()
        return {"waiting": True}

    async def note(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """The desk's: `section` sees `case`, which tells of the caller on `uniqueid`."""
        caller = _named(question)
        self._told.pop(caller, None)
        self._told[caller] = str(int(question["case"]))
        if len(self._told) > MOST:
            del self._told[next(iter(self._told))]
        return {}


def _named(question: Mapping[str, Any]) -> str:
    return f"{question['uniqueid']}/{question['section']}"
