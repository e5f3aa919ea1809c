"""A sheet drawn in batches against one call of diffusers' pipeline for each of its pictures.

    python -m benchmarks.sheet_drawing [--pictures 48] [--rounds 3]

Both draw the same prompts and seeds with the base that ships, at 64 px in 20 steps with guidance 3, on one CPU thread,
in turns in this process. Theirs is `pipeline(prompt, generator=...)` for each picture, as the model's card has it, with
no progress bar; ours what a sheet's job draws with. What half of the pictures already there leaves missing is drawn
too: one seed of each prompt, in turn the first and the second. Times are of the processor, so that other work on the
machine does not count. Limit: 1.5 times as many pictures. Where there is a CUDA device, both draw with a PRX of
1.2 billion random weights on it too, by the clock, and the ratio is printed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from diffusers import DiffusionPipeline

from app.demo.worlds import BASE_WITHHELD, prompts_for
from app.settings import PROJECT
from workers.devices.model_cache import ModelCache
from workers.families import prx_pixel_untrained
from workers.sampling.sampler import Source, draw

NANO = PROJECT / "models" / "nano"
LEAST_RATIO = 1.5
SEEDS = (11, 23)

Wanted = Sequence[tuple[str, int]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pictures", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    texts = [prompt.text for prompt in prompts_for(BASE_WITHHELD, given.pictures // len(SEEDS))]
    every = [(text, seed) for text in texts for seed in SEEDS]
    gaps = [(text, SEEDS[number % len(SEEDS)]) for number, text in enumerate(texts)]
    print(f"{'':34}{'pipeline':>10}{'sheet':>10}{'ratio':>8}{'limit':>8}   pictures a second")
    ratios = [
        row("nano, a whole sheet", every, Sides(str(NANO), torch.device("cpu"), 64, 20), given.rounds, LEAST_RATIO),
        row("nano, half of it missing", gaps, Sides(str(NANO), torch.device("cpu"), 64, 20), given.rounds, LEAST_RATIO),
    ]
    if torch.cuda.is_available():
        with tempfile.TemporaryDirectory() as folder:
            base = Path(folder) / "base"
            prx_pixel_untrained.build(base, str(NANO), 7, prx_pixel_untrained.SIZES)
            sides = Sides(str(base), torch.device("cuda"), 512, 20)
            row(f"PRX 1.2B, {torch.cuda.get_device_name()}", every[:16], sides, given.rounds, None)
    else:
        print("PRX 1.2B: no accelerator here")
    return 0 if min(ratios) >= LEAST_RATIO else 1


class Sides:
    """The two who draw: a base loaded twice on one device, the size of pictures and the steps for each."""

    def __init__(self, base: str, device: torch.device, size_px: int, steps: int) -> None:
        self._source, self._size_px, self._steps = Source("prx_pixel", base), size_px, steps
        self._models = ModelCache(threads=1)
        self.device = device
        dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
        self._pipeline = DiffusionPipeline.from_pretrained(base, torch_dtype=dtype).to(device)
        self._pipeline.set_progress_bar_config(disable=True)

    def theirs(self, wanted: Wanted) -> None:
        """One call for each picture."""
        for text, seed in wanted:
            self._pipeline(
                text,
                negative_prompt="",
                generator=torch.Generator(self.device).manual_seed(seed),
                height=self._size_px,
                width=self._size_px,
                num_inference_steps=self._steps,
                guidance_scale=3.0,
                use_resolution_binning=False,
            )

    def ours(self, wanted: Wanted) -> None:
        """As the job of a sheet draws."""
        for _ in draw(self._models, self._source, wanted, self._size_px, self._steps, 3.0):
            pass


def row(name: str, wanted: Wanted, sides: Sides, rounds: int, limit: float | None) -> float:
    """Print a line; how many times as fast the sheet is drawn, in the median round."""
    for side in (sides.theirs, sides.ours):
        side(wanted[:2])  # loaded and warm
    pairs = [
        (seconds(sides.theirs, wanted, sides.device), seconds(sides.ours, wanted, sides.device)) for _ in range(rounds)
    ]
    theirs, ours = (len(wanted) / statistics.median(times) for times in zip(*pairs, strict=True))
    ratio = statistics.median(slow / quick for slow, quick in pairs)
    shown = "" if limit is None else f"{limit:8.1f}{'' if ratio >= limit else '  missed'}"
    print(f"{name:34}{theirs:10.2f}{ours:10.2f}{ratio:8.2f}{shown}", flush=True)
    return ratio


def seconds(side: Callable[[Wanted], None], wanted: Wanted, device: torch.device) -> float:
    """Seconds that drawing takes: the processor's, or by the clock where another device works."""
    tell = time.process_time if device.type == "cpu" else time.perf_counter
    began = tell()
    side(wanted)
    if device.type == "cuda":
        torch.cuda.synchronize()
    return tell() - began


if __name__ == "__main__":
    sys.exit(main())
