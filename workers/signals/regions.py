"""Regions of a frame as masks: their borders, parts and hulls, grown and shrunk."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw
from scipy import ndimage
from scipy.spatial import ConvexHull

Mask = NDArray[np.bool_]

RING_SHARE: Final = 0.02
SPECK_SHARE: Final = 0.0005


def ring_of(height: int, width: int, share: float = RING_SHARE) -> Mask:
    """The border ring of a frame, bool (height, width): `share` of the short side thick, at least 2 px."""
    thickness = max(2, round(share * min(height, width)))
    ring = np.ones((height, width), dtype=bool)
    ring[thickness:-thickness, thickness:-thickness] = False
    return ring


def hull_of(mask: Mask) -> Mask:
    """The convex hull of a mask, bool of the same shape; empty where the mask has no area."""
    y, x = np.nonzero(mask & ~shrunk(mask, 1))
    stencil = Pillow.new("1", (mask.shape[1], mask.shape[0]))
    if len(x) and np.ptp(x) > 1 and np.ptp(y) > 1:
        # Joggled, Qhull takes points that all lie on one line.
        corners = ConvexHull(np.stack([x, y], axis=1), qhull_options="QJ").vertices
        ImageDraw.Draw(stencil).polygon([(int(x[corner]), int(y[corner])) for corner in corners], fill=1)
    return np.asarray(stencil, dtype=bool)


def touching_border(mask: Mask) -> Mask:
    """The 4-connected parts of a mask that touch the frame."""
    labels, count = ndimage.label(mask)
    keep = np.zeros(count + 1, dtype=bool)
    keep[np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])] = True
    keep[0] = False
    return np.asarray(keep[labels], dtype=bool)


def without_specks(mask: Mask) -> Mask:
    """The mask less its 4-connected parts under 0.05 % of the frame."""
    parts, sizes = parts_of(mask)
    return np.asarray((sizes >= max(4, SPECK_SHARE * mask.size))[parts], dtype=bool)


def parts_of(mask: Mask) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Labels of the 4-connected parts, and the size of each; the size of label 0, the rest, is given as 0."""
    labels, count = ndimage.label(mask)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    return labels, sizes


def shrunk(mask: Mask, by_px: int) -> Mask:
    """Erosion by a square of 2 `by_px` + 1; outside the frame counts as part of the mask."""
    for axis in (0, 1):
        moving = np.moveaxis(mask, axis, 0)
        out = moving.copy()
        for step in range(1, min(by_px, len(moving) - 1) + 1):
            out[step:] &= moving[:-step]
            out[:-step] &= moving[step:]
        mask = np.moveaxis(out, 0, axis)
    return mask


def grown(mask: Mask, by_px: int) -> Mask:
    """Dilation by a square of 2 `by_px` + 1."""
    return ~shrunk(~mask, by_px)
