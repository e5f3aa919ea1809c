"""The boxes of HEIC and AVIF files (ISO/IEC 23008-12 in 14496-12): what their readers do not say of the main picture.

Their codecs carry no checksum, and libde265 and dav1d hide what they cannot decode. So what can be known of a torn file
lies in its boxes: places that lie outside it, and units that do not fill their items. Pure: bytes in, facts out.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from app.intake.soundness import Damaged

_AVIF_BRANDS: Final = frozenset({b"avif", b"avis"})
_BRANDS: Final = _AVIF_BRANDS | {
    b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1", b"mif2", b"mif3", b"miaf",
}  # fmt: skip
# A phone's photo has some sixty tiles; a table of millions would cost more than its pictures.
MAX_ITEMS: Final = 10_000


@dataclass(slots=True)
class Still:
    """The main picture of a file.

    `code_points`: colour primaries and transfer characteristics by ITU-T H.273, None where the file has a profile or
    names none. `bits` a channel; 0 where the file does not say. `is_turned`: the file asks for a turn or a mirror.
    """

    code_points: tuple[int, int] | None = None
    bits: int = 0
    is_turned: bool = False


@dataclass(slots=True)
class _Meta:
    main: int = 0
    types: dict[int, bytes] = field(default_factory=dict)
    type_places: list[int] = field(default_factory=list)
    places: dict[int, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))
    properties: list[tuple[bytes, int, int]] = field(default_factory=list)
    owned: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    parts: dict[int, list[int]] = field(default_factory=dict)
    data_place: int = 0


def is_heif(data: bytes) -> bool:
    """Whether a file's brand is one of HEIC's or AVIF's."""
    return data[4:8] == b"ftyp" and not _BRANDS.isdisjoint(_brands(data))


def is_avif(data: bytes) -> bool:
    """Whether one of the brands is AVIF's: `mif1` comes first in both kinds."""
    return data[4:8] == b"ftyp" and not _AVIF_BRANDS.isdisjoint(_brands(data))


def _brands(data: bytes) -> list[bytes]:
    end = min(int.from_bytes(data[:4]), len(data), 512)
    return [data[8:12], *(data[place : place + 4] for place in range(16, end - 3, 4))]


def look(data: bytes) -> Still:
    """What the boxes say of the main picture. Raises Damaged where they lead out of the file or its items are torn."""
    try:
        meta = _meta(data)
        _check_items(data, meta)
        return _still(data, meta)
    except (struct.error, IndexError):
        raise Damaged from None


