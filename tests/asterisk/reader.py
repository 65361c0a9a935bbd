"""A reader of the manager interface in a process of its own, to be stopped: `python -m tests.asterisk.reader PORT`.

On standard output a line for each thing that its client tells it; the client's log goes to standard error.
"""

import asyncio
import sys

import structlog

from cti.ami.client import AmiClient, AmiConfig, LinkDown, LinkUp
from cti.ami.message import Message

USER, SECRET = "reader", "a-secret-of-the-reader"


async def main() -> None:
    """Until it is killed."""
    client = AmiClient(AmiConfig(host="127.0.0.1", port=int(sys.argv[1]), username=USER, secret=SECRET))
    async with asyncio.TaskGroup() as group:
        group.create_task(client.run())
        async for item in client.events():
            if isinstance(item, LinkUp):
                print("up", flush=True)
            elif isinstance(item, LinkDown):
                print("down", item.reason, flush=True)
            elif isinstance(item, Message) and item.event == "UserEvent":
                print("event", item.get("Number"), flush=True)


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(main())
