"""Regions of a frame, against what scipy says of the same masks."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from workers.signals.regions import Mask, grown, hull_of, parts_of, shrunk, touching_border, without_specks

ODD: dict[str, Mask] = {
    "empty": np.zeros((20, 30), dtype=bool),
    "full": np.ones((20, 30), dtype=bool),
    "line": np.eye(20, dtype=bool),
    "one row": np.ones((1, 30), dtype=bool),
    "one pixel": np.ones((1, 1), dtype=bool),
}


def blobs(seed: int) -> Mask:
    """Parts of many sizes, some with holes, some at the frame."""
    noise = np.random.default_rng(seed).normal(size=(90, 70))
    return np.asarray((ndimage.gaussian_filter(noise, 2) > 0.05) | (noise > 2.2))


MASKS = [*ODD.values(), *map(blobs, range(6)), blobs(7)[::2, ::-1]]


def square(by_px: int) -> NDArray[np.bool_]:
    return np.ones((2 * by_px + 1, 2 * by_px + 1), dtype=bool)


@pytest.mark.parametrize("by_px", [1, 2, 5])
def test_masks_shrink_and_grow_by_squares_and_the_frame_is_no_edge(by_px: int) -> None:
    for mask in MASKS:
        assert (shrunk(mask, by_px) == ndimage.binary_erosion(mask, square(by_px), border_value=1)).all()
        assert (grown(mask, by_px) == ndimage.binary_dilation(mask, square(by_px))).all()


def test_parts_are_those_that_touch_by_their_sides() -> None:
    for mask in MASKS:
        parts, sizes = parts_of(mask)
        labels, count = ndimage.label(mask)
        assert len(sizes) == count + 1 and sizes[0] == 0 and sizes.sum() == mask.sum()
        # One number here is one number there.
        assert len(np.unique(np.stack([parts.ravel(), labels.ravel()]), axis=1).T) == len(np.unique(labels))
        is_speck = np.bincount(labels.ravel())[labels] < max(4, 0.0005 * mask.size)
        assert (without_specks(mask) == (mask & ~is_speck)).all()


def test_what_touches_the_frame_is_kept_whole() -> None:
    for mask in MASKS:
        labels, _ = ndimage.label(mask)
        at_frame = set(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])) - {0}
        assert (touching_border(mask) == np.isin(labels, [*at_frame])).all()


def test_a_hull_reaches_as_far_as_its_mask_also_at_the_frame() -> None:
    assert hull_of(ODD["full"]).all()
    assert not hull_of(ODD["empty"]).any()
    for seed in range(6):
        mask = blobs(seed)
        assert (hull_of(mask) >= mask).all()
    corners = np.zeros((40, 40), dtype=bool)
    corners[[5, 5, 34], [5, 34, 20]] = True
    hull = hull_of(corners)
    assert hull[6, 20] and hull[20, 20] and not hull[30, 8] and not hull[4].any()
    assert hull.sum() == pytest.approx(29 * 29 / 2 + 29 * 1.6, abs=30)
