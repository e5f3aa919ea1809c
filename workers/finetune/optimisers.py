"""The optimisers a recipe can name, made for a set of named weights."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from app.training.recipe import Recipe
from workers.finetune.methods.adamw8bit import make_adamw8bit
from workers.finetune.methods.muon import make_muon
from workers.finetune.methods.prodigy import make_prodigy


def make_optimisers(parameters: Mapping[str, torch.nn.Parameter], recipe: Recipe) -> dict[str, torch.optim.Optimizer]:
    """The recipe's optimisers by name; together they hold every weight once, each with its peak learning rate."""
    if recipe.optimiser == "prodigy":
        return {"prodigy": make_prodigy(parameters.values(), recipe)}
    if recipe.optimiser == "adamw8bit":
        return {"adamw8bit": make_adamw8bit(parameters.values(), recipe)}
    # Muon is defined for the hidden matrices only (Jordan et al. 2024): inputs, outputs, gains and biases stay with
    # AdamW. Its update is scaled to AdamW's size, so the same range of learning rates fits both.
    matrices: list[torch.nn.Parameter] = []
    rest: list[torch.nn.Parameter] = []
    for name, parameter in parameters.items():
        is_hidden = recipe.optimiser == "muon" and "blocks." in name and parameter.ndim == 2
        (matrices if is_hidden else rest).append(parameter)
    optimisers: dict[str, torch.optim.Optimizer] = {}
    if rest:
        optimisers["adamw"] = torch.optim.AdamW(
            rest,
            lr=recipe.adamw_lr,
            betas=(recipe.adamw_beta1, recipe.adamw_beta2),
            weight_decay=recipe.weight_decay,
            fused=True,
        )
    if matrices:
        optimisers["muon"] = make_muon(matrices, recipe)
    return optimisers
