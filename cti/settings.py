"""One settings file and the environment -> one frozen `Settings`, every value knowing where it came from.

`kikitori.toml` is looked for in KIKITORI_CONFIG, then in the current folder, then in /etc/kikitori. Relative paths in
it start at its folder. An environment variable KIKITORI_<SECTION>_<KEY> beats the file.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from cti.errors import SettingsError
from cti.explain import localise, place
from cti.i18n import _, mark
from policies.errors import PolicyError
from policies.toml import Document, read

FILE = "kikitori.toml"
REMEDY = _("`kikitori config show` lists every setting")


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Site(_Section):
    """Who we are."""

    pbx: str = Field(
        "pbx1", pattern=r"^[a-z][a-z0-9-]{0,31}$", description=mark("name of the PBX; also its systemname")
    )


class Paths(_Section):
    """Where things lie. Relative ones start at the folder of the settings file."""

    vault: Path = Field(Path("vault"), description=mark("encrypted recordings, first medium"))
    mirror: Path = Field(Path("mirror"), description=mark("second medium: copy of the slots, checkpoints, escrow"))
    keys: Path = Field(Path("keys"), description=mark("public keys, signing keys, sealed identities"))
    log: Path = Field(Path("log"), description=mark("access log"))
    spool: Path = Field(Path("spool"), description=mark("RAM (tmpfs) where Asterisk writes"))
    run: Path = Field(Path("run"), description=mark("sockets"))
    desk: Path = Field(Path("desk"), description=mark("catalogue and other files of the desk"))
    gate: Path = Field(Path("gate"), description=mark("the gate's socket, where Asterisk asks it by a script"))
    policies: Path = Field(Path("policies"), description=mark("policy files"))
    prompts: Path = Field(
        Path("prompts"), description=mark("the bureau's own recordings of prompts, in ja/ and en/; it may be missing")
    )
    hours: Path = Field(Path("hours"), description=mark("decisions on other opening hours (overrides)"))


class Pbx(_Section):
    """The manager interface and the files that Asterisk writes by itself."""

    host: str = Field("127.0.0.1", description=mark("address of the manager interface"))
    port: int = Field(5038, ge=1, le=65535, description=mark("port of the manager interface"))
    user: str = Field("kikitori", description=mark("manager user"))
    secret_file: Path = Field(Path("keys/ami.secret"), description=mark("file that holds the manager user's secret"))
    cel_file: Path | None = Field(
        None, description=mark("Asterisk's own record of events (cel_custom), to adopt calls by")
    )
    ami_tls_ca: Path | None = Field(
        None, description=mark("CA that signed the manager interface's certificate (PEM); empty: no TLS")
    )

    @field_validator("cel_file", "ami_tls_ca", mode="before")
    @classmethod
    def _none(cls, value: object) -> object:
        # An empty path would be the folder of the settings file.
        return None if value == "" else value


class Asterisk(_Section):
    """What `kikitori asterisk render` puts into Asterisk's configuration."""

    sip_bind: str = Field("0.0.0.0", description=mark("IPv4 address that Asterisk takes SIP on"))  # noqa: S104  # nosec  # phones are elsewhere
    sip_port: int = Field(5060, ge=1, le=65535, description=mark("SIP port"))
    rtp_start: int = Field(10000, ge=1024, le=65535, description=mark("first RTP port"))
    rtp_end: int = Field(20000, ge=1024, le=65535, description=mark("last RTP port"))
    trunk_match: str = Field("192.0.2.1", description=mark("addresses the trunk calls from, separated by commas"))
    trunk_contact: str = Field("sip:192.0.2.1:5060", description=mark("where the trunk is called"))
    phones_file: Path = Field(Path("keys/phones.toml"), description=mark("the telephones' SIP secrets"))
    gate: Literal["fastagi", "script"] = Field(
        "fastagi", description=mark("how Asterisk asks the gate: over TCP, or by a script over a Unix socket")
    )
    python: Path = Field(
        Path("/usr/bin/python3"), description=mark("Python with pyst2 that runs the script on Asterisk's host")
    )
    log_dir: Path = Field(Path("/var/log/asterisk"), description=mark("Asterisk's log folder"))
    run_dir: Path = Field(Path("/var/run/asterisk"), description=mark("Asterisk's run folder"))
    var_dir: Path = Field(Path("/var/lib/asterisk"), description=mark("Asterisk's state folder"))


