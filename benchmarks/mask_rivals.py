"""Other ways to a mask where no backdrop is plain: two colour histograms, which the app used before, and GrabCut.

They stand in the mask's benchmark, and together they make outlines of real photos to train the network on.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from workers.signals.lab import Field, Pixels, Planes, lab_planes
from workers.signals.regions import Mask, grown, parts_of, ring_of, shrunk

GRABCUT_SIDE_PX = 160
GRABCUT_ROUNDS = 3


def grabcut(pixels: Pixels, start: NDArray[np.uint8]) -> Mask:
    """GrabCut (Rother, Kolmogorov, Blake 2004) from a start of OpenCV's four labels, (h, w): bool (h, w).

    At a long side of 160 px, specks taken off and gaps closed. Empty where the start gives it no colour to learn from.
    """
    height, width = pixels.shape[:2]
    scale = GRABCUT_SIDE_PX / max(height, width)
    small = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    labels = cv2.resize(start, (small.shape[1], small.shape[0]), interpolation=cv2.INTER_NEAREST).copy()
    cv2.setRNGSeed(0)
    try:
        models = np.zeros((1, 65)), np.zeros((1, 65))
        cv2.grabCut(
            np.ascontiguousarray(small[..., ::-1]), labels, None, *models, GRABCUT_ROUNDS, cv2.GC_INIT_WITH_MASK
        )
    except cv2.error:
        return np.zeros((height, width), dtype=bool)
    product = ((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)).astype(np.uint8)
    product = cv2.morphologyEx(product, cv2.MORPH_OPEN, np.ones((3, 3)))
    product = cv2.morphologyEx(product, cv2.MORPH_CLOSE, np.ones((5, 5)))
    return np.asarray(cv2.resize(product, (width, height), interpolation=cv2.INTER_LINEAR) > 0)


def start_from_mask(mask: Mask) -> NDArray[np.uint8]:
    """A mask is likely product, the rest likely background; the frame's border is background where no mask lies."""
    start = np.where(mask, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    start[ring_of(*mask.shape, share=0.03) & ~mask] = cv2.GC_BGD
    return start


def start_from_middle(height: int, width: int) -> NDArray[np.uint8]:
    """An ellipse of 84 % of the frame is likely product; the border is background."""
    y, x = np.mgrid[0:height, 0:width]
    inside = ((x / width - 0.5) / 0.42) ** 2 + ((y / height - 0.5) / 0.42) ** 2 < 1
    start = np.where(inside, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    start[ring_of(height, width, share=0.03)] = cv2.GC_BGD
    return start


def two_starts(pixels: Pixels) -> tuple[Mask, float]:
    """What GrabCut finds both from the histograms and from the middle, and the overlap of the two findings, 0 to 1."""
    first = grabcut(pixels, start_from_mask(palette(lab_planes(pixels))[0]))
    second = grabcut(pixels, start_from_middle(*pixels.shape[:2]))
    return first & second, float((first & second).sum() / max(1, (first | second).sum()))


def palette(lab: Planes) -> tuple[Mask, float]:
    """A guess at the subject from two colour histograms, border against middle: bool (h, w), and how well they part.

    The second value is 0 (the same colours) to 1 (no colour shared).
    """
    height, width = lab.shape[1:]
    bins = np.floor(lab / np.array([5, 6, 6], dtype=np.float32)[:, None, None]).astype(np.int32)
    index = (np.clip(bins[0], 0, 20) * 32 + np.clip(bins[1] + 16, 0, 31)) * 32 + np.clip(bins[2] + 16, 0, 31)
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    middle = np.exp(-((x / 0.75) ** 4 + (y / 0.75) ** 4))
    edge = ring_of(height, width, 0.06)
    subject, border = middle * ~edge, edge.astype(np.float32)
    share, overlap = middle, 0.0
    for _ in range(4):
        ours, theirs = _histogram(index, subject), _histogram(index, border)
        overlap = float(np.minimum(ours, theirs).sum())
        likely = (ours / (ours + theirs + 1e-9)).astype(np.float32)
        share = ndimage.gaussian_filter(likely[index], 2.0)
        subject, border = share * middle, (1 - share) * (1.05 - middle)
    return _main_parts(shrunk(grown(share > 0.5, 2), 2)), 1 - overlap


def _histogram(index: NDArray[np.int32], weight: Field) -> NDArray[np.float64]:
    counts = np.bincount(index.ravel(), weight.ravel(), minlength=21 * 32 * 32).reshape(21, 32, 32)
    counts = ndimage.gaussian_filter(counts, 1.0)
    return np.asarray((counts / counts.sum()).ravel())


def _main_parts(mask: Mask) -> Mask:
    """The parts of a mask of at least a tenth of the largest, their holes under 1 % of the frame filled."""
    parts, sizes = parts_of(mask)
    kept = (sizes >= max(1.0, 0.1 * sizes.max()))[parts]
    holes, sizes = parts_of(~kept)
    return np.asarray(kept | ((sizes > 0) & (sizes < 0.01 * mask.size))[holes], dtype=bool)
