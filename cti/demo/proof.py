"""Is a recording what was said? Exported as an outsider gets it, opened with the outsider's tools, and compared."""

import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cti.demo.compare import Comparison, compare
from cti.demo.lab import Lab
from cti.demo.tones import Samples, reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """A recording as an outsider hears it. `tools`: what `age -d` and `flac -t` said against it, empty for nothing."""

    recording: dict[str, Any]
    left: Samples
    right: Samples
    caller: Comparison
    callee: Comparison
    tools: tuple[str, ...]

    @property
    def whole(self) -> bool:
        """Both sides, in the right channels, from the first sample to the last.

        Whole 20 ms frames of silence are what Asterisk puts in where a late packet made it wait; of the speech itself
        nothing may be missing, twice, or out of order.
        """
        return (
            all(side.exact or (side.lost == 0 and side.waited) for side in (self.caller, self.callee))
            and not self.tools
        )


def outsider(folder: Path) -> tuple[Path, str]:
    """An age identity of somebody outside: (key file, recipient)."""
    key = folder / "outsider.key"
    if not key.exists():
        subprocess.run(["age-keygen", "-o", key], check=True, capture_output=True)
    done = subprocess.run(["age-keygen", "-y", key], check=True, capture_output=True, text=True)
    return key, done.stdout.strip()


def hear(lab: Lab, recording: dict[str, Any], call: int, seconds: float) -> Heard:
    """Export `recording` to an outsider, open it with `age` and `flac`, compare both sides with what was said."""
    folder = lab.folder / "exports"
    folder.mkdir(exist_ok=True)
    key, recipient = outsider(folder)
    name = recording["recording"]
    target = folder / f"{name}.age"
    lab.kikitori("export", name, "--purpose", "content", "--format", "age", "--recipient", recipient, "-o", str(target))
    complaints: list[str] = []
    pieces = [_open(piece, key, complaints) for piece in _pieces(target, folder / name)]
    sound = np.concatenate(pieces)
    left, right = sound[:, 0], sound[:, 1]
    return Heard(
        recording=recording,
        left=left,
        right=right,
        caller=compare(left, reference(call, "caller", seconds)),
        callee=compare(right, reference(call, "callee", seconds)),
        tools=tuple(complaints),
    )


def _pieces(exported: Path, folder: Path) -> list[Path]:
    """The age files in an export: itself, or those of an archive, in order."""
    if not tarfile.is_tarfile(exported):
        return [exported]
    with tarfile.open(exported) as archive:
        archive.extractall(folder, filter="data")
    return sorted(folder.glob("*.age"))


def _open(piece: Path, key: Path, complaints: list[str]) -> Samples:
    opened = piece.with_suffix(".flac")
    raw = opened.with_suffix(".raw")
    commands: list[list[str | Path]] = [
        ["age", "-d", "-i", key, "-o", opened, piece],
        ["flac", "-t", "-s", opened],
        ["flac", "-d", "-s", "--force-raw-format", "--endian=little", "--sign=signed", "-o", raw, opened],
    ]
    for command in commands:
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode != 0:
            complaints.append(f"{command[0]}: {done.stderr.strip()}")
            return np.zeros((0, 2), dtype=np.int16)
    return np.fromfile(raw, dtype="<i2").astype(np.int16).reshape(-1, 2)
