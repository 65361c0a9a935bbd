"""The payload of an age file: STREAM over ChaCha20-Poly1305 in chunks of 64 KiB.

```
0               16  nonce
16 + 65552*i 65552  chunk i: 65536 bytes of ciphertext + 16 tag
last          rest  1..65536 bytes + 16 tag (empty only where the whole payload is empty)
key = HKDF-SHA256(file key, salt = nonce, info = "payload"); nonce of chunk i = 11-byte big-endian i || 1 if last else 0
```
"""

import io
import secrets
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO, Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from recorder.vault import age, armor
from recorder.vault.errors import HeaderError, KeyFormatError, PayloadError, VaultError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

NONCE_SIZE: Final = 16
CHUNK: Final = 64 * 1024
TAG_SIZE: Final = 16
SEALED: Final = CHUNK + TAG_SIZE

_MAX_HEADER = 1 << 20  # some 10,000 recipients; bounds what a hostile file makes us read


def payload_key(file_key: bytes, nonce: bytes, info: bytes = b"payload") -> ChaCha20Poly1305:
    """The cipher under the key that `file_key` and the body's 16-byte `nonce` give for the use `info`."""
    if len(file_key) != age.FILE_KEY_SIZE or len(nonce) != NONCE_SIZE:
        raise KeyFormatError(f"file key and nonce have 16 bytes each, not {len(file_key)} and {len(nonce)}")
    return ChaCha20Poly1305(HKDF(algorithm=SHA256(), length=32, salt=nonce, info=info).derive(file_key))


def seal_chunk(key: ChaCha20Poly1305, index: int, plaintext: bytes, last: bool) -> bytes:
    """Ciphertext and tag of chunk `index`. All but the last are 65536 bytes, the last is empty only if it is the first.

    One (key, index, last) must never see two plaintexts: the caller's duty, since this keeps no state.
    """
    fits = len(plaintext) == CHUNK or (last and (0 < len(plaintext) < CHUNK or (not plaintext and index == 0)))
    if not fits:
        raise PayloadError(index, f"{len(plaintext)} bytes make no {'last' if last else 'full'} chunk")
    return key.encrypt(_nonce(index, last), plaintext, None)


def open_chunk(key: ChaCha20Poly1305, index: int, sealed: bytes, last: bool) -> bytes:
    """Plaintext of chunk `index`; PayloadError if it was not written as that chunk under that key."""
    if len(sealed) < TAG_SIZE or len(sealed) > SEALED or (not last and len(sealed) != SEALED):
        raise PayloadError(index, f"{len(sealed)} bytes are no {'last' if last else 'full'} chunk")
    if len(sealed) == TAG_SIZE and index > 0:
        raise PayloadError(index, "the last chunk is empty")
    try:
        return key.decrypt(_nonce(index, last), sealed, None)
    except InvalidTag:
        raise PayloadError(index, "it does not authenticate") from None


