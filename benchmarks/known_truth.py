"""Does a fine-tune draw what was asked? Share of held-out prompts drawn right, judged against a known truth.

    python -m benchmarks.known_truth [--run OUT] [--pictures SHEET.png]
    python benchmarks/known_truth.py --base models/nano --checkpoint OUT/checkpoints/step-000600

The prompts ask for kinds of products that only the demo catalogue shows, in combinations of kind, colour and
background that it never shows. Every pipeline draws the same prompts with the same seeds; `app.demo.judge` says what
it sees. The first row judges drawings of the prompts themselves, the best any model can reach. Intervals are 95 %
(Wilson 1927). Targets for the last row: background 90 %, colour 80 %, kind 70 %.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from math import sqrt
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from app.demo.catalogue import held_out_prompts
from app.demo.drawing import KINDS, draw
from app.demo.judge import Judgement, judge
from app.demo.run import main as demo
from app.demo.worlds import BASE_WITHHELD, HeldOutPrompt, make_scene, prompts_for
from app.settings import Settings
from workers.devices.model_cache import ModelCache
from workers.finetune.checkpoint import is_complete
from workers.sampling.sampler import Source
from workers.sampling.sampler import draw as draw_samples

SIZE_PX = 64
STEPS = 25
GUIDANCE = 3.0
FAMILY = "prx_pixel"
ASPECTS = ("background", "colour", "kind")
TARGETS = (0.90, 0.80, 0.70)

DEMO_DATA = Path("packshot-demo")

Pictures = list[NDArray[np.uint8]]


def wilson(right: int, n: int) -> tuple[float, float]:
    """95 % interval of a share by Wilson's score method (Wilson 1927, JASA 22, 209-212); (0, 1) when n is 0."""
    if n == 0:
        return 0.0, 1.0
    z = 1.959964
    share, spread = right / n, z * z / n
    middle = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * sqrt(share * (1 - share) / n + spread / (4 * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def drawings(prompts: Sequence[HeldOutPrompt], seeds: int) -> Pictures:
    """The world's own pictures of the prompts, drawn afresh: one for every prompt and seed."""
    rng = np.random.default_rng(1)
    pictures = []
    for prompt in prompts:
        for _ in range(seeds):
            scene = make_scene(prompt.kind, prompt.colour, prompt.background, rng)
            pictures.append(draw(replace(scene, view=KINDS[prompt.kind].views[0]), SIZE_PX))
    return pictures


def samples(
    models: ModelCache, base: str, checkpoint: Path | None, prompts: Sequence[HeldOutPrompt], seeds: int
) -> Pictures:
    """A pipeline's pictures, in the order of `drawings`."""
    source = Source(FAMILY, base, checkpoint)
    texts = [prompt.text for prompt in prompts]
    wanted = [(text, seed) for text in texts for seed in range(seeds)]
    drawn = draw_samples(models, source, wanted, SIZE_PX, STEPS, GUIDANCE)
    return [np.asarray(sample.picture) for sample in drawn]


def report(name: str, pictures: Pictures, prompts: Sequence[HeldOutPrompt], seeds: int) -> list[Judgement]:
    """Prints one row of shares with their intervals."""
    asked = [prompt for prompt in prompts for _ in range(seeds)]
    verdicts = [judge(picture) for picture in pictures]
    right = np.array(
        [
            verdict.right(prompt.kind, prompt.colour, prompt.background)
            for verdict, prompt in zip(verdicts, asked, strict=True)
        ]
    )
    cells = []
    for count in (*right.sum(axis=0), right.all(axis=1).sum()):
        low, high = wilson(int(count), len(asked))
        cells.append(f"{count / len(asked):5.0%} ({low:.0%}-{high:.0%})".ljust(17))
    print(f"{name:<26}{len(asked):>4}  {' '.join(cells)}")
    return verdicts


def report_kinds(verdicts: Sequence[Judgement], prompts: Sequence[HeldOutPrompt], seeds: int) -> None:
    """Prints, kind by kind, how many were right and what the others were taken for."""
    asked = [prompt.kind for prompt in prompts for _ in range(seeds)]
    for kind in sorted(set(asked)):
        seen = [verdict.kind for verdict, wanted in zip(verdicts, asked, strict=True) if wanted == kind]
        others = ", ".join(f"{other} {seen.count(other)}" for other in sorted(set(seen) - {kind}))
        print(f"  {kind:<10}{seen.count(kind):>3} of {len(seen)}{'; ' + others if others else ''}")


def demo_run() -> Path:
    """The newest finished run in the demo's data folder; without one, the demo is run first."""
    runs = DEMO_DATA / "runs"
    if not any(runs.glob("*/model")):
        print("No demo run yet: running the demo first.", flush=True)
        demo(Settings(data_dir=DEMO_DATA, port=0), photos=None, stays=False)
    return max(runs.glob("*/model"), key=lambda model: model.stat().st_mtime).parent


def save_sheet(path: Path, rows: Sequence[Pictures], columns: int = 24) -> None:
    """One band per pipeline with its first pictures."""
    bands = [np.concatenate(pictures[:: max(1, len(pictures) // columns)][:columns], axis=1) for pictures in rows]
    Pillow.fromarray(np.concatenate(bands)).save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="models/nano", help="pipeline folder of the base model")
    parser.add_argument("--run", type=Path, help="folder of a training run (default: the demo's; it is run if need be)")
    parser.add_argument("--checkpoint", type=Path, action="append", default=[], help="one more checkpoint folder")
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--base-kinds", action="store_true", help="ask for the base model's own kinds instead")
    parser.add_argument("--pictures", type=Path, help="also write a contact sheet here")
    given = parser.parse_args()
    prompts = prompts_for(BASE_WITHHELD, given.prompts) if given.base_kinds else held_out_prompts(given.prompts)
    run = given.run or (None if given.checkpoint or given.base_kinds else demo_run())
    folders = sorted((run / "checkpoints").glob("step-*")) if run else []
    checkpoints = [folder for folder in [*folders, *given.checkpoint] if is_complete(folder)]

    print(f"{given.prompts} held-out prompts x {given.seeds} seeds, {STEPS} steps, guidance {GUIDANCE}")
    print(f"{'':<26}{'n':>4}  {' '.join(name.ljust(17) for name in (*ASPECTS, 'all three'))}")
    bands = [drawings(prompts, given.seeds)]
    verdicts = report("drawings (ceiling)", bands[0], prompts, given.seeds)
    models = ModelCache(threads=given.threads)
    for name, checkpoint in [("base", None), *((folder.name, folder) for folder in checkpoints)]:
        bands.append(samples(models, given.base, checkpoint, prompts, given.seeds))
        verdicts = report(name, bands[-1], prompts, given.seeds)
    print(f"{'target':<26}{'':>4}  {' '.join(f'{target:5.0%}'.ljust(17) for target in TARGETS)}")
    print("kinds in the last row:")
    report_kinds(verdicts, prompts, given.seeds)
    if given.pictures:
        save_sheet(given.pictures, bands)


if __name__ == "__main__":
    main()
