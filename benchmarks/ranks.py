"""What a second process costs and gives: the same steps in one process and in two, on the CPU over gloo, in turns.

    python -m benchmarks.ranks [steps] [rounds]

Each process gets one thread. On a machine whose two cores have other work the ratio says little; the overhead of a step
is what two processes take beyond the half of the pictures that each computes.
"""

from __future__ import annotations

import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from app.datasets.manifest import ManifestRow, write_manifest
from app.training.recipe import Recipe, read_recipe, write_recipe

PROJECT = Path(__file__).resolve().parent.parent
MEMBERS = 16
WAYS = {"one process": (1, "none"), "two, DDP": (2, "none"), "two, FSDP": (2, "full")}


def members(folder: Path) -> Path:
    """A manifest of plain pictures."""
    rows = []
    for number in range(MEMBERS):
        file = folder / f"{number}.png"
        Image.new("RGB", (64, 64), (16 * number, 128, 255 - 16 * number)).save(file)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        rows.append(ManifestRow(file.name, f"box {number}", "train", str(number), digest, 64, 64))
    write_manifest(folder / "manifest.jsonl", rows)
    return folder / "manifest.jsonl"


def recipe(steps: int, processes: int, sharding: str) -> Recipe:
    """The nano base in full, 16 pictures a step in two micro-batches, one thread for each process."""
    quick = read_recipe(PROJECT / "workers" / "recipes" / "nano_quick.yaml").model_dump()
    knobs = {"steps": steps, "batch_size": 16, "micro_batch": 8, "checkpoint_every": steps, "validate_every": steps}
    base = {"base": str(PROJECT / "models" / "nano"), "threads": processes, "report_every": 1}
    return Recipe.model_validate({**quick, **knobs, **base, "processes": processes, "sharding": sharding})


def step_s(folder: Path, manifest: Path, knobs: Recipe) -> float:
    """The median seconds of a step of a run, its first three steps left out."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        write_recipe(Path(place) / "recipe.yaml", knobs)
        command = [sys.executable, "-m", "workers.finetune", str(Path(place) / "recipe.yaml"), str(manifest), place]
        quiet = {**os.environ, "OMP_NUM_THREADS": "1"}
        subprocess.run(command, cwd=PROJECT, env=quiet, check=True, stderr=subprocess.DEVNULL)
        events = [json.loads(line) for line in (Path(place) / "events.jsonl").read_text().splitlines()]
    return float(statistics.median([event["step_s"] for event in events if event["kind"] == "step"][3:]))


def main() -> int:
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 24
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    times: dict[str, list[float]] = {name: [] for name in WAYS}
    with tempfile.TemporaryDirectory() as place:
        manifest = members(Path(place))
        for _ in range(rounds):
            for name, (processes, sharding) in WAYS.items():
                times[name].append(step_s(Path(place), manifest, recipe(steps, processes, sharding)))
    alone = statistics.median(times["one process"])
    for name, values in times.items():
        median = statistics.median(values)
        beyond = median - alone / WAYS[name][0]
        print(
            f"{name:<12} {median * 1e3:7.1f} ms a step  {16 / median:6.1f} images/s  "
            f"{alone / median:5.2f} x one process  {beyond * 1e3:6.1f} ms beyond its part"
        )
    print(f"{os.cpu_count()} cores; two processes on them can at best be 2.00 x one. More than one GPU: not measured.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
