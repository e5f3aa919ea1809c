"""Token routing: exactly the chosen tokens skip exactly the middle blocks, in training and nowhere else."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import PRXTransformer2DModel

from workers.errors import InputError
from workers.families.prx_pixel import PrxPixel
from workers.finetune.loss import keyed_generator
from workers.finetune.methods.memory import wrap_blocks
from workers.finetune.methods.routing import Routing

CPU = torch.device("cpu")
Pass = tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor], torch.Tensor]
TOKENS = 24


def keyed() -> list[torch.Generator]:
    """A generator for each picture of `one_pass`."""
    return [keyed_generator(CPU, "test", place) for place in range(3)]


def outputs(model: Any) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """What goes into and comes out of every block from now on."""
    inputs: list[torch.Tensor] = []
    results: list[torch.Tensor] = []
    for block in model.blocks:
        block.register_forward_pre_hook(lambda _, __, named: inputs.append(named["hidden_states"]), with_kwargs=True)
        block.register_forward_hook(lambda _, __, result: results.append(result))
    return inputs, results


def test_chosen_tokens_skip_the_middle_and_come_back_at_their_places(family: PrxPixel, one_pass: Pass) -> None:
    noisy, timesteps, text, _ = one_pass
    routing = Routing(family.model, share=0.5, first=1)
    with routing.on(keyed()):
        inputs, results = outputs(family.model)
        family.predict(family.model, noisy, timesteps, text)
    kept = routing.kept
    assert kept is not None
    assert [x.shape[1] for x in results] == [TOKENS, 12, 12, TOKENS, TOKENS]
    went_in, came_out = inputs[1], results[3]
    stayed = torch.zeros((3, TOKENS), dtype=torch.bool).scatter(1, kept, True)
    before = results[0]
    assert torch.equal(came_out[~stayed], before[~stayed])
    assert not torch.isclose(came_out[stayed], before[stayed]).all(dim=-1).any()
    assert went_in.shape == (3, 12, 32)
    assert len({tuple(row.tolist()) for row in kept}) == 3


def test_positions_stay_with_their_tokens(family: PrxPixel, one_pass: Pass) -> None:
    """The blocks computed by hand on the kept tokens with the kept tokens' own rotations."""
    noisy, timesteps, text, _ = one_pass
    model: Any = family.model
    first_inputs: list[dict[str, Any]] = []
    hook = model.blocks[1].register_forward_pre_hook(lambda _, __, named: first_inputs.append(named), with_kwargs=True)
    family.predict(model, noisy, timesteps, text)
    hook.remove()
    given = first_inputs[0]

    routing = Routing(model, share=0.25, first=1)
    with routing.on(keyed()):
        _, results = outputs(model)
        family.predict(model, noisy, timesteps, text)
    kept = routing.kept
    assert kept is not None
    rows = torch.arange(3)[:, None]
    came_back = results[3][rows, kept]
    tokens = given["hidden_states"][rows, kept]
    rotations = given["image_rotary_emb"].squeeze(1)[rows, kept].unsqueeze(1)
    for block in model.blocks[1:4]:
        tokens = block(**{**given, "hidden_states": tokens, "image_rotary_emb": rotations})
    assert torch.allclose(came_back, tokens, atol=1e-6)


def test_a_share_that_rounds_to_nothing_changes_no_bit(family: PrxPixel, one_pass: Pass) -> None:
    noisy, timesteps, text, _ = one_pass
    plain = family.predict(family.model, noisy, timesteps, text)
    with Routing(family.model, share=0.01, first=1).on(keyed()):
        routed = family.predict(family.model, noisy, timesteps, text)
    assert torch.equal(plain, routed)


def test_outside_nothing_is_routed(family: PrxPixel, one_pass: Pass) -> None:
    noisy, timesteps, text, _ = one_pass
    drawn = family.draw(["red box"], [1], 16, 2, 2.0)
    plain = family.predict(family.model, noisy, timesteps, text)
    with Routing(family.model, share=0.5, first=1).on(keyed()):
        routed = family.predict(family.model, noisy, timesteps, text)
    assert not torch.allclose(plain, routed)
    assert torch.equal(plain, family.predict(family.model, noisy, timesteps, text))
    assert torch.equal(drawn, family.draw(["red box"], [1], 16, 2, 2.0))


@pytest.mark.parametrize("is_bf16", [False, True])
@pytest.mark.parametrize("level", ["half", "full"])
def test_gradients_are_the_same_with_checkpointing(family: PrxPixel, one_pass: Pass, level: Any, is_bf16: bool) -> None:
    """The way back is taken after routing has ended, and the blocks computed again see the tokens they saw."""
    noisy, timesteps, text, _ = one_pass

    def gradients() -> list[torch.Tensor]:
        family.model.zero_grad()
        routed = Routing(family.model, 0.5, 1).on(keyed())
        with routed, torch.autocast("cpu", torch.bfloat16, enabled=is_bf16):
            loss = family.predict(family.model, noisy, timesteps, text).float().square().mean()
        loss.backward()  # type: ignore[no-untyped-call]
        return [p.grad.clone() for p in family.model.parameters() if p.grad is not None]

    plain = gradients()
    wrap_blocks(family.model, level, is_compiled=False)
    again = gradients()
    assert len(plain) == len(again) == len(list(family.model.parameters()))
    assert all(torch.equal(one, other) for one, other in zip(plain, again, strict=True))
    assert all(g.abs().sum() > 0 for g in again)


def test_tokens_come_back_after_the_last_block_that_is_asked_for(family: PrxPixel, one_pass: Pass) -> None:
    noisy, timesteps, text, _ = one_pass
    with Routing(family.model, share=0.5, first=1, last=2).on(keyed()):
        _, results = outputs(family.model)
        family.predict(family.model, noisy, timesteps, text)
    assert [x.shape[1] for x in results] == [TOKENS, 12, TOKENS, TOKENS, TOKENS]
    assert Routing(family.model, 0.5, 1).last == 3
    for last in (1, 4):
        with pytest.raises(
            InputError, match=f"route_to {last} is no block between route_from 2 and the last but one, 3"
        ):
            Routing(family.model, 0.5, 2, last)


def test_what_cannot_be_routed_is_refused(family: PrxPixel) -> None:
    with pytest.raises(InputError, match="route_from 4 leaves no block"):
        Routing(family.model, 0.5, 4)
    with pytest.raises(InputError, match="PRX models only, not a Linear"):
        Routing(torch.nn.Linear(1, 1), 0.5, 0)
    with pytest.raises(InputError, match="no token"):
        Routing(family.model, 1.0, 1)
    assert isinstance(family.model, PRXTransformer2DModel)
