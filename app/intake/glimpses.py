"""Glimpses: a small picture of a file that was refused, where one can be made safely, so that people see what it is.

Of a JPEG that is cut off or damaged the part before the damage is shown. What a file would decode to is told from its
header first, within the budget that all decoding shares. Camera raw never gets one: its built-in preview is not the
photo.
"""

from __future__ import annotations

import io
from contextlib import suppress
from typing import Final

import numpy as np
from PIL import Image as Pillow

from app.catalog.files import THUMB_SIDE_PX
from app.intake import camera_raw, memory
from app.intake.thumbnails import thumbnail

_FORMATS: Final = ("JPEG", "MPO", "PNG", "WEBP", "BMP", "GIF", "TIFF")
_MAX_PIXELS: Final = 64_000_000
# A whole JPEG is decoded at an eighth of its sides, so that a larger one costs no more.
_MAX_JPEG_PIXELS: Final = 1_000_000_000
_BYTES_A_PIXEL: Final = 12
_END_OF_JPEG: Final = b"\xff\xd9"


def glimpse(data: bytes, name: str = "") -> bytes | None:
    """What can be seen of a file as an encoded thumbnail, None where nothing can. Raises nothing on any bytes."""
    if not data or camera_raw.is_raw(data, name):
        return None
    # A JPEG that ends too soon is shown as far as it goes, once it is told that it ends there.
    for whole in (data, data + _END_OF_JPEG) if data.startswith(b"\xff\xd8") else (data,):
        # Any bytes may meet any parser here, and a picture of what is refused is no more than a courtesy.
        with suppress(Exception):
            return _decode(whole)
    return None


def _decode(data: bytes) -> bytes | None:
    with Pillow.open(io.BytesIO(data), formats=_FORMATS) as opened:
        if opened.format in ("JPEG", "MPO"):
            if opened.width * opened.height > _MAX_JPEG_PIXELS:
                return None
            opened.draft("RGB", (THUMB_SIDE_PX, THUMB_SIDE_PX))
        if opened.width * opened.height > _MAX_PIXELS:
            return None
        with memory.PICTURES.hold(_BYTES_A_PIXEL * opened.width * opened.height):
            opened.load()
            return _thumbnail(opened)


def _thumbnail(picture: Pillow.Image) -> bytes:
    return thumbnail(np.asarray(picture.convert("RGB")))
