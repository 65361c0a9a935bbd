"""The manager connection is cut, held up, or dead at one end, in the middle of calls: noticed within seconds, the
dialplan records meanwhile, the recorder takes everything over when it hears again, and the gap is in the access log.
"""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from tests.figures import SEED, times
from tests.houses.wire import Wire
from tests.real import House, a_house
from tests.traffic import traffic

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.rule("B-03")]

SECONDS = times(short=6, long=60)
SETTLED = 4  # s that calls go on for after the fault
NOTICED_WITHIN = 7.0  # s: a ping every 2, its answer within 2, once more, and what this test needs to look
CONNECTED_WITHIN = 3.0  # s
SECRET = "a-secret-of-the-writer"
WRITER = f"""
[writer]
secret = {SECRET}
read =
write = user
"""
BULK = ["x" * 900] * 100  # 90 kB an event
ENOUGH = 200  # 18 MB: more than all buffers between Asterisk and a reader that does not read
FAULTS: dict[str, Callable[[Wire], None]] = {
    "ami-cut": Wire.cut,
    "ami-stalled": Wire.hold,
    "ami-half-open": Wire.lose_the_far_end,
    "ami-lagging": Wire.lag,
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house() -> AsyncIterator[House]:
    """One whose recorder reaches Asterisk by a wire of the test's."""
    async with a_house() as house:
        with (house.lab.pbx.etc / "manager.conf").open("a") as conf:
            conf.write(WRITER)
        house.lab.pbx.rx("manager reload")
        yield house


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def wire(house: House) -> AsyncIterator[Wire]:
    wire = Wire(house.lab.settings.pbx.port)
    port = await wire.open()
    await house.lab.stop_service()
    text = house.lab.config.read_text()
    house.lab.config.write_text(text.replace("[pbx]\n", f"[pbx]\nport = {port}\n"))
    await house.lab.serve()
    assert wire.connects == 1
    yield wire
    await house.lab.stop_service()
    await wire.close()


async def swamp(house: House) -> None:
    """More events than the buffers of a reader take that does not read."""
    async with house.manager("writer", SECRET) as manager:
        for _ in range(ENOUGH):
            reply = await manager.client.send_action(
                {"Action": "UserEvent", "UserEvent": "Bulk", "Bulk": BULK}, deadline=10
            )
            assert reply[0].get("Response") == "Success"


@pytest.mark.parametrize("fault", FAULTS)
async def test_calls_stand_come_and_go(house: House, wire: Wire, fault: str) -> None:
    loop, lab = asyncio.get_running_loop(), house.lab
    gaps = len(await unheard(house))
    async with traffic(house, SECONDS + SETTLED, seed=SEED) as calls:
        began, before = loop.time(), told(house)
        FAULTS[fault](wire)
        if fault == "ami-lagging":
            await swamp(house)
        await lab.until(lambda: told(house) > before, NOTICED_WITHIN, "not noticed")
        await asyncio.sleep(began + SECONDS - loop.time())  # as long as the fault lasts
        wire.mend()
        await lab.in_step()
    await lab.idle(60)
    # In a thread: the wire is carried by this loop.
    await asyncio.to_thread(house.survived, fault, *calls.calls, slowest=calls.slowest)
    assert calls.slowest < CONNECTED_WITHIN, sorted(calls.waited)[-3:]
    found = await unheard(house)
    assert len(found) == gaps + 1, found[gaps:]


async def unheard(house: House) -> list[dict[str, object]]:
    """The gaps that the access log knows. In a thread: the wire is carried by this loop."""
    rows = await asyncio.to_thread(house.lab.rows, "audit", "list")
    return [entry for entry in rows if entry["action"] == "pbx.unheard"]


def told(house: House) -> int:
    """How often the recorder has said that it does not hear the PBX."""
    return len(house.logged("what happens on the PBX is not known until the next resync"))


async def test_the_house_is_in_order_after_all_this(house: House) -> None:
    await asyncio.to_thread(house.verified)
    await asyncio.to_thread(house.complete)
