"""The peer: what a system administrator would build. MixMonitor writes a wav, and when it is closed, `flac` and `age`.

`python -m tests.bench.pipe --seconds 60` prints one JSON object. The sound is that of the record path's run.
`mono`: one file with both sides mixed, MixMonitor's usual. `stereo`: two that `sox` joins: keeps what ours keeps.
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from tests.bench.machine import cpu_of_children
from tests.bench.speech import RATE, conversation

CALLS = 20
PIPES = {
    "mono": "flac -s -o {0}.flac {0}.wav && age -r {1} -o {0}.age {0}.flac && rm {0}.wav {0}.flac",
    "stereo": "sox -M {0}-r.wav {0}-t.wav -C 5 {0}.flac && age -r {1} -o {0}.age {0}.flac "
    "&& rm {0}-r.wav {0}-t.wav {0}.flac",
}


def measure(seconds: float, folder: Path) -> dict[str, float]:
    """CPU of all that a finished call starts, us per call-second; and how many kB a second it leaves."""
    subprocess.run(["age-keygen", "-o", folder / "key"], check=True, capture_output=True)
    recipient = (folder / "key").read_text().split("public key: ")[1].split()[0]
    for seed in range(CALLS):
        left, right = conversation(seed, seconds)
        mixed = np.clip(left.astype(np.int32) + right, -32768, 32767).astype(np.int16)
        for name, sound in ((f"mono-{seed}", mixed), (f"stereo-{seed}-r", left), (f"stereo-{seed}-t", right)):
            soundfile.write(folder / f"{name}.wav", sound, RATE, subtype="PCM_16")
    found = {}
    for kind, command in PIPES.items():
        before = cpu_of_children()
        for seed in range(CALLS):
            subprocess.run(["sh", "-c", command.format(folder / f"{kind}-{seed}", recipient)], check=True)
        found[f"{kind}_us"] = (cpu_of_children() - before) / (CALLS * seconds) * 1e6
        sizes = sum(path.stat().st_size for path in folder.glob(f"{kind}-*.age"))
        found[f"{kind}_kbytes"] = sizes / (CALLS * seconds) / 1000
    return found


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--disk", type=Path, default=Path("/var/tmp"))  # a disk, not RAM
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.disk) as folder:
        print(json.dumps(measure(given.seconds, Path(folder))))


if __name__ == "__main__":
    main()
