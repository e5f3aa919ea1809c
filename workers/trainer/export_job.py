"""The body of `run.export`: a run's finished model written anew, from the checkpoint that a person chose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from app import jobs
from app.datasets import verifying
from app.datasets.freezing import MANIFEST
from app.datasets.manifest import ManifestRow
from app.datasets.tables import DatasetVersion
from app.errors import Refused
from app.settings import PROJECT
from app.training import models, runs
from app.training.recipe import Recipe
from app.training.tables import Checkpoint
from workers.celery_app import Work
from workers.disk import replaced_whole
from workers.errors import InputError

if TYPE_CHECKING:
    from workers.devices.model_cache import ModelCache


def write_model(work: Work, cache: ModelCache) -> dict[str, Any]:
    """Write OUT/model, and a LoRA's two files beside it, from the checkpoint; the model of before stays until then.

    Raises Refused when the base or the checkpoint is not there.
    """
    run_id, step = int(work.arguments["run_id"]), int(work.arguments["step"])
    with work.transaction() as session:
        jobs.beat(session, work.claim, lease_s=work.lease_s)
        run = runs.get(session, run_id)
        recipe = Recipe.model_validate(run.recipe)
        version = session.get_one(DatasetVersion, run.version_id)
        saved = session.query(Checkpoint).filter_by(run_id=run_id, step=step).one_or_none()
        folder = None if saved is None or saved.folder is None else work.storage.root / saved.folder
    if folder is None or not folder.is_dir():
        raise Refused(f"The checkpoint of step {step:,} of run {run_id} is not there any more.")
    photos = photos_of(work, version)
    # torch takes seconds to import, and nothing before needs it.
    from workers.families.export import Origin, export
    from workers.families.fetch import kept_to

    base = str(PROJECT / run.base) if runs.is_here(run.base) else run.base
    try:
        family = cache.family(recipe.family, base, revision=kept_to(recipe, work.storage.run_folder(run_id)))
        with replaced_whole(work.storage.run_folder(run_id) / models.FOLDER) as temporary:
            origin = Origin(recipe, version.content_hash or "", step, photos)
            export(family, folder / "weights", temporary, origin)
    except InputError as refusal:
        raise Refused(str(refusal)) from refusal
    with work.transaction() as session:
        jobs.beat(session, work.claim, lease_s=work.lease_s)
        run = runs.get(session, run_id)
        runs.note(session, run, "model_written", f"The finished model is now that of step {step:,}.")
    return {"step": step}


def photos_of(work: Work, version: DatasetVersion) -> list[ManifestRow]:
    """The members of a version, whose rights go with the model, none where its manifest is gone. Raises Refused where
    that is not the one that was frozen."""
    is_there = (work.storage.dataset_folder(version.id) / MANIFEST).is_file()
    return verifying.as_frozen(work.storage, version) if is_there else []
