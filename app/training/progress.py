"""How far a run is: curves short enough to draw, the time it took, what it is doing, and when it will end."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.jobs import Job
from app.training import rollups
from app.training.recipe import Recipe
from app.training.rollups import BANDS as BAND_COUNT
from app.training.rollups import MEMORY, POINTS, SPEED, MetricPoint
from app.training.run_events import still_holds
from app.training.tables import IS_MILESTONE, RunEvent, RunNote, RunRollup, TrainingRun

BANDS: Final = ("least noise", "low", "high", "most noise")
"""The bands of a step's `loss_by_band`, in its order: timesteps from clean to noise."""
_WINDOWS: Final = 32
_LEAST_WINDOWS: Final = 3
_STARTS: Final = 100
_LOG_BYTES: Final = 65_536
_SIGNS: Final = 60  # signs of life looked at: five minutes of them
_LAST_WORDS: Final = ("finished", "failed")
_GONE: Final = ("begun_again", "forced")
"""Notes of a trainer that is gone whether or not it told so itself."""


@dataclass(frozen=True, slots=True)
class Series:
    """One series over the points of `Curves`: the least, mean and greatest reading of each; None where none told it."""

    low: list[float | None]
    mean: list[float | None]
    high: list[float | None]


@dataclass(frozen=True, slots=True)
class Measured:
    """One look at the validation members: the step it was made after, and where that lies on the other two axes."""

    step: int
    seconds: float
    pictures: int
    loss: float


@dataclass(frozen=True, slots=True)
class Curves:
    """What a run's page draws. `steps`, `seconds` worked and `pictures` seen are the three axes of the same points."""

    steps: list[int]
    seconds: list[float]
    pictures: list[int]
    bands: list[Series]  # training loss, one for each of BANDS
    speed: Series  # pictures a second
    memory: Series  # bytes
    validation: list[Measured]
    joins: list[tuple[int, float, int]]  # where later attempts went on: step, seconds, pictures
    steps_a_point: int
    last_seq: int


@dataclass(frozen=True, slots=True)
class TrainerAttempt:
    """The work of one trainer process, from its first event to its last. `before_s`: seconds of earlier attempts."""

    first_seq: int
    began: datetime
    last_heard: datetime
    before_s: float


@dataclass(frozen=True, slots=True)
class Phase:
    """What a trainer is doing, besides steps: how much of how much is done, where that is known, and since when."""

    name: str
    done: int | None
    total: int | None
    since: datetime
    at: datetime


@dataclass(frozen=True, slots=True)
class Forecast:
    """When the last step will be done, if it goes on as it went; and the bounds that four in five rollups keep."""

    ends_at: datetime
    earliest: datetime
    latest: datetime
    seconds_a_step: float
    step: int  # the last one known,
    at: datetime  # and when it was told

    def reaches(self, step: int) -> datetime:
        """When a step to come will be done."""
        return self.at + timedelta(seconds=(step - self.step) * self.seconds_a_step)


def curves(session: Session, run: TrainingRun, points: int = POINTS) -> Curves:
    """The run's curves, in at most `points` points however long it is, with every spike in the bounds of its point."""
    readings, width = rollups.readings(session, run.id, points)
    sat, recipe = attempts(session, run), Recipe.model_validate(run.recipe)
    last = session.scalar(select(func.max(RunEvent.seq)).where(RunEvent.run_id == run.id)) or 0
    return Curves(
        steps=[reading.step for reading in readings],
        seconds=[round(worked_s(sat, reading.at), 1) for reading in readings],
        pictures=[pictures_seen(recipe, reading.step) for reading in readings],
        bands=[_line(readings, band) for band in range(BAND_COUNT)],
        speed=_line(readings, SPEED),
        memory=_line(readings, MEMORY),
        validation=_validation(session, run, sat, recipe, points),
        joins=_joins(session, run, sat, recipe),
        steps_a_point=width if any(max(reading.counts) > 1 for reading in readings) else 1,
        last_seq=last,
    )


def pictures_seen(recipe: Recipe, step: int) -> int:
    """Pictures looked at in the first `step` steps, with the batch of each stage."""
    second = recipe.stage(recipe.steps).first_step
    if not second or step <= second:
        return step * recipe.batch_size
    return second * recipe.batch_size + (step - second) * recipe.stage(step).batch_size


def attempts(session: Session, run: TrainingRun) -> list[TrainerAttempt]:
    """The run's attempts, oldest first. One begins with a `attempt` event; with `started` where a run has none."""
    rows = session.execute(
        select(RunEvent.seq, RunEvent.kind, RunEvent.at)
        .where(IS_MILESTONE, RunEvent.run_id == run.id, RunEvent.kind.in_(("attempt", "started")))
        .order_by(RunEvent.seq)
    ).all()
    if not rows:
        return []
    has_said = False
    starts: list[tuple[int, datetime]] = []
    for seq, kind, at in rows:
        if kind == "attempt" or not has_said:
            starts.append((seq, at))
        has_said = kind == "attempt"
    last = session.scalar(select(func.max(RunEvent.seq)).where(RunEvent.run_id == run.id)) or 0
    ends = [seq - 1 for seq, _ in starts[1:]] + [last]
    last_events = session.scalars(select(RunEvent).where(RunEvent.run_id == run.id, RunEvent.seq.in_(ends)))
    times = {event.seq: event.at for event in last_events}
    trainer_attempts: list[TrainerAttempt] = []
    before_s = 0.0
    for (seq, began), end in zip(starts, ends, strict=True):
        trainer_attempts.append(TrainerAttempt(seq, began, max(began, times.get(end, began)), before_s))
        before_s += (trainer_attempts[-1].last_heard - began).total_seconds()
    return trainer_attempts


