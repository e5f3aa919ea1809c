"""Prodigy, an AdamW that estimates its own learning rate (Mishchenko & Defazio 2023, arXiv:2306.06101).

The arithmetic is that of the package pytorch-optimizer. It keeps the estimate beside the weights' memory, as plain
numbers; here they live in the optimiser's state, as a tensor, so that a stopped run goes on with the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytorch_optimizer
import torch

from app.training.recipe import Recipe

_ESTIMATE = "estimate"


def make_prodigy(parameters: Iterable[torch.nn.Parameter], recipe: Recipe) -> torch.optim.Optimizer:
    """Prodigy with a learning rate of 1, times the recipe's course, and the recipe's betas and weight decay.

    Bias correction and the safeguard during warm-up are on, as its authors advise for diffusion models.
    """
    return _Prodigy(
        list(parameters),
        lr=1.0,
        betas=(recipe.adamw_beta1, recipe.adamw_beta2),
        weight_decay=recipe.weight_decay,
        bias_correction=True,
        safeguard_warmup=True,
    )


class _Prodigy(pytorch_optimizer.Prodigy):  # type: ignore[misc]  # the library tells no types
    """State per weight: `s`, `p0`, `exp_avg`, `exp_avg_sq`; one weight also holds `estimate`, float64 [4]."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        group = self.param_groups[0]
        holder = next((p for p in self.state if _ESTIMATE in self.state[p]), None)
        if holder is not None:
            d, d_max, numerator, step = self.state[holder][_ESTIMATE].tolist()
            of_estimate = torch.tensor([numerator], dtype=torch.float32, device=holder.device)
            group.update(d=d, d_max=d_max, d_numerator=of_estimate, step=int(step))
        loss: Any = super().step(closure)
        if self.state:
            estimate = [group["d"], group["d_max"], float(group["d_numerator"]), group["step"]]
            holder = next(iter(self.state)) if holder is None else holder
            self.state[holder][_ESTIMATE] = torch.tensor(estimate, dtype=torch.float64)
        return None if loss is None else float(loss)
