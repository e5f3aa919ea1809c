"""How much the demo does, by what was measured."""

from __future__ import annotations

from typing import Any

import pytest

from app.demo.fitting import MARGIN, SIZES, fitting, seconds
from app.training import runs

QUIET: dict[str, Any] = {
    "device": "CPU", "load_s": 1.0, "start_s": 6.0, "texts": 300, "text_s": 0.003, "pictures": 300, "picture_s": 0.003,
    "warm_s": [0.4] * 3, "step_s": [0.4] * 5, "validation_s": 0.6, "sample_s": 0.2, "save_s": 0.2, "export_s": 0.3,
}  # fmt: skip


def slower(by: float) -> dict[str, Any]:
    scaled = {name: value * by for name, value in QUIET.items() if isinstance(value, float)}
    return {**QUIET, **scaled, "warm_s": [0.4 * by] * 3, "step_s": [0.4 * by] * 5}


def test_a_quick_computer_does_all_of_it() -> None:
    assert fitting(QUIET, runs.plan(), 540.0) == SIZES[0]


@pytest.mark.parametrize(("by", "steps"), [(1.5, 600), (2.0, 450), (3.0, 300), (3.6, 200)])
def test_a_slower_one_does_less_and_ends_in_time(by: float, steps: int) -> None:
    size = fitting(slower(by), runs.plan(), 500.0)
    assert size.changes(runs.plan())["steps"] == steps
    assert MARGIN * seconds(slower(by), runs.plan(), size) <= 500.0
    assert size.words(runs.plan()).startswith("all 600 steps," if steps == 600 else f"{steps} steps instead of 600,")


def test_sizes_shrink_and_the_least_is_done_whatever_it_takes() -> None:
    assert sorted(SIZES, key=lambda size: -seconds(QUIET, runs.plan(), size)) == list(SIZES)
    assert fitting(slower(100.0), runs.plan(), 10.0) == SIZES[-1]
