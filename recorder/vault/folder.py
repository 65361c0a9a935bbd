"""The vault folder: where segments, slots and manifests lie, and what is still to be told to log and catalogue.

    <vault>/keys.slots                        headers, one slot a segment; mirrored on the second medium
    <vault>/segments/3f/<recording>.001.agebody   (.tail0 .tail1 while it is open); later on the second medium alone
    <vault>/segments/3f/<recording>.001.manifest  written last: with it, the segment is finished
    <vault>/outbox/log/<recording>.001        the access log does not know this manifest yet
    <vault>/outbox/index/<recording>.001      the catalogue does not
    <vault>/calls/2026-11-21.jsonl            a line a call, recorded or not
    <vault>/steps/2026-11-21.jsonl            a line for each thing that the dialplan did with a call
    <vault>/kept/2026-11-21.jsonl             a line for each promise to a caller that somebody kept
    <vault>/held/2026-11-21.jsonl             a line for each hold, and for what was said of its release
    <vault>/witness/2026-11-21.jsonl          what Asterisk itself wrote of who talked (cti.records)
    <vault>/statements/2026-11-21.note        whether all of that was recorded, signed; -2, -3 where said again

The folder of a recording follows from its id alone, so that a process that has just started finds what is there.
"""

import errno
import fcntl
import os
import re
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from recorder.vault.age import Recipient, wrap
from recorder.vault.errors import SlotError
from recorder.vault.manifest import Manifest, ManifestError, dump, load
from recorder.vault.note import Signer, Verifier
from recorder.vault.second import Folder, Second
from recorder.vault.slots import Slots

_MANIFEST = re.compile(r"^([0-9a-f-]{36})\.(\d{3,})\.manifest$")
OUTBOXES = ("log", "index")
WITNESS, STATEMENTS = "witness", "statements"
# Folders of files with a line each (`recorder.callfile`).
CALLS, STEPS, KEPT, HELD = LINES = ("calls", "steps", "kept", "held")


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentKey:
    """A file key and where its header lies."""

    slot: int
    epoch: int
    key_id: str
    file_key: bytes


def segment_name(recording: str, number: int) -> str:
    """`<recording>.001`: what the files of a segment are named by."""
    return f"{recording}.{number:03d}"


def body_name(recording: str, number: int) -> str:
    """`<recording>.001.agebody`, on either medium."""
    return f"{segment_name(recording, number)}.agebody"


def is_segment_name(text: str) -> bool:
    """Whether `text` is what `segment_name` gives."""
    return _MANIFEST.match(f"{text}.manifest") is not None


def split_name(name: str) -> tuple[str, int]:
    """The recording and the number in a segment's name."""
    recording, number = name.split(".")[:2]
    return recording, int(number)


def sync_folder(folder: Path) -> None:
    """Make names in `folder` durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_new(path: Path, data: bytes, mode: int) -> None:
    """A file that is there whole and durable, or not at all. Raises FileExistsError; what exists is durable then."""
    temporary = path.with_name(f".{path.name}.new")
    # Never opened: after a crash between link and unlink it is another name of the file that must not change.
    temporary.unlink(missing_ok=True)
    if path.exists():
        sync_folder(path.parent)
        raise FileExistsError(errno.EEXIST, "exists already", str(path))
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.link(temporary, path)
    finally:
        temporary.unlink()
    sync_folder(path.parent)


@contextmanager
def prepared(path: Path, data: bytes, mode: int) -> Iterator[None]:
    """A new file, durable under another name before the block, under its own after it; gone where the block raises."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    temporary.unlink(missing_ok=True)
    write_new(temporary, data, mode)
    try:
        yield
        os.link(temporary, path)
    finally:
        temporary.unlink()
    sync_folder(path.parent)


@contextmanager
def one_at_a_time(folder: Path, *, wait: bool = True) -> Iterator[None]:
    """Alone in `folder`, among those who ask. Raises BlockingIOError instead of waiting, if asked to."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(handle)


def replace_whole(path: Path, data: bytes, mode: int, gid: int | None = None, uid: int | None = None) -> None:
    """`path` holds the old or the new, whole. Raises OSError: then it is the old, and nothing lies beside it."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(handle, "wb") as stream:
            os.fchmod(stream.fileno(), mode)
            if gid is not None or uid is not None:
                os.fchown(stream.fileno(), -1 if uid is None else uid, -1 if gid is None else gid)
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


