"""Recordings for outsiders: age files over the identical body, or joined FLAC and WAV. Never half a file."""

import io
import os
import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import soundfile

from recorder.replay import Part, Player, wav_head
from recorder.vault.age import Recipient, wrap
from recorder.vault.folder import segment_name, sync_folder
from recorder.vault.manifest import stamp

Progress = Callable[[int], None]


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A new file at `path`, there when the block has ended well, and not at all otherwise (0600).

    Raises FileExistsError.
    """
    if path.exists():
        raise FileExistsError(17, "exists already", str(path))
    temporary = path.with_name(f".{path.name}.part")
    handle = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(handle, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def age_file(player: Player, part: Part, recipient: Recipient, out: BinaryIO) -> None:
    """An ordinary `.age` file: a header for `recipient` before the body as it lies in the vault."""
    out.write(wrap(player.file_key(part.manifest), [recipient]))
    with player.body(part.manifest) as body:
        while block := body.read(1 << 20):
            out.write(block)


def age_archive(player: Player, parts: Sequence[Part], recipient: Recipient, note: str, out: BinaryIO) -> None:
    """A tar of every segment as `.age`, its manifest, and how to join them."""
    with tarfile.open(fileobj=out, mode="w") as archive:
        _add(archive, "README.txt", note.encode())
        for part in parts:
            name = segment_name(part.manifest.recording, part.manifest.segment)
            data = io.BytesIO()
            age_file(player, part, recipient, data)
            _add(archive, f"{name}.flac.age", data.getvalue())
            manifest = player.vault.manifest_path(part.manifest.recording, part.manifest.segment)
            _add(archive, f"{name}.manifest", manifest.read_bytes())


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    entry.mode = 0o600
    archive.addfile(entry, io.BytesIO(data))


def flac_file(player: Player, parts: Sequence[Part], out: BinaryIO, progress: Progress) -> None:
    """All segments as one FLAC, with length and MD5."""
    first = parts[0].manifest
    with soundfile.SoundFile(out, "w", samplerate=first.rate, channels=2, format="FLAC", subtype="PCM_16") as sound:
        sound.comment = f"recording={first.recording}"
        for block in player.joined(parts, 0, total(parts)):
            sound.buffer_write(block, "int16")
            progress(len(block) // 4)


def wav_file(player: Player, parts: Sequence[Part], out: BinaryIO, progress: Progress) -> None:
    """All segments as one WAV."""
    out.write(wav_head(total(parts), parts[0].manifest.rate, 2))
    for block in player.joined(parts, 0, total(parts)):
        out.write(block)
        progress(len(block) // 4)


def total(parts: Sequence[Part]) -> int:
    """Samples on each side of the joined recording."""
    return sum(part.manifest.frames for part in parts)


def how_to_join(parts: Sequence[Part]) -> str:
    """What an outsider needs to know to put the segments together and to check them."""
    lines = [
        f"Recording {parts[0].manifest.recording}",
        "",
        "Each segment is a FLAC stream (left: the hooked party, right: what it heard), encrypted with age v1.",
        "",
    ]
    for part in parts:
        name = segment_name(part.manifest.recording, part.manifest.segment)
        before = f", after a gap of {part.gap:.3f} s" if part.gap else ""
        lines.append(f"  {name}.flac.age: {stamp(part.manifest.start)}, {part.manifest.frames} samples{before}")
    lines += [
        "",
        "Decrypt:  for f in *.age; do age -d -i KEY -o ${f%.age} $f; done",
        "Join:     sox *.flac joined.flac      (in this order; without gaps the join is exact to the sample)",
        "Check:    the bytes of an .age file after its header line '---' have the SHA-256 that its manifest calls",
        "          body_sha256; the manifest is a C2SP signed note.",
        "",
    ]
    return "\n".join(lines)
