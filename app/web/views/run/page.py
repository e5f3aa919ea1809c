"""What the page of one run shows, put together from the run, its events, its clock and its sheet."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from markupsafe import Markup
from sqlalchemy.orm import Session

from app import jobs
from app.database import utc_now
from app.datasets import reading
from app.datasets.reading import VersionRow
from app.jobs import Job
from app.launch.plan import written
from app.settings import Settings
from app.storage import Storage
from app.training import drawing, models, phases, progress, runs, validations
from app.training.causes import NEXT_ACTIONS, WITHOUT_CHECKPOINT
from app.training.progress import Curves, Forecast, Series, Tail
from app.training.recipe import Recipe
from app.training.tables import Checkpoint, TrainingRun
from app.web.views import learning
from app.web.views.learning import Notice
from app.web.views.run import cost, samples, wording
from app.web.views.run.cost import Bill
from app.web.views.run.extension import Extension, extension
from app.web.views.run.next_action import NextAction, next_action
from app.web.views.run.samples import Strip
from app.web.views.run.wording import State
from app.web.views.waiting import Wait

TABLE_ROWS: Final = 12
_NOT_ASKED: Final = frozenset({"base", "family", "name", "threads", "max_wall_clock_s"})


@dataclass(frozen=True)
class Present:
    """What the newest step told. `wait_share`: of the time since the step before, spent waiting for pictures."""

    speed: float | None
    wait_share: float | None
    memory_bytes: int | None
    memory_total_bytes: int | None
    is_main_memory: bool


@dataclass(frozen=True)
class End:
    """How to read a run that is over, and how it can go on. `refusal`: why it cannot, in a sentence; empty when it can.

    `extension`: limits to suggest, where going on needs a raised one. `saved`: the last sound checkpoint's step, 0
    without. `slower`: the launch page with the same recipe and a third of its learning rate, where that may help.
    """

    cause: str
    next_action: str
    saved: int
    refusal: str
    extension: Extension | None
    slower: str


@dataclass(frozen=True)
class Live:
    """What changes while a run goes on."""

    run: TrainingRun
    state: State
    version: VersionRow
    job: Job | None
    is_live: bool
    waits: Wait | None
    stops_by: datetime | None
    is_preparing: bool
    doing: wording.Doing
    pictures: int
    forecast: Forecast | None
    bill: Bill
    lines: list[wording.EventLine]
    checkpoints: Sequence[Checkpoint]
    resumed_at: list[int]
    strip: Strip | None
    is_drawing_asked: bool
    notice: Notice | None
    patience: str
    end: End | None
    next: NextAction | None
    is_counting: bool  # time and money go on while nothing new is read
    left_s: float
    read_at: datetime
    log: Tail


@dataclass(frozen=True)
class LiveView:
    """The parts of the page that a script asks for again and again."""

    live: Live


@dataclass(frozen=True)
class RunView:
    """The whole page. `last_points` are the newest of the curves: step, and the values of the table's columns."""

    live: Live
    present: Present
    bands: tuple[str, ...]
    curves: Curves
    curves_json: Markup
    pictures_in_all: int
    last_points: list[tuple[int, list[float | None]]]


def live_view(session: Session, run: TrainingRun, settings: Settings, storage: Storage) -> LiveView:
    """Everything but the curves."""
    return LiveView(_live(session, run, settings, storage))


def run_view(session: Session, run: TrainingRun, settings: Settings, storage: Storage) -> RunView:
    """The page of one run."""
    curves = progress.curves(session, run)
    columns = [*(band.mean for band in curves.bands[::-1]), curves.speed.mean, curves.memory.high]
    newest = range(len(curves.steps) - 1, max(-1, len(curves.steps) - 1 - TABLE_ROWS), -1)
    return RunView(
        live=_live(session, run, settings, storage),
        present=_present(session, run),
        bands=progress.BANDS,
        curves=curves,
        # Inside a script element only "</" could end the data early.
        curves_json=Markup(json.dumps(curves_data(curves)).replace("<", "\\u003c")),  # noqa: S704
        pictures_in_all=progress.pictures_seen(Recipe.model_validate(run.recipe), run.steps),
        last_points=[(curves.steps[point], [column[point] for column in columns]) for point in newest],
    )


def curves_data(curves: Curves) -> dict[str, object]:
    """The curves as the page's script reads them. Bounds are left out where every point is one reading."""

    def line(series: Series) -> dict[str, object]:
        return (
            {"mean": series.mean}
            if series.low == series.high
            else {"low": series.low, "mean": series.mean, "high": series.high}
        )

    looks = curves.validation
    return {
        "axes": {"step": curves.steps, "time": curves.seconds, "pictures": curves.pictures},
        "bands": [line(band) for band in curves.bands],
        "names": progress.BANDS,
        "speed": line(curves.speed),
        "memory": {"mean": curves.memory.high},
        "validation": {
            "axes": {
                "step": [look.step for look in looks],
                "time": [look.seconds for look in looks],
                "pictures": [look.pictures for look in looks],
            },
            "mean": [look.loss for look in looks],
        },
        "joins": [{"step": step, "time": seconds, "pictures": seen} for step, seconds, seen in curves.joins],
        "steps_a_point": curves.steps_a_point,
        "last_seq": curves.last_seq,
    }


