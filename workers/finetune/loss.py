"""Timesteps, noise, the weights of positions, the course of the learning rate, and losses told apart by noise level."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import torch

from app.training.recipe import Recipe
from workers.finetune.ranks import Ranks

BAND_COUNT = 4
"""Losses are told for timesteps in [0, 1/4), [1/4, 1/2), [1/2, 3/4) and [3/4, 1]: 0 is clean, 1 is noise."""

_SMALLEST_TIMESTEP = 1e-4


def key_number(*key: int | str) -> int:
    """A number in [0, 2^63) that depends on `key` alone."""
    return int.from_bytes(hashlib.sha256(repr(key).encode()).digest()[:8], "big") >> 1


def keyed_generator(device: torch.device, *key: int | str) -> torch.Generator:
    """A generator whose draws depend on `key` alone, so that no draw of another step can shift them."""
    return torch.Generator(device).manual_seed(key_number(*key))


def keyed_noise(shape: Sequence[int], device: torch.device, places: Sequence[int], *key: int | str) -> torch.Tensor:
    """Standard normal noise float32 [len(places), *shape]; each picture's depends on `key` and its place alone.

    So the same picture of a step meets the same noise however the step is cut into micro-batches and processes.
    """
    noise = [torch.randn(tuple(shape), generator=keyed_generator(device, *key, p), device=device) for p in places]
    return torch.stack(noise)


def draw_timesteps(count: int, recipe: Recipe, generator: torch.Generator, shift: float = 1.0) -> torch.Tensor:
    """Timesteps float32 [count] in (0, 1): logit-normal (Esser et al. 2024, section 3.1), a share of them uniform.

    A `shift` above 1 moves the logit-normal ones towards noise, t' = s t / (1 + (s - 1) t) (the same paper, section
    5.3.2). The uniform ones stay, as in PRX's own draw (Photoroom/PRX, `schedulers/scheduler.py`): they are there so
    that both ends are seen, whatever the shift.
    """
    device = generator.device
    normal = torch.randn(count, generator=generator, device=device) * recipe.timestep_sd + recipe.timestep_mean
    uniform = torch.rand(count, generator=generator, device=device)
    is_uniform = torch.rand(count, generator=generator, device=device) < recipe.timestep_uniform_share
    drawn = normal.sigmoid()
    shifted = shift * drawn / (1.0 + (shift - 1.0) * drawn)
    return torch.where(is_uniform, uniform, shifted).clamp(_SMALLEST_TIMESTEP, 1.0)


def position_weights(masks: torch.Tensor, shape: Sequence[int], background_weight: float) -> torch.Tensor:
    """How much the error at each position counts, float32 [B, 1, h, w] for `shape` (h, w): 1 in the mean of a picture.

    `masks` uint8 [B, H, W], H and W multiples of h and w, are 255 where the product is. With m in [0, 1] the share of
    a position's pixels that are the product's, and b the recipe's `background_weight`, a position's weight is

        w = c / mean(c),    c = b + (1 - b) m

    as in OneTrainer's masked training with its area normalised (`util/loss/masked_loss.py`, where c = max(m, b)). Here
    c is a line in m, so that a position counts as its pixels do in the mean: at an eighth of the picture's size, thin
    parts lie on positions that are hardly theirs. Without the division a small product would take small steps, and a
    learning rate would mean something else at every b. Where nothing counts, b being 0 and no product there, all
    positions count evenly.
    """
    covered = torch.nn.functional.adaptive_avg_pool2d(masks[:, None].float() / 255.0, (shape[0], shape[1]))
    counts = 1.0 - (1.0 - background_weight) * (1.0 - covered)  # exactly 1 on the product
    means = counts.mean(dim=(2, 3), keepdim=True)
    return torch.where(means > 0.0, counts / means, 1.0)


def lr_share(step: int, recipe: Recipe) -> float:
    """Share of the peak learning rate used by step `step` (0-based): up in a line, constant, down in a line."""
    if step < recipe.warmup_steps:
        return (step + 1) / recipe.warmup_steps
    fall_from = recipe.constant_share * recipe.steps
    if step < fall_from:
        return 1.0
    left = (recipe.steps - 1 - step) / max(1.0, recipe.steps - 1 - fall_from)
    return recipe.final_lr_share + (1.0 - recipe.final_lr_share) * left


class BandedLoss:
    """Mean losses since it was last told: all together, and by timestep band (None where nothing fell).

    `sums` and `counts` are what the means are made of, band by band.
    """

    def __init__(self) -> None:
        self.sums = [0.0] * BAND_COUNT
        self.counts = [0] * BAND_COUNT

    def add(self, errors: torch.Tensor, timesteps: torch.Tensor) -> None:
        """Count the per-picture `errors` [B] under the bands of their `timesteps` [B]."""
        for error, timestep in zip(errors.tolist(), timesteps.tolist(), strict=True):
            band = min(int(timestep * BAND_COUNT), BAND_COUNT - 1)
            self.sums[band] += error
            self.counts[band] += 1

    def add_others(self, ranks: Ranks) -> None:
        """Count what all other processes have counted, too. For all processes."""
        totals = ranks.totals([*self.sums, *self.counts])
        self.sums, self.counts = totals[:BAND_COUNT], [int(count) for count in totals[BAND_COUNT:]]

    def count(self) -> int:
        """How many errors were counted."""
        return sum(self.counts)

    def mean(self) -> float:
        """The mean over everything counted; NaN if nothing was."""
        return sum(self.sums) / sum(self.counts) if sum(self.counts) else math.nan

    def by_band(self) -> list[float | None]:
        """The mean of each band, in the order of `BAND_COUNT`."""
        return [s / n if n else None for s, n in zip(self.sums, self.counts, strict=True)]
