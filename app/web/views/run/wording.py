"""A run in words: its state, what it is doing, why it waits, and its events and notes in one list."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy.orm import Session

from app.jobs import Job
from app.training import phases, runs
from app.training import silence as silences
from app.training.progress import Forecast, Phase
from app.training.tables import RunEvent, RunNote, TrainingRun
from app.units import bytes_, duration
from app.web import formats
from app.web.formats import number, plural
from app.web.views import waiting
from app.web.views.waiting import Wait

State = tuple[str, str, str]
"""How a state is shown: the kind of its tag, its icon, its word."""

_STATES: Final[dict[str, State]] = {
    "queued": ("", "", "waiting"),
    "running": ("act", "play", "training"),
    "paused": ("work", "pause", "paused"),
    "stopping": ("work", "stop", "stopping"),
    "completed": ("keep", "tick", "completed"),
    "stopped": ("", "stop", "stopped"),
    "discarded": ("", "bin", "discarded"),
    "failed": ("drop", "warn", "failed"),
}
_CAUSES: Final = {
    "out_of_memory": "out of memory",
    "diverged": "diverged",
    "disk_full": "the disk is full",
    "refused": "refused",
    "broken": "broken",
    "hung": "the trainer hung",
    "killed": "ended from outside",
    "lost": "the worker was lost",
    "out_of_time": "time limit",
    "out_of_money": "money limit",
    "no_better": "it stopped learning",
}
_NOTES: Final = {
    "resumed": "let go on",
    "extended": "limit raised",
    "stop_asked": "stop asked",
    "draw_asked": "samples asked",
    "discard_asked": "discarding asked",
    "model_asked": "model asked from another step",
    "model_written": "model written",
}


@dataclass(frozen=True)
class EventLine:
    """One line of the events: when, what, and a little more. `kind` colours it: work, drop or nothing."""

    at: datetime
    title: str
    more: str
    kind: str = ""


def state(run: TrainingRun, phase: Phase | None = None, job: Job | None = None) -> State:
    """The run's state as a tag."""
    if run.state == "running" and job is not None and job.state == "queued" and job.failure:
        return _STATES["queued"]  # its worker put it back and has ended the trainer
    if run.state == "running" and phase is not None and phase.name in phases.PREPARING:
        return ("act", "play", "preparing")
    if run.state == "discarded" and run.ended_at is None:
        return ("work", "bin", "discarding")
    if run.state == "stopped" and run.cause in runs.AT_THE_LIMIT:
        return ("work", "stop", f"stopped at the {'money' if run.cause == 'out_of_money' else 'time'} limit")
    if run.state == "stopped" and run.cause == "no_better":
        return ("keep", "stop", f"stopped: no better for {plural(run.recipe['patience'], 'validation')}")
    if run.state == "failed" and run.cause == "diverged":
        return ("drop", "warn", "diverged")
    return _STATES[run.state]


def patience(run: TrainingRun, newest: Sequence[RunEvent]) -> str:
    """How long a run that goes on has not become better, by its newest validation; empty where nobody asked."""
    most = run.recipe.get("patience", 0)
    if not most or run.ended_at is not None:
        return ""
    length = newest[0].data.get("no_better", 0) if newest else 0
    rule = f"stops when no better for {plural(most, 'validation')}"
    return f"{rule}, now for {length}" if length else rule


def cause(run: TrainingRun) -> str:
    """Why the run ended, in a word or three; empty where there is no cause."""
    return _CAUSES.get(run.cause or "", (run.cause or "").replace("_", " "))


@dataclass(frozen=True)
class Doing:
    """What the trainer does besides steps, how far it is with it ("212 of 340 · about 40 s left"), and as a share."""

    words: str = ""
    how_far: str = ""
    share: float | None = None


def doing(phase: Phase | None) -> Doing:
    """A phase in words."""
    if phase is None:
        return Doing()
    words = phases.words(phase.name)
    if phase.done is None or not phase.total:
        return Doing(words)
    gone_s = (phase.at - phase.since).total_seconds()
    left = gone_s / phase.done * (phase.total - phase.done) if phase.done and gone_s >= 2 else None
    still = f" · about {duration(max(1.0, left))} left" if left is not None else ""
    return Doing(words, f"{number(phase.done)} of {number(phase.total)}{still}", min(1.0, phase.done / phase.total))


def silent(run: TrainingRun, forecast: Forecast | None, newest: datetime, now: datetime) -> Wait | None:
    """When an event is overdue: a trainer that hangs looks alive to everything else."""
    if forecast is None:
        return None
    usual_s = forecast.seconds_a_step * run.recipe["report_every"]
    silence_s = (now - newest).total_seconds()
    if silence_s < silences.deadline_s(usual_s):
        return None
    usual = duration(max(1.0, usual_s))
    return Wait("silent", f"No event for {duration(silence_s)}; one used to come every {usual}. The trainer may hang.")


