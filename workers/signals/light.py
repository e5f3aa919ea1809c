"""Light on a product photo: how bright its subject is, what is clipped, the shadow it stands in, whether it is grey.

**Brightness** is the median L* of the subject. `clipped_light` is the share of the subject that has lost its form to
white, all three channels at `CLIPPED_LIGHT` or more, `clipped_dark` to black, all three at `CLIPPED_DARK` or less: a
channel alone is at its end in any saturated colour.

**Shadow.** How much darker, in L*, the ground is just below the subject than where no shadow falls: the 90th percentile
over the columns of its lowest fifth, of the mean fall in a band under its lowest pixel, as deep as 4 % of the subject,
where the ground keeps its colour but for what less light takes. 0 to 100; some 3 can be seen. None where the background
is a scene, and where there is no ground below the subject.

**Chroma** is that of the most colourful hundredth of the frame, C* (CIE 1976), 0 to some 130. A photo without colour,
be its file grey or RGB, has next to none.
"""

from __future__ import annotations

from typing import Final, TypedDict

import cv2
import numpy as np

from workers.signals.lab import Field, Pixels, Planes, quantile
from workers.signals.mask import Segmentation
from workers.signals.regions import Mask, box_of

CLIPPED_LIGHT: Final = 254
CLIPPED_DARK: Final = 2
FAR_SHARE: Final = 0.04


class Light(TypedDict):
    """The columns of `Signals` that this file measures on a subject."""

    brightness: float
    clipped_light: float
    clipped_dark: float
    shadow: float | None


def light_on(pixels: Pixels, lab: Planes, subject: Mask, finding: Segmentation) -> Light:
    """Brightness, clipping and shadow, uint8 sRGB (h, w, 3), the same as CIELAB, and a subject that is not empty."""
    core = cv2.erode(subject.view(np.uint8), np.ones((3, 3), dtype=np.uint8))
    core = core if core.any() else subject.view(np.uint8)
    size = cv2.countNonZero(core)
    first, second, third = cv2.split(pixels)
    darkest, brightest = cv2.min(cv2.min(first, second), third), cv2.max(cv2.max(first, second), third)
    inside = core > 0
    light = np.count_nonzero(inside & (np.asarray(darkest) >= CLIPPED_LIGHT))
    dark = np.count_nonzero(inside & (np.asarray(brightest) <= CLIPPED_DARK))
    return {
        "brightness": round(_middle(lab[0][inside]), 1),
        "clipped_light": round(light / size, 4),
        "clipped_dark": round(dark / size, 4),
        "shadow": _shadow(lab, subject) if finding.is_plain else None,
    }


def _middle(values: Field) -> float:
    """The median of many values, of some 4,000 of them."""
    return float(quantile(values[:: max(1, len(values) // 4000)], 0.5))


def chroma_of(lab: Planes) -> float:
    """The chroma of the most colourful hundredth of a frame, CIELAB (3, h, w)."""
    a, b = lab[1, ::2, ::2], lab[2, ::2, ::2]
    squares = (a * a + b * b).ravel()
    place = int(0.99 * (len(squares) - 1))
    return round(float(np.sqrt(np.partition(squares, place)[place])), 2)


def _shadow(lab: Planes, subject: Mask) -> float | None:
    height, _ = subject.shape
    left, right, top, bottom = box_of(subject)
    columns = np.flatnonzero(subject.any(axis=0))
    size = max(bottom - top, right - left) + 1
    deep = max(3, round(FAR_SHARE * size))
    below = height - 1 - bottom
    if below < deep + 2:
        return None
    ground = ~subject
    lowest = height - 1 - np.argmax(subject[::-1, columns], axis=0)
    # Legs of a chair high above the ground cast no contact shadow; the lowest fifth of the subject stands on it.
    lowest_fifth = lowest >= bottom - size / 5
    columns, lowest = columns[lowest_fifth], lowest[lowest_fifth]
    # Compression and soft edges smear the product's last pixel over the next two.
    y = lowest[None, :] + 3 + np.arange(deep)[:, None]
    y = np.minimum(y, height - 1)
    x = np.broadcast_to(columns, y.shape)
    far = ground.copy()
    far[max(0, top - deep) : bottom + 2 * deep, max(0, columns[0] - deep) : columns[-1] + deep] = False
    if np.count_nonzero(far[::2, ::2]) < 50:
        return None
    light, a, b = (_middle(plane[::2, ::2][far[::2, ::2]]) for plane in lab)
    level, tint_a, tint_b = (plane[y, x] for plane in lab)
    dimmed = (level + 16) / (light + 16)
    is_ground = ground[y, x] & (np.hypot(tint_a - a * dimmed, tint_b - b * dimmed) < 6)
    counted = is_ground.sum(axis=0)
    if (counted > 0).sum() < 3:
        return None
    fall = np.where(is_ground, light - level, 0).sum(axis=0)[counted > 0] / counted[counted > 0]
    return round(max(0.0, float(np.percentile(fall, 90))), 1)
