"""How right an estimate is: runs of many sizes, each estimated after its preflight and then measured to its end.

    python -m benchmarks.estimates [--runs 20]

The runs are real ones of the nano base on drawn pictures, in processes of their own: 15 to 90 steps, batches of 4 to
32, two resolutions, few and many checkpoints. The promise: a median error under 15 %. No earlier run is told to the
estimate, so what is judged is the preflight alone. Anything else that works on this machine falsifies the figure.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from app.demo import base_set
from app.launch.estimate import estimate
from app.settings import PROJECT
from app.training import runs
from app.training.recipe import Recipe, write_recipe
from workers.trainer.preflight_job import facts_of

TARGET = 0.15
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


def varied(count: int) -> list[Recipe]:
    """Recipes that differ in all that costs time; the same for the same count."""
    chance = random.Random(20)
    recipes = []
    for _ in range(count):
        steps = chance.choice((15, 30, 60, 90))
        known = runs.plan("models/nano", steps, threads=1)
        every = max(1, steps // chance.choice((1, 2, 4, 8)))
        recipes.append(
            known.model_copy(
                update={
                    "batch_size": chance.choice((4, 8, 16, 32)),
                    "resolution_px": chance.choice((32, 64)),
                    "checkpoint_every": every,
                    "validate_every": every,
                }
            )
        )
    return recipes


def engine(*words: object) -> tuple[float, float]:
    """Run the engine's command line to its end: when it began and ended, in seconds since 1970."""
    began = time.time()
    command = [sys.executable, "-m", "workers.finetune", *map(str, words)]
    done = subprocess.run(command, cwd=PROJECT, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return began, time.time()


def one(recipe: Recipe, manifest: Path, folder: Path) -> tuple[float, float]:
    """Seconds estimated and seconds taken."""
    folder.mkdir()
    write_recipe(folder / "recipe.yaml", recipe)
    measuring, training = folder / "preflight", folder / "run"
    began, ended = engine("preflight", folder / "recipe.yaml", manifest, measuring)
    events = [json.loads(line) for line in (measuring / "events.jsonl").read_text().splitlines()]
    estimated = estimate(facts_of(measuring, events, began, ended), recipe)
    began, ended = engine(folder / "recipe.yaml", manifest, training)
    return estimated.seconds, ended - began


def main() -> int:
    parser = argparse.ArgumentParser(description="Estimated against measured.")
    parser.add_argument("--runs", type=int, default=20)
    given = parser.parse_args()
    errors = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        base_set.write_base_set(folder / "set", 120, 64, seed=1)
        for number, recipe in enumerate(varied(given.runs), start=1):
            estimated, took = one(recipe, folder / "set" / "manifest.jsonl", folder / str(number))
            errors.append(abs(estimated / took - 1))
            print(
                f"{number:>3}  {recipe.steps:>3} steps of {recipe.batch_size:>2} at {recipe.resolution_px} px, "
                f"saved every {recipe.checkpoint_every:>2}: estimated {estimated:6.1f} s, took {took:6.1f} s, "
                f"{(estimated / took - 1) * 100:+5.1f} %",
                flush=True,
            )
    median, worst = statistics.median(errors), max(errors)
    print(f"median error {median * 100:.1f} % over {len(errors)} runs, worst {worst * 100:.1f} %; target {TARGET:.0%}")
    return 0 if median < TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
