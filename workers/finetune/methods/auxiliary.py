"""What the recipe adds to the plain loss while training: token routing, a teacher, perceptual losses; often nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import torch

from app.training.recipe import Recipe
from workers.errors import InputError
from workers.families.registry import Family
from workers.finetune.loss import keyed_generator
from workers.finetune.methods.dino import Dino
from workers.finetune.methods.perceptual import SMALLEST_SIDE_PX, Lpips, dino_errors, lpips_errors
from workers.finetune.methods.routing import PAYS_FROM_TOKENS, Routing
from workers.finetune.methods.teacher import Teacher


@dataclass
class AuxiliaryLosses:
    """All that the recipe switches on."""

    recipe: Recipe
    routing: Routing | None = None
    teacher: Teacher | None = None
    lpips: Lpips | None = None
    dino: Dino | None = None
    modules: torch.nn.ModuleDict = field(default_factory=torch.nn.ModuleDict)
    """Networks of their own that are trained along and saved with the run, but never exported."""
    notes: tuple[str, ...] = ()
    """Plain sentences that whoever started the run should read."""

    @property
    def needs_pictures(self) -> bool:
        """Whether `terms` looks at the pictures themselves."""
        return self.teacher is not None

    @contextmanager
    def around(self, step: int, places: Sequence[int]) -> Iterator[None]:
        """Put around one training pass of step `step` (0-based) and no other; the backward pass may lie outside.

        `places` are the pictures' positions in their step's whole batch: which tokens are routed depends on the seed,
        the step and the place alone, however the step is cut into micro-batches and processes.
        """
        with ExitStack() as auxiliary:
            if self.teacher is not None and self.teacher.is_on(step):
                auxiliary.enter_context(self.teacher.watching())
            if self.routing is not None:
                seed = self.recipe.seed
                own = [keyed_generator(torch.device("cpu"), seed, "routing", step, place) for place in places]
                auxiliary.enter_context(self.routing.on(own))
            yield

    def terms(
        self,
        family: Family,
        prediction: torch.Tensor,
        noisy: torch.Tensor,
        clean: torch.Tensor,
        timesteps: torch.Tensor,
        pictures: torch.Tensor | None,
        step: int,
    ) -> torch.Tensor | None:
        """Extra loss of each picture of the last pass, weighted, float32 [B]; None when there is none in this step.

        `pictures` uint8 [B, H, W, 3] where `needs_pictures`; the rest as in `Family`.
        """
        terms: list[torch.Tensor] = []
        if self.teacher is not None and self.teacher.is_on(step):
            assert pictures is not None  # noqa: S101  # the caller asked `needs_pictures`
            terms.append(self.teacher.errors(noisy, pictures))
        if self.lpips is not None or self.dino is not None:
            given = family.clean_from(prediction, noisy, timesteps)
            if self.lpips is not None:
                terms.append(self.recipe.lpips_weight * lpips_errors(self.lpips, given, clean))
            if self.dino is not None:
                terms.append(self.recipe.dino_weight * dino_errors(self.dino, given, clean))
        return torch.stack(terms).sum(dim=0) if terms else None


def build_auxiliary(recipe: Recipe, family: Family) -> AuxiliaryLosses:
    """What `recipe` switches on, for `family`'s model on its device.

    Raises `InputError` when a folder is missing or broken, or when the model cannot do what is asked.
    """
    auxiliary = AuxiliaryLosses(recipe)
    device = next(family.model.parameters()).device
    is_bf16 = recipe.precision == "bf16-autocast"
    dinos = {folder: Dino(folder, device, is_bf16) for folder in {recipe.teacher, recipe.dino} if folder}
    if recipe.route_share > 0.0:
        auxiliary.routing = Routing(family.model, recipe.route_share, recipe.route_from, recipe.route_to)
        auxiliary.notes = _notes_on_routing(recipe, family)
    if recipe.teacher:
        auxiliary.teacher = Teacher(family.model, recipe, dinos[recipe.teacher], auxiliary.routing)
        auxiliary.modules["teacher"] = auxiliary.teacher.projection
    if recipe.lpips:
        auxiliary.lpips = _lpips(recipe, family, device)
    if recipe.dino:
        auxiliary.dino = dinos[recipe.dino]
    return auxiliary


def _lpips(recipe: Recipe, family: Family, device: torch.device) -> Lpips:
    # Buckets reach a proportion of 2: the shorter side is then 1 / sqrt(2) of the square's.
    shortest = recipe.resolution_px // 2 if recipe.buckets else recipe.resolution_px
    if shortest < SMALLEST_SIDE_PX:
        raise InputError(
            f"LPIPS needs pictures of at least {SMALLEST_SIDE_PX} pixels a side; these can have {shortest}."
        )
    return Lpips(recipe.lpips, device, recipe.precision == "bf16-autocast")


def _notes_on_routing(recipe: Recipe, family: Family) -> tuple[str, ...]:
    tokens = (recipe.resolution_px // family.size_multiple) ** 2
    if tokens >= PAYS_FROM_TOKENS:
        return ()
    return (
        f"Token routing is on with about {tokens} tokens a picture; it is known to help from about "
        f"{PAYS_FROM_TOKENS:,} tokens on and to harm with few.",
    )
