"""The desk: everything that staff do with recordings, behind one object. No log line, no audio.

A play, an export: manifests checked -> intent in the access log, durable -> first byte -> result in the log.
"""

import asyncio
import errno
import io
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from copy import copy
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

import structlog
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from cti import statement
from cti.answering import answering, rang
from cti.cases import proof as proof_of_cases
from cti.completeness import LONGEST, Account, Lack, Mismatch, account
from cti.completeness import Kept as Piece
from cti.control import READING_SECONDS
from cti.errors import LogUnavailableError, NotFoundError, NotRunningError, UsageError
from cti.explain import explain
from cti.i18n import _
from cti.intake import Intake, IntakeBook, Kept
from cti.purpose import Purpose
from cti.records import Day, WitnessError, load_day
from cti.steps import at_of
from policies.calendar import midnight
from recorder import callfile, export
from recorder.access import checkpoint, proof
from recorder.access.audit import Report
from recorder.access.checkpoint import Checkpoint
from recorder.access.entry import Entry
from recorder.access.errors import AccessError, CheckpointError
from recorder.access.log import AccessLog
from recorder.catalogue import Catalogue, Place
from recorder.catalogue import row as catalogue_row
from recorder.replay import Part, Player, layout, side, wav_head
from recorder.vault.age import Recipient
from recorder.vault.errors import VaultError
from recorder.vault.folder import (
    CALLS,
    KEPT,
    STATEMENTS,
    STEPS,
    VaultFolder,
    manifests,
    one_at_a_time,
    prepared,
    split_name,
)
from recorder.vault.keys import Keys, load_recipients, load_signer, load_verifier
from recorder.vault.manifest import Manifest, ManifestError, digest, load
from recorder.verify import Finding, Verifying
from recorder.wanted import Wanted

log = structlog.get_logger()
Progress = Callable[[int], None]
Ask = Callable[[Mapping[str, Any], float], Awaitable[dict[str, Any]]]
DAMAGED = "is being written, and is not as it was written"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sound:
    """A recording opened to be heard: its parts, and what was asked for, in samples."""

    recording: str
    parts: list[Part]
    rate: int
    start: int
    end: int

    @property
    def seconds(self) -> float:
        """Of what was asked for."""
        return (self.end - self.start) / self.rate

    @property
    def epochs(self) -> set[int]:
        """Of the keys that the recording needs."""
        return {part.manifest.epoch for part in self.parts}

    @property
    def gaps(self) -> list[tuple[float, float]]:
        """(where, how long) something is missing of the whole recording, seconds."""
        return [(part.start / self.rate, part.gap) for part in self.parts if part.gap]


