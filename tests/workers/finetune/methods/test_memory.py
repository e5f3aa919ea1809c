"""Checkpointing and compiling blocks: less memory or less time, the same gradients, for every family's model."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
from diffusers import (
    Flux2Transformer2DModel,
    FluxTransformer2DModel,
    PRXTransformer2DModel,
    SD3Transformer2DModel,
    UNet2DConditionModel,
)

from tests.workers.finetune.methods.shaken import shaken
from workers.errors import InputError
from workers.families.prx_pixel import PrxPixel
from workers.finetune.methods import memory
from workers.finetune.methods.memory import blocks_of, wrap_blocks

Ask = Callable[[torch.nn.Module], torch.Tensor]


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(6))


def prx() -> tuple[torch.nn.Module, Ask]:
    model = PRXTransformer2DModel(
        in_channels=3,
        patch_size=4,
        context_in_dim=8,
        hidden_size=16,
        mlp_ratio=2.0,
        num_heads=2,
        depth=3,
        axes_dim=[4, 4],
    )
    return model, lambda m: m(noise(2, 3, 16, 16), torch.tensor([0.3, 0.8]), noise(2, 5, 8), return_dict=False)[0]


def sd3() -> tuple[torch.nn.Module, Ask]:
    model = SD3Transformer2DModel(
        sample_size=8, patch_size=2, in_channels=4, num_layers=3, attention_head_dim=8, num_attention_heads=2,
        joint_attention_dim=8, caption_projection_dim=16, pooled_projection_dim=8, out_channels=4, pos_embed_max_size=8,
    )  # fmt: skip
    return model, lambda m: m(noise(2, 4, 8, 8), noise(2, 5, 8), noise(2, 8), torch.tensor([300.0, 800.0]))[0]


def flux() -> tuple[torch.nn.Module, Ask]:
    model = FluxTransformer2DModel(
        patch_size=1, in_channels=4, num_layers=1, num_single_layers=2, attention_head_dim=8, num_attention_heads=2,
        joint_attention_dim=8, pooled_projection_dim=8, axes_dims_rope=(2, 2, 4),
    )  # fmt: skip
    return model, lambda m: m(
        noise(2, 16, 4), noise(2, 5, 8), noise(2, 8), torch.tensor([0.3, 0.8]), torch.zeros(16, 3), torch.zeros(5, 3)
    )[0]


def flux2() -> tuple[torch.nn.Module, Ask]:
    model = Flux2Transformer2DModel(
        patch_size=1, in_channels=4, num_layers=1, num_single_layers=2, attention_head_dim=8, num_attention_heads=2,
        joint_attention_dim=8, timestep_guidance_channels=16, axes_dims_rope=(2, 2, 2, 2),
    )  # fmt: skip
    return model, lambda m: m(
        noise(2, 16, 4), noise(2, 5, 8), torch.tensor([0.3, 0.8]), torch.zeros(16, 4), torch.zeros(5, 4), torch.ones(2)
    )[0]


def unet() -> tuple[torch.nn.Module, Ask]:
    model = UNet2DConditionModel(
        sample_size=8, in_channels=4, out_channels=4, block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=8, attention_head_dim=2,
    )  # fmt: skip
    return model, lambda m: m(noise(2, 4, 8, 8), torch.tensor([300, 800]), noise(2, 5, 8))[0]


def trained(model: torch.nn.Module, ask: Ask) -> tuple[list[torch.Tensor], int]:
    """Gradients of every weight, and how many bytes the pass had to keep for them."""
    model.zero_grad()
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = ask(model).square().mean()
    loss.backward()  # type: ignore[no-untyped-call]
    return [p.grad.clone() for p in model.parameters() if p.grad is not None], sum(kept.values())


@pytest.mark.parametrize("build", [prx, sd3, flux, flux2, unet])
def test_gradients_are_the_same_with_less_kept(build: Callable[[], tuple[torch.nn.Module, Ask]]) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model, ask = build()
    shaken(model)
    plain, all_kept = trained(model, ask)
    memory = [all_kept]
    for level in ("half", "full"):
        again = copy.deepcopy(model)
        wrap_blocks(again, level, is_compiled=False)  # type: ignore[arg-type]
        gradients, kept = trained(again, ask)
        assert all(torch.equal(one, other) for one, other in zip(plain, gradients, strict=True))
        memory.append(kept)
    assert memory[0] > memory[1] > memory[2]


def test_a_copy_works_on_weights_of_its_own(family: PrxPixel) -> None:
    """Whoever copies a model, for averaged weights say, must not get the original's blocks."""
    model, ask = prx()
    shaken(model)
    wrap_blocks(model, "full", is_compiled=False)
    other = copy.deepcopy(model)
    before = ask(other).detach()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert torch.equal(ask(other), before)


def test_names_of_weights_and_classes_stay(family: PrxPixel) -> None:
    names = list(family.model.state_dict())
    blocks = len(blocks_of(family.model))
    wrap_blocks(family.model, "full", is_compiled=False)
    assert list(family.model.state_dict()) == names
    assert len(blocks_of(family.model)) == blocks == 5


def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(InputError, match="Nothing is known of the blocks of a Linear"):
        wrap_blocks(torch.nn.Linear(1, 1), "full", is_compiled=False)
    wrap_blocks(torch.nn.Linear(1, 1), "none", is_compiled=False)


def test_compiled_blocks_share_their_code_and_serve_training_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the compiler proper, which takes most of a minute: how often it is asked is what counts."""
    compiled: list[Any] = []
    ran: list[bool] = []

    def compile_(function: Callable[..., Any]) -> Callable[..., Any]:
        compiled.append(function)

        def run(*args: Any, **named: Any) -> Any:
            ran.append(torch.is_grad_enabled())
            return function(*args, **named)

        return run

    monkeypatch.setattr(torch, "compile", compile_)
    monkeypatch.setattr(memory, "_wrapped", cache(memory._wrapped.__wrapped__))  # nothing fake stays in its cache
    model, ask = prx()
    wrap_blocks(model, "none", is_compiled=True)
    ask(model)
    with torch.no_grad():
        ask(model)
    assert len(compiled) == 1
    assert ran == [True] * 3