def worked_s(sat: Sequence[TrainerAttempt], moment: datetime) -> float:
    """Seconds that trainers had worked by a moment; the time between two attempts is not counted."""
    for attempt in reversed(sat):
        if attempt.began <= moment:
            return attempt.before_s + (min(moment, attempt.last_heard) - attempt.began).total_seconds()
    return 0.0


def places(session: Session, run: TrainingRun) -> Callable[[RunEvent], dict[str, float]]:
    """Tells where an event with a step lies on the curves' other axes: `seconds` worked and `pictures` seen."""
    sat, recipe = attempts(session, run), Recipe.model_validate(run.recipe)

    def place(event: RunEvent) -> dict[str, float]:
        if "step" not in event.data:
            return {}
        return {"seconds": round(worked_s(sat, event.at), 1), "pictures": pictures_seen(recipe, event.data["step"])}

    return place


def present_attempt(session: Session, run: TrainingRun) -> TrainerAttempt | None:
    """The attempt whose trainer works on the run now, as far as the database knows; None while there is none.

    A run that goes on keeps the events of its earlier attempts, and the new trainer says nothing for some seconds. So
    the newest attempt is the present one only while nothing has ended it, and when it began in the present job.
    """
    if run.ended_at is not None or run.state not in ("running", "stopping", "discarded"):
        return None
    job = session.get(Job, run.job_id) if run.job_id else None
    sat = attempts(session, run)
    if not sat or job is None or job.started_at is None or sat[-1].began < job.started_at:
        return None
    if newest_events(session, run.id, 1)[0].kind in _LAST_WORDS:
        return None
    is_gone = session.scalars(
        select(RunNote.id).where(RunNote.run_id == run.id, RunNote.kind.in_(_GONE), RunNote.at > sat[-1].began).limit(1)
    ).first()
    return sat[-1] if is_gone is None else None


def spent_s(session: Session, run: TrainingRun, now: datetime) -> float:
    """Seconds that trainers have worked on the run, set-up and all attempts included."""
    sat, present = attempts(session, run), present_attempt(session, run)
    seconds = worked_s(sat, sat[-1].last_heard) if sat else 0.0
    return seconds + (max(0.0, (now - present.last_heard).total_seconds()) if present else 0.0)


def phase(session: Session, run: TrainingRun) -> Phase | None:
    """What the trainer is doing besides steps, told after the newest step; None where it makes steps or is gone."""
    if run.ended_at is not None or run.state not in ("running", "stopping", "discarded"):
        return None
    newest = newest_events(session, run.id, _SIGNS)
    if present_attempt(session, run) is None:
        job = session.get(Job, run.job_id) if run.job_id else None
        if run.state != "running" or job is None or job.state != "running":
            return None
        at = job.started_at or run.created_at
        return Phase("start", None, None, at, at)
    current, since = newest[0], newest[0].at
    if current.kind == "attempt":
        return Phase("start", None, None, since, since)
    for event in newest:
        if event.kind != "phase" or event.data["phase"] != current.data.get("phase"):
            break
        if event.data.get("total") != current.data.get("total") or (event.data["done"] or 0) > (
            current.data["done"] or 0
        ):
            break  # the same phase with other things to count
        since = event.at
    if current.kind != "phase" or current.data["phase"] == "train":
        return None
    return Phase(current.data["phase"], current.data["done"], current.data.get("total"), since, current.at)


def newest_events(session: Session, run_id: int, count: int, kind: str | None = None) -> Sequence[RunEvent]:
    """The newest events, of one kind or of all, newest first."""
    query = select(RunEvent).where(RunEvent.run_id == run_id).order_by(RunEvent.seq.desc()).limit(count)
    if kind is not None:
        query = query.where(RunEvent.kind == kind)
    return session.scalars(query if kind in (None, "step") else query.where(IS_MILESTONE)).all()


def milestones(session: Session, run_id: int, count: int = 40) -> list[RunEvent]:
    """What a person wants to read, newest first: the newest step, and everything but steps and signs of life."""
    others = session.scalars(
        select(RunEvent).where(IS_MILESTONE, RunEvent.run_id == run_id).order_by(RunEvent.seq.desc()).limit(count)
    )
    events = [*others, *newest_events(session, run_id, 1, "step")]
    return sorted(events, key=lambda event: event.seq, reverse=True)[:count]


