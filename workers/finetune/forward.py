"""Forward passes: a micro-batch's errors while training, and the validation's under noise that never changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from app.training.recipe import Recipe
from workers.families.registry import Family, Text
from workers.finetune.batches import Batch, Members
from workers.finetune.loss import BAND_COUNT, draw_timesteps, key_number, keyed_generator, keyed_noise, position_weights
from workers.finetune.methods.auxiliary import AuxiliaryLosses
from workers.finetune.ranks import ALONE, Ranks


@dataclass(frozen=True)
class Pass:
    """One micro-batch seen by the model: each picture's loss with its gradient, its plain error, its timestep; [B].

    The plain error knows no masks, so that it can be compared with the validation's and with other runs'.
    """

    loss: torch.Tensor
    errors: torch.Tensor
    timesteps: torch.Tensor


def forward_batches(
    family: Family,
    batches: Sequence[Batch],
    recipe: Recipe,
    step: int,
    device: torch.device,
    auxiliary: AuxiliaryLosses,
    gather: Callable[[torch.Tensor, bool], None],
) -> Pass:
    """All of this process's micro-batches of step `step` (0-based), each one's share of the loss given to `gather`.

    `gather` gets it with whether it is the step's last. Returns what was seen of all pictures together.
    """
    seen = []
    for batch in batches:
        # For models with dropout; everything else that is drawn has generators of its own.
        torch.manual_seed(key_number(recipe.seed, "dropout", step, batch.places[0]))
        forward_pass = forward(family, batch, recipe, step, device, auxiliary)
        gather(forward_pass.loss.mean() / len(batches), batch is batches[-1])
        seen.append(Pass(forward_pass.loss.detach(), forward_pass.errors, forward_pass.timesteps))
    return Pass(*(torch.cat(parts) for parts in zip(*((p.loss, p.errors, p.timesteps) for p in seen), strict=True)))


def forward(
    family: Family, batch: Batch, recipe: Recipe, step: int, device: torch.device, auxiliary: AuxiliaryLosses
) -> Pass:
    """What the model makes of a micro-batch in step `step` (0-based).

    Noise, timestep and routing depend on the seed, the step and the picture's place in the step's whole batch.
    """
    stage = recipe.stage(step)
    clean = clean_input(family, batch, device)
    noise = keyed_noise(clean.shape[1:], device, batch.places, recipe.seed, "noise", step) * family.noise_scale
    shift = recipe.timestep_shift or family.shift(batch.size[1], batch.size[0])
    generator = keyed_generator(torch.device("cpu"), recipe.seed, "timesteps", step)
    timesteps = draw_timesteps(stage.batch_size, recipe, generator, shift)[batch.places].to(device)
    noisy = family.noisy(clean, noise, timesteps)
    with _autocast(recipe, device):
        with auxiliary.around(step, batch.places):
            prediction = family.predict(family.model, noisy, timesteps, _moved(batch.text, device))
        pictures = batch.pictures.to(device) if batch.pictures is not None and auxiliary.needs_pictures else None
        extra = auxiliary.terms(family, prediction, noisy, clean, timesteps, pictures, step)
    errors = family.errors(prediction.float(), clean, noise, timesteps, recipe)
    loss = errors
    if batch.masks is not None:
        weights = position_weights(batch.masks.to(device), clean.shape[2:], recipe.background_weight)
        loss = family.errors(prediction.float(), clean, noise, timesteps, recipe, weights)
    return Pass(loss if extra is None else loss + extra, errors.detach(), timesteps)


@torch.no_grad()
def validation_errors(
    family: Family, members: Members, recipe: Recipe, ranks: Ranks = ALONE
) -> Iterator[tuple[torch.Tensor, torch.Tensor, list[int]]]:
    """Errors, timesteps and numbers of all members in the middle of each band, each member with one noise of its own.

    Of several processes each gets a part; passes in which one has no part of its own, it makes and gives nothing.
    """
    device = next(family.model.parameters()).device
    at_once = recipe.stage(0).micro_batch
    chunks = [bucket[start : start + at_once] for bucket in members.buckets for start in range(0, len(bucket), at_once)]
    for turn in ranks.turns(len(chunks)):
        indices = chunks[turn % len(chunks)]
        own = len(indices) if turn < len(chunks) else 0
        batch = members.batch(indices, indices)
        clean = clean_input(family, batch, device)
        noise = keyed_noise(clean.shape[1:], device, indices, recipe.seed, "validation") * family.noise_scale
        text = _moved(batch.text, device)
        for band in range(BAND_COUNT):
            timesteps = torch.full((len(indices),), (band + 0.5) / BAND_COUNT, device=device)
            noisy = family.noisy(clean, noise, timesteps)
            with _autocast(recipe, device):
                prediction = family.predict(family.model, noisy, timesteps, text)
            yield (
                family.errors(prediction.float(), clean, noise, timesteps, recipe)[:own],
                timesteps[:own],
                indices[:own],
            )


def clean_input(family: Family, batch: Batch, device: torch.device) -> torch.Tensor:
    """The batch's clean inputs float32 [B, C, h, w] on the device, encoded now where they were not before."""
    if batch.clean is not None:
        return batch.clean.to(device, non_blocking=True)
    assert batch.pictures is not None  # noqa: S101 - a batch has one of the two
    with torch.no_grad():
        return family.encode_pictures(batch.pictures.to(device))


def _autocast(recipe: Recipe, device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=recipe.precision == "bf16-autocast")


def _moved(text: Text, device: torch.device) -> dict[str, torch.Tensor]:
    return {name: tensor.to(device, non_blocking=True) for name, tensor in text.items()}
