"""Runs: the list, launching one, watching it, stopping it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Final

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from sqlalchemy.orm import Session

from app.cycles import hard_stop
from app.datasets import reading
from app.datasets.reading import VersionRow
from app.errors import Refused
from app.evaluation import sheets
from app.launch import assessment, devices, preflights
from app.training import drawing, models, progress, run_events, runs, validations
from app.training.limits import Limits
from app.training.tables import TrainingRun
from app.web.dependencies import Config, CurrentPerson, Files, Page, Read, Sent, Spender, Write
from app.web.events import EventBatch, StreamEvent, stream
from app.web.views import learning
from app.web.views.launch import page as launch_page
from app.web.views.launch.form import open_assessment, understood
from app.web.views.run import page as run_page
from app.web.views.run import wording

router = APIRouter()

MOST_STEPS: Final = 1_000_000  # as the recipe has it
MOST_HOURS: Final = 168  # a week, as the recipe's wall clock has it


@dataclass(frozen=True)
class ListedRun:
    """One run of the list: its state as tags, one of them a warning about its checkpoints where there is one."""

    run: TrainingRun
    version: VersionRow
    tags: list[wording.State]


@dataclass(frozen=True)
class RunsView:
    """All runs, newest first."""

    runs: list[ListedRun]
    can_start: bool


@router.get("/runs")
def index(session: Read, page: Page) -> HTMLResponse:
    """All runs."""
    recent_runs = runs.recent(session)
    versions = {version_id: reading.get(session, version_id) for version_id in {run.version_id for run in recent_runs}}
    listed = [ListedRun(run, versions[run.version_id], _tags(session, run)) for run in recent_runs]
    return page("runs/index.html", RunsView(listed, bool(launch_page.trainable(session))))


def _tags(session: Session, run: TrainingRun) -> list[wording.State]:
    state, warning = wording.state(run), learning.tag(validations.insight_once(session, run))
    return [state] if warning is None or warning == state else [state, warning]


@router.post("/runs")
def start(session: Write, page: Page, config: Config, files: Files, me: Spender, form: Sent) -> Response:
    """Ask for a run; asked twice, it is one run. Without base and steps: as the recipe has it, on the usual base."""
    asked, plan, requested, faults = understood(session, config, form)
    if plan.faults and "steps" in plan.faults:
        raise Refused(plan.fault)
    if plan.faults or faults:
        return page("runs/launch.html", launch_page.view(session, config, files, asked, faults), status=422)
    version = reading.get(session, asked.version_id or 0).version
    device = devices.known(config).name
    preflight = preflights.find(session, version.id, plan.recipe, device)
    known = open_assessment(session, config, plan, asked, requested, preflight)
    run = assessment.start(session, version, known, preflight if known.estimate else None, me)
    return RedirectResponse(f"/runs/{run.id}", 303)


@router.get("/runs/{run_id}")
def show(run_id: int, session: Read, page: Page, config: Config, files: Files) -> HTMLResponse:
    """One run."""
    return page("runs/run.html", run_page.run_view(session, runs.get(session, run_id), config, files))


@router.get("/runs/{run_id}/live")
def live(run_id: int, session: Read, page: Page, config: Config, files: Files) -> HTMLResponse:
    """The parts of the run's page that change, as a fragment."""
    view = run_page.live_view(session, runs.get(session, run_id), config, files)
    return page.fragment("runs/_live.html", view, headers={"Cache-Control": "no-store"})


@router.get("/runs/{run_id}/curves")
def curves(run_id: int, session: Read) -> JSONResponse:
    """The run's curves, short enough to draw."""
    run_curves = progress.curves(session, runs.get(session, run_id))
    return JSONResponse(run_page.curves_data(run_curves), headers={"Cache-Control": "no-store"})


@router.get("/runs/{run_id}/log")
def log(run_id: int, session: Read, files: Files, after: int = 0) -> JSONResponse:
    """Whole lines of the trainer's log behind a byte, and the byte to ask for next."""
    tail = progress.log_behind(files.run_folder(runs.get(session, run_id).id) / runs.LOG, after)
    return JSONResponse({"lines": tail.lines, "offset": tail.offset}, headers={"Cache-Control": "no-store"})


@router.get("/runs/{run_id}/events")
def events(run_id: int, request: Request, session: Read) -> StreamingResponse:
    """The run's events as they come, with replay from the last number seen."""
    runs.get(session, run_id)
    return stream(request, lambda session, after: events_behind(session, run_id, after))


def events_behind(session: Session, run_id: int, after: int) -> EventBatch:
    """Events behind a number, each with its place on the curves' axes; over when the run is and all was given out."""
    run = runs.get(session, run_id)
    new_events = run_events.events_after(session, run_id, after)
    place = progress.places(session, run) if new_events else None
    shown = [
        StreamEvent(event.seq, "run_event", {"kind": event.kind, **event.data, **place(event)})
        for event in new_events
        if place
    ]
    return EventBatch(shown, is_over=run.ended_at is not None)


@router.post("/runs/{run_id}/stop")
def stop(run_id: int, session: Write, me: CurrentPerson, keep: Annotated[bool, Form()] = True) -> RedirectResponse:
    """Stop and keep, or discard."""
    runs.stop(session, runs.get(session, run_id), keep, me)
    return RedirectResponse(f"/runs/{run_id}", 303)


@router.post("/runs/{run_id}/model")
def write_model(
    run_id: int, session: Write, me: Spender, step: Annotated[int, Form(ge=1, le=MOST_STEPS)]
) -> RedirectResponse:
    """Have the finished model written from another checkpoint; asked twice, it is written once."""
    models.request_model(session, runs.get(session, run_id), step, me)
    return RedirectResponse(f"/runs/{run_id}", 303)


@router.post("/runs/{run_id}/drawing")
def draw(run_id: int, session: Write, files: Files, me: Spender) -> RedirectResponse:
    """Draw samples now: by the trainer between two steps where the run trains, else by a job of its sheet."""
    files.refuse_below_reserve()
    run = runs.get(session, run_id)
    if run.ended_at is None:
        drawing.ask(session, run, me)
        return RedirectResponse(f"/runs/{run_id}", 303)
    sheet = sheets.latest_of(session, run.id)
    if sheet is None:
        raise Refused(f"Run {run.id} has no sheet to draw.")
    sheets.request_sheet(session, run, sheets.suite(session, sheet), me)
    return RedirectResponse(f"/compare/{sheet.id}", 303)


@router.post("/runs/{run_id}/resumption")
def resume(run_id: int, session: Write, me: Spender) -> RedirectResponse:
    """Let a run that failed or is paused go on from its last checkpoint."""
    runs.resume(session, runs.get(session, run_id), me)
    return RedirectResponse(f"/runs/{run_id}", 303)


@router.post("/runs/{run_id}/extension")
def extend(
    run_id: int,
    session: Write,
    config: Config,
    me: Spender,
    hours: Annotated[float, Form(gt=0, le=MOST_HOURS)],
    amount: Annotated[Decimal | None, Form(gt=0, decimal_places=2, max_digits=10)] = None,
) -> RedirectResponse:
    """Raise the limits of a run that reached them, and let it go on. `amount` is in the settings' currency."""
    run = runs.get(session, run_id)
    known = runs.limits_of(run)
    price = hard_stop.price_of(config, run)
    wanted = Limits(hours * 3600, known.max_amount if amount is None else amount, price)
    runs.extend(session, run, hard_stop.raised(session, config, run, wanted), me)
    return RedirectResponse(f"/runs/{run_id}", 303)
