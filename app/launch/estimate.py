"""How long a run will take and what it will cost, from what a preflight measured and how right we were before. Pure.

A run is the sum of its parts, each measured on this device: nothing is taken from another machine. The range comes from
the spread of the timed steps (Student's t for the mean of so few) and from what earlier runs took against what was
estimated of them. The sheet is drawn after the run, by another job, and is a part of its own.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from app.launch.pace import Pace, pace
from app.training.limits import LaunchEstimate
from app.training.recipe import Recipe
from app.units import duration

# Of the mean of n readings, nine in ten times: Student's t for 90 % by n - 1 degrees of freedom.
_T90: Final = {1: 6.314, 2: 2.920, 3: 2.353, 4: 2.132, 5: 2.015, 6: 1.943, 7: 1.895}
_T_MANY: Final = 1.645
# Before any run was measured against its estimate, and as the least that is ever claimed.
_UNTRIED: Final = 0.2
_LEAST: Final = 0.03
_MANY: Final = 10
_HOUR_S: Final = 3600

NO_HISTORY: Final = "no run was measured against its estimate yet"


@dataclass(frozen=True, slots=True)
class EstimatePart:
    """One part of a run: its name and its seconds."""

    name: str
    seconds: float

    @property
    def words(self) -> str:
        """Its seconds in words, with tenths below a minute."""
        return f"{self.seconds:.1f} s" if self.seconds < 60 else duration(self.seconds)


@dataclass(frozen=True, slots=True)
class PictureCounts:
    """What is drawn beside training: pictures of each previews, and pictures of the sheet afterwards."""

    preview_pictures: int = 0
    sheet_pictures: int = 0


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds on the device: the run's parts, their sum with its range, and the sheet after it. `basis` in words."""

    parts: tuple[EstimatePart, ...]
    seconds: float
    low_s: float
    high_s: float
    sheet_s: float
    step_s: float
    basis: str
    runs: int  # how many earlier runs the range comes from
    error: str  # how right we were before, in words

    @property
    def sheet(self) -> EstimatePart:
        """The sheet as a part of its own."""
        return EstimatePart("sheet", self.sheet_s)

    @property
    def in_all(self) -> tuple[float, float, float]:
        """Least, expected and most seconds with the sheet."""
        return self.low_s + self.sheet_s, self.seconds + self.sheet_s, self.high_s + self.sheet_s

    @property
    def end_reserve_s(self) -> float:
        """Seconds for the last save, the export and the sheet."""
        ends = {part.name: part.seconds for part in self.parts}
        return ends["last save"] + ends["export"] + self.sheet_s

    def money(self, hour_price: Decimal) -> tuple[Decimal, Decimal, Decimal]:
        """Least, expected and most money, the sheet included."""
        least, expected, most = (hour_price * Decimal(seconds) / _HOUR_S for seconds in self.in_all)
        return least, expected, most

    def estimated(self, preflight_id: int | None) -> LaunchEstimate:
        """What is kept with the run, to be measured against it."""
        return LaunchEstimate(self.seconds, self.low_s, self.high_s, self.basis, preflight_id)


