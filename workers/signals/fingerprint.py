"""A picture's fingerprint, by which its copies are known again. What it holds: `app/catalog/fingerprints.py`."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from scipy.fft import dctn

from app.catalog.fingerprints import FIELDS, SIDE, pack

SIDE_PX: Final = 64
# A border is looked for in the picture at this size; its pixels differ from the corner's by at most this many levels,
# for JPEG draws rings around the edge of what stands on it.
BORDER_SIDE_PX: Final = 256
BORDER_LEVELS: Final = 32
# A narrower border changes the mark of the whole by so little that it needs no second one.
BORDER_SHARE: Final = 0.01


def fingerprint(picture: Pillow.Image) -> bytes | None:
    """The fingerprint of an RGB picture of any size; None for one that is flat, which tells nothing."""
    whole = _mark(picture)
    box = _without_border(picture)
    inner = _mark(picture.crop(box)) if box is not None else None
    marks = [mark for mark in (whole, inner) if mark is not None]
    return b"".join(marks) or None


def _mark(picture: Pillow.Image) -> bytes | None:
    grey = np.asarray(picture.convert("L").resize((SIDE_PX, SIDE_PX), Pillow.Resampling.BOX), dtype=np.float64)
    colours = np.asarray(picture.resize((FIELDS, FIELDS), Pillow.Resampling.BOX), dtype=np.uint8)
    return pack(dctn(grey, norm="ortho")[:SIDE, :SIDE], colours)


def _without_border(picture: Pillow.Image) -> tuple[int, int, int, int] | None:
    """Left, top, right and bottom in px of what a plain border leaves; None without one, and where all is border."""
    width, height = picture.size
    small = picture.resize((min(width, BORDER_SIDE_PX), min(height, BORDER_SIDE_PX)), Pillow.Resampling.BOX)
    pixels = np.asarray(small, dtype=np.int16)
    off = np.abs(pixels - pixels[0, 0]).max(axis=2)
    if off.max() <= BORDER_LEVELS:
        return None
    (first_column, last_column), (first_row, last_row) = (_ends(off, axis) for axis in (0, 1))
    across, down = width / off.shape[1], height / off.shape[0]
    left, right = int(first_column * across), int((last_column + 1) * across)
    top, bottom = int(first_row * down), int((last_row + 1) * down)
    cut = max(left, width - right) / width, max(top, height - bottom) / height
    is_left = left < right and top < bottom
    return (left, top, right, bottom) if is_left and max(cut) > BORDER_SHARE else None


def _ends(off: NDArray[np.int16], axis: int) -> tuple[int, int]:
    """The first and the last column (`axis` 0) or row (1) that is no border.

    Beside a sharp edge, a compressed border bleeds for a few pixels: little next to what comes behind them.
    """
    is_inner, means = off.max(axis=axis) > BORDER_LEVELS, off.mean(axis=axis)
    reach = len(means) // 32

    def end(inner: NDArray[np.bool_], mean: NDArray[np.float64]) -> int:
        first = int(np.argmax(inner))
        near = range(first, first + reach)
        return next((at for at in near if mean[at] * 3 >= mean[at : at + reach + 1].max()), first + reach)

    return end(is_inner, means), len(means) - 1 - end(is_inner[::-1], means[::-1])