def waits(session: Session, run: TrainingRun, job: Job | None, now: datetime) -> Wait | None:
    """Why nothing happens although the run is asked for, or what its end waits for; None when it goes on."""
    if run.ended_at is not None or job is None:
        return None
    if job.is_over:
        why = f" {job.failure}" if job.failure else ""
        return Wait("lost", f"Its job ended without it.{why} A GPU worker reconciles that when it starts.")
    if job.state == "queued":
        if job.failure:
            return Wait("queued", job.failure)
        worker = waiting.for_worker(session, now)
        if run.state == "queued":
            return worker
        return Wait("lost", f"Its worker stopped answering. {worker.sentence}")
    if job.state == "running" and run.state == "queued" and job.note:
        return Wait("queued", job.note)
    if job.state == "running" and job.lease_until is not None and job.lease_until < now:
        lost = "Its worker stopped answering. Another one takes over within a minute; the trainer may still be at work."
        return Wait("lost", lost)
    if run.state == "stopping":
        bound = f"The trainer finishes its step and saves, within {duration(runs.stop_bound_s(run))}."
        return Wait("stopping", f"{bound} If that takes longer, it is ended by force.")
    if run.state == "discarded":
        return Wait("stopping", "The trainer is being ended; then what it learned is deleted.")
    return None


def lines(events: Iterable[RunEvent], notes: Sequence[RunNote] = ()) -> list[EventLine]:
    """Events and notes in words, newest first; given newest first. Of those given a validation is "lowest so far"."""
    event_lines: list[EventLine] = []
    lowest: float | None = None
    for event in reversed(list(events)):
        is_lowest = False
        if event.kind == "validation" and event.data["loss"] is not None:
            is_lowest = lowest is not None and event.data["loss"] < lowest
            lowest = event.data["loss"] if lowest is None else min(lowest, event.data["loss"])
        event_lines.append(_line(event, is_lowest))
    event_lines += [
        EventLine(note.at, _NOTES.get(note.kind, note.kind.replace("_", " ")), note.sentence, "work") for note in notes
    ]
    # Of one moment the event comes first: what was seen from outside is seen later.
    return sorted(event_lines, key=lambda line: line.at)[::-1]


def stops_by(run: TrainingRun) -> datetime | None:
    """When a run that was asked to stop has surely stopped; None when nobody asked."""
    if run.state not in ("stopping", "discarded") or run.ended_at is not None or run.stop_asked_at is None:
        return None
    return run.stop_asked_at + timedelta(seconds=runs.stop_bound_s(run))


def _line(event: RunEvent, is_lowest: bool) -> EventLine:
    facts = event.data
    step = number(facts["step"]) if "step" in facts else ""
    match event.kind:
        case "attempt":
            before = f"{duration(facts['spent_s'])} worked before" if facts.get("spent_s") else "a process of its own"
            return EventLine(event.at, "trainer started again" if facts.get("resumed") else "trainer started", before)
        case "started" if facts.get("step"):
            return EventLine(event.at, f"went on from step {step}", "curves are cut back to it and joined", "work")
        case "started":
            millions = (facts.get("parameters") or 0) / 1e6
            size = f", {millions:,.{0 if millions >= 100 else 1}f} million weights" if millions else ""
            note = f". {facts['note']}" if facts.get("note") else ""
            return EventLine(event.at, "training began", f"on {facts.get('device', 'its device')}{size}{note}")
        case "step":
            loss = f", loss {formats.loss(facts['loss'])}" if facts.get("loss") is not None else ""
            return EventLine(event.at, f"step {step}", f"{facts['images_per_s']:.1f} pictures/s{loss}")
        case "validation":
            known = "cannot tell" if facts["loss"] is None else formats.loss(facts["loss"])
            known += f" at step {step}{', lowest so far' if is_lowest else ''}"
            return EventLine(event.at, "validation", known)
        case "samples":
            return EventLine(event.at, "samples", f"{plural(len(facts.get('files', ())), 'picture')} at step {step}")
        case "checkpoint":
            written = f"{bytes_(facts['size_bytes'])}, written in {facts['seconds']:.1f} s"
            return EventLine(event.at, f"checkpoint {step}", written)
        case "slow":
            usual = f"{facts['step_s']:.2f} s a step, usually {facts['usual_s']:.2f} s"
            return EventLine(event.at, "slower than usual", f"{usual}. {facts.get('hint') or ''}".strip(), "work")
        case "failed":
            return EventLine(event.at, "failed", facts["sentence"], "drop")
        case "finished":
            words = {"completed": "training ended", "out_of_time": "time limit reached",
                     "out_of_money": "money limit reached", "no_better": "it stopped learning"}  # fmt: skip
            kept = "the model is written" if facts["kept"] else "nothing kept"
            if facts.get("model_step") not in (None, 0, facts["step"]):
                kept += f", that of step {number(facts['model_step'])}"
            return EventLine(event.at, words.get(facts["reason"], "stopped"), f"at step {step}; {kept}")
        case _:
            return EventLine(event.at, event.kind.replace("_", " "), "")
