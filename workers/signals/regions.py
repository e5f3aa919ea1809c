"""Regions of a frame as masks: their borders, parts and hulls, grown and shrunk."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]

RING_SHARE: Final = 0.02
SPECK_SHARE: Final = 0.0005


def ring_of(height: int, width: int, share: float = RING_SHARE) -> Mask:
    """The border ring of a frame, bool (height, width): `share` of the short side thick, at least 2 px."""
    thickness = max(2, round(share * min(height, width)))
    ring = np.ones((height, width), dtype=bool)
    ring[thickness:-thickness, thickness:-thickness] = False
    return ring


def box_of(mask: Mask) -> tuple[int, int, int, int]:
    """The first and last column and the first and last row of a mask that is not empty."""
    left, top, width, height = cv2.boundingRect(_levels(mask))
    return left, left + width - 1, top, top + height - 1


def hull_of(mask: Mask) -> Mask:
    """The convex hull of a mask, bool of the same shape; empty where the mask has no area."""
    stencil = np.zeros(mask.shape, dtype=np.uint8)
    # The ends of each row are all that a hull can rest on.
    rows = np.flatnonzero(mask.any(axis=1))
    if len(rows) and rows[-1] - rows[0] > 1:
        left = mask[rows].argmax(axis=1)
        right = mask.shape[1] - 1 - mask[rows, ::-1].argmax(axis=1)
        ends = np.concatenate([np.stack([left, rows], axis=1), np.stack([right, rows], axis=1)]).astype(np.int32)
        if right.max() - left.min() > 1:
            cv2.fillConvexPoly(stencil, cv2.convexHull(ends), 1)
    return stencil.view(bool)


def touching_border(mask: Mask) -> Mask:
    """The 4-connected parts of a mask that touch the frame."""
    framed = cv2.copyMakeBorder(_levels(mask), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=1)
    cv2.floodFill(framed, None, (0, 0), 2, flags=4)
    return np.asarray(framed[1:-1, 1:-1] == 2)


def without_specks(mask: Mask) -> Mask:
    """The mask less its 4-connected parts under 0.05 % of the frame."""
    parts, sizes = parts_of(mask)
    return np.asarray(np.take(sizes >= max(4, SPECK_SHARE * mask.size), parts), dtype=bool)


def parts_of(mask: Mask) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Labels of the 4-connected parts, and the size of each; the size of label 0, the rest, is given as 0."""
    count, labels = cv2.connectedComponents(_levels(mask), connectivity=4)
    sizes = np.bincount(labels.ravel(), minlength=count)
    sizes[0] = 0
    return np.asarray(labels, dtype=np.int32), sizes


def shrunk(mask: Mask, by_px: int) -> Mask:
    """Erosion by a square of 2 `by_px` + 1; outside the frame counts as part of the mask."""
    return cv2.erode(_levels(mask), _square(by_px)).view(bool)


def grown(mask: Mask, by_px: int) -> Mask:
    """Dilation by a square of 2 `by_px` + 1."""
    return cv2.dilate(_levels(mask), _square(by_px)).view(bool)


def _levels(mask: Mask) -> NDArray[np.uint8]:
    """The mask as 0 and 1, the same bytes."""
    return np.ascontiguousarray(mask).view(np.uint8)


def _square(by_px: int) -> NDArray[np.uint8]:
    return np.ones((2 * by_px + 1, 2 * by_px + 1), dtype=np.uint8)
