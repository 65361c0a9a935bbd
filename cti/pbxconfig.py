"""Asterisk's configuration, rendered from the policies and the site's addresses: templates in `asterisk-config/`.

Every value is checked before it meets a template, so that none can end a line, start a comment or add an option.
"""

import array
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from hashlib import sha256
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from cti import rendered
from cti.calls.cel import CDR_COLUMNS, CEL_COLUMNS
from cti.errors import PbxConfigError
from cti.prompts import files as prompt_files
from cti.routing import baseline
from cti.routing.direct import FIELDS
from policies.calendar import JST
from policies.hours import OpeningHours
from policies.load import Policies
from policies.model import Group, Kind, Number, Plan, Policy, Recording, Routing
from policies.overrides import Overrides

# Numbers of 3 to 20 digits that begin with 0, and the state's emergency numbers.
OUTSIDE: Final = (*("_0" + "X" * digits for digits in range(2, 20)), "_11[089]")

ONWARD: Final = tuple(f"_*8{'X' * digits}{why}" for digits in range(1, 16) for why in ("", "*[123]"))
"""What puts a caller through to a 所管課 (`cti.routing.onward`)."""

RING_SECONDS: Final = 120

FINGERPRINT: Final = "KIKITORI_POLICIES"
"""The dialplan's global variable that holds the fingerprint of what it was made of."""

LAPS: Final = 3
"""How often the emergency line begins anew for who gives no number: a silent caller must not ring it for ever."""

RINGING: Final = "kikitori-ringing"
"""The class of music that a caller hears while the telephones ring, and the folder of its file."""

SCRIPT: Final = "agi-bin/kikitori-route"

# Asterisk loads modules in the order of their own declared priorities, not of this list.
MODULES: Final = (
    *("pbx_config.so", "app_dial.so", "app_queue.so", "app_mixmonitor.so", "app_stack.so", "res_agi.so"),
    "res_speech.so",  # res_agi is linked against it
    *("app_playback.so", "app_read.so", "app_userevent.so", "app_celgenuserevent.so"),
    *("func_callerid.so", "func_cdr.so", "func_channel.so", "func_cut.so", "func_logic.so", "func_strings.so"),
    *("bridge_simple.so", "bridge_softmix.so", "bridge_holding.so", "bridge_builtin_features.so"),
    *("codec_ulaw.so", "codec_alaw.so", "codec_g722.so", "codec_resample.so", "format_sln.so", "format_pcm.so"),
    *("res_timing_timerfd.so", "res_musiconhold.so", "res_rtp_asterisk.so", "res_pjproject.so"),
    *("res_sorcery_config.so", "res_sorcery_memory.so", "res_sorcery_astdb.so", "chan_pjsip.so", "res_pjsip.so"),
    *("res_pjsip_session.so", "res_pjsip_sdp_rtp.so", "res_pjsip_refer.so", "res_pjsip_registrar.so"),
    *("res_pjsip_authenticator_digest.so", "res_pjsip_endpoint_identifier_ip.so"),
    *("res_pjsip_endpoint_identifier_user.so", "res_pjsip_caller_id.so", "res_pjsip_nat.so", "res_pjsip_rfc3326.so"),
    *("res_pjsip_pubsub.so", "cdr_custom.so", "cel_custom.so", "res_cdrel_custom.so"),
)

NOISY_EVENTS: Final = (
    *("VarSet", "Newexten", "RTCPSent", "RTCPReceived", "DeviceStateChange", "ExtensionStatus", "PresenceStatus"),
    *("PresenceStateChange", "MusicOnHoldStart", "MusicOnHoldStop", "AGIExecStart", "AGIExecEnd", "DTMFBegin"),
    *("DTMFEnd", "ContactStatus", "PeerStatus", "QueueMemberStatus", "MessageWaiting", "TestEvent"),
)

