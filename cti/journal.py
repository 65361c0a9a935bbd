"""What the recorder tells others: the access log (its own, SQLite beside it) and the list of calls.

Neither may hold up or lose a recording: what cannot be told now stays in the vault's outbox and is told later.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import structlog

from cti.callbook import CallRecord
from recorder import callfile
from recorder.access.checkpoint import write_checkpoint
from recorder.access.errors import AccessError
from recorder.access.log import AccessLog
from recorder.priority import stand_back
from recorder.take import Take
from recorder.vault.folder import CALLS, VaultFolder, is_segment_name, split_name
from recorder.vault.manifest import Manifest, digest
from recorder.vault.note import Signer

log = structlog.get_logger()
ACTOR = "recorder"


class Journal:
    """Implements what the sealer tells (`Told`) and where call records go (`CallBook`)."""

    def __init__(self, access: Callable[[], AccessLog], vault: VaultFolder, now: Callable[[], datetime]) -> None:
        """`access` opens the log; it is asked again when it could not."""
        self._open, self._vault, self._now = access, vault, now
        self._log: AccessLog | None = None
        self._lock = threading.Lock()
        # One thread: lines of one file must not mix.
        self._unwritten: list[CallRecord] = []
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="calls", initializer=stand_back)

    def append(self, action: str, about: str, detail: dict[str, object]) -> bool:
        """One entry; False where the log cannot be written now."""
        try:
            with self._lock:
                self._log = self._log or self._open()
            self._log.append(ts=self._now(), actor=ACTOR, action=action, object=about, detail=detail)
        except AccessError as error:
            log.error("access log refuses", error=str(error), action=action)
            return False
        return True

    def sealed(self, name: str, manifest: Manifest) -> None:
        """A segment is finished: its manifest's hash goes into the log."""
        self.tell(name)
        log.info("sealed", segment=name, seconds=round(manifest.frames / manifest.rate, 2), state=manifest.state)

    def tell(self, name: str) -> None:
        """Log the manifest of segment `name`, if the outbox still says so."""
        if not is_segment_name(name):
            log.error("no segment's name in the outbox", name=name)
            return
        path = self._vault.manifest_path(*split_name(name))
        if not path.exists():
            # A mark without a manifest: the process died between the two; the segment will be finished again.
            return
        if self.append("segment.sealed", name, {"manifest_sha256": digest(path.read_text("utf-8"))}):
            self._vault.told("log", name)

    def catch_up(self) -> None:
        """Tell what a predecessor, or a log or a disk that was down, left untold."""
        waiting, self._unwritten = self._unwritten, []
        for record in waiting:
            self.write(record)
        for name in self._vault.waiting("log"):
            self.tell(name)

    def discarded(self, take: Take, reason: str, samples: int) -> None:
        """Sound that the rules do not keep was dropped; nothing of it but this line remains."""
        if samples:
            detail = {"conversation": take.order.conversation, "reason": reason, "seconds": samples / take.rate}
            self.append("sound.discarded", take.id, detail)

    def write(self, record: CallRecord) -> None:
        """One line in the file of the day on which the call arrived; synced in a thread, never on the event loop."""
        self._writing.submit(self._write, record)

    def unheard(self, pbx: str, since: datetime, until: datetime, reason: str) -> None:
        """A gap is known: an entry of its own in the access log. What the dialplan recorded in it was taken in."""
        detail: dict[str, object] = {"from": since.isoformat(), "until": until.isoformat(), "reason": reason}
        self._writing.submit(self.append, "pbx.unheard", pbx, detail)

    def close(self) -> None:
        """Wait until every call record is on the disk."""
        self._writing.shutdown()

    def _write(self, record: CallRecord) -> None:
        at = record.arrived or record.ended or self._now()
        values = {
            name: value.isoformat() if isinstance(value, datetime) else value for name, value in asdict(record).items()
        }
        try:
            callfile.append(self._vault.root / CALLS / f"{at:%Y-%m-%d}.jsonl", values)
        except OSError as error:
            # Tried again with everything else that could not be told.
            self._unwritten.append(record)
            log.error("call record waits", error=str(error), conversation=record.conversation)

    def checkpoint(self, folder: Path, signer: Signer) -> None:
        """Sign the log's state onto the second medium, where it has grown."""
        try:
            with self._lock:
                self._log = self._log or self._open()
            write_checkpoint(self._log, folder, signer, signer.name, self._now())
        except AccessError as error:
            log.error("no checkpoint", error=str(error))
