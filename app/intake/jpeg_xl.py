"""JPEG XL (ISO/IEC 18181): its size read from the header before anything is decoded, and its picture.

The reader for Pillow decodes a file as it opens it, whatever its size. So the few bits that hold the size are read here
first (18181-1, annex D), and its decoder is called without Pillow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from PIL import Image as Pillow

from app.intake.soundness import Damaged

_CODESTREAM: Final = b"\xff\x0a"
_CONTAINER: Final = b"\0\0\0\x0cJXL \r\n\x87\n"
_RATIOS: Final = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
# What a distribution of the header's numbers is: bits to read and what is added to them.
_SIZES: Final = ((9, 1), (13, 1), (18, 1), (30, 1))
_HEADER_BYTES: Final = 96
# What decoding takes at most, measured: its planes are of 32 bits a channel, and the pixels are copied twice.
PIXEL_BYTES: Final = 24


@dataclass(frozen=True, slots=True)
class Header:
    """Width and height as a person sees the picture; bits a channel; turned by the header; of several frames."""

    size: tuple[int, int]
    bits: int
    is_turned: bool
    is_animated: bool
    is_float: bool


def is_jpeg_xl(data: bytes) -> bool:
    """Whether a file is a codestream of JPEG XL or a container with one."""
    return data.startswith((_CODESTREAM, _CONTAINER))


def read_header(data: bytes) -> Header:
    """The size and kind of the picture. Raises Damaged where the header is not whole."""
    bits = _Bits(_codestream_start(data))
    if bits.read(16) != 0x0AFF:
        raise Damaged
    width, height = _size(bits)
    orientation, is_animated, is_float, depth = 1, False, False, 8
    if not bits.read(1):  # not all as usual
        if bits.read(1):
            orientation = 1 + bits.read(3)
            if bits.read(1):
                _size(bits)
            if bits.read(1):
                _skip_preview(bits)
            is_animated = bool(bits.read(1))
            if is_animated:
                bits.one_of(((0, 100), (0, 1000), (10, 1), (30, 1)))
                bits.one_of(((0, 1), (0, 1001), (8, 1), (10, 1)))
                bits.one_of(((0, 0), (3, 0), (16, 0), (32, 0)))
                bits.read(1)
        is_float = bool(bits.read(1))
        depth = bits.one_of(((0, 32), (0, 16), (0, 24), (6, 1)) if is_float else ((0, 8), (0, 10), (0, 12), (6, 1)))
    size = (height, width) if orientation > 4 else (width, height)
    return Header(size, depth, orientation != 1, is_animated, is_float)


def decode(data: bytes) -> Pillow.Image | bytes:
    """The picture, upright, with its profile in `info`; or the JPEG that the file was made from without a loss.

    Raises Damaged.
    """
    from pillow_jxl import Decoder

    try:
        is_jpeg, header, pixels, profile, _ = Decoder(num_threads=0)(data)
    except Exception as error:  # the decoder's errors have no class of their own
        raise Damaged from error
    if is_jpeg:
        return bytes(pixels)
    try:
        picture = Pillow.frombuffer(header.mode, (header.width, header.height), pixels, "raw", header.mode, 0, 1)
    except ValueError:
        raise Damaged from None
    if profile:
        picture.info["icc_profile"] = bytes(profile)
    picture.format = "JXL"
    return picture


def _codestream_start(data: bytes) -> bytes:
    """The first bytes of the codestream, which a container may hold in several boxes."""
    if data.startswith(_CODESTREAM):
        return data[:_HEADER_BYTES]
    start, parts = b"", list[bytes]()
    position = 12
    while position + 8 <= len(data) and len(start) < _HEADER_BYTES:
        size, kind, inside = int.from_bytes(data[position : position + 4]), data[position + 4 : position + 8], 8
        if size == 1:
            size, inside = int.from_bytes(data[position + 8 : position + 16]), 16
        end = len(data) if size == 0 else position + size
        if end < position + inside:
            raise Damaged
        if end > len(data):
            raise Damaged(is_cut=True)
        if kind in (b"jxlc", b"jxlp"):
            parts.append(data[position + inside + (4 if kind == b"jxlp" else 0) : end][:_HEADER_BYTES])
            start = b"".join(parts)
        position = end
    return start[:_HEADER_BYTES]


class _Bits:
    """Bits of a header, the lowest of each byte first."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "little")
        self._left = 8 * len(data)

    def read(self, count: int) -> int:
        if count > self._left:
            raise Damaged(is_cut=True)
        taken = self._value & ((1 << count) - 1)
        self._value >>= count
        self._left -= count
        return taken

    def one_of(self, kinds: tuple[tuple[int, int], ...]) -> int:
        count, added = kinds[self.read(2)]
        return self.read(count) + added


def _size(bits: _Bits) -> tuple[int, int]:
    is_small = bits.read(1)

    def side() -> int:
        return 8 * (bits.read(5) + 1) if is_small else bits.one_of(_SIZES)

    height = side()
    ratio = bits.read(3)
    if ratio == 0:
        return side(), height
    across, down = _RATIOS[ratio - 1]
    return height * across // down, height


def _skip_preview(bits: _Bits) -> None:
    eighths = ((0, 16), (0, 32), (5, 1), (9, 33))
    kinds = eighths if bits.read(1) else ((6, 1), (8, 65), (10, 321), (12, 1345))
    bits.one_of(kinds)
    if bits.read(3) == 0:
        bits.one_of(kinds)
