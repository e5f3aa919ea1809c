"""What to do with a run that is over: its sheet as it stands, and the places that lead on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import urlencode

from sqlalchemy.orm import Session

from app.training.tables import TrainingRun
from app.units import duration
from app.web.formats import number, plural
from app.web.views import waiting
from app.web.views.run.samples import Strip

# Their end already offers another launch.
_LAUNCHED_AGAIN: Final = frozenset({"out_of_memory", "diverged", "refused"})


@dataclass(frozen=True)
class NextAction:
    """`sentence` says how far the sheet is. `sheet`: its address, "" where there is nothing to look at.

    `missing`: pictures that nobody is drawing. `is_moving`: the sheet waits or is being drawn. `another`: the
    launch page with this run's version and base, "" where the run's end offers it already.
    """

    sentence: str
    kind: str
    sheet: str
    is_whole: bool
    missing: int
    sheet_id: int | None
    is_moving: bool
    another: str


def next_action(session: Session, run: TrainingRun, strip: Strip | None, now: datetime) -> NextAction | None:
    """What comes after a run; None while it goes on."""
    if run.ended_at is None:
        return None
    query = urlencode({"version_id": run.version_id, "base": run.base})
    another = "" if run.cause in _LAUNCHED_AGAIN else f"/runs/new?{query}"
    if strip is None or run.state == "discarded" or not strip.wanted:
        return NextAction("", "", "", False, 0, None, False, another)
    job, so_far = strip.job, f"{number(strip.drawn)} of {plural(strip.wanted, 'picture')}"
    is_moving, kind, missing = False, "mute", 0
    if strip.drawn >= strip.wanted:
        sentence, kind = f"Its sheet is drawn: {plural(strip.drawn, 'picture')}.", "keep"
    elif job is not None and job.state == "queued":
        is_moving, why = True, job.failure or waiting.for_worker(session, now).sentence
        sentence = f"Its sheet waits to be drawn, {so_far} are there. {why}"
    elif job is not None and job.state == "running":
        left = f", about {duration(strip.seconds_left)} left" if strip.seconds_left else ""
        is_moving, sentence, kind = True, f"Its sheet is being drawn: {so_far}{left}.", "act"
    elif job is not None and job.state == "failed":
        why = job.failure or "The job ended without a word."
        sentence, kind = f"Drawing its sheet failed, {so_far} are there: {why}", "drop"
        missing = strip.wanted - strip.drawn
    else:
        sentence, missing = f"Its sheet is not whole: {so_far} are drawn.", strip.wanted - strip.drawn
    # A paused or failed run that goes on draws its sheet at its end; nobody is asked to draw it before.
    missing = missing if run.state in ("completed", "stopped") or kind == "drop" else 0
    sheet = f"/compare/{strip.sheet_id}" if strip.drawn or is_moving else ""
    return NextAction(
        sentence, kind, sheet, strip.drawn >= strip.wanted, missing, strip.sheet_id, is_moving, another
    )  # fmt: skip
