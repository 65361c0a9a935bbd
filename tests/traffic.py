"""Calls that stand, and calls that come and go, while a test does something to the house."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from functools import partial

from tests.real import Call, House, Live

Place = Callable[[float], contextlib.AbstractAsyncContextManager[Live]]


@dataclass
class Traffic:
    """What was placed. `slowest`: the longest that a caller waited until both spoke, seconds."""

    house: House
    chance: random.Random
    calls: list[Call] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def slowest(self) -> float:
        return max(self.waited)

    async def stands(self, place: Place, seconds: float, up: asyncio.Barrier) -> None:
        """One call for the whole time."""
        async with place(seconds) as live:
            self.calls.append(live.call)
            await live.talking()
            await up.wait()

    async def comes_and_goes(self, place: Place, up: asyncio.Barrier) -> None:
        """One call after the other, from the moment that all stands until it is over."""
        await up.wait()
        loop = asyncio.get_running_loop()
        while not self.over.is_set():
            began = loop.time()
            async with place(round(self.chance.uniform(1.0, 4.0), 2)) as live:
                self.calls.append(live.call)
                await live.talking(30)
                self.waited.append(loop.time() - began)
            await asyncio.sleep(self.chance.uniform(0, 1))


@contextlib.asynccontextmanager
async def traffic(house: House, seconds: float, seed: int) -> AsyncIterator[Traffic]:
    """A call in and one out stand for `seconds`, others come and go in the block; ends when all of them have ended."""
    await asyncio.to_thread(house.pause_the_others)
    made = Traffic(house, random.Random(seed))  # noqa: S311  # lengths, no secret
    up = asyncio.Barrier(6)
    async with asyncio.TaskGroup() as group:
        for standing in (partial(house.call_in, to="0664581132"), partial(house.call_out, phone="2002")):
            group.create_task(made.stands(standing, seconds, up))
        for place in (
            partial(house.call_in, to="0664587160"),
            partial(house.call_in, to="0664587211"),
            partial(house.call_out, phone="2102"),
        ):
            group.create_task(made.comes_and_goes(place, up))
        await up.wait()
        try:
            yield made
        finally:
            made.over.set()
