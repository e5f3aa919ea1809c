"""A run of the real engine on the shipped nano base: frozen members with pictures on disk, and steps that are quick."""

from __future__ import annotations

import hashlib
from pathlib import Path

from PIL import Image, ImageDraw
from sqlalchemy import Engine

from app.database import transaction
from app.datasets.manifest import ManifestRow, content_hash, write_manifest
from app.storage import Storage
from app.training import runs
from app.training.limits import Limits
from app.training.recipe import Recipe, read_recipe
from tests.training.cast import frozen_version

RECIPE = runs.RECIPES / "nano_quick.yaml"


def ask(engine: Engine, data_dir: Path, steps: int, every: int, seed: int = 3, batch_size: int = 1) -> tuple[int, int]:
    """Freeze a version, write its manifest and ask for a run of so many steps; the run's and its job's ids."""
    with transaction(engine) as session:
        version = frozen_version(session)
        version.content_hash = content_hash(_write_members(Storage(data_dir).dataset_folder(version.id)))
        wanted = recipe(steps, every, seed).model_copy(update={"batch_size": batch_size})
        run = runs.request_run(session, version, "models/nano", wanted, None, Limits(86_400.0))
        assert run.job_id is not None
        return run.id, run.job_id


def recipe(steps: int, every: int, seed: int = 3) -> Recipe:
    """The quickest recipe of the nano base, saved and validated every so many steps, told step by step."""
    known = read_recipe(RECIPE).model_dump()
    knobs = {"steps": steps, "checkpoint_every": every, "validate_every": every, "report_every": 1, "seed": seed}
    return Recipe.model_validate({**known, **knobs, "batch_size": 1, "max_wall_clock_s": 86_400.0})


def _write_members(folder: Path) -> list[ManifestRow]:
    folder.mkdir(parents=True)
    rows = []
    for number, paint in enumerate(((200, 40, 40), (40, 60, 200), (40, 160, 60), (240, 200, 60), (90, 90, 90))):
        picture = Image.new("RGB", (64, 64), (245, 245, 245))
        ImageDraw.Draw(picture).rectangle((16, 16, 48, 48), fill=paint)
        file = folder / f"{number}.png"
        picture.save(file)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        split = "validation" if number == 4 else "train"
        rows.append(ManifestRow(file.name, f"Box number {number}.", split, str(number), digest, 64, 64))
    write_manifest(folder / "manifest.jsonl", rows)
    return rows
