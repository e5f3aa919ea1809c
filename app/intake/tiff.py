"""The pages of a TIFF, read from its directories alone: which is the picture, and whether it is camera raw.

TIFF 6.0, section 2: a header with the place of the first directory, directories of 12-byte entries, each with the place
of the next; tag 330 (SubIFDs) holds the places of more. BigTIFF has the same with 20-byte entries and 8-byte places.

Values are looked at where they lie and never copied: a small file may tell of the same bytes in a thousand directories.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

MAX_PAGES: Final = 1000
# As many entries as libtiff believes a directory to have (tif_dirread.c).
MAX_ENTRIES: Final = 4096
_WIDTH, _HEIGHT, _COMPRESSION, _PHOTOMETRIC, _KIND = 256, 257, 259, 262, 254
_STRIP_PLACES, _STRIP_SIZES, _TILE_PLACES, _TILE_SIZES = 273, 279, 324, 325
_TILE_WIDTH, _TILE_HEIGHT = 322, 323
_BITS, _SAMPLES, _ROWS, _PLANAR, _FILL_ORDER = 258, 277, 278, 284, 266
_SUB, _JPEG_TABLES, _DNG_VERSION, _CFA_PATTERN = 330, 347, 50706, 33422
_WANTED: Final = frozenset({
    _WIDTH, _HEIGHT, _COMPRESSION, _PHOTOMETRIC, _KIND, _STRIP_PLACES, _STRIP_SIZES, _TILE_PLACES, _TILE_SIZES, _SUB,
    _JPEG_TABLES, _TILE_WIDTH, _TILE_HEIGHT, _BITS, _SAMPLES, _ROWS, _PLANAR, _FILL_ORDER,
})  # fmt: skip
_NUMBERS: Final = {1: "u1", 3: "u2", 4: "u4", 7: "u1", 13: "u4", 16: "u8", 18: "u8"}

Values = np.ndarray[Any, np.dtype[np.unsignedinteger[Any]]]
# A sensor's own pixels (32803 mosaic, 34892 linear), and the compressions that only cameras write: Nikon, Sony and
# Samsung, Pentax, lossy DNG.
_RAW_PHOTOMETRIC: Final = frozenset({32803, 34892})
_RAW_COMPRESSION: Final = frozenset({34713, 32767, 32769, 32770, 65535, 34892})
# A mask (4) is no picture; a reduced one (1) is, where there is no other.
_IS_MASK: Final = 4
DEFLATE: Final = frozenset({8, 32946})
LZW: Final = 5
LZMA: Final = 34925
JPEG: Final = 7
_YCBCR: Final = 6
_NONE: Final[Values] = np.empty(0, np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """One picture of a TIFF: where its directory stands, its size in px, and that of its tiles, 0 where it has none.

    Unpacked, a strip or tile has `piece_bytes`, and each strip with the last rows at least `last_bytes`: that is one of
    `strips`. All three are 0 where the directory does not tell.

    `places` and `sizes`: one whole number for each strip or tile. `tables` are what JPEGs in its strips share, a byte
    each. All three lie in the file.
    """

    place: int
    width_px: int
    height_px: int
    tile_pixels: int
    piece_bytes: int
    last_bytes: int
    strips: int
    compression: int
    is_raw: bool
    is_mask: bool
    places: Values
    sizes: Values
    tables: Values

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.width_px * self.height_px

    @property
    def pieces(self) -> Iterator[tuple[int, int]]:
        """Its strips or tiles as (place, size) in bytes."""
        return ((int(place), int(size)) for place, size in zip(self.places, self.sizes, strict=False))


def is_tiff(data: bytes) -> bool:
    """Whether the bytes begin as a TIFF or BigTIFF does."""
    return data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def pages_of(data: bytes) -> list[Page]:
    """All pages in their order, each followed by those below it; at most `MAX_PAGES`.

    Raises ValueError where a directory leads out of the file.
    """
    is_big = data[2:4] in (b"+\0", b"\0+")
    order = "<" if data[:2] == b"II" else ">"
    place_form = order + ("Q" if is_big else "I")
    waiting = [_unpacked(data, place_form, 8 if is_big else 4)]
    pages: list[Page] = []
    met: set[int] = set()
    while waiting and len(met) < MAX_PAGES:
        place = waiting.pop(0)
        if place == 0 or place in met:
            continue
        met.add(place)
        tags, end = _directory(data, place, order, is_big)
        following = _unpacked(data, place_form, end) if end + struct.calcsize(place_form) <= len(data) else 0
        if page := _page(place, tags):
            pages.append(page)
        waiting[:0] = [*map(int, tags.get(_SUB, _NONE)[:MAX_PAGES]), following]
    return pages


def starting_with(data: bytes, page: Page) -> bytes:
    """The same file with this page as its first."""
    if data[2:4] in (b"+\0", b"\0+"):
        return data[:8] + struct.pack("<Q" if data[:2] == b"II" else ">Q", page.place) + data[16:]
    return data[:4] + struct.pack("<I" if data[:2] == b"II" else ">I", page.place) + data[8:]


def _page(place: int, tags: dict[int, Values]) -> Page | None:
    """The page of a directory; None for one that holds no picture."""
    first = {tag: int(values[0]) for tag, values in tags.items() if values.size}
    if _WIDTH not in first or _HEIGHT not in first:
        return None
    places, sizes = (_TILE_PLACES, _TILE_SIZES) if _TILE_PLACES in tags else (_STRIP_PLACES, _STRIP_SIZES)
    compression = first.get(_COMPRESSION, 1)
    is_raw = (
        _DNG_VERSION in tags or _CFA_PATTERN in tags or compression in _RAW_COMPRESSION
        or first.get(_PHOTOMETRIC) in _RAW_PHOTOMETRIC
    )  # fmt: skip
    return Page(
        place, first.get(_WIDTH, 0), first.get(_HEIGHT, 0), first.get(_TILE_WIDTH, 0) * first.get(_TILE_HEIGHT, 0),
        *_unpacked_bytes(first, tags.get(_BITS, _NONE)), compression, is_raw, bool(first.get(_KIND, 0) & _IS_MASK),
        tags.get(places, _NONE), tags.get(sizes, _NONE), tags.get(_JPEG_TABLES, _NONE),
    )  # fmt: skip


def _unpacked_bytes(first: dict[int, int], bits: Values) -> tuple[int, int, int]:
    """The bytes of a whole strip or tile, of the last strip, and how many strips a picture or plane has; 0: unknown."""
    # Subsampled colours have fewer bytes; bits the other way round are turned before they are unpacked.
    if first.get(_PHOTOMETRIC) == _YCBCR or first.get(_FILL_ORDER, 1) != 1:
        return 0, 0, 0
    samples, is_planar = first.get(_SAMPLES, 1), first.get(_PLANAR, 1) == 2
    depth = first.get(_BITS, 1) if is_planar or bits.size < samples else int(bits[:samples].sum())
    depth *= samples if not is_planar and bits.size < samples else 1
    if first.get(_TILE_WIDTH):
        size = -(-first[_TILE_WIDTH] * depth // 8) * first.get(_TILE_HEIGHT, 0)
        return size, size, 0
    height = first[_HEIGHT]
    rows = max(1, min(first.get(_ROWS, height), height))
    row_bytes, strips = -(-first[_WIDTH] * depth // 8), -(-height // rows)
    return rows * row_bytes, (height - (strips - 1) * rows) * row_bytes, strips


def _directory(data: bytes, place: int, order: str, is_big: bool) -> tuple[dict[int, Values], int]:
    """The wanted whole numbers of a directory by tag, and where it ends; other tags are there without values."""
    count = _unpacked(data, order + ("Q" if is_big else "H"), place)
    start, step = place + (8 if is_big else 2), 20 if is_big else 12
    end = start + count * step
    if end > len(data):
        raise ValueError("a directory leads out of the file")
    if count > MAX_ENTRIES:
        raise ValueError("a directory has more entries than any reader believes")
    return dict(_entries(data, order, is_big, range(start, end, step))), end


def _entries(data: bytes, order: str, is_big: bool, places: range) -> Iterator[tuple[int, Values]]:
    for place in places:
        tag, kind, count = struct.unpack_from(order + ("HHQ" if is_big else "HHI"), data, place)
        values = _NONE
        if tag in _WANTED and kind in _NUMBERS:
            form = np.dtype(order + _NUMBERS[kind])
            within, room = place + (12 if is_big else 8), 8 if is_big else 4
            size = count * form.itemsize
            at = within if size <= room else _unpacked(data, order + ("Q" if is_big else "I"), within)
            if at + size > len(data):
                raise ValueError("a value leads out of the file")
            values = np.frombuffer(data, form, count, at)
        yield tag, values


def _unpacked(data: bytes, form: str, place: int) -> int:
    if place < 0 or place + struct.calcsize(form) > len(data):
        raise ValueError("a place leads out of the file")
    return int(struct.unpack_from(form, data, place)[0])
