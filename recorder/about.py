"""What a segment says of itself, in the comment of its FLAC stream: the first thing that is encrypted of it.

A manifest is written last. Where the power failed before, this tells what the sound is: Asterisk's own record of the
call may be lost as well, since nobody syncs it. Signed by the recorder, so that nobody else's sound can be given an
end, and with it the recorder's word.

```
kikitori/about/v1
{"agent":...,"began":...,...}           JSON, keys sorted, no blanks; the fields of `About`

— <origin>/recorder <signature>
```
"""

import io
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from typing import Final, Self

import soundfile

from recorder.take import OpenSegment, Order, Take
from recorder.vault.errors import VaultError
from recorder.vault.note import NoteError, Signer, Verifier, open_note, sign

FIRST_LINE: Final = "kikitori/about/v1"
_NUMBERS = ("segment", "offset", "rate")


class AboutError(VaultError):
    """The segment does not say what it is."""

    code = "about"


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """A segment's names, as its manifest will have them; `began` is the time of its first sample, ISO 8601."""

    recording: str
    segment: int
    conversation: str
    linkedid: str
    channel: str
    uniqueid: str
    take: str
    offset: int
    rate: int
    number: str | None
    direction: str | None
    caller: str | None
    callee: str | None
    agent: str | None
    began: str

    @classmethod
    def of(cls, take: Take, meta: OpenSegment, now: datetime) -> Self:
        """Of the segment `meta` that `take` begins now."""
        order = take.order
        return cls(
            recording=order.recording,
            segment=meta.number,
            conversation=order.conversation,
            linkedid=order.linkedid,
            channel=order.channel,
            uniqueid=order.uniqueid,
            take=take.stem,
            offset=meta.offset,
            rate=take.rate,
            number=order.number,
            direction=order.direction,
            caller=order.caller,
            callee=order.callee,
            agent=order.agent,
            began=(take.time_of(meta.offset) or now).isoformat(),
        )

    def signed(self, signer: Signer) -> str:
        """The comment."""
        text = json.dumps(asdict(self), ensure_ascii=True, separators=(",", ":"), sort_keys=True)
        return sign(f"{FIRST_LINE}\n{text}\n", [signer])

    @classmethod
    def read(cls, stream: bytes, verifiers: Iterable[Verifier]) -> Self:
        """From the head of a FLAC stream whose comment one of `verifiers` signed. Raises AboutError."""
        try:
            with soundfile.SoundFile(io.BytesIO(stream)) as sound:
                first, _, text = open_note(sound.comment, verifiers).partition("\n")
            values = json.loads(text)
        except (soundfile.LibsndfileError, NoteError, ValueError) as error:
            raise AboutError(str(error)) from error
        if first != FIRST_LINE:
            raise AboutError(f"its comment begins with {first!r}, this version reads {FIRST_LINE!r}")
        if not isinstance(values, dict) or values.keys() != {field.name for field in fields(cls)}:
            raise AboutError("its comment has other fields than this version writes")
        kinds = {name: (int,) if name in _NUMBERS else (str, type(None)) for name in values}
        if wrong := [name for name, value in values.items() if type(value) not in kinds[name]]:
            raise AboutError(f"{wrong[0]} in its comment is of another kind")
        return cls(**values)

    def taken(self) -> Take:
        """The take that the segment is of, as far as it tells. Raises AboutError."""
        starter, _, run = self.take.partition("-")
        try:
            first = datetime.fromisoformat(self.began) - timedelta(seconds=self.offset / self.rate)
        except (ValueError, ZeroDivisionError, OverflowError) as error:
            raise AboutError(str(error)) from error
        return Take(
            id=run,
            starter=starter,
            rate=self.rate,
            order=Order(
                channel=self.channel,
                uniqueid=self.uniqueid,
                linkedid=self.linkedid,
                conversation=self.conversation,
                recording=self.recording,
                number=self.number,
                direction=self.direction,
                caller=self.caller,
                callee=self.callee,
                agent=self.agent,
            ),
            joined=True,
            stopped=True,
            spans=[(first.isoformat(), None)],
        )
