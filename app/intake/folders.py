"""Walks a folder for product photos without leaving it: nothing hidden, no links out, regular files only.

What other programs leave beside photos is no photo of anybody's: thumbnails of a NAS, recycle bins, leavings of
archives, and the files that Packshot itself keeps. It is passed over as hidden files are.
"""

from __future__ import annotations

import json
import os
import stat
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Final, Literal

from app.errors import Refused
from app.intake import camera_raw
from app.storage import OWN_FOLDERS, is_data_folder

MAX_NAME: Final = 500
# How many files and folders a request looks at before it leaves the rest to the job.
LOOKED_AT: Final = 5_000
# The list of true names beside an upload's files: lines of [name here, true name]. No upload can hold a file so named.
NAMES: Final = ".\x01names.jsonl"

# Synology, QNAP, NetApp, Macs and their archives, Windows, Lightroom, file systems after a repair; in lower case. The
# form gives the same to browsers, which do not send them.
PASSED_OVER: Final = frozenset({
    "@eadir", "#recycle", "#snapshot", "@recycle", "@recently-snapshot", "@__thumb", "@tmp", "~snapshot", "__macosx",
    "network trash folder", "temporary items", "ipod photo cache", "$recycle.bin", "recycler", "recycled", "found.000",
    "system volume information", "lost+found", "thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini",
})  # fmt: skip
PASSED_OVER_ENDS: Final = (".lrdata", ".lrcat-data", "@synoeastream", "@synoresource")

# What people call pictures; files so named are told about even where they cannot be taken in.
_PICTURE_NAMES: Final = camera_raw.SUFFIXES | {
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".tif", ".tiff", ".bmp", ".dib", ".gif", ".heic", ".heif",
    ".hif", ".heics", ".avif", ".psd", ".psb", ".svg", ".svgz", ".jxl", ".jxr", ".jp2", ".jpx", ".jpf", ".j2k", ".tga",
    ".eps", ".ai", ".exr", ".hdr", ".dds", ".qoi", ".xcf", ".pcx", ".ppm", ".pgm", ".pbm", ".pnm", ".ico", ".mpo",
}  # fmt: skip
_ARCHIVES: Final = frozenset({
    ".zip", ".7z", ".rar", ".tar", ".tgz", ".tbz2", ".txz", ".gz", ".bz2", ".xz", ".zst", ".cbz", ".cbr",
})  # fmt: skip
_PICTURE_STARTS: Final = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"RIFF", b"II*\0", b"MM\0*", b"GIF87a", b"GIF89a")


@dataclass(frozen=True, slots=True)
class Met:
    """Something met in a folder: a picture to read, a thing refused with a reason, or something else altogether.

    `name` is its path relative to the folder as people see it: forward slashes, odd bytes and control characters
    replaced, at most 500 characters.
    """

    kind: Literal["picture", "refused", "other"]
    path: Path
    name: str
    reason: str | None = None


def walk(folder: Path, beat: Callable[[], None] = lambda: None) -> Iterator[Met]:
    """Everything below `folder` in the order of names, without folders themselves and what is passed over.

    `beat` is called at every file and folder, and may raise to end the walk.
    """
    root = folder.resolve()
    names = _true_names(root)
    troubles: list[OSError] = []
    for place, folders, files in os.walk(root, onerror=troubles.append):
        beat()
        here = Path(place)
        ours = OWN_FOLDERS if is_data_folder(here) else frozenset()
        kept = [name for name in folders if not _is_passed_over(name) and name not in ours]
        for name in sorted(kept):
            if (here / name).is_symlink():
                yield _refused(root, here / name, "A link to a folder; such links are not followed.")
        folders[:] = sorted(kept)
        for name in sorted(files):
            beat()
            if not _is_passed_over(name):
                met = _look(root, here / name)
                yield replace(met, name=names[met.name]) if met.name in names else met
    for trouble in troubles:
        yield _refused(root, Path(str(trouble.filename)), "The folder cannot be read.")


def holds_none(folder: Path, is_wanted: Callable[[Met], bool]) -> bool:
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


def refuse_outside(folder: Path, roots: Sequence[Path]) -> None:
    """Refuse a folder of this machine that a person names outside the roots, or that Packshot keeps for itself.

    Links are followed first. Raises Refused.
    """
    if "\0" in str(folder):
        raise Refused("A folder's name holds no null character.")
    if not is_within(folder, roots):
        named = ", ".join(str(root) for root in roots)
        raise Refused(
            f"{folder} lies outside the folders that photos may be taken in from ({named}). "
            "PACKSHOT_INTAKE_ROOTS names them."
        )
    real = Path(os.path.realpath(folder))
    for inner in (real, *real.parents):
        if inner.name in OWN_FOLDERS and is_data_folder(inner.parent):
            raise Refused(
                f"{folder} is where Packshot keeps its own files; name the folder that your photos came from."
            )


def shown(root: Path, path: Path) -> str:
    """The path of a file relative to the root, fit for the database and the screen."""
    return _tidy(PurePosixPath(path.relative_to(root)).as_posix())


def _true_names(root: Path) -> dict[str, str]:
    if not (root / NAMES).is_file():
        return {}
    lines = (root / NAMES).read_text(encoding="utf-8").split("\n")
    return {kept: _tidy(name) for kept, name in (json.loads(line) for line in lines if line)}


def _tidy(name: str) -> str:
    name = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    name = "".join("\ufffd" if unicodedata.category(letter) in ("Cc", "Cs") else letter for letter in name)
    return shortened(unicodedata.normalize("NFC", name))


def shortened(name: str) -> str:
    """The path as it is kept and compared: the end of it, where it has more than 500 characters."""
    return name if len(name) <= MAX_NAME else "…" + name[1 - MAX_NAME :]


def _look(root: Path, path: Path) -> Met:
    try:
        if path.is_symlink() and not path.resolve().is_relative_to(root):
            return _refused(root, path, "A link that leaves the folder; such links are not followed.")
        kind = path.stat().st_mode
        is_named_so = path.suffix.lower() in _PICTURE_NAMES
        if not stat.S_ISREG(kind):
            if is_named_so:
                return _refused(root, path, "No plain file: a pipe, a socket or a device.")
            return Met("other", path, shown(root, path))
        if path.suffix.lower() in _ARCHIVES:
            return _refused(root, path, "An archive; unpack it and take in the folder that comes out.")
        is_picture = is_named_so or _starts_like_one(path)
        return Met("picture" if is_picture else "other", path, shown(root, path))
    except FileNotFoundError:
        return _refused(root, path, "A link that leads nowhere." if path.is_symlink() else "The file has vanished.")
    except PermissionError:
        return _refused(root, path, "The file cannot be read: permission denied.")
    except (OSError, RuntimeError):  # a loop of links is a RuntimeError or an OSError, by Python version
        return _refused(root, path, "The file cannot be read.")


def _starts_like_one(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(16).startswith(_PICTURE_STARTS)


def _refused(root: Path, path: Path, reason: str) -> Met:
    return Met("refused", path, shown(root, path), reason)


def _is_passed_over(name: str) -> bool:
    lower = name.lower()
    return name.startswith(".") or lower in PASSED_OVER or lower.endswith(PASSED_OVER_ENDS)