class Desk:
    """One actor's desk. Methods that give sound take the keys that the actor holds."""

    def __init__(
        self,
        *,
        vault: VaultFolder,
        keys: Path,
        access: Callable[[], AccessLog],
        checkpoints: Path,
        catalogue: Catalogue,
        now: Callable[[], datetime],
        actor: str,
        intake: IntakeBook,
        ask: Ask | None = None,
    ) -> None:
        """Built by `cti.app`. `ask` puts a question to the recorder, with a deadline in seconds."""
        self._ask = ask
        self.intake = intake
        self.vault, self.keys, self.checkpoints = vault, keys, checkpoints
        self.catalogue, self.now, self.actor = catalogue, now, actor
        self._open_log = access
        # Whether somebody else keeps the catalogue, every second: then nobody who asks waits for it.
        self.kept_up = False
        self._verifiers = [load_verifier(keys / "recorder.pub")]

    def by(self, actor: str) -> "Desk":
        """The same desk, for somebody else."""
        other = copy(self)
        other.actor = actor
        return other

    async def close(self) -> None:
        """Let go of the database."""
        await self.catalogue.engine.dispose()

    # --- the catalogue ----------------------------------------------------------------------------------------------

    async def catch_up(self) -> int:
        """Take finished segments and calls into the catalogue; how many were new."""
        names = self.vault.waiting("index")
        found = [(name, self.vault.manifest_path(*split_name(name))) for name in names]
        rows = [row for _, path in found if path.exists() and (row := self._row(path)) is not None]
        await self.catalogue.put(rows)
        for row in rows:
            self.vault.told("index", row["name"])
        await self._read_calls()
        await self.read_steps()
        return len(rows)

    async def _caught_up(self) -> None:
        if not self.kept_up:
            await self.catch_up()

    async def rebuild(self, progress: Progress) -> int:
        """Make the catalogue anew from the vault folder alone; how many segments it holds."""
        await self.catalogue.clear()
        await self.intake.clear()
        count, gone = 0, list[str]()
        for path in self.vault.manifests():
            if (row := self._row(path)) is not None:
                await self.catalogue.put([row])
                body = self.vault.body_path(row["recording"], row["segment"])
                if not body.exists() and self.vault.second.has(body.name):  # what is nowhere stays due, and is named
                    gone.append(row["recording"])
                count += 1
            progress(1)
        await self.catalogue.moved(Counter(gone))
        await self._read_calls()
        await self.read_steps()
        return count

    def _row(self, path: Path) -> dict[str, Any] | None:
        """None for a manifest that cannot be used: it must not hide the others; `kikitori verify` names it."""
        try:
            found, text = self._manifest(path)
        except ManifestError as error:
            log.error("manifest not in the catalogue", error=str(error))
            return None
        return catalogue_row(path.name.removesuffix(".manifest"), found, digest(text))

    def _manifest(self, path: Path) -> tuple[Manifest, str]:
        """What is signed in `path`, and the text of it. Raises ManifestError, OSError."""
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError as error:
            raise ManifestError(str(path), "", "is no text") from error
        found = load(text, self._verifiers, str(path))
        if path != self.vault.manifest_path(found.recording, found.segment):
            raise ManifestError(str(path), "recording", f"is that of {found.recording}, under another name")
        return found, text

    async def _read_calls(self) -> None:
        known = await self.catalogue.read_until()
        for path in sorted((self.vault.root / CALLS).glob("*.jsonl")):
            lines, read = _new_lines(path, known.get(path.name, 0))
            if lines:
                rows = [row for line in lines if (row := _call(line, path)) is not None]
                await self.catalogue.put_calls(rows, path.name, read)

    async def read_steps(self) -> None:
        """What the recorder copied of what Asterisk wrote down of callers."""
        known = await self.intake.read_until()
        for path in sorted((self.vault.root / STEPS).glob("*.jsonl")):
            lines, read = _new_lines(path, known.get(path.name, 0))
            if lines:
                found = [step for line in lines if (step := _step(line, path)) is not None]
                await self._unless_taken(self.intake.take(found, path.name, read), path)
        for path in sorted((self.vault.root / KEPT).glob("*.jsonl")):
            name = f"{KEPT}/{path.name}"
            lines, read = _new_lines(path, known.get(name, 0))
            if lines:
                done = [row for line in lines if (row := _kept(line, path)) is not None]
                await self._unless_taken(self.intake.keep(done, name, read), path)

    @staticmethod
    async def _unless_taken(work: Awaitable[Any], path: Path) -> None:
        try:
            await work
        except IntegrityError:
            log.info("lines were taken by another process meanwhile", file=str(path))

    async def keep(self, row: Intake, by: str, note: str) -> Intake:
        """Somebody has handed `row` over or called back. Raises UsageError, LogUnavailableError, OSError."""
        if row.done_at is not None:
            raise UsageError(_("intake {id} was done before").format(id=row.id[:8]))
        done = Kept(id=row.id, at=self.now(), by=by, note=note)
        self.log("intake.done", row.id, {"by": by})
        callfile.append(self.vault.root / KEPT / f"{done.at:%Y-%m-%d}.jsonl", done.line())
        await self.read_steps()
        return (await self.intake.beginning(row.id))[0]

    async def why(self, call: str) -> list[dict[str, Any]]:
        """What was done with one call, step by step. `call`: its conversation, its channel or its recording, or the
        beginning of one of them. Raises NotFoundError.
        """
        await self._caught_up()
        if not call:
            raise NotFoundError(
                _("no call {text!r}; `kikitori calls list --json` shows what there is").format(text=call)
            )
        found = await self.intake.steps_of(call)
        if not found:
            names = await self.catalogue.conversations_of(call.lower())
            found = [step for name in names for step in await self.intake.steps_of(name)]
        calls = {step["uniqueid"] for step in found}
        if len(calls) > 1:
            raise NotFoundError(
                _("{text!r} begins the names of {count} calls: give more of it").format(text=call, count=len(calls))
            )
        if not found:
            raise NotFoundError(
                _("no call {text!r}; `kikitori calls list --json` shows what there is").format(text=call)
            )
        return found

    async def recordings(
        self, wanted: Wanted, *, limit: int | None = None, after: Place | None = None
    ) -> list[dict[str, Any]]:
        """Recordings, newest first. What was looked for, but not whom, is in the access log."""
        await self._caught_up()
        found = await self.catalogue.recordings(wanted, limit=limit, after=after)
        said = {"by": wanted.by, "found": len(found)}
        await asyncio.to_thread(self.log, "recordings.searched", self.catalogue.pbx, said)
        return found

    async def calls(self) -> list[dict[str, Any]]:
        """Call records, newest first, each with how soon it was answered."""
        await self._caught_up()
        rings = {name: rang(step) for name, step in (await self.intake.first_rings()).items()}
        found = await self.catalogue.call_list()
        return [call | answering(call, rings.get(call["conversation"])) for call in found]

    async def show(self, recording: str) -> dict[str, Any]:
        """One recording with its segments, gaps and marks; the log has who looked. Raises NotFoundError."""
        identity = await self.find(recording)
        parts = layout(manifests(self.vault, self._verifiers, identity))
        found = (await self.catalogue.recordings(Wanted(recording=identity)))[0]
        await asyncio.to_thread(self.log, "recordings.shown", identity, {})
        return found | {
            "parts": [
                asdict(part.manifest) | {"starts_at": part.start / part.manifest.rate, "gap": part.gap}
                for part in parts
            ]
        }

    async def find(self, text: str) -> str:
        """The recording whose id begins with `text`. Raises NotFoundError."""
        await self._caught_up()
        matching = await self.catalogue.beginning(text.lower())
        if text and len(matching) == 1:
            return matching[0]
        if matching:
            raise NotFoundError(
                _("{text!r} begins {count} ids: give more of it").format(text=text, count=len(matching))
            )
        raise NotFoundError(
            _("no recording {text!r}; `kikitori recordings list` shows what there is").format(text=text)
        )

    async def knows_call(self, recording: str) -> bool:
        """Whether the list of calls has the one that `recording` is of."""
        await self._caught_up()
        return await self.catalogue.has_call(recording)

    def slots_in_use(self) -> set[int]:
        """The slots of finished segments, by the manifests themselves: the catalogue may be lost, or behind."""
        found = set()
        for path in self.vault.manifests():
            try:
                found.add(load(path.read_text("utf-8"), self._verifiers, str(path)).slot)
            except (ManifestError, OSError, UnicodeDecodeError) as error:
                log.error("manifest cannot be read", error=str(error))
        return found

    def sealed_before(self, names: Collection[str]) -> set[str]:
        """Those of `names` whose manifest is in the access log. Raises LogUnavailableError."""
        try:
            with self._open_log() as access:
                return {entry.object for entry in access.find(action="segment.sealed") if entry.object in names}
        except AccessError as error:
            raise LogUnavailableError(explain(error)) from error

    # --- completeness -----------------------------------------------------------------------------------------------

    async def completeness(self, day: date) -> tuple[Account, Day]:
        """Asterisk's own records of `day` against the vault. Raises WitnessError, NotRunningError, UsageError."""
        if midnight(day) > self.now():
            raise UsageError(_("{day} has not begun").format(day=day.isoformat()))
        try:
            answer = await self.ask({"ask": "witness", "day": day.isoformat()}, READING_SECONDS)
        except (OSError, TimeoutError) as error:
            raise NotRunningError(
                _(
                    "the recorder, which reads what Asterisk writes, does not answer ({error}): start the service"
                ).format(error=explain(error))
            ) from error
        if "file" not in answer:
            raise WitnessError(str(answer.get("problem") or answer.get("error")))
        witness = load_day(Path(answer["file"]))
        await self.catch_up()
        first, last = midnight(day), midnight(day + timedelta(days=1))
        names = await self.catalogue.begun_between(first - LONGEST, last + LONGEST)
        kept = [piece for name in names if (piece := self._kept_piece(name)) is not None]
        unknown = []
        begun, reached = await self.catalogue.first_begin(), min(witness.first, last)
        if reached > first and begun is not None and begun < reached - LONGEST:
            # Not the first day of this installation: what was written before that is gone.
            unknown.append(Mismatch(lack=Lack.UNKNOWN, start=first, end=reached, linkedid="",
                                    reason="Asterisk's records do not reach so far back"))  # fmt: skip
        if not witness.cdr:
            unknown.append(Mismatch(lack=Lack.UNKNOWN, start=first, end=last, linkedid="", reason="there is no CDR"))
        found = account(
            day, witness.talks, kept, witness.billed, now=self.now(), unknown=unknown, follow=bool(answer.get("follow"))
        )
        return found, witness

    def _kept_piece(self, name: str) -> Piece | None:
        """None where manifest or body cannot be used: then that is not kept."""
        path = self.vault.manifest_path(*split_name(name))
        try:
            found, _text = self._manifest(path)
            with self.vault.open_body(found.recording, found.segment) as body:
                size = body.seek(0, io.SEEK_END)
            if size != found.body_size:
                raise ManifestError(str(path), "body_size", "the body is of another size")  # noqa: TRY301  # as the others
        except (ManifestError, OSError) as error:
            log.error("a segment does not count as kept", segment=name, error=str(error))
            return None
        return Piece(
            recording=found.recording,
            start=found.start,
            end=found.start + timedelta(seconds=found.frames / found.rate),
            channel=found.uniqueid,
            linkedid=found.linkedid,
            note="" if found.state == "sealed" else ": ".join(filter(None, (found.state, found.reason))),
        )

    def installed(self, after: timedelta) -> datetime | None:
        """So long after the access log was begun; None while it is empty. Raises LogUnavailableError."""
        try:
            with self._open_log() as access:
                first = next(access.entries(), None)
        except AccessError as error:
            raise LogUnavailableError(explain(error)) from error
        return first.ts + after if first is not None else None

    def stated(self, day: date) -> list[Path]:
        """The statements of `day`, in their order."""
        return sorted((self.vault.root / STATEMENTS).glob(f"{day.isoformat()}*.note"), key=statement.number_of)

    async def state_completeness(self, day: date) -> tuple[Path, int]:
        """Issue the statement of `day`: where it lies, and how many exceptions are in it.

        Its hash is in the access log. One that says what the last one said is not issued again. Raises UsageError for
        a day that is not over, WitnessError, NotRunningError, LogUnavailableError.
        """
        now = self.now()
        if now < midnight(day + timedelta(days=1)):
            raise UsageError(_("{day} is not over yet: a statement is of a whole day").format(day=day.isoformat()))
        found, witness = await self.completeness(day)
        stated = statement.values(found, witness, self.catalogue.pbx)
        folder = self.vault.root / STATEMENTS
        with one_at_a_time(folder):
            before = self.stated(day)
            if before and statement.same(stated, self.read_statement(before[-1])):
                return before[-1], len(found.exceptions)
            number = max((statement.number_of(path) for path in before), default=0) + 1
            text = statement.dump(stated, now, load_signer(self.keys / "log.key"))
            detail = {"sha256": sha256(text.encode()).hexdigest(), "conversations": found.conversations}
            path = folder / statement.name_of(day, number)
            # On the disk before it is in the log, under its name only then.
            with prepared(path, text.encode(), 0o640):
                self.log("completeness.statement", path.stem, detail | {"exceptions": len(found.exceptions)})
        return path, len(found.exceptions)

    def read_statement(self, path: Path) -> dict[str, Any]:
        """One of ours. Raises StatementError."""
        return statement.load(path.read_text("utf-8"), [load_verifier(self.keys / "log.pub")], str(path))

    # --- sound ------------------------------------------------------------------------------------------------------

    def open(self, recording: str, start: float, end: float | None) -> Sound:
        """Check the manifests of `recording`, cut out seconds `start` to `end`. Raises NotFoundError, UsageError."""
        segments = manifests(self.vault, self._verifiers, recording)
        if not segments:
            raise NotFoundError(_("no recording {text!r} in the vault").format(text=recording))
        parts = layout(segments)
        rate, whole = segments[0].rate, export.total(parts)
        first = round(start * rate)
        last = whole if end is None else min(round(end * rate), whole)
        if not 0 <= first < last:
            raise UsageError(
                _("the recording lasts {seconds:.1f} s: --from {start:g} lies behind its end or --to").format(
                    seconds=whole / rate, start=start
                )
            )
        return Sound(recording=recording, parts=parts, rate=rate, start=first, end=last)

    def play(self, sound: Sound, keys: Keys, purpose: Purpose, which: str) -> Iterator[bytes]:
        """WAV bytes of `sound`; `which` is both, left or right. The log has the intent before the first of them."""
        detail = {
            "purpose": purpose.value,
            "side": which,
            "from": sound.start / sound.rate,
            "to": sound.end / sound.rate,
        }
        with self._logged("play", sound, detail) as sent:
            player = self.player(keys, sound)
            yield wav_head(sound.end - sound.start, sound.rate, 2 if which == "both" else 1)
            for block in player.joined(sound.parts, sound.start, sound.end):
                # Before the block is out: who stops in its middle has heard of it.
                sent(len(block) // 4)
                yield side(block, which)

    def export(
        self,
        sound: Sound,
        keys: Keys,
        purpose: Purpose,
        *,
        kind: str,
        recipient: Recipient | None,
        out: BinaryIO,
        progress: Progress,
    ) -> None:
        """Write a whole recording as `age` (to `recipient`), `flac` or `wav`; intent before, result after.

        Raises UsageError, VaultError, AccessError, LogUnavailableError.
        """
        if purpose is Purpose.DISCLOSURE:
            raise UsageError(_("for disclosure a recording is played, at a registered terminal (8条)"))
        detail: dict[str, Any] = {"purpose": purpose.value, "format": kind}
        if recipient is not None:
            detail["recipient"] = str(recipient)
        with self._logged("export", sound, detail) as sent:

            def moved(samples: int) -> None:
                sent(samples)
                progress(samples)

            self.write(sound, keys, kind, recipient, out, moved)

    def write(
        self, sound: Sound, keys: Keys, kind: str, recipient: Recipient | None, out: BinaryIO, moved: Progress
    ) -> None:
        """The file of an export, of which the log has the intent. `moved` is told of samples."""
        player = self.player(keys, sound)
        if kind == "age":
            if recipient is None:
                raise UsageError(_("--format age needs --recipient age1...: whom the file is for"))
            if len(sound.parts) == 1:
                export.age_file(player, sound.parts[0], recipient, out)
            else:
                export.age_archive(player, sound.parts, recipient, export.how_to_join(sound.parts), out)
            moved(export.total(sound.parts))
        elif kind == "flac":
            export.flac_file(player, sound.parts, out, moved)
        else:
            export.wav_file(player, sound.parts, out, moved)

    def player(self, keys: Keys, sound: Sound) -> Player:
        """What opens `sound`: its keys are asked for now. Raises VaultError, AccessError."""
        for epoch in sound.epochs:
            keys(epoch)
        return Player(self.vault, keys)

    def intent(self, action: str, sound: Sound, detail: Mapping[str, Any]) -> str:
        """The line before the first byte; its `act`, which `result` needs. Raises LogUnavailableError."""
        act = str(uuid4())
        self.log(f"{action}.intent", sound.recording, {**detail, "act": act})
        return act

    def result(self, action: str, sound: Sound, act: str, outcome: str, detail: Mapping[str, Any]) -> None:
        """The line after the last; an intent without one was interrupted. Raises LogUnavailableError."""
        self.log(f"{action}.result", sound.recording, {**detail, "act": act, "outcome": outcome})

    @contextmanager
    def _logged(self, action: str, sound: Sound, detail: dict[str, Any]) -> Iterator[Progress]:
        sent = 0

        def count(samples: int) -> None:
            nonlocal sent
            sent += samples

        act = self.intent(action, sound, detail)
        outcome = "interrupted"
        try:
            yield count
            outcome = "done"
        except Exception as error:
            outcome = f"failed: {type(error).__name__}"
            raise
        finally:
            self.result(action, sound, act, outcome, {"seconds": sent / sound.rate})

    def logged_of(self, about: str, actions: Sequence[str]) -> list[Entry]:
        """What the access log has of these actions on one object, in order. Raises LogUnavailableError."""
        try:
            with self._open_log() as access:
                return list(access.find(object=about, action=actions))
        except AccessError as error:
            raise LogUnavailableError(explain(error)) from error

    def ever(self, action: str) -> bool:
        """Whether the access log has it of anything. Raises LogUnavailableError."""
        try:
            with self._open_log() as access:
                return access.ever(action)
        except AccessError as error:
            raise LogUnavailableError(explain(error)) from error

    def last_of(self, about: str, actions: Sequence[str]) -> Entry | None:
        """The newest of these actions on one object. Raises LogUnavailableError."""
        try:
            with self._open_log() as access:
                return access.last(object=about, action=actions)
        except AccessError as error:
            raise LogUnavailableError(explain(error)) from error

    def log(self, action: str, about: str, detail: Mapping[str, Any], actor: str | None = None) -> Entry:
        """One durable entry, of this desk's actor or another. Raises LogUnavailableError."""
        who = actor or self.actor
        try:
            with self._open_log() as access:
                entry = access.append(ts=self.now(), actor=who, action=action, object=about, detail=detail)
                self._checkpoint(access)
        except AccessError as error:
            raise LogUnavailableError(
                _("{error}. Nothing is played while the access log cannot be written").format(error=explain(error))
            ) from error
        return entry

    def _checkpoint(self, access: AccessLog) -> None:
        """Sign the log's state onto the second medium; the entry itself is durable whether or not that is there."""
        signer = load_signer(self.keys / "log.key")
        if error := checkpoint.try_checkpoint(access, self.checkpoints, signer, self.now()):
            log.warning("no checkpoint", error=str(error))

    # --- proof ------------------------------------------------------------------------------------------------------

    def audit(self, start: int = 0, *, about: str | None = None, action: str | None = None) -> Iterator[Entry]:
        """The access log's entries from number `start`, all or those on one object or of one action."""
        with self._open_log() as access:
            yield from access.find(object=about, action=action, start=start)

    def verify_log(self) -> tuple[Report, tuple[str, ...]]:
        """The log against itself, and against its checkpoints on the second medium."""
        with self._open_log() as access:
            return access.verify(), checkpoint.verify(access, self.checkpoints, load_verifier(self.keys / "log.pub"))

    def signed_state(self) -> Checkpoint:
        """The log's present state, signed and on the second medium. Raises CheckpointError, LogUnavailableError."""
        signer = load_signer(self.keys / "log.key")
        with self._open_log() as access:
            checkpoint.write_checkpoint(access, self.checkpoints, signer, signer.name, self.now())
        found = checkpoint.newest(self.checkpoints, signer.verifier, self.now())
        if found is None:
            raise CheckpointError(f"{self.checkpoints}: there is none, and the log has no entry")
        return found

    def proofs(self, wanted: Collection[int], about: str | None) -> tuple[list[proof.Proof], Checkpoint]:
        """Proof of each entry of `wanted`, or of all that are about one object; that it was made is in the log first.

        Raises NotFoundError, CheckpointError, LogUnavailableError.
        """
        said = {"object": about} if about else {"entries": sorted(wanted)[:1000]}
        self.log("log.extracted", self.catalogue.pbx, said)
        newest = self.signed_state()
        with self._open_log() as access:
            tree = proof.tree_of(access)
            every = access.find(object=about) if about else self._entries(access, wanted)
            found = [entry for entry in every if entry.seq < newest.size]
            if not found:
                raise NotFoundError(_("the access log has no such entry"))
            return list(proof.inclusion(tree, found, newest)), newest

    @staticmethod
    def _entries(access: AccessLog, wanted: Collection[int]) -> Iterator[Entry]:
        for seq in sorted(set(wanted)):
            entry = next(access.entries(seq), None)
            if entry is None or entry.seq != seq:
                raise NotFoundError(_("the access log has no entry {number}").format(number=seq))
            yield entry

    def continues(self, old: str, where: str) -> tuple[str, Checkpoint]:
        """Proof that the log of now begins with that of the checkpoint `old`. Raises CheckpointError."""
        newest = self.signed_state()
        before = checkpoint.read_note(old, load_verifier(self.keys / "log.pub"), where)
        with self._open_log() as access:
            return proof.consistency(proof.tree_of(access), before, newest), newest

    async def verify(self, recording: str | None, keys: Keys | None, progress: Progress) -> AsyncIterator[Finding]:
        """One recording, or everything: slots, headers, bodies, manifests, log, checkpoints, catalogue, cases."""
        checks = Verifying(self.vault, self._verifiers, keys)
        paths = self.vault.manifests_of(recording) if recording else list(self.vault.manifests())
        for path in paths:
            for finding in checks.segment(path):
                yield finding
            progress(1)
        if recording:
            return
        for finding in (
            *self._verify_keys(),
            *checks.slots(),
            *checks.strays(await self.unfinished()),
            *checks.second(),
            *await self._verify_open(),
            *checks.lines(),
            *self._verify_rest(checks),
        ):
            yield finding
        try:
            await self.catch_up()
            rows = await self.catalogue.segments()
        except (SQLAlchemyError, ValueError) as error:
            yield Finding(what="catalogue", problem=f"cannot be read ({error}); `kikitori catalogue rebuild`")
            return
        for finding in checks.index(rows):
            yield finding
        async for finding in self._verify_cases():
            yield finding

    async def _verify_cases(self) -> AsyncIterator[Finding]:
        """The acts of the cases against the access log."""
        try:
            with self._open_log() as access:
                entries = access.find(action=proof_of_cases.LOGGED)
                async for finding in proof_of_cases.findings(self.catalogue.engine, self.catalogue.pbx, entries):
                    yield finding
        except (AccessError, SQLAlchemyError, KeyError, TypeError, ValueError) as error:
            yield Finding(what="cases", problem=f"cannot be compared with the access log: {error}")

    def _verify_keys(self) -> Iterator[Finding]:
        try:
            load_recipients(self.keys)
        except VaultError as error:
            yield Finding(what=str(self.keys / "recipients.note"), problem=str(error))

    async def ask(self, question: Mapping[str, Any], deadline: float = 2.0) -> dict[str, Any]:
        """What the recorder answers. Raises OSError where there is none, TimeoutError after `deadline` seconds."""
        if self._ask is None:
            raise ConnectionRefusedError(errno.ECONNREFUSED, "no recorder")
        return await self._ask(question, deadline)

    async def open_now(self) -> set[str]:
        """The segments that are being written: a recorder that does not run writes none."""
        try:
            return set((await self.ask({"ask": "status"}))["open"])
        except (OSError, TimeoutError):
            return set()

    async def unfinished(self) -> list[str]:
        """The segments without an end that nobody is writing."""
        # Listed before it is asked who writes: one that is begun in between is not taken for a dead one.
        found = self.vault.unfinished()
        writing = await self.open_now()
        return [name for name in found if name not in writing]

    async def _verify_open(self) -> list[Finding]:
        """The files of open segments: only the recorder knows what it wrote into them."""
        try:
            damaged = (await self.ask({"ask": "damaged"}, READING_SECONDS))["damaged"]
        except (TimeoutError, KeyError):
            return [Finding(what="open segments", problem="were not checked: the recorder does not answer")]
        except OSError:
            return []  # nobody writes any
        return [Finding(what=path, problem=DAMAGED) for path in damaged]

    def _verify_statements(self) -> Iterator[Finding]:
        """Each statement that was issued is there, and each that is there was issued."""
        issued: dict[str, str] = {}
        with self._open_log() as access:
            for entry in access.find(action="completeness.statement"):
                issued[entry.object] = str(entry.detail.get("sha256"))
        here = {path.stem: path for path in (self.vault.root / STATEMENTS).glob("*.note")}
        for name in sorted(issued.keys() | here.keys()):
            if name not in here:
                yield Finding(what=f"statement: {name}", problem="was issued, and is not there")
            elif sha256(here[name].read_bytes()).hexdigest() != issued.get(name):
                yield Finding(what=str(here[name]), problem="is not the statement that the access log knows")

    def _verify_rest(self, checks: Verifying) -> Iterator[Finding]:
        try:
            report, problems = self.verify_log()
        except AccessError as error:
            yield Finding(what="access log", problem=str(error))
            return
        for problem in report.problems:
            yield Finding(what="access log", problem=problem)
        for problem in problems:
            yield Finding(what="checkpoints", problem=problem)
        yield from self._verify_statements()
        try:
            with self._open_log() as access:
                sealed: dict[str, set[str]] = {}
                for entry in access.find(action="segment.sealed"):
                    sealed.setdefault(entry.object, set()).add(str(entry.detail.get("manifest_sha256")))
        except AccessError as error:
            yield Finding(what="access log", problem=f"cannot be compared with the vault: {error}")
            return
        yield from checks.logged(sealed)


def _new_lines(path: Path, read: int) -> tuple[list[bytes], int]:
    """The whole lines of `path` behind byte `read`, and how far they reach."""
    if path.stat().st_size <= read:
        return [], read
    with path.open("rb") as file:
        file.seek(read)
        data = file.read()
    whole = data[: data.rfind(b"\n") + 1]
    return whole.splitlines(), read + len(whole)


def _step(line: bytes, path: Path) -> dict[str, Any] | None:
    """A line of a file of steps, None where it is damaged: it must not hide the others."""
    try:
        record = json.loads(line)
        step = {name: record[name] for name in ("key", "conversation", "uniqueid", "at", "what", "values")}
        at_of(step)
        texts = [*(value for name, value in step.items() if name != "values"), *step["values"].values()]
        if not all(isinstance(value, str) for value in texts):
            raise TypeError("a value that is no text")  # noqa: TRY301  # said with the others
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        log.error("line of a file of steps cannot be read", file=str(path), error=str(error))
        return None
    return step


def _kept(line: bytes, path: Path) -> Kept | None:
    """A line of a file of promises kept, None where it is damaged: it must not hide the others."""
    try:
        record = json.loads(line)
        texts = [record[name] for name in ("id", "by", "note")]
        if not all(isinstance(value, str) for value in texts):
            raise TypeError("a value that is no text")  # noqa: TRY301  # said with the others
        at = datetime.fromisoformat(record["at"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        log.error("line of a file of promises kept cannot be read", file=str(path), error=str(error))
        return None
    return Kept(id=texts[0], at=at, by=texts[1], note=texts[2])


def _call(line: bytes, path: Path) -> dict[str, Any] | None:
    """A line of a call file, None where it is damaged: it must not hide the others."""
    kept = ("conversation", "arrived", "answered", "ended", "number", "caller", "disposition", "recording")
    try:
        record = json.loads(line)
        row = {field: record[field] for field in kept}
        for field in ("arrived", "answered", "ended"):
            row[field] = datetime.fromisoformat(row[field]) if row[field] else None
    except (ValueError, KeyError, TypeError) as error:
        log.error("line of a call file cannot be read", file=str(path), error=str(error))
        return None
    return row


@asynccontextmanager
async def closing(desk: Desk) -> AsyncIterator[Desk]:
    """The desk, let go of at the end."""
    try:
        yield desk
    finally:
        await desk.close()
