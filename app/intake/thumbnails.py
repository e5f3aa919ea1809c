"""Smaller pictures of a photo as files: thumbnails for grids, views for the screen, renders."""

from __future__ import annotations

import io
from typing import Final

from PIL import Image as Pillow

_SAVE: Final = {
    "JPEG": {"quality": 92, "subsampling": 0},
    "WEBP": {"quality": 82, "method": 1},
    "PNG": {"compress_level": 1},
}


def within(size: tuple[int, int], side_px: int) -> tuple[int, int]:
    """Width and height in pixels of a picture whose longest side has at most `side_px`; never enlarged."""
    width, height = size
    scale = min(1.0, side_px / max(size))
    return max(1, round(width * scale)), max(1, round(height * scale))


def shrink(picture: Pillow.Image, side_px: int) -> Pillow.Image:
    """The picture with its longest side at most `side_px`."""
    size = within(picture.size, side_px)
    return picture if size == picture.size else picture.resize(size, Pillow.Resampling.HAMMING, reducing_gap=2.0)


def encode(picture: Pillow.Image, file_format: str) -> bytes:
    """The picture as a file: JPEG, WEBP or PNG. Nothing of the original but its pixels comes along."""
    buffer = io.BytesIO()
    # A fresh copy carries no profile and no EXIF block of the original along; what has none needs no copy.
    bare = picture.copy() if picture.info else picture
    bare.info.clear()
    bare.save(buffer, file_format, **_SAVE[file_format])
    return buffer.getvalue()
