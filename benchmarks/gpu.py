"""What a GPU makes of our step: PRX 1.2B in latents and in pixels, in full and with LoRA, against a bare PyTorch loop.

    python -m benchmarks.gpu            # needs a CUDA device, about a quarter of an hour
    python -m benchmarks.gpu --tiny     # the same on the CPU with toys: no figures, only that it works

Weights, latents, pictures and texts (256 tokens) are random numbers of the real shapes. Ours is what the training loop
does in a step: keyed noise and timesteps, the pass, clipping, AdamW, the average. The bare loop has the same model in
the same precision, inputs ready on the device, PyTorch's own noise, clipping, AdamW, average, and nothing else. Both
run alone on the card, and wait for each step's loss as every loop that shows it does. A batch that does not fit in the
card's memory is halved until it does, for both. The rate counts the operations of matrix products and attention that
the bare loop's model performs, forward and back (`torch.utils.flop_counter`), against the maker's dense bf16 figure
and against a product of two large matrices measured here.

Photoroom's 24-hour run comes to about 41 pictures/s per H200, with routing, a teacher and perceptual losses on.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import torch
from diffusers import FlowMatchEulerDiscreteScheduler, PRXTransformer2DModel
from torch.utils.flop_counter import FlopCounterMode

from app.training.recipe import Recipe, read_recipe
from app.training.runs import PROJECT
from workers.families import weights
from workers.families.prx import Prx
from workers.families.prx_pixel import PrxPixel
from workers.families.registry import Family, stacked
from workers.finetune.batches import Batch
from workers.finetune.forward import forward_batches
from workers.finetune.train_state import make_train_state

# Dense bf16 of the makers' data sheets, operations a second. The longer name is looked for first.
CARDS = {
    "H100 PCIe": 756e12,
    "H100 NVL": 835e12,
    "H100": 989e12,
    "H200": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "RTX 4090": 165e12,
}
WARM_STEPS = 5


@dataclass(frozen=True)
class Case:
    """One thing to train: `sizes` are the transformer's config, `batch` the pictures to begin with."""

    name: str
    family: str
    method: str
    resolution_px: int
    batch: int
    sizes: dict[str, Any]
    text_tokens: int = 256


@dataclass(frozen=True)
class Measured:
    """Pictures a second and the most memory held, of one loop."""

    pictures_per_s: float
    peak_bytes: int


LATENT = {"in_channels": 16, "patch_size": 2}
PIXEL = {"in_channels": 3, "patch_size": 32, "bottleneck_size": 256}
PRX = {"context_in_dim": 2304, "hidden_size": 1792, "mlp_ratio": 3.5, "num_heads": 28, "depth": 16}
TOY = {"context_in_dim": 16, "hidden_size": 32, "mlp_ratio": 2.0, "num_heads": 2, "depth": 2, "axes_dim": [8, 8]}
CASES = [
    Case(name, family, method, resolution_px, batch, {**PRX, "axes_dim": [32, 32], **space})
    for name, family, resolution_px, batch, space in (
        ("latent 512 px", "prx", 512, 32, LATENT),
        ("pixel 512 px", "prx_pixel", 512, 32, PIXEL),
        ("pixel 1,024 px", "prx_pixel", 1024, 32, PIXEL),
    )
    for method in ("full", "lora")
]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tiny", action="store_true", help="toys on the CPU")
    parser.add_argument("--steps", type=int, default=20, help="timed steps of each loop")
    given = parser.parse_args(arguments)
    if not given.tiny and not torch.cuda.is_available():
        print("There is no CUDA device here, and this benchmark measures one; --tiny only tries it out.")
        return 1
    device = torch.device("cpu" if given.tiny else "cuda")
    if given.tiny:
        torch.set_num_threads(1)
    card = "CPU" if given.tiny else torch.cuda.get_device_name(device)
    limit, product = sheet_rate(card), product_rate(device, 64 if given.tiny else 8192)
    print(f"{card}, torch {torch.__version__}; a product of large bf16 matrices runs at {product / 1e12:,.0f} TFLOP/s")
    print("case             method batch  ours/s  bare/s ours/bare   GiB ours  bare   of sheet  of product")
    for case in [toy(full_case) for full_case in CASES] if given.tiny else CASES:
        row(case, device, given.steps, limit, product)
    return 0


