"""Read by every process of the installation under test (conftest.py): SIGUSR1 blocks its event loop for 30 s.

A signal's handler runs in the main thread, between two steps of the loop: all other threads go on, as they do when a
callback blocks. SIGSTOP would stop them too.
"""

import signal
import time

signal.signal(signal.SIGUSR1, lambda *_: time.sleep(30))
