"""Models whose weights are all alive."""

from __future__ import annotations

import torch


def shaken(model: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """With no weight left at zero: fresh PRX blocks change nothing, since what gates them starts at 0."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.05)
    return model