def row(case: Case, device: torch.device, steps: int, limit: float | None, product: float) -> None:
    """Measure a case at the largest batch that both loops have memory for, and print it."""
    batch = case.batch
    while batch:
        sized = replace(case, batch=batch)
        try:
            operations = operations_of_a_step(sized, device)
            bare = measured(bare_step(sized, device), sized, device, steps)
            ours = measured(our_step(sized, device), sized, device, steps)
            break
        except torch.OutOfMemoryError:
            batch //= 2
    else:
        print(f"{case.name:16} {case.method:6} does not fit in the memory of this card with a batch of one")
        return
    rate = operations / batch * ours.pictures_per_s
    share = f"{100 * rate / limit:6.1f} %" if limit else "cannot tell"
    print(
        f"{case.name:16} {case.method:6} {batch:5} {ours.pictures_per_s:7.1f} {bare.pictures_per_s:7.1f}"
        f" {ours.pictures_per_s / bare.pictures_per_s:9.3f} {ours.peak_bytes / 2**30:10.1f}"
        f" {bare.peak_bytes / 2**30:5.1f} {share:>10} {100 * rate / product:9.1f} %",
        flush=True,
    )


def measured(step: Callable[[int], None], case: Case, device: torch.device, steps: int) -> Measured:
    """Time `steps` of a loop after a few that warm it up. The loop's memory is given back when `step` is forgotten."""
    warm = WARM_STEPS if device.type == "cuda" else 1
    for number in range(warm):
        step(number)
    wait(device)
    began = time.perf_counter()
    for number in range(warm, warm + steps):
        step(number)
    wait(device)
    seconds = time.perf_counter() - began
    peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0
    return Measured(case.batch * steps / seconds, peak)


def our_step(case: Case, device: torch.device) -> Callable[[int], None]:
    """One step of the training loop, from a batch as its data thread hands it over to the event it logs."""
    clear(device)
    recipe = recipe_of(case)
    family = family_of(case, device)
    train_state, auxiliary = make_train_state(family, recipe)
    batches = [batch_of(case, number) for number in range(2)]

    def step(number: int) -> None:
        forward_batches(family, [batches[number % 2]], recipe, number, device, auxiliary, train_state.gather)
        train_state.update(number)

    return step


def bare_step(case: Case, device: torch.device) -> Callable[[int], None]:
    """One step as somebody would write it by hand, everything ready on the device."""
    clear(device)
    recipe = recipe_of(case)
    family = family_of(case, device)
    trained = trained_by_hand(family, recipe, device)
    averages = [parameter.detach().clone() for parameter in trained]
    optimiser = torch.optim.AdamW(trained, lr=recipe.adamw_lr, betas=(0.9, 0.95), weight_decay=0.0, fused=True)
    ready = inputs(case, family, device)

    def step(number: int) -> None:
        loss = bare_loss(case, family, *ready)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(trained, recipe.clip_norm)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        with torch.no_grad():
            torch._foreach_lerp_(averages, trained, 1.0 - recipe.ema_decay)
        loss.item()

    return step


def bare_loss(case: Case, family: Family, clean: torch.Tensor, text: dict[str, torch.Tensor]) -> torch.Tensor:
    """Forward pass and loss, straight from the formulas."""
    t = torch.randn(len(clean), device=clean.device).sigmoid()
    along = t[:, None, None, None]
    noise = torch.randn_like(clean) * family.noise_scale
    with torch.autocast(clean.device.type, torch.bfloat16):
        (answer,) = family.model(
            (1 - along) * clean + along * noise, t, text["tokens"], text["mask"], return_dict=False
        )
    if case.family == "prx_pixel":
        return ((answer.float() - clean) / along.clamp(min=0.05)).square().mean()
    return (answer.float() - (noise - clean)).square().mean()


