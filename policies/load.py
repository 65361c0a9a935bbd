"""Policy files -> models, with errors that name file, line, field and remedy."""

from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from policies.errors import PolicyError
from policies.model import Plan, Recording
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
        """`folder` holds `numbers.toml` and `recording.toml`."""
        self.folder = folder

    @cached_property
    def plan(self) -> Plan:
        """The numbering plan (B-02, B-09)."""
        return check(read(self.folder / "numbers.toml"), Plan)

    @cached_property
    def recording(self) -> Recording:
        """What is kept of a conversation (B-03)."""
        return check(read(self.folder / "recording.toml"), Recording)
