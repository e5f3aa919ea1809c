"""The verdict's plots as coordinates: one bound on its axis, the votes as they came in, measures over steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final
from urllib.parse import urlencode

from app.evaluation.comparison import Column
from app.evaluation.deciding import DuelPoint
from app.evaluation.gates import GateLine
from app.evaluation.ranking import Rating
from app.evaluation.step_axis import SeriesKey, StepSeries
from app.web.formats import loss, share

LINE_WIDTH: Final = 112
TRACK: Final = (42, 300, 10, 190)  # left, right, top, foot of the plot of votes, in its own units
STEPS_FROM: Final = 20
STEPS_TO: Final = 300
ROW_HIGH: Final = 64
_ROW_EDGE: Final = 12


@dataclass(frozen=True)
class BoundPlot:
    """A value and its bound on 0 to 100 %: where each stands, and where what is asked begins and ends. px."""

    value: float | None
    bound: float
    threshold: float
    asked_from: float
    asked_width: float


@dataclass(frozen=True)
class TrackPlot:
    """Votes as they came in: the share won as points of a line, its bounds as those of a band, ticks of both axes."""

    line: str
    band: str
    end: tuple[float, float]
    gate_y: float
    ticks: list[tuple[float, int]]
    label: str


@dataclass(frozen=True)
class StepPoint:
    """A reading on the axis of steps, with the address of its pictures."""

    x: float
    y: float
    low_y: float | None
    high_y: float | None
    href: str
    words: str
    is_chosen: bool


@dataclass(frozen=True)
class StepRow:
    """One measure over steps. `why` stands in place of the line where nothing was measured."""

    key: SeriesKey
    name: str
    sub: str
    kind: str  # colour of its line
    points: list[StepPoint]
    line: str
    last: str
    why: str


@dataclass(frozen=True)
class StepsPlot:
    """All measures on one axis. `ticks` name the columns, `band_x` is where the candidate's column begins."""

    rows: list[StepRow]
    ticks: list[tuple[float, str, bool]]
    band_x: float | None


@dataclass(frozen=True)
class RatingPlot:
    """A difference to the baseline with its interval, on an axis that all columns share. Shares of its width, in %."""

    zero: float
    low: float
    width: float
    middle: float


def bound_plot(line: GateLine) -> BoundPlot | None:
    """None for a line that counts."""
    if line.key == "copies_unseen":
        return None
    at = line.threshold * LINE_WIDTH
    is_most = line.is_upper and line.key != "category"
    return BoundPlot(
        value=None if line.value is None else line.value * LINE_WIDTH,
        bound=line.bound * LINE_WIDTH,
        threshold=at,
        asked_from=0.0 if is_most else at,
        asked_width=at if is_most else LINE_WIDTH - at,
    )


def track_plot(points: Sequence[DuelPoint], threshold: float) -> TrackPlot | None:
    """None before the first vote."""
    if not points:
        return None
    left, right, top, foot = TRACK
    most = max(points[-1].votes, 10)

    def at(votes: int, value: float) -> tuple[float, float]:
        return round(left + (right - left) * votes / most, 1), round(foot - (foot - top) * value, 1)

    band = [at(p.votes, p.high) for p in points] + [at(p.votes, p.low) for p in reversed(points)]
    every = next(step for step in (5, 10, 25, 50, 100, 250, 500, 1000, 5000, 100_000) if most / step <= 5)
    ticks = [(at(votes, 0)[0], votes) for votes in range(0, most + 1, every)]
    last = points[-1]
    return TrackPlot(
        line=_joined([at(p.votes, p.share) for p in points]), band=_joined(band), end=at(last.votes, last.share),
        gate_y=at(0, threshold)[1], ticks=ticks,
        label=f"{share(last.share)} won after {last.votes:,} votes, surely {share(last.low)} to {share(last.high)}",
    )  # fmt: skip


_NAMES: Final[dict[SeriesKey, tuple[str, str, str]]] = {
    "usable": ("Usable", "first try", ""),
    "follows": ("Follows the prompt", "what machines can check", "blue"),
    "passes": ("Passes the rules", "packshots, house profile", "teal"),
    "product": ("Like the product", "nearest of its photos", "clay"),
    "copies": ("Near copies", "fewer is better", "clay"),
    "variety": ("Variety", "across the seeds", "plum"),
    "loss": ("Validation loss", "fixed noise", "teal"),
}