CEL_EVENTS: Final = (
    *("CHAN_START", "ANSWER", "BRIDGE_ENTER", "BRIDGE_EXIT", "HANGUP", "CHAN_END", "LINKEDID_END", "APP_START"),
    *("BLINDTRANSFER", "ATTENDEDTRANSFER", "PICKUP", "LOCAL_OPTIMIZE", "USER_DEFINED"),
)

_CDR_OPTIONS = {"start": ",u", "answer": ",u", "end": ",u", "duration": ",f", "billsec": ",f"}
_CEL_PLAIN = {
    "eventtype": "eventtype",
    "eventtime": "eventtime",
    "eventextra": "eventextra",
    "peer": "BRIDGEPEER",
    "callernum": "CALLERID(num)",
}

_WORD = re.compile(r"[a-z][a-z0-9-]{0,31}")
_PATH = re.compile(r"(/[A-Za-z0-9_+-][A-Za-z0-9_.+-]*)+")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_SECRET = re.compile(r"[A-Za-z0-9_.~+/=-]{12,128}")
_CONTACT = re.compile(r"sip:([A-Za-z0-9_.+-]+@)?(?P<host>\d+\.\d+\.\d+\.\d+)(:\d{1,5})?")
_PHONE = re.compile(r"[1-9][0-9]{1,7}")
_CODECS = frozenset({"ulaw", "alaw", "g722"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What the policies say, as far as a dialplan can know it. `on`: the day from which its own hours count."""

    plan: Plan
    recording: Recording
    routing: Routing
    hours: OpeningHours
    on: date

    @classmethod
    def of(cls, policies: Policies, overrides: Overrides, now: datetime) -> "Decided":
        """Of one folder. Raises PolicyError."""
        return cls(
            plan=policies.plan,
            recording=policies.recording,
            routing=policies.routing,
            hours=policies.opening_hours(overrides),
            on=now.astimezone(JST).date(),
        )

    def fingerprint(self) -> str:
        """Of what a dialplan is made of: the day, and digits that differ where anything else decides."""
        about = set(Policy.model_fields)  # who decided it, and why
        parts = [each.model_dump_json(exclude=about) for each in (self.plan, self.recording, self.routing)]
        parts += [line for lines in self.baseline().values() for line in lines]
        return f"{self.on.isoformat()} {sha256(chr(10).join(parts).encode()).hexdigest()[:16]}"

    def baseline(self) -> dict[str, list[str]]:
        """The dialplan's own opening hours, of each calendar."""
        calendars = self.hours.version(self.on)[0].calendar
        return {calendar.name: baseline.lines(self.hours, calendar.name, self.on) for calendar in calendars}


def _fit(name: str, value: str, pattern: re.Pattern[str], hint: str) -> None:
    if not pattern.fullmatch(value):
        raise PbxConfigError(f"{name} is {value!r}: {hint}")


def _address(name: str, value: str) -> IPv4Address:
    try:
        return IPv4Address(value)
    except ValueError as error:
        raise PbxConfigError(f"{name} is {value!r}: an IPv4 address is needed") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What one PBX has that no policy says: addresses, folders (absolute, as Asterisk sees them) and secrets.

    A phone with a static contact is reached and accepted there, and at no other address; any other phone registers with
    its secret. `gate_socket`: the gate is asked there, by a script that `python` runs; without one, over TCP.
    `absent` names modules that this Asterisk does not have (versions before 22.9 lack res_cdrel_custom).
    """

    name: str
    gate_host: str
    gate_port: int
    ami_bind: str
    ami_port: int
    ami_user: str
    ami_secret: str = field(repr=False)
    sip_bind: str
    sip_port: int
    rtp_start: int
    rtp_end: int
    spool: str
    log_dir: str
    run_dir: str
    var_dir: str
    trunk_match: tuple[str, ...]
    trunk_contact: str
    phone_secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    phone_contacts: Mapping[str, str] = field(default_factory=dict)
    gate_socket: str = ""
    python: str = "/usr/bin/python3"
    codecs: tuple[str, ...] = ("ulaw", "alaw")
    absent: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Raises PbxConfigError for the first value that does not fit."""
        for name in ("name", "ami_user"):
            _fit(name, getattr(self, name), _WORD, "small letters, digits and hyphens, 32 at most")
        for name in (
            "spool",
            "log_dir",
            "run_dir",
            "var_dir",
            "python",
            *(["gate_socket"] if self.gate_socket else []),
        ):
            _fit(name, getattr(self, name), _PATH, "an absolute path of letters, digits and _.+- without '..'")
        # AF_UNIX addresses end at 107 bytes; Asterisk cuts a longer one without a word
        if len(self.run_dir) + len("/asterisk.ctl") > 107:
            raise PbxConfigError(f"run_dir is {self.run_dir!r}: 94 characters at most, the control socket lies in it")
        if len(self.gate_socket) > 107:
            raise PbxConfigError(f"gate_socket is {self.gate_socket!r}: 107 characters at most, it is a socket")
        for name in ("gate_port", "ami_port", "sip_port", "rtp_start", "rtp_end"):
            if not 1 <= getattr(self, name) <= 65535:
                raise PbxConfigError(f"{name} is {getattr(self, name)}: 1 to 65535")
        if self.rtp_end <= self.rtp_start:
            raise PbxConfigError(f"rtp_end ({self.rtp_end}) is not above rtp_start ({self.rtp_start})")
        _fit("gate_host", self.gate_host, _HOST, "a host name or an IPv4 address")
        _address("sip_bind", self.sip_bind)
        if not _address("ami_bind", self.ami_bind).is_loopback:
            raise PbxConfigError(f"ami_bind is {self.ami_bind}: AMI is in the clear, it stays on 127.0.0.0/8")
        self._check_parties()

    def _check_parties(self) -> None:
        if not self.trunk_match:
            raise PbxConfigError("trunk_match is empty: name the addresses that the trunk calls from")
        for match in self.trunk_match:
            try:
                IPv4Network(match)
            except ValueError as error:
                raise PbxConfigError(f"trunk_match has {match!r}: an IPv4 address or network is needed") from error
        for phone, secret in (("ami_secret", self.ami_secret), *self.phone_secrets.items()):
            # the value itself stays out of the message
            if not _SECRET.fullmatch(secret):
                raise PbxConfigError(f"secret of {phone}: 12 to 128 of letters, digits and _.~+/=- are needed")
        for phone, contact in (("trunk_contact", self.trunk_contact), *self.phone_contacts.items()):
            _fit(f"contact of {phone}", contact, _CONTACT, "sip:[user@]IPv4[:port]")
        if not self.codecs or not set(self.codecs) <= _CODECS:
            raise PbxConfigError(f"codecs are {self.codecs!r}: one or more of {', '.join(sorted(_CODECS))}")


def texts(decided: Decided, site: Site, etc: str) -> dict[str, str]:
    """File name -> contents of every configuration file. `etc`: the folder they will lie in, as Asterisk sees it."""
    _fit("etc", etc, _PATH, "an absolute path of letters, digits and _.+- without '..'")
    plan, recording, routing = decided.plan, decided.recording, decided.routing
    values = {
        "etc": etc,
        "site": site,
        "recording": recording,
        "entity": "02:" + sha256(site.name.encode()).digest()[:5].hex(":"),
        "modules": [module for module in MODULES if module not in site.absent],
        "trunk": _trunk(plan),
        "phones": [phone for group in plan.group for phone in _phones(group, site, _shown(group, plan))],
        "groups": [group.name for group in plan.group],
        "queues": [group for group in plan.group if group.strategy == "queue"],
        "numbers": [_number(number, plan) for number in plan.number],
        "centre": _centre(plan),
        "routing": routing,
        "emergency": [_emergency(name, plan) for name in routing.emergency.order],
        "prompts": f"{etc}/prompts",
        "ring_ms": (ring := round(routing.waiting.ring_seconds * 1000)),
        "patience": routing.waiting.rings * ring,
        # Rings are the trunk's own, or the first bars of a music that each caller hears from its beginning.
        "ringing": {"queue": "", "dial": f"m({RINGING})"}
        if routing.waiting.early_media
        else {"queue": "r", "dial": ""},
        "ringing_class": RINGING,
        "fields": FIELDS,
        "laps": LAPS,
        "rendered": decided.on.isoformat(),
        "fingerprint": decided.fingerprint(),
        "baseline": decided.baseline(),
        "record_internal": recording.record_internal,
        "extension": {8000: "sln", 16000: "sln16"}[recording.rate],
        "ring_seconds": RING_SECONDS,
        "noisy": NOISY_EVENTS,
        "cel_events": CEL_EVENTS,
        "outside": OUTSIDE,
        "onward": ONWARD,
        "cdr_fields": ",".join(_quoted(f"CDR({name}{_CDR_OPTIONS.get(name, '')})") for name in CDR_COLUMNS),
        "cel_fields": ",".join(_quoted(_CEL_PLAIN.get(name, f"CHANNEL({name})")) for name in CEL_COLUMNS),
    }
    environment = Environment(  # nosec  # configuration, not HTML
        loader=FileSystemLoader(_templates()),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701  # not HTML; every value is checked before
    )
    names = sorted(name for name in environment.list_templates(extensions=["j2"]))
    return {name.removesuffix(".j2"): environment.get_template(name).render(values) for name in names}


def ringing(routing: Routing, announcement: bytes) -> bytes:
    """What a caller hears while the telephones ring (u-law, 8 kHz): rings, `announcement` at the next one, and rings.

    Japan's ringing tone: 400 Hz that comes and goes 16 times a second, 1 s of it and 2 s of rest.
    """
    period = round(routing.waiting.ring_seconds * 8000)
    on = period // 3
    wave = (
        0.18 * math.sin(2 * math.pi * 400 * index / 8000) * (0.55 + 0.45 * math.sin(2 * math.pi * 16 * index / 8000))
        for index in range(on)
    )
    ring = bytes(map(ulaw, wave)) + b"\xff" * (period - on)
    return ring * routing.waiting.rings + announcement + b"\xff" * 8000 + ring * 20


def ulaw(level: float) -> int:
    """A sample from -1 to 1 as G.711 u-law."""
    sign, linear = (0x00, -level) if level < 0 else (0x80, level)
    biased = min(round(linear * 32635), 32635) + 132
    exponent = biased.bit_length() - 8
    return ~((0x80 - sign) | exponent << 4 | biased >> exponent + 3 & 0x0F) & 0xFF


def hold_tone() -> bytes:
    """What a party on hold hears: 8 s of 8 kHz 16-bit mono, two soft notes and a rest. Our own, hence no licence."""
    samples = array.array("h", bytes(2 * 8 * 8000))
    for start, pitch in ((0, 440.0), (4000, 554.4)):
        for index in range(6400):
            level = 1500 * math.exp(-index / 1600) * min(1.0, index / 80)
            samples[start + index] += round(level * math.sin(2 * math.pi * pitch * index / 8000))
    return samples.tobytes()


def render(
    out: Path, decided: Decided, site: Site, *, prompts: Path | None = None, gid: int | None = None
) -> list[Path]:
    """Write the configuration into `out` (0750, files 0640, group `gid`); the paths written.

    `prompts`: the bureau's own recordings. Each file is replaced whole. Raises PromptError, and PbxConfigError where
    `out` holds files not ours, or changed by hand.
    """
    out = out.absolute()
    files = {name: text.encode() for name, text in texts(decided, site, str(out)).items()}
    files["moh/hold.sln"] = hold_tone()
    files |= prompt_files(prompts)
    files[f"{RINGING}/ringing.ulaw"] = ringing(decided.routing, files["prompts/ja/waiting.ulaw"])
    if site.gate_socket:
        files[SCRIPT] = _script(site.python)
    return rendered.write(
        out,
        files,
        refuse=PbxConfigError,
        folder_mode=0o750,
        mode=lambda name: 0o750 if name == SCRIPT else 0o640,
        gid=gid,
    )


def _templates() -> Path:
    here = Path(__file__).parent
    installed = here / "asterisk_config"
    return installed if installed.is_dir() else here.parent / "asterisk-config"


def _script(python: str) -> bytes:
    """The one-shot script, for that Python: isolated, nothing that lies beside it or in the environment is imported."""
    _, _, program = (_templates() / SCRIPT).read_text("utf-8").partition("\n")
    return f"#!{python} -I\n{program}".encode()


def _quoted(value: str) -> str:
    return f"${{CSV_QUOTE(${{{value}}})}}"


def _trunk(plan: Plan) -> str:
    if len(plan.trunks) != 1:
        raise PbxConfigError(f"trunks are {', '.join(plan.trunks)}: the configuration is made for one trunk")
    if plan.trunks[0] in {"global", "transport"}:
        raise PbxConfigError(f"trunk is named {plan.trunks[0]!r}, which pjsip.conf uses itself: give it another name")
    return plan.trunks[0]


def _dial(phones: Iterable[str]) -> str:
    return "&".join(f"PJSIP/{phone}" for phone in phones)


def _emergency(name: str, plan: Plan) -> dict[str, str]:
    """A destination of the emergency line: a phone of the plan, or a number outside."""
    kind = plan.kind(name)
    if plan.number_of(name) is not None:
        raise PbxConfigError(f"emergency.order has {name!r}: a number of our own, which would call itself for ever")
    if kind is None and re.fullmatch("0[1-9][0-9]{8,9}", name) and not name.startswith("010"):
        return {"name": name, "dial": f"PJSIP/{name}@{_trunk(plan)}"}
    if kind is not Kind.EMERGENCY:
        raise PbxConfigError(
            f"emergency.order has {name!r}: neither a phone of a group of kind emergency nor a number outside"
        )
    return {"name": name, "dial": f"PJSIP/{name}"}


def _number(number: Number, plan: Plan) -> dict[str, object]:
    group = next(group for group in plan.group if group.name == number.group)
    digits = number.digits
    return {
        "digits": digits,
        "forms": [f"+81{digits[1:]}"] if digits.startswith("0") else [],
        "designated": number.designated,
        "group": group.name,
        "queue": group.strategy == "queue",
        "dial": _dial(group.phones),
        "hours": number.hours,
        "choose": number.choose,
    }


def _shown(group: Group, plan: Plan) -> str:
    """What is shown to whoever is called outside: the group's number, or for one that has none the centre's."""
    own = next((number.digits for number in plan.number if number.group == group.name), None)
    return own or _centre(plan)


def _centre(plan: Plan) -> str:
    return next((number.digits for number in plan.number if number.hours == "centre"), plan.number[0].digits)


def _phones(group: Group, site: Site, shown: str) -> list[dict[str, str]]:
    if group.name == "general":
        raise PbxConfigError("a group is named 'general', which queues.conf uses itself: give it another name")
    phones = []
    for name in group.phones:
        _fit(f"phone of group {group.name}", name, _PHONE, "its name is its extension: 2 to 8 digits, the first not 0")
        contact, secret = site.phone_contacts.get(name, ""), site.phone_secrets.get(name, "")
        if not contact and not secret:
            raise PbxConfigError(f"phone {name} has neither a secret (phone_secrets) nor a contact (phone_contacts)")
        match = _CONTACT.fullmatch(contact)
        phone = {"name": name, "kind": group.kind.value, "group": group.name, "contact": contact, "secret": secret}
        phones.append(phone | {"host": match["host"] if match else "", "shown": shown})
    return phones