def estimate(
    measured: Mapping[str, Any], recipe: Recipe, work: PictureCounts | None = None, history: Sequence[float] = ()
) -> Estimate:
    """The estimate for a recipe whose preflight measured these facts.

    `history` holds what earlier runs took, in shares of what was estimated of them (1 is as estimated).
    """
    work = work or PictureCounts()
    way = pace(measured, recipe)
    saves = _times(recipe.steps, recipe.checkpoint_every)
    validations = 1 + _times(recipe.steps, recipe.validate_every)
    # What an earlier run left in the cache is only read; preflights of before did not count it.
    texts = (measured["texts"] - measured.get("texts_cached", 0)) * measured["text_s"]
    pictures = (measured["pictures"] - measured.get("pictures_cached", 0)) * measured["picture_s"]
    parts = (
        EstimatePart("start", float(measured.get("start_s", 0.0))),
        EstimatePart("load", float(measured["load_s"])),
        EstimatePart("encode", texts + pictures),
        *([EstimatePart("compiling", way.compile_s)] if way.is_compiled else []),
        EstimatePart("steps", recipe.steps * way.step_s + way.warming_s),
        EstimatePart("validation", validations * measured["validation_s"]),
        EstimatePart("samples", (1 + saves) * work.preview_pictures * measured["sample_s"]),
        EstimatePart("saves", (saves - 1) * measured["save_s"]),
        EstimatePart("last save", float(measured["save_s"])),
        EstimatePart("export", float(measured["export_s"])),
    )
    seconds = sum(part.seconds for part in parts)
    low, high = _range(way.timed_s, history)
    return Estimate(
        parts=parts,
        seconds=seconds,
        low_s=seconds * low,
        high_s=seconds * high,
        sheet_s=work.sheet_pictures * measured["sample_s"],
        step_s=way.step_s,
        basis=_basis(measured, way, history),
        runs=len(history),
        error=_error(history),
    )


def steps_that_fit(
    measured: Mapping[str, Any],
    recipe: Recipe,
    seconds: float,
    work: PictureCounts | None = None,
    history: Sequence[float] = (),
) -> int:
    """The most steps whose run and sheet most likely end within `seconds`; 0 where not even one does.

    Checkpoints and validations keep their share of the run, so only the steps shrink. Rounded down to two figures.
    """
    whole = estimate(measured, recipe, work, history)
    _, high = _range(pace(measured, recipe).timed_s, history)
    fixed_s = whole.seconds - recipe.steps * whole.step_s
    count = int(((seconds - whole.sheet_s) / high - fixed_s) / whole.step_s)
    if count < 1:
        return 0
    grain = 10 ** max(0, len(str(count)) - 2)
    return min(recipe.steps, int(count // grain * grain))


def _times(steps: int, every: int) -> int:
    """How often something happens that happens every so many steps and at the last one."""
    return -(-steps // every)


def _range(step_s: Sequence[float], history: Sequence[float]) -> tuple[float, float]:
    """The range in shares of the expected time. With many earlier runs nine in ten of them lie inside."""
    spread = _spread(step_s)
    if len(history) >= _MANY:
        twentieths = statistics.quantiles(history, n=20, method="inclusive")
        return min(twentieths[0], 1 - _LEAST), max(twentieths[-1], 1 + _LEAST)
    off = max((abs(ratio - 1) for ratio in history), default=0.0)
    wide = math.hypot(spread, max(_UNTRIED if len(history) < 3 else _LEAST, off))
    return max(0.3, 1 - wide), 1 + wide


def _spread(step_s: Sequence[float]) -> float:
    """Half the 90 % interval of the mean step, in shares of it."""
    count = len(step_s)
    if count < 2:
        return _UNTRIED
    wide = _T90.get(count - 1, _T_MANY) * statistics.stdev(step_s) / math.sqrt(count)
    return min(0.5, wide / statistics.mean(step_s))


def _basis(measured: Mapping[str, Any], way: Pace, history: Sequence[float]) -> str:
    kind = "compiled steps" if way.is_compiled else "steps"
    timed = f"{len(way.timed_s)} {kind} measured on {measured['device']}"
    if way.compiling and not way.is_compiled:
        timed += f" ({way.compiling})"
    if not history:
        return f"{timed}; {NO_HISTORY}"
    return f"{timed} and {len(history)} earlier {'run' if len(history) == 1 else 'runs'}"


def _error(history: Sequence[float]) -> str:
    if not history:
        return NO_HISTORY
    off = statistics.median(abs(ratio - 1) for ratio in history) * 100
    runs = f"{len(history)} earlier {'run' if len(history) == 1 else 'runs'}"
    return f"{runs} took {off:.0f} % more or less than estimated, in the median"
