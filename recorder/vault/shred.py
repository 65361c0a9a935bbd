"""The one door through which sound leaves a medium. Whatever passes is proved here, and not by whoever asks."""

from collections.abc import Sequence

from recorder.vault.disk import sync_all
from recorder.vault.errors import VaultError
from recorder.vault.folder import VaultFolder
from recorder.vault.manifest import Manifest
from recorder.vault.second import Moved


class NotProvenError(VaultError):
    """The second medium does not have it as its manifest says: the first keeps it."""

    code = "not-proven"


def leave_first(vault: VaultFolder, segments: Sequence[Manifest], moved: Moved) -> None:
    """Remove the bodies of `segments` from the first medium.

    Each is read from the second medium first, is another file, and is the one that its manifest names (B-16): else
    NotProvenError or SecondMediumError, and none is removed. Raises OSError. `settle` makes it durable.
    """
    paths = [vault.body_path(one.recording, one.segment) for one in segments]
    for one, path in zip(segments, paths, strict=True):
        if vault.second.digest(path.name, path, moved) != one.body_sha256:
            raise NotProvenError(f"{vault.second.where(path.name)}: is not the one that its manifest names")
    for path in paths:
        path.unlink(missing_ok=True)


def settle(vault: VaultFolder) -> None:
    """What `leave_first` removed stays so, whatever becomes of the power. Raises OSError."""
    sync_all(vault.root)
