"""Forward passes: a micro-batch's errors while training, and the validation's under noise that never changes."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from app.training.recipe import Recipe
from workers.families.registry import Family, Text
from workers.finetune.batches import Batch, Members
from workers.finetune.loss import BAND_COUNT, draw_timesteps, keyed_generator, keyed_noise


def training_errors(
    family: Family, batch: Batch, recipe: Recipe, step: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Each picture's error float32 [B] in step `step` (0-based), with its gradient, and its timestep float32 [B].

    Noise and timestep hang on the seed, the step and the picture's place in the step's whole batch.
    """
    stage = recipe.stage(step)
    clean = clean_input(family, batch, device)
    noise = keyed_noise(clean.shape[1:], device, batch.places, recipe.seed, "noise", step) * family.noise_scale
    shift = recipe.timestep_shift or family.shift(batch.size[1], batch.size[0])
    generator = keyed_generator(torch.device("cpu"), recipe.seed, "timesteps", step)
    timesteps = draw_timesteps(stage.batch_size, recipe, generator, shift)[batch.places].to(device)
    return _errors(family, clean, noise, timesteps, _moved(batch.text, device), recipe), timesteps


@torch.no_grad()
def validation_errors(family: Family, members: Members, recipe: Recipe) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Errors and timesteps of all members in the middle of each band, each member with one noise of its own."""
    device = next(family.model.parameters()).device
    at_once = recipe.stage(0).micro_batch
    for bucket in members.buckets:
        for start in range(0, len(bucket), at_once):
            indices = bucket[start : start + at_once]
            batch = members.batch(indices, indices)
            clean = clean_input(family, batch, device)
            noise = keyed_noise(clean.shape[1:], device, indices, recipe.seed, "validation") * family.noise_scale
            text = _moved(batch.text, device)
            for band in range(BAND_COUNT):
                timesteps = torch.full((len(indices),), (band + 0.5) / BAND_COUNT, device=device)
                yield _errors(family, clean, noise, timesteps, text, recipe), timesteps


def clean_input(family: Family, batch: Batch, device: torch.device) -> torch.Tensor:
    """The batch's clean inputs float32 [B, C, h, w] on the device, encoded now where they were not before."""
    if batch.clean is not None:
        return batch.clean.to(device, non_blocking=True)
    assert batch.pictures is not None  # noqa: S101 - a batch has one of the two
    with torch.no_grad():
        return family.encode_pictures(batch.pictures.to(device))


def _errors(
    family: Family,
    clean: torch.Tensor,
    noise: torch.Tensor,
    timesteps: torch.Tensor,
    text: Text,
    recipe: Recipe,
) -> torch.Tensor:
    noisy = family.noisy(clean, noise, timesteps)
    with torch.autocast(clean.device.type, torch.bfloat16, enabled=recipe.precision == "bf16-autocast"):
        prediction = family.predict(family.model, noisy, timesteps, text)
    return family.errors(prediction.float(), clean, noise, timesteps, recipe)


def _moved(text: Text, device: torch.device) -> dict[str, torch.Tensor]:
    return {name: tensor.to(device, non_blocking=True) for name, tensor in text.items()}