def without_exif(data: bytes) -> bytes:
    """The file with its EXIF blocks out of sight: the boxes alone say how a picture is turned (23008-12, 6.5.10), and
    Pillow refuses an AVIF whose EXIF block is malformed."""
    try:
        places = _meta(data).type_places
    except (Damaged, struct.error, IndexError):
        return data
    if not places:
        return data
    changed = bytearray(data)
    for place in places:
        changed[place : place + 4] = b"skip"
    return bytes(changed)


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Type, beginning of the content and end of each box."""
    while start + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, start)
        inside = start + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, inside)
            inside += 8
        stop = end if size == 0 else start + size
        if stop < inside:
            raise Damaged
        if stop > end:
            raise Damaged(is_cut=end == len(data))
        yield kind, inside, stop
        start = stop


def _meta(data: bytes) -> _Meta:
    meta, has_pixels = _Meta(), False
    for kind, start, end in _boxes(data, 0, len(data)):
        has_pixels |= kind == b"mdat"
        if kind != b"meta":
            continue
        for inner, inside, stop in _boxes(data, start + 4, end):
            if inner == b"pitm":
                meta.main = int.from_bytes(data[inside + 4 : inside + (8 if data[inside] else 6)])
            elif inner == b"iinf":
                _read_types(data, meta, inside, stop)
            elif inner == b"iloc":
                _read_places(data, meta, inside, stop)
            elif inner == b"idat":
                meta.data_place = inside
            elif inner == b"iref":
                _read_parts(data, meta, inside, stop)
            elif inner == b"iprp":
                _read_properties(data, meta, inside, stop)
    if not meta.types and not has_pixels:
        raise Damaged(is_cut=True)
    return meta


def _read_types(data: bytes, meta: _Meta, start: int, end: int) -> None:
    first = start + (6 if data[start] == 0 else 8)
    for kind, inside, _ in _boxes(data, first, end):
        version = data[inside]
        if kind == b"infe" and version >= 2:
            wide = 4 if version == 3 else 2
            place = inside + 4 + wide + 2
            meta.types[int.from_bytes(data[inside + 4 : inside + 4 + wide])] = data[place : place + 4]
            if data[place : place + 4] == b"Exif":
                meta.type_places.append(place)
        if len(meta.types) > MAX_ITEMS:
            raise Damaged


def _read_places(data: bytes, meta: _Meta, start: int, end: int) -> None:
    version = data[start]
    offset_size, length_size = data[start + 4] >> 4, data[start + 4] & 15
    base_size, index_size = data[start + 5] >> 4, data[start + 5] & 15 if version else 0
    wide = 4 if version == 2 else 2
    place = start + 6

    def number(size: int) -> int:
        nonlocal place
        if place + size > end:
            raise Damaged
        place += size
        return int.from_bytes(data[place - size : place])

    for _ in range(min(number(wide), MAX_ITEMS)):
        item = number(wide)
        method = number(2) & 15 if version else 0
        number(2)
        base = number(base_size)
        for _ in range(number(2)):
            number(index_size)
            offset, length = number(offset_size), number(length_size)
            if method < 2:
                # Against the beginning of `idat` where the method says so; known once that box was met.
                meta.places[item].append((base + offset if method == 0 else -1 - base - offset, length))


def _read_parts(data: bytes, meta: _Meta, start: int, end: int) -> None:
    """Which items a grid or an overlay is made of."""
    wide = 4 if data[start] else 2
    for kind, inside, _ in _boxes(data, start + 4, end):
        if kind == b"dimg":
            item = int.from_bytes(data[inside : inside + wide])
            (count,) = struct.unpack_from(">H", data, inside + wide)
            first = inside + wide + 2
            meta.parts[item] = [
                int.from_bytes(data[place : place + wide]) for place in range(first, first + count * wide, wide)
            ]


def _read_properties(data: bytes, meta: _Meta, start: int, end: int) -> None:
    for kind, inside, stop in _boxes(data, start, end):
        if kind == b"ipco":
            meta.properties = list(_boxes(data, inside, stop))
        elif kind == b"ipma":
            wide, is_long = (4 if data[inside] else 2), data[inside + 3] & 1
            (count,) = struct.unpack_from(">I", data, inside + 4)
            place = inside + 8
            for _ in range(min(count, MAX_ITEMS)):
                item = int.from_bytes(data[place : place + wide])
                place += wide
                owned = data[place]
                place += 1
                for _ in range(owned):
                    index = int.from_bytes(data[place : place + 2]) & 0x7FFF if is_long else data[place] & 0x7F
                    meta.owned[item].append(index)
                    place += 2 if is_long else 1
                if place > stop:
                    raise Damaged


def _check_items(data: bytes, meta: _Meta) -> None:
    """Every item lies in the file, and those of the main picture are filled by their units."""
    for pieces in meta.places.values():
        for number, (place, length) in enumerate(pieces):
            start = place if place >= 0 else meta.data_place - 1 - place
            if start + length > len(data):
                raise Damaged(is_cut=True)
            pieces[number] = (start, length)
        if len(pieces) > MAX_ITEMS or sum(length for _, length in pieces) > len(data):
            raise Damaged
    for item in meta.parts.get(meta.main, [meta.main]):
        if meta.types.get(item) == b"hvc1" and item in meta.places:
            _check_units(b"".join(data[start : start + length] for start, length in meta.places[item]))


def _check_units(coded: bytes) -> None:
    """NAL units behind lengths of four bytes (ISO/IEC 14496-15), as every encoder writes them, to the very end."""
    place = 0
    while place < len(coded):
        # The forbidden bit of a unit's header is never set (ITU-T H.265, 7.4.2.2).
        if place + 4 >= len(coded) or coded[place + 4] & 0x80:
            raise Damaged
        place += 4 + int.from_bytes(coded[place : place + 4])
    if place != len(coded):
        raise Damaged


def _still(data: bytes, meta: _Meta) -> Still:
    still, has_profile = Still(), False
    # Of a grid, what its tiles are coded with is said of the tiles.
    for item in (meta.main, *meta.parts.get(meta.main, [])[:1]):
        for index in meta.owned.get(item, ()):
            if not 0 < index <= len(meta.properties):
                continue
            kind, start, end = meta.properties[index - 1]
            if kind == b"colr" and data[start : start + 4] == b"nclx" and still.code_points is None:
                still.code_points = struct.unpack_from(">HH", data, start + 4)
            elif kind == b"colr" and data[start : start + 4] in (b"prof", b"rICC"):
                has_profile = True
            elif kind == b"pixi":
                still.bits = max([still.bits, *data[start + 5 : end]])
            elif kind == b"av1C" and end - start > 2:
                high, twelve = data[start + 2] & 0x40, data[start + 2] & 0x20
                still.bits = max(still.bits, 12 if high and twelve else 10 if high else 8)
            elif kind == b"hvcC" and end - start > 17:
                still.bits = max(still.bits, 8 + (data[start + 17] & 7))
            elif kind == b"irot":
                still.is_turned |= bool(data[start] & 3)
            elif kind == b"imir":
                still.is_turned = True
    if has_profile:
        still.code_points = None
    return still
