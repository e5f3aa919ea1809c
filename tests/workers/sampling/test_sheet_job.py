"""A sheet is drawn in order, kept batch by batch, and taken up again where it stopped."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image
from sqlalchemy import Engine

from app import jobs
from app.cycles import clock, ledger
from app.database import transaction
from app.datasets.tables import DatasetVersion
from app.evaluation import comparison, sheets, suites
from app.evaluation.tables import Sample
from app.settings import Settings
from app.storage import Storage
from app.training import progress, runs
from app.training.recipe import Recipe
from tests.evaluation.cast import finished_run, sheet_of
from tests.training.cast import frozen_version
from workers import celery_app
from workers.celery_app import Work, do
from workers.devices.model_cache import ModelCache
from workers.errors import InputError
from workers.sampling import sheet_job
from workers.sampling.sampler import Drawn, Source
from workers.trainer import run_job

pytestmark = pytest.mark.usefixtures("committed")


@pytest.fixture
def sheet_id(engine: Engine) -> int:
    with transaction(engine) as session:
        return sheet_of(session, finished_run(session)).id


class Brush:
    """Draws plain squares and remembers what it was asked; may do something before the picture of a number."""

    def __init__(self, before: int = -1, do: Any = None) -> None:
        self.calls: list[tuple[Source, list[tuple[str, int]], tuple[float, ...]]] = []
        self.pictures = 0
        self.before, self.do = before, do

    def __call__(
        self, models: ModelCache, source: Source, wanted: Sequence[tuple[str, int]], *settings: float
    ) -> Iterator[Drawn]:
        self.calls.append((source, list(wanted), settings))
        for index in range(len(wanted)):
            if self.pictures == self.before:
                self.do()
            self.pictures += 1
            yield Drawn(index, Image.new("RGB", (64, 64), (self.pictures, 0, 0)))


def draw(engine: Engine, settings: Settings, sheet_id: int, brush: Brush) -> jobs.Job:
    def body(work: Work) -> dict[str, Any]:
        return sheet_job.draw_sheet(work, ModelCache(1), brush)

    with transaction(engine) as session:
        job_id = sheets.get(session, sheet_id).job_id or 0
    do(job_id, body, settings)
    with transaction(engine) as session:
        return jobs.get(session, job_id)


def count(engine: Engine, sheet_id: int) -> int:
    with transaction(engine) as session:
        sheet = sheets.get(session, sheet_id)
        return sheets.cell_count(session, sheet) - len(sheets.missing(session, sheet))


def test_every_checkpoint_draws_every_prompt_with_every_seed(engine: Engine, settings: Settings, sheet_id: int) -> None:
    brush = Brush()
    job = draw(engine, settings, sheet_id, brush)
    assert (job.state, job.done, job.total) == ("done", 36, 36)
    folders = [source.checkpoint for source, *_ in brush.calls]
    assert [folder and folder.name for folder in folders] == ["step-000100", None, "step-000050"]
    assert folders[0] is not None and folders[0].is_relative_to(settings.data_dir.resolve())
    for _, wanted, _ in brush.calls:
        assert [seed for _, seed in wanted] == [11, 23] * 6
        assert len({text for text, _ in wanted}) == 6
    assert brush.calls[0][2] == (64, 25, 3.0), "size, steps, guidance"


def test_pictures_lie_in_the_files_as_png(engine: Engine, settings: Settings, sheet_id: int) -> None:
    draw(engine, settings, sheet_id, Brush())
    with transaction(engine) as session:
        sample = session.query(Sample).first()
    assert sample is not None
    with Image.open(Storage(settings.data_dir).path("samples", sample.sha256, ".png")) as picture:
        assert (picture.format, picture.size) == ("PNG", (64, 64))


def test_a_job_taken_up_again_draws_only_what_is_missing(engine: Engine, settings: Settings, sheet_id: int) -> None:
    first = Brush(before=9, do=celery_app.stopped_for_good.set)
    assert draw(engine, settings, sheet_id, first).state == "queued"
    assert count(engine, sheet_id) == 12, "the batches that were done are kept"
    celery_app.stopped_for_good.clear()
    second = Brush()
    assert draw(engine, settings, sheet_id, second).state == "done"
    assert second.pictures == 36 - 12


def test_what_a_checkpoint_misses_is_asked_for_at_once_whichever_seeds_it_is(
    engine: Engine, settings: Settings, sheet_id: int
) -> None:
    """Drawn before: one seed of one prompt and the other seed of another. Batches are filled across what is left."""
    with transaction(engine) as session:
        todo = sheets.missing(session, sheets.get(session, sheet_id))
        gone = [todo[0], todo[5], todo[6]]
        sheets.record(session, [sheets.DrawnCell(cell, "a" * 64, 64, 64) for cell in gone])
    brush = Brush()
    assert draw(engine, settings, sheet_id, brush).state == "done"
    assert [len(wanted) for _, wanted, _ in brush.calls] == [9, 12, 12]
    with transaction(engine) as session:
        assert {todo[0], todo[1], todo[6]} <= set(sheets.drawn_cells(session, sheets.get(session, sheet_id)))


@pytest.mark.parametrize(
    ("within_run", "spent_s", "seconds", "told"),
    [
        (True, 3550.0, 100.0, "20 of 36 pictures were drawn; the run’s time limit ended it."),
        (True, 3550.0, 10.0, None),
        (False, 3550.0, 100.0, None),
        (True, 3600.0, 0.0, "0 of 36 pictures were drawn; the run’s time limit ended it."),
    ],
)
def test_a_sheet_that_follows_its_run_ends_with_the_runs_limit(
    engine: Engine,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    within_run: bool,
    spent_s: float,
    seconds: float,
    told: str | None,
) -> None:
    late = [0.0]
    monkeypatch.setattr(sheet_job, "time", SimpleNamespace(monotonic=lambda: time.monotonic() + late[0]))
    with transaction(engine) as session:
        run = finished_run(session)
        run.max_seconds, run.actual_s = 3600.0, spent_s
        suite = suites.suite_for(
            session, session.get_one(DatasetVersion, run.version_id), Recipe.model_validate(run.recipe)
        )
        sheet_id = sheets.request_sheet(session, run, suite, within_run=within_run).id
    brush = Brush(before=14, do=lambda: late.append(late.pop() + seconds))
    job = draw(engine, settings, sheet_id, brush)
    assert (job.state, job.result.get("sentence")) == ("done", told)
    assert brush.pictures == count(engine, sheet_id) == int((told or "36").split()[0])


def test_what_the_cycle_has_left_ends_every_sheet(engine: Engine, settings: Settings, sheet_id: int) -> None:
    priced = settings.model_copy(update={"gpu_hour_price": Decimal(2), "budget": Decimal(10)})
    with transaction(engine) as session:
        clock.start_cycle(session, priced, None)
        ledger.record(session, jobs.request(session, "captions.look", {}), 5 * 3600.0, priced)
    job = draw(engine, priced, sheet_id, Brush())
    assert job.result == {"sentence": "0 of 36 pictures were drawn; the cycle has no more money for it."}


def test_a_sheet_is_stopped_between_batches(engine: Engine, settings: Settings, sheet_id: int) -> None:
    def cancel() -> None:
        with transaction(engine) as session:
            jobs.cancel(session, sheets.get(session, sheet_id).job_id or 0)

    brush = Brush(before=3, do=cancel)
    assert draw(engine, settings, sheet_id, brush).state == "cancelled"
    assert count(engine, sheet_id) == brush.pictures == 8


def test_a_missing_base_fails_the_job_in_a_sentence(engine: Engine, settings: Settings, sheet_id: int) -> None:
    def refuse() -> None:
        raise InputError("The base models/nano is not there.")

    job = draw(engine, settings, sheet_id, Brush(before=0, do=refuse))
    assert (job.state, job.failure) == ("failed", "The base models/nano is not there.")


def test_a_worker_that_lost_its_lease_keeps_no_sample(engine: Engine, settings: Settings, sheet_id: int) -> None:
    def take_away() -> None:
        with transaction(engine) as session:
            job = jobs.get(session, sheets.get(session, sheet_id).job_id or 0)
            job.token += 1

    draw(engine, settings, sheet_id, Brush(before=9, do=take_away))
    assert count(engine, sheet_id) == 8


@pytest.mark.slow
def test_the_real_engine_trains_a_run_and_the_real_sampler_draws_its_sheet(
    engine: Engine, settings: Settings, recipe: Callable[..., Recipe], manifest: Path
) -> None:
    """From a frozen version to a whole sheet, with a base of a few thousand weights."""
    with transaction(engine) as session:
        version = frozen_version(session, photos=4, validation=1, manifest=manifest)
        run = runs.request_run(session, version, recipe().base, recipe(steps=4, checkpoint_every=2, validate_every=2))
        run_id, version_id, job_id = run.id, version.id, run.job_id or 0
    folder = Storage(settings.data_dir).dataset_folder(version_id)
    folder.parent.mkdir(parents=True)
    shutil.copytree(manifest.parent, folder)
    do(job_id, run_job.train, settings)
    with transaction(engine) as session:
        run = runs.get(session, run_id)
        assert run.state == "completed", run.reason
        found = runs.checkpoints(session, run_id)
        assert [(c.step, c.validation_loss is not None) for c in found] == [(0, True), (2, True), (4, True)]
        assert all(progress.curves(session, run).bands)
        sheet = sheets.latest_of(session, run_id)
        assert sheet is not None
        sheet_id, drawing_id = sheet.id, sheet.job_id or 0
    do(drawing_id, lambda work: sheet_job.draw_sheet(work, ModelCache(1)), settings)
    with transaction(engine) as session:
        job = jobs.get(session, drawing_id)
        assert (job.state, job.failure) == ("done", None)
        page = comparison.compare(session, sheets.get(session, sheet_id))
    assert all(picture.sample_id for row in page.rows for picture in row.pictures)
    assert len(page.columns) == 3
