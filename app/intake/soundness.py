"""Whether a picture file is whole, format by format, as strictly as the format allows; and what may be mended.

Readers made for screens show what they can: a flipped bit turns half of a picture black and nobody is told. Here every
check that a format carries is made. PNG has a CRC-32 for each chunk and an Adler-32 for the pixels (RFC 2083), Deflate
in TIFF an Adler-32 for each strip, LZMA a CRC, and LZW a number of bytes that a flipped code changes. JPEG, WebP, GIF,
BMP and other TIFFs carry no checksum: there, whatever the decoder warns of is damage, and of GIF a wrong number of
pixels that its codes stand for; a flip that leaves a valid file of other colours cannot be told by anybody.

Functions raise `Damaged`, whose `is_cut` says that the end is missing. What a browser shows whole is mended and noted.
"""

from __future__ import annotations

import lzma
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from app.catalog.notes import Note
from app.intake import lzw
from app.intake.tiff import DEFLATE, JPEG, LZMA, LZW, Page

PNG_MARK: Final = b"\x89PNG\r\n\x1a\n"
# As much as xz takes at its highest level, and half of it again.
_LZMA_BYTES: Final = 96 << 20
# What PNG readers of browsers allow a profile (libpng's default is 8,000,000), and Pillow a text.
MAX_PROFILE_BYTES: Final = 8_000_000
LARGE_BYTES: Final = 1 << 20
_PNG_END: Final = b"\0\0\0\0IEND\xaeB`\x82"
_PNG_CHANNELS: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_JPEG_END: Final = b"\xff\xd9"
# A marker other than a restart; within pixels, 0xFF is followed by 0 (ITU-T T.81, B.1.1.2).
_JPEG_MARKER: Final = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
# Encoders make a dozen scans. Each is a walk over the whole picture whatever it holds, and may hold nothing.
MAX_SCANS: Final = 100
_COLOURS: Final[dict[str, Literal["GRAY", "RGB", "CMYK"]]] = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}


class Damaged(ValueError):
    """The file is not whole."""

    def __init__(self, is_cut: bool = False) -> None:
        super().__init__("cut off" if is_cut else "damaged")
        self.is_cut = is_cut


@dataclass(slots=True)
class Mended:
    """The bytes to decode, the file's own or mended ones, and what that took.

    `pixels`, where checking has decoded the picture: uint8 (h, w, 3), of a grey one (h, w).
    """

    data: bytes
    notes: list[Note] = field(default_factory=list)
    pixels: NDArray[np.uint8] | None = None


def check_png(data: bytes) -> Mended:
    """Every chunk by its CRC. Nothing is decoded yet (see `check_png_pixels`).

    A missing end chunk is put back, and texts are left out, but for a short XMP block: it may hold the orientation.
    """
    chunks, position, notes, is_changed = [data[:8]], 8, [], False
    while True:
        head = data[position : position + 8]
        if len(head) < 8 or (kind := head[4:]) == b"IEND":
            break
        end = position + 12 + int.from_bytes(head[:4])
        if end > len(data):
            raise Damaged(is_cut=True)
        _check_crc(data, position, end)
        if kind in (b"tEXt", b"zTXt", b"iTXt"):
            is_large = _is_text_large(data, kind, position + 8, end - 4)
            is_kept = not is_large and data.startswith(b"XML:com.adobe.xmp\0", position + 8)
        else:
            is_large, is_kept = _is_profile_large(data, position + 8, end - 4) if kind == b"iCCP" else (False, True)
        if is_large:
            name: Note = "large-text" if kind != b"iCCP" else "large-profile" if is_kept else "broken-profile"
            notes += [name] if name not in notes else []
        if is_kept:
            chunks.append(data[position:end])
        is_changed |= not is_kept
        position = end
    if data[position : position + 12] != _PNG_END:
        if not _PNG_END.startswith(data[position:]):
            raise Damaged
        notes.append("missing-end-mark")
        is_changed = True
    return Mended(b"".join([*chunks, _PNG_END]) if is_changed else data, notes)


