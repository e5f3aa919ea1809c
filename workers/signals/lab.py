"""Pictures as planes of CIELAB, and differences of colour on them."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from app.catalog.colours import SRGB_TO_XYZ, WHITE_D65
from app.catalog.colours import quantile as quantile
from workers.signals.regions import Mask

# There are as many workers as cores: a thread more would only wait for the others.
cv2.setNumThreads(1)

Pixels = NDArray[np.uint8]
Planes = NDArray[np.float32]  # CIELAB as (3, ...): one plane each for L*, a* and b*
Field = NDArray[np.float32]

_DECODED = np.array(
    [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in np.arange(256) / 255], dtype=np.float32
)
_TO_RELATIVE_XYZ = (SRGB_TO_XYZ / WHITE_D65[:, None]).astype(np.float32)
# From the cube roots of X, Y and Z: columns for each, and what is added.
_TO_LAB = np.array([[0, 116, 0, -16], [500, -500, 0, 0], [0, 200, -200, 0]], dtype=np.float32)


def lab_planes(pixels: Pixels) -> Planes:
    """uint8 sRGB (h, w, 3) as CIELAB D65, float32 (3, h, w). Formulae: `app.catalog.colours`."""
    relative = cv2.transform(cv2.LUT(pixels, _DECODED), _TO_RELATIVE_XYZ)
    cubic = np.cbrt(relative)
    # Few pixels are so dark, in many photos none: the rest need no second formula.
    is_toe = relative <= np.float32((6 / 29) ** 3)
    if is_toe.any():
        cubic[is_toe] = relative[is_toe] * np.float32(841 / 108) + np.float32(4 / 29)
    planes = np.empty((3, *pixels.shape[:2]), dtype=np.float32)
    cv2.split(cv2.transform(cubic, _TO_LAB), list(planes))
    return planes


def distance(first: Planes, second: Planes) -> Field:
    """CIE 1976 colour difference of CIELAB arrays (3, ...) that broadcast."""
    apart = first - second
    apart *= apart
    return np.asarray(np.sqrt(apart[0] + apart[1] + apart[2]))


def steepness(lab: Planes) -> Field:
    """Largest step in CIELAB from each pixel to one of its four neighbours, float32 (h, w)."""
    steep = np.zeros(lab.shape[1:], dtype=np.float32)
    down, right = distance(lab[:, 1:], lab[:, :-1]), distance(lab[:, :, 1:], lab[:, :, :-1])
    steep[1:] = down
    np.maximum(steep[:-1], down, out=steep[:-1])
    np.maximum(steep[:, 1:], right, out=steep[:, 1:])
    np.maximum(steep[:, :-1], right, out=steep[:, :-1])
    return steep


def strongest_places(field: Field, where: Mask, share: float) -> NDArray[np.intp]:
    """Where of a mask (h, w) that is not empty a field lies at its `share` quantile there or above, as flat places.

    The share is near 1. What clearly lies below that is neither gathered nor put in order.
    """
    count = np.count_nonzero(where)
    above = (1 - share) * (count - 1)
    # A few values tell where so many lie that the one that is asked for is among them, nearly always.
    some = field[::4, ::4][where[::4, ::4]]
    least = quantile(some, 1 - 2 * (1 - share)) if len(some) >= 60 else np.float32(-np.inf)
    places = np.flatnonzero(where & (field >= least))
    if len(places) < above + 2:
        places = np.flatnonzero(where)
    values = field.take(places)
    limit = quantile(values, 1 - above / (len(values) - 1)) if len(values) > 1 else values[0]
    return np.asarray(places[values >= limit])


def averaged(fields: Field, side_px: int) -> Field:
    """Mean over a square of `side_px` around each pixel of (h, w) or (n, h, w); what lies outside is mirrored."""
    if fields.ndim == 3:
        return np.stack([averaged(field, side_px) for field in fields])
    return np.asarray(cv2.blur(fields, (side_px, side_px), borderType=cv2.BORDER_REFLECT), dtype=np.float32)
