"""Finding some entries of a source again by their names: refused files that are tried again.

Nothing else is listed: of a folder only the files themselves, the archives that hold them, and the words beside them.
Where a name alone does not tell where its file lies, the source is walked as when it was taken in.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from app.intake import folders
from app.intake.metadata import STEM, is_address, is_metadata
from app.intake.sources import listing
from app.intake.sources.entry import Entry
from app.intake.sources.listing import Beat
from app.intake.sources.naming import is_passed_over
from app.intake.staging import CAPTION_SUFFIXES, is_caption, stem_of

_WORDS: Final = frozenset(CAPTION_SUFFIXES)


class Wanted:
    """Entries that are looked for: those of these names, and what lies below one that was refused whole."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = frozenset(names)
        self._stems = {stem_of(name) for name in self.names}

    def holds(self, name: str) -> bool:
        """Whether an entry of this name is looked for."""
        while name and name not in self.names:
            name = posixpath.dirname(name)
        return bool(name)

    def concerns(self, entry: Entry) -> bool:
        """Whether an entry is looked for, or may say something of one that is."""
        if entry.kind in ("picture", "refused"):
            return self.holds(entry.name)
        if is_caption(entry):
            return stem_of(entry.name) in self._stems or self.holds(entry.name)
        return is_metadata(entry)

    def walk(self, source: str, beat: Beat = lambda: None) -> Iterator[Entry]:
        """What is found of them in a source, and the words beside them."""
        root = Path(source).resolve()
        targets = self._targets(root) if Path(source).is_dir() else None
        if targets is None:
            yield from filter(self.concerns, listing.walk(source, beat))
            return
        places = {root, *(place for target in targets for place in target.parents if place.is_relative_to(root))}
        words = {path for place in sorted(places) for path in self._words_in(root, place)}
        for path in sorted(targets | words):
            beat()
            yield from filter(self.concerns, listing.opened(folders.look(root, path), beat))

    def _targets(self, root: Path) -> set[Path] | None:
        """The files that are or hold what is looked for; None where only a walk can tell."""
        if (root / folders.NAMES).is_file():
            return None
        targets = set[Path]()
        for name in self.names:
            if is_address(name):
                continue
            path = root
            for part in name.split("/"):
                path /= part
                if path.is_symlink() or not path.is_dir():
                    break
            # A folder that could not be read, or a name that was written otherwise to be kept.
            if path.is_dir() or (not os.path.lexists(path) and not name.isascii()):
                return None
            if os.path.lexists(path):
                targets.add(path)
        return targets

    def _words_in(self, root: Path, place: Path) -> Iterator[Path]:
        """The metadata in a folder, and the captions there of what is looked for."""
        with os.scandir(place) as entries:
            for entry in entries:
                own = PurePosixPath(entry.name.lower())
                is_beside = own.suffix in _WORDS and stem_of(folders.shown(root, Path(entry.path))) in self._stems
                if (is_beside or own.stem == STEM) and not is_passed_over(entry.name):
                    yield Path(entry.path)
