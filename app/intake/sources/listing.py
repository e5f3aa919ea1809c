"""Listing a source: every entry of a folder, of the archives in it, or of one file that holds many."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from app.intake import folders
from app.intake.sources import parquet
from app.intake.sources.archives import walk_archive
from app.intake.sources.entry import Entry
from app.intake.sources.naming import PARQUETS, tidy

Beat = Callable[[], None]


def walk(source: str, beat: Beat = lambda: None) -> Iterator[Entry]:
    """Every entry of a source, which is a folder or one file of this machine, in an order that is always the same.

    `beat` is called at every one, and may raise to end the walk. What cannot be read is an entry that says why.
    """
    place = Path(source)
    entries = folders.walk(place, beat) if place.is_dir() else [Entry("archive", place, tidy(place.name))]
    for entry in entries:
        if entry.kind == "archive":
            yield from expand(entry, beat)
        else:
            yield entry


def expand(entry: Entry, beat: Beat) -> Iterator[Entry]:
    """What a file that holds many others holds."""
    if PurePosixPath(entry.name.lower()).suffix in PARQUETS:
        yield from parquet.walk_parquet(entry.path, entry.name, beat)
    else:
        yield from walk_archive(entry.path, entry.name, beat)
