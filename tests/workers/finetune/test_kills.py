"""The short form of the kill suite; `make faults` runs the long one, tests/faults/test_kills.py."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from app.training.recipe import Recipe, write_recipe
from tests.workers.kills import Kills


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_bit_by_bit_like_one_that_nobody_killed(
    recipe: Callable[..., Recipe], manifest: Path, tmp_path: Path
) -> None:
    """Eight runs, each killed once or twice; a failing one can be had again by its seed."""
    write_recipe(tmp_path / "recipe.yaml", recipe(steps=6, checkpoint_every=2, validate_every=3, report_every=1))
    kills = Kills(tmp_path / "recipe.yaml", manifest, tmp_path, random.Random(20261125))
    kills.straight()
    for number in range(8):
        kills.kill_and_resume(number)
    assert kills.found + kills.before_any >= 8
    assert kills.found > 0
    assert kills.inside_saves > 0
