"""What Linux does with a process among others: who gets the processor first, and who waited for it."""

import contextlib
import os
from pathlib import Path


def favour(pid: int, niceness: int, *, session: int | None) -> None:
    """Let process `pid` go first, before it has threads: Linux counts niceness by thread. Without the right, nothing.

    Where the kernel groups processes by session (autogroup), niceness counts within a group alone, and `session` is
    that of the group: beside 60 busy telephones a process of niceness -10 got 16 % of a core, 93 % with its group.
    None where the process shares its session with others.
    """
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, niceness)
    if session is None:
        return
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(session))


def waited(pid: int) -> float:
    """Seconds that the first thread of `pid` waited for a processor; 0 where nobody counts.

    The first thread turns the event loop; others may wait while that one hangs.
    """
    try:
        return int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0
