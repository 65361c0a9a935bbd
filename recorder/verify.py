"""Is everything in the vault what its manifests say? Names the file and what is wrong with it, exactly.

Without an identity, everything that a signature or a hash covers is checked; with one, every chunk is opened too.
"""

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recorder import callfile
from recorder.catalogue import row
from recorder.replay import Player
from recorder.vault.errors import PayloadError, VaultError
from recorder.vault.folder import LINES, VaultFolder, is_segment_name, split_name
from recorder.vault.keys import Keys
from recorder.vault.manifest import Manifest, ManifestError, digest, load
from recorder.vault.note import Verifier
from recorder.vault.stream import Reader

UNFINISHED = "has no end: the recorder ends it when it starts; after a power failure `kikitori recover` does"
KINDS = ("agebody", "manifest", "tail0", "tail1")
BOTH = "lies on both media: `kikitori catalogue rebuild`, then `kikitori retention run`, takes it from here"
LEFT_OVER = "is finished, and its tails are left over; `kikitori recover` removes them"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is not as it should be. `what` is a file, with a slot or an entry where that is meant."""

    what: str
    problem: str


class Verifying:
    """Checks segments one by one; the caller decides which and shows progress."""

    def __init__(self, vault: VaultFolder, verifiers: Sequence[Verifier], keys: Keys | None) -> None:
        """`keys` as for `Player`; None leaves the chunks closed."""
        self.vault, self.verifiers = vault, verifiers
        self._player = Player(vault, keys) if keys is not None else None

    def slots(self) -> Iterator[Finding]:
        """The slot file and its mirror."""
        for finding in self.vault.slots.check():
            copies = {"primary": [self.vault.slots.primary], "mirror": [self.vault.slots.mirror]}
            paths = copies.get(finding.copy, [self.vault.slots.primary, self.vault.slots.mirror])
            where = ", ".join(f"{path}: slot {finding.slot}" for path in paths)
            problem = "the two copies differ" if finding.what == "differ" else f"is {finding.what}"
            yield Finding(what=where, problem=problem)

    def segment(self, path: Path) -> Iterator[Finding]:
        """One segment: its manifest at `path`, its body, its slot."""
        try:
            manifest = load(path.read_text("utf-8"), self.verifiers, str(path))
        except (ManifestError, OSError, UnicodeDecodeError) as error:
            yield Finding(what=str(path), problem=str(error))
            return
        if path != self.vault.manifest_path(manifest.recording, manifest.segment):
            yield Finding(
                what=str(path), problem=f"is the manifest of {manifest.recording}, segment {manifest.segment}"
            )
            return
        damage = list(self._body(manifest))
        yield from damage
        if self._player is not None:
            yield from self._chunks(manifest, self._player, intact=not damage)

    def _body(self, manifest: Manifest) -> Iterator[Finding]:
        where = self.vault.where(manifest.recording, manifest.segment)
        try:
            with self.vault.open_body(manifest.recording, manifest.segment) as file:
                found, size = hashlib.file_digest(file, "sha256").hexdigest(), file.tell()
        except OSError as error:
            yield Finding(what=where, problem=f"cannot be read: {error.strerror}")
            return
        if found != manifest.body_sha256:
            problem = f"has {size} bytes, its manifest says {manifest.body_size}"
            if size == manifest.body_size:
                problem = "was changed: its SHA-256 is not the one that its manifest names"
            yield Finding(what=where, problem=problem)

    def _chunks(self, manifest: Manifest, player: Player, *, intact: bool) -> Iterator[Finding]:
        slot = f"{self.vault.slots.primary}: slot {manifest.slot}"
        try:
            key = player.file_key(manifest)
        except VaultError as error:
            yield Finding(what=slot, problem=str(error))
            return
        try:
            with player.body(manifest) as file:
                reader = Reader(file, key)
                while reader.read(1 << 20):
                    pass
        except PayloadError as error:
            # A body that is the one its manifest names opens with its own key.
            problem = f"holds the key of another segment than {manifest.recording}.{manifest.segment:03d}"
            yield (
                Finding(what=slot, problem=problem)
                if intact
                else Finding(what=self.vault.where(manifest.recording, manifest.segment), problem=str(error))
            )
        except (VaultError, OSError) as error:
            yield Finding(what=self.vault.where(manifest.recording, manifest.segment), problem=str(error))

    def strays(self, unfinished: Collection[str]) -> Iterator[Finding]:
        """The segments of `unfinished`, which nobody is writing, and files that belong to none."""
        for folder in sorted((self.vault.root / "segments").iterdir()):
            names = {path.name for path in folder.iterdir()}
            for name in sorted(names):
                stem, _, kind = name.rpartition(".")
                tails = not names.isdisjoint({f"{stem}.tail0", f"{stem}.tail1"})
                if kind == "agebody" and stem in unfinished:
                    ended = LEFT_OVER if f"{stem}.manifest" in names else "no manifest speaks of it"
                    problem = UNFINISHED if tails and f"{stem}.manifest" not in names else ended
                    yield Finding(what=str(folder / name), problem=problem)
                elif kind in ("tail0", "tail1") and f"{stem}.agebody" not in names:
                    yield Finding(what=str(folder / name), problem="has no body")
                elif kind not in KINDS or not is_segment_name(stem):
                    yield Finding(what=str(folder / name), problem="is no file of a vault")

    def second(self) -> Iterator[Finding]:
        """Files on the second medium that belong to no segment of the vault, and bodies that lie on both."""
        both = []
        for name in self.vault.second.names():
            stem, _, kind = name.rpartition(".")
            known = is_segment_name(stem) and self.vault.manifest_path(*split_name(stem)).exists()
            if kind not in ("agebody", "manifest") or not known:
                yield Finding(what=self.vault.second.where(name), problem="belongs to no segment of the vault")
            elif kind == "agebody" and self.vault.body_path(*split_name(stem)).exists():
                both.append(self.vault.body_path(*split_name(stem)))
        for path in both:
            if path.exists():  # still: it was not on its way just now
                yield Finding(what=str(path), problem=BOTH)

    def lines(self) -> Iterator[Finding]:
        """Every line of every file of call records, of steps, of promises kept and of holds."""
        for folder in LINES:
            for path in sorted((self.vault.root / folder).glob("*.jsonl")):
                for line, problem in callfile.check(path):
                    yield Finding(what=f"{path}:{line}", problem=problem)

    def index(self, catalogue: Mapping[str, Mapping[str, Any]]) -> Iterator[Finding]:
        """The catalogue (segment name -> its row) against the folder."""
        here = {path.name.removesuffix(".manifest"): path for path in self.vault.manifests()}
        for name in sorted(catalogue.keys() - here.keys()):
            yield Finding(what=f"catalogue: {name}", problem="the vault has no manifest of this name")
        for name in sorted(here.keys() - catalogue.keys()):
            yield Finding(what=f"catalogue: {name}", problem="is missing; `kikitori catalogue rebuild` adds it")
        for name in sorted(here.keys() & catalogue.keys()):
            text = here[name].read_text("utf-8", errors="replace")
            if digest(text) != catalogue[name]["manifest_sha256"]:
                yield Finding(what=f"catalogue: {name}", problem="knows another manifest than the one in the vault")
                continue
            try:
                expected = row(name, load(text, self.verifiers, str(here[name])), digest(text))
            except ManifestError:
                continue  # said already, of the manifest
            if wrong := [field for field, value in expected.items() if catalogue[name][field] != value]:
                problem = f"{', '.join(wrong)}: not what the manifest says; `kikitori catalogue rebuild` puts it right"
                yield Finding(what=f"catalogue: {name}", problem=problem)

    def logged(self, entries: Mapping[str, Collection[str]]) -> Iterator[Finding]:
        """What the access log says was sealed (segment name -> SHA-256 of each manifest) against the folder."""
        untold = set(self.vault.waiting("log"))
        here = {path.name.removesuffix(".manifest"): path for path in self.vault.manifests()}
        for name in sorted(name for name, manifests in entries.items() if len(manifests) > 1):
            yield Finding(what=f"access log: {name}", problem="was sealed twice, with different manifests")
        for name in sorted(entries.keys() - here.keys()):
            yield Finding(what=f"access log: {name}", problem="was sealed, and its manifest is gone from the vault")
        for name, path in here.items():
            if name not in entries and name not in untold:
                yield Finding(what=str(path), problem="the access log does not know it")
            elif name in entries and digest(path.read_text("utf-8", errors="replace")) not in entries[name]:
                yield Finding(what=str(path), problem="is not the manifest that the access log names")
