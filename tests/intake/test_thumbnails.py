"""Smaller pictures look as a good filter makes them, whatever they were."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image as Pillow

from app.intake.thumbnails import shrink, shrink_pixels, within
from tests.pictures import patches


def off(first: Pillow.Image, second: Pillow.Image) -> float:
    """Root mean square difference in levels of 255."""
    difference = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    return float(np.sqrt((difference * difference).mean()))


@pytest.mark.parametrize("times", [1.04, 1.3, 1.5625, 2.0, 2.5, 3.0, 4.0, 7.3])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_smaller_picture_is_what_a_slower_filter_makes(times: float, mode: str) -> None:
    picture = patches(3, 512).convert(mode).resize((512, 380), Pillow.Resampling.BICUBIC)
    side_px = round(512 / times)
    small = shrink(picture, side_px)
    size = within(picture.size, side_px)
    assert (small.mode, small.size) == (mode, size)
    slow = picture.resize(size, Pillow.Resampling.LANCZOS)
    assert off(small, slow) < 3
    assert off(small, slow) <= off(picture.resize(size, Pillow.Resampling.BOX), slow) + 0.3
    assert (shrink_pixels(np.asarray(picture), side_px) == np.asarray(small)).all()


def test_detail_that_a_smaller_picture_cannot_show_turns_grey() -> None:
    """Not into stripes of its own."""
    stripes = Pillow.fromarray((np.indices((300, 400)).sum(axis=0) % 2 * 255).astype(np.uint8))
    for side_px in (330, 256, 150, 90):
        small = np.asarray(shrink(stripes, side_px), dtype=np.float64)[4:-4, 4:-4]
        slow = np.asarray(stripes.resize(within((400, 300), side_px), Pillow.Resampling.HAMMING), dtype=np.float64)
        assert small.mean() == pytest.approx(127.5, abs=4)
        assert small.std() <= slow[4:-4, 4:-4].std() + 20


def test_nothing_is_enlarged() -> None:
    picture = patches(3)
    assert shrink(picture, 256) is picture
    pixels = np.asarray(picture)
    assert shrink_pixels(pixels, 4000) is pixels
