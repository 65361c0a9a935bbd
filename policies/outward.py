"""Where cases are told to other systems, and what of them (9条, B-04): these addresses and no others. Pure."""

import re
from hashlib import sha256
from ipaddress import ip_address
from pathlib import PurePosixPath
from typing import Final, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from policies.model import Name, Part, Policy

EVENTS: Final = (
    "register", "amend", "reach", "consent", "assign", "hand-over", "accept", "reply", "result", "close",
    "reopen", "expect", "note", "put-through", "transferred", "transfer-ended", "missed", "called-again",
    "dialled", "dial-ended", "tried", "draft", "check", "share", "join", "joined", "unjust-demand",
    "reported", "voice", "voice-step",
)  # fmt: skip
"""What is done with cases, as `cti.cases.form` calls it."""
_STRANGE: Final = frozenset(" \u3000\"'%:\\")
"""What a path has in systemd's files only with marks of its own."""
_ADDRESS: Final = re.compile(r"[\x21-\x7e]+")


class Destination(Part):
    """One system. `url`: of a webhook the address itself, of Zammad its beginning (`https://desk.example.jp`).

    A folder has none, and no secret: `folder` is its absolute path, `form` what each case is written as, a file of its
    own that is replaced as a whole.
    `secret_file`: the secret that signs (`whsec_…`), or Zammad's token. `ca`: the one authority that is accepted, where
    it is not one of the host's. `events`: acts that are told, all where none is named. `sections`: of cases with one of
    these as their main 所管課 alone. `content`: ids (no name, number or word of a customer), or full, which the access
    log then says of each act. `group`, `customer`: of Zammad's tickets. `give_up_after`: hours without success.
    """

    name: Name
    kind: Literal["webhook", "zammad", "folder"] = "webhook"
    url: str = Field(default="", max_length=500)
    secret_file: str = ""
    folder: str = Field(default="", max_length=500)
    form: Literal["csv", "xlsx"] = "csv"
    ca: str | None = None
    events: tuple[str, ...] = ()
    sections: tuple[Name, ...] = ()
    content: Literal["ids", "full"] = "ids"
    group: str = "Users"
    customer: str = ""
    give_up_after: int = Field(default=72, ge=1, le=8760)

    @field_validator("url")
    @classmethod
    def _address(cls, value: str) -> str:
        if not _ADDRESS.fullmatch(value):
            raise ValueError("is no address")
        try:
            parts = urlsplit(value)
            host, _port = parts.hostname, parts.port
        except ValueError as error:
            raise ValueError("is no address") from error
        if parts.scheme not in ("http", "https") or not host or parts.username is not None or parts.fragment:
            raise ValueError("is no address that begins with https://")
        if parts.scheme == "http" and not _here(host):
            raise ValueError("begins with http://: what leaves this host is encrypted, https://")
        return value

    @field_validator("folder")
    @classmethod
    def _whole_path(cls, value: str) -> str:
        path = PurePosixPath(value)
        plain = value.isprintable() and not set(value) & _STRANGE and str(path) == value and len(path.parts) > 1
        if not plain or not value.startswith("/") or value.startswith("//") or ".." in path.parts:
            raise ValueError("is no absolute path without '..', blanks, quotation marks, colons and %")
        return value

    @field_validator("events")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if strange := sorted(set(value) - set(EVENTS)):
            raise ValueError(f"{', '.join(strange)}: none of {', '.join(EVENTS)}")
        return value

    @model_validator(mode="after")
    def _whole(self) -> "Destination":
        for_folder, for_web = ("folder", "form"), ("url", "secret_file", "ca", "group", "customer")
        needed, strange = (("folder",), for_web) if self.kind == "folder" else (("url", "secret_file"), for_folder)
        if missing := [name for name in needed if not getattr(self, name)]:
            raise ValueError(f"destination {self.name}: {', '.join(missing)} is missing: kind {self.kind} needs it")
        if named := [name for name in strange if name in self.model_fields_set]:
            raise ValueError(f"destination {self.name}: kind {self.kind} has no {', '.join(named)}")
        if self.kind == "zammad" and not self.customer:
            raise ValueError(f"destination {self.name}: customer is missing: Zammad wants one of each ticket")
        return self

    @property
    def target(self) -> str:
        """Which system that is: under the same name, another address is another system."""
        where = f"{self.form} {self.folder}" if self.kind == "folder" else self.url
        return sha256(f"{self.kind} {where}".encode()).hexdigest()[:16]

    @property
    def host(self) -> str:
        """The host that is connected to; of a folder, none."""
        return urlsplit(self.url).hostname or ""

    def wants(self, kind: str, main: str | None) -> bool:
        """Whether an act of that kind is told, of a case with that main 所管課."""
        return (not self.events or kind in self.events) and (not self.sections or main in self.sections)


class Outward(Policy):
    """`outward.toml`: nothing is told to anybody where no destination is named."""

    destination: tuple[Destination, ...] = ()

    @model_validator(mode="after")
    def _each_once(self) -> "Outward":
        names = [one.name for one in self.destination]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"destination named twice: {', '.join(twice)}")
        return self


def _here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
