"""Nearest photos in pieces, the threshold of a copy, diversity: held against plain numpy."""

from __future__ import annotations

import numpy as np
import pytest

from app.evaluation import likeness
from app.evaluation.likeness import COPY_FROM, NearestPhotos


def unit(count: int, seed: int, around: float = 0.0) -> likeness.Vectors:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(count, 32)) + around
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_photos_in_pieces_have_the_same_nearest_as_at_once() -> None:
    pictures, photos = unit(7, 1), unit(50, 2)
    nearest = NearestPhotos(pictures)
    for start in range(0, 50, 8):
        nearest.meet(photos[start : start + 8], list(range(100 + start, min(150, 108 + start))))
    cosines = pictures @ photos.T
    assert nearest.answers() == [
        (int(row.argmax()) + 100, pytest.approx(float(row.max()), abs=1e-4)) for row in cosines
    ]


def test_without_photos_or_pictures_nothing_is_near() -> None:
    assert NearestPhotos(unit(2, 1)).answers() == [None, None]
    empty = NearestPhotos(np.empty((0, 0)))
    empty.meet(unit(3, 2), [1, 2, 3])
    assert empty.answers() == []


def test_the_threshold_rises_where_held_out_photos_come_nearer() -> None:
    assert likeness.copy_threshold([]) == COPY_FROM
    assert likeness.copy_threshold([0.999] * 19) == COPY_FROM, "too few to tell"
    assert likeness.copy_threshold([0.5] * 200) == COPY_FROM
    assert likeness.copy_threshold(np.linspace(0.9, 0.99, 100)) == pytest.approx(0.9891, abs=1e-4)


def test_diversity_is_the_mean_distance_between_seeds_of_a_prompt() -> None:
    same, apart = np.tile(unit(1, 3), (4, 1)), np.eye(4)
    spread = likeness.diversity({1: same, 2: apart, 3: unit(1, 4)})
    assert spread is not None
    assert (spread.value, spread.count) == (0.5, 2)
    assert spread.low <= spread.value <= spread.high
    assert likeness.diversity({1: unit(1, 5)}) is None
