"""Muon (Jordan et al. 2024): PyTorch's own, which orthogonalises in bf16; on a CPU the same in fp32.

Not every processor multiplies bf16 matrices in hardware. On one that does not, PyTorch's Muon was measured to take 82 %
of a step of the nano model (0.9 against 34 GFLOP/s a core), and fp32 costs little where it is not needed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from app.training.recipe import Recipe


def make_muon(parameters: Sequence[torch.nn.Parameter], recipe: Recipe) -> torch.optim.Optimizer:
    """Muon with the recipe's rate and weight decay for 2-D `parameters`, its updates scaled to AdamW's size."""
    kind = torch.optim.Muon if parameters[0].device.type == "cuda" else _WideMuon
    return kind(parameters, lr=recipe.muon_lr, weight_decay=recipe.weight_decay, adjust_lr_fn="match_rms_adamw")


class _WideMuon(torch.optim.Muon):
    """State per weight: `momentum_buffer`, as PyTorch's own keeps it."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]  # gives no loss back
        for group in self.param_groups:
            for weight in (weight for weight in group["params"] if weight.grad is not None):
                state = self.state[weight]
                if not state:
                    state["momentum_buffer"] = torch.zeros_like(weight)
                momentum: torch.Tensor = state["momentum_buffer"].lerp_(weight.grad, 1 - group["momentum"])
                update = weight.grad.lerp(momentum, group["momentum"]) if group["nesterov"] else momentum
                # Moonshot's scale (Liu et al. 2025): the update's mean square is then AdamW's.
                size = 0.2 * max(weight.shape) ** 0.5
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                weight.add_(_orthogonal(update, group), alpha=-group["lr"] * size)


def _orthogonal(update: torch.Tensor, group: dict[str, Any]) -> torch.Tensor:
    """The nearest matrix whose singular values are about 1, by Newton-Schulz steps of the group's coefficients."""
    a, b, c = group["ns_coefficients"]
    is_tall = update.shape[0] > update.shape[1]
    matrix = update.T if is_tall else update
    matrix = matrix / matrix.norm().clamp(min=group["eps"])
    for _ in range(group["ns_steps"]):
        square = matrix @ matrix.T
        matrix = torch.addmm(matrix, torch.addmm(square, square, square, beta=b, alpha=c), matrix, beta=a)
    return matrix.T if is_tall else matrix
