"""What the training loop adds to a step: against a bare PyTorch loop, waiting for data, and logging events.

    python -m benchmarks.training [--steps 200]

The nano model (2.4 million weights, 64 px) on drawn pictures, one thread. The bare loop has the same model, optimiser
settings, batches in memory, noise, clipping and averaging, and nothing else. Both take turns of five steps in this
process, and each turn is held to the one right after it: machines that share their processor with strangers were seen
to change their speed by a tenth within ten seconds, which is more than what is looked for. The data wait is also
measured on a latent PRX with its pictures encoded on disk. Limits: at least 0.97 of the bare loop's steps a second
(the median turn), under 1 % of the time waiting for data, under 0.5 % logging events.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
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
LEAST_SHARE, MOST_WAIT, MOST_LOGGING = 0.97, 0.01, 0.005
_PICTURES = 128
_TURN = 5


class Stopwatch(EventLog):
    """The run's own event list, which also notes how long each turn of steps took, and what of it was telling.

    Between two turns it does what `meanwhile` does, outside of any turn.
    """

    def __init__(self, out: Path, meanwhile: Callable[[], None] = lambda: None) -> None:
        self.turns_s: list[float] = []
        self.telling_s = 0.0
        self.wait_s = 0.0
        self._meanwhile = meanwhile
        self._went_on_at: float | None = None
        super().__init__(out)

    def tell(self, kind: Any, **facts: object) -> None:
        began = time.perf_counter()
        super().tell(kind, **facts)
        if kind != "step":
            return
        now = time.perf_counter()
        # The first turn warms up.
        if self._went_on_at is not None:
            self.turns_s.append(now - self._went_on_at)
            self.telling_s += now - began
            self.wait_s += float(str(facts["data_wait_s"]))
        self._meanwhile()
        self._went_on_at = time.perf_counter()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=200)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_base_set(folder / "set", _PICTURES, 64, 1)
        recipe = nano_recipe(given.steps)
        bare = BareLoop(recipe, folder / "set")
        ours = timed_run(recipe, folder / "set", folder / "run", bare.take_turn)
        latent = latent_run(folder, given.steps // 4)
    # The bare loop's turn before a turn of ours and the one after it: what drifts slowly cancels out.
    ratios = [(b + c) / 2 / o for b, o, c in zip(bare.turns_s, ours.turns_s, bare.turns_s[1:], strict=False)]
    low, ratio, high = statistics.quantiles(ratios, n=4)
    wait, logging_share = ours.wait_s / sum(ours.turns_s), ours.telling_s / sum(ours.turns_s)
    latent_wait = latent.wait_s / sum(latent.turns_s)
    speeds = [_TURN / statistics.median(turns) for turns in (ours.turns_s, bare.turns_s)]
    print("ours {:.3f} steps/s, bare loop {:.3f} steps/s".format(*speeds))
    print(f"ours / bare            {ratio:.3f}   limit {LEAST_SHARE}")
    print(f"  half of its {len(ratios)} turns lie between {low:.3f} and {high:.3f}")
    print(f"data wait, pixels      {100 * wait:.2f} %  limit {100 * MOST_WAIT:.0f} %")
    print(f"data wait, latents     {100 * latent_wait:.2f} %  limit {100 * MOST_WAIT:.0f} %")
    print(f"logging events         {100 * logging_share:.3f} % limit {100 * MOST_LOGGING:.1f} %")
    return 0 if ratio >= LEAST_SHARE and max(wait, latent_wait) < MOST_WAIT and logging_share < MOST_LOGGING else 1


def nano_recipe(steps: int) -> Recipe:
    """The demo's recipe with one thread, looking up as seldom as a long run does."""
    changes = {"steps": steps, "threads": 1, "base": str(PROJECT / "models/nano"), "report_every": _TURN}
    intervals = {"checkpoint_every": 10_000, "validate_every": 10_000, "warmup_steps": 1}
    return Recipe.model_validate({**read_recipe(NANO_RECIPE).model_dump(), **changes, **intervals})


def timed_run(recipe: Recipe, members: Path, out: Path, meanwhile: Callable[[], None] = lambda: None) -> Stopwatch:
    """A real run with its real event list, its words kept off the screen."""
    with hushed(), Stopwatch(out, meanwhile) as report:
        train(recipe, members / "manifest.jsonl", out, report, CPU, False, members / "cache")
    return report


class BareLoop:
    """The loop that somebody would write by hand, its pictures and texts ready in memory."""

    def __init__(self, recipe: Recipe, members: Path) -> None:
        self.turns_s: list[float] = []
        self._recipe, self._step = recipe, 0
        family = load_family(recipe.family, recipe.base, CPU)
        self._model = family.model.train().requires_grad_(True)
        rows = [row for row in read_manifest(members / "manifest.jsonl") if row.split == "train"]
        self._batches = []
        for start in range(0, len(rows) - recipe.batch_size + 1, recipe.batch_size):
            chosen = rows[start : start + recipe.batch_size]
            pictures = torch.stack([torch.from_numpy(read_fitted(members / r.file, (64, 64)).copy()) for r in chosen])
            with torch.no_grad():
                text = stacked(family.encode_texts([row.caption for row in chosen]))
            self._batches.append((family.encode_pictures(pictures), text["tokens"], text["mask"]))
        matrices = [p for n, p in self._model.named_parameters() if "blocks." in n and p.ndim == 2]
        rest = [p for n, p in self._model.named_parameters() if not ("blocks." in n and p.ndim == 2)]
        self._optimisers = [
            torch.optim.AdamW(rest, lr=recipe.adamw_lr, betas=(0.9, 0.95), weight_decay=0.0, fused=True),
            make_muon(matrices, recipe),
        ]
        self._averages = [p.detach().clone() for p in self._model.parameters()]
        self._weights: list[torch.Tensor] = list(self._model.parameters())

    def take_turn(self) -> None:
        """Five steps, timed."""
        began = time.perf_counter()
        for _ in range(_TURN):
            self.take_step()
        self.turns_s.append(time.perf_counter() - began)

    def take_step(self) -> None:
        """One step on the next batch."""
        recipe = self._recipe
        clean, tokens, mask = self._batches[self._step % len(self._batches)]
        self._step += 1
        t = torch.randn(recipe.batch_size).sigmoid()
        noise = torch.randn_like(clean)
        noisy = (1 - t[:, None, None, None]) * clean + t[:, None, None, None] * noise
        (prediction,) = self._model(noisy, t, tokens, mask, return_dict=False)
        loss = ((prediction - clean) / t[:, None, None, None].clamp(min=recipe.velocity_floor)).square().mean()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._weights, recipe.clip_norm)
        for optimiser in self._optimisers:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        with torch.no_grad():
            torch._foreach_lerp_(self._averages, self._weights, 1 - recipe.ema_decay)
        loss.item()


def latent_run(folder: Path, steps: int) -> Stopwatch:
    """A run of a latent PRX whose pictures and captions lie encoded."""
    base = latent_base(folder / "latent")
    changes = {"family": "prx", "base": str(base), "batch_size": 16, "optimiser": "adamw"}
    recipe = Recipe.model_validate({**nano_recipe(steps).model_dump(), **changes})
    return timed_run(recipe, folder / "set", folder / "run-latent")


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
