"""`kikitori recover`: give the recorder back the keys that a power failure took, so that it can end what it had open.

The recorder alone writes into the vault, and holds no private key; whoever is at the desk has the passphrase. So the
desk opens the slots that no finished segment uses, and hands the recorder those file keys and nothing else.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from cti.control import READING_SECONDS
from cti.errors import NotFoundError, NotRunningError
from cti.i18n import _
from recorder.recover import Identified, NoKeyError, NothingThereError, began, give_end, identify
from recorder.session import Recorder
from recorder.take import History
from recorder.vault.age import Identity, unwrap
from recorder.vault.errors import NoIdentityError, VaultError
from recorder.vault.folder import SegmentKey, Writer, is_segment_name, split_name
from recorder.vault.manifest import Manifest

if TYPE_CHECKING:  # the recorder answers here, and needs no database
    from cti.desk import Desk

AT_ONCE = 100  # keys in a question


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a segment: `recovered`; `empty`, it never held sound and is gone; `finished`, only its tails were
    left over, and are gone; or `failed` and why.
    """

    segment: str
    outcome: str
    seconds: float = 0.0
    reason: str | None = None


class Recovery:
    """One person's recovery."""

    def __init__(self, desk: "Desk") -> None:
        """In the name of whoever is at `desk`."""
        self.desk = desk

    async def unfinished(self, text: str | None = None) -> list[str]:
        """The segments without an end that nobody is writing; of the recordings that begin with `text`.

        Raises NotFoundError where none does.
        """
        found = await self.desk.unfinished()
        if text is None:
            return found
        named = [name for name in found if name.startswith(text.lower())]
        if not named:
            raise NotFoundError(
                _("no unfinished segment {text!r}: `kikitori recover --dry-run` lists them").format(text=text)
            )
        return named

    async def recover(self, names: Sequence[str], identities: Mapping[int, Identity]) -> AsyncIterator[Outcome]:
        """End each of `names`. Raises LogUnavailableError, NotRunningError."""
        await self._ask({"ask": "status"})
        keys = list(self._keys(identities, self.desk.slots_in_use()))
        sealed = self.desk.sealed_before(names)
        for name in names:
            # The entry comes first: keys are given out.
            self.desk.log("recover.intent", name, {"slots": [key["slot"] for key in keys]})
            if name in sealed and not self.desk.vault.manifest_path(*split_name(name)).exists():
                # Whoever took the manifest away may have put another body in its place.
                outcome = Outcome(segment=name, outcome="failed", reason=_("the log knows a manifest that is gone"))
            else:
                outcome = await self._one(name, keys)
            detail = {"outcome": outcome.outcome, "seconds": outcome.seconds}
            self.desk.log("recover.result", name, detail | ({"reason": outcome.reason} if outcome.reason else {}))
            yield outcome

    async def _one(self, name: str, keys: Sequence[dict[str, Any]]) -> Outcome:
        outcome = Outcome(segment=name, outcome="failed", reason=_("no slot has its key"))
        book = not await self.desk.knows_call(name.partition(".")[0])
        for first in range(0, max(1, len(keys)), AT_ONCE):
            some = keys[first : first + AT_ONCE]
            try:
                reply = await self._ask({"ask": "recover", "segment": name, "keys": some, "book": book})
            except TimeoutError:
                return replace(outcome, reason=_("no answer in time; it may have been recovered all the same"))
            if reply.get("outcome") != "no-key":
                return Outcome(
                    segment=name,
                    outcome=str(reply.get("outcome", "failed")),
                    seconds=float(reply.get("seconds", 0.0)),
                    reason=reply.get("reason") or reply.get("error"),
                )
        return outcome

    async def _ask(self, question: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return await self.desk.ask(question, READING_SECONDS)
        except TimeoutError:  # an OSError too, and no sign that nobody is there
            raise
        except OSError as error:
            raise NotRunningError(
                _("the recorder does not answer, and it alone writes into the vault: start `kikitori serve` first")
            ) from error

    def _keys(self, identities: Mapping[int, Identity], used: set[int]) -> Iterator[dict[str, Any]]:
        """The keys of the slots that no segment uses, newest first."""
        slots = self.desk.vault.slots
        for number in reversed(range(slots.count())):
            if number in used:
                continue
            try:
                header = slots.read(number)
            except VaultError:  # erased, or given up for a medium that was away
                continue
            for epoch, identity in identities.items():
                try:
                    key = unwrap(header, [identity])
                except NoIdentityError:
                    continue
                yield {"slot": number, "epoch": epoch, "key_id": identity.recipient.key_id, "file_key": key.hex()}
                break


async def answer(
    question: Mapping[str, Any],
    *,
    recorder: Recorder,
    told: Callable[[str], History | None],
    book: Callable[[History], None],
) -> dict[str, Any]:
    """The recorder's answer to `recover`, on its event loop. Raises KeyError, ValueError on what is no such question.

    `told` asks Asterisk's own record of a channel, `book` writes the record of a call.
    """
    name, keys = str(question["segment"]), [_key(values) for values in question["keys"]]
    if not is_segment_name(name) or name in recorder.open_segments():
        return {"outcome": "failed", "reason": f"{name} is no segment that waits for its end"}
    writer = recorder.writer
    try:
        found = await asyncio.to_thread(identify, writer, name, keys)
        history = told(found.take.order.uniqueid)
        give = partial(give_end, writer, found, history, pbx=recorder.sealer.pbx, now=recorder.now())
        manifest = await asyncio.to_thread(give)
        if question["book"]:
            book(await asyncio.to_thread(_call, writer, found, history, manifest))
        await asyncio.to_thread(recorder.sealed, name, manifest)
    except NothingThereError as nothing:
        return {"outcome": nothing.outcome}
    except NoKeyError:
        return {"outcome": "no-key"}
    except (VaultError, OSError) as error:
        return {"outcome": "failed", "reason": str(error)}
    return {"outcome": "recovered", "seconds": manifest.frames / manifest.rate}


def _call(writer: Writer, found: Identified, history: History | None, manifest: Manifest) -> History:
    """The call behind a segment: by Asterisk's own record, or by what was recorded of it."""
    end = max(manifest.start, manifest.end)
    if history is not None and history.talks:
        return replace(history, ended=history.ended or end)
    try:
        begin = began(writer, manifest)
    except VaultError:  # of another segment, which `verify` names
        begin = manifest.start
    talked = ((begin, end),)
    return History(order=found.take.order, spans=talked, talks=talked, ended=end)


def _key(values: Mapping[str, Any]) -> SegmentKey:
    return SegmentKey(
        slot=int(values["slot"]), epoch=int(values["epoch"]), key_id=str(values["key_id"]),
        file_key=bytes.fromhex(values["file_key"]),
    )  # fmt: skip