def expected_end(session: Session, run: TrainingRun) -> Forecast | None:
    """When the run will be done, measured in its present attempt, or None while that cannot be told."""
    present = present_attempt(session, run) if run.state == "running" else None
    starts = newest_events(session, run.id, 1, "started")
    is_started = present is not None and bool(starts) and starts[0].seq >= present.first_seq
    return pace(session, run) if is_started else None


def pace(session: Session, run: TrainingRun) -> Forecast | None:
    """How quickly the newest attempt went on, as if it still did; None where too few steps tell."""
    starts = newest_events(session, run.id, 1, "started")
    if not starts:
        return None
    began = starts[0].seq
    known = session.scalar(select(func.max(RunRollup.seq)).where(RunRollup.run_id == run.id)) or 0
    part = RunRollup.seq * _WINDOWS // max(1, known)
    old = session.execute(
        select(func.max(RunRollup.step), func.max(RunRollup.at))
        .where(RunRollup.run_id == run.id, RunRollup.first_seq > began)
        .group_by(part)
        .order_by(part)
    ).all()
    new = session.execute(
        select(RunEvent.data["step"].as_integer(), RunEvent.at)
        .where(RunEvent.run_id == run.id, RunEvent.seq > max(began, known), RunEvent.kind == "step")
        .order_by(RunEvent.seq)
    ).all()
    # Of a long attempt its rollups and the newest step, of a short one every so many steps: read off a clock.
    every = len(new) if len(old) > _LEAST_WINDOWS else -(-len(new) // _WINDOWS)
    return forecast([(step, at) for step, at in [*old, *new[:: -(every or 1)][::-1]]], run.steps)


def forecast(readings: Sequence[tuple[int, datetime]], steps: int) -> Forecast | None:
    """The end estimated by (step, moment) readings of one attempt: its mean pace, bounded by its slow and fast tenths.

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
        step=last_step,
        at=at,
    )


@dataclass(frozen=True, slots=True)
class Tail:
    """Whole lines of a log, and the byte behind them: where the next look goes on."""

    lines: list[str]
    offset: int


def last_lines(log: Path, count: int = 40) -> list[str]:
    """The last lines of a trainer's log, oldest first; none when there is no log."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _LOG_BYTES))
            return _lines(file.read())[-count:]
    except OSError:
        return []


def log_behind(log: Path, offset: int, count: int = 200) -> Tail:
    """The whole lines behind byte `offset` of a log, the last `count` of them; from near its end where that is far.

    A log that is shorter than the offset was begun anew and is told from its beginning.
    """
    try:
        with log.open("rb") as file:
            size = log.stat().st_size
            begin = max(offset if 0 <= offset <= size else 0, size - _LOG_BYTES)
            file.seek(begin)
            text = file.read(_LOG_BYTES)
    except OSError:
        return Tail([], 0)
    whole = text[: text.rfind(b"\n") + 1]
    return Tail(_lines(whole)[-count:], begin + len(whole))


def _lines(text: bytes) -> list[str]:
    """Lines by their ends on a terminal: a prompt in one may hold U+2028 and its like."""
    return [line.decode("utf-8", errors="replace") for line in text.splitlines()]


def _line(readings: Sequence[MetricPoint], series: int) -> Series:
    def short(value: float | None) -> float | None:
        return None if value is None else float(f"{value:.5g}")

    return Series(
        low=[short(reading.low[series]) for reading in readings],
        mean=[short(reading.mean[series]) for reading in readings],
        high=[short(reading.high[series]) for reading in readings],
    )


def _validation(
    session: Session, run: TrainingRun, sat: Sequence[TrainerAttempt], recipe: Recipe, points: int
) -> list[Measured]:
    """The looks that still hold, by step; of more than `points` the extremes of each part, the first and the last."""
    rows = session.execute(
        select(RunEvent.data["step"].as_integer(), RunEvent.at, RunEvent.data["loss"].as_float())
        .where(IS_MILESTONE, still_holds(session, run.id), RunEvent.kind == "validation")
        .order_by(RunEvent.seq)
    ).all()
    looks = [(step, at, loss) for step, at, loss in rows if loss is not None]
    if len(looks) > points:
        size = -(-2 * len(looks) // points)
        parts = [looks[begin : begin + size] for begin in range(0, len(looks), size)]
        bounds = [(min(part, key=lambda look: look[2]), max(part, key=lambda look: look[2])) for part in parts]
        looks = [looks[0], *dict.fromkeys(look for pair in bounds for look in sorted(pair)), looks[-1]]
    return [Measured(step, round(worked_s(sat, at), 1), pictures_seen(recipe, step), loss) for step, at, loss in looks]


def _joins(
    session: Session, run: TrainingRun, sat: Sequence[TrainerAttempt], recipe: Recipe
) -> list[tuple[int, float, int]]:
    """Where attempts went on behind step 0 and were not undone by a later one."""
    holding: list[tuple[int, float, int]] = []
    for event in newest_events(session, run.id, _STARTS, "started")[::-1]:
        step = int(event.data["step"])
        holding = [join for join in holding if join[0] < step]
        if step:
            holding.append((step, round(worked_s(sat, event.at), 1), pictures_seen(recipe, step)))
    return holding
