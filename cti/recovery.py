"""`kikitori recover`: give the recorder back the keys that a power failure took, so that it can end what it had open.

The recorder alone writes into the vault, and holds no private key; whoever is at the desk has the passphrase. So the
desk opens the slots that no finished segment uses, and hands the recorder those file keys and nothing else.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cti.desk import Desk
from cti.errors import NotFoundError, NotRunningError
from cti.i18n import _
from recorder.recover import NoKeyError, recover
from recorder.session import Recorder
from recorder.take import History
from recorder.vault.age import Identity, unwrap
from recorder.vault.errors import NoIdentityError, VaultError
from recorder.vault.folder import SegmentKey, is_segment_name
from recorder.vault.keys import epochs, unlock

Ask = Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]]
AT_ONCE = 100  # keys in a question


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a segment: `recovered`, `empty` (it never held sound and is gone), or `failed` and why."""

    segment: str
    outcome: str
    seconds: float = 0.0
    reason: str | None = None


class Recovery:
    """One person's recovery."""

    def __init__(self, desk: Desk, ask: Ask) -> None:
        """`ask` puts a question to the recorder; raises OSError, TimeoutError."""
        self.desk, self.ask = desk, ask

    async def unfinished(self, text: str | None = None) -> list[str]:
        """The segments without an end that nobody is writing; of the recordings that begin with `text`.

        Raises NotFoundError where none does.
        """
        writing = await self.desk.open_now()
        found = [name for name in self.desk.vault.unfinished() if name not in writing]
        if text is None:
            return found
        named = [name for name in found if name.startswith(text.lower())]
        if not named:
            raise NotFoundError(
                _("no unfinished segment {text!r}: `kikitori recover --dry-run` lists them").format(text=text)
            )
        return named

    async def recover(self, names: Sequence[str], passphrase: str) -> AsyncIterator[Outcome]:
        """End each of `names`. Raises WrongPassphraseError, LogUnavailableError, NotRunningError."""
        identities = {epoch: unlock(self.desk.keys, epoch, passphrase) for epoch in epochs(self.desk.keys)}
        await self.desk.catch_up()
        keys = list(self._keys(identities, await self.desk.catalogue.slots()))
        for name in names:
            # The entry comes first: a key is given out.
            self.desk.log("recover.intent", name, {"keys": len(keys)})
            outcome = await self._one(name, keys)
            detail = {"outcome": outcome.outcome, "seconds": outcome.seconds}
            self.desk.log("recover.result", name, detail | ({"reason": outcome.reason} if outcome.reason else {}))
            yield outcome

    async def _one(self, name: str, keys: Sequence[dict[str, Any]]) -> Outcome:
        outcome = Outcome(segment=name, outcome="failed", reason=_("no slot has its key"))
        for first in range(0, max(1, len(keys)), AT_ONCE):
            question = {"ask": "recover", "segment": name, "keys": keys[first : first + AT_ONCE]}
            try:
                reply = await self.ask(question)
            except (OSError, TimeoutError) as error:
                raise NotRunningError(
                    _("the recorder does not answer, and it alone writes into the vault: start `kikitori serve` first")
                ) from error
            if reply.get("outcome") != "no-key":
                return Outcome(
                    segment=name,
                    outcome=str(reply.get("outcome", "failed")),
                    seconds=float(reply.get("seconds", 0.0)),
                    reason=reply.get("reason") or reply.get("error"),
                )
        return outcome

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


def answer(
    question: Mapping[str, Any],
    *,
    recorder: Recorder,
    told: Callable[[str], History | None],
    book: Callable[[History], None],
) -> dict[str, Any]:
    """The recorder's answer to `recover`; in a thread. Raises KeyError, ValueError on what is no such question.

    `told` asks Asterisk's own record of a channel, `book` writes the record of a call.
    """
    name, keys = str(question["segment"]), [_key(values) for values in question["keys"]]
    if not is_segment_name(name) or name in recorder.open_segments():
        return {"outcome": "failed", "reason": f"{name} is no segment that waits for its end"}
    try:
        found = recover(recorder.writer, name, keys, pbx=recorder.sealer.pbx, told=told, now=recorder.now())
    except NoKeyError:
        return {"outcome": "no-key"}
    except (VaultError, OSError) as error:
        return {"outcome": "failed", "reason": str(error)}
    if found is None:
        return {"outcome": "empty"}
    recorder.sealed(name, found.manifest)
    book(found.history)
    return {"outcome": "recovered", "seconds": found.manifest.frames / found.manifest.rate}


def _key(values: Mapping[str, Any]) -> SegmentKey:
    return SegmentKey(
        slot=int(values["slot"]), epoch=int(values["epoch"]), key_id=str(values["key_id"]),
        file_key=bytes.fromhex(values["file_key"]),
    )  # fmt: skip
