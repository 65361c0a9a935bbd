"""Segments whose key was lost: the power failed, and with the RAM went the key beside the sound.

Whoever can unlock the vault gives back the keys that no manifest speaks of; the one that fits ends the segment where
its last sync was, as a dead predecessor's is ended. It says itself what it is (`about`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from recorder.about import About, AboutError
from recorder.audio import cut_streaminfo
from recorder.segment import end, forget, manifest_of
from recorder.take import History, OpenSegment
from recorder.vault.body import discard_tails, opens, untouched
from recorder.vault.errors import VaultError
from recorder.vault.folder import SegmentKey, Writer, segment_name, split_name
from recorder.vault.manifest import Manifest

REASON = "key lost, recovered"


class NoKeyError(VaultError):
    """No slot has the key of this segment."""

    code = "no-key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """A segment that has its end: its manifest, and the call behind it, by Asterisk's own record or by its own word."""

    name: str
    manifest: Manifest
    history: History


def recover(
    writer: Writer,
    name: str,
    keys: Sequence[SegmentKey],
    *,
    pbx: str,
    told: Callable[[str], History | None],
    now: datetime,
) -> Recovered | None:
    """End segment `name` with the one of `keys` that fits. None where there is no sound to be had: it never held any
    and is gone, or it was finished and only its tails were left over.

    `told(uniqueid)` asks Asterisk's own record. Raises NoKeyError, BodyBusyError (it is being written), PayloadError
    and TailError (damaged: it stays as it is), AboutError, OSError.
    """
    recording, number = split_name(name)
    folder = writer.folder.folder(recording)
    if writer.folder.manifest_path(recording, number).exists():
        discard_tails(folder, name)
        return None
    if untouched(folder, name):
        forget(writer, name)
        return None
    key = next((key for key in keys if opens(folder, name, key.file_key)), None)
    if key is None:
        raise NoKeyError(f"{name}: tried {len(keys)}")
    ended = end(writer, name, key.file_key)
    if ended is None:
        forget(writer, name)
        writer.folder.slots.wipe(key.slot)
        return None
    body, samples, stream = ended
    about = About.read(stream)
    if (about.recording, about.segment) != (recording, number):
        raise AboutError(f"{name} says that it is {segment_name(about.recording, about.segment)}")
    take = about.taken()
    history = told(about.uniqueid)
    if history is not None and history.order.conversation == about.conversation:
        take.revise(history)
    else:
        history = None
    meta = OpenSegment(
        number=number, slot=key.slot, epoch=key.epoch, key_id=key.key_id, file_key="", offset=about.offset
    )
    streaminfo = cut_streaminfo(stream, samples)
    manifest = manifest_of(take, meta, body, streaminfo, samples, pbx=pbx, state="torn", reason=REASON, now=now)
    writer.finish(manifest)
    discard_tails(folder, name)
    talked = ((manifest.start, manifest.end),)
    history = history or History(order=take.order, spans=talked, talks=talked, ended=None)
    return Recovered(
        name=name, manifest=manifest, history=replace(history, ended=history.ended or max(manifest.start, manifest.end))
    )
