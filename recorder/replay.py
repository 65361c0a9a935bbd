"""Recordings as sound again: verify, decrypt on demand, seek, join segments. Nothing decrypted touches a disk here."""

import io
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, BinaryIO

import soundfile

from recorder.audio import STREAMINFO_AT, STREAMINFO_SIZE
from recorder.vault.age import unwrap
from recorder.vault.errors import VaultError
from recorder.vault.folder import VaultFolder
from recorder.vault.keys import Keys
from recorder.vault.manifest import Manifest
from recorder.vault.stream import Reader

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BLOCK_SECONDS = 4


class BodyMismatchError(VaultError):
    """The encrypted file is not the one that the manifest describes."""

    code = "body-mismatch"


class DamagedAudioError(VaultError):
    """The sound cannot be read to its end."""

    code = "damaged-audio"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A stretch of a joined recording: one segment, where it begins (samples), and the silence lost before it.

    `gap` in seconds: 0 where one segment goes on exactly where the other ended.
    """

    manifest: Manifest
    start: int
    gap: float


class _Overlaid(io.RawIOBase):
    """A FLAC stream with its final STREAMINFO: length, seeking and MD5 are right then."""

    def __init__(self, reader: Reader, streaminfo: bytes) -> None:
        super().__init__()
        self._reader = reader
        self._info = streaminfo

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._reader.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return self._reader.seek(offset, whence)

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        at = self._reader.tell()
        try:
            count = self._reader.readinto(buffer)
        except (VaultError, OSError):
            return 0  # an exception would be lost in libsndfile: the reader keeps it in `error`
        begin, end = max(at, STREAMINFO_AT), min(at + count, STREAMINFO_AT + STREAMINFO_SIZE)
        if begin < end:
            view = memoryview(buffer).cast("B")
            view[begin - at : end - at] = self._info[begin - STREAMINFO_AT : end - STREAMINFO_AT]
        return count


def layout(segments: Sequence[Manifest]) -> list[Part]:
    """How `segments` join, with the gaps between them: takes by their beginning, each in the order of its samples.

    Samples count where the clock does not: it may have been set back in the middle of a take.
    """
    begun: dict[str, datetime] = {}
    for manifest in segments:
        begun[manifest.take] = min(manifest.start, begun.get(manifest.take, manifest.start))
    parts: list[Part] = []
    start = 0
    for manifest in sorted(segments, key=lambda segment: (begun[segment.take], segment.take, segment.take_offset)):
        gap = 0.0
        if parts:
            before = parts[-1].manifest
            if before.take == manifest.take:
                gap = (manifest.take_offset - before.take_offset - before.frames) / manifest.rate
            else:
                gap = max(0.0, (manifest.start - before.end).total_seconds())
        parts.append(Part(manifest=manifest, start=start, gap=gap))
        start += manifest.frames
    return parts


class Player:
    """Opens segments with the identities of their epochs."""

    def __init__(self, vault: VaultFolder, keys: Keys) -> None:
        """`keys(epoch)` gives what may open its headers, or raises."""
        self.vault, self.keys = vault, keys

    def file_key(self, manifest: Manifest) -> bytes:
        """The key of a segment. Raises VaultError where its slot is not its own."""
        slots, held = self.vault.slots, self.keys(manifest.epoch)
        for header in slots.copies(manifest.slot)[1:]:
            # Two that differ: one of the media is from before the keys were changed.
            with suppress(VaultError):
                return unwrap(header, held)
        return unwrap(slots.read(manifest.slot), held)

    def body(self, manifest: Manifest) -> BinaryIO:
        """The encrypted body, opened. Raises BodyMismatchError."""
        path = self.vault.where(manifest.recording, manifest.segment)
        try:
            file = self.vault.open_body(manifest.recording, manifest.segment)
        except OSError as error:
            raise BodyMismatchError(f"{path}: {error.strerror}") from error
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        nonce = file.read(16).hex()
        file.seek(0)
        if (size, nonce) != (manifest.body_size, manifest.nonce):
            file.close()
            raise BodyMismatchError(
                f"{path}: has {size} bytes and nonce {nonce}, "
                f"its manifest says {manifest.body_size} and {manifest.nonce}"
            )
        return file

    def frames(self, manifest: Manifest, start: int, end: int) -> Iterator[bytes]:
        """Interleaved 16-bit samples `start` to `end` of a segment, a few seconds at a time."""
        with self.body(manifest) as file:
            reader = Reader(file, self.file_key(manifest))
            stream = io.BufferedReader(_Overlaid(reader, bytes.fromhex(manifest.streaminfo)))
            at = start
            try:
                with soundfile.SoundFile(stream) as sound:
                    sound.seek(start)
                    while at < end:
                        block = bytes(sound.buffer_read(min(end - at, BLOCK_SECONDS * manifest.rate), "int16"))
                        # What goes wrong below libsndfile reads as silence or as an early end.
                        if reader.error is not None or not block:
                            break
                        at += len(block) // 4
                        yield block
            except (soundfile.LibsndfileError, AssertionError) as error:
                raise reader.error or DamagedAudioError(_where(manifest, at)) from error
            if at < end:
                raise reader.error or DamagedAudioError(_where(manifest, at))

    def joined(self, parts: Sequence[Part], start: int, end: int) -> Iterator[bytes]:
        """Samples `start` to `end` of the joined recording."""
        for part in parts:
            begin, finish = max(start - part.start, 0), min(end - part.start, part.manifest.frames)
            if begin < finish:
                yield from self.frames(part.manifest, begin, finish)


def _where(manifest: Manifest, at: int) -> str:
    return f"recording {manifest.recording}, segment {manifest.segment}: cannot be read from sample {at} on"


def side(block: bytes, which: str) -> bytes:
    """`both`, `left` or `right` of interleaved samples."""
    if which == "both":
        return block
    words = memoryview(block).cast("H")
    return words[0 if which == "left" else 1 :: 2].tobytes()


def wav_head(samples: int, rate: int, channels: int) -> bytes:
    """The 44 bytes before the samples of a WAV file (RIFF; sizes saturate at 4 GiB)."""
    size = min(samples * channels * 2, 0xFFFFFFFF - 36)
    pieces = (
        b"RIFF", (size + 36).to_bytes(4, "little"), b"WAVEfmt ", (16).to_bytes(4, "little"), (1).to_bytes(2, "little"),
        channels.to_bytes(2, "little"), rate.to_bytes(4, "little"), (rate * channels * 2).to_bytes(4, "little"),
        (channels * 2).to_bytes(2, "little"), (16).to_bytes(2, "little"), b"data", size.to_bytes(4, "little"),
    )  # fmt: skip
    return b"".join(pieces)
