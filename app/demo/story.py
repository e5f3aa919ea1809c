"""The demo's steps, each asked for through the same domain functions as the pages and waited for in the terminal."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, select

from app import jobs
from app.broker import send_due
from app.captions import runs as caption_runs
from app.catalog.duplicate_tables import DuplicateGroup, DuplicateMember
from app.catalog.tables import Catalog, Image
from app.cycles import hard_stop
from app.database import transaction
from app.datasets import freezing
from app.datasets.tables import DatasetVersion
from app.demo import fitting
from app.demo.catalogue import held_out_prompts, planted_in_words, read_truth
from app.errors import Refused
from app.evaluation import sheets, suites
from app.intake import ingest
from app.launch import assessment, preflights
from app.people import Person
from app.settings import Settings
from app.training import runs
from app.training.recipe import Recipe
from app.training.tables import TrainingRun
from app.units import duration

POLL_S = 0.5
# How long to wait for a follow-up job that a finished job should have asked for.
FOLLOW_UP_WITHIN_S = 60.0
# A run is not stopped for being late before it has gone on so long.
SHORTEST_S = 30.0

# Fewer photos that rules suggest to keep than this teach nothing; the demo then freezes all it can.
FEWEST = 16
KEPT_OR_DOUBTFUL = "decision:kept,needs_work"


@dataclass(frozen=True)
class DemoApp:
    """What the database and the files of the running app look like to the demo."""

    engine: Engine
    redis_url: str
    settings: Settings
    owner: Person
    ends_at: float = math.inf  # by `time.monotonic`: when all should be done


def catalog_named(stage: DemoApp, name: str) -> Catalog:
    """The catalog of this name, made when it is not there."""
    with transaction(stage.engine) as session:
        catalog = session.scalars(select(Catalog).where(Catalog.name == name)).first()
        if catalog is None:
            catalog = Catalog(name=name)
            session.add(catalog)
            session.flush()
        return catalog


def take_in(stage: DemoApp, catalog: Catalog, photos: Path) -> None:
    """Take the photos in and wait for what a finished intake asks for by itself: signals, captions, review rules."""
    with transaction(stage.engine) as session:
        asked = ingest.request_intake(session, catalog, photos, stage.owner)
        job_id = asked.job_id
    done = wait(stage, _sent(stage, job_id), "Take in")
    say(
        f"          {_count(done, 'accepted')} accepted, {_count(done, 'already_there')} there already, "
        f"{_count(done, 'refused')} refused with a reason"
    )
    before = done.id
    captioner = stage.settings.caption_model or caption_runs.FACTS
    captioning = caption_runs.KIND_OF_JOB[caption_runs.place_of(captioner, stage.settings)]
    follow_ups = (("signals.measure", "Signals"), (captioning, "Captions"), ("review.apply_rules", "Rules"))
    for kind, words in follow_ups:
        before = wait(stage, _follow_up(stage, kind, catalog.id, before), words).id
    wait(stage, _follow_up(stage, "photos.group", catalog.id, done.id), "Duplicates")
    say(f"          {_copies_in_words(stage, catalog, photos)}")


def _copies_in_words(stage: DemoApp, catalog: Catalog, photos: Path) -> str:
    """How many photos are copies of others, and of drawn photos how many of the planted copies are among them."""
    with transaction(stage.engine) as session:
        rows = session.execute(
            select(Image.file_name, DuplicateMember.group_id)
            .join(DuplicateMember, DuplicateMember.image_id == Image.id)
            .join(DuplicateGroup, DuplicateGroup.id == DuplicateMember.group_id)
            .where(DuplicateGroup.catalog_id == catalog.id, DuplicateGroup.is_current)
            .where(DuplicateGroup.grade != "product")
        ).all()
    groups: dict[int, list[str]] = {}
    for row in rows:
        groups.setdefault(row.group_id, []).append(row.file_name)
    many = len(rows) - len(groups)
    words = f"{many} {'copy' if many == 1 else 'copies'} of other photos, in {len(groups)} groups"
    try:
        truth = read_truth(photos)
    except FileNotFoundError:
        return words
    return f"{words}: {planted_in_words(truth, list(groups.values()))}"


def freeze(stage: DemoApp, catalog: Catalog) -> DatasetVersion:
    """Freeze what people kept and, as no person is there to review, what rules suggest to keep: the demo says so.

    Where that is too few to learn from, also what they suggest to look at.
    """
    with transaction(stage.engine) as session:
        offered = freezing.offer(session, catalog.id)
        chosen = freezing.KEPT
        if offered.seen + offered.unseen < FEWEST:
            say(
                f"          rules suggest to keep {offered.unseen}, too few to learn from; doubtful ones are frozen too"
            )
            chosen = KEPT_OR_DOUBTFUL
            offered = freezing.offer(session, catalog.id, chosen)
        if offered.unseen:
            say(f"          no person has seen {offered.unseen} of these photos; the demo takes them as rules suggest")
        version = freezing.request_freeze(session, catalog.id, chosen, stage.owner, takes_unseen=True)
        job_id = version.job_id
    wait(stage, _sent(stage, job_id), "Freeze")
    with transaction(stage.engine) as session:
        session.add(version)
        session.refresh(version)
        say(f"          version {version.number}: {version.sentence}")
        say(
            f"          {version.train_count} to train, {version.validation_count} to validate, "
            f"hash {(version.content_hash or '')[:8]}"
        )
        return version


def fine_tune(stage: DemoApp, version: DatasetVersion, is_drawn: bool) -> TrainingRun:
    """Measure the derived recipe on the device, then train as much of it as ends in time, and say so where it is less.

    Settles before the run which prompts its sheet will draw. A run that turns out slower than measured is stopped in
    time and keeps what it learned.
    """
    with transaction(stage.engine) as session:
        recipe = assessment.planned(session, stage.settings, version, stage.settings.base_model).recipe
        left = hard_stop.left(session, stage.settings, recipe)
        asked = preflights.request_preflight(session, version, recipe, stage.owner, limits=left)
    wait(stage, _sent(stage, asked.job_id), "Measure")
    run, hurry = _launched(stage, version, asked.id, is_drawn)
    wait(stage, _sent(stage, run.job_id), "Fine-tune", partial(_stop_late, stage, run.id, hurry))
    with transaction(stage.engine) as session:
        run = runs.get(session, run.id)
        if not any(checkpoint.folder for checkpoint in runs.checkpoints(session, run.id)):
            raise Refused(f"The run ended without a checkpoint: {run.reason or run.state}")
        if run.state == "completed" and run.actual_s and run.estimated_s:
            say(f"          took {duration(run.actual_s)}, the estimate was {duration(run.estimated_s)}")
        return run


@dataclass(frozen=True)
class Hurry:
    """When a run has to make room for its sheet of `cells` pictures, by `time.monotonic`.

    `sample_s`: a picture as the preflight drew it. No run is stopped before `not_before`.
    """

    cells: int
    sample_s: float
    not_before: float


def _launched(stage: DemoApp, version: DatasetVersion, preflight_id: int, is_drawn: bool) -> tuple[TrainingRun, Hurry]:
    """The run of the size that ends in time by what was measured, and when it has to end for its sheet's sake."""
    with transaction(stage.engine) as session:
        asked = preflights.get(session, preflight_id)
        changes: dict[str, Any] = {}
        least_s = SHORTEST_S
        if "step_s" not in asked.measured:
            fits = [row for row in asked.alternatives if row["state"] == "fits"]
            if not fits:
                raise Refused(asked.reason or f"The preflight is {asked.state}.")
            say(f"          {asked.reason} Instead: {fits[-1]['words']}")
            changes, size = fits[-1]["changes"], fitting.SIZES[0]
        else:
            recipe = Recipe.model_validate(asked.recipe)
            left_s = stage.ends_at - time.monotonic()
            size = fitting.fitting(asked.measured, recipe, left_s)
            takes_s = fitting.MARGIN * fitting.seconds(asked.measured, recipe, size)
            if size != fitting.SIZES[0]:
                changes = size.changes(recipe)
                more = ""
                if takes_s > left_s:
                    # Cut short it would show nothing: what cannot be kept is said, and then done in full.
                    least_s = takes_s
                    more = f"; even that ends after about {minutes(fitting.WITHIN_S + takes_s - left_s)} in all"
                say(f"          this computer is slow, so it does less: {size.words(recipe)}{more}")
        plan = assessment.planned(session, stage.settings, version, asked.base, changes)
        prompts = held_out_prompts(size.held_out) if is_drawn and size.held_out else []
        extra = [
            suites.PromptText(
                prompt.text, "Held out", {"kind": prompt.kind, "colour": prompt.colour, "background": prompt.background}
            )
            for prompt in prompts
        ]
        suites.suite_for(session, version, plan.recipe, extra)
        known = assessment.assess(session, stage.settings, version, plan.recipe, preflight=asked)
        run = assessment.start(session, version, known, asked, stage.owner)
        words = f"{duration(run.estimated_low_s or 0)} to {duration(run.estimated_high_s or 0)}"
        say(f"          about {duration(run.estimated_s or 0)} ({words}): {run.estimated_from}")
        return run, Hurry(size.cells, asked.measured.get("sample_s", 0.0), time.monotonic() + least_s)


