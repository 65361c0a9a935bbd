"""The files of holds of a vault, read."""

from pathlib import Path

from retention.holds import Holds, Line, fold, read

_Stamp = tuple[int, int]


class HeldFolder:
    """`<vault>/held`: of files that have not changed since, nothing is read again."""

    def __init__(self, folder: Path) -> None:
        """`folder` may be made later."""
        self.folder = folder
        self._known: tuple[dict[Path, _Stamp], Holds] = ({}, Holds())
        self._lines: dict[Path, tuple[_Stamp, list[Line], list[str]]] = {}

    def now(self) -> Holds:
        """All of them. Raises OSError, also where the folder is not there: no hold may be taken for none."""
        stamps = {path: _stamp(path) for path in sorted(self.folder.iterdir()) if path.suffix == ".jsonl"}
        if stamps != self._known[0]:
            files = {path: self._file(path, stamp) for path, stamp in stamps.items()}
            self._lines = files
            every = list(files.values())
            found = fold(
                (line for _, lines, _ in every for line in lines), [where for *_, unread in every for where in unread]
            )
            self._known = stamps, found
        return self._known[1]

    def _file(self, path: Path, stamp: _Stamp) -> tuple[_Stamp, list[Line], list[str]]:
        before = self._lines.get(path)
        if before is not None and before[0] == stamp:
            return before
        lines, unread = [], []
        for number, text in enumerate(path.read_bytes().split(b"\n"), start=1):
            if (line := read(text)) is not None:
                lines.append(line)
            elif text:
                unread.append(f"{path}:{number}")
        return stamp, lines, unread


def _stamp(path: Path) -> _Stamp:
    found = path.stat()
    return found.st_size, found.st_mtime_ns
