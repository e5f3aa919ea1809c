"""The body of `run.preflight`: a recipe tried on the device by a process of its own, and what that means.

The process is the engine's `preflight` command, started and ended as a trainer is. Where the recipe does not fit the
device, smaller ones are tried, each in a fresh process, because memory that was used up once tells nothing of the next.
A run that waits for the preflight is asked for in the same transaction that records it: no browser has to stay open.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine

from app import jobs
from app.cycles import hard_stop
from app.database import transaction
from app.datasets import verifying
from app.datasets.freezing import MANIFEST
from app.datasets.tables import DatasetVersion
from app.errors import Refused
from app.host.devices import DeviceAllocation
from app.launch import assessment, preflights
from app.launch.estimate import steps_that_fit
from app.launch.preflights import FACTS
from app.launch.smaller import ENOUGH, Smaller, smaller
from app.people import Person
from app.storage import Storage
from app.training import phases, progress, runs, silence
from app.training.causes import CAUSE_OF_EXIT
from app.training.recipe import Recipe, write_recipe
from app.training.tables import Preflight
from app.units import duration
from workers.celery_app import Cancelled, Transient, Work, stopped_for_good
from workers.events import EventReader
from workers.trainer.process import Ending, Patience, Trainer, options

ENGINE: Final = (sys.executable, "-m", "workers.finetune")


@dataclass(frozen=True)
class Measurement:
    """How one process ended: what it measured, its cause in a word ("" when it measured all), and a sentence."""

    measured: Mapping[str, Any]
    cause: str
    sentence: str


@dataclass
class Bench:
    """What one job tries recipes with."""

    work: Work
    engine: Sequence[str]
    patience: Patience
    silent_s: float
    hold: Callable[[], DeviceAllocation]
    spent_s: float = field(default=0.0)


def preflight(
    work: Work,
    engine: Sequence[str] = ENGINE,
    patience: Patience | None = None,
    silent_s: float = silence.FIRST_S,
    hold: Callable[[], DeviceAllocation] = DeviceAllocation,
) -> dict[str, Any]:
    """Measure the job's preflight, try smaller recipes where it does not fit, and start the run that waits for it.

    Each recipe is tried on what `hold` gives.
    Raises Refused when it could not be measured, Cancelled and Transient as other bodies do.
    """
    work.bills_itself = True
    bench = Bench(work, engine, patience or Patience(), silent_s, hold)
    reconcile(work.engine, work.storage, bench.patience)
    preflight_id = int(work.arguments["preflight_id"])
    with work.transaction() as session:
        jobs.beat(session, work.claim, lease_s=work.lease_s)
        asked = preflights.get(session, preflight_id)
        if not preflights.begin(session, asked):
            return {"state": asked.state}
        recipe = Recipe.model_validate(asked.recipe)
        if hard_stop.left(session, work.settings, recipe).has_no_money:
            preflights.end(session, asked, "refused", preflights.NO_MONEY)
            return {"state": asked.state}
    try:
        outcome = _try(bench, asked, recipe)
        tried = _try_smaller(bench, asked, recipe) if outcome.cause == "out_of_memory" else []
        state = _record(bench, preflight_id, recipe, outcome, tried)
    except Cancelled:
        cancel(work)
        raise
    finally:
        with transaction(work.engine) as session:
            work.bill(session, bench.spent_s)
    if state == "failed":
        raise Refused(outcome.sentence)
    return {"state": state}


def cancel(work: Work) -> None:
    """End the job's preflight as one that a person stopped."""
    with work.transaction() as session:
        preflights.end(
            session, preflights.get(session, int(work.arguments["preflight_id"])), "cancelled", "It was stopped."
        )


def clear_device(work: Work, patience: Patience | None = None) -> bool:
    """Before its device is taken: end processes that hold it for nobody.

    Returns whether the job's own is at work, and so has its devices.
    """
    reconcile(work.engine, work.storage, patience or Patience())
    return Trainer.find(_folder(work.storage, int(work.arguments["preflight_id"]))) is not None


def reconcile(engine: Engine, storage: Storage, patience: Patience) -> int:
    """Settle preflights whose job ended without them, and end processes nobody waits for. Returns how many ended."""
    with transaction(engine) as session:
        preflights.settle_lost(session)
    ended = 0
    for folder in sorted(storage.root.glob("preflights/*")):
        trainer = Trainer.find(folder)
        if trainer is None or not folder.name.isdigit():
            continue
        with transaction(engine) as session:
            is_wanted = preflights.is_wanted(session, int(folder.name))
        if not is_wanted:
            _end(trainer, patience)
            ended += 1
    return ended


