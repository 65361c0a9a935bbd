"""Segments whose key was lost: the power failed, and with the RAM went the key beside the sound.

Whoever can unlock the vault gives back the keys that no manifest speaks of. `identify` finds the one that fits, and
reads what the segment says of itself; `give_end` ends it where its last sync was, as a dead predecessor's is ended.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from recorder.about import About, AboutError
from recorder.segment import end, manifest_of
from recorder.take import History, OpenSegment, Take
from recorder.vault.body import discard_tails, read_start, remove_untouched
from recorder.vault.errors import VaultError
from recorder.vault.folder import SegmentKey, Writer, segment_name, split_name
from recorder.vault.manifest import Manifest, load

REASON = "key lost, recovered"
AGREE = timedelta(seconds=1)  # by which Asterisk's record and the recorder's word may differ


class NoKeyError(VaultError):
    """No slot has the key of this segment."""

    code = "no-key"


class NothingThereError(VaultError):
    """There is no sound to give an end to."""

    code = "nothing-there"

    def __init__(self, outcome: str) -> None:
        """`empty`: it never held any, and is gone. `finished`: it has its end; tails that were left over are gone."""
        super().__init__(outcome)
        self.outcome = outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Identified:
    """An unfinished segment, and what it is; `meta` has the key that fits it."""

    name: str
    take: Take
    meta: OpenSegment


def identify(writer: Writer, name: str, keys: Sequence[SegmentKey]) -> Identified:
    """Which of `keys` is that of segment `name`, and what it says that it is.

    Raises NothingThereError, NoKeyError, AboutError, BodyBusyError, OSError. Changes nothing that holds sound.
    """
    recording, number = split_name(name)
    folder = writer.folder.folder(recording)
    if writer.folder.manifest_path(recording, number).exists():
        discard_tails(folder, name)
        raise NothingThereError("finished")
    if remove_untouched(folder, name):
        raise NothingThereError("empty")
    opening = ((key, start) for key in keys if (start := read_start(folder, name, key.file_key)) is not None)
    key, start = next(opening, (None, b""))
    if key is None:
        raise NoKeyError(f"{name}: tried {len(keys)}")
    if not start:
        # Its first flush was torn: there is no whole FLAC frame in it.
        end(writer, name, key.file_key, key.slot)
        raise NothingThereError("empty")
    about = About.read(start, [writer.signer.verifier])
    if (about.recording, about.segment) != (recording, number):
        raise AboutError(f"{name} says that it is {segment_name(about.recording, about.segment)}")
    meta = OpenSegment(
        number=number,
        slot=key.slot,
        epoch=key.epoch,
        key_id=key.key_id,
        file_key=key.file_key.hex(),
        offset=about.offset,
    )
    return Identified(name=name, take=about.taken(), meta=meta)


def give_end(writer: Writer, found: Identified, history: History | None, *, pbx: str, now: datetime) -> Manifest:
    """End the segment; `history` is what Asterisk's own record says of its channel, where it says something.

    Raises NothingThereError, BodyBusyError (it is being written), PayloadError and TailError (damaged: it stays as it
    is), OSError.
    """
    meta = found.meta
    ended = end(writer, found.name, bytes.fromhex(meta.file_key), meta.slot)
    if ended is None:
        raise NothingThereError("empty")
    body, streaminfo, samples = ended
    take = fitting(found, history, samples)
    manifest = manifest_of(take, meta, body, streaminfo, samples, pbx=pbx, state="torn", reason=REASON, now=now)
    writer.finish(manifest)
    discard_tails(writer.folder.folder(found.name), found.name)
    return manifest


def fitting(found: Identified, history: History | None, samples: int) -> Take:
    """The take, revised by `history` where that knows beginning and end of `samples` as the recorder wrote them down.

    Of a record that nobody syncs, the power may have left a part.
    """
    first = found.meta.offset
    own = found.take.time_of(first)
    if history is None or own is None or history.order.conversation != found.take.order.conversation:
        return found.take
    revised = Take.from_dict(found.take.to_dict())
    revised.revise(history)
    begin, finish = revised.time_of(first), revised.time_of(first + samples)
    if begin is None or finish is None or abs(begin - own) > AGREE:
        return found.take
    return revised if finish - own >= timedelta(seconds=samples / revised.rate) - AGREE else found.take


def began(writer: Writer, manifest: Manifest) -> datetime:
    """When the sound of the recording that `manifest` is of began, as far as its segments tell."""
    paths = writer.folder.manifests_of(manifest.recording)
    others = [load(path.read_text("utf-8"), [writer.signer.verifier], str(path)).start for path in paths]
    return min([manifest.start, *others])
