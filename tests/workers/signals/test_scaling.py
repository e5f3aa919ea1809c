"""Pictures that are made smaller for measuring keep the mean of what each pixel covers."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow

from tests.pictures import patches
from workers.signals.scaling import within


def off(first: object, second: object) -> float:
    """Root mean square difference in levels of 255."""
    difference = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    return float(np.sqrt((difference * difference).mean()))


@pytest.mark.parametrize("times", [1.05, 1.25, 1.67, 2.0, 2.3, 3.2, 4.0, 5.0, 7.3])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_each_pixel_is_near_the_mean_of_what_it_covers(times: float, mode: str) -> None:
    picture = patches(3, 512).convert(mode).resize((512, 380), Pillow.Resampling.BICUBIC)
    pixels = np.asarray(picture)
    small = within(pixels, round(512 / times))
    size = small.shape[1], small.shape[0]
    mean = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    assert max(size) == round(512 / times) and small.ndim == pixels.ndim
    assert off(small, mean) <= max(1.5, off(picture.resize(size, Pillow.Resampling.BOX), mean))


def test_nothing_is_enlarged_and_no_side_vanishes() -> None:
    pixels = np.asarray(patches(3))
    assert within(pixels, max(pixels.shape)) is pixels
    assert within(np.zeros((3, 900), dtype=np.uint8), 100).shape == (1, 100)
