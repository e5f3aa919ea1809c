"""What is learned, put back: on which device each part of it lies, and that no copy is kept which nobody looks at."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from app.training.recipe import Recipe
from workers.finetune.train_state import TrainState

MakeRecipe = Callable[..., Recipe]


class Model(torch.nn.Module):
    """A hidden matrix, which Muon takes, and weights that stay with AdamW."""

    def __init__(self, device: str) -> None:
        super().__init__()
        self.blocks = torch.nn.ParameterList([torch.ones(4, 4, device=device)])
        self.bias = torch.nn.Parameter(torch.zeros(4, device=device))

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        return given @ self.blocks[0] + self.bias


def train_state(knobs: Recipe, device: str = "cpu") -> TrainState:
    model = Model(device)
    return TrainState(model, dict(model.named_parameters()), knobs)


def update(state: TrainState, step: int) -> None:
    state.gather(state.model(torch.ones(2, 4)).square().mean(), True)
    state.update(step)


@pytest.mark.parametrize("optimiser", ["adamw", "muon", "prodigy"])
def test_memory_of_an_optimiser_is_put_back_on_its_weights_device(recipe: MakeRecipe, optimiser: str) -> None:
    knobs = recipe(optimiser=optimiser, steps=9)
    learned = train_state(knobs)
    update(learned, 0)
    saved = learned.state()
    # A device that holds no numbers, but knows what lies on it.
    resumed = train_state(knobs, "meta")
    resumed.restore(saved)
    places = {
        (kind, key): value.device.type
        for kind, made in resumed._optimisers.items()
        for memory in made.state.values()
        for key, value in memory.items()
    }
    assert len(places) > 2
    assert set(places.values()) == {"meta"}


@pytest.mark.parametrize(("decay", "every", "copies"), [(0.0, 1, 0), (0.0, 2, 2), (0.9, 1, 2)])
def test_no_average_is_kept_that_would_be_the_weights_themselves(
    recipe: MakeRecipe, decay: float, every: int, copies: int
) -> None:
    learned = train_state(recipe(optimiser="adamw", steps=9, ema_decay=decay, ema_every=every))
    for step in range(3):
        update(learned, step)
    assert len(learned._averages) == copies
    trained = {name: weight.detach().clone() for name, weight in learned.parameters.items()}
    with learned.averaged():
        is_same = all(torch.equal(weight, trained[name]) for name, weight in learned.parameters.items())
    assert is_same is (copies == 0)
    assert all(torch.equal(weight, trained[name]) for name, weight in learned.parameters.items())
