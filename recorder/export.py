"""Recordings for outsiders: age files over the identical body, or joined FLAC and WAV. Never half a file."""

import errno
import hashlib
import io
import os
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import soundfile

from recorder.replay import BodyMismatchError, Part, Player, wav_head
from recorder.vault.age import Recipient, wrap
from recorder.vault.folder import segment_name
from recorder.vault.manifest import stamp
from recorder.vault.stream import Reader

Progress = Callable[[int], None]

# What open(2) says where kernel or file system know no O_TMPFILE.
_NO_TMPFILE = {errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOSYS}


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A new file at `path`, there when the block has ended well, and not at all otherwise (0600).

    Until then it has no name, so that a killed process leaves nothing in the clear; only where the file system knows
    no O_TMPFILE it has a random one. Raises FileExistsError.
    """
    if os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, "exists already", str(path))
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        handle, temporary = _unnamed(folder, path)
        try:
            with os.fdopen(handle, "w+b") as file:
                yield file
                file.flush()
                os.fsync(handle)
                # Without a folder's descriptor os.link calls link(2), which links the symbolic link in /proc itself.
                source, follow = (temporary, False) if temporary else (f"/proc/self/fd/{handle}", True)
                os.link(source, path.name, dst_dir_fd=folder, follow_symlinks=follow)
        finally:
            if temporary:
                Path(temporary).unlink(missing_ok=True)
        os.fsync(folder)
    finally:
        os.close(folder)


def _unnamed(folder: int, path: Path) -> tuple[int, str | None]:
    """A new file (0600) in the open `folder` of `path`, and its name where it cannot be without one."""
    try:
        return os.open(".", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600, dir_fd=folder), None
    except OSError as error:
        if error.errno not in _NO_TMPFILE:
            raise
    # mkstemp opens with O_EXCL and O_NOFOLLOW, 0600.
    return tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)


def age_file(player: Player, part: Part, recipient: Recipient, out: BinaryIO) -> None:
    """An ordinary `.age` file: a header for `recipient` before the body as it lies in the vault.

    Raises VaultError where the key is not that of the body, or the body not the one that the manifest names.
    """
    key = player.file_key(part.manifest)
    out.write(wrap(key, [recipient]))
    with player.body(part.manifest) as body:
        Reader(body, key)
        body.seek(0)
        found = hashlib.sha256()
        while block := body.read(1 << 20):
            found.update(block)
            out.write(block)
    if found.hexdigest() != part.manifest.body_sha256:
        name = segment_name(part.manifest.recording, part.manifest.segment)
        raise BodyMismatchError(f"{name}.agebody: its SHA-256 is not the one that its manifest names")


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


class _Latch:
    """A file for libsndfile, which loses what goes wrong below it: the first error is kept until it is asked for."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._error: OSError | None = None

    def write(self, data: bytes) -> int:
        try:
            return len(data) if self._error else self._out.write(data)
        except OSError as error:
            self._error = error
            return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        try:
            return self._out.seek(offset, whence)
        except OSError as error:
            self._error = self._error or error
            return 0

    def tell(self) -> int:
        return self._out.tell()

    def check(self) -> None:
        """Raises the error that was kept."""
        if self._error is not None:
            raise self._error


def flac_file(player: Player, parts: Sequence[Part], out: BinaryIO, progress: Progress) -> None:
    """All segments as one FLAC, with length and MD5."""
    first = parts[0].manifest
    file = _Latch(out)
    with soundfile.SoundFile(file, "w", samplerate=first.rate, channels=2, format="FLAC", subtype="PCM_16") as sound:
        sound.comment = f"recording={first.recording}"
        for block in player.joined(parts, 0, total(parts)):
            sound.buffer_write(block, "int16")
            file.check()
            progress(len(block) // 4)
    file.check()


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
