"""One of several sites with one database, in namespaces of its own: `python -m tests.houses.site NAME URL`.

On standard output a line of JSON for each thing that it was told on standard input: `call`, `look`; it ends with it.
"""

import asyncio
import json
import sys
from typing import Any

from tests.real import SIDES, House, a_house


async def call(house: House) -> dict[str, Any]:
    """One call, whole; its recording, and the files that lie in the spool while it goes on."""
    async with house.call_in(5.0) as live:
        await live.talking()
        await house.lab.until(lambda: house.lab.status().get("recording") == 1, 10, "it is not recorded")
        spool = sorted(path.name for path in (house.lab.settings.paths.spool / "audio").iterdir())
    await house.lab.idle()
    kept = house.of(live.call)
    for channel, side in enumerate(SIDES):
        found = kept.against(live.call, channel, side)
        # Frames of silence that a machine under load puts in are another test's business.
        assert (found.missing_front, found.mismatches) == (0, 0), str(found)
    return {"recording": kept.recording, "spool": spool, "in_vault": house.recordings()}


async def look(house: House) -> dict[str, Any]:
    """What its desk knows, and what its own records say."""
    *_, last = house.lab.kikitori("verify", "--all", "--json", check=False).splitlines()
    problems = json.loads(last)["problems"]
    return {
        "listed": {row["recording"]: row["pbx"] for row in house.lab.rows("recordings", "list")},
        "calls": [row["recording"] for row in house.lab.rows("calls", "list")],
        "exceptions": house.completeness()["exceptions"],
        "problems": problems,
    }


async def main() -> None:
    """Until standard input ends."""
    name, url = sys.argv[1:]
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with a_house(database=url, pbx=name) as house:
        print(json.dumps("ready"), flush=True)
        while word := (await reader.readline()).decode().strip():
            print(json.dumps(await {"call": call, "look": look}[word](house)), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
