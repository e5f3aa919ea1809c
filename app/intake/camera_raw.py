"""Telling camera raw by its content: what a sensor saw, which is no picture before somebody developed it.

Most kinds are TIFF inside and open as their small preview, so they are told before any reader sees them.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Final

from app.intake import tiff

SUFFIXES: Final = frozenset({
    ".3fr", ".ari", ".arw", ".bay", ".cap", ".cr2", ".cr3", ".crw", ".cs1", ".dcr", ".dcs", ".dng", ".drf", ".eip",
    ".erf", ".fff", ".gpr", ".iiq", ".k25", ".kdc", ".mdc", ".mef", ".mos", ".mrw", ".nef", ".nrw", ".orf", ".ori",
    ".pef", ".ptx", ".pxn", ".qtk", ".raf", ".raw", ".rw2", ".rwl", ".rwz", ".sr2", ".srf", ".srw", ".x3f",
})  # fmt: skip
# Fujifilm, Olympus, Panasonic and Leica, Sigma, Minolta, Canon before 2004.
_BEGINNINGS: Final = (
    b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FOVb", b"\0MRM", b"II\x1a\0\0\0HEAPCCDR",
)  # fmt: skip


def is_named_so(name: str) -> bool:
    """Whether a file is called as cameras call their raw files."""
    return PurePosixPath(name).suffix.lower() in SUFFIXES


def is_raw(data: bytes, name: str = "") -> bool:
    """Whether these bytes are camera raw.

    A TIFF is raw where a directory of it says so; one whose directories do not is raw where its name does, for some
    cameras leave no other trace.
    """
    if data.startswith(_BEGINNINGS) or data[4:12] == b"ftypcrx ":
        return True
    if not tiff.is_tiff(data):
        return False
    if data[8:10] == b"CR" or is_named_so(name):
        return True
    try:
        return any(page.is_raw for page in tiff.pages_of(data))
    except (ValueError, LookupError, ArithmeticError):
        return False
