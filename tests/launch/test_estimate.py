"""How long a run takes, from what was measured, and how wide the range is."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from app.launch.estimate import NO_HISTORY, PictureCounts, estimate, steps_that_fit
from app.training import runs
from app.training.recipe import Recipe

MEASURED: dict[str, Any] = {
    "device": "CPU", "start_s": 4.0, "load_s": 2.0, "texts": 100, "text_s": 0.01, "pictures": 300, "picture_s": 0.02,
    "step_s": [0.5, 0.5, 0.5, 0.5, 0.5], "warm_s": [2.0, 0.5, 0.5], "bucket_area_ratio": 1.0, "validation_s": 3.0,
    "sample_s": 1.5, "save_s": 0.25, "export_s": 0.75,
}  # fmt: skip


@pytest.fixture
def recipe() -> Recipe:
    return runs.plan(steps=600)


def test_a_run_is_the_sum_of_its_parts(recipe: Recipe) -> None:
    found = estimate(MEASURED, recipe, PictureCounts(preview_pictures=2, sheet_pictures=100))
    assert {part.name: part.seconds for part in found.parts} == {
        "start": 4.0,
        "load": 2.0,
        "encode": 100 * 0.01 + 300 * 0.02,
        "steps": 600 * 0.5 + 1.5,  # the first step took 1.5 s more
        "validation": 5 * 3.0,  # before the first step, and every 150
        "samples": 5 * 2 * 1.5,
        "saves": 3 * 0.25,
        "last save": 0.25,
        "export": 0.75,
    }
    assert found.seconds == pytest.approx(sum(part.seconds for part in found.parts))
    assert found.sheet_s == 150.0
    assert found.end_reserve_s == pytest.approx(151.0)
    assert found.in_all[1] == pytest.approx(found.seconds + 150)


def test_what_is_in_the_cache_is_not_encoded_again(recipe: Recipe) -> None:
    found = estimate({**MEASURED, "texts_cached": 90, "pictures_cached": 300}, recipe)
    assert {part.name: part.seconds for part in found.parts}["encode"] == pytest.approx(10 * 0.01)


def test_the_last_step_saves_too(recipe: Recipe) -> None:
    odd = recipe.model_copy(update={"steps": 601})
    saves = {part.name: part.seconds for part in estimate(MEASURED, odd).parts}
    assert (saves["saves"], saves["validation"]) == (4 * 0.25, 6 * 3.0)


def test_smaller_pictures_take_their_share_of_a_step(recipe: Recipe) -> None:
    assert estimate({**MEASURED, "bucket_area_ratio": 0.8}, recipe).step_s == pytest.approx(0.4)
    two = recipe.model_copy(update={"second_from": 0.5, "second_resolution_px": 128, "second_batch_size": 16})
    # Half of the steps have a quarter of the pixels and twice the pictures.
    assert estimate(MEASURED, two).step_s == pytest.approx(0.5 * (0.5 * 0.25 * 2 + 0.5))


def test_the_range_comes_from_the_spread_of_the_steps_and_says_that_nothing_is_known(recipe: Recipe) -> None:
    calm, rough = estimate(MEASURED, recipe), estimate({**MEASURED, "step_s": [0.3, 0.7, 0.5, 0.4, 0.6]}, recipe)
    assert calm.low_s < calm.seconds < calm.high_s
    assert rough.high_s - rough.seconds > calm.high_s - calm.seconds
    assert calm.basis == f"5 steps measured on CPU; {NO_HISTORY}"
    assert calm.error == NO_HISTORY


def test_earlier_runs_narrow_the_range_and_are_told(recipe: Recipe) -> None:
    history = [1.02, 0.97, 1.05, 1.1, 0.99, 1.01, 1.03, 0.96, 1.0, 1.04, 1.02]
    known = estimate(MEASURED, recipe, history=history)
    assert known.high_s - known.low_s < estimate(MEASURED, recipe).high_s - estimate(MEASURED, recipe).low_s
    assert sum(known.low_s <= known.seconds * ratio <= known.high_s for ratio in history) >= 9
    assert known.basis == "5 steps measured on CPU and 11 earlier runs"
    assert known.error == "11 earlier runs took 3 % more or less than estimated, in the median"
    wrong = estimate(MEASURED, recipe, history=[2.0])
    assert wrong.high_s > 1.9 * wrong.seconds


def test_money_counts_the_sheet(recipe: Recipe) -> None:
    found = estimate(MEASURED, recipe, PictureCounts(sheet_pictures=100))
    least, expected, most = found.money(Decimal("3.20"))
    assert expected == pytest.approx(Decimal("3.20") * Decimal(found.seconds + 150) / 3600)
    assert least < expected < most


def test_the_steps_that_fit_end_in_time(recipe: Recipe) -> None:
    work = PictureCounts(sheet_pictures=10)
    count = steps_that_fit(MEASURED, recipe, 200, work)
    assert 0 < count < 600 and count % 10 == 0
    shorter = runs.plan(steps=count)
    assert estimate(MEASURED, shorter, work).in_all[2] <= 200
    assert estimate(MEASURED, runs.plan(steps=count + 20), work).in_all[2] > 200 * 0.98
    assert steps_that_fit(MEASURED, recipe, 20, work) == 0
    assert steps_that_fit(MEASURED, recipe, 1e6, work) == 600
