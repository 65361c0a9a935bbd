"""An installation on which nothing is wrong: tests change one thing of it."""

from datetime import UTC, datetime
from pathlib import Path

from cti import users
from cti.doctor import rights
from cti.doctor.seen import CelSeen, Conf, Endpoint, GateSeen, HoursSeen, PbxSeen, ProcessSeen, Seen, SpoolSeen
from cti.doctor.want import Want
from cti.pbxconfig import MODULES, NOISY_EVENTS, Decided
from cti.places import Owned
from cti.settings import Settings
from policies.load import Policies, shipped
from policies.overrides import Overrides

POLICIES = Policies(shipped())
DECIDED = Decided.of(POLICIES, Overrides(), datetime(2026, 11, 20, tzinfo=UTC))
WANT = Want.of(Settings(), POLICIES.plan, POLICIES.recording)
FILTER = f"!^Event: ({'|'.join(NOISY_EVENTS)})[^A-Za-z]"
SPOOL = Path("/srv/kikitori/spool")

CONF = Conf(
    general={"enabled": "yes", "timestampevents": "yes"},
    user=(("read", "system,call,agent,user"), ("write", "system,call,originate"), ("eventfilter", FILTER)),
)
PBX = PbxSeen(
    version="22.10.1+dfsg",
    name="pbx1",
    actions={name: frozenset({right}) for right, name in rights.WITNESS.items()}
    | {"Ping": frozenset(), "CoreSettings": frozenset({"system", "reporting"})},
    modules=dict.fromkeys(MODULES, True),
    conf=CONF,
    stamped=True,
    ahead=0.002,
    heard={"FullyBooted": 1, "Reload": 1},
    endpoints=dict.fromkeys(WANT.endpoints, Endpoint(codecs=("ulaw", "alaw"), direct_media=False)),
    calls=3,
    uptime=600.0,
    policies=DECIDED.fingerprint(),
)
SEEN = Seen(
    pbx=PBX,
    spool=SpoolSeen(
        path=SPOOL,
        mountinfo=f"22 1 0:21 / / rw - ext4 /dev/sda rw\n36 22 0:35 / {SPOOL} rw - tmpfs x rw,noswap,size=2g\n",
        swaps="Filename Type Size Used Priority\n",
        free=2 << 30,
        size=2 << 30,
        audio=Owned("kikitori-recorder", users.SPOOL, 0o2770),
        open=Owned("kikitori-recorder", users.SPOOL, 0o700),
        foreign=(),
    ),
    asterisk=ProcessSeen(user="asterisk", umask=0o007, groups=frozenset({"asterisk", users.SPOOL})),
    gate=GateSeen(answer="no", seconds=0.5),
    recorder={"in_step": True, "trouble": None, "events_dropped": 0, "events_tampered": 0},
    cel=CelSeen(path=Path("/var/log/asterisk/cel.csv"), size=1000, age=30.0),
    hours=HoursSeen(
        state="open", until=datetime(2027, 1, 4, 11, tzinfo=UTC), trouble=None, year=2027, holidays="table"
    ),
    decided=DECIDED,
)
