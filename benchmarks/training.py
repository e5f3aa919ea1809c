"""What the training loop adds to a step: against a bare PyTorch loop, waiting for data, and telling news.

    python -m benchmarks.training [--steps 40] [--rounds 3]

The nano model (2.4 million weights, 64 px) on drawn pictures, one thread. The bare loop has the same model, optimiser
settings, batches in memory, noise, clipping and averaging, and nothing else; both run in turns in this process. The
data wait is also measured on a latent PRX with its pictures encoded on disk. Limits: at least 0.97 of the bare loop's
steps a second, under 1 % of the time waiting for data, under 0.5 % telling news.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from app.datasets.manifest import read_manifest
from app.demo.base_set import write_base_set
from app.training.recipe import Recipe, read_recipe
from app.training.runs import NANO_RECIPE, PROJECT
from workers.families.registry import load_family, stacked
from workers.finetune.methods.muon import make_muon
from workers.finetune.pictures import read_fitted
from workers.finetune.report import EventLog
from workers.finetune.train import train

CPU = torch.device("cpu")
LEAST_SHARE, MOST_WAIT, MOST_NEWS = 0.97, 0.01, 0.005
_PICTURES = 128


class Stopwatch(EventLog):
    """The run's own event list, which also notes when each step was told and how long telling took."""

    def __init__(self, out: Path) -> None:
        self.told_at: list[tuple[int, float]] = []
        self.telling_s = 0.0
        self.wait_s = 0.0
        super().__init__(out)

    def tell(self, kind: Any, **facts: object) -> None:
        began = time.perf_counter()
        super().tell(kind, **facts)
        if kind == "step":
            self.told_at.append((int(str(facts["step"])), began))
            if len(self.told_at) > 1:
                self.telling_s += time.perf_counter() - began
                self.wait_s += float(str(facts["data_wait_s"]))

    def seconds(self) -> float:
        """From the first step that was told to the last one."""
        return self.told_at[-1][1] - self.told_at[0][1]

    def steps(self) -> int:
        """How many steps lie between those two."""
        return self.told_at[-1][0] - self.told_at[0][0]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_base_set(folder / "set", _PICTURES, 64, 1)
        recipe = nano_recipe(given.steps)
        ours, bare, waits, news = [], [], [], []
        for number in range(given.rounds):
            run = ours_run(recipe, folder / "set", folder / f"run-{number}")
            ours.append(run.steps() / run.seconds())
            waits.append(run.wait_s / run.seconds())
            news.append(run.telling_s / run.seconds())
            bare.append(bare_speed(recipe, folder / "set", given.steps))
        latent = latent_wait(folder, given.steps)
    ratio = statistics.median(o / b for o, b in zip(ours, bare, strict=True))
    wait, told = statistics.median(waits), statistics.median(news)
    print(f"ours {statistics.median(ours):.3f} steps/s, bare loop {statistics.median(bare):.3f} steps/s")
    print(f"ours / bare            {ratio:.3f}   limit {LEAST_SHARE}")
    print(f"data wait, pixels      {100 * wait:.2f} %  limit {100 * MOST_WAIT:.0f} %")
    print(f"data wait, latents     {100 * latent:.2f} %  limit {100 * MOST_WAIT:.0f} %")
    print(f"telling news           {100 * told:.3f} % limit {100 * MOST_NEWS:.1f} %")
    return 0 if ratio >= LEAST_SHARE and max(wait, latent) < MOST_WAIT and told < MOST_NEWS else 1


def nano_recipe(steps: int) -> Recipe:
    """The demo's recipe with one thread, looking up as seldom as a long run does."""
    changes = {"steps": steps, "threads": 1, "base": str(PROJECT / "models/nano"), "report_every": 10}
    seldom = {"checkpoint_every": 10_000, "validate_every": 10_000, "warmup_steps": 1}
    return Recipe.model_validate({**read_recipe(NANO_RECIPE).model_dump(), **changes, **seldom})


def ours_run(recipe: Recipe, members: Path, out: Path) -> Stopwatch:
    """A real run with its real event list, its words kept off the screen."""
    with hushed(), Stopwatch(out) as report:
        train(recipe, members / "manifest.jsonl", out, report, CPU, False, members / "cache")
    return report


