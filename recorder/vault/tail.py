"""Records of the tail: what a live body does not have as a full chunk yet. Pure: bytes in, bytes out.

```
u64be chunk | u32be sequence | u32be length | ciphertext + tag        length counts ciphertext and tag
key = HKDF-SHA256(file key, salt = nonce of the body, info = "kikitori/tail/v1", 32)
ChaCha20-Poly1305, nonce = AAD = the first 12 bytes; plaintext = u64be samples || bytes added to this chunk
```
`sequence` counts from 0 within its chunk, `samples` is how many samples the segment has with these bytes. The records
of a chunk, joined, are its plaintext so far. Which of the two tail files holds a record does not matter to a reader.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from recorder.vault import stream
from recorder.vault.errors import TailError

_HEAD = struct.Struct(">QII")
_SAMPLES = struct.Struct(">Q")
_NONCE_SIZE = 12
_OVERHEAD: Final = _SAMPLES.size + stream.TAG_SIZE


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """`data` was added to chunk `chunk` as its piece `sequence`; with it the segment has `samples` samples."""

    chunk: int
    sequence: int
    samples: int
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What follows the full chunks of a body: chunks that are complete, then the last one, which ends at `samples`."""

    full: tuple[bytes, ...]
    last: bytes
    samples: int


def tail_key(file_key: bytes, nonce: bytes) -> ChaCha20Poly1305:
    """The cipher of the tail of the body that starts with `nonce` (16 bytes)."""
    return stream.payload_key(file_key, nonce, b"kikitori/tail/v1")


def seal_record(key: ChaCha20Poly1305, record: Record) -> bytes:
    """The bytes of `record`. One (key, chunk, sequence) must never see two records: the caller's duty."""
    if not 0 < len(record.data) <= stream.CHUNK:
        raise TailError(f"a record holds 1 to {stream.CHUNK} bytes, not {len(record.data)}")
    head = _HEAD.pack(record.chunk, record.sequence, len(record.data) + _OVERHEAD)
    nonce = head[:_NONCE_SIZE]
    return head + key.encrypt(nonce, _SAMPLES.pack(record.samples) + record.data, nonce)


def parse(key: ChaCha20Poly1305, data: bytes) -> tuple[list[Record], int]:
    """The records at the start of a tail file, and their length in bytes. Ends quietly at the first that is not whole.

    A torn or foreign record is how a crash looks, so it is no error here; whether anything is missing `assemble` tells.
    """
    records: list[Record] = []
    at = 0
    while len(data) - at >= _HEAD.size:
        chunk, sequence, length = _HEAD.unpack_from(data, at)
        end = at + _HEAD.size + length
        if not _OVERHEAD < length <= _OVERHEAD + stream.CHUNK or end > len(data):
            break
        nonce = data[at : at + _NONCE_SIZE]
        try:
            plaintext = key.decrypt(nonce, data[at + _HEAD.size : end], nonce)
        except InvalidTag:
            break
        (samples,) = _SAMPLES.unpack_from(plaintext)
        records.append(Record(chunk=chunk, sequence=sequence, samples=samples, data=plaintext[_SAMPLES.size :]))
        at = end
    return records, at


def assemble(records: Iterable[Record], first: int) -> Ending | None:
    """What the records of both files add to a body that has its full chunks up to `first`; None if nothing connects.

    A chunk counts only if the one before it is complete: a flush that crosses into new chunks writes their records
    first and what completes the old chunk last, so that before its last write nothing of it counts, and then all does.
    """
    known = {(record.chunk, record.sequence): record for record in records}
    full: list[bytes] = []
    chunk = first
    while (chunk, 0) in known:
        pieces: list[Record] = []
        while (record := known.get((chunk, len(pieces)))) is not None:
            pieces.append(record)
        data = b"".join(piece.data for piece in pieces)
        if len(data) > stream.CHUNK:
            raise TailError(f"the records of chunk {chunk} hold {len(data)} bytes, more than a chunk")
        if len(data) < stream.CHUNK or (chunk + 1, 0) not in known:
            return Ending(full=tuple(full), last=data, samples=pieces[-1].samples)
        full.append(data)
        chunk += 1
    return None