def operations_of_a_step(case: Case, device: torch.device) -> float:
    """Operations of the model's matrix products and attention, forward and back, for one batch."""
    clear(device)
    single = replace(case, batch=1)
    family = family_of(single, device)
    trained_by_hand(family, recipe_of(single), device)
    ready = inputs(single, family, device)
    with FlopCounterMode(display=False) as counter:
        bare_loss(single, family, *ready).backward()  # type: ignore[no-untyped-call]
    return float(counter.get_total_flops()) * case.batch


def trained_by_hand(family: Family, recipe: Recipe, device: torch.device) -> list[torch.nn.Parameter]:
    """The trained weights, held in the precision that ours holds them in."""
    if recipe.method == "lora" and device.type == "cuda":
        family.model.to(torch.bfloat16)
    family.model.train()
    return list(weights.to_train(family, recipe.method, recipe.lora_rank, recipe.seed).values())


def inputs(case: Case, family: Family, device: torch.device) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Clean inputs and texts of one batch on the device."""
    batch = batch_of(case, 0)
    if batch.clean is not None:
        clean = batch.clean.to(device)
    else:
        assert batch.pictures is not None
        clean = family.encode_pictures(batch.pictures.to(device))
    return clean, {name: part.to(device) for name, part in batch.text.items()}


def batch_of(case: Case, number: int) -> Batch:
    """A batch as the data thread hands it over: random latents, or random pictures for a pixel model; on the CPU."""
    generator = torch.Generator().manual_seed(number)
    side = case.resolution_px
    texts = [
        {"tokens": torch.randn(case.text_tokens, case.sizes["context_in_dim"], generator=generator)}
        for _ in range(case.batch)
    ]
    pictures = clean = None
    if case.family == "prx_pixel":
        pictures = torch.randint(0, 256, (case.batch, side, side, 3), dtype=torch.uint8, generator=generator)
    else:
        clean = torch.randn(case.batch, case.sizes["in_channels"], side // 8, side // 8, generator=generator)
    return Batch(pictures, clean, stacked(texts), list(range(case.batch)), (side, side))


def family_of(case: Case, device: torch.device) -> Family:
    """The family around a transformer of random weights, with no encoders."""
    with torch.device(device):
        transformer = PRXTransformer2DModel(**case.sizes)
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    parts = {"transformer": transformer, "scheduler": scheduler, "vae_scale_factor": 8}
    if case.family == "prx_pixel":
        return PrxPixel(SimpleNamespace(**parts, config=SimpleNamespace(noise_scale=2.0)))
    return Prx(SimpleNamespace(**parts))


def recipe_of(case: Case) -> Recipe:
    """PRX's recipe for a large card, plain: nothing checkpointed, routed or compiled."""
    large = read_recipe(PROJECT / "workers/recipes/prx_full_80gb.yaml").model_dump()
    sizes = {"resolution_px": case.resolution_px, "batch_size": case.batch, "micro_batch": 0, "ema_every": 1}
    plain = {"family": case.family, "method": case.method, "checkpointing": "none", "route_share": 0.0}
    return Recipe.model_validate({**large, **sizes, **plain})


def toy(case: Case) -> Case:
    """The case in small."""
    space = {**case.sizes, "bottleneck_size": 16} if case.family == "prx_pixel" else case.sizes
    return replace(case, resolution_px=64, batch=2, sizes={**space, **TOY}, text_tokens=8)


def product_rate(device: torch.device, side: int) -> float:
    """Operations a second of a product of two bf16 matrices of `side` x `side`: what this card reaches at best."""
    left, right = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    for _ in range(5):
        left @ right
    wait(device)
    began = time.perf_counter()
    for _ in range(20):
        left @ right
    wait(device)
    return 20 * 2.0 * side**3 / (time.perf_counter() - began)


def sheet_rate(card: str) -> float | None:
    """The maker's dense bf16 figure of a card, where it is known here."""
    return next((rate for name, rate in CARDS.items() if name in card), None)


def clear(device: torch.device) -> None:
    """Give back what earlier loops held, and begin to count memory anew."""
    if device.type == "cuda":
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def wait(device: torch.device) -> None:
    """Until the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    sys.exit(main())