class VaultFolder:
    """Reading needs no key; what the recorder needs to write is in `Writer`."""

    def __init__(self, root: Path, mirror: Path) -> None:
        """`mirror`: the second medium, which has the slots' copy, and the bodies that have left the first."""
        self.root = root
        self.slots = Slots(root / "keys.slots", mirror / "keys.slots")
        self.second: Second = Folder(mirror / "segments", self.slots.mirror)

    def folder(self, recording: str) -> Path:
        """Where the segments of `recording` lie."""
        return self.root / "segments" / recording[:2]

    def manifest_path(self, recording: str, number: int) -> Path:
        """The manifest of one segment."""
        return self.folder(recording) / f"{segment_name(recording, number)}.manifest"

    def body_path(self, recording: str, number: int) -> Path:
        """Where the body of a segment lies on the first medium, until it moves."""
        return self.folder(recording) / body_name(recording, number)

    def where(self, recording: str, number: int) -> str:
        """Where the body of a segment lies, for people; where it is to lie first, if it is nowhere."""
        path = self.body_path(recording, number)
        return self.second.where(path.name) if not path.exists() and self.second.has(path.name) else str(path)

    def open_body(self, recording: str, number: int) -> BufferedReader:
        """The body of a segment, wherever it lies. Raises OSError."""
        path = self.body_path(recording, number)
        try:
            return path.open("rb")
        except FileNotFoundError:
            # It is there before it is gone here.
            try:
                return self.second.open(path.name)
            except FileNotFoundError:
                raise FileNotFoundError(errno.ENOENT, "lies on neither medium", str(path)) from None

    def manifests(self) -> Iterator[Path]:
        """Every manifest in the vault, in the order of names."""
        for folder in sorted((self.root / "segments").iterdir()):
            yield from sorted(path for path in folder.iterdir() if _MANIFEST.match(path.name))

    def manifests_of(self, recording: str) -> list[Path]:
        """The manifests of `recording`, first segment first."""
        folder = self.folder(recording)
        # By hand: a pattern costs five times as much, and a folder holds thousands in a year.
        begin = f"{recording}."
        try:
            found = os.listdir(folder)  # noqa: PTH208  # names, and no objects
            names = [name for name in found if name.startswith(begin) and name.endswith(".manifest")]
        except FileNotFoundError:
            return []
        return [folder / name for name in sorted(names, key=lambda name: int(name.split(".")[1]))]

    def unfinished(self) -> list[str]:
        """The names of bodies without a manifest, or with tails beside it: being written, or left so by a crash."""
        found = []
        for folder in sorted((self.root / "segments").iterdir()):
            names = {path.name for path in folder.iterdir()}
            stems = sorted(name.removesuffix(".agebody") for name in names if name.endswith(".agebody"))
            found += [
                stem
                for stem in stems
                if is_segment_name(stem)
                and (f"{stem}.manifest" not in names or not names.isdisjoint({f"{stem}.tail0", f"{stem}.tail1"}))
            ]
        return found

    def free_number(self, recording: str, number: int = 1) -> int:
        """The first segment number, from `number` on, that no file of `recording` has."""
        # By names, not by listing the folder: in ten years it holds thousands.
        while any(
            (self.folder(recording) / f"{segment_name(recording, number)}.{kind}").exists()
            for kind in ("agebody", "manifest", "tail0", "tail1")
        ):
            number += 1
        return number

    def numbers(self, recording: str) -> set[int]:
        """The segment numbers in use."""
        return {int(path.name.split(".")[1]) for path in self.folder(recording).glob(f"{recording}.*")}

    def waiting(self, outbox: str) -> list[str]:
        """Names of segments that `outbox` has not been told of."""
        return sorted(path.name for path in (self.root / "outbox" / outbox).iterdir())

    def told(self, outbox: str, name: str) -> None:
        """`outbox` knows now."""
        (self.root / "outbox" / outbox / name).unlink(missing_ok=True)


