"""A folder of rendered files: whole, known again, and never over what somebody changed by hand."""

import contextlib
import os
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Final

from recorder.vault.folder import replace_whole

MARK: Final = ".kikitori"
"""The file that says that a folder's contents are ours to overwrite: one `sha256  name` line a file."""

Refuse = Callable[[str], Exception]


def write(
    out: Path,
    files: Mapping[str, bytes],
    *,
    refuse: Refuse,
    folder_mode: int,
    mode: Callable[[str], int],
    gid: int | None = None,
) -> list[Path]:
    """Replace each of `files` in `out` whole; the paths written. `mode`: of a file by its name.

    Raises what `refuse` makes of a sentence, where `out` holds files not ours, or changed by hand.
    """
    before = _ours(out, refuse)
    folders = {parent for name in files for parent in (out / name).parents if parent.is_relative_to(out)}
    if linked := [folder for folder in sorted(folders) if folder.is_symlink()]:
        raise refuse(f"{linked[0]} is a link: name another folder or remove it")
    for folder in sorted(folders | {out}):
        folder.mkdir(mode=folder_mode, parents=True, exist_ok=True)
        folder.chmod(folder_mode)
        if gid is not None:
            os.chown(folder, -1, gid)
    # The mark names old and new files before any is touched: whatever is cut short, the folder stays known as ours.
    replace_whole(out / MARK, _marks(files) + _marks_of(before), mode(MARK), gid)
    for name, data in files.items():
        replace_whole(out / name, data, mode(name), gid)
    for name in before.keys() - files.keys():
        (out / name).unlink(missing_ok=True)
    replace_whole(out / MARK, _marks(files), mode(MARK), gid)
    return [out / name for name in files]


def _marks(files: Mapping[str, bytes]) -> bytes:
    return _marks_of({name: {sha256(data).hexdigest()} for name, data in files.items()})


def _marks_of(digests: Mapping[str, set[str]]) -> bytes:
    return "".join(f"{one}  {name}\n" for name in sorted(digests) for one in sorted(digests[name])).encode()


def _ours(out: Path, refuse: Refuse) -> dict[str, set[str]]:
    if not out.exists() or not any(out.iterdir()):
        return {}
    try:
        lines = (out / MARK).read_text().splitlines()
    except FileNotFoundError as error:
        raise refuse(f"{out} is not empty and not made by kikitori: name another folder or empty it") from error
    ours: dict[str, set[str]] = {}
    for line in lines:
        digest, _, name = line.partition("  ")
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise refuse(f"{out / MARK} names a file outside: it was not made by kikitori, name another folder")
        ours.setdefault(name, set()).add(digest)
    for name, digests in ours.items():
        with contextlib.suppress(FileNotFoundError):
            if sha256((out / name).read_bytes()).hexdigest() not in digests:
                raise refuse(f"{out / name} was changed by hand: move the change to the policies, remove the file")
    return ours