def _stop_late(stage: DemoApp, run_id: int, hurry: Hurry) -> None:
    """Stop a run that leaves no time for its sheet; it keeps what it learned, so it has to have learned something."""
    if time.monotonic() < hurry.not_before:
        return
    with transaction(stage.engine) as session:
        run = runs.get(session, run_id)
        # What slows the steps down slows pictures down too; the run draws some of them on its way.
        sheet_s = hurry.cells * max(hurry.sample_s, float(run.pace.get("sample_s", 0.0)))
        if run.state == "running" and run.step > 0 and time.monotonic() >= stage.ends_at - sheet_s:
            say(f"          slower than measured: stopped after step {run.step} of {run.steps} to end in time")
            runs.stop(session, run, keep=True, person=stage.owner)


def draw_sheet(stage: DemoApp, run: TrainingRun) -> int:
    """Wait for the sheet that the finished run asked for. Returns its id."""
    deadline = time.monotonic() + FOLLOW_UP_WITHIN_S
    while time.monotonic() < deadline:
        with transaction(stage.engine) as session:
            sheet = sheets.latest_of(session, run.id)
        if sheet is not None and sheet.job_id is not None:
            wait(stage, sheet.job_id, "Sheet")
            return sheet.id
        time.sleep(POLL_S)
    raise Refused("The run ended, but nobody asked for its sheet. The gpu worker's log says why.")


