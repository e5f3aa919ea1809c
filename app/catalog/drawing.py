"""What is laid over a photo to show why it was measured so, drawn with Pillow alone."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Final

from PIL import Image as Pillow
from PIL import ImageChops, ImageDraw

from app.catalog.outlines import points_of
from app.errors import NotFound

# As `workers/signals/light.py` counts them.
CLIPPED_LIGHT: Final = 254
CLIPPED_DARK: Final = 2
LIGHT_MARK: Final = (214, 20, 120, 255)
DARK_MARK: Final = (0, 150, 255, 255)


def clipped_pixels(view: Path, outline: str) -> bytes:
    """A PNG as large as the view, clear but where the subject inside the outline is clipped to white or to black.

    Raises NotFound for a view that cannot be read.
    """
    try:
        with Pillow.open(view) as opened:
            red, green, blue = opened.convert("RGB").split()
    except (OSError, SyntaxError) as error:
        raise NotFound("The file of this photo cannot be read. Take its folder in again.") from error
    inside = _inside(red.size, outline)
    darkest = ImageChops.darker(ImageChops.darker(red, green), blue)
    brightest = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    marks = Pillow.new("RGBA", red.size)
    for clipped, mark in (
        (darkest.point([255 * (level >= CLIPPED_LIGHT) for level in range(256)]), LIGHT_MARK),
        (brightest.point([255 * (level <= CLIPPED_DARK) for level in range(256)]), DARK_MARK),
    ):
        marks.paste(mark, mask=ImageChops.multiply(clipped, inside))
    buffer = io.BytesIO()
    marks.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _inside(size: tuple[int, int], outline: str) -> Pillow.Image:
    """255 inside an odd number of rings, "L"."""
    width, height = size
    inside = Pillow.new("1", size)
    for ring in points_of(outline):
        drawn = Pillow.new("1", size)
        if len(ring) > 2:
            ImageDraw.Draw(drawn).polygon([(x * width, y * height) for x, y in ring], fill=1)
        inside = ImageChops.logical_xor(inside, drawn)
    return inside.convert("L")
