"""The one door through which sound leaves a medium. Whatever passes is proved here, and not by whoever asks."""

from collections.abc import Sequence

from recorder.vault.disk import sync_all
from recorder.vault.errors import VaultError
from recorder.vault.folder import VaultFolder, body_name
from recorder.vault.manifest import Manifest
from recorder.vault.second import Moved


class NotProvenError(VaultError):
    """The second medium does not have it as its manifest says: the first keeps it."""

    code = "not-proven"


def leave_first(vault: VaultFolder, segments: Sequence[Manifest], moved: Moved) -> int:
    """Remove the bodies of `segments` from the first medium; how many lay there.

    Each is read from the second medium first, and is the one that its manifest names (B-16): else NotProvenError, and
    none is removed. Raises OSError. `settle` makes it durable.
    """
    for one in segments:
        name = body_name(one.recording, one.segment)
        found, where = vault.second.digest(name, moved), vault.second.where(name)
        if found is None:
            raise NotProvenError(f"{where}: is not there")
        if found != one.body_sha256:
            raise NotProvenError(f"{where}: is not the one that its manifest names")
    paths = [vault.body_path(one.recording, one.segment) for one in segments]
    here = [path for path in paths if path.exists()]
    for path in here:
        path.unlink()
    return len(here)


def settle(vault: VaultFolder) -> None:
    """What `leave_first` removed stays so, whatever becomes of the power. Raises OSError."""
    sync_all(vault.root)
