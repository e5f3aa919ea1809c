"""The cycle: its day, its stages, what it cost, and the one next step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, RedirectResponse

from app.cycles import clock, report
from app.cycles.clock import CycleClock
from app.cycles.report import CycleReport, PastCycle
from app.web.dependencies import Config, CurrentPerson, Page, Read, Write
from app.web.views.cycle_dial import Dial, dial
from app.web.views.next_step import Step, next_steps

router = APIRouter()


@dataclass(frozen=True)
class StageRow:
    """A stage in the tables: `start` and `width` are shares of the time from the cycle's beginning until now.

    `seconds` is the work that the ledger counts for it, so that no two tables disagree; pauses between jobs are in
    neither. None where no job worked.
    """

    stage: clock.CycleStage
    seconds: float | None
    start: float
    width: float


@dataclass(frozen=True)
class CycleView:
    """The cycle page; `clock`, `dial` and `report` are None while no cycle runs."""

    clock: CycleClock | None
    dial: Dial | None
    rows: Sequence[StageRow]
    report: CycleReport | None
    steps: Sequence[Step]
    past: Sequence[PastCycle]
    hours: int
    budget: str
    price: str | None
    next_number: int


@router.get("/cycle")
def show(session: Read, page: Page, config: Config) -> HTMLResponse:
    """The cycle that runs, or how to start one."""
    now = clock.read(session, config)
    cycle_report = report.read(session, now.catalog_id) if now else None
    past = report.past(session)
    view = CycleView(
        clock=now,
        dial=dial(now) if now else None,
        rows=rows_of(now) if now else (),
        report=cycle_report,
        steps=next_steps(now, cycle_report) if now and cycle_report else (),
        past=past,
        hours=config.cycle_hours,
        budget=f"{config.currency}{config.budget:f}",
        price=f"{config.currency}{config.gpu_hour_price:f}" if config.gpu_hour_price is not None else None,
        next_number=(now.number if now else past[0].number if past else 0) + 1,
    )
    return page("cycle/cycle.html", view)


@router.post("/cycles")
def start(session: Write, config: Config, me: CurrentPerson) -> RedirectResponse:
    """Start a cycle on the newest catalog; the one that runs ends. An owner's act: it sets money aside."""
    clock.start_cycle(session, config, report.newest_catalog(session), by=me)
    return RedirectResponse("/cycle", status_code=303)


def rows_of(now: CycleClock) -> list[StageRow]:
    """The stages with their times. What has not begun has none."""
    gone_s = max(1.0, (now.now - now.started_at).total_seconds())
    rows = []
    for stage in now.stages:
        if stage.began_at is None:
            rows.append(StageRow(stage, stage.cost.seconds or None, 0.0, 0.0))
            continue
        began_s = max(0.0, (stage.began_at - now.started_at).total_seconds())
        seconds = ((stage.ended_at or now.now) - stage.began_at).total_seconds()
        work_s = stage.cost.seconds or None
        rows.append(StageRow(stage, work_s, min(1.0, began_s / gone_s), min(1.0, seconds / gone_s)))
    return rows