class Reader(io.RawIOBase):
    """Random access to the plaintext of a finished payload: one seek decrypts one chunk.

    `read` and `readinto` fill what they are given unless the payload ends: libsndfile takes less for the file's end.
    The first chunk that fails is latched in `error`, and every later read raises it again, since libraries in between
    swallow exceptions and a damaged recording would else read as a short one. The file underneath stays open at close.
    """

    def __init__(self, file: BinaryIO, file_key: bytes, offset: int = 0) -> None:
        """`offset` is where the nonce lies in `file`. Verifies the last chunk, the proof that the file is not cut."""
        super().__init__()
        self.error: VaultError | OSError | None = None
        self._file = file
        self._start = offset + NONCE_SIZE
        self._position = 0
        self._cached = -1
        self._chunk = b""
        end = file.seek(0, io.SEEK_END)
        file.seek(offset)
        self._key = payload_key(file_key, _read_nonce(file))
        self._chunks = max(1, -(-(end - self._start) // SEALED))
        rest = end - self._start - (self._chunks - 1) * SEALED
        self.size: Final = (self._chunks - 1) * CHUNK + max(0, rest - TAG_SIZE)
        self._load(self._chunks - 1)

    @classmethod
    def open(cls, file: BinaryIO, identities: Sequence[age.Identity | age.Passphrase]) -> Self:
        """A reader of a whole age file, binary or armored (armored ones are decoded in memory)."""
        binary, file_key = _unlock(file, identities)
        return cls(binary, file_key, binary.tell())

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """The position in the plaintext."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Set the position in the plaintext; beyond its end there is nothing to read."""
        position = offset + (0, self._position, self.size)[whence]
        if position < 0:
            raise ValueError(f"position {position} lies before the start")
        self._position = position
        return position

    def read(self, size: int | None = -1, /) -> bytes:
        """`size` bytes, or all that is left."""
        if self.error is not None:
            raise self.error
        left = max(0, self.size - self._position)
        want = left if size is None or size < 0 else min(size, left)
        parts = []
        while want > 0:
            index, skip = divmod(self._position, CHUNK)
            part = self._load(index)[skip : skip + want]
            parts.append(part)
            self._position += len(part)
            want -= len(part)
        return b"".join(parts)

    def readall(self) -> bytes:
        """All that is left."""
        return self.read()

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Fill `buffer`; less only at the end."""
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def _load(self, index: int) -> bytes:
        if index != self._cached:
            try:
                self._file.seek(self._start + index * SEALED)
                sealed = _read_full(self._file, SEALED)
                self._chunk = open_chunk(self._key, index, sealed, last=index == self._chunks - 1)
            except (VaultError, OSError) as error:
                self.error = error
                raise
            self._cached = index
        return self._chunk


def decrypt(file: BinaryIO, identities: Sequence[age.Identity | age.Passphrase]) -> Iterator[bytes]:
    """The plaintext of a whole age file, binary or armored, chunk by chunk in order, without seeking in a binary one.

    Header errors are raised here, PayloadError while iterating: what came before it is genuine, but not all there was.
    """
    binary, file_key = _unlock(file, identities)
    key = payload_key(file_key, _read_nonce(binary))
    return _open_all(binary, key)


def encrypt(plaintext: bytes, recipients: Sequence[age.Recipient | age.Passphrase]) -> bytes:
    """A whole binary age file of `plaintext`, in memory: for secrets and small exports."""
    file_key, nonce = age.new_file_key(), secrets.token_bytes(NONCE_SIZE)
    key = payload_key(file_key, nonce)
    last = max(0, len(plaintext) - 1) // CHUNK
    pieces = [plaintext[index * CHUNK : (index + 1) * CHUNK] for index in range(last + 1)]
    chunks = [seal_chunk(key, index, piece, last=index == last) for index, piece in enumerate(pieces)]
    return b"".join([age.wrap(file_key, recipients), nonce, *chunks])


def _open_all(file: BinaryIO, key: ChaCha20Poly1305) -> Iterator[bytes]:
    index, last = 0, False
    while not last:
        sealed = _read_full(file, SEALED)
        last = len(sealed) < SEALED
        try:
            plaintext = open_chunk(key, index, sealed, last)
        except PayloadError:
            if last:
                raise
            last = True
            plaintext = open_chunk(key, index, sealed, last)
        yield plaintext
        index += 1
    if file.read(1):
        raise PayloadError(index, "something follows the last chunk")


def _unlock(file: BinaryIO, identities: Sequence[age.Identity | age.Passphrase]) -> tuple[BinaryIO, bytes]:
    """The binary file, positioned behind its header, and the file key."""
    line = file.readline(_MAX_HEADER)
    header = bytearray(line)
    while line.isspace() and len(header) < _MAX_HEADER:
        line = file.readline(_MAX_HEADER)
        header += line
    if armor.is_armored(line):
        file = io.BytesIO(armor.decode(bytes(header) + file.read()))
        line = file.readline(_MAX_HEADER)
        header = bytearray(line)
    if header.startswith(b"age-encryption.org/"):
        while line and not line.startswith(b"---") and len(header) < _MAX_HEADER:
            line = file.readline(_MAX_HEADER - len(header))
            header += line
    return file, age.unwrap(bytes(header), identities)


def _read_nonce(file: BinaryIO) -> bytes:
    nonce = _read_full(file, NONCE_SIZE)
    if len(nonce) != NONCE_SIZE:
        raise HeaderError(f"the payload's nonce has {NONCE_SIZE} bytes, {len(nonce)} are left")
    return nonce


def _read_full(file: BinaryIO, size: int) -> bytes:
    parts = []
    while size > 0:
        part = file.read(size)
        if not part:
            break
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _nonce(index: int, last: bool) -> bytes:
    return index.to_bytes(11, "big") + (b"\x01" if last else b"\x00")