def steps_plot(
    here: str, all_series: Sequence[StepSeries], shown: Sequence[Column], chosen: Column | None
) -> StepsPlot:
    """Measures of the columns on one axis: by step where all are of one run, else one beside the other."""
    drawn = [column for column in shown if column.checkpoint_id is not None]
    places = _places(drawn)
    rows = []
    for measure in all_series:
        name, sub, kind = _NAMES[measure.key]
        low, high = measure.ends
        room = (high - low) or 1.0
        points = []
        for column, x in zip(drawn, places, strict=True):
            reading = measure.readings.get(column.checkpoint_id or 0)
            if reading is None:
                continue

            def at(value: float, low: float = low, room: float = room) -> float:
                return round(ROW_HIGH - _ROW_EDGE - (ROW_HIGH - 2 * _ROW_EDGE) * (value - low) / room, 1)

            n = f", {reading.count:,} pictures" if reading.count else ""
            points.append(
                StepPoint(
                    x=x, y=at(reading.value), low_y=None if reading.low is None else at(reading.low),
                    high_y=None if reading.high is None else at(reading.high),
                    href=f"{here}/pictures?{urlencode({'column': column.key, 'of': measure.key})}",
                    words=f"{column.label}: {name.lower()} {written(measure.key, reading.value)}{n}",
                    is_chosen=column == chosen,
                )
            )  # fmt: skip
        newest = next((c for c in (chosen, *reversed(drawn)) if c and c.checkpoint_id in measure.readings), None)
        last = written(measure.key, measure.readings[newest.checkpoint_id or 0].value) if newest else ""
        line = _joined([(point.x, point.y) for point in points]) if len(points) > 1 else ""
        rows.append(StepRow(measure.key, name, sub, kind, points, line, last, "" if points else why_not(measure)))
    ticks = [(x, column.label, column == chosen) for column, x in zip(drawn, places, strict=True)]
    band = next((x for column, x in zip(drawn, places, strict=True) if column == chosen), None)
    return StepsPlot(rows, ticks, band)


def why_not(series: StepSeries) -> str:
    """Why nothing is drawn of a measure."""
    return {
        "answers": "not measured yet: nobody has said what they would publish",
        "checks": "not measured yet",
        "metric": "not measured yet",
        "validation": "not measured: no photos were held out",
    }[series.source]


def written(key: SeriesKey, value: float) -> str:
    """A reading as people read it."""
    if key == "loss":
        return loss(value)
    return f"{value:.2f}" if key in ("product", "variety") else share(value, 1 if value < 0.1 and value else 0)


def rating_plots(ratings: dict[int, Rating]) -> dict[int, RatingPlot]:
    """By checkpoint; the axis goes from the lowest to the highest end of all intervals, and has zero on it."""
    if not ratings:
        return {}
    low = min(0.0, *(rating.difference_low for rating in ratings.values()))
    high = max(0.0, *(rating.difference_high for rating in ratings.values()))
    room = (high - low) or 1.0

    def at(value: float) -> float:
        return round(2 + 96 * (value - low) / room, 2)

    return {
        number: RatingPlot(
            at(0), at(r.difference_low), round(at(r.difference_high) - at(r.difference_low), 2), at(r.difference)
        )
        for number, r in ratings.items()
    }


def _places(drawn: Sequence[Column]) -> list[float]:
    if len(drawn) < 2:
        return [(STEPS_FROM + STEPS_TO) / 2] * len(drawn)
    is_of_run = len({column.run_id for column in drawn}) == 1
    if is_of_run and drawn[-1].step > drawn[0].step and all(a.step < b.step for a, b in pairwise(drawn)):
        shares = [(column.step - drawn[0].step) / (drawn[-1].step - drawn[0].step) for column in drawn]
    else:
        shares = [number / (len(drawn) - 1) for number in range(len(drawn))]
    return [round(STEPS_FROM + (STEPS_TO - STEPS_FROM) * each, 1) for each in shares]


def _joined(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x},{y}" for x, y in points)
