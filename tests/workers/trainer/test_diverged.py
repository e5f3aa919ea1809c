"""The real engine explodes under a worker: the run is red, no sheet is drawn of it, and its model is another one's."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from app import jobs
from app.database import transaction
from app.datasets.manifest import content_hash, read_manifest
from app.errors import Conflict
from app.evaluation import columns, sheets
from app.jobs import Job
from app.settings import Settings
from app.storage import Storage
from app.training import models, runs, validations
from app.training.recipe import Recipe
from app.training.tables import TrainingRun
from tests.training.cast import frozen_version
from tests.workers.trained import QUICK, notes
from workers.celery_app import do
from workers.devices.model_cache import ModelCache
from workers.trainer import export_job, run_job

pytestmark = [pytest.mark.usefixtures("committed"), pytest.mark.slow]

HOT = {
    "optimiser": "adamw", "adamw_lr": 0.5, "clip_norm": 1000.0, "batch_size": 8, "steps": 60, "warmup_steps": 60,
    "constant_share": 1.0, "report_every": 4, "checkpoint_every": 2, "validate_every": 2, "ema_decay": 0.0,
    "sampling_steps": 2,
}  # fmt: skip


def ask(engine: Engine, data_dir: Path, manifest: Path, base: Path, recipe: Recipe) -> tuple[int, int]:
    with transaction(engine) as session:
        version = frozen_version(session, manifest=manifest)
        shutil.copytree(manifest.parent, Storage(data_dir).dataset_folder(version.id))
        run = runs.request_run(session, version, str(base), recipe)
        return run.id, run.job_id or 0


def settled(engine: Engine, run_id: int) -> tuple[TrainingRun, list[int], list[Job]]:
    """The run, its checkpoints that are good, and all jobs but its own."""
    with transaction(engine) as session:
        run = runs.get(session, run_id)
        saved = [checkpoint.step for checkpoint in validations.sound_checkpoints(session, run)]
        return run, saved, list(session.scalars(select(Job).where(Job.kind != "run.train")))


def test_a_run_that_explodes_is_red_and_its_good_checkpoints_are_usable(
    engine: Engine, settings: Settings, manifest: Path, tiny_base: Path, recipe: Callable[..., Recipe]
) -> None:
    run_id, job_id = ask(engine, settings.data_dir, manifest, tiny_base, recipe(**HOT))
    do(job_id, lambda work: run_job.train(work, patience=QUICK), settings)
    run, good, others = settled(engine, run_id)
    assert (run.state, run.cause) == ("failed", "diverged")
    assert "The loss exploded: since step" in (run.reason or "") and run.step < 50
    assert len(good) > 1 and f"step {good[-1]} is the last good one" in (run.reason or "")
    assert others == [], "no sheet is drawn of broken weights"
    out = Storage(settings.data_dir).run_folder(run_id)
    assert models.written_from(out) == good[-1]

    # Its sheet may be asked for, and has the good ones alone.
    with transaction(engine) as session:
        sheet = sheets.latest_of(session, run_id)
        assert sheet is not None
        assert [checkpoint.step for checkpoint in columns.run_columns(session, run_id)] == good
        # And its model may be written from an earlier one.
        earlier = good[-2] or good[-1]
        export = models.request_model(session, runs.get(session, run_id), earlier)
        assert models.request_model(session, runs.get(session, run_id), earlier).id == export.id
    do(export.id, lambda work: export_job.write_model(work, ModelCache(1)), settings)
    with transaction(engine) as session:
        assert jobs.get(session, export.id).state == "done"
    assert models.written_from(out) == earlier
    assert json.loads((out / "model" / "packshot.json").read_text())["dataset_hash"] == content_hash(
        read_manifest(manifest)
    )
    assert ("model_written", f"The finished model is now that of step {earlier}.") in notes(engine, run_id)


def test_a_checkpoint_that_went_away_is_refused_in_words(
    engine: Engine, settings: Settings, manifest: Path, tiny_base: Path, recipe: Callable[..., Recipe]
) -> None:
    from app.training.tables import Checkpoint

    run_id, _ = ask(engine, settings.data_dir, manifest, tiny_base, recipe(steps=4))
    with transaction(engine) as session:
        run = runs.get(session, run_id)
        session.add(Checkpoint(run_id=run_id, step=2, folder=f"runs/{run_id}/checkpoints/step-000002"))
        session.flush()
        with pytest.raises(Conflict, match="under way"):
            models.request_model(session, run, 2)
        runs.end(session, run, "stopped", "Somebody stopped it.")
        export = models.request_model(session, run, 2)
    do(export.id, lambda work: export_job.write_model(work, ModelCache(1)), settings)
    with transaction(engine) as session:
        job = jobs.get(session, export.id)
        assert (job.state, job.failure) == (
            "failed",
            f"The checkpoint of step 2 of run {run_id} is not there any more.",
        )
