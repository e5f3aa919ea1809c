"""What is being learned: the trained weights, their moving average, and the optimisers' memory."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping

import torch

from app.training.recipe import Recipe
from workers.finetune.loss import lr_share


class Diverged(Exception):
    """The numbers are no numbers any more. The message is one sentence with the cause as far as it is known."""


class Learner:
    """A model with everything that changes while it is trained. `ema` holds the averaged weights."""

    def __init__(self, model: torch.nn.Module, recipe: Recipe) -> None:
        self.model = model.train().requires_grad_(True)
        self.ema = copy.deepcopy(model).eval().requires_grad_(False)
        self._recipe = recipe
        self._optimisers = _optimisers(model, recipe)
        self._peak_lr = {name: float(o.param_groups[0]["lr"]) for name, o in self._optimisers.items()}

    def lr(self, step: int) -> float:
        """AdamW's learning rate in step `step` (0-based)."""
        return self._peak_lr["adamw"] * lr_share(step, self._recipe)

    def update(self, loss: torch.Tensor, step: int) -> float:
        """Follow the gradient of `loss` in step `step` (0-based); the gradient's norm before clipping.

        Raises `Diverged`, with the weights as they were, when the loss or the gradient is not finite.
        """
        self.check(float(loss.detach()), "loss", step)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self._recipe.clip_norm)
        grad_norm = float(norm)
        self.check(grad_norm, "gradient", step)
        for name, optimiser in self._optimisers.items():
            optimiser.param_groups[0]["lr"] = self._peak_lr[name] * lr_share(step, self._recipe)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        with torch.no_grad():
            averaged: list[torch.Tensor] = list(self.ema.parameters())
            trained: list[torch.Tensor] = list(self.model.parameters())
            torch._foreach_lerp_(averaged, trained, 1.0 - self._recipe.ema_decay)
        return grad_norm

    def state(self) -> dict[str, torch.Tensor]:
        """Trained weights and optimiser memory, by name; the averaged weights are saved on their own."""
        names = {id(p): name for name, p in self.model.named_parameters()}
        tensors = {f"weights/{name}": p.detach() for name, p in self.model.named_parameters()}
        for kind, optimiser in self._optimisers.items():
            for parameter, memory in optimiser.state.items():
                for key, value in memory.items():
                    tensors[f"{kind}/{key}/{names[id(parameter)]}"] = torch.as_tensor(value)
        return {name: tensor.contiguous() for name, tensor in tensors.items()}

    def restore(self, state: Mapping[str, torch.Tensor], ema: Mapping[str, torch.Tensor]) -> None:
        """Put back what `state` gave and the averaged weights. Raises `Diverged` if optimiser memory is missing."""
        self.ema.load_state_dict(ema)
        parameters = dict(self.model.named_parameters())
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(state[f"weights/{name}"])
        for kind, optimiser in self._optimisers.items():
            for key, value in state.items():
                if key.startswith(f"{kind}/"):
                    _, memory, name = key.split("/", 2)
                    moved = value.clone() if memory == "step" else value.to(parameters[name].device, copy=True)
                    optimiser.state[parameters[name]][memory] = moved
            held = sum(len(group["params"]) for group in optimiser.param_groups)
            if len(optimiser.state) != held:
                raise Diverged(f"The saved run has {kind} memory for {len(optimiser.state)} of {held} weights.")

    def check(self, value: float, what: str, step: int) -> None:
        """Raise `Diverged` when `value`, called `what`, is no finite number in step `step` (0-based)."""
        if not math.isfinite(value):
            raise Diverged(
                f"The {what} became {value} at step {step + 1}, with a learning rate of {self.lr(step):.1e}: "
                "the learning rate is too high for this model, or weights, pictures or captions hold broken values."
            )


def _optimisers(model: torch.nn.Module, recipe: Recipe) -> dict[str, torch.optim.Optimizer]:
    # Muon is defined for the hidden matrices only (Jordan et al. 2024): inputs, outputs, gains and biases stay with
    # AdamW. Its update is scaled to AdamW's size, so the same range of learning rates fits both.
    matrices: list[torch.nn.Parameter] = []
    rest: list[torch.nn.Parameter] = []
    for name, parameter in model.named_parameters():
        is_hidden = recipe.optimiser == "muon" and "blocks." in name and parameter.ndim == 2
        (matrices if is_hidden else rest).append(parameter)
    optimisers: dict[str, torch.optim.Optimizer] = {
        "adamw": torch.optim.AdamW(
            rest,
            lr=recipe.adamw_lr,
            betas=(recipe.adamw_beta1, recipe.adamw_beta2),
            weight_decay=recipe.weight_decay,
            fused=True,
        )
    }
    if matrices:
        optimisers["muon"] = torch.optim.Muon(
            matrices, lr=recipe.muon_lr, weight_decay=recipe.weight_decay, adjust_lr_fn="match_rms_adamw"
        )
    return optimisers
