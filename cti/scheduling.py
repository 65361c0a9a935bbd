"""What Linux does with a process among others: who gets the processor first, and who waited for it."""

import contextlib
import os
from pathlib import Path


def favour(pid: int, niceness: int, *, session: int) -> None:
    """Let process `pid` go first, before it has threads: Linux counts niceness by thread. Without the right, nothing.

    Where the kernel groups processes by session (autogroup), niceness counts within a group alone, and `session` is
    that of the group: beside 60 busy telephones a process of niceness -10 got 16 % of a core, 93 % with its group.
    """
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, niceness)
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(session))


def waited(pid: int) -> float:
    """Seconds that the threads of `pid` could have run and did not, for want of a processor; 0 where nobody counts."""
    total = 0
    with contextlib.suppress(OSError, ValueError, IndexError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            total += int((thread / "schedstat").read_text().split()[1])
    return total / 1e9
