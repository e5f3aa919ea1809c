"""Our loop against what diffusers' `train_text_to_image_lora.py` does in each step: SD 1.5 with LoRA, one CPU thread.

    python -m benchmarks.against_diffusers [--steps 30] [--rounds 3] [--batch 4]

The model is SD 1.5 with all its layers, every width an eighth of the real one and heads as wide: 14 million weights.
At 128 px both encoders are 45 % of a step's arithmetic, as they are 41 % of the real one's at 512 px (counted with
torch's FlopCounterMode, the U-Net there and back). Drawn pictures three times as large as what is learned, and the
same adapter, lie on both sides. Each of their steps decodes, resizes and encodes its pictures and captions again; ours
finds them encoded. Theirs is written after the script (its defaults: no workers for data, no mixed precision,
`accelerate`) with no progress bar, tracker or checkpoint. Both run in turns in this process. Limit: 1.3 times its
steps a second.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
import warnings
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from diffusers import (
    AutoencoderKL,
    DDPMScheduler,
    PNDMScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from diffusers.optimization import get_scheduler
from peft import LoraConfig
from PIL import Image
from transformers import CLIPTextConfig, CLIPTextModel

from app.datasets.manifest import ManifestRow, read_manifest
from app.demo.base_set import write_base_set
from app.training.recipe import Recipe, read_recipe
from app.training.runs import PROJECT
from workers.families import nano
from workers.families.sd15 import Sd15, load
from workers.finetune.train import train

CPU = torch.device("cpu")
LEAST_RATIO = 1.3
SIZE_PX, FILE_PX, PICTURES, RANK = 128, 384, 64, 4
WARM_STEPS = 5


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=30, help="timed steps in each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=4)
    given = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_base_set(folder / "set", PICTURES, FILE_PX, 1)
        base = small_sd15(folder / "base")
        recipe = lora_recipe(base, given.steps, given.batch)
        ours, theirs, parts = [], [], defaultdict(list)
        for number in range(given.rounds):
            ours.append(our_speed(recipe, folder / "set" / "manifest.jsonl", folder / f"run-{number}"))
            seconds = their_seconds(recipe, folder / "set")
            theirs.append(given.steps / sum(seconds.values()))
            for part, spent_s in seconds.items():
                parts[part].append(spent_s / sum(seconds.values()))
    ratio = statistics.median(o / t for o, t in zip(ours, theirs, strict=True))
    print(f"ours {statistics.median(ours):.3f} steps/s, diffusers' steps {statistics.median(theirs):.3f} steps/s")
    for part, shares in parts.items():
        print(f"  theirs, {part:<26} {100 * statistics.median(shares):5.1f} %")
    print(f"ours / diffusers'  {ratio:.2f}   limit {LEAST_RATIO}")
    return 0 if ratio >= LEAST_RATIO else 1


def lora_recipe(base: Path, steps: int, batch_size: int) -> Recipe:
    """The script's defaults in our words: AdamW 1e-4, betas 0.9 and 0.999, decay 0.01, clipping to 1, no averages."""
    quick = read_recipe(PROJECT / "workers/recipes/nano_quick.yaml").model_dump()
    changes: dict[str, Any] = {
        "family": "sd15", "base": str(base), "method": "lora", "lora_rank": RANK, "resolution_px": SIZE_PX,
        "batch_size": batch_size, "steps": steps + WARM_STEPS, "adamw_lr": 1e-4, "adamw_beta2": 0.999,
        "weight_decay": 0.01, "ema_decay": 0.0, "caption_dropout": 0.0, "timestep_uniform_share": 1.0, "threads": 1,
        "report_every": 1, "validate_every": 10_000, "checkpoint_every": 10_000, "max_wall_clock_s": 36_000.0,
    }  # fmt: skip
    return Recipe.model_validate({**quick, **changes})


