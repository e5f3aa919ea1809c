"""Listing a source: every entry of a folder, of the archives in it, or of one file that holds many."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path, PurePosixPath

from app.intake import folders
from app.intake.metadata import is_address, read_metadata
from app.intake.sources.archives import walk_archive
from app.intake.sources.entry import Entry
from app.intake.sources.naming import PARQUETS, tidy
from app.intake.table_rows import KINDS

Beat = Callable[[], None]


def walk(source: str, beat: Beat = lambda: None) -> Iterator[Entry]:
    """Every entry of a source, which is a folder or one file of this machine, in an order that is always the same.

    `beat` is called at every one, and may raise to end the walk. What cannot be read is an entry that says why.
    """
    place = Path(source)
    if not place.is_dir():
        yield from _walk_file(place, beat)
        return
    # Only what is replaced in odd names can make two names in a folder one.
    odd = set[str]()
    for entry in folders.walk(place, beat):
        if entry.kind != "archive":
            yield entry if entry.name.isascii() else told_apart(entry, odd)
        else:
            yield from opened(entry, beat)


def opened(entry: Entry, beat: Beat) -> Iterator[Entry]:
    """An entry of a folder, or what it holds where it holds many."""
    if entry.kind != "archive":
        yield entry
        return
    met = set[str]()
    for member in expand(entry, beat):
        yield told_apart(member, met)


def told_apart(entry: Entry, met: set[str]) -> Entry:
    """A picture that is called like one that was met before it gets a number, for a name is what people know it by."""
    if entry.kind not in ("picture", "refused"):
        return entry
    name, number = entry.name, 2
    stem, suffix = posixpath.splitext(name)
    while name in met:
        name, number = f"{stem} ({number}){suffix}", number + 1
    met.add(name)
    return entry if name == entry.name else replace(entry, name=name)


def _walk_file(place: Path, beat: Beat) -> Iterator[Entry]:
    """What one file holds: an archive its members, a Parquet file its pictures, a table of photos those it names."""
    whole = Entry("archive", place, tidy(place.name))
    suffix = place.suffix.lower()
    entries = list(islice(expand(whole, beat), 1)) if suffix in PARQUETS else []
    if suffix not in KINDS or (entries and entries[0].kind != "other"):
        yield from opened(whole, beat)
        return
    yield from _walk_table(Entry("other", place, whole.name, is_catalogue=True), beat)


def _walk_table(table: Entry, beat: Beat) -> Iterator[Entry]:
    """A table of photos, and the files below its folder that it names. Raises Refused for a table with a mistake."""
    yield table
    root = table.path.parent.resolve()
    for key, row in read_metadata([table]).by_key.items():
        beat()
        if is_address(row.name):
            continue
        path = Path(os.path.normpath(root / key))
        if not path.is_relative_to(root):
            yield Entry("refused", path, tidy(key), "It lies outside the folder of the table that names it.")
        # What is not there is said of the row.
        elif os.path.lexists(path):
            yield folders.look(root, path)


def expand(entry: Entry, beat: Beat) -> Iterator[Entry]:
    """What a file that holds many others holds."""
    if PurePosixPath(entry.name.lower()).suffix in PARQUETS:
        # Only who meets such a file needs it, and the web process, which lists no sources, is spared 30 MB.
        from app.intake.sources.parquet import walk_parquet

        yield from walk_parquet(entry.path, entry.name, beat)
    else:
        yield from walk_archive(entry.path, entry.name, beat)
