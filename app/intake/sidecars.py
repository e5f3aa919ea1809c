"""Sidecars: a text beside each photo, named like it, as kohya's scripts and TagGUI keep captions. Written and read."""

from __future__ import annotations

import io
import posixpath
import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import IO, Final

from app.catalog.table_cells import decoded
from app.errors import Refused
from app.intake.sources.archives import MAX_SIDECAR_BYTES, UnpackAllowance, open_archive
from app.intake.sources.entry import Unopened
from app.intake.sources.naming import PICTURE_NAMES, is_passed_over, tidy

ENDINGS: Final = (".txt", ".caption")
# What no file system of ours or others takes in a name.
_UNFIT: Final = re.compile(r'[\x00-\x1f\x7f:*?"<>|\ud800-\udfff]')
_SENT_AT_ONCE: Final = 1 << 16
_LONGEST: Final = 200
_EARLIEST: Final = (1980, 1, 1, 0, 0, 0)
# Behind the stem where two photos have one name: the beginning of a SHA-256.
_MARKED: Final = re.compile(r"-([0-9a-f]{12})$")
Named = tuple[int, str, str]


def names_of(photos: Iterable[Named]) -> dict[int, str]:
    """What the sidecar of each photo is called, by number: of (number, file name, SHA-256) of a whole catalog.

    "a.txt" beside "a.jpg"; where a catalog has "a.png" too, "a.jpg.txt" and "a.png.txt"; where two photos are both
    called "a.jpg", "a-" and the first 12 digits of their SHA-256. Letter case parts no names, for not every disk tells
    it apart.
    """
    every = [(number, _fit(name), sha256) for number, name, sha256 in photos]
    stems = Counter(_stem(name).casefold() for _, name, _ in every)
    files = Counter(name.casefold() for _, name, _ in every)
    names: dict[int, str] = {}
    taken: set[str] = set()
    # What can be called simply is, whatever others are called; so that the names do not depend on an order.
    ranked = sorted(every, key=lambda row: (stems[_stem(row[1]).casefold()] > 1, files[row[1].casefold()] > 1, row[2]))
    for number, name, sha256 in ranked:
        stem = _stem(name)
        ways = [f"{stem}-{sha256[:12]}.txt", f"{stem}-{sha256}.txt", f"{sha256}.txt"]
        if files[name.casefold()] == 1:
            ways.insert(0, f"{name}.txt")
        if stems[stem.casefold()] == 1:
            ways.insert(0, f"{stem}.txt")
        names[number] = next((way for way in ways if way.casefold() not in taken), f"{sha256}-{number}.txt")
        taken.add(names[number].casefold())
    return names


def _fit(name: str) -> str:
    """A name that leads nowhere else and that every file system takes."""
    parts = [_UNFIT.sub("_", part).strip(" .")[-_LONGEST:] or "_" for part in re.split(r"[/\\]+", name.strip("/\\"))]
    return "/".join(parts)


def _stem(name: str) -> str:
    return posixpath.splitext(name)[0]


class _Sent(io.RawIOBase):
    """What a ZIP is written to when it is sent while it is made."""

    def __init__(self) -> None:
        self.waiting = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self.waiting += data
        return len(data)

    def take(self) -> bytes:
        """What was written since."""
        taken = bytes(self.waiting)
        self.waiting.clear()
        return taken


def packed(texts: Iterable[tuple[str, str]]) -> Iterator[bytes]:
    """A ZIP of texts by name, a piece at a time; the same texts give the same bytes."""
    sent = _Sent()
    with zipfile.ZipFile(sent, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in texts:
            archive.writestr(_info(name), text)
            if len(sent.waiting) > _SENT_AT_ONCE:
                yield sent.take()
    yield sent.take()


def _info(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _EARLIEST)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    return info


def read(file: IO[bytes]) -> Iterator[tuple[str, str, str, str]]:
    """The texts in a ZIP: each name, its text, what was assumed of it, and why there is none; a sentence each.

    Pictures and what programs leave beside them are passed over in silence; of everything else it is said that it is
    no sidecar. Raises Refused where the file is no ZIP, or one that unpacks to more than sidecars do.
    """
    try:
        archive = open_archive(file, is_zip=True)
        allowed = UnpackAllowance(archive.size_bytes)
        try:
            for member in archive.members(allowed):
                allowed.count()
                name = tidy(member.name.replace("\\", "/"))
                ending = PurePosixPath(name.lower()).suffix
                if ending in PICTURE_NAMES or any(is_passed_over(part) for part in name.split("/") if part != ".."):
                    continue
                if refusal := member.reason or _why_not(name, ending, member.size_bytes):
                    yield name, "", "", refusal
                    continue
                with archive.open(member.step) as stream:
                    data = stream.read(MAX_SIDECAR_BYTES + 1)
                yield name, *_text_of(name, data)
        finally:
            archive.close()
    except Unopened as refusal_of_all:
        raise Refused(refusal_of_all.sentence) from None
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, RuntimeError, NotImplementedError):
        raise Refused("The file is no ZIP, or a damaged one. Nothing was brought in.") from None


def _why_not(name: str, ending: str, size_bytes: int) -> str:
    if name.startswith("/") or ".." in name.split("/") or re.match(r"[A-Za-z]:", name):
        return "its name leads out of the archive."
    if ending not in ENDINGS:
        return "it is no sidecar; these end in .txt or .caption."
    if size_bytes > MAX_SIDECAR_BYTES:
        return f"it has {size_bytes:,} bytes; {MAX_SIDECAR_BYTES:,} are the most of a sidecar."
    return ""


def _text_of(name: str, data: bytes) -> tuple[str, str, str]:
    if len(data) > MAX_SIDECAR_BYTES:
        return "", "", f"it unpacks to more than {MAX_SIDECAR_BYTES:,} bytes."
    try:
        return *decoded(name, data), ""
    except Refused as refusal:
        return "", "", refusal.sentence


class Beside:
    """Which photo of a catalog a sidecar stands beside: by the name that an export gives it, or by its own."""

    def __init__(self, photos: Iterable[Named]) -> None:
        every = list(photos)
        self._exported = {name.casefold(): number for number, name in names_of(every).items()}
        self._marked: dict[str, list[int]] = {}
        self._paths: dict[str, list[tuple[str, int]]] = {}
        for number, name, sha256 in every:
            self._marked.setdefault(sha256[:12], []).append(number)
            for path in {way.casefold() for whole in (name, _fit(name)) for way in (whole, _stem(whole))}:
                self._paths.setdefault(posixpath.basename(path), []).append((path, number))

    def of(self, name: str) -> int | str:
        """The number of the photo, or why there is none, in a sentence."""
        exported = self._exported.get(f"{_stem(name)}.txt".casefold())
        if exported is not None:
            return exported
        stem = _stem(name).casefold()
        if (marked := _MARKED.search(stem)) and len(its := self._marked.get(marked[1], [])) == 1:
            return its[0]
        alike = self._paths.get(posixpath.basename(stem), ())
        candidates = {number for path, number in alike if path == stem}
        # A folder may be missing from either, but not be another one.
        candidates = candidates or {
            number for path, number in alike if _ends_with(path, stem) or _ends_with(stem, path)
        }
        if len(candidates) == 1:
            return candidates.pop()
        if candidates:
            return f"{len(candidates)} photos are called so; it may be of any."
        return "no photo is called so."


def _ends_with(path: str, end: str) -> bool:
    return path == end or path.endswith(f"/{end}")
