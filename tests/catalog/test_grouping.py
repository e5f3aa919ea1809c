"""Which photo of a group is suggested as the best, and the one reason for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app.catalog import grouping
from app.catalog.grouping import CRITERIA, Contender, Criterion, KnownPair

GOOD = Contender(
    2, "good", 800, 600, 100_000, None, False, 0.6, 0.8, None, detail=0.9, blockiness=0.1, border=0.0, is_marked=False
)
DAMAGE: dict[Criterion, dict[str, Any]] = {
    "unmarked": {"is_marked": True},
    "not enlarged": {"detail": 0.7, "size_bytes": 160_000},
    "largest": {"width_px": 400, "height_px": 300, "sharpness": 0.8, "detail": 0.98},
    "least compressed": {"blockiness": 0.3, "sharpness": 0.7, "size_bytes": 100_000},
    "sharpest": {"sharpness": 0.4},
}


def pair(cut: float = 0.0, frames: tuple[int, int] = (0, 0)) -> KnownPair:
    """The damaged photo is the first one."""
    return KnownPair(1, 2, 0.02, 0, cut, *frames, False)


def best(damaged: Contender, made: KnownPair, order: tuple[Criterion, ...] = CRITERIA) -> tuple[int, str]:
    (group,) = grouping.groups([damaged, GOOD], [made], (), (), order)
    return group.members[0].image_id, group.reason


@pytest.mark.parametrize("reason", DAMAGE)
def test_the_undamaged_photo_is_suggested_with_its_reason(reason: Criterion) -> None:
    assert best(replace(GOOD, image_id=1, pixels_hash="other", **DAMAGE[reason]), pair()) == (2, reason)


@pytest.mark.parametrize(
    ("changes", "made"),
    [
        ({"width_px": 752, "height_px": 564, "fill": 0.85}, pair(cut=-0.06)),
        # Its plain ground was cut off, which is no border of the other one.
        ({"width_px": 752, "height_px": 564, "fill": 0.85}, pair(frames=(0, 1))),
        ({"width_px": 960, "height_px": 720, "fill": 0.66}, pair(frames=(1, 0))),
    ],
)
def test_neither_a_cropped_nor_a_bordered_copy_is_suggested(changes: dict[str, Any], made: KnownPair) -> None:
    assert best(replace(GOOD, image_id=1, pixels_hash="other", **changes), made) == (2, "whole")


def test_twice_as_large_by_enlarging_is_not_largest() -> None:
    enlarged = replace(GOOD, image_id=1, pixels_hash="other", width_px=1600, height_px=1200, detail=0.6)
    assert best(enlarged, pair()) == (2, "not enlarged")
    # What is smaller has more detail for its size; that makes the larger one no enlargement of it.
    assert best(replace(enlarged, detail=0.85), pair()) == (1, "largest")


def test_a_small_file_without_loss_is_not_called_recompressed() -> None:
    """A white ground takes a PNG less room than a JPEG."""
    lossless = replace(GOOD, image_id=1, pixels_hash="other", size_bytes=40_000, is_lossless=True)
    assert best(lossless, pair()) == (1, "least compressed")
    (group,) = grouping.groups([lossless, GOOD], [pair()], (), ())
    assert [member.differs for member in group.members] == [(), ("recompressed",)]


def test_what_ties_is_decided_by_what_was_taken_in_first() -> None:
    assert best(replace(GOOD, image_id=1, pixels_hash="other", detail=None, blockiness=None), pair()) == (1, "first")


def test_another_order_of_the_criteria_makes_another_best() -> None:
    blocky = replace(GOOD, image_id=1, pixels_hash="other", **DAMAGE["least compressed"])
    sharpest_first: tuple[Criterion, ...] = ("sharpest", *(name for name in CRITERIA if name != "sharpest"))
    assert best(blocky, pair(), sharpest_first) == (1, "sharpest")
    assert best(blocky, pair()) == (2, "least compressed")
