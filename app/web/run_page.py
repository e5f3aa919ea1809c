"""What the page of one run shows, put together from the run, its news, its clock and its sheet."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from markupsafe import Markup
from sqlalchemy.orm import Session

from app import jobs
from app.cycles import ledger
from app.database import utc_now
from app.datasets import reading
from app.datasets.reading import Listed
from app.evaluation import comparison, sheets
from app.evaluation.comparison import Column, Row
from app.jobs import Job
from app.settings import Settings
from app.storage import Storage
from app.training import progress, runs
from app.training.progress import Curves, Forecast
from app.training.tables import Checkpoint, RunEvent, TrainingRun
from app.web.formats import bytes_, duration, job_name, number

STRIP_ROWS: Final = 3
TABLE_ROWS: Final = 12
# News is overdue after a minute, or twenty times what it usually took.
SILENCE_S: Final = 60.0
SILENCE_TIMES: Final = 20.0

# How a state is shown: the kind of its tag, its icon, its word.
STATES: Final = {
    "queued": ("", "", "waiting"),
    "running": ("act", "play", "training"),
    "stopping": ("work", "stop", "stopping"),
    "completed": ("keep", "tick", "completed"),
    "stopped": ("", "stop", "stopped"),
    "discarded": ("", "bin", "discarded"),
    "failed": ("drop", "warn", "failed"),
}


@dataclass(frozen=True)
class Line:
    """One line of the events: when, what, and a little more."""

    at: datetime
    title: str
    more: str


@dataclass(frozen=True)
class Bill:
    """Time and money of a run. Money is None while an hour has no price; `_in_all` is what is expected at the end."""

    spent_s: float
    in_all_s: tuple[float, float, float] | None  # least, expected, most
    limit_s: float
    must_end_at: datetime | None
    spent: Decimal | None
    in_all: tuple[Decimal, Decimal, Decimal] | None
    currency: str


@dataclass(frozen=True)
class Strip:
    """The sheet in small: the first row of each of the first few categories."""

    sheet_id: int
    columns: list[Column]
    rows: list[Row]
    job: Job | None


@dataclass(frozen=True)
class Live:
    """What changes while a run goes on."""

    run: TrainingRun
    version: Listed
    job: Job | None
    is_live: bool
    waits: str
    forecast: Forecast | None
    bill: Bill
    lines: list[Line]
    checkpoints: Sequence[Checkpoint]
    strip: Strip | None
    log: list[str]


@dataclass(frozen=True)
class LiveView:
    """The parts of the page that a script asks for again and again."""

    live: Live
    states: dict[str, tuple[str, str, str]]


@dataclass(frozen=True)
class RunView:
    """The whole page. `last_steps` are the newest readings: step and the loss of each band."""

    live: Live
    states: dict[str, tuple[str, str, str]]
    bands: tuple[str, ...]
    curves: Curves
    curves_json: Markup
    last_steps: list[tuple[int, list[float | None]]]


def live_view(session: Session, run: TrainingRun, settings: Settings, storage: Storage) -> LiveView:
    """Everything but the curves."""
    return LiveView(_live(session, run, settings, storage), STATES)


def run_view(session: Session, run: TrainingRun, settings: Settings, storage: Storage) -> RunView:
    """The page of one run."""
    curves = progress.curves(session, run)
    by_step = [dict(points) for points in curves.bands]
    steps = sorted({step for points in curves.bands for step, _ in points})[-TABLE_ROWS:]
    return RunView(
        live=_live(session, run, settings, storage),
        states=STATES,
        bands=progress.BANDS,
        curves=curves,
        # Inside a script element only "</" could end the data early.
        curves_json=Markup(json.dumps(curves_data(curves)).replace("<", "\\u003c")),  # noqa: S704
        last_steps=[(step, [band.get(step) for band in by_step]) for step in reversed(steps)],
    )


def curves_data(curves: Curves) -> dict[str, object]:
    """The curves as the page's script reads them."""
    return {
        "bands": curves.bands,
        "names": progress.BANDS,
        "validation": curves.validation,
        "speed": curves.speed,
        "last_seq": curves.last_seq,
    }


def _live(session: Session, run: TrainingRun, settings: Settings, storage: Storage) -> Live:
    job = jobs.get(session, run.job_id) if run.job_id else None
    forecast, now = progress.expected_end(session, run), utc_now()
    told = lines(runs.milestones(session, run.id))
    silence = silent(run, forecast, told[0].at, now) if told else ""
    forecast = None if silence else forecast
    return Live(
        run=run,
        version=reading.get(session, run.version_id),
        job=job,
        is_live=run.ended_at is None,
        waits=waits(session, run, job, now) or silence,
        forecast=forecast,
        bill=_bill(progress.spent_s(session, run, now), run, forecast, settings, now),
        lines=told,
        checkpoints=runs.checkpoints(session, run.id),
        strip=_strip(session, run),
        log=progress.last_lines(storage.run_folder(run.id) / runs.LOG) if run.state == "failed" else [],
    )