def check_png_pixels(data: bytes) -> None:
    """The pixels of a PNG inflate to their checksum, and not to more than its header allows."""
    width, height, depth, colours, _, _, interlacing = struct.unpack_from(">IIBBBBB", data, 16)
    row = 1 + -(-width * depth * _PNG_CHANNELS.get(colours, 4) // 8)
    # An interlaced picture has seven passes with rows of their own.
    most = row * height if not interlacing else 2 * (row + 8) * (height + 8)
    _inflate(_png_pixels(data), most)


def _png_pixels(data: bytes) -> Iterator[bytes]:
    position = 8
    while position + 8 <= len(data):
        size = int.from_bytes(data[position : position + 4])
        if data[position + 4 : position + 8] == b"IDAT":
            yield from _pieces(data, position + 8, size)
        position += 12 + size


def _pieces(data: bytes, start: int, size: int, step: int = 1 << 20) -> Iterator[bytes]:
    for place in range(start, start + size, step):
        yield data[place : min(place + step, start + size)]


def _inflate(pieces: Iterator[bytes], most: int) -> int:
    """Inflate a zlib stream for nothing but its checksum, in little memory; `most` bytes are what it may hold.

    Returns how many it holds.
    """
    stream, size = zlib.decompressobj(), 0
    try:
        for piece in pieces:
            while piece and not stream.eof:
                size += len(stream.decompress(piece, LARGE_BYTES))
                piece = stream.unconsumed_tail
            if size > most:
                raise Damaged
    except zlib.error:
        raise Damaged from None
    if not stream.eof:
        raise Damaged(is_cut=True)
    return size


def _check_crc(data: bytes, position: int, end: int) -> None:
    crc = 0
    for piece in _pieces(data, position + 4, end - position - 8, 16 << 20):
        crc = zlib.crc32(piece, crc)
    if crc != int.from_bytes(data[end - 4 : end]):
        raise Damaged


def _is_text_large(data: bytes, kind: bytes, start: int, end: int) -> bool:
    """Whether a text has over 1 MB, as it stands or inflated."""
    if end - start > LARGE_BYTES:
        return True
    key_end = data.find(b"\0", start, end)
    if kind == b"zTXt":
        return _inflated_size(data[key_end + 2 : end], LARGE_BYTES) > LARGE_BYTES
    if kind == b"iTXt" and data[key_end + 1 : key_end + 2] == b"\1":
        language_end = data.find(b"\0", key_end + 3, end)
        text = data.find(b"\0", language_end + 1, end) + 1
        return _inflated_size(data[text:end], LARGE_BYTES) > LARGE_BYTES
    return False


def _is_profile_large(data: bytes, start: int, end: int) -> tuple[bool, bool]:
    """Whether a profile has over 1 MB, and whether it can be used all the same."""
    size = _inflated_size(data[data.find(b"\0", start, end) + 2 : end], MAX_PROFILE_BYTES)
    return size > LARGE_BYTES, size <= MAX_PROFILE_BYTES


def _inflated_size(packed: bytes, most: int) -> int:
    """How many bytes come out, at most one more than `most`; 0 where it is no zlib stream."""
    try:
        return len(zlib.decompressobj().decompress(packed, most + 1))
    except zlib.error:
        return 0


def check_jpeg(data: bytes, mode: str, least: tuple[int, int] = (1, 1)) -> Mended:
    """The whole picture decoded, with every warning of the decoder an error.

    That is done at the smallest of its size, a half, a quarter and an eighth that has the width and height of `least`,
    and what came out comes along where `mode`, Pillow's, is RGB or L. A missing end mark is put back, and zeros before
    it, as some cameras write them, are taken out. A JPEG of a kind that the strict decoder does not know passes: Pillow
    then says what is wrong with it.
    """
    _check_scans(data)
    try:
        height, width, *_ = simplejpeg.decode_jpeg_header(data)
    except ValueError:
        return Mended(data)
    if mode not in _COLOURS:
        return Mended(data)
    divisor = next(part for part in (8, 4, 2, 1) if part <= max(1, min(width // least[0], height // least[1])))
    size = (-(-width // divisor), -(-height // divisor)) if mode != "CMYK" else (1, 1)
    if (pixels := _decoded(data, mode, size)) is not None:
        return Mended(data, [], pixels)
    body = data.rstrip(b"\0")
    if not body.endswith(_JPEG_END):
        # Half of the mark may be there.
        whole = body.removesuffix(b"\xff") + _JPEG_END
        if (pixels := _decoded(whole, mode, size)) is not None:
            return Mended(whole, ["missing-end-mark"], pixels)
        raise Damaged(is_cut=data.rfind(_JPEG_END) == -1)
    without_padding = body.removesuffix(_JPEG_END).rstrip(b"\0") + _JPEG_END
    if (pixels := _decoded(without_padding, mode, size)) is not None:
        return Mended(without_padding, [], pixels)
    raise Damaged


def _check_scans(data: bytes) -> None:
    """The first picture of a JPEG has at most `MAX_SCANS` scans; what follows it may be anything."""
    position, scans = 2, 0
    while (marker := _JPEG_MARKER.search(data, position)) and (kind := marker[0][1:]) != b"\xd9":
        position = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2])
        scans += kind == b"\xda"
        if scans > MAX_SCANS:
            raise Damaged


def _decoded(data: bytes, mode: str, size: tuple[int, int] = (1, 1)) -> NDArray[np.uint8] | None:
    """A JPEG decoded at no less than `size`, width and height in px; None where anything is wrong with it."""
    try:
        pixels = simplejpeg.decode_jpeg(data, _COLOURS[mode], min_width=size[0], min_height=size[1], strict=True)
    except ValueError:
        return None
    return np.asarray(pixels[..., 0] if mode == "L" else pixels)


def check_webp(data: bytes) -> None:
    """As many bytes as its header says."""
    if len(data) < 8 + int.from_bytes(data[4:8], "little"):
        raise Damaged(is_cut=True)


def check_tiff(data: bytes, page: Page) -> None:
    """The strips or tiles of a page lie in the file, and are whole where they are packed with Deflate, LZMA, LZW or
    JPEG."""
    # No strip and no tile is smaller than a pixel, and no tile much larger than the picture.
    if min(page.places.size, page.sizes.size) > 4 * page.pixels or page.tile_pixels > _with_tiles(page):
        raise Damaged
    if any(place + size > len(data) for place, size in page.pieces):
        raise Damaged(is_cut=True)
    if page.compression in DEFLATE:
        _inflate_all(data, page)
    elif page.compression == LZMA:
        _check_lzma(data, page)
    elif page.compression == LZW:
        _check_lzw(data, page)
    elif page.compression == JPEG:
        for place, size in page.pieces:
            # What all share goes behind the start mark: TIFF Technical Note 2.
            strip = data[place : place + 2] + page.tables.tobytes()[2:-2] + data[place + 2 : place + size]
            _check_jpeg_strip(strip)


def _with_tiles(page: Page) -> int:
    """Pixels of a page with the tiles at its edges, which stick out of it."""
    return (page.width_px + 4096) * (page.height_px + 4096)


def _inflate_all(data: bytes, page: Page) -> None:
    # Eight bytes a pixel are the most that is read. Pieces may lie on one another: it is the most of all of them.
    left = 8 * _with_tiles(page)
    for place, size in page.pieces:
        left -= _inflate(_pieces(data, place, size), left)


def _check_lzma(data: bytes, page: Page) -> None:
    """Each strip is an xz stream to its checksum."""
    left = 8 * _with_tiles(page)
    for place, size in page.pieces:
        stream = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_LZMA_BYTES)
        packed = data[place : place + size]
        try:
            while not stream.eof and left > 0 and (packed or not stream.needs_input):
                left -= len(stream.decompress(packed, LARGE_BYTES))
                packed = b""
        except lzma.LZMAError:
            raise Damaged from None
        if not stream.eof:
            raise Damaged(is_cut=left > 0)


def _check_lzw(data: bytes, page: Page) -> None:
    """Each strip's codes stand for exactly its bytes; the last strip may be filled up to the height of the others."""
    for number, (place, size) in enumerate(page.pieces):
        if data[place : place + 1] == b"\0" and data[place + 1 : place + 2] >= b"\1" and data[place + 1] & 1:
            continue  # codes the other way round, as before TIFF 5.0
        count = lzw.decoded_bytes(data[place : place + size])
        least = page.last_bytes if page.strips and (number + 1) % page.strips == 0 else page.piece_bytes
        if count < 0 or (page.piece_bytes and not least <= count <= page.piece_bytes):
            raise Damaged


def _check_jpeg_strip(strip: bytes) -> None:
    try:
        *_, colours, _ = simplejpeg.decode_jpeg_header(strip)
    except ValueError:
        return
    mode = {"Gray": "L", "CMYK": "CMYK", "YCCK": "CMYK"}.get(colours, "RGB")
    if _decoded(strip, mode) is None:
        raise Damaged


def check_gif(data: bytes) -> Mended:
    """The blocks lead to the end mark, and the first picture's codes stand for exactly its pixels."""
    position = 13 + _table_bytes(data[10])
    first: tuple[int, int, bytes] | None = None
    while (kind := data[position : position + 1]) != b";":
        if not kind:
            break
        if kind == b"!":
            _, position = _gif_blocks(data, position + 2)
        elif kind == b",":
            wide, high, flags = struct.unpack_from("<HHB", data, position + 5)
            start = position + 10 + _table_bytes(flags)
            codes, position = _gif_blocks(data, start + 1)
            first = first or (wide * high, data[start], codes)
        else:
            raise Damaged
    if first is None:
        raise Damaged(is_cut=position >= len(data))
    pixels, bits, codes = first
    if _lzw_pixels(codes, bits, pixels) != pixels:
        raise Damaged
    return Mended(data, [] if kind else ["missing-end-mark"])


def _table_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _gif_blocks(data: bytes, position: int) -> tuple[bytes, int]:
    """The bytes of sub-blocks joined, and where they end."""
    blocks: list[bytes] = []
    while True:
        if position >= len(data):
            raise Damaged(is_cut=True)
        size = data[position]
        if size == 0:
            return b"".join(blocks), position + 1
        blocks.append(data[position + 1 : position + 1 + size])
        position += 1 + size


def _lzw_pixels(codes: bytes, bits: int, most: int) -> int:
    """How many pixels GIF's LZW codes stand for (GIF89a, appendix F), counted and not drawn; -1 for a code that cannot
    be, or where no end code follows the last pixel."""
    if not 1 <= bits <= 11:
        return -1
    clear, end = 1 << bits, (1 << bits) + 1
    lengths = [1] * clear + [0, 0]
    width, before, pixels = bits + 1, 0, 0
    window, filled = 0, 0
    for byte in codes:
        window |= byte << filled
        filled += 8
        while filled >= width:
            code = window & ((1 << width) - 1)
            window >>= width
            filled -= width
            if code == clear:
                del lengths[end + 1 :]
                width, before = bits + 1, 0
            elif code == end:
                return pixels
            else:
                known = len(lengths)
                if code > known or (code == known and not before):
                    return -1
                now = lengths[code] if code < known else before + 1
                if before and known < 4096:
                    lengths.append(before + 1)
                    if known + 1 == 1 << width and width < 12:
                        width += 1
                pixels += now
                before = now
                if pixels > most:
                    return -1
    # Some writers leave the end code out.
    return pixels
