"""Read by every process of the installation under test (conftest.py).

SIGUSR1 blocks its event loop for 30 s: a handler runs in the main thread, between two steps of the loop, and all other
threads go on, as they do when a callback blocks. SIGSTOP would stop them too. SIGUSR2 lets the main thread loop for as
long: the others have to share Python's lock with it.

KIKITORI_SYNC_SECONDS: so long takes each sync, as on a disk that is slow.
"""

import os
import signal
import time
from collections.abc import Callable
from types import FrameType


def _loop(_number: int, _frame: FrameType | None) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        pass


def _slow(sync: Callable[[int], None], seconds: float) -> Callable[[int], None]:
    def slow(fd: int) -> None:
        time.sleep(seconds)
        sync(fd)

    return slow


signal.signal(signal.SIGUSR1, lambda *_: time.sleep(30))
signal.signal(signal.SIGUSR2, _loop)
if _seconds := float(os.environ.get("KIKITORI_SYNC_SECONDS", "0")):
    os.fsync, os.fdatasync = _slow(os.fsync, _seconds), _slow(os.fdatasync, _seconds)  # type: ignore[assignment]
