"""What changes from checkpoint to checkpoint: how usable, how obedient, how alike, how varied, on one axis of steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from app.evaluation import intervals, pareto
from app.evaluation.column_metrics import KeptMetric
from app.evaluation.comparison import Column
from app.evaluation.pareto import ParetoAim
from app.evaluation.verdict_facts import SheetFacts

SeriesKey = Literal["usable", "follows", "passes", "product", "copies", "variety", "loss"]
Source = Literal["answers", "checks", "metric", "validation"]

AIMS: Final = (
    ParetoAim("usable", True, "is usable more often", 0.01),
    ParetoAim("follows", True, "follows the prompt more often", 0.01),
    ParetoAim("passes", True, "keeps the marketplace’s rules more often", 0.01),
    ParetoAim("product", True, "is more like the product", 0.005),
    ParetoAim("copies", False, "copies less", 0.002),
    ParetoAim("variety", True, "varies more", 0.005),
)
"""What candidates are chosen by. Validation loss is none of it: it is lowest where others are not best."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A value of one column, with its interval where it has one, and how many pictures it rests on."""

    value: float
    low: float | None
    high: float | None
    count: int


@dataclass(frozen=True, slots=True)
class StepSeries:
    """One measure over the columns: readings by checkpoint. Where there is none, nothing was measured yet."""

    key: SeriesKey
    source: Source
    readings: Mapping[int, Reading]

    @property
    def ends(self) -> tuple[float, float]:
        """The lowest and highest value, whiskers included; 0 and 1 where there is none."""
        lows = [each.value if each.low is None else each.low for each in self.readings.values()]
        highs = [each.value if each.high is None else each.high for each in self.readings.values()]
        return (min(lows), max(highs)) if lows else (0.0, 1.0)


def series(facts: SheetFacts, shown: Sequence[Column], metrics: Sequence[KeptMetric]) -> list[StepSeries]:
    """Every measure of a sheet, those without a reading too, in the order in which they are drawn."""
    own = [column.checkpoint_id for column in shown if column.checkpoint_id is not None]
    checks = facts.checks
    loss = {
        column.checkpoint_id: Reading(column.validation_loss, None, None, 0)
        for column in shown
        if column.checkpoint_id is not None and column.validation_loss is not None
    }
    copies = {
        number: facts.is_copy(number) is not False for number in facts.samples.values() if number in checks.looks_copied
    }
    passes = {number: not bad for number, bad in checks.hard_fails.items() if bad is not None}
    return [
        StepSeries("usable", "answers", _shares(facts, own, facts.usable)),
        StepSeries("follows", "checks", _shares(facts, own, checks.follows)),
        StepSeries("passes", "checks", _shares(facts, own, passes)),
        StepSeries("product", "metric", _metric(metrics, "product")),
        StepSeries("copies", "checks", _shares(facts, own, copies)),
        StepSeries("variety", "metric", _metric(metrics, "variety")),
        StepSeries("loss", "validation", loss),
    ]


def values(all_series: Sequence[StepSeries]) -> dict[int, dict[str, float]]:
    """By checkpoint what candidates are compared by."""
    known: dict[int, dict[str, float]] = {}
    for measure in all_series:
        for checkpoint_id, reading in measure.readings.items():
            known.setdefault(checkpoint_id, {})[measure.key] = reading.value
    return known


def candidates(all_series: Sequence[StepSeries], shown: Sequence[Column]) -> dict[int, list[str]]:
    """The checkpoints to choose from, the base apart, each with what it is better at than all the others."""
    own = {column.checkpoint_id for column in shown if column.step > 0}
    known = {number: measured for number, measured in values(all_series).items() if number in own}
    best = pareto.front(known, AIMS)
    return {number: pareto.reasons(number, [o for o in best if o != number], known, AIMS) for number in best}


def _shares(facts: SheetFacts, checkpoint_ids: Sequence[int], known: Mapping[int, bool | None]) -> dict[int, Reading]:
    """The share of a column's pictures of which it is so, of those of which it is known; two one-sided 95 % bounds."""
    readings = {}
    for checkpoint_id in checkpoint_ids:
        said = {
            prompt: [float(answer) for number in own if (answer := known.get(number)) is not None]
            for prompt, own in facts.pictures(checkpoint_id).items()
        }
        if count := sum(map(len, said.values())):
            share = sum(map(sum, said.values())) / count
            readings[checkpoint_id] = Reading(
                share, intervals.clustered_lower(said), intervals.clustered_upper(said), count
            )
    return readings


def _metric(metrics: Sequence[KeptMetric], name: str) -> dict[int, Reading]:
    """Of one space alone, the newest: numbers of two are never joined."""
    of_name = [each for each in metrics if each.name == name and each.interval is not None]
    made_with = of_name[-1].made_with if of_name else ""
    return {
        each.checkpoint_id: Reading(each.interval.value, each.interval.low, each.interval.high, each.count)
        for each in of_name
        if each.interval is not None and each.made_with == made_with
    }
