"""A live model written out: what the folder holds, what its card says, what a kill half-way and damage leave."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open
from sqlalchemy import Engine

from app import jobs
from app.database import transaction, utc_now
from app.evaluation import promoting, shipping
from app.evaluation.promotion_tables import Promotion
from app.people import Person
from app.settings import Settings
from app.storage import Storage
from app.training import runs
from app.training.recipe import Recipe
from app.training.tables import Checkpoint
from tests import cast
from tests.evaluation.shipping_cast import WHY
from tests.training.cast import frozen_version
from workers import disk
from workers.celery_app import do
from workers.devices.model_cache import ModelCache
from workers.trainer import ship_job

pytestmark = pytest.mark.usefixtures("committed")
STEP = 4


class KilledError(BaseException):
    """Stands for a kill: nothing that is done in an orderly end is done."""


@dataclass(frozen=True)
class Shipped:
    """A live checkpoint of a tiny LoRA, and what has it written out."""

    engine: Engine
    settings: Settings
    storage: Storage
    promotion: Promotion
    checkpoint: Checkpoint
    owner: Person

    def ask(self) -> int:
        with transaction(self.engine) as session:
            return shipping.request(session, self.storage, self.promotion.id, self.owner).id

    def write(self, job_id: int) -> jobs.Job:
        do(job_id, lambda work: ship_job.ship(work, ModelCache(1)), self.settings)
        with transaction(self.engine) as session:
            return jobs.get(session, job_id)

    @property
    def folder(self) -> Path:
        return shipping.folder_of(self.storage, self.checkpoint.id)

    def files(self) -> set[str]:
        return {path.relative_to(self.folder).as_posix() for path in disk.files(self.folder)}


@pytest.fixture
def shipped(
    engine: Engine, settings: Settings, manifest: Path, tiny_base: Path, recipe: Callable[..., Recipe]
) -> Shipped:
    from workers.families import weights
    from workers.finetune.checkpoint import save_checkpoint

    storage = Storage(settings.data_dir)
    chosen = recipe(steps=STEP, method="lora", lora_rank=2)
    family = ModelCache(1).family(chosen.family, str(tiny_base))
    for weight in weights.to_train(family, "lora", 2, 1).values():
        weight.data.add_(0.05)
    with transaction(engine) as session:
        owner = cast.person(session, "Olga | <b>", "owner")
        version = frozen_version(session, manifest=manifest)
        shutil.copytree(manifest.parent, storage.dataset_folder(version.id))
        run = runs.request_run(session, version, str(tiny_base), chosen)
        saved = save_checkpoint(
            storage.run_folder(run.id), STEP, lambda folder: weights.save(family, folder), {}, {"step": STEP}
        )
        place = saved.folder.relative_to(storage.root).as_posix()
        checkpoint = Checkpoint(run_id=run.id, step=STEP, folder=place, size_bytes=saved.size_bytes)
        session.add(checkpoint)
        run.actual_s, run.hour_price = 1800.0, 3  # type: ignore[assignment]
        runs.end(session, run, "completed", "All steps are done.")
        candidacy = promoting.ask(session, storage, checkpoint.id, owner, WHY)
        note = "Whites | are [white](http://x) <b>now</b>."
        promotion = promoting.sign(session, storage, candidacy.id, owner, 0, note)
    return Shipped(engine, settings, storage, promotion, checkpoint, owner)


def test_it_is_a_diffusers_folder_a_lora_and_a_card(shipped: Shipped) -> None:
    job_id = shipped.ask()
    assert shipped.ask() == job_id, "asked twice, written once"
    assert shipped.write(job_id).state == "done"
    there = shipped.files()
    assert {"model/model_index.json", "model/README.md", "model/packshot.json", "lora/README.md"} <= there
    assert {"lora/diffusers.safetensors", "lora/comfyui.safetensors"} <= there
    assert not [name for name in there if Path(name).suffix in (".bin", ".pt", ".ckpt", ".pth", ".pkl")]
    for name in (name for name in there if name.endswith(".safetensors")):
        with safe_open(shipped.folder / name, framework="pt") as opened:
            assert opened.keys()
    card = (shipped.folder / "model" / "README.md").read_text()
    for words in (
        "## Data set version and recipe", "## Results", "No gate has judged it.", "## Cost", "1.50 €", "## Limits",
        "trainedAlgorithmicMedia", "license:", "## Licences", f"step {STEP}", "Nobody has answered",
    ):  # fmt: skip
        assert words in card, words
    assert "Signed off by Olga \\| &lt;b>" in card and "<b>" not in card and "\\[white](" in card
    assert (shipped.folder / "lora" / "README.md").read_text() == card
    with transaction(shipped.engine) as session:
        known = shipping.files_of(session, shipped.storage, shipped.checkpoint.id)
        name, listed = shipping.contents(session, shipped.storage, shipped.promotion.id, "lora")
    assert known.state == "done" and known.sizes.keys() == {"diffusers", "lora"} and len(known.sha256) == 64
    assert name.endswith("-lora") and [file.path.name for file in listed] == [
        "README.md", "comfyui.safetensors", "diffusers.safetensors",
    ]  # fmt: skip


@pytest.mark.parametrize("is_again", [False, True])
def test_killed_half_way_it_is_there_whole_or_not_at_all(
    shipped: Shipped, monkeypatch: pytest.MonkeyPatch, is_again: bool
) -> None:
    if is_again:
        assert shipped.write(shipped.ask()).state == "done"
    before = shipped.files()
    job_id = shipped.ask()

    def killed(*_: Any) -> None:
        raise KilledError

    with monkeypatch.context() as patched:
        patched.setattr(ship_job, "_tell", killed)
        patched.setattr(disk, "_reconcile", lambda *_: None)  # an orderly end would tidy up
        with pytest.raises(KilledError):
            shipped.write(job_id)
    assert shipped.files() == before, "what was there stays, and nothing half written stands in its place"
    left = list(shipped.folder.parent.glob(".*.new"))
    assert left and (left[0] / "model" / "model_index.json").is_file()
    # Of another process, as after a kill.
    left[0].rename(left[0].with_name(".files.999999.new"))
    with transaction(shipped.engine) as session:
        jobs.sweep(session, utc_now() + timedelta(hours=1))
        assert shipping.files_of(session, shipped.storage, shipped.checkpoint.id).state == "waiting"
    assert shipped.write(job_id).state == "done"
    assert "model/README.md" in shipped.files() and not list(shipped.folder.parent.glob(".*"))


def test_weights_that_are_not_what_was_saved_are_not_given_away(shipped: Shipped) -> None:
    folder = shipped.storage.root / str(shipped.checkpoint.folder)
    (weights,) = (folder / "weights").glob("*.safetensors")
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    job = shipped.write(shipped.ask())
    assert job.state == "failed" and "is not what was saved" in (job.failure or "")
    assert not shipped.folder.exists()
    shutil.rmtree(folder)
    with transaction(shipped.engine) as session, pytest.raises(Exception, match="not whole"):
        shipping.request(session, shipped.storage, shipped.promotion.id, shipped.owner)


def test_the_facts_hold_no_folder_of_this_machine(shipped: Shipped) -> None:
    shipped.write(shipped.ask())
    for file in disk.files(shipped.folder):
        assert str(shipped.storage.root).encode() not in file.read_bytes(), file
    assert json.loads((shipped.folder / "model" / "packshot.json").read_text())["step"] == STEP
