"""Mending pictures: background made white by a mask, turned, straightened, cropped. Pixels in, pixels out."""

from __future__ import annotations

from PIL import Image as Pillow

from app.catalog.mends import WHOLE, Edits
from app.catalog.outlines import points_of

WHITE = "white"
_TURNS = {1: Pillow.Transpose.ROTATE_270, 2: Pillow.Transpose.ROTATE_180, 3: Pillow.Transpose.ROTATE_90}
# An outline is drawn so many times larger and made smaller again, so that its edge is soft.
_OVERSAMPLED = 4


def mended(picture: Pillow.Image, edits: Edits, mask: Pillow.Image | None) -> Pillow.Image:
    """The picture, mode RGB or L, as the edits ask; `mask`, mode L of any size, is 255 where the product is.

    Where a mask is 0 the picture becomes exactly white, and is mixed with white in between.
    """
    if edits.is_white and mask is not None:
        paper = Pillow.new(picture.mode, picture.size, WHITE)
        fitted = mask if mask.size == picture.size else mask.resize(picture.size, Pillow.Resampling.BILINEAR)
        picture = Pillow.composite(picture, paper, fitted)
    return framed(picture, edits, WHITE)


def framed(picture: Pillow.Image, edits: Edits, fill: str) -> Pillow.Image:
    """The picture, or its mask, turned, straightened and cropped; what comes into the frame is `fill`."""
    if edits.turns:
        picture = picture.transpose(_TURNS[edits.turns])
    if edits.angle:
        picture = picture.rotate(-edits.angle, Pillow.Resampling.BICUBIC, fillcolor=fill)
    if edits.crop != WHOLE:
        # The box is told in px of the picture before its turn.
        size = (picture.height, picture.width) if edits.turns % 2 else picture.size
        left, top, right, bottom = edits.box(*size)
        picture = picture.crop((left, top, max(right, left + 1), max(bottom, top + 1)))
    return picture


def mask_of(outline: str, size: tuple[int, int]) -> Pillow.Image:
    """An outline as it is kept, drawn as a mask of this size with a soft edge: mode L, 255 inside."""
    import cv2
    import numpy as np

    large = (size[0] * _OVERSAMPLED, size[1] * _OVERSAMPLED)
    drawn = np.zeros((large[1], large[0]), np.uint8)
    rings = [np.round(np.array(ring) * large).astype(np.int32) for ring in points_of(outline) if len(ring) > 2]
    cv2.fillPoly(drawn, rings, 255)  # by the even-odd rule: a ring in a ring is a hole
    return Pillow.fromarray(cv2.resize(drawn, size, interpolation=cv2.INTER_AREA))