def bare_speed(recipe: Recipe, members: Path, steps: int) -> float:
    """Steps a second of the loop that somebody would write by hand, its pictures and texts ready in memory."""
    family = load_family(recipe.family, recipe.base, CPU)
    model = family.model.train().requires_grad_(True)
    rows = [row for row in read_manifest(members / "manifest.jsonl") if row.split == "train"]
    batches = []
    for start in range(0, len(rows) - recipe.batch_size + 1, recipe.batch_size):
        chosen = rows[start : start + recipe.batch_size]
        pictures = torch.stack([torch.from_numpy(read_fitted(members / r.file, (64, 64)).copy()) for r in chosen])
        with torch.no_grad():
            text = stacked(family.encode_texts([row.caption for row in chosen]))
        batches.append((family.encode_pictures(pictures), text["tokens"], text["mask"]))
    matrices = [p for n, p in model.named_parameters() if "blocks." in n and p.ndim == 2]
    rest = [p for n, p in model.named_parameters() if not ("blocks." in n and p.ndim == 2)]
    optimisers = [
        torch.optim.AdamW(rest, lr=recipe.adamw_lr, betas=(0.9, 0.95), weight_decay=0.0, fused=True),
        make_muon(matrices, recipe),
    ]
    averages = [p.detach().clone() for p in model.parameters()]
    weights: list[torch.Tensor] = list(model.parameters())
    began = time.perf_counter()
    for step in range(steps):
        if step == recipe.report_every:
            began = time.perf_counter()
        clean, tokens, mask = batches[step % len(batches)]
        t = torch.randn(recipe.batch_size).sigmoid()
        noise = torch.randn_like(clean)
        noisy = (1 - t[:, None, None, None]) * clean + t[:, None, None, None] * noise
        (prediction,) = model(noisy, t, tokens, mask, return_dict=False)
        loss = ((prediction - clean) / t[:, None, None, None].clamp(min=recipe.velocity_floor)).square().mean()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(weights, recipe.clip_norm)
        for optimiser in optimisers:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        with torch.no_grad():
            torch._foreach_lerp_(averages, weights, 1 - recipe.ema_decay)
        loss.item()
    return (steps - recipe.report_every) / (time.perf_counter() - began)


def latent_wait(folder: Path, steps: int) -> float:
    """The share of a run's time that a latent PRX waits for its encoded pictures and captions."""
    base = latent_base(folder / "latent")
    changes = {"family": "prx", "base": str(base), "batch_size": 16, "optimiser": "adamw"}
    recipe = Recipe.model_validate({**nano_recipe(steps).model_dump(), **changes})
    run = ours_run(recipe, folder / "set", folder / "run-latent")
    return run.wait_s / run.seconds()


def latent_base(folder: Path) -> Path:
    """A latent PRX as large as the nano model, with a small autoencoder of 8x."""
    from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, PRXPipeline, PRXTransformer2DModel

    from workers.families import nano

    tokenizer = nano.build_tokenizer()
    shape = {"hidden_size": 128, "mlp_ratio": 3.5, "num_heads": 4, "depth": 6, "axes_dim": [16, 16]}
    PRXPipeline(
        transformer=PRXTransformer2DModel(in_channels=4, patch_size=1, context_in_dim=nano.TEXT_WIDTH, **shape),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        text_encoder=nano.build_text_encoder(len(tokenizer)),
        tokenizer=tokenizer,
        vae=AutoencoderKL(
            in_channels=3, out_channels=3, latent_channels=4, norm_num_groups=4, block_out_channels=(8, 8, 8, 8),
            down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=1, shift_factor=0.0, scaling_factor=1.0,
        ),
        default_sample_size=64,
    ).save_pretrained(folder, safe_serialization=True)  # fmt: skip
    return folder


@contextmanager
def hushed() -> Iterator[None]:
    """Keep a run's lines off the screen; they are in its event list."""
    before = sys.stderr
    with Path("/dev/null").open("w") as nowhere:
        sys.stderr = nowhere
        try:
            yield
        finally:
            sys.stderr = before


if __name__ == "__main__":
    sys.exit(main())