class Gate(_Section):
    """The FastAGI server that the dialplan asks."""

    host: str = Field("127.0.0.1", description=mark("address to listen on"))
    port: int = Field(4573, ge=1, le=65535, description=mark("port to listen on"))
    deadline: float = Field(0.5, gt=0, le=2, description=mark("seconds that the recorder has to answer"))


_ADDRESS = r"^[A-Za-z0-9._+-]+@[A-Za-z0-9.-]+$"
_ADDRESSES = r"^([A-Za-z0-9._+-]+@[A-Za-z0-9.-]+(, ?[A-Za-z0-9._+-]+@[A-Za-z0-9.-]+)*)?$"


class Database(_Section):
    """Where catalogue, steps and intakes are indexed. The vault is the truth; all of it can be made anew."""

    url: str = Field(
        "",
        pattern=r"^(postgresql(\+asyncpg)?://.*)?$",
        description=mark(
            "postgresql://user@host/name, or ...?host=/run/postgresql; empty: SQLite in the desk's folder"
        ),
    )
    password_file: Path | None = Field(None, description=mark("file that holds the database user's password"))

    @field_validator("password_file", mode="before")
    @classmethod
    def _none(cls, value: object) -> object:
        return None if value == "" else value


class Keeper(_Section):
    """Moves recordings to the second medium."""

    rate: int = Field(20, ge=1, le=10_000, description=mark("MiB a second that it reads and writes at most"))


class Users(_Section):
    """System users: the keeper runs as the recorder's."""

    recorder: str = Field("kikitori-recorder", description=mark("runs the recorder and the keeper"))
    gate: str = Field("kikitori-gate", description=mark("runs the gate"))
    desk: str = Field("kikitori-desk", description=mark("runs the desk"))
    asterisk: str = Field("asterisk", description=mark("runs Asterisk"))


class Api(_Section):
    """The HTTP API of the desk, by which staff hear recordings. TLS always."""

    host: str = Field("127.0.0.1", description=mark("address that the API listens on"))
    clients: str = Field(
        "", description=mark("networks from which staff ask, with a comma between two; empty: this host alone")
    )
    port: int = Field(8443, ge=0, le=65535, description=mark("its port; 0: there is none"))
    certificate: Path = Field(
        Path("keys/api.crt"), description=mark("its certificate and those above it (PEM); `kikitori api certificate`")
    )
    key: Path = Field(Path("keys/api.key"), description=mark("the key of its certificate (PEM)"))

    @property
    def networks(self) -> tuple[str, ...]:
        """The networks of `clients`."""
        return tuple(part.strip() for part in self.clients.split(",") if part.strip())

    @field_validator("clients")
    @classmethod
    def _networks(cls, value: str) -> str:
        for part in filter(None, map(str.strip, value.split(","))):
            try:
                ip_network(part)
            except ValueError as error:
                raise ValueError(f"{part} is no network: write 192.0.2.0/24, or one address") from error
        return value


class Metrics(_Section):
    """Where Prometheus finds what the desk watches; numbers alone, for whoever can connect."""

    host: Literal["127.0.0.1", "::1"] = Field(
        "127.0.0.1", description=mark("address of the metrics' own server, on this host: nobody else may ask")
    )
    port: int = Field(0, ge=0, le=65535, description=mark("its port; 0: there is none"))


class Mail(_Section):
    """Who is told of alarms, by whose mail relay. No caller and no recording is named in them."""

    to: str = Field("", pattern=_ADDRESSES, description=mark("addresses, with a comma between two; empty: nobody"))
    sender: str = Field("kikitori@localhost", pattern=_ADDRESS, description=mark("whom the mail comes from"))
    host: str = Field("127.0.0.1", description=mark("mail relay, without encryption: one of this host or this network"))
    port: int = Field(25, ge=1, le=65535, description=mark("port of the mail relay"))


class Upkeep(_Section):
    """By what `kikitori doctor` judges ages, room and time."""

    keep_days: int = Field(
        184,
        ge=1,
        description=mark("days that recordings stay in the vault: six calendar months are 184 at most (B-15)"),
    )
    talk_hours: float = Field(
        8.0,
        gt=0,
        le=24,
        description=mark("hours a day that each designated telephone talks, as long as no week of recordings tells"),
    )
    epoch_days: int = Field(31, ge=1, description=mark("days that one vault identity serves: a month"))
    signer_days: int = Field(
        1095, ge=1, description=mark("days that a signing key serves: three years (NIST SP 800-57 part 1, 5.3.6)")
    )
    certificate_days: int = Field(30, ge=1, description=mark("days before its end that a certificate is to be renewed"))
    clock_seconds: float = Field(
        0.5, gt=0, description=mark("seconds that the clock may be wrong by the kernel's own estimate")
    )


