"""What is laid over a photo to show why it was measured so, drawn with Pillow and NumPy alone."""

from __future__ import annotations

import io
from collections.abc import Collection
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw

from app.catalog.outlines import points_of
from app.errors import NotFound

# As `workers/signals/light.py` and `encoding.py` count them.
CLIPPED_LIGHT: Final = 254
CLIPPED_DARK: Final = 2
PEAK: Final = 3

Mark = Literal["light", "dark", "blocks"]
Marks = NDArray[np.bool_]
# Colours of the marks, as in `review.css`.
LIGHT_MARK: Final = (214, 20, 120, 255)
DARK_MARK: Final = (0, 210, 210, 255)
BLOCK_MARK: Final = (200, 162, 255, 230)


def evidence_of(view: Path, outline: str, kinds: Collection[Mark]) -> bytes:
    """A PNG as large as the view, clear but for marks of these kinds: where the subject inside the outline is clipped
    to white or to black, and where pixels step along a grid of 8 px.

    Raises NotFound for a view that cannot be read.
    """
    try:
        with Pillow.open(view) as opened:
            picture = opened.convert("RGB")
    except (OSError, SyntaxError) as error:
        raise NotFound("The file of this photo cannot be read. Take its folder in again.") from error
    pixels = np.asarray(picture)
    inside = _inside(picture.size, outline)
    grey = np.asarray(picture.convert("L"), dtype=np.int16)
    drawn = np.zeros((*grey.shape, 4), dtype=np.uint8)
    if "blocks" in kinds:
        drawn[_blocks(grey) | _blocks(grey.T).T] = BLOCK_MARK
    if "light" in kinds:
        drawn[inside & (pixels.min(axis=2) >= CLIPPED_LIGHT)] = LIGHT_MARK
    if "dark" in kinds:
        drawn[inside & (pixels.max(axis=2) <= CLIPPED_DARK)] = DARK_MARK
    buffer = io.BytesIO()
    Pillow.fromarray(drawn).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _blocks(grey: NDArray[np.int16]) -> Marks:
    """Where grey levels (h, w) step between two columns more than beside them, on the commonest grid of 8 px."""
    marks = np.zeros(grey.shape, dtype=bool)
    step = np.abs(np.diff(grey, axis=1))
    if step.shape[1] < 16:
        return marks
    peaks = step[:, 1:-1] >= np.maximum(step[:, :-2], step[:, 2:]) + PEAK
    counts = peaks.sum(axis=0)
    place = max(range(8), key=lambda at: int(counts[at::8].sum()))
    marks[:, 1 + place : 1 + peaks.shape[1] : 8] = peaks[:, place::8]
    return marks


def _inside(size: tuple[int, int], outline: str) -> Marks:
    """What lies inside an odd number of rings, bool (h, w)."""
    width, height = size
    inside = np.zeros((height, width), dtype=bool)
    for ring in points_of(outline):
        drawn = Pillow.new("1", size)
        if len(ring) > 2:
            ImageDraw.Draw(drawn).polygon([(x * width, y * height) for x, y in ring], fill=1)
        inside ^= np.asarray(drawn)
    return inside
