"""Planes of CIELAB, against the formulae and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from app.catalog.colours import delta_e76, lab_from_srgb
from workers.signals.lab import averaged, distance, lab_planes, quantile, steepness, strongest_places

RNG = np.random.default_rng(3)


def test_planes_are_the_formulae() -> None:
    levels = np.arange(0, 256, 17, dtype=np.uint8)
    pixels = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(64, 64, 3)
    planes = lab_planes(pixels)
    assert planes.dtype == np.float32 and planes.flags.c_contiguous
    assert planes.transpose(1, 2, 0) == pytest.approx(lab_from_srgb(pixels), abs=0.001)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (13, 7)])
@pytest.mark.parametrize("side_px", [3, 5])
def test_means_mirror_what_lies_outside(shape: tuple[int, int], side_px: int) -> None:
    fields = RNG.normal(size=(3, *shape)).astype(np.float32)
    expected = ndimage.uniform_filter(fields, (0, side_px, side_px))
    assert averaged(fields, side_px) == pytest.approx(expected, abs=1e-5)
    assert averaged(fields[1], side_px) == pytest.approx(expected[1], abs=1e-5)


def test_differences_broadcast_and_leave_their_arguments_alone() -> None:
    field = RNG.normal(size=(3, 4, 5)).astype(np.float32)
    before = field.copy()
    colour = np.array([100, 0, 0], dtype=np.float32)
    expected = delta_e76(field.transpose(1, 2, 0), colour)
    assert distance(field, colour[:, None, None]) == pytest.approx(expected, rel=1e-5)
    assert float(distance(colour, field[:, 0, 0])) == pytest.approx(expected[0, 0], rel=1e-5)
    assert (field == before).all()
    steps = steepness(field)
    assert steps[0, 0] == pytest.approx(
        max(distance(field[:, 0, 0], field[:, 0, 1]), distance(field[:, 0, 0], field[:, 1, 0]))
    )


@pytest.mark.parametrize("count", [1, 2, 5, 1000])
@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.95, 0.999, 1.0])
def test_a_quantile_is_that_of_numpy(count: int, share: float) -> None:
    values = np.random.default_rng(count).normal(size=(3, count)).astype(np.float32)
    assert quantile(values, share) == pytest.approx(np.quantile(values, share, axis=-1), abs=1e-5)


@pytest.mark.parametrize("shape", [(1, 1), (30, 33), (200, 201)])
@pytest.mark.parametrize("share", [0.9, 0.95, 0.999, 1.0])
@pytest.mark.parametrize("kind", ["any", "sorted", "one in sixteen", "all the same", "few inside"])
def test_the_strongest_places_are_the_same_whatever_the_values_are(
    shape: tuple[int, int], share: float, kind: str
) -> None:
    rng = np.random.default_rng(shape)
    field = rng.normal(size=shape).astype(np.float32)
    where = rng.random(shape) < (0.01 if kind == "few inside" else 0.7)
    where[0, 0] = True
    if kind == "sorted":
        field = np.sort(field.ravel()).reshape(shape)
    elif kind == "one in sixteen":
        field[::4, ::4] += 100
    elif kind == "all the same":
        field[:] = 3
    places = strongest_places(field, where, share)
    limit = float(quantile(field[where], share))
    wanted = np.flatnonzero(where & (field >= limit))
    # A place that the quantile falls upon may be left out for the last bit of a float.
    assert np.isin(places, np.flatnonzero(where & (field >= limit - 1e-5))).all() and len(wanted) - len(places) <= 1