def wait(stage: DemoApp, job_id: int, words: str, meanwhile: Callable[[], None] = lambda: None) -> jobs.Job:
    """Show the job's progress until it is over. Raises Refused with its failure."""
    began = time.monotonic()
    line = ProgressLine(words)
    while True:
        with transaction(stage.engine) as session:
            job = jobs.get(session, job_id)
        line.show(job)
        if job.is_over:
            break
        meanwhile()
        time.sleep(POLL_S)
    line.end(f"{time.monotonic() - began:.0f} s")
    if job.state != "done":
        raise Refused(f"{words}: {job.failure or 'it was cancelled.'}")
    return job


class ProgressLine:
    """One stage's line in the terminal: rewritten in place on a terminal, a new line now and then elsewhere."""

    def __init__(self, words: str) -> None:
        self.words = words
        self.is_terminal = sys.stdout.isatty()
        self.shown_at = 0.0
        self.text = ""

    def show(self, job: jobs.Job) -> None:
        """Tell how far the job is."""
        share = f"{job.done:,} of {job.total:,}" if job.total else ""
        share = share if job.state != "queued" else "waits for a worker"
        text = f"{self.words:<10}{share}{' · ' + job.note if job.note else ''}"
        now = time.monotonic()
        if text != self.text and (self.is_terminal or now - self.shown_at > 10):
            self._write(text)
            self.text, self.shown_at = text, now

    def end(self, took: str) -> None:
        """The stage is over."""
        self._write(f"{self.words:<10}done in {took}", last=True)

    def _write(self, text: str, last: bool = False) -> None:
        if self.is_terminal:
            sys.stdout.write(f"\r\x1b[2K{text[:118]}" + ("\n" if last else ""))
        else:
            sys.stdout.write(text + "\n")
        sys.stdout.flush()


def say(sentence: str) -> None:
    """One line for the person at the terminal."""
    sys.stdout.write(sentence + "\n")
    sys.stdout.flush()


def minutes(seconds: float) -> str:
    """A length of time in words: "8 min 05 s"."""
    return f"{int(seconds) // 60} min {int(seconds) % 60:02} s"


def _follow_up(stage: DemoApp, kind: str, catalog_id: int, after_id: int) -> int:
    """The job of this kind that an earlier job of the chain asked for."""
    deadline = time.monotonic() + FOLLOW_UP_WITHIN_S
    while time.monotonic() < deadline:
        with transaction(stage.engine) as session:
            job_id = session.scalars(
                select(jobs.Job.id)
                .where(jobs.Job.kind == kind, jobs.Job.id > after_id, jobs.Job.whole_id.is_(None))
                .where(jobs.Job.arguments["catalog_id"].as_integer() == catalog_id)
                .order_by(jobs.Job.id)
            ).first()
        if job_id is not None:
            return job_id
        time.sleep(POLL_S)
    raise Refused(f"Nothing asked for the job {kind}. The cpu worker's log says why.")


def _sent(stage: DemoApp, job_id: int | None) -> int:
    """The job just asked for, its message sent."""
    if job_id is None:
        raise Refused("There is no job to wait for; the data folder is from another version of Packshot.")
    send_due(stage.engine, stage.redis_url)
    return job_id


def _count(job: jobs.Job, name: str) -> str:
    return f"{int(job.result.get(name, 0)):,}"
