"""The two ways to recordings: by a session over the API, or here, at the recorder itself."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from cti.api.shapes import Ask
from cti.api.shapes import Export as ExportAsked
from cti.cli.common import passphrase
from cti.cli.local import allowed, at_desk, at_desk_for
from cti.cli.session import at_api, signed_in
from cti.cli.signin import proof
from cti.desk import Desk, Sound
from cti.errors import UsageError
from cti.explain import localise
from cti.i18n import _
from cti.purpose import Purpose
from policies.rights import Act
from recorder.export import total
from recorder.vault.age import Recipient
from recorder.vault.keys import Keys, by_passphrase
from recorder.wanted import Wanted

if TYPE_CHECKING:
    from cti.api.client import Client

Shape = TypeVar("Shape", bound=BaseModel)
Found = TypeVar("Found")
Gaps = Sequence[tuple[float, float]]
"""(where, how long) of the whole recording, seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What was written or heard."""

    recording: str
    seconds: float
    segments: int
    gaps: Gaps


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Of which recording what is to be heard, and why."""

    recording: str
    purpose: Purpose
    side: str
    start: float
    end: float | None
    request: str | None
    witness: str | None


class Way(Protocol):
    """How recordings are reached. `gaps` is told of them before the first byte."""

    def recordings(self, wanted: Wanted, most: int | None) -> list[dict[str, Any]]:
        """Newest first."""

    def show(self, recording: str) -> dict[str, Any]:
        """One, with its segments."""

    def play(self, part: Part, file: BinaryIO, gaps: Callable[[Gaps], None]) -> Heard:
        """Into `file`, as WAV."""

    def export(
        self, recording: str, purpose: Purpose, kind: str, recipient: str | None, file: BinaryIO, bar: "Bar"
    ) -> Heard:
        """All of it, as a file of `kind`."""


class Bar(Protocol):
    """Shows how far it is."""

    def of(self, whole: int) -> None:
        """Of so much."""

    def step(self, much: int) -> None:
        """So much more is done."""


def way(by: str | None, password_file: Path | None, code: str | None, passphrase_file: Path | None) -> "Way":
    """By the session, if there is one and nothing else is named; else here."""
    if by is None and passphrase_file is None and signed_in():
        return OverApi()
    return Here(by, password_file, code, passphrase_file)


def shaped(shape: type[Shape], **values: Any) -> Shape:
    """What was typed, as the API takes it. Raises UsageError, which names the field and not what was typed."""
    try:
        return shape.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        field = next((str(part) for part in reversed(first["loc"]) if isinstance(part, str)), "")
        said = str(first["ctx"]["error"]) if first["type"] == "value_error" else first["msg"]
        raise UsageError(f"--{field.replace('_', '-')}: {localise(said)}") from error


class OverApi:
    """In the name of whoever is signed in."""

    def recordings(self, wanted: Wanted, most: int | None) -> list[dict[str, Any]]:
        """Newest first."""
        with at_api() as client:
            return [one.model_dump() for one in client.recordings(wanted, most)]

    def show(self, recording: str) -> dict[str, Any]:
        """One, with its segments."""
        with at_api() as client:
            found: dict[str, Any] = client.recording(recording).model_dump()
            return found

    def play(self, part: Part, file: BinaryIO, gaps: Callable[[Gaps], None]) -> Heard:
        """Into `file`, as WAV."""

        def all_of_it(client: "Client", play: Any) -> None:
            file.writelines(client.audio(play))
            file.flush()

        return self.hear(part, gaps, all_of_it)

    def hear(self, part: Part, gaps: Callable[[Gaps], None], listen: Callable[["Client", Any], None]) -> Heard:
        """`listen` to a play that is open as long as it does."""
        asked = shaped(
            Ask, purpose=part.purpose, side=part.side, request=part.request, witness=part.witness,
            **{"from": part.start, "to": part.end},
        )  # fmt: skip
        with at_api() as client:
            play = client.play(part.recording, asked)
            lost = [(gap.at, gap.seconds) for gap in play.gaps]
            gaps(lost)
            try:
                listen(client, play)
            finally:
                client.stop(play)
        return Heard(recording=play.recording, seconds=play.seconds, segments=play.segments, gaps=lost)

    def export(
        self, recording: str, purpose: Purpose, kind: str, recipient: str | None, file: BinaryIO, bar: Bar
    ) -> Heard:
        """All of it, as a file of `kind`."""
        asked = shaped(ExportAsked, purpose=purpose, format=kind, recipient=recipient)
        with at_api() as client:
            details = client.recording(recording)
            with client.export(details.recording, asked) as (size, blocks):
                bar.of(size)
                for block in blocks:
                    file.write(block)
                    bar.step(len(block))
        lost = [(part["starts_at"], part["gap"]) for part in details.parts if part["gap"]]
        return Heard(recording=details.recording, seconds=details.seconds, segments=len(details.parts), gaps=lost)


class Here:
    """At the recorder itself. The file belongs to whoever asks; the desk only fills it."""

    def __init__(self, by: str | None, password_file: Path | None, code: str | None, passphrase_file: Path | None):
        """`by`: an ID of one's own; without one, the vault's passphrase, as long as nobody has an account."""
        self._by, self._password_file, self._code, self._passphrase_file = by, password_file, code, passphrase_file

    def recordings(self, wanted: Wanted, most: int | None) -> list[dict[str, Any]]:
        """Newest first."""
        return self._look(lambda desk: desk.recordings(wanted, limit=most))

    def show(self, recording: str) -> dict[str, Any]:
        """One, with its segments."""
        return self._look(lambda desk: desk.show(recording))

    def play(self, part: Part, file: BinaryIO, gaps: Callable[[Gaps], None]) -> Heard:
        """Into `file`, as WAV."""
        if part.purpose is Purpose.DISCLOSURE or part.request or part.witness:
            raise UsageError(_("disclosure, --request and --witness need a session: `kikitori login ID`"))

        def write(desk: Desk, sound: Sound, keys: Keys) -> None:
            gaps(sound.gaps)
            file.writelines(desk.play(sound, keys, part.purpose, part.side))
            file.flush()

        return self._open(part.recording, Act.PLAY, (part.start, part.end), write)

    def export(
        self, recording: str, purpose: Purpose, kind: str, recipient: str | None, file: BinaryIO, bar: Bar
    ) -> Heard:
        """All of it, as a file of `kind`."""
        to = Recipient.parse(recipient) if recipient else None

        def write(desk: Desk, sound: Sound, keys: Keys) -> None:
            bar.of(total(sound.parts))
            desk.export(sound, keys, purpose, kind=kind, recipient=to, out=file, progress=bar.step)

        return self._open(recording, Act.EXPORT, (0, None), write)

    def _look(self, what: Callable[[Desk], Awaitable[Found]]) -> Found:
        return at_desk_for(Act.SEARCH, self._by, self._password_file, self._code, what)

    def _open(
        self,
        recording: str,
        act: Act,
        part: tuple[float, float | None],
        write: Callable[[Desk, Sound, Keys], None],
    ) -> Heard:
        who = proof(self._by, self._password_file, self._code) if self._by else None
        secret = "" if who else passphrase(self._passphrase_file)

        async def do(desk: Desk) -> Sound:
            found = await allowed(desk, act, who)
            keys = found.opening if found else by_passphrase(desk.keys, secret)
            sound = desk.open(await desk.find(recording), *part)
            write(desk, sound, keys)
            return sound

        sound = at_desk(do, unlocked=True)
        return Heard(
            recording=sound.recording, seconds=sound.seconds, segments=len(sound.parts), gaps=sound.gaps
        )  # fmt: skip
