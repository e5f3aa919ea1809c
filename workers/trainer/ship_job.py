"""The body of `model.export`: a checkpoint that was made live, written out with its card, whole or not at all."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app import jobs
from app.datasets.tables import DatasetVersion
from app.errors import Refused
from app.evaluation import model_card, promoting, shipping
from app.settings import PROJECT
from app.training import runs
from app.training.recipe import Recipe
from app.training.tables import Checkpoint
from workers import disk
from workers.celery_app import Work
from workers.errors import InputError
from workers.trainer.export_job import photos_of

if TYPE_CHECKING:
    from workers.devices.model_cache import ModelCache


def ship(work: Work, cache: ModelCache) -> dict[str, Any]:
    """Write the diffusers folder and, of a LoRA, its two files, with the model card in each.

    What was written before stays until this is whole. Raises Refused where the base or the checkpoint is not there, or
    is not what was saved.
    """
    checkpoint_id = int(work.arguments["checkpoint_id"])
    with work.transaction() as session:
        jobs.beat(session, work.claim, lease_s=work.lease_s)
        saved = session.get(Checkpoint, checkpoint_id)
        if saved is None or not promoting.is_there(work.storage, saved):
            raise Refused("The files of this checkpoint are not whole in the data folder any more.")
        run = runs.get(session, saved.run_id)
        recipe, step, run_id, base = Recipe.model_validate(run.recipe), saved.step, run.id, run.base
        version = session.get_one(DatasetVersion, run.version_id)
        sections = model_card.sections(shipping.facts(session, checkpoint_id, work.settings.currency))
    folder = work.storage.root / str(saved.folder)
    _refuse_damaged(folder)
    photos = photos_of(work, version)
    # torch takes seconds to import, and nothing before needs it.
    from workers.families.export import Origin, export
    from workers.families.fetch import kept_to

    whole = shipping.folder_of(work.storage, checkpoint_id)
    whole.parent.mkdir(parents=True, exist_ok=True)
    # One job writes a checkpoint out at a time, so what lies here of another one was left by its kill.
    disk.clear_leftovers(whole.parent)
    try:
        named = str(PROJECT / base) if runs.is_here(base) else base
        family = cache.family(recipe.family, named, revision=kept_to(recipe, work.storage.run_folder(run_id)))
        with disk.leaving_free(work.storage.reserve_bytes), disk.replaced_whole(whole, saved.size_bytes) as temporary:
            model = temporary / shipping.FOLDERS["diffusers"]
            model.mkdir()
            export(family, folder / "weights", model, Origin(recipe, version.content_hash or "", step, photos))
            _tell(temporary, sections)
    except InputError as refusal:
        raise Refused(str(refusal)) from refusal
    with work.transaction() as session:
        jobs.beat(session, work.claim, lease_s=work.lease_s)
    return {"checkpoint_id": checkpoint_id}


def _refuse_damaged(folder: Path) -> None:
    """Raises Refused where the weights are not, byte by byte, what was saved."""
    listed = json.loads((folder / promoting.SIDECAR).read_text())["files"]
    for name, known in sorted(listed.items()):
        if name.startswith("weights/") and disk.sha256(folder / name) != known["sha256"]:
            raise Refused(f"{name} of {folder.name} is not what was saved. Bring it back from a backup.")


def _tell(whole: Path, sections: str) -> None:
    """Put the further sections into the card, the card beside a LoRA too, and the weights' digest into the facts."""
    model, lora = (whole / shipping.FOLDERS[part] for part in ("diffusers", "lora"))
    card = (model / shipping.CARD).read_text(encoding="utf-8") + sections
    (model / shipping.CARD).write_text(card, encoding="utf-8")
    facts = json.loads((model / shipping.FACTS).read_text())
    digests = sorted(disk.sha256(file) for file in disk.files(whole) if file.suffix == ".safetensors")
    facts["weights_sha256"] = hashlib.sha256("\n".join(digests).encode()).hexdigest()
    (model / shipping.FACTS).write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n")
    if lora.is_dir():
        (lora / shipping.CARD).write_text(card, encoding="utf-8")
