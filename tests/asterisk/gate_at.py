"""The gate's process with another clock: `python -m tests.asterisk.gate_at kikitori.toml 2027-03-07T10:00`."""

import asyncio
import sys
from pathlib import Path

from cti.app.clock import wall_clock
from cti.app.gate import run_gate
from cti.notify import Notifier
from cti.settings import load
from policies.overrides import moment

if __name__ == "__main__":
    shift = moment(sys.argv[2]) - wall_clock()
    asyncio.run(run_gate(load(Path(sys.argv[1]), {}).settings, lambda: wall_clock() + shift, Notifier({})))
