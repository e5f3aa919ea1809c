"""Whether compiling pays, from steps that were timed both ways, and what follows from it."""

from __future__ import annotations

from typing import Any

import pytest

from app.launch import checks
from app.launch.estimate import estimate, steps_that_fit
from app.launch.pace import as_launched, pace
from app.training import runs
from app.training.recipe import Recipe
from tests.launch.test_checks import BASE, LEFT, MEASURED, MEMBERS, PLACE

BOTH: dict[str, Any] = {
    **MEASURED, "step_s": [0.53] * 5, "warm_s": [2.53, 0.53, 0.53], "peak_bytes": 1 << 30,
    "compiled": {
        "sizes": [[64, 64, 60.0], [48, 80, 30.0]], "warm_s": [2.41, 0.41, 0.41], "step_s": [0.41] * 5,
        "peak_bytes": 2 << 30,
    },
}  # fmt: skip


def asking(steps: int = 3000) -> Recipe:
    """A recipe that asks for compiling."""
    return runs.plan(steps=steps).model_copy(update={"compile": True})


def compiled(**facts: Any) -> dict[str, Any]:
    """What was measured, with something else of the compiled steps."""
    return {**BOTH, "compiled": {**BOTH["compiled"], **facts}}


def test_what_saves_more_than_it_takes_is_compiled() -> None:
    way = pace(BOTH, asking())
    assert (way.is_compiled, way.step_s, way.peak_bytes) == (True, 0.41, 2 << 30)
    assert way.compiling == (
        "compiled steps take 0.41 s instead of 0.53 s; 92 s of compiling are paid back after 770 of 3,000 steps"
    )
    assert as_launched(asking(), BOTH) == asking()


@pytest.mark.parametrize(
    ("measured", "steps", "found"),
    [
        (
            BOTH, 766,
            "compiling does not pay: steps take 0.41 s instead of 0.53 s, but 92 s of compiling would be paid back "
            "after 770 steps and the run has 766",
        ),
        (
            compiled(step_s=[0.56] * 5), 3000,
            "compiling does not pay: steps take 0.56 s compiled and 0.53 s as they are",
        ),
        ({**BOTH, "compiled": {"why_not": "the compiler broke: x"}}, 3000, "it is not compiled: the compiler broke: x"),
    ],
)  # fmt: skip
def test_what_does_not_pay_is_launched_without(measured: dict[str, Any], steps: int, found: str) -> None:
    recipe = asking(steps)
    way = pace(measured, recipe)
    assert (way.is_compiled, way.step_s, way.peak_bytes, way.compiling) == (False, 0.53, 1 << 30, found)
    launched = as_launched(recipe, measured)
    assert not launched.compile and launched.recipe_hash() == runs.plan(steps=steps).recipe_hash()


def test_without_a_preflight_that_shows_it_nothing_is_compiled() -> None:
    for measured in (None, {}, {"weights": []}, MEASURED):
        assert not as_launched(asking(), measured).compile
    assert not as_launched(runs.plan(), BOTH).compile
    assert pace(BOTH, runs.plan()).compiling == ""


def test_smaller_pictures_save_less_a_step() -> None:
    assert "take 0.33 s instead of 0.42 s" in pace({**BOTH, "bucket_area_ratio": 0.8}, asking()).compiling
    assert pace(BOTH, asking(800)).is_compiled
    assert not pace({**BOTH, "bucket_area_ratio": 0.8}, asking(800)).is_compiled


def test_the_estimate_counts_compiling_before_the_steps() -> None:
    found, plain = estimate(BOTH, asking()), estimate(BOTH, runs.plan(steps=3000))
    parts = {part.name: part.seconds for part in found.parts}
    assert (parts["compiling"], parts["steps"]) == (pytest.approx(92), pytest.approx(3000 * 0.41 + 2))
    assert "compiling" not in {part.name for part in plain.parts}
    assert found.seconds == pytest.approx(plain.seconds + 92 - 3000 * 0.12)
    assert found.basis.startswith("5 compiled steps measured on CPU; ")
    short = estimate(BOTH, asking(600))
    assert short.seconds == pytest.approx(estimate(BOTH, runs.plan(steps=600)).seconds)
    assert short.basis.startswith("5 steps measured on CPU (compiling does not pay: ")


def test_the_steps_that_fit_end_in_time_whatever_their_pace() -> None:
    for seconds in (300, 600, 900):
        count = steps_that_fit(BOTH, asking(), seconds)
        assert 0 < count < 3000
        assert estimate(BOTH, asking(count)).in_all[2] <= seconds


@pytest.mark.parametrize(
    ("measured", "steps", "state", "words"),
    [
        (BOTH, 3000, "passed", "compiled steps take 0.41 s"),
        (BOTH, 600, "warning", "compiling does not pay: "),
        (MEASURED, 3000, "cannot_tell", "without it nothing is compiled"),
        (None, 3000, "cannot_tell", "without it nothing is compiled"),
    ],
)
def test_the_gate_says_what_was_found(measured: dict[str, Any] | None, steps: int, state: str, words: str) -> None:
    (found,) = [
        one for one in checks.findings(asking(steps), BASE, MEMBERS, PLACE, LEFT, measured) if one.name == "Compile"
    ]
    assert (found.state, words in found.sentence) == (state, True), found.sentence
    assert checks.is_open([found])
