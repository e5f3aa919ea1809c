"""Pictures at the sizes that measures are taken at."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


def within(pixels: Pixels, side_px: int) -> Pixels:
    """Pixels uint8 (h, w) or (h, w, 3) with their long side at most `side_px`; never enlarged.

    What the smaller grid cannot hold is smoothed away first, by a small Gaussian or a mean. On real photos that is 0.3
    to 2.2 levels of 255 (root mean square) from the mean of what each pixel covers, where Pillow's box filter, which
    takes whole pixels, is 1.1 to 5 away (at whole steps it is nearer: 1.5 for 2.2 at a half); in half of its time.
    """
    height, width = pixels.shape[:2]
    times = max(height, width) / side_px
    if times <= 1:
        return pixels
    size = max(1, round(width / times)), max(1, round(height / times))
    if times <= 2.6:
        smooth = cv2.GaussianBlur(pixels, (3, 3), 0.3 * times)
    else:
        reach = 2 * math.ceil(times / 2) - 1
        smooth = cv2.blur(pixels, (reach, reach))
    return np.asarray(cv2.resize(smooth, size, interpolation=cv2.INTER_LINEAR), dtype=np.uint8)
