"""A picture's fingerprint, by which its copies are known again. What it holds: `app/catalog/fingerprints.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from app.catalog.fingerprints import THUMB_SIDE, pack_key, pack_thumb
from workers.signals.lab import Field, Pixels, lab_planes
from workers.signals.scaling import within

# What is enough to read frames from, where they are not very small.
SMALL_SIDE_PX: Final = 320
# Borders are looked for in the picture at this size; their pixels differ from the corner's by at most this many levels,
# for JPEG draws rings around the edge of what stands on it.
BORDER_SIDE_PX: Final = 256
BORDER_LEVELS: Final = 32
# A narrower border changes the frame by so little that it needs no second one.
BORDER_SHARE: Final = 0.01
# A border around a ground around a product: more than two layers are rare, and each costs a frame.
FRAMES_AT_MOST: Final = 3
# A frame with fewer pixels in the small picture is read from the large one.
ENOUGH_PX: Final = 2 * THUMB_SIDE

Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Keys and thumbs of a picture's frames, one after the other, as `app/catalog/fingerprints.py` describes them.

    Both are None of a picture that is flat, which tells nothing."""

    keys: bytes | None
    thumbs: bytes | None


def fingerprint(picture: Pillow.Image | Pixels) -> Fingerprint:
    """The fingerprint of a picture of any size, RGB or uint8 (h, w, 3)."""
    pixels = np.asarray(picture)
    return fingerprint_of(pixels, within(pixels, SMALL_SIDE_PX))


def fingerprint_of(pixels: Pixels, small: Pixels) -> Fingerprint:
    """The fingerprint of a picture, uint8 (h, w, 3), of which a small one, `SMALL_SIDE_PX` at most, is there too."""
    size = min(small.shape[1], BORDER_SIDE_PX), min(small.shape[0], BORDER_SIDE_PX)
    # At most a quarter smaller, which a mean over parts of pixels takes three times as long for.
    small = np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_LINEAR), dtype=np.uint8)
    keys, thumbs = [], []
    around: Box | None = None
    for box in _frames(small):
        lab = lab_planes(_fitted(pixels, small, box))
        if (key := pack_key(lab)) is not None:
            keys.append(key)
            thumbs.append(pack_thumb(lab, *_place(small, box, around or box)))
        around = box
    return Fingerprint(b"".join(keys) or None, b"".join(thumbs) or None)


def _place(small: Pixels, box: Box, around: Box) -> tuple[list[float], Field]:
    """Where a frame lies in the one around it, and the colour of what is between them, CIELAB (3,)."""
    left, top, right, bottom = around
    sides = right - left, bottom - top
    shares = [(edge - (left, top)[at % 2]) / sides[at % 2] for at, edge in enumerate(box)]
    return shares, lab_planes(small[top : top + 1, left : left + 1])[:, 0, 0]


def _fitted(pixels: Pixels, small: Pixels, box: Box) -> Pixels:
    """A frame of the picture as uint8 (THUMB_SIDE, THUMB_SIDE, 3), each pixel the mean of what it covers."""
    left, top, right, bottom = box
    cut = small[top:bottom, left:right]
    if min(right - left, bottom - top) < ENOUGH_PX and max(pixels.shape) > BORDER_SIDE_PX:
        across, down = pixels.shape[1] / small.shape[1], pixels.shape[0] / small.shape[0]
        place = (left * across, top * down, right * across, bottom * down)
        fine = Pillow.fromarray(pixels).resize((THUMB_SIDE, THUMB_SIDE), Pillow.Resampling.BOX, box=place)
        return np.asarray(fine)
    interpolation = cv2.INTER_AREA if min(cut.shape[:2]) >= THUMB_SIDE else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(cut, (THUMB_SIDE, THUMB_SIDE), interpolation=interpolation), dtype=np.uint8)


def _frames(small: Pixels) -> list[Box]:
    """The whole picture, what its plain border leaves, and what the border of that leaves."""
    boxes = [(0, 0, small.shape[1], small.shape[0])]
    while len(boxes) < FRAMES_AT_MOST and (inner := _without_border(small, boxes[-1])) is not None:
        boxes.append(inner)
    return boxes


def _without_border(small: Pixels, box: Box) -> Box | None:
    """The box in px that a plain border leaves of one; None without a border, and where all is border."""
    left, top, right, bottom = box
    inside = small[top:bottom, left:right]
    corner = np.append(inside[0, 0].astype(np.float64), 0.0)
    red, green, blue = cv2.split(cv2.absdiff(inside, corner))
    off = np.asarray(cv2.max(cv2.max(red, green), blue), dtype=np.uint8)
    if off.max() <= BORDER_LEVELS:
        return None
    (first_column, last_column), (first_row, last_row) = (_ends(off, axis) for axis in (0, 1))
    height, width = off.shape
    inner = (left + first_column, top + first_row, left + last_column + 1, top + last_row + 1)
    cut = max(first_column, width - 1 - last_column) / width, max(first_row, height - 1 - last_row) / height
    is_left = inner[0] < inner[2] and inner[1] < inner[3]
    return inner if is_left and max(cut) > BORDER_SHARE else None


def _ends(off: NDArray[np.uint8], axis: int) -> tuple[int, int]:
    """The first and the last column (`axis` 0) or row (1) that is no border.

    Beside a sharp edge, a compressed border bleeds for a few pixels: little next to what comes behind them. How far it
    may is a share of what is inside, which is the same where a copy has a wider border.
    """
    is_inner = off.max(axis=axis) > BORDER_LEVELS
    sums = np.asarray(cv2.reduce(off, axis, cv2.REDUCE_SUM, dtype=cv2.CV_32S), dtype=np.int32).ravel()
    inside = np.flatnonzero(is_inner)
    reach = max(1, int(inside[-1] - inside[0] + 1) // 32)

    def end(inner: NDArray[np.bool_], sums: NDArray[np.int32]) -> int:
        first = int(np.argmax(inner))
        near = range(first, first + reach)
        return next((at for at in near if sums[at] * 3 >= sums[at : at + reach + 1].max()), first + reach)

    return end(is_inner, sums), len(sums) - 1 - end(is_inner[::-1], sums[::-1])
