"""Who may be urgent: the thread that listens, and no other. Linux counts niceness by thread."""

import os


def stand_back() -> None:
    """This thread's work is no more urgent than anybody else's. For threads that a favoured process starts."""
    if os.getpriority(os.PRIO_PROCESS, 0) < 0:
        os.setpriority(os.PRIO_PROCESS, 0, 0)
