"""PCM -> FLAC, as a stream that is only ever appended to.

libsndfile seeks back when it closes and patches STREAMINFO. Here that patch goes to a copy of the head; what was
given out stays as it was, and the final STREAMINFO is a value of its own (vault format: it goes into the manifest).
"""

import struct

import numpy as np
import soundfile

from recorder.errors import AudioError

STREAMINFO_AT = 8  # "fLaC" and the block header come before it
STREAMINFO_SIZE = 34


class _Sink:
    """What libsndfile takes for a file: appends are kept, overwrites go to the head's copy."""

    def __init__(self) -> None:
        self.new = bytearray()
        self.head = bytearray()
        self.size = 0
        self.position = 0
        self.frames = 0

    def write(self, buffer: memoryview) -> int:
        data = bytes(buffer)
        if self.position < self.size:
            end = self.position + len(data)
            if end > len(self.head):
                raise AudioError(f"libsndfile rewrote bytes {self.position} to {end}, past the head")
            self.head[self.position : end] = data
        else:
            self.new += data
            if len(self.head) < 4096:
                self.head += data
            self.size += len(data)
            # One call a frame; its first 14 bits are the sync code.
            if data[:1] == b"\xff" and data[1] & 0xFC == 0xF8:
                self.frames += 1
        self.position += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        self.position = offset + (0, self.position, self.size)[whence]
        return self.position

    def tell(self) -> int:
        return self.position

    def flush(self) -> None:
        """Nothing is buffered."""


class Encoder:
    """One FLAC stream of two sides. `feed` gives whole frames as they come, `finish` the rest."""

    def __init__(self, *, rate: int, level: int, comment: str) -> None:
        """`comment` goes into the VORBIS_COMMENT block: what this sound belongs to, bound to it for good."""
        self._sink = _Sink()
        self._fed = 0
        self._file = soundfile.SoundFile(
            self._sink, "w", samplerate=rate, channels=2, format="FLAC", subtype="PCM_16", compression_level=level / 8
        )
        self._file.comment = comment

    @property
    def samples(self) -> int:
        """Samples a side in the whole frames given out so far."""
        # libFLAC chooses: 4096 samples a frame (0.51 s at 8 kHz) at levels 3 to 8, 1152 below; the head says which.
        block = int.from_bytes(self._sink.head[STREAMINFO_AT + 2 : STREAMINFO_AT + 4], "big")
        return min(self._sink.frames * block, self._fed)

    def feed(self, left: bytes, right: bytes) -> bytes:
        """Encode two equally long stretches of 16-bit little-endian samples; the frames they complete."""
        # Interleaving with array slices took 73 us per second of sound, this takes 8.
        both = np.empty((len(left) // 2, 2), "<i2")
        both[:, 0] = np.frombuffer(left, "<i2")
        both[:, 1] = np.frombuffer(right, "<i2")
        self._file.buffer_write(both, "int16")
        self._fed += len(left) // 2
        return self._take()

    def finish(self) -> tuple[bytes, bytes]:
        """The last frame, and the final STREAMINFO (34 bytes)."""
        self._file.close()
        return self._take(), bytes(self._sink.head[STREAMINFO_AT : STREAMINFO_AT + STREAMINFO_SIZE])

    def _take(self) -> bytes:
        data = bytes(self._sink.new)
        self._sink.new.clear()
        return data


def cut_streaminfo(head: bytes, samples: int) -> bytes:
    """STREAMINFO for a stream whose encoder died: as it was begun, with `samples` as its length.

    The MD5 stays zero, which the FLAC format reads as "not known" (RFC 9639, 8.2).
    """
    info = bytearray(head[STREAMINFO_AT : STREAMINFO_AT + STREAMINFO_SIZE])
    if head[:4] != b"fLaC" or len(info) < STREAMINFO_SIZE:
        raise AudioError("the stream does not begin with a FLAC head")
    packed = (int.from_bytes(info[10:18], "big") >> 36 << 36) | samples
    info[10:18] = struct.pack(">Q", packed)
    return bytes(info)
