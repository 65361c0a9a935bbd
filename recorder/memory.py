"""Keep what a process knows off every disk: no core files, no swap. Keys and sound lie in this memory."""

import ctypes
import ctypes.util
import os
import resource
import signal

from recorder.spool import SpoolError, swap_devices

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_MCL_CURRENT, _MCL_FUTURE = 1, 2


def seal_memory(swaps: str) -> None:
    """No core dump, no ptrace by other processes of the same user, and no swapping where there is swap.

    `swaps` is the text of /proc/swaps. Raises SpoolError where swap is on and memory cannot be locked.
    """
    libc = ctypes.CDLL(ctypes.util.find_library("c") or "libc.so.6", use_errno=True)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    devices = swap_devices(swaps)
    if devices and libc.mlockall(_MCL_CURRENT | _MCL_FUTURE) != 0:
        reason = os.strerror(ctypes.get_errno())
        raise SpoolError(
            f"keys and sound may be swapped out to {', '.join(devices)}, and memory cannot be locked ({reason}). "
            "Set LimitMEMLOCK=infinity, or end swap with swapoff -a"
        )


def end_with_parent() -> None:
    """Get SIGTERM when the process that started us is gone: the next one starts its own of us."""
    libc = ctypes.CDLL(ctypes.util.find_library("c") or "libc.so.6", use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
