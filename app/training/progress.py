"""How far a run is: curves short enough to draw, the time it took, and when it will end."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.database import utc_now
from app.training.runs import named, still_holds
from app.training.tables import RunEvent, TrainingRun

POINTS: Final = 600
BANDS: Final = ("least noise", "low", "high", "most noise")
"""The bands of a step's `loss_by_band`, in its order: timesteps from clean to noise."""

_WINDOWS: Final = 32
_LEAST_WINDOWS: Final = 3

Point = tuple[int, float]


@dataclass(frozen=True, slots=True)
class Curves:
    """What a run's page draws. Points are (step, value); at most `POINTS` in each of `bands` and `speed`."""

    bands: list[list[Point]]  # training loss, one list for each of BANDS
    validation: list[Point]
    speed: list[Point]  # pictures a second
    last_seq: int


@dataclass(frozen=True, slots=True)
class Forecast:
    """When the last step will be done, if it goes on as it went; and the bounds that four in five stretches keep."""

    ends_at: datetime
    earliest: datetime
    latest: datetime
    seconds_a_step: float


def curves(session: Session, run: TrainingRun, points: int = POINTS) -> Curves:
    """The run's curves, averaged over equal stretches of steps in the database so that long runs stay quick."""
    step = RunEvent.data["step"].as_integer()
    holds = still_holds(session, run.id)
    longest = session.scalar(select(func.max(step)).where(holds, RunEvent.kind == "step")) or 0
    stretch = ((step - 1) // (-(-longest // points) or 1)).label("stretch")
    bands = [func.avg(RunEvent.data["loss_by_band"][band].as_float()) for band in range(len(BANDS))]
    rows = session.execute(
        select(func.max(step), func.avg(RunEvent.data["images_per_s"].as_float()), *bands, stretch)
        .where(holds, RunEvent.kind == "step")
        .group_by("stretch")
        .order_by("stretch")
    ).all()
    validation = session.execute(
        select(step, RunEvent.data["loss"].as_float())
        .where(holds, RunEvent.kind == "validation")
        .order_by(RunEvent.seq)
    ).all()
    last = session.scalar(select(func.max(RunEvent.seq)).where(RunEvent.run_id == run.id)) or 0
    return Curves(
        bands=[_points((row[0], row[2 + band]) for row in rows) for band in range(len(BANDS))],
        validation=_points((row[0], row[1]) for row in validation),
        speed=_points((row[0], row[1]) for row in rows),
        last_seq=last,
    )


def spent_s(session: Session, run: TrainingRun, now: datetime) -> float:
    """Seconds the trainer has worked, over all its sittings; the time between two sittings is not counted."""
    starts = session.execute(
        select(RunEvent.seq, RunEvent.at)
        .where(RunEvent.run_id == run.id, RunEvent.kind == "started")
        .order_by(RunEvent.seq)
    ).all()
    if not starts:
        return 0.0
    last_seqs = [seq - 1 for seq, _ in starts[1:]]
    last_seqs.append(session.scalar(select(func.max(RunEvent.seq)).where(RunEvent.run_id == run.id)) or 0)
    ends = session.scalars(
        select(RunEvent.at).where(RunEvent.run_id == run.id, RunEvent.seq.in_(last_seqs)).order_by(RunEvent.seq)
    ).all()
    seconds: float = sum((end - began).total_seconds() for (_, began), end in zip(starts, ends, strict=True))
    since_last_news = max(0.0, (now - ends[-1]).total_seconds())
    return seconds + (since_last_news if run.ended_at is None else 0.0)


def expected_end(session: Session, run: TrainingRun) -> Forecast | None:
    """When the run will be done, measured in its present sitting, or None while that cannot be told."""
    began = session.scalar(select(func.max(RunEvent.seq)).where(RunEvent.run_id == run.id, RunEvent.kind == "started"))
    if began is None or run.state != "running":
        return None
    step = RunEvent.data["step"].as_integer()
    is_reading = (RunEvent.run_id == run.id) & (RunEvent.seq > began) & (RunEvent.kind == "step")
    count = session.scalar(select(func.count()).where(is_reading)) or 0
    numbered = select(step.label("step"), RunEvent.at, func.row_number().over(order_by=RunEvent.seq).label("number"))
    inner = numbered.where(is_reading).subquery()
    every = -(-count // _WINDOWS) or 1
    readings = session.execute(
        select(inner.c.step, inner.c.at).where((inner.c.number - 1) % every == 0).order_by(inner.c.number)
    ).all()
    return forecast([(row[0], row[1]) for row in readings], run.steps)


def latest_pace(session: Session, base: str) -> tuple[TrainingRun, float] | None:
    """The newest run on this base that ended well, and its seconds a step; None when there is none."""
    query = select(TrainingRun).where(
        TrainingRun.base == named(base), TrainingRun.state.in_(("completed", "stopped")), TrainingRun.step > 0
    )
    run = session.scalars(query.order_by(TrainingRun.id.desc())).first()
    return None if run is None else (run, spent_s(session, run, utc_now()) / run.step)


def forecast(readings: Sequence[tuple[int, datetime]], steps: int) -> Forecast | None:
    """The end foretold by (step, moment) readings of one sitting: its mean pace, bounded by its slow and fast tenths.

    Pauses for validation and checkpoints fall between readings and so are counted. None with too few readings.
    """
    pace = [
        (later - earlier).total_seconds() / (after - before)
        for (before, earlier), (after, later) in pairwise(readings)
        if after > before
    ]
    if len(pace) < _LEAST_WINDOWS:
        return None
    last_step, at = readings[-1]
    left = max(0, steps - last_step)
    tenths = statistics.quantiles(pace, n=10, method="inclusive")
    mean = (at - readings[0][1]).total_seconds() / (last_step - readings[0][0])
    return Forecast(
        ends_at=at + timedelta(seconds=left * mean),
        earliest=at + timedelta(seconds=left * min(tenths[0], mean)),
        latest=at + timedelta(seconds=left * max(tenths[-1], mean)),
        seconds_a_step=mean,
    )


def last_lines(log: Path, count: int = 40) -> list[str]:
    """The last lines of a trainer's log, oldest first; none when there is no log."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 65_536))
            return file.read().decode("utf-8", errors="replace").splitlines()[-count:]
    except OSError:
        return []


def _points(pairs: Iterable[tuple[int, float | None]]) -> list[Point]:
    return [(step, float(value)) for step, value in pairs if value is not None]
