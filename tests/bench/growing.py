"""Writes sound as MixMonitor does: two files a call, growing in steps of 32 KiB, then the rest, then closed.

A process of its own, so that its cost is not the recorder's. On standard input `<left path> <right path>`, a line a
call; the arguments name a file with the sound, seconds a call, how much faster than life, and whom to watch.
Ends when all calls have; says what memory it saw.
"""

import heapq
import json
import os
import sys
import time
from pathlib import Path

import numpy as np

from tests.bench.machine import anonymous_kib

STEP = 32768  # bytes; what Asterisk buffers
BYTES = 16000  # a second and side


def main() -> None:
    """See the module."""
    bank = np.load(sys.argv[1])
    length, speed, watched = int(float(sys.argv[2]) * BYTES), float(sys.argv[3]), int(sys.argv[4])
    paths = [line.split() for line in sys.stdin]
    began = time.monotonic()
    due: list[tuple[float, int, int]] = []
    streams = []
    for number, pair in enumerate(paths):
        sound = bank[number % len(bank)]
        streams.append(
            [(os.open(path, os.O_WRONLY | os.O_CREAT), sound[side].tobytes()) for side, path in enumerate(pair)]
        )
        # Calls do not begin together: spread over one step.
        begin = began + STEP / BYTES / speed * number / len(paths)
        heapq.heappush(due, (begin + min(STEP, length) / BYTES / speed, number, 0))
    before = anonymous_kib(watched)
    peak, spool = before, 0
    looked = began
    while due:
        when, number, done = heapq.heappop(due)
        time.sleep(max(0.0, when - time.monotonic()))
        end = min(done + STEP, length)
        for stream, sound in streams[number]:
            os.write(stream, sound[done:end])
            if end == length:
                os.close(stream)
        if end < length:
            heapq.heappush(due, (when + min(STEP, length - end) / BYTES / speed, number, end))
        if time.monotonic() - looked > 1.0:
            looked = time.monotonic()
            peak = max(peak, anonymous_kib(watched))
            folder = Path(paths[0][0]).parent
            spool = max(spool, sum(file.stat().st_blocks // 2 for file in folder.iterdir()))
    print(json.dumps({"before": before, "peak": peak, "spool": spool, "late": time.monotonic() - when}))


if __name__ == "__main__":
    main()
