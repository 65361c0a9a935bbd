"""Niceness and waiting, with real processes."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cti import scheduling

BUSY = "while True: pass"
NICE = -5 if os.geteuid() == 0 else 5


@contextmanager
def busy(processor: int) -> Iterator[int]:
    process = subprocess.Popen([sys.executable, "-S", "-c", BUSY], start_new_session=True)
    os.sched_setaffinity(process.pid, {processor})
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


def test_a_process_and_its_session_are_favoured() -> None:
    with busy(min(os.sched_getaffinity(0))) as pid:
        scheduling.favour(pid, NICE, session=NICE // 2)
        assert os.getpriority(os.PRIO_PROCESS, pid) == NICE
        group = Path(f"/proc/{pid}/autogroup")
        if group.exists():  # the kernel may be built without
            assert group.read_text().split()[-1] == str(NICE // 2)


def test_who_is_gone_is_not_favoured_and_waits_for_nothing() -> None:
    with busy(min(os.sched_getaffinity(0))) as pid:
        pass
    scheduling.favour(pid, NICE, session=NICE)
    assert scheduling.waited(pid) == 0


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="this kernel does not count waiting")
def test_two_on_one_processor_wait_for_each_other() -> None:
    processor = min(os.sched_getaffinity(0))
    with busy(processor) as one, busy(processor) as other:
        end = time.monotonic() + 10
        while not (scheduling.waited(one) > 0.1 and scheduling.waited(other) > 0.1):
            assert time.monotonic() < end
