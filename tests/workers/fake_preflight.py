"""Stands in for the engine's preflight: `preflight RECIPE MANIFEST OUT`, facts that follow from the recipe, no model.

`--holds N`: more pictures at once than N are out of memory, unless all blocks are computed twice (then 4 N are not).
`--step S`: seconds a step is said to take; compiled, where the recipe asks for it, half of that after 10 s at one size.
`--refuse`, `--crash`, `--mute`: a sentence and exit code 3; a traceback; silence for ever. `--wait`: until OUT/go is
there or a stop is asked for. `--late`: its time limit ends it. `--takes S`: so many seconds before its first step.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import yaml

CHECKED = {
    "device": "CPU", "load_s": 1.0, "undecodable": [], "captions_empty": 0,
    "tokens": {"limit": 48, "longest": 20, "over": 0, "examples": []}, "buckets": [[64, 64, 6]],
    "weights": [{"part": "transformer", "sha256": "ab" * 32, "size_bytes": 9_500_000}],
}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--holds", type=int, default=10_000)
    parser.add_argument("--step", type=float, default=0.1)
    parser.add_argument("--takes", type=float, default=0.0)
    for name in ("--refuse", "--crash", "--mute", "--wait", "--late"):
        parser.add_argument(name, action="store_true")
    parser.add_argument("command", choices=["preflight"])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--leave-free", type=int)
    given = parser.parse_args()
    recipe = yaml.safe_load(given.recipe.read_text())
    seq = 0

    def tell(kind: str, **facts: object) -> None:
        nonlocal seq
        seq += 1
        event = {"seq": seq, "at": datetime.now(UTC).isoformat(), "kind": kind, **facts}
        with (given.out / "events.jsonl").open("a") as file:
            file.write(json.dumps(event) + "\n")

    tell("attempt", resumed=False, pid=0, spent_s=0.0)
    tell("phase", phase="load", done=0, total=None)
    if given.refuse:
        print("The base model folder x is missing.", file=sys.stderr)
        return 3
    if given.crash:
        raise RuntimeError("the fake preflight broke")
    while given.mute:
        time.sleep(0.05)
    while given.wait and not (given.out / "go").exists() and not (given.out / "stop").exists():
        time.sleep(0.02)
    (given.out / "preflight.json").write_text(json.dumps(CHECKED))
    time.sleep(given.takes)
    tell("phase", phase="train", done=3, total=8)
    if given.late:
        tell("finished", reason="out_of_time", step=0, kept=False, elapsed_s=1.0)
        return 0
    at_once = (recipe["micro_batch"] or recipe["batch_size"]) * (recipe["resolution_px"] / 64) ** 2
    if at_once > given.holds * (4 if recipe["checkpointing"] == "full" else 1):
        tell("failed", sentence="The device's memory is too small for this recipe.", cause="out_of_memory")
        return 4
    step = given.step
    times = {
        "texts": 12, "text_s": 0.01, "pictures": 12, "picture_s": 0.01, "warm_s": [step] * 3, "step_s": [step] * 5,
        "bucket_area_ratio": 1.0, "validation_s": 0.5, "sample_s": 0.1, "peak_bytes": 600_000_000,
        "memory_total_bytes": None, "save_s": 0.2, "checkpoint_bytes": 40_000_000, "weights_bytes": 10_000_000,
        "export_s": 0.3, "export_bytes": 20_000_000,
    }  # fmt: skip
    if recipe["compile"]:
        times["compiled"] = {
            "sizes": [[64, 64, 10.0]], "warm_s": [step / 2] * 3, "step_s": [step / 2] * 5, "peak_bytes": 700_000_000,
        }  # fmt: skip
    (given.out / "preflight.json").write_text(json.dumps(CHECKED | times))
    tell("finished", reason="completed", step=0, kept=False, elapsed_s=1.0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
