"""A manager interface in a thread of its own: the command under test has this one's loop."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cti.settings import FILE
from policies.load import shipped
from tests.unit.cti.ami.fake import FakeAmi


@contextmanager
def in_a_thread(server: FakeAmi) -> Iterator[FakeAmi]:
    """`server`, listening."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(server.listen(), loop).result(10)
        yield server
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def installation(port: int, ca: Path | None = None) -> None:
    """Settings in the current folder that point at `port`, with the certificate of `ca` pinned."""
    Path("keys").mkdir()
    Path("keys/ami.secret").write_text("secret-of-the-manager\n")
    Path("keys/phones.toml").write_text('2001 = "secret-of-a-phone"\n')
    pinned = f'ami_tls_ca = "{ca}"\n' if ca else ""
    Path(FILE).write_text(f'[pbx]\nport = {port}\n{pinned}[paths]\npolicies = "{shipped()}"\n')