def _try(bench: Bench, asked: Preflight, recipe: Recipe) -> Measurement:
    """One recipe in one process, from its start to its end."""
    work = bench.work
    out = _folder(work.storage, asked.id)
    trainer = Trainer.find(out)
    if trainer is None:
        manifest = work.storage.dataset_folder(asked.version_id) / MANIFEST
        if changed := _changed(work, asked, manifest):
            return Measurement({}, "refused", changed)
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        write_recipe(out / "recipe.yaml", recipe)
        given = [str(out / "recipe.yaml"), str(manifest), str(out), *options(work.storage)]
        command = [*bench.engine, "preflight", *given]
        trainer = Trainer.start(command, out, work.settings.worker_threads, allocation=bench.hold())
    began = time.time()
    try:
        events = _follow(bench, trainer)
    finally:
        bench.spent_s += time.time() - began
        trainer.hand_over()
    return _outcome(out, events, trainer.exit_code(), began, recipe)


def _changed(work: Work, asked: Preflight, manifest: Path) -> str:
    """In what the manifest is not the one that was frozen; one that is not there the process names."""
    with work.transaction() as session:
        version = session.get_one(DatasetVersion, asked.version_id)
    try:
        if manifest.is_file():
            verifying.as_frozen(work.storage, version)
    except Refused as refusal:
        return refusal.sentence
    return ""


def _folder(storage: Storage, preflight_id: int) -> Path:
    return storage.root / "preflights" / str(preflight_id)


def _follow(bench: Bench, trainer: Trainer) -> list[dict[str, Any]]:
    """Carry its events to the job's page until it is gone; all it told. Raises Cancelled and Transient once it is."""
    work, reader, events = bench.work, EventReader(trainer.out), list[dict[str, Any]]()
    heard_at = time.monotonic()
    while not trainer.wait(bench.patience.poll_s):
        fresh = reader.read()
        events += fresh
        if fresh:
            heard_at = time.monotonic()
        work.beat(note=_phase(events))
        if work.is_cancel_asked or stopped_for_good.is_set():
            _end(trainer, bench.patience)
            if work.is_cancel_asked:
                raise Cancelled
            raise Transient("The worker was told to stop; the preflight begins again when one is back.")
        if time.monotonic() - heard_at > bench.silent_s:
            _end(trainer, bench.patience)
            events.append({"kind": "failed", "cause": "hung", "sentence": _hung(events, bench.silent_s)})
            return events
    events += reader.read()
    trainer.clear_away()
    return events


def _end(trainer: Trainer, patience: Patience) -> None:
    ending = Ending(trainer, patience)
    ending.press(keep=False)
    while not trainer.wait(patience.poll_s):
        ending.press(keep=False)
    trainer.clear_away()


def _phase(events: Sequence[Mapping[str, Any]]) -> str:
    """What it is doing now, in words."""
    for event in reversed(events):
        if event["kind"] == "phase":
            words = phases.words(event["phase"])
            return f"{words}, {event['done']} of {event['total']}" if event.get("total") else words
    return "starting"


def _hung(events: Sequence[Mapping[str, Any]], silent_s: float) -> str:
    return f"It told nothing for {duration(silent_s)} while {_phase(events)}, so it was ended by force."


def facts_of(out: Path, events: Sequence[Mapping[str, Any]], began: float, ended: float) -> dict[str, Any]:
    """What a preflight left in `out`, and what starting and ending a process took: `start_s`, seconds in all.

    `events` are its events; `began` and `ended` are in seconds since 1970. Nothing where it left nothing.
    """
    try:
        measured = dict(json.loads((out / FACTS).read_text()))
    except (OSError, ValueError):
        return {}
    at = [datetime.fromisoformat(event["at"]).timestamp() for event in events if "at" in event]
    if at:
        measured["start_s"] = round(max(0.0, at[0] - began) + max(0.0, ended - at[-1]), 3)
    return measured


def _outcome(
    out: Path, events: Sequence[Mapping[str, Any]], exit_code: int | None, began: float, recipe: Recipe
) -> Measurement:
    """What the process left behind: facts in a file, and how it ended in its last event, its exit code or its log."""
    measured = facts_of(out, events, began, time.time())
    last = events[-1] if events else {}
    if "step_s" in measured and exit_code in (0, None):
        return Measurement(measured, "", "")
    if last.get("kind") == "failed":
        return Measurement(measured, str(last.get("cause", "broken")), str(last["sentence"]))
    if last.get("kind") == "finished" and last["reason"] == "out_of_time":
        late = f"The recipe’s time limit of {duration(recipe.max_wall_clock_s)} ended it before all was measured."
        return Measurement(measured, "out_of_time", f"{late} Raise “Time limit, s” in the recipe and measure again.")
    cause = CAUSE_OF_EXIT.get(exit_code or 0, "broken")
    words = progress.last_lines(out / runs.LOG)
    if cause != "broken" and words:
        return Measurement(measured, cause, words[-1])
    how = "" if exit_code is None else f" (exit code {exit_code})"
    return Measurement(measured, "broken", f"It ended without telling why{how}; its last words are in its log.")


