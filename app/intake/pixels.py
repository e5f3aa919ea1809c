"""The pixels of a photo as one number, by which two files are known to show the very same picture."""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from app.catalog.files import SUFFIXES, UNSHOWN
from app.intake import heif, memory, soundness
from app.intake.decoding import cost_bytes

log = logging.getLogger(__name__)

_SHOWN: Final = tuple(name for name in SUFFIXES if name not in UNSHOWN)
_STRIP_PIXELS: Final = 1 << 20


def pixels_sha256(path: Path) -> str | None:
    """SHA-256 in hex of the picture in a photo's file: its width and height in px, then its pixels at full size, row by
    row, each 8 bits of red, green and blue. None where the file is gone or cannot be read.

    The file is what is shown and learned from (`Image.render_path`), so the picture is upright, in sRGB, and on white
    where the photo was transparent. A grey pixel is one whose three values are equal, of 16 bits 8 are kept, and a
    profile that moves no colour counts for nothing. Waits while other threads decode as much as the budgets allow.
    """
    try:
        with memory.FILES.hold(path.stat().st_size), decoded(path.read_bytes()) as pixels:
            height, width = pixels.shape[:2]
            digest = hashlib.sha256(b"%d %d " % (width, height))
            rows = max(1, _STRIP_PIXELS // width)
            for strip in (pixels[top : top + rows] for top in range(0, height, rows)):
                coloured = strip if strip.ndim == 3 else strip[..., None].repeat(3, axis=2)
                digest.update(np.ascontiguousarray(coloured).data)
            return digest.hexdigest()
    except FileNotFoundError:
        return None
    except Exception as error:
        # Readers raise what they like on damaged files. The photo stays in its groups as one whose pixels are unknown.
        log.warning("The pixels of %s cannot be read: %s", path, error)
        return None


@contextmanager
def decoded(data: bytes) -> Iterator[NDArray[np.uint8]]:
    """All pixels of a picture, uint8 (h, w, 3) or, grey, (h, w): of one that take-in kept as it is or of the render
    that it made, by the same decoders. They count against the budget of all threads until they are let go."""
    if data.startswith(soundness.PNG_MARK):
        data = soundness.check_png(data).data
    elif heif.is_heif(data):
        data = heif.without_exif(data)
    with Pillow.open(io.BytesIO(data), formats=_SHOWN) as opened, memory.PICTURES.hold(cost_bytes(opened)):
        is_jpeg = opened.format in ("JPEG", "MPO")
        pixels = soundness.check_jpeg(data, opened.mode, opened.size).pixels if is_jpeg else None
        yield np.asarray(opened if opened.mode in ("RGB", "L") else opened.convert("RGB")) if pixels is None else pixels
