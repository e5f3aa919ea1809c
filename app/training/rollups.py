"""The curves of a run downsampled: old `step` events rolled up into few rows, spikes kept, the newest left as they are.

A run of 100,000 readings is about 2,000 rollups and a tail of single readings: a rollup is as long as a point of the
drawn curves will at least be, so the later in a run, the longer. What is summed up here can be made again from the
events at any time; a run without rollups is drawn from its events alone, only more slowly.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any, Final

from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from app.training.tables import IS_MILESTONE, RunEvent, RunRollup

POINTS: Final = 600
"""Points that curves are drawn with, at most."""
LENGTH: Final = 16
"""Readings in one rollup, while a point would have fewer."""
MOST_SINGLE: Final = 1200
LEAST_SINGLE: Final = 600
"""So many of the newest readings stay single: more than MOST_SINGLE are brought down to LEAST_SINGLE."""
LONG: Final = LENGTH * POINTS
"""A run with more events than this keeps a tenth of that: its newest readings share a point soon."""

BANDS: Final = 4
SPEED: Final = 4
MEMORY: Final = 5
SERIES: Final = 6
"""A reading's values: the loss of each band from clean to noise, pictures a second, bytes of memory."""

Values = Sequence[float | None]


@dataclass(frozen=True, slots=True)
class MetricPoint:
    """One `step` event, or several consecutive ones: the last one's step and moment, and each series' bounds and mean.

    A series that no event told has the count 0 and no values. Means are over the events that told it.
    """

    step: int
    at: datetime
    counts: Sequence[int]
    low: Values
    mean: Values
    high: Values


