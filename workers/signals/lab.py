"""Pictures as planes of CIELAB, and differences of colour on them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from app.catalog.colours import SRGB_TO_XYZ, WHITE_D65

Pixels = NDArray[np.uint8]
Planes = NDArray[np.float32]  # CIELAB as (3, ...): one plane each for L*, a* and b*
Field = NDArray[np.float32]

_DECODED = np.array(
    [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in np.arange(256) / 255], dtype=np.float32
)
_TO_RELATIVE_XYZ = (SRGB_TO_XYZ / WHITE_D65[:, None]).astype(np.float32)


def lab_planes(pixels: Pixels) -> Planes:
    """uint8 sRGB (h, w, 3) as CIELAB D65, float32 (3, h, w). Formulae: `app.catalog.colours`."""
    linear = np.ascontiguousarray(_DECODED[pixels].transpose(2, 0, 1))
    relative = (_TO_RELATIVE_XYZ @ linear.reshape(3, -1)).reshape(linear.shape)
    toe = relative * np.float32(841 / 108) + np.float32(4 / 29)
    x, y, z = np.where(relative > np.float32((6 / 29) ** 3), np.cbrt(relative), toe)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def distance(first: Planes, second: Planes) -> Field:
    """CIE 1976 colour difference of CIELAB arrays (3, ...) that broadcast."""
    lightness, a, b = first[0] - second[0], first[1] - second[1], first[2] - second[2]
    return np.asarray(np.sqrt(lightness * lightness + a * a + b * b))


def steepness(lab: Planes) -> Field:
    """Largest step in CIELAB from each pixel to one of its four neighbours, float32 (h, w)."""
    steep = np.zeros(lab.shape[1:], dtype=np.float32)
    down, right = distance(lab[:, 1:], lab[:, :-1]), distance(lab[:, :, 1:], lab[:, :, :-1])
    steep[1:] = down
    np.maximum(steep[:-1], down, out=steep[:-1])
    np.maximum(steep[:, 1:], right, out=steep[:, 1:])
    np.maximum(steep[:, :-1], right, out=steep[:, :-1])
    return steep