def manifests(vault: VaultFolder, verifiers: Sequence[Verifier], recording: str) -> list[Manifest]:
    """The segments of `recording` in order, signatures checked. Raises ManifestError."""
    found = []
    for path in vault.manifests_of(recording):
        manifest = load(path.read_text("utf-8"), verifiers, str(path))
        if path.name != f"{segment_name(manifest.recording, manifest.segment)}.manifest":
            raise ManifestError(str(path), "recording", f"is that of {manifest.recording}, segment {manifest.segment}")
        if manifest.recording != recording:
            raise ManifestError(str(path), "recording", f"is that of {manifest.recording}, not of {recording}")
        found.append(manifest)
    return found


class Writer:
    """The recorder's side: it can encrypt and sign, and open nothing that is finished."""

    def __init__(self, folder: VaultFolder, *, to: Callable[[], tuple[int, Recipient]], signer: Signer) -> None:
        """`to` gives the current epoch and its recipient; `signer` signs manifests."""
        self.folder, self.to, self.signer = folder, to, signer
        self.mirror_trouble: str | None = None
        self._compared = False

    def new_key(self) -> SegmentKey:
        """A file key whose header is durable: on both media, or on the first where the second is gone.

        Raises OSError where the first refuses.
        """
        file_key, (epoch, recipient) = secrets.token_bytes(16), self.to()
        header = wrap(file_key, [recipient])
        try:
            slot = self.folder.slots.append(header)
        except OSError as error:
            slot = self.folder.slots.append_alone(header)
            self.mirror_trouble = str(error)
        if (now := self.to()) != (epoch, recipient):
            # The keys were changed meanwhile; who seals every header anew may have looked before there was this one.
            epoch, recipient = now
            header = wrap(file_key, [recipient])
            try:
                self.folder.slots.rewrite(slot, header)
            except (OSError, SlotError) as error:
                slot = self.folder.slots.append_alone(header)
                self.mirror_trouble = str(error)
        return SegmentKey(slot=slot, epoch=epoch, key_id=recipient.key_id, file_key=file_key)

    def mend_mirror(self) -> int:
        """Make the two media alike, if the second is back; how many slots were not. Raises OSError, SlotError.

        The first time it looks in any case: a predecessor may have been without it. Left as they are: slots that are
        whole on neither medium or differ, and a lost primary, for `verify` to name.
        """
        slots, trouble = self.folder.slots, self.mirror_trouble
        if (self._compared and trouble is None) or not (slots.primary.exists() and slots.mirror.exists()):
            return 0
        findings = slots.check()
        found = Counter(finding.slot for finding in findings)
        # Two findings: neither copy is whole. Those that are whole and differ are for who holds the keys: one of the
        # media may come from before the keys were changed. Where one is erased, so is the other.
        differ = {finding.slot for finding in findings if finding.what == "differ" and slots.copies(finding.slot)}
        unlike = [slot for slot, count in found.items() if count == 1 and slot not in differ]
        for slot in unlike:
            slots.repair(slot)
        self._compared = True
        if self.mirror_trouble is trouble:  # and not a new one, met by a call that began meanwhile
            self.mirror_trouble = None
        return len(unlike)

    def prepare(self, recording: str) -> Path:
        """The folder of `recording`, made if need be."""
        folder = self.folder.folder(recording)
        folder.mkdir(mode=0o750, exist_ok=True)  # setgid comes from the folder above
        return folder

    def finish(self, manifest: Manifest) -> str:
        """Write the manifest, durable, after noting who is to be told; returns the segment's name."""
        name = segment_name(manifest.recording, manifest.segment)
        for outbox in OUTBOXES:
            (self.folder.root / "outbox" / outbox / name).touch(mode=0o660)
        # Else the power could take the note and leave the manifest; the catalogue can be made anew, the log cannot.
        sync_folder(self.folder.root / "outbox" / "log")
        # Until now the recorder's alone; from here on the desk may read it.
        (self.folder.folder(manifest.recording) / f"{name}.agebody").chmod(0o640)
        path = self.folder.manifest_path(manifest.recording, manifest.segment)
        write_new(path, dump(manifest, self.signer).encode(), 0o640)
        return name
