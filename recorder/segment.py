"""One segment being written: two sides -> FLAC -> vault, and its end in every way it can end."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from recorder.about import About
from recorder.audio import Encoder, cut_streaminfo
from recorder.level import Meter
from recorder.take import OpenSegment, Take
from recorder.vault.body import BodyWriter, adopt, discard_tails, read_start
from recorder.vault.folder import Writer, segment_name
from recorder.vault.manifest import Loudness, Manifest, Mark
from recorder.version import VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """What a manifest says of the encrypted file."""

    nonce: bytes
    size: int
    sha256: str


class Segment:
    """An open segment. `synced` samples are durable; `fed` have been read from the spool."""

    def __init__(self, writer: Writer, take: Take, *, level: int, now: datetime) -> None:
        """Creates the body; `take.segment` names it already, so that a successor finds it.

        `now` stands in for a time that no bridge told.
        """
        assert take.segment is not None  # noqa: S101  # the caller has just set it
        self.meta: OpenSegment = take.segment
        self._name = segment_name(take.order.recording, self.meta.number)
        key = bytes.fromhex(self.meta.file_key)
        self._body = BodyWriter.create(writer.prepare(take.order.recording), self._name, key)
        self._encoder = Encoder(
            rate=take.rate, level=level, comment=About.of(take, self.meta, now).signed(writer.signer)
        )
        self._waiting: tuple[bytes, int] | None = None
        self._meter = Meter(take.rate)
        self.fed = 0
        self.synced = 0

    def feed(self, left: bytes, right: bytes) -> None:
        """Encode and make durable. Raises OSError where the disk refuses: call `settle` before feeding again."""
        self.settle()
        data = self._encoder.feed(left, right)
        self._meter.hear(left, right)
        self.fed += len(left) // 2
        if data:
            self._waiting = (data, self._encoder.samples)
            self.settle()

    def settle(self) -> None:
        """Bring to the disk what it refused before."""
        if self._waiting is not None:
            self._body.flush(*self._waiting)
            self.synced = self._waiting[1]
            self._waiting = None

    @property
    def loudness(self) -> Loudness | None:
        """Of what was fed."""
        return self._meter.loudness

    def damaged(self) -> list[Path]:
        """Those of its files that are not as they were written."""
        return self._body.damaged()

    def seal(self) -> tuple[Body, bytes]:
        """End the stream; the body and the final STREAMINFO. Raises OSError; may be called again then."""
        self.settle()
        if not hasattr(self, "_streaminfo"):
            data, self._streaminfo = self._encoder.finish()
            self._waiting = (data, self.fed)
        self.settle()
        ended = self._body.close()
        return Body(nonce=ended.nonce, size=ended.size, sha256=ended.sha256.hex()), self._streaminfo

    def discard(self, writer: Writer) -> None:
        """Take back what was written: no manifest names it, and nothing opens it afterwards."""
        self._body.abandon()
        _remove(writer, self._name, self.meta.slot)


def cut(writer: Writer, take: Take) -> tuple[Body, bytes, int] | None:
    """End the segment that a dead predecessor left open: (body, STREAMINFO, samples), None where it held no sound."""
    meta = take.segment
    if meta is None:
        return None
    name = segment_name(take.order.recording, meta.number)
    if not (writer.folder.folder(take.order.recording) / f"{name}.agebody").exists():
        return None
    return end(writer, name, bytes.fromhex(meta.file_key), meta.slot)


def end(writer: Writer, name: str, file_key: bytes, slot: int) -> tuple[Body, bytes, int] | None:
    """End a body where its last sync was: (body, STREAMINFO, samples); None where it held no sound: it is gone then,
    and so is its key in `slot`.

    Raises what `adopt` raises.
    """
    folder = writer.folder.folder(name)
    ended = adopt(folder, name, file_key)
    if ended.samples == 0:
        _remove(writer, name, slot)
        return None
    start = read_start(folder, name, file_key) or b""
    body = Body(nonce=ended.nonce, size=ended.size, sha256=ended.sha256.hex())
    return body, cut_streaminfo(start, ended.samples), ended.samples


def _remove(writer: Writer, name: str, slot: int) -> None:
    """A body that nobody needs, and the key that opened it."""
    folder = writer.folder.folder(name)
    (folder / f"{name}.agebody").unlink(missing_ok=True)
    discard_tails(folder, name)
    writer.folder.slots.wipe(slot)


def sweep(writer: Writer, recording: str) -> None:
    """Remove the tails that a predecessor was about to remove: those of finished segments, and those without a body."""
    folder = writer.folder.folder(recording)
    for number in writer.folder.numbers(recording):
        name = segment_name(recording, number)
        tails = [folder / f"{name}.tail0", folder / f"{name}.tail1"]
        ended = (folder / f"{name}.manifest").exists() or not (folder / f"{name}.agebody").exists()
        if ended and any(tail.exists() for tail in tails):
            discard_tails(folder, name)


def manifest_of(
    take: Take,
    meta: OpenSegment,
    body: Body,
    streaminfo: bytes,
    samples: int,
    *,
    pbx: str,
    state: str,
    reason: str | None,
    now: datetime,
    loudness: Loudness | None = None,
) -> Manifest:
    """The manifest of the segment `meta` of a take. `now` stands in for a time that no bridge told."""
    order = take.order
    start = take.time_of(meta.offset) or now
    end = take.time_of(meta.offset + samples) or now
    begin, finish = meta.offset, meta.offset + samples
    last = take.broken or (state == "sealed" and reason is None)
    return Manifest(
        recording=order.recording,
        segment=meta.number,
        conversation=order.conversation,
        pbx=pbx,
        linkedid=order.linkedid,
        channel=order.channel,
        uniqueid=order.uniqueid,
        take=take.stem,
        take_offset=meta.offset,
        number=order.number,
        direction=order.direction,
        caller=order.caller,
        callee=order.callee,
        agent=order.agent,
        start=start,
        end=end,
        rate=take.rate,
        frames=samples,
        streaminfo=streaminfo.hex(),
        slot=meta.slot,
        epoch=meta.epoch,
        key_id=meta.key_id,
        nonce=body.nonce.hex(),
        body_size=body.size,
        body_sha256=body.sha256,
        state=state,
        reason=reason,
        gap_before=meta.gap,
        marks=tuple(
            Mark(at=datetime.fromisoformat(mark["at"]), sample=min(mark["sample"], finish) - begin, what=mark["what"])
            for mark in take.marks
            # The clock of events may run milliseconds ahead of the sound: the end of the last segment has them still.
            if begin <= mark["sample"] and (mark["sample"] <= finish or last)
        ),
        loudness=loudness,
        writer=VERSION,
    )
