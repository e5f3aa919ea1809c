"""Walks a folder for product photos without leaving it: nothing hidden, no links out, regular files only.

What other programs leave beside photos is no photo of anybody's: thumbnails of a NAS, recycle bins, leavings of
archives, and the files that Packshot itself keeps. It is passed over as hidden files are.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Final

from app.errors import Refused
from app.intake.sources.entry import Entry
from app.intake.sources.naming import (
    PICTURE_NAMES,
    UNREAD_ARCHIVE,
    UNREAD_ARCHIVES,
    holds_many,
    is_passed_over,
    starts_like_picture,
    tidy,
)
from app.storage import OWN_FOLDERS, is_data_folder

# How many files and folders a request looks at before it leaves the rest to the job.
LOOKED_AT: Final = 5_000
# The list of true names beside an upload's files: lines of [name here, true name]. No upload can hold a file so named.
NAMES: Final = ".\x01names.jsonl"


def walk(folder: Path, beat: Callable[[], None] = lambda: None) -> Iterator[Entry]:
    """Everything below `folder` in the order of names, without folders themselves and what is passed over.

    Archives are told as such and not opened (see `sources.listing`).
    `beat` is called at every file and folder, and may raise to end the walk.
    """
    root = folder.resolve()
    names = _true_names(root)
    troubles: list[OSError] = []
    for place, folders, files in os.walk(root, onerror=troubles.append):
        beat()
        here = Path(place)
        ours = OWN_FOLDERS if is_data_folder(here) else frozenset()
        kept = [name for name in folders if not is_passed_over(name) and name not in ours]
        for name in sorted(kept):
            if (here / name).is_symlink():
                yield _refused(root, here / name, "A link to a folder; such links are not followed.")
        folders[:] = sorted(kept)
        for name in sorted(files):
            beat()
            if not is_passed_over(name):
                met = look(root, here / name)
                yield replace(met, name=names[met.name]) if met.name in names else met
    for trouble in troubles:
        yield _refused(root, Path(str(trouble.filename)), "The folder cannot be read.")


def holds_none(folder: Path, is_wanted: Callable[[Entry], bool]) -> bool:
    """Whether the whole folder was looked through and nothing was wanted; a large one is not looked through."""
    left = LOOKED_AT

    def count() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise _LookedEnough

    try:
        return not any(is_wanted(met) for met in walk(folder, count))
    except _LookedEnough:
        return False


class _LookedEnough(Exception):
    pass


def is_within(folder: Path, roots: Sequence[Path]) -> bool:
    """Whether a folder lies in one of the roots, links followed."""
    real = Path(os.path.realpath(folder))
    return any(real.is_relative_to(os.path.realpath(root)) for root in roots)


def outside(folder: Path, roots: Sequence[Path]) -> Refused:
    """What is said of a folder outside the roots."""
    named = ", ".join(str(root) for root in roots)
    return Refused(
        f"{folder} lies outside the folders that photos may be taken in from ({named}). "
        "PACKSHOT_INTAKE_ROOTS names them."
    )


def refuse_outside(folder: Path, roots: Sequence[Path]) -> None:
    """Refuse a folder of this machine that a person names outside the roots, or that Packshot keeps for itself.

    Links are followed first. Raises Refused.
    """
    if "\0" in str(folder):
        raise Refused("A folder's name holds no null character.")
    if not is_within(folder, roots):
        raise outside(folder, roots)
    real = Path(os.path.realpath(folder))
    for inner in (real, *real.parents):
        if inner.name in OWN_FOLDERS and is_data_folder(inner.parent):
            raise Refused(
                f"{folder} is where Packshot keeps its own files; name the folder that your photos came from."
            )


def shown(root: Path, path: Path) -> str:
    """The path of a file relative to the root, fit for the database and the screen."""
    return tidy(PurePosixPath(path.relative_to(root)).as_posix())


def _true_names(root: Path) -> dict[str, str]:
    if not (root / NAMES).is_file():
        return {}
    lines = (root / NAMES).read_text(encoding="utf-8").split("\n")
    return {kept: tidy(name) for kept, name in (json.loads(line) for line in lines if line)}


def look(root: Path, path: Path) -> Entry:
    """What lies at a path below the resolved folder `root`."""
    try:
        if path.is_symlink() and not path.resolve().is_relative_to(root):
            return _refused(root, path, "A link that leaves the folder; such links are not followed.")
        kind = path.stat().st_mode
        is_named_so = path.suffix.lower() in PICTURE_NAMES
        if not stat.S_ISREG(kind):
            if is_named_so:
                return _refused(root, path, "No plain file: a pipe, a socket or a device.")
            return Entry("other", path, shown(root, path))
        if holds_many(path.name):
            return Entry("archive", path, shown(root, path))
        if path.suffix.lower() in UNREAD_ARCHIVES:
            return _refused(root, path, UNREAD_ARCHIVE)
        is_picture = is_named_so or _starts_like_one(path)
        return Entry("picture" if is_picture else "other", path, shown(root, path))
    except FileNotFoundError:
        return _refused(root, path, "A link that leads nowhere." if path.is_symlink() else "The file has vanished.")
    except PermissionError:
        return _refused(root, path, "The file cannot be read: permission denied.")
    except (OSError, RuntimeError):  # a loop of links is a RuntimeError or an OSError, by Python version
        return _refused(root, path, "The file cannot be read.")


def _starts_like_one(path: Path) -> bool:
    with path.open("rb") as file:
        return starts_like_picture(file.read(16))


def _refused(root: Path, path: Path, reason: str) -> Entry:
    return Entry("refused", path, shown(root, path), reason)
