"""Records the losses that the rules of app/training/divergence.py and learning.py are held to: tests/training/series.

    python -m benchmarks.loss_series OUT.json.xz [--only NAME ...]

Every run is a real one of the training engine on the drawn pictures of `ablations`, one thread, and nothing stops it:
all rows of that table that learn, batches of one, a handful of photos that are memorised, and learning rates far too
high. Of each step its plain losses are kept, summed and counted by noise band; of each validation the loss of every
photo. An hour on one core.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import lzma
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from app.datasets.manifest import read_manifest, write_manifest
from app.training.learning import Look
from app.training.recipe import Recipe
from benchmarks.ablations import CPU, Row, recipe_of, rows, write_sd15, write_set
from workers.finetune import loop_state
from workers.finetune.learning_watch import LearningWatch
from workers.finetune.loss import BandedLoss
from workers.finetune.ranks import Ranks
from workers.finetune.report import EventLog
from workers.finetune.train import train
from workers.finetune.train_state import Diverged

STEPS = 120
SMALL = {"batch_size": 4, "warmup_steps": 10, "steps": 60}


@dataclass(frozen=True)
class Recorded:
    """One run to record: how its recipe differs, and how many photos it learns from (0: all)."""

    row: Row
    photos: int = 0
    looks_every: int = 20


def every(folder: Path) -> list[Recorded]:
    """All runs: sound ones, such that memorise, and such that explode."""
    sound = [Recorded(Row(r.name, {"steps": STEPS, **r.changes}, base=r.base)) for r in rows(folder) if not r.is_price]
    few = [
        Recorded(Row("batch of 1", {**SMALL, "batch_size": 1, "steps": 300})),
        Recorded(Row("17 photos", {**SMALL, "batch_size": 2, "steps": 400}), photos=17, looks_every=50),
        Recorded(Row("8 photos", {**SMALL, "batch_size": 8, "steps": 300}), photos=8, looks_every=25),
    ]
    hot = [
        Recorded(Row(f"{name} {rate}{' at once' if is_at_once else ''}", {
            **SMALL, "optimiser": name, "muon_lr": rate, "adamw_lr": rate,
            **({"warmup_steps": 0, "clip_norm": 1000.0} if is_at_once else {}),
        }))
        for name in ("muon", "adamw")
        for rate, is_at_once in ((0.01, False), (0.03, False), (0.1, False), (0.5, False), (0.1, True), (1.0, True))
    ]  # fmt: skip
    return [*sound, *few, *hot]


def record(run: Recorded, folder: Path, manifest: Path) -> dict[str, Any]:
    """Train, and what was seen of it: steps as sums and counts by band, looks as a step and a loss for each photo."""
    steps: list[list[list[float]]] = []
    looks: list[list[Any]] = []

    class Recorder(LearningWatch):
        def step(self, step: int, stage: int, errors: torch.Tensor, timesteps: torch.Tensor, ranks: Ranks) -> bool:
            losses = BandedLoss()
            losses.add(errors, timesteps)
            steps.append([[_short(total) for total in losses.sums], [*losses.counts]])
            return False

        def validated(self, look: Look, by_band: list[float | None]) -> None:
            looks.append([look.step, [_short(loss) for _, loss in look.products]])

    loop_state.LearningWatch = Recorder  # type: ignore[misc]
    knobs = recipe_of(run.row, folder, STEPS).model_dump()
    recipe = Recipe.model_validate({**knobs, "validate_every": run.looks_every, "checkpoint_every": 1_000_000})
    out = folder / "runs" / run.row.name
    with contextlib.redirect_stderr(io.StringIO()), EventLog(out) as report, contextlib.suppress(Diverged):
        train(recipe, manifest, out, report, CPU, False, folder / "cache")
    return {"name": run.row.name, "second_from": recipe.second_from, "of": recipe.steps, "steps": steps, "looks": looks}


def manifest_of(folder: Path, photos: int) -> Path:
    """The set's manifest with so many members to learn from (0: all); each photo is a product of its own."""
    members = read_manifest(folder / "set" / "manifest.jsonl")
    learned = [row for row in members if row.split == "train"][: photos or None]
    file = folder / "set" / f"{photos}.jsonl"
    held_out = [row for row in members if row.split == "validation"]
    alone = [type(row)(**{**vars(row), "group": row.file}) for row in [*learned, *held_out]]
    write_manifest(file, alone)
    return file


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", action="append", default=[], help="runs whose name holds this; may be repeated")
    given = parser.parse_args()
    torch.set_num_threads(1)
    recorded = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_set(folder / "set")
        write_sd15(folder / "sd15")
        for run in every(folder):
            if not given.only or any(name in run.row.name for name in given.only):
                print(f"{time.strftime('%H:%M:%S')} {run.row.name}", file=sys.stderr, flush=True)
                recorded.append(record(run, folder, manifest_of(folder, run.photos)))
    given.out.write_bytes(lzma.compress(json.dumps(recorded, separators=(",", ":")).encode()))
    return 0


def _short(value: float) -> float:
    return float(f"{value:.3g}")


if __name__ == "__main__":
    sys.exit(main())