def _try_smaller(bench: Bench, asked: Preflight, recipe: Recipe) -> list[dict[str, Any]]:
    """Smaller recipes in a fixed order, each measured, until enough of them fit or the money is used up."""
    rows: list[dict[str, Any]] = []
    for candidate in smaller(recipe):
        with bench.work.transaction() as session:
            if hard_stop.left(session, bench.work.settings, recipe).has_no_money:
                break
        rows.append(_try_one(bench, asked, recipe, candidate))
        if sum(row["state"] == "fits" for row in rows) == ENOUGH:
            break
    return rows


def _try_one(bench: Bench, asked: Preflight, recipe: Recipe, candidate: Smaller) -> dict[str, Any]:
    """One smaller recipe, with a preflight of its own so that the page finds it measured."""
    work = bench.work
    with work.transaction() as session:
        version = session.get_one(DatasetVersion, asked.version_id)
        lesser, changes = assessment.on_top(session, work.settings, version, recipe, candidate.changes)
        tried = preflights.add_tried(session, asked, lesser)
    outcome = _try(bench, tried, lesser)
    row: dict[str, Any] = {
        "words": candidate.words, "changes": changes, "state": "too_large" if outcome.cause else "fits",
        "preflight_id": tried.id, "sentence": outcome.sentence,
    }  # fmt: skip
    with work.transaction() as session:
        jobs.beat(session, work.claim, lease_s=work.lease_s)
        tried = preflights.get(session, tried.id)
        version = session.get_one(DatasetVersion, tried.version_id)
        known = assessment.assess(session, work.settings, version, lesser, None, tried, outcome.measured)
        state: preflights.End = "passed" if not outcome.cause and known.is_open else "refused"
        preflights.end(session, tried, state, outcome.sentence or known.reason, outcome.measured, known.findings)
        if known.estimate is not None:
            row |= {
                "seconds": known.estimate.in_all[1], "step_s": known.estimate.step_s,
                "peak_bytes": outcome.measured.get("peak_bytes"), "reason": known.reason,
            }  # fmt: skip
    return row


def _record(
    bench: Bench, preflight_id: int, recipe: Recipe, outcome: Measurement, tried: list[dict[str, Any]]
) -> preflights.End:
    """Record what was found and, when a run waits for it and nothing stands in its way, ask for that run."""
    work = bench.work
    with work.transaction() as session:
        jobs.beat(session, work.claim, lease_s=work.lease_s)
        asked = preflights.get(session, preflight_id)
        version = session.get_one(DatasetVersion, asked.version_id)
        requested = preflights.requested_of(work.arguments)
        known = assessment.assess(session, work.settings, version, recipe, None, asked, outcome.measured, requested)
        state, reason = _verdict(outcome, known)
        preflights.end(session, asked, state, reason, outcome.measured, known.findings)
        fewer = _fewer_steps(known, recipe, outcome.measured)
        if fewer:
            changes = assessment.on_top(session, work.settings, version, recipe, {"steps": fewer})[1]
            words = f"{fewer:,} steps instead of {recipe.steps:,}"
            tried = [*tried, {"words": words, "state": "fits", "sentence": "", "changes": changes}]
        asked.alternatives = tried
        if state == "passed" and requested is not None:
            person = session.get(Person, asked.created_by_id) if asked.created_by_id else None
            assessment.start(session, version, known, asked, person)
    return state


def _verdict(outcome: Measurement, known: assessment.Assessment) -> tuple[preflights.End, str | None]:
    if outcome.cause in ("out_of_memory", "refused", "disk_full"):
        return "refused", outcome.sentence
    if outcome.cause:
        return "failed", outcome.sentence
    return ("passed", None) if known.is_open else ("refused", known.reason)


def _fewer_steps(known: assessment.Assessment, recipe: Recipe, measured: Mapping[str, Any]) -> int:
    """How many steps end in time and within the money, where this recipe does not; 0 where none do."""
    late = any(finding.state == "failed" and finding.name in ("Time", "Money") for finding in known.findings)
    available_s = known.left.available_s
    if not late or available_s is None or "step_s" not in measured:
        return 0
    return steps_that_fit(measured, recipe, available_s, assessment.drawn(recipe))
