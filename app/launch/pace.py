"""How fast a run trains by what a preflight measured: its steps as they are or compiled, whichever is quicker. Pure.

Compiling pays when what it saves over all steps is more than what it takes before them. So it depends on how long the
run goes on, and is decided anew for each length from the same measuring.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Pace:
    """The way a run trains: the timed steps, their mean over the run, and what comes before them; all in seconds.

    `warming_s`: what the first steps took longer than the others. `compile_s`: compiling; 0 where it is not compiled.
    `compiling` says what was found of compiling, "" where nothing was measured of it. `peak_bytes`: the most memory.
    """

    is_compiled: bool
    timed_s: Sequence[float]
    step_s: float
    warming_s: float
    compile_s: float = 0.0
    peak_bytes: int | None = None
    compiling: str = ""


def pace(measured: Mapping[str, Any], recipe: Recipe) -> Pace:
    """The quicker way for a recipe; compiled only where the recipe asks for it and the preflight showed that it pays.

    `measured` are a preflight's facts, with timed steps.
    """
    share = _share(measured, recipe)
    timed_s, warming_s = measured["step_s"], _warming_s(measured)
    plain_s = statistics.median(timed_s) * share
    peak = measured.get("peak_bytes")
    both = measured.get("compiled") if recipe.compile else None
    if both is None:
        return Pace(False, timed_s, plain_s, warming_s, peak_bytes=peak)
    if "why_not" in both:
        return Pace(
            False, timed_s, plain_s, warming_s, peak_bytes=peak, compiling=f"it is not compiled: {both['why_not']}"
        )
    compiled_s = statistics.median(both["step_s"]) * share
    compile_s = sum(seconds for *_, seconds in both["sizes"]) + _warming_s(both)
    pays, reason = _weighed(plain_s, compiled_s, compile_s, recipe.steps)
    if not pays:
        return Pace(False, timed_s, plain_s, warming_s, peak_bytes=peak, compiling=reason)
    return Pace(True, both["step_s"], compiled_s, warming_s, compile_s, both["peak_bytes"], reason)


def as_launched(recipe: Recipe, measured: Mapping[str, Any] | None) -> Recipe:
    """The recipe as a run is to have it: it compiles only where a preflight showed that it pays."""
    if not recipe.compile or (measured and "step_s" in measured and pace(measured, recipe).is_compiled):
        return recipe
    return recipe.model_copy(update={"compile": False})


def _weighed(plain_s: float, compiled_s: float, compile_s: float, steps: int) -> tuple[bool, str]:
    """Whether compiling pays in a run of so many steps, and why, in a sentence."""
    if compiled_s >= plain_s:
        comparison = f"steps take {_short(compiled_s)} compiled and {_short(plain_s)} as they are"
        return False, f"compiling does not pay: {comparison}"
    after = max(1, math.ceil(round(compile_s / (plain_s - compiled_s), 3)))
    grain = 10 ** max(0, len(str(after)) - 2)
    break_even = f"{-(-after // grain) * grain:,}"
    instead = f"steps take {_short(compiled_s)} instead of {_short(plain_s)}"
    if after <= steps:
        return (
            True,
            f"compiled {instead}; {compile_s:.0f} s of compiling are paid back after {break_even} of {steps:,} steps",
        )
    late = f"{compile_s:.0f} s of compiling would be paid back after {break_even} steps and the run has {steps:,}"
    return False, f"compiling does not pay: {instead}, but {late}"


def _short(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 0.1 else f"{seconds:.2g} s"


def _share(measured: Mapping[str, Any], recipe: Recipe) -> float:
    """A step in the mean, in shares of one at the largest size: smaller pictures take their share of it.

    In a first stage at a lower resolution a step takes its share by pixels and pictures.
    """
    largest = float(measured.get("bucket_area_ratio", 1.0))
    last = recipe.stage(recipe.steps - 1)
    if last.number == 0:
        return largest
    first = recipe.stage(0)
    before = last.first_step / recipe.steps
    pixels = (first.resolution_px / last.resolution_px) ** 2 * first.batch_size / last.batch_size
    return largest * (before * pixels + 1 - before)


def _warming_s(timed: Mapping[str, Any]) -> float:
    """What the first steps took longer than the others: a cold device, and what was compiled late."""
    usual = statistics.median(timed["step_s"])
    return float(max(0.0, sum(timed.get("warm_s", ())) - usual * len(timed.get("warm_s", ()))))
