"""Names in a source: which things are pictures, archives or nobody's photos, and how names are kept."""

from __future__ import annotations

import unicodedata
from pathlib import PurePosixPath
from typing import Final

from app.intake import camera_raw

MAX_NAME: Final = 500

# Synology, QNAP, NetApp, Macs and their archives, Windows, Lightroom, file systems after a repair; in lower case. The
# form gives the same to browsers, which do not send them.
PASSED_OVER: Final = frozenset({
    "@eadir", "#recycle", "#snapshot", "@recycle", "@recently-snapshot", "@__thumb", "@tmp", "~snapshot", "__macosx",
    "network trash folder", "temporary items", "ipod photo cache", "$recycle.bin", "recycler", "recycled", "found.000",
    "system volume information", "lost+found", "thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini",
})  # fmt: skip
PASSED_OVER_ENDS: Final = (".lrdata", ".lrcat-data", "@synoeastream", "@synoresource")

# What people call pictures; files so named are told about even where they cannot be taken in.
PICTURE_NAMES: Final = camera_raw.SUFFIXES | {
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".tif", ".tiff", ".bmp", ".dib", ".gif", ".heic", ".heif",
    ".hif", ".heics", ".avif", ".psd", ".psb", ".svg", ".svgz", ".jxl", ".jxr", ".jp2", ".jpx", ".jpf", ".j2k", ".tga",
    ".eps", ".ai", ".exr", ".hdr", ".dds", ".qoi", ".xcf", ".pcx", ".ppm", ".pgm", ".pbm", ".pnm", ".ico", ".mpo",
}  # fmt: skip
# Files that hold many others, and are opened.
ZIPS: Final = frozenset({".zip", ".cbz"})
TARS: Final = frozenset({
    ".tar", ".tgz", ".tbz", ".tbz2", ".txz", ".tzst", ".gz", ".bz2", ".xz", ".zst", ".lz4", ".cbt",
})  # fmt: skip
PARQUETS: Final = frozenset({".parquet"})
UNREAD_ARCHIVES: Final = frozenset({".7z", ".rar", ".cbr", ".cb7", ".lzma", ".lz", ".z", ".arj", ".cab"})
UNREAD_ARCHIVE: Final = "An archive of a kind that is not read: ZIP and TAR are. Unpack it and take in the folder."
_PICTURE_STARTS: Final = (
    b"\xff\xd8\xff", b"\x89PNG\r\n", b"RIFF", b"II*\0", b"MM\0*", b"GIF87a", b"GIF89a", b"\xff\x0a", b"\0\0\0\x0cJXL ",
)  # fmt: skip
# HEIC's and AVIF's brands (`heif.py`), as phones and shops write them.
_PICTURE_BRANDS: Final = (b"ftypheic", b"ftypheix", b"ftypavif", b"ftypmif1")


def tidy(name: str) -> str:
    """A path fit for the database and the screen: Unicode composed, odd bytes and control characters replaced."""
    name = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    name = "".join("\ufffd" if unicodedata.category(letter) in ("Cc", "Cs") else letter for letter in name)
    return shortened(unicodedata.normalize("NFC", name))


def shortened(name: str) -> str:
    """The path as it is kept and compared: the end of it, where it has more than 500 characters."""
    return name if len(name) <= MAX_NAME else "…" + name[1 - MAX_NAME :]


def is_passed_over(name: str) -> bool:
    """Whether a file or folder of this own name is hidden, or what other programs leave beside photos."""
    lower = name.lower()
    return name.startswith(".") or lower in PASSED_OVER or lower.endswith(PASSED_OVER_ENDS)


def starts_like_picture(head: bytes) -> bool:
    """Whether a file's first 16 bytes are those of a picture, whatever it is called."""
    return head.startswith(_PICTURE_STARTS) or head.startswith(_PICTURE_BRANDS, 4)


def holds_many(name: str) -> bool:
    """Whether a file of this name is an archive that is opened, or a table that may hold pictures."""
    return PurePosixPath(name.lower()).suffix in ZIPS | TARS | PARQUETS
