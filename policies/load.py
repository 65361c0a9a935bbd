"""Policy files -> models, with errors that name file, line, field and remedy."""

from functools import cached_property
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from policies import holidays
from policies.calendar import HolidayFiles, Hours
from policies.errors import PolicyError
from policies.holidays import Holiday, Holidays
from policies.hours import OpeningHours
from policies.model import Plan, Policy, Recording, Routing
from policies.outward import Outward
from policies.overrides import Overrides, parse
from policies.retention import Retention
from policies.review import Review
from policies.rights import Rights
from policies.sections import Sections
from policies.terminals import Terminals
from policies.toml import Document, read

Model = TypeVar("Model", bound=BaseModel)


def shipped() -> Path:
    """The folder of the policies that come with Kikitori."""
    return Path(str(files("policies"))) / "data"


def check(document: Document, model: type[Model]) -> Model:
    """`document` as `model`. Raises PolicyError for the first thing that does not fit."""
    try:
        return model.model_validate(document.values)
    except ValidationError as error:
        first = error.errors()[0]
        location = tuple(first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        remedy = f"{len(error.errors())} such error(s) in this file; docs/reference/policies.md lists every key"
        raise PolicyError(document.where(location), message, remedy) from error


class Policies:
    """The policies of one folder, each read when first asked for."""

    def __init__(self, folder: Path) -> None:
        """`folder` holds a file of each kind; of the hours one for each version, `hours.toml` and `hours-NAME.toml`."""
        self.folder = folder

    @cached_property
    def plan(self) -> Plan:
        """The numbering plan (B-02, B-09)."""
        return check(read(self.folder / "numbers.toml"), Plan)

    @cached_property
    def recording(self) -> Recording:
        """What is kept of a conversation (B-03)."""
        return check(read(self.folder / "recording.toml"), Recording)

    @cached_property
    def routing(self) -> Routing:
        """What a caller hears, and where the emergency line rings (A-07, A-12)."""
        return check(read(self.folder / "routing.toml"), Routing)

    @cached_property
    def rights(self) -> Rights:
        """Who may do what (B-06, B-29, B-30); of an installation that was made before there was such a file, ours."""
        return check(read(self._own_or_shipped("rights.toml")), Rights)

    @cached_property
    def terminals(self) -> Terminals:
        """Where a recording may be disclosed (B-28); of an installation that was made before, ours."""
        return check(read(self._own_or_shipped("terminals.toml")), Terminals)

    @cached_property
    def review(self) -> Review:
        """How the access log is looked through (B-30); of an installation that was made before, ours."""
        return check(read(self._own_or_shipped("review.toml")), Review)

    @cached_property
    def retention(self) -> Retention:
        """How long a recording is kept (6条); of an installation that was made before there was such a file, ours."""
        return check(read(self._own_or_shipped("retention.toml")), Retention)

    @cached_property
    def sections(self) -> Sections:
        """Who answers what the centre cannot (A-05, A-06); of an installation that was made before, ours."""
        return check(read(self._own_or_shipped("sections.toml")), Sections)

    @cached_property
    def outward(self) -> Outward:
        """Which other systems are told of cases (B-04); of an installation that was made before, none."""
        return check(read(self._own_or_shipped("outward.toml")), Outward)

    def _own_or_shipped(self, name: str) -> Path:
        own = self.folder / name
        return own if own.exists() else shipped() / name

    @cached_property
    def hours(self) -> dict[str, Hours]:
        """File name -> a version of the opening hours (3条, A-46)."""
        names = ["hours.toml", *sorted(path.name for path in self.folder.glob("hours-*.toml"))]
        return {name: check(read(self.folder / name), Hours) for name in names}

    @cached_property
    def holiday_files(self) -> HolidayFiles:
        """Which files say what day is a holiday."""
        return check(read(self.folder / "holidays.toml"), HolidayFiles)

    @cached_property
    def holidays(self) -> Holidays:
        """The table and the forecast (A-10, L-12). Raises PolicyError where the table is not the one that was taken."""
        table = self.folder / self.holiday_files.table
        data = _bytes(table)
        if sha256(data).hexdigest() != self.holiday_files.sha256:
            raise PolicyError(
                str(table),
                "is not the table whose sha256 holidays.toml names",
                "Restore it; a new one is taken with `kikitori hours holidays update FILE`",
            )
        return Holidays(holidays.parse_table(data, str(table)), self.forecast)

    @cached_property
    def forecast(self) -> list[Holiday]:
        """What the law as it stands gives for the years that no table reaches."""
        path = self.folder / self.holiday_files.forecast
        return holidays.parse_forecast(_bytes(path).decode("utf-8", "replace"), str(path))

    def opening_hours(self, overrides: Overrides = Overrides()) -> OpeningHours:  # noqa: B008  # frozen
        """The opening hours of every day. Raises PolicyError."""
        versions = self.hours
        for number in self.plan.number:
            for name, version in versions.items():
                if number.hours not in {calendar.name for calendar in version.calendar}:
                    raise PolicyError(
                        f"{self.folder / 'numbers.toml'}: number.{number.name}.hours",
                        f"{name} has no calendar {number.hours!r}",
                        "Name one that each version has",
                    )
        try:
            return OpeningHours(tuple(versions.values()), self.holidays, overrides)
        except ValueError as error:
            raise PolicyError(str(self.folder / max(versions)), str(error), "Mend that file") from error

    @property
    def authorities(self) -> tuple[str, ...]:
        """Who may decide other hours (A-13) by any of the versions, the newest first: each decides while it holds."""
        versions = sorted(self.hours.values(), key=lambda version: version.effective_from, reverse=True)
        return tuple(dict.fromkeys(name for each in versions if (name := each.of("centre").overridden_by)))

    def overrides(self, path: Path, *, strict: bool = True) -> Overrides:
        """Those in `path`, one a line. Raises PolicyError for a file or, if `strict`, a line that cannot be read."""
        return parse(_bytes(path).decode("utf-8", "replace"), str(path), *self.authorities, strict=strict)

    def all(self) -> dict[str, Policy]:
        """File name -> policy, of every file."""
        plain: dict[str, Policy] = {
            "numbers.toml": self.plan,
            "recording.toml": self.recording,
            "retention.toml": self.retention,
            "routing.toml": self.routing,
            "rights.toml": self.rights,
            "terminals.toml": self.terminals,
            "review.toml": self.review,
            "sections.toml": self.sections,
            "outward.toml": self.outward,
        }
        return plain | dict(self.hours) | {"holidays.toml": self.holiday_files}


class Fresh:
    """The policies of a folder, read again when one of its files has changed: what was decided holds from then on."""

    def __init__(self, folder: Path) -> None:
        """Of `folder`."""
        self._folder, self._read = folder, Policies(folder)
        self._as_of: list[tuple[object, ...]] = []

    def now(self) -> Policies:
        """As they are."""
        files = sorted(self._folder.glob("*.toml"))
        seen = [(path.name, path.stat()) for path in files]
        as_of: list[tuple[object, ...]] = [(name, at.st_mtime_ns, at.st_size, at.st_ino) for name, at in seen]
        if as_of != self._as_of:
            self._read, self._as_of = Policies(self._folder), as_of
        return self._read


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        remedy = "Check that it exists and is readable"
        raise PolicyError(str(path), f"cannot be read ({error.strerror})", remedy) from error
