"""Walks a folder for product photos without leaving it: nothing hidden, no links out, regular files only."""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, Literal

MAX_NAME: Final = 500

# What people call pictures; files so named are told about even where they cannot be taken in.
_PICTURE_NAMES: Final = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".tif", ".tiff", ".bmp", ".dib", ".gif", ".heic", ".heif",
    ".avif", ".psd", ".svg", ".jxl", ".jp2", ".tga", ".raw", ".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".rw2",
    ".eps", ".ai",
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


def walk(folder: Path) -> Iterator[Met]:
    """Everything below `folder` in the order of names, without folders themselves, hidden files and `__MACOSX`."""
    root = folder.resolve()
    troubles: list[OSError] = []
    for place, folders, files in os.walk(root, onerror=troubles.append):
        here = Path(place)
        for name in sorted(folders):
            if (here / name).is_symlink() and not _is_hidden(name):
                yield _refused(root, here / name, "A link to a folder; such links are not followed.")
        folders[:] = sorted(name for name in folders if not _is_hidden(name))
        for name in sorted(files):
            if not _is_hidden(name):
                yield _look(root, here / name)
    for trouble in troubles:
        yield _refused(root, Path(str(trouble.filename)), "The folder cannot be read.")


def shown(root: Path, path: Path) -> str:
    """The path of a file relative to the root, fit for the database and the screen."""
    name = PurePosixPath(path.relative_to(root)).as_posix()
    name = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    name = "".join("\ufffd" if unicodedata.category(letter) in ("Cc", "Cs") else letter for letter in name)
    name = unicodedata.normalize("NFC", name)
    return name if len(name) <= MAX_NAME else "…" + name[1 - MAX_NAME :]


def _look(root: Path, path: Path) -> Met:
    try:
        if path.is_symlink() and not path.resolve().is_relative_to(root):
            return _refused(root, path, "A link that leaves the folder; such links are not followed.")
        kind = path.stat().st_mode
        if not stat.S_ISREG(kind):
            return Met("other", path, shown(root, path))
        is_picture = path.suffix.lower() in _PICTURE_NAMES or _starts_like_one(path)
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


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"