def silent(run: TrainingRun, forecast: Forecast | None, newest: datetime, now: datetime) -> str:
    """A sentence when news is overdue: a trainer that hangs looks alive to everything else. Else empty."""
    if forecast is None:
        return ""
    usual_s = forecast.seconds_a_step * run.recipe["report_every"]
    silence_s = (now - newest).total_seconds()
    if silence_s < max(SILENCE_S, SILENCE_TIMES * usual_s):
        return ""
    return (
        f"No news for {duration(silence_s)}; it used to come every {duration(max(1.0, usual_s))}. The trainer may hang."
    )


def waits(session: Session, run: TrainingRun, job: Job | None, now: datetime) -> str:
    """Why nothing happens although the run is asked for; empty when it goes on."""
    if run.ended_at is not None or job is None:
        return ""
    if job.is_over:
        return f"Its job ended without it. {job.failure or ''} A gpu worker puts that right when it starts.".replace(
            "  ", " "
        )
    lost = "" if run.state == "queued" else "Its worker stopped answering. "
    if job.state == "queued":
        busy = runs.device_job(session, now)
        if busy is None:
            return f"{lost}It waits for a gpu worker; none is at work. `packshot up` starts one."
        return f"{lost}It waits for the gpu worker, which is busy: {job_name(busy).lower()}, job {busy.id}."
    if job.state == "running" and job.lease_until is not None and job.lease_until < now:
        return f"{lost}Another one takes over within a minute; the trainer may still be at work."
    if run.state == "stopping":
        return "The trainer finishes its step and saves. If that takes too long, it is ended by force."
    if run.state == "discarded":
        return "The trainer is being ended; then what it learned is deleted."
    return ""


def lines(events: Iterable[RunEvent]) -> list[Line]:
    """Events in words; given and returned newest first. A validation is "best so far" among those given."""
    found: list[Line] = []
    best: float | None = None
    for event in reversed(list(events)):
        is_best = False
        if event.kind == "validation":
            is_best = best is not None and event.data["loss"] < best
            best = event.data["loss"] if best is None else min(best, event.data["loss"])
        found.append(_line(event, is_best))
    return found[::-1]


def _line(event: RunEvent, is_best: bool) -> Line:
    facts = event.data
    step = number(facts["step"]) if "step" in facts else ""
    match event.kind:
        case "started" if event.seq == 1:
            size = f", {facts['parameters'] / 1e6:.1f} million weights" if "parameters" in facts else ""
            return Line(event.at, "training began", f"on {facts.get('device', 'its device')}{size}")
        case "started":
            return Line(event.at, f"went on from step {step}", "curves are cut back to it")
        case "step":
            return Line(event.at, f"step {step}", f"{facts['images_per_s']:.1f} pictures/s, loss {facts['loss']:.3f}")
        case "validation":
            best = ", best so far" if is_best else ""
            return Line(event.at, "validation", f"{facts['loss']:.3f} at step {step}{best}")
        case "checkpoint":
            written = f"{bytes_(facts['size_bytes'])}, written in {facts['seconds']:.1f} s"
            return Line(event.at, f"checkpoint {step}", written)
        case "failed":
            return Line(event.at, "failed", facts["sentence"])
        case _:
            word = {"completed": "training ended", "out_of_time": "time limit reached"}.get(facts["reason"], "stopped")
            kept = "the model is written" if facts["kept"] else "nothing kept"
            return Line(event.at, word, f"at step {step}; {kept}")


def _bill(spent_s: float, run: TrainingRun, forecast: Forecast | None, settings: Settings, now: datetime) -> Bill:
    limit_s = float(run.recipe["max_wall_clock_s"])
    in_all = None
    if forecast is not None:
        ends = (forecast.earliest, forecast.ends_at, forecast.latest)
        least, expected, most = (min(limit_s, spent_s + max(0.0, (end - now).total_seconds())) for end in ends)
        in_all = (least, expected, most)

    def money(seconds: float) -> Decimal:
        return ledger.price("gpu", seconds, settings) or Decimal(0)

    has_price = settings.gpu_hour_price is not None
    is_training = run.state == "running" and spent_s > 0
    return Bill(
        spent_s=spent_s,
        in_all_s=in_all,
        limit_s=limit_s,
        must_end_at=now + timedelta(seconds=limit_s - spent_s) if is_training else None,
        spent=money(spent_s) if has_price else None,
        in_all=(money(in_all[0]), money(in_all[1]), money(in_all[2])) if has_price and in_all else None,
        currency=settings.currency,
    )


def _strip(session: Session, run: TrainingRun) -> Strip | None:
    sheet = sheets.latest_of(session, run.id)
    if sheet is None:
        return None
    page = comparison.compare(session, sheet)
    first: dict[str, Row] = {}
    for row in page.rows:
        first.setdefault(row.category, row)
    job = jobs.get(session, sheet.job_id) if sheet.job_id else None
    return Strip(sheet.id, page.columns, list(first.values())[:STRIP_ROWS], job)