class Stopwatch:
    """A `Report` that notes when each step was told."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self.steps_at: list[float] = []

    def tell(self, kind: Any, **facts: object) -> None:
        if kind == "step":
            self.steps_at.append(time.perf_counter())

    def stop_request(self) -> None:
        return None

    def spent_s(self) -> float:
        return time.monotonic() - self._began


def our_speed(recipe: Recipe, manifest: Path, out: Path) -> float:
    """Steps a second of the real loop, set-up and the first steps left out."""
    out.mkdir()
    report = Stopwatch()
    train(recipe, manifest, out, report, CPU, False, manifest.parent / "cache")
    times = report.steps_at[WARM_STEPS - 1 :]
    return (len(times) - 1) / (times[-1] - times[0])


def their_seconds(recipe: Recipe, members: Path) -> dict[str, float]:
    """Seconds in each part of the script's step, over the recipe's steps without the first ones."""
    family = load(recipe.base, CPU)
    unet, text_encoder = family.pipeline.unet, family.pipeline.text_encoder
    unet.requires_grad_(False)
    targets = list(family.lora_targets)
    unet.add_adapter(
        LoraConfig(r=RANK, lora_alpha=RANK, init_lora_weights="gaussian", target_modules=targets),
        adapter_name="default",
    )
    trained = [parameter for parameter in unet.parameters() if parameter.requires_grad]
    noising = DDPMScheduler.from_config(family.pipeline.scheduler.config)
    optimiser = torch.optim.AdamW(trained, lr=recipe.adamw_lr, betas=(0.9, 0.999), weight_decay=0.01, eps=1e-8)
    lr_scheduler = get_scheduler("constant", optimizer=optimiser, num_warmup_steps=0, num_training_steps=recipe.steps)
    rows = [row for row in read_manifest(members / "manifest.jsonl") if row.split == "train"]
    loader = torch.utils.data.DataLoader(
        _Decoded(rows, members, family), batch_size=recipe.batch_size, shuffle=True, drop_last=True
    )
    accelerator = Accelerator(cpu=True)
    unet, optimiser, loader, lr_scheduler = accelerator.prepare(unet, optimiser, loader, lr_scheduler)
    unet.train()
    clock = _Parts()
    batches = _endless(loader)
    for step in range(recipe.steps):
        if step == WARM_STEPS:
            clock.start()
        with clock.part("decode and tokenise"):
            pixels, ids = next(batches)
        with accelerator.accumulate(unet):
            with clock.part("encode pictures"):
                latents = family.pipeline.vae.encode(pixels).latent_dist.sample()
                latents = latents * family.pipeline.vae.config.scaling_factor
            with clock.part("encode captions"):
                states = text_encoder(ids, return_dict=False)[0]
            with clock.part("U-Net, there and back"):
                noise = torch.randn_like(latents)
                levels = torch.randint(0, noising.config.num_train_timesteps, (len(latents),))
                answer = unet(noising.add_noise(latents, noise, levels), levels, states, return_dict=False)[0]
                loss = torch.nn.functional.mse_loss(answer.float(), noise.float())
                accelerator.gather(loss.repeat(recipe.batch_size)).mean().item()
                accelerator.backward(loss)
            with clock.part("clip and update"):
                accelerator.clip_grad_norm_(trained, 1.0)
                optimiser.step()
                lr_scheduler.step()
                optimiser.zero_grad()
    return clock.seconds


class _Decoded(torch.utils.data.Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Members decoded, resized, turned to tensors and tokenised each time they are asked for."""

    def __init__(self, rows: list[ManifestRow], folder: Path, family: Sd15) -> None:
        self._rows, self._folder, self._tokenizer = rows, folder, family.pipeline.tokenizer

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        row = self._rows[index]
        with Image.open(self._folder / row.file) as opened:
            picture = opened.convert("RGB").resize((SIZE_PX, SIZE_PX), Image.Resampling.BILINEAR)
        pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous().float().div(255.0)
        ids = self._tokenizer(row.caption, padding="max_length", truncation=True, return_tensors="pt").input_ids[0]
        return pixels.sub(0.5).div(0.5), ids


class _Parts:
    """Seconds by part of a step, from `start` on."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def start(self) -> None:
        self.seconds = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began


def _endless(loader: Any) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    while True:
        yield from loader


def small_sd15(folder: Path) -> Path:
    """SD 1.5's own shape (its config files), every width an eighth, weights random."""
    torch.manual_seed(0)
    tokenizer = nano.build_tokenizer()
    tokenizer.model_max_length = 77
    StableDiffusionPipeline(
        vae=AutoencoderKL(
            block_out_channels=(16, 32, 64, 64), layers_per_block=2, latent_channels=4, norm_num_groups=4,
            down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
            sample_size=SIZE_PX, scaling_factor=0.18215,
        ),
        text_encoder=CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(tokenizer), hidden_size=96, intermediate_size=384, num_hidden_layers=12,
                num_attention_heads=2, max_position_embeddings=77, hidden_act="quick_gelu",
                bos_token_id=0, eos_token_id=1, pad_token_id=0,
            )
        ).eval(),
        tokenizer=tokenizer,
        unet=UNet2DConditionModel(
            sample_size=SIZE_PX // 8, block_out_channels=(40, 80, 160, 160), layers_per_block=2,
            attention_head_dim=1, cross_attention_dim=96, norm_num_groups=8,
        ),
        scheduler=PNDMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True, steps_offset=1
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder, safe_serialization=True)  # fmt: skip
    return folder


if __name__ == "__main__":
    sys.exit(main())
