"""What is being learned: the trained weights, their moving average, and the optimisers' memory."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch

from app.training.recipe import Recipe
from workers.errors import InputError
from workers.families import weights
from workers.families.registry import Family
from workers.finetune.loss import lr_share
from workers.finetune.methods.auxiliary import AuxiliaryLosses, build_auxiliary
from workers.finetune.methods.memory import wrap_blocks
from workers.finetune.optimisers import make_optimisers
from workers.finetune.ranks import ALONE, Ranks


class Diverged(Exception):
    """The loss has exploded, or is no number any more. The message is a sentence with the cause as far as it is known.

    `facts` tell more of it, once the run has seen what is left: `good_step`, the last checkpoint before (0: the base),
    and `model_step`, the one that the finished model was written from (0: none).
    """

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.facts: dict[str, int] = {}


def keeps_base_narrow(recipe: Recipe, device: torch.device) -> bool:
    """Whether a run of `recipe` on `device` leaves the base as it is and asks it in bf16: see `families.narrow`."""
    return recipe.method == "lora" and recipe.precision == "bf16-autocast" and device.type == "cuda"


def make_train_state(
    family: Family, recipe: Recipe, ranks: Ranks = ALONE, saved: Path | None = None
) -> tuple[TrainState, AuxiliaryLosses]:
    """What `recipe` trains of `family`'s model, all of it or an adapter put on it now, and what helps it.

    The model begins with the averaged weights in the folder `saved`, where there are some.
    Raises `InputError` for what the model cannot do.
    """
    parameters = weights.to_train(family, recipe.method, recipe.lora_rank, recipe.seed)
    if saved is not None:
        # Only the family knows how they are stored, and only a whole model takes them.
        weights.load(family, saved)
    auxiliary = build_auxiliary(recipe, family)
    wrap_blocks(family.model, recipe.checkpointing, recipe.compile)
    helping = {f"auxiliary.{name}": parameter for name, parameter in auxiliary.modules.named_parameters()}
    return TrainState(family.model, {**ranks.split(family.model, parameters), **helping}, recipe, ranks), auxiliary


class TrainState:
    """A model with everything that changes while it is trained.

    `parameters` are the trained weights by name, fp32: the model's own, an adapter's, or a teacher's projection. The
    moving average of each lies beside it, unless the recipe's would always be the weight itself; `averaged` puts the
    averages in the weights' place for a while.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        parameters: Mapping[str, torch.nn.Parameter],
        recipe: Recipe,
        ranks: Ranks = ALONE,
    ) -> None:
        self.model = model.train()
        self.parameters = dict(parameters)
        if narrow := [name for name, p in self.parameters.items() if p.dtype != torch.float32]:
            # Photoroom measured FID 18.2 against 21.9 when trained weights were stored in bf16 (PRX part 2).
            raise InputError(
                f"{len(narrow)} trained weights are not fp32 ({narrow[0]} first): small steps would be lost."
            )
        # With no decay and each step counted, the average is the weight: a copy would only take memory.
        is_averaged = recipe.ema_decay > 0.0 or recipe.ema_every > 1
        self._averages = {name: p.detach().clone() for name, p in self.parameters.items()} if is_averaged else {}
        self._recipe = recipe
        self._ranks = ranks
        ranks.follow(self.parameters, recipe)
        self._optimisers = make_optimisers(self.parameters, recipe)
        self._peak_lr = {name: float(o.param_groups[0]["lr"]) for name, o in self._optimisers.items()}
        self._losses: list[torch.Tensor] = []
        self._is_first = True

    def lr(self, step: int) -> float:
        """The learning rate in step `step` (0-based): AdamW's, or Muon's where it has every weight."""
        peak = self._peak_lr.get("adamw", next(iter(self._peak_lr.values())))
        return peak * lr_share(step, self._recipe)

    def gather(self, loss: torch.Tensor, is_last: bool) -> None:
        """Add the gradient of one micro-batch's share of the loss of this process's part of the step."""
        self._ranks.go_back(loss, is_last)
        self._losses.append(loss.detach())

    def update(self, step: int) -> float:
        """Follow the gathered gradients in step `step` (0-based); the gradient's norm before clipping.

        Raises `Diverged`, with the weights as they were, when the loss or the gradient is not finite.
        """
        norm = torch.nn.utils.clip_grad_norm_(self.parameters.values(), self._recipe.clip_norm)
        # One wait for the device in each step: both numbers come over together.
        numbers = torch.stack([torch.stack(self._losses).sum(), self._ranks.whole(norm).float()])
        loss, grad_norm = self._ranks.mean(numbers).tolist()
        self._losses.clear()
        self.check(loss, "loss", step)
        self.check(grad_norm, "gradient", step)
        before = self._sum() if self._is_first else 0.0
        for name, optimiser in self._optimisers.items():
            for group in optimiser.param_groups:
                group["lr"] = self._peak_lr[name] * lr_share(step, self._recipe)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        if self._is_first and grad_norm > 0.0 and lr_share(step, self._recipe) > 0.0 and self._sum() == before:
            raise InputError(f"Step {step + 1} changed no weight although it has a gradient: nothing is being trained.")
        self._is_first = False
        if self._averages and (step + 1) % self._recipe.ema_every == 0:
            with torch.no_grad():
                averages: list[torch.Tensor] = list(self._averages.values())
                weights: list[torch.Tensor] = list(self.parameters.values())
                torch._foreach_lerp_(averages, weights, 1.0 - self._recipe.ema_decay)
        return float(grad_norm)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Inside the block the model holds the averaged weights and is at rest, outside the trained ones."""
        self._swap()
        self.model.eval()
        try:
            yield
        finally:
            self.model.train()
            self._swap()

    def state(self) -> dict[str, torch.Tensor]:
        """Trained weights and optimiser memory, by name; the averaged weights are saved on their own.

        For all processes; the first one has all of it, whole, however many there are.
        """
        names = {id(p): name for name, p in self.parameters.items()}
        tensors = {f"weights/{name}": p.detach() for name, p in self.parameters.items()}
        for kind, optimiser in self._optimisers.items():
            for parameter, memory in optimiser.state.items():
                for key, value in memory.items():
                    tensors[f"{kind}/{key}/{names[id(parameter)]}"] = torch.as_tensor(value)
        return {name: self._ranks.collected(tensor).contiguous() for name, tensor in tensors.items()}

    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        """Put back what `state` gave; the weights in the model now are taken as the averaged ones.

        Raises `InputError` when weights or optimiser memory are missing.
        """
        missing = [name for name in self.parameters if f"weights/{name}" not in state]
        if missing:
            raise InputError(
                f"The saved run lacks {len(missing)} of {len(self.parameters)} weights ({missing[0]} first)."
            )
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                if name in self._averages:
                    self._averages[name].copy_(parameter)
                parameter.copy_(self._ranks.part(state[f"weights/{name}"], parameter))
        for kind, optimiser in self._optimisers.items():
            fused = {id(p) for group in optimiser.param_groups if group.get("fused") for p in group["params"]}
            for key, value in state.items():
                if key.startswith(f"{kind}/"):
                    _, memory, name = key.split("/", 2)
                    parameter = self.parameters[name]
                    if memory != "step":
                        held = self._ranks.part(value, parameter)
                    else:
                        # A fused update wants all it is given on one device, its count too; others count on the CPU.
                        held = value.to(parameter.device) if id(parameter) in fused else value
                    optimiser.state[parameter][memory] = held.clone()
            count = sum(len(group["params"]) for group in optimiser.param_groups)
            if len(optimiser.state) != count:
                raise InputError(f"The saved run has {kind} memory for {len(optimiser.state)} of {count} weights.")

    def check(self, value: float, what: str, step: int) -> None:
        """Raise `Diverged` when `value`, called `what`, is no finite number in step `step` (0-based)."""
        if not math.isfinite(value):
            raise Diverged(
                f"The {what} became {value} at step {step + 1}, with a learning rate of {self.lr(step):.1e}: "
                "the learning rate is too high for this model, or weights, pictures or captions hold broken values."
            )

    def _sum(self) -> float:
        """A number that changes when any weight does: the guard against runs that learn nothing, unseen."""
        with torch.no_grad():
            sums = [self._ranks.whole(p.double().abs().sum()) for p in self.parameters.values()]
            return float(torch.stack(sums).sum())

    @torch.no_grad()
    def _swap(self) -> None:
        # In place: where a process holds a part of a weight, FSDP keeps views of the same memory.
        for name, average in self._averages.items():
            parameter = self.parameters[name]
            trained = parameter.detach().clone()
            parameter.copy_(average)
            average.copy_(trained)