class Settings(_Section):
    """All settings."""

    site: Site = Site()
    paths: Paths = Paths()
    pbx: Pbx = Pbx()
    asterisk: Asterisk = Asterisk()
    gate: Gate = Gate()
    keeper: Keeper = Keeper()
    users: Users = Users()
    database: Database = Database()
    api: Api = Api()
    metrics: Metrics = Metrics()
    mail: Mail = Mail()
    upkeep: Upkeep = Upkeep()


@dataclass(frozen=True, slots=True)
class Resolved:
    """A value and where it came from: `default`, `environment NAME`, or `file:line`."""

    key: str
    value: Any
    source: str
    description: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings with the origin of each value."""

    settings: Settings
    sources: tuple[Resolved, ...]
    file: Path | None


def find(environ: Mapping[str, str], here: Path) -> Path | None:
    """The settings file that applies, None where there is none."""
    if named := environ.get("KIKITORI_CONFIG"):
        return Path(named)
    return next((path for path in (here / FILE, Path("/etc/kikitori") / FILE) if path.exists()), None)


def load(file: Path | None, environ: Mapping[str, str]) -> Loaded:
    """Settings from `file` (None: defaults) and `environ`. Raises SettingsError naming file, line and field."""
    document = Document(path=Path(FILE), values={}, lines={})
    if file is not None:
        try:
            document = read(file)
        except PolicyError as error:
            raise SettingsError(_sentence(error.where, error.problem, error.remedy)) from error
    values: dict[str, Any] = {
        name: dict(section) if isinstance(section, dict) else section for name, section in document.values.items()
    }
    for name, section in values.items():
        if not isinstance(section, dict):
            raise SettingsError(
                _("{where}: is a table: write [{name}]. {remedy}").format(
                    where=document.where((name,)), name=name, remedy=REMEDY
                )
            )
    origin: dict[tuple[str, str], str] = {}
    for section, key in _keys():
        variable = f"KIKITORI_{section}_{key}".upper()
        if variable in environ:
            values.setdefault(section, {})[key] = environ[variable]
            origin[section, key] = f"environment {variable}"
        elif key in document.values.get(section, {}):
            origin[section, key] = document.where((section, key)).rpartition(": ")[0]
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        raise SettingsError(_explain(error, document, origin)) from error
    if file is not None:
        settings = at(settings, file.resolve().parent)
    sources = tuple(
        Resolved(
            f"{section}.{key}",
            getattr(getattr(settings, section), key),
            origin.get((section, key), "default"),
            type(getattr(settings, section)).model_fields[key].description or "",
        )
        for section, key in _keys()
    )
    return Loaded(settings, sources, file)


def _keys() -> list[tuple[str, str]]:
    return [
        (section, key)
        for section, field in Settings.model_fields.items()
        for key in field.default.__class__.model_fields
    ]


def _explain(error: ValidationError, document: Document, origin: Mapping[tuple[str, str], str]) -> str:
    first = error.errors()[0]
    key = tuple(first["loc"])
    named = origin.get((str(key[0]), str(key[1]))) if len(key) > 1 else None
    where = f"{place(named)}: {'.'.join(map(str, key))}" if named else document.where(key)
    return _sentence(where, first["msg"], REMEDY)


def _sentence(where: str, problem: str, remedy: str) -> str:
    return _("{where}: {problem}. {remedy}").format(where=where, problem=localise(problem), remedy=localise(remedy))


def at(settings: Settings, folder: Path) -> Settings:
    """The same settings, as a file in `folder` would mean them."""
    paths = settings.paths.model_copy(
        update={name: folder / getattr(settings.paths, name) for name in Paths.model_fields}
    )
    pbx = settings.pbx.model_copy(
        update={
            "secret_file": folder / settings.pbx.secret_file,
            "cel_file": folder / settings.pbx.cel_file if settings.pbx.cel_file else None,
            "ami_tls_ca": folder / settings.pbx.ami_tls_ca if settings.pbx.ami_tls_ca else None,
        }
    )
    asterisk = settings.asterisk.model_copy(update={"phones_file": folder / settings.asterisk.phones_file})
    api = settings.api.model_copy(
        update={"certificate": folder / settings.api.certificate, "key": folder / settings.api.key}
    )
    password = settings.database.password_file
    database = settings.database.model_copy(update={"password_file": folder / password if password else None})
    made = {"paths": paths, "pbx": pbx, "asterisk": asterisk, "api": api, "database": database}
    return settings.model_copy(update=made)
