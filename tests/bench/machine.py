"""What the figures were taken on, and the clocks to take them with. Names no host and no path."""

import os
import platform
import resource
import subprocess
import time
from importlib.metadata import version
from pathlib import Path

import soundfile


def describe() -> list[str]:
    """CPU, kernel and versions, one line each."""
    cpu = next(
        line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model n" in line
    )
    return [
        f"{os.cpu_count()} cores of {cpu}; Linux {platform.release()}",
        f"Python {platform.python_version()}, cryptography {version('cryptography')}, "
        f"soundfile {soundfile.__version__}, libsndfile {soundfile.__libsndfile_version__}",
        f"{_says('flac', '--version')}, age {_says('age', '--version')}, {_says('sipp', '-v')}",
    ]


def _says(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return next(line.strip(" .") for line in (done.stdout + done.stderr).splitlines() if line.strip())


def load() -> float:
    """Load average of the last minute: what else ran."""
    return os.getloadavg()[0]


def cpu_of(pid: int) -> float:
    """CPU seconds of a process, user and system, all its threads, dead ones too; to the nanosecond.

    The clock id of another process, as clock_getcpuclockid(3) computes it.
    """
    return time.clock_gettime(~pid << 3 | 2)


def cpu_of_children() -> float:
    """CPU seconds of the children that have ended and were waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def anonymous_kib(pid: int) -> int:
    """Memory of a process that no file backs, KiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("RssAnon")))
