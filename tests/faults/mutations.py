"""Damaged pictures and archives by the thousand, each known by its seed: flipped, cut, lying, spliced."""

from __future__ import annotations

import io
import random
import tarfile
import zipfile
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

import numpy as np
import pillow_jxl  # noqa: F401  (lets Pillow write JPEG XL)
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image as Pillow

from app.intake import decoding  # noqa: F401  (lets Pillow write HEIC)


def _picture(mode: str = "RGB") -> Pillow.Image:
    draw = np.random.default_rng(3)
    noise = draw.integers(0, 60, (90, 120, 3), dtype=np.uint8)
    slope = np.linspace(0, 190, 120, dtype=np.uint8)[None, :, None]
    return Pillow.fromarray(noise + slope).convert(mode)


def _saved(file_format: str, mode: str = "RGB", **options: Any) -> bytes:
    file = io.BytesIO()
    _picture(mode).save(file, file_format, **options)
    return file.getvalue()


def _several(file_format: str) -> bytes:
    return _saved(file_format, save_all=True, append_images=[_picture(), _picture()])


def _zipped(nested: bytes = b"") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(3):
            archive.writestr(f"shop/{number}.jpg", _saved("JPEG", quality=80 - number))
            archive.writestr(f"shop/{number}.txt", f"A red kettle, {number}.")
        archive.writestr("shop/metadata.csv", "file_name,title\n0.jpg,Kettle\n1.jpg,Lamp\n")
        if nested:
            archive.writestr("more.tar", nested)
    return file.getvalue()


def _tarred(mode: str = "w") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:  # type: ignore[call-overload]
        for number in range(3):
            for suffix, data in ((".png", _saved("PNG")), (".txt", b"A lamp."), (".json", b'{"caption": "A lamp."}')):
                member = tarfile.TarInfo(f"{number:05}{suffix}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    return file.getvalue()


def _packed(codec: str) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, codec) as stream:
        stream.write(_tarred())
    return bytes(sink.getvalue())


def _table() -> bytes:
    pictures = [{"bytes": _saved("JPEG", quality=70 + number), "path": f"{number}.jpg"} for number in range(4)]
    file = io.BytesIO()
    pq.write_table(pa.table({"image": pictures, "text": ["A", "B", "C", "D"]}), file)
    return file.getvalue()


PICTURES: Final[dict[str, Callable[[], bytes]]] = {
    "a.jpg": lambda: _saved("JPEG"),
    "progressive.jpg": lambda: _saved("JPEG", progressive=True, exif=Pillow.Exif().tobytes()),
    "cmyk.jpg": lambda: _saved("JPEG", "CMYK"),
    "a.png": lambda: _saved("PNG"),
    "palette.png": lambda: _saved("PNG", "P"),
    "alpha.png": lambda: _saved("PNG", "LA"),
    "a.webp": lambda: _saved("WEBP"),
    "lossless.webp": lambda: _saved("WEBP", lossless=True),
    "moving.webp": lambda: _several("WEBP"),
    "a.avif": lambda: _saved("AVIF", speed=10),
    "moving.avif": lambda: _saved("AVIF", speed=10, save_all=True, append_images=[_picture()]),
    "a.heic": lambda: _saved("HEIF"),
    "several.heic": lambda: _several("HEIF"),
    "a.jxl": lambda: _saved("JXL"),
    "lossless.jxl": lambda: _saved("JXL", lossless=True),
    "a.tif": lambda: _saved("TIFF"),
    "lzw.tif": lambda: _saved("TIFF", compression="tiff_lzw"),
    "deflate.tif": lambda: _saved("TIFF", compression="tiff_adobe_deflate"),
    "jpeg.tif": lambda: _saved("TIFF", compression="jpeg"),
    "pages.tif": lambda: _several("TIFF"),
    "a.gif": lambda: _saved("GIF", "P"),
    "moving.gif": lambda: _several("GIF"),
    "a.bmp": lambda: _saved("BMP"),
}
SOURCES: Final[dict[str, Callable[[], bytes]]] = {
    "a.zip": _zipped,
    "nested.zip": lambda: _zipped(_tarred()),
    "a.tar": _tarred,
    "a.tar.gz": lambda: _tarred("w:gz"),
    "a.tar.xz": lambda: _tarred("w:xz"),
    "a.tar.zst": lambda: _packed("zstd"),
    "a.tar.lz4": lambda: _packed("lz4"),
    "a.parquet": _table,
}
_LARGE: Final = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 0xFFFFFFF0)


@lru_cache(maxsize=64)
def whole(name: str) -> bytes:
    """The file of this name before anything happened to it."""
    return (PICTURES | SOURCES)[name]()


def mutated(seed: int, names: tuple[str, ...]) -> tuple[str, str, bytes]:
    """The mutation of a seed: the name of the file, what happened to it, and its bytes."""
    draw = random.Random(seed)
    name = draw.choice(names)
    data = whole(name)
    kind = draw.choice(("flips", "cut", "header", "numbers", "splice", "hole", "again"))
    torn = bytearray(data)
    if kind == "flips":
        for _ in range(draw.choice((1, 1, 2, 8, 64))):
            torn[draw.randrange(len(torn))] ^= 1 << draw.randrange(8)
    elif kind == "cut":
        del torn[draw.randrange(len(torn)) :]
    elif kind == "header":
        for _ in range(draw.choice((1, 2, 4))):
            torn[draw.randrange(min(len(torn), 200))] = draw.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF))
    elif kind == "numbers":
        # Sizes, counts and places that lie, of two or four bytes in either order.
        for _ in range(draw.choice((1, 2, 3))):
            wide, order = draw.choice((2, 4)), draw.choice(("big", "little"))
            place = draw.randrange(min(len(torn), draw.choice((64, 600, len(torn)))))
            number = draw.choice(_LARGE) & ((1 << 8 * wide) - 1)
            torn[place : place + wide] = number.to_bytes(wide, order)
    elif kind == "splice":
        other = whole(draw.choice(names))
        torn = torn[: draw.randrange(len(torn))] + other[draw.randrange(len(other)) :]
    elif kind == "hole":
        place = draw.randrange(len(torn))
        torn[place : place + draw.choice((4, 64, 1024))] = bytes(draw.choice((4, 64, 1024)))
    else:
        place = draw.randrange(len(torn))
        torn[place:place] = torn[place : place + draw.choice((2, 16, 300, 5000))] * draw.choice((1, 3, 50))
    return name, kind, bytes(torn)
