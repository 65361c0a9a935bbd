"""What settings and policies make of a site: what Asterisk is told, how we reach it, and what is expected of both."""

from pathlib import Path

from cti.ami.client import AmiConfig
from cti.ami.tls import pinned
from cti.doctor.want import Want
from cti.errors import SettingsError
from cti.explain import explain
from cti.i18n import _
from cti.pbxconfig import Site
from cti.places import GATE_SOCKET
from cti.settings import Settings
from policies.load import Policies
from policies.toml import read


def asterisk_site(settings: Settings) -> Site:
    """Addresses, folders and secrets for Asterisk's configuration. Raises SettingsError, PbxConfigError."""
    ours = settings.asterisk
    return Site(
        name=settings.site.pbx,
        gate_host=settings.gate.host,
        gate_port=settings.gate.port,
        gate_socket=str(settings.paths.gate.resolve() / GATE_SOCKET) if ours.gate == "script" else "",
        python=str(ours.python),
        ami_bind=settings.pbx.host,
        ami_port=settings.pbx.port,
        ami_user=settings.pbx.user,
        ami_secret=_secret(settings.pbx.secret_file),
        sip_bind=ours.sip_bind,
        sip_port=ours.sip_port,
        rtp_start=ours.rtp_start,
        rtp_end=ours.rtp_end,
        spool=str(settings.paths.spool.resolve() / "audio"),
        log_dir=str(ours.log_dir),
        run_dir=str(ours.run_dir),
        var_dir=str(ours.var_dir),
        trunk_match=tuple(part.strip() for part in ours.trunk_match.split(",")),
        trunk_contact=ours.trunk_contact,
        phone_secrets={name: str(secret) for name, secret in read(ours.phones_file).values.items()},
    )


def ami_config(settings: Settings, *, user: str | None = None, secret_file: Path | None = None) -> AmiConfig:
    """How the service and every tool reach the manager interface: with the TLS of the settings, or not at all.

    `user` and `secret_file`: another manager user than the settings'. Raises SettingsError, TlsError.
    """
    pbx = settings.pbx
    return AmiConfig(
        host=pbx.host,
        port=pbx.port,
        username=user or pbx.user,
        secret=_other_secret(secret_file) if secret_file else _secret(pbx.secret_file),
        tls=pinned(pbx.ami_tls_ca) if pbx.ami_tls_ca else None,
    )


def want_of(settings: Settings) -> Want:
    """What this installation expects. Raises PolicyError."""
    policies = Policies(settings.paths.policies)
    return Want.of(settings, policies.plan, policies.recording)


def _secret(path: Path) -> str:
    try:
        return path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            _("{error}. [pbx] secret_file names the manager user's secret").format(error=explain(error))
        ) from error


def _other_secret(path: Path) -> str:
    try:
        return path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            _("{error}: the manager user's secret cannot be read").format(error=explain(error))
        ) from error