def roll_up(session: Session, run_id: int) -> None:
    """Put old single readings into rollups. Called after events are recorded.

    A start from an earlier step undoes what was told behind that step.
    """
    known = _last(session, run_id)
    for seq, step in _starts(session, run_id, known):
        _cut_back(session, run_id, seq, step)
    newest = session.scalar(select(func.max(RunEvent.seq)).where(RunEvent.run_id == run_id)) or 0
    most, least = (MOST_SINGLE, LEAST_SINGLE) if newest < LONG else (MOST_SINGLE // 10, LEAST_SINGLE // 10)
    if newest - known <= most:
        return
    single = _holding(session, run_id, _last(session, run_id))
    if len(single) > most:
        _add(session, run_id, single[:-least])


def readings(session: Session, run_id: int, points: int = POINTS) -> tuple[list[MetricPoint], int]:
    """The readings that still hold, oldest first, at most `points` of them; and how many steps one of them spans."""
    single = [reading for _, reading in _holding(session, run_id, _last(session, run_id))]
    longest = single[-1].step if single else session.scalar(_of(func.max(RunRollup.step), run_id)) or 0
    width = -(-longest // points) or 1
    old = _summed(session, run_id, width)
    parts = groupby([*old, *single], key=lambda reading: (reading.step - 1) // width)
    return [merged(list(part)) for _, part in parts], width


def merged(points: Sequence[MetricPoint]) -> MetricPoint:
    """Several readings as one. Raises IndexError when there are none."""
    last = points[-1]
    if len(points) == 1:
        return last
    every = range(SERIES)
    counts = [sum(point.counts[series] for point in points) for series in every]
    sums = [sum((point.mean[series] or 0.0) * point.counts[series] for point in points) for series in every]
    return MetricPoint(
        step=last.step,
        at=last.at,
        counts=counts,
        low=[_bound(min, (point.low[series] for point in points)) for series in every],
        mean=[total / count if count else None for total, count in zip(sums, counts, strict=True)],
        high=[_bound(max, (point.high[series] for point in points)) for series in every],
    )


def _bound(choose: Any, values: Iterable[float | None]) -> float | None:
    numbers = [value for value in values if value is not None]
    bound: float | None = choose(numbers) if numbers else None
    return bound


def _of(what: Any, run_id: int) -> Any:
    return select(what).where(RunRollup.run_id == run_id)


def _last(session: Session, run_id: int) -> int:
    """The number of the last event in a rollup."""
    return session.scalar(_of(func.max(RunRollup.seq), run_id)) or 0


def _summed(session: Session, run_id: int, width: int) -> list[MetricPoint]:
    """The rollups, those that end within the same `width` steps put together in the database."""
    part = ((RunRollup.step - 1) // width).label("part")
    columns = []
    for series in range(1, SERIES + 1):
        count = RunRollup.counts[series]
        total = func.sum(RunRollup.mean[series] * count)
        columns += [func.sum(count), func.min(RunRollup.low[series]), total / func.nullif(func.sum(count), 0)]
        columns += [func.max(RunRollup.high[series])]
    rows = session.execute(
        select(func.max(RunRollup.step), func.max(RunRollup.at), *columns, part)
        .where(RunRollup.run_id == run_id)
        .group_by("part")
        .order_by("part")
    )
    return [MetricPoint(row[0], row[1], row[2:-1:4], row[3:-1:4], row[4:-1:4], row[5:-1:4]) for row in rows]


def _starts(session: Session, run_id: int, after: int, before: int | None = None) -> list[tuple[int, int]]:
    """Number and step of each start between two numbers."""
    query = select(RunEvent.seq, RunEvent.data["step"].as_integer()).where(
        IS_MILESTONE, RunEvent.run_id == run_id, RunEvent.kind == "started", RunEvent.seq > after
    )
    if before is not None:
        query = query.where(RunEvent.seq < before)
    return [(seq, step) for seq, step in session.execute(query.order_by(RunEvent.seq))]


def _holding(session: Session, run_id: int, after: int, before: int | None = None) -> list[tuple[int, MetricPoint]]:
    """The `step` events between two numbers that no start between them undoes, with their numbers."""
    query = select(RunEvent.seq, RunEvent.at, RunEvent.data).where(
        RunEvent.run_id == run_id, RunEvent.kind == "step", RunEvent.seq > after
    )
    if before is not None:
        query = query.where(RunEvent.seq < before)
    step_events = [(seq, _reading(at, data)) for seq, at, data in session.execute(query.order_by(RunEvent.seq))]
    for seq, step in _starts(session, run_id, after, before):
        step_events = [event for event in step_events if event[0] >= seq or event[1].step <= step]
    return step_events


def _reading(at: datetime, facts: Mapping[str, Any]) -> MetricPoint:
    bands = list(facts.get("loss_by_band") or ())[:BANDS]
    raw_values = [*bands, *[None] * (BANDS - len(bands)), facts.get("images_per_s"), facts.get("memory_bytes")]
    values = [None if value is None else float(value) for value in raw_values]
    return MetricPoint(int(facts["step"]), at, [int(value is not None) for value in values], values, values, values)


def _add(session: Session, run_id: int, step_events: Sequence[tuple[int, MetricPoint]]) -> None:
    """Keep readings as rollups, each as long as its place in the run allows."""
    rows, begin = [], 0
    while begin < len(step_events):
        part = step_events[begin : begin + max(LENGTH, step_events[begin][0] // POINTS)]
        begin += len(part)
        rollup = merged([reading for _, reading in part])
        rows.append(
            {
                "run_id": run_id, "seq": part[-1][0], "first_seq": part[0][0], "first_step": part[0][1].step,
                "step": rollup.step, "at": rollup.at, "counts": rollup.counts, "low": rollup.low, "mean": rollup.mean,
                "high": rollup.high,
            }
        )  # fmt: skip
    if rows:
        session.execute(insert(RunRollup), rows)


def _cut_back(session: Session, run_id: int, seq: int, step: int) -> None:
    """Undo the rollups before event `seq` behind `step`; of the one that it lies in, the part before is kept."""
    undone = session.execute(
        delete(RunRollup)
        .where(RunRollup.run_id == run_id, RunRollup.seq < seq, RunRollup.step > step)
        .returning(RunRollup.first_seq, RunRollup.first_step, RunRollup.seq)
    ).all()
    for first_seq, first_step, last_seq in undone:
        if first_step <= step:
            inside = _holding(session, run_id, first_seq - 1, last_seq + 1)
            _add(session, run_id, [event for event in inside if event[1].step <= step])