def _live(session: Session, run: TrainingRun, settings: Settings, storage: Storage) -> Live:
    job = jobs.get(session, run.job_id) if run.job_id else None
    forecast, now = progress.expected_end(session, run), utc_now()
    newest = progress.newest_events(session, run.id, 1)
    silence = wording.silent(run, forecast, newest[0].at, now) if newest else None
    events = progress.milestones(session, run.id)
    forecast = None if silence else forecast
    phase = progress.phase(session, run)
    folder = storage.run_folder(run.id)
    saved = runs.checkpoints(session, run.id)
    bill = cost.bill(session, run, forecast, settings, folder, now)
    known = validations.insight(session, run)
    waits = wording.waits(session, run, job, now) or silence
    strip = samples.strip(session, run, forecast)
    sound = [c.step for c in saved if c.folder and (not known.has_diverged or c.step <= (known.offered or 0))]
    return Live(
        run=run,
        state=wording.state(run, phase, job),
        version=reading.get(session, run.version_id),
        job=job,
        is_live=run.ended_at is None,
        waits=waits,
        stops_by=wording.stops_by(run),
        is_preparing=phase is not None and phase.name in phases.PREPARING,
        doing=wording.doing(phase),
        pictures=progress.pictures_seen(Recipe.model_validate(run.recipe), run.step),
        forecast=forecast,
        bill=bill,
        lines=wording.lines(events, runs.notes(session, run.id)),
        checkpoints=saved,
        resumed_at=[event.data["step"] for event in events if event.kind == "started" and event.data.get("step")],
        strip=strip,
        is_drawing_asked=drawing.asked(session, run) is not None,
        notice=learning.notice(known, models.written_from(folder), models.newest_job(session, run.id)),
        patience=wording.patience(run, progress.newest_events(session, run.id, 1, "validation")),
        end=_end(session, run, max(sound, default=0), bill),
        next=next_action(session, run, strip, now),
        is_counting=run.ended_at is None and bill.is_working and (waits is None or waits.kind != "lost"),
        left_s=max(0.0, (forecast.ends_at - now).total_seconds()) if forecast else 0.0,
        read_at=now,
        log=_log(folder / runs.LOG),
    )


def _log(path: Path) -> Tail:
    """The end of the log for the page, and where a script goes on reading."""
    return Tail(progress.last_lines(path), progress.log_behind(path, 0).offset)


def _end(session: Session, run: TrainingRun, saved: int, bill: Bill) -> End | None:
    if run.ended_at is None or run.state in ("completed", "discarded"):
        return None
    obstacle = runs.why_not_resumed(run)
    is_used_up = obstacle is not None and obstacle.kind == "limit"
    known = NEXT_ACTIONS if saved else NEXT_ACTIONS | WITHOUT_CHECKPOINT
    actions = {str(name): action for name, action in known.items()}
    return End(
        cause=wording.cause(run),
        next_action=actions.get(run.cause or "", ""),
        saved=saved,
        refusal="" if obstacle is None or is_used_up else obstacle.sentence,
        extension=extension(session, run, bill, saved) if is_used_up else None,
        slower=_slower(run) if run.cause == "diverged" else "",
    )


def _slower(run: TrainingRun) -> str:
    """The launch page with this run's choices and a third of its learning rate."""
    recipe = Recipe.model_validate(run.recipe)
    rates = {"muon": ("muon_lr", "adamw_lr"), "adamw": ("adamw_lr",), "adamw8bit": ("adamw_lr",)}
    slower = {name: float(f"{getattr(recipe, name) / 3:.2g}") for name in rates.get(recipe.optimiser, ())}
    if not slower:
        return ""  # Prodigy finds its own
    knobs = {name: written(value) for name, value in (recipe.model_dump() | slower).items() if name not in _NOT_ASKED}
    return "/runs/new?" + urlencode({"version_id": run.version_id, "base": run.base, **knobs})


def _present(session: Session, run: TrainingRun) -> Present:
    steps = progress.newest_events(session, run.id, 2, "step")
    started = progress.newest_events(session, run.id, 1, "started")
    is_main = bool(started) and str(started[0].data.get("device", "")).lower().startswith("cpu")
    if not steps:
        return Present(None, None, None, None, is_main)
    facts = steps[0].data
    speed, wait_s = facts.get("images_per_s"), facts.get("data_wait_s")
    share = None
    if speed and wait_s is not None:
        before = steps[1].data["step"] if len(steps) > 1 and steps[1].data["step"] < facts["step"] else 0
        recipe = Recipe.model_validate(run.recipe)
        seen = progress.pictures_seen(recipe, facts["step"]) - progress.pictures_seen(recipe, before)
        share = min(1.0, wait_s * speed / seen) if seen else None
    return Present(speed, share, facts.get("memory_bytes"), facts.get("memory_total_bytes"), is_main)
