"""What is FLUX.2 klein's own: Qwen3's middle layers, normalised squares of latents, four places, two shifts."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.pipelines.flux.pipeline_flux import calculate_shift
from diffusers.pipelines.flux2.pipeline_flux2_klein import compute_empirical_mu

from app.training.recipe import Recipe
from tests.workers.families import tiny_flow
from workers.families.flux2 import Flux2, load
from workers.families.registry import stacked
from workers.finetune.batches import Batch
from workers.finetune.forward import forward
from workers.finetune.loss import draw_timesteps, keyed_generator
from workers.finetune.methods.auxiliary import AuxiliaryLosses

CPU = torch.device("cpu")
Base = Callable[..., Path]


def test_texts_are_three_layers_side_by_side_with_the_chats_marks(base: Base) -> None:
    family = load(str(base("flux2")), CPU)
    texts = ["a red Zlorf box", ""]
    embeddings, ids = family.pipeline.encode_prompt(texts)
    for row, text in enumerate(family.encode_texts(texts)):
        assert torch.equal(text["tokens"], embeddings[row])
    assert embeddings.shape[1:] == (512, 3 * 8)
    assert ids[0, :, 3].tolist() == list(range(512))
    assert family.token_counts(["a red Zlorf box", ""]) == ([6, 2], 512)


def test_latents_are_normalised_as_the_pipeline_does_with_reference_pictures(base: Base) -> None:
    family = load(str(base("flux2")), CPU)
    pictures = torch.randint(0, 256, (2, 16, 24, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    pixels = pictures.permute(0, 3, 1, 2).float() / 127.5 - 1.0
    with torch.no_grad():
        theirs = [family.pipeline._encode_vae_image(picture[None], torch.Generator()) for picture in pixels]
    ours = family.encode_pictures(pictures)
    assert ours.shape == (2, 16, 4, 6)
    assert torch.allclose(ours, torch.cat(theirs), atol=1e-5)


def test_the_network_is_told_t_itself_and_no_guidance(base: Base) -> None:
    family = load(str(base("flux2")), CPU)
    calls: list[dict[str, torch.Tensor]] = []
    family.model.register_forward_pre_hook(lambda _, given, named: calls.append(named), with_kwargs=True)
    text = stacked(family.encode_texts(["box", "mug"]))
    with torch.no_grad():
        family.predict(family.model, torch.zeros(2, 16, 2, 3), torch.tensor([0.25, 1.0]), text)
    assert calls[0]["timestep"].tolist() == [0.25, 1.0]
    assert calls[0]["guidance"] is None
    assert calls[0]["img_ids"][0].tolist() == [[0, row, column, 0] for row in range(2) for column in range(3)]


@pytest.mark.parametrize("is_distilled", [False, True])
def test_the_shift_is_flux_1s_and_not_the_one_that_drawing_fits(is_distilled: bool) -> None:
    family = Flux2(tiny_flow.flux2_pipeline(is_distilled=is_distilled, levels=4))
    assert family.size_multiple == 16
    for height, width in ((256, 256), (512, 512), (768, 1344), (1024, 1024), (1536, 1536)):
        latents, _ = family.pipeline.prepare_latents(1, 4, height, width, torch.float32, CPU, torch.Generator())
        assert latents.shape[1] == (height // 16) * (width // 16)
        mu = calculate_shift(latents.shape[1], 256, 4096, 0.5, 1.15)
        assert family.shift(height, width) == pytest.approx(math.exp(mu))
    assert family.shift(1024, 1024) == pytest.approx(3.158, abs=1e-3)
    assert math.exp(compute_empirical_mu(4096, 28)) == pytest.approx(8.60, abs=0.01)


def test_labels_and_texture_get_their_share_of_the_training(recipe: Callable[..., Recipe]) -> None:
    """By Esser et al.'s density at a shift of 3.158: P(t < 1/2) is P(z < -ln 3.158), z normal."""
    family = Flux2(tiny_flow.flux2_pipeline(levels=4))
    made = recipe(timestep_mean=0.0, timestep_sd=1.0, timestep_uniform_share=0.0)
    drawn = draw_timesteps(100_000, made, keyed_generator(CPU, "test"), family.shift(1024, 1024))
    below = [(drawn < bound).float().mean().item() for bound in (0.5, 0.25)]
    assert below == pytest.approx([0.125, 0.0123], rel=0.08)


@pytest.mark.parametrize("steps", [2, 9])
def test_drawing_keeps_the_pipelines_shift_and_training_goes_by_no_steps(
    base: Base, recipe: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    family = load(str(base("flux2")), CPU)
    drawn: list[float] = []
    asked: list[float] = []
    set_timesteps, shift = family.pipeline.scheduler.set_timesteps, family.shift

    def watched(sigmas: Any, device: torch.device, mu: float) -> None:
        drawn.append(mu)
        set_timesteps(sigmas=sigmas, device=device, mu=mu)

    monkeypatch.setattr(family.pipeline.scheduler, "set_timesteps", watched)
    family.draw(["box"], [1], 16, steps, 1.0)
    assert drawn == [compute_empirical_mu(16, steps)]
    monkeypatch.setattr(family, "shift", lambda *given: asked.append(shift(*given)) or asked[-1])
    made = recipe(family="flux2", base="flux2", sampling_steps=steps, timestep_shift=0.0)
    text = stacked(family.encode_texts(["box"]))
    batch = Batch(torch.zeros(1, 16, 16, 3, dtype=torch.uint8), None, text, [0], (16, 16))
    forward(family, batch, made, 0, CPU, AuxiliaryLosses(made))
    assert asked == [shift(16, 16)]


def test_a_base_compares_with_the_empty_text_and_a_distilled_model_with_nothing(base: Base) -> None:
    family = load(str(base("flux2")), CPU)
    assert not torch.equal(family.draw(["box"], [1], 16, 2, 1.0), family.draw(["box"], [1], 16, 2, 5.0))
    other = load(str(base("flux2", kind="distilled")), CPU)
    assert torch.equal(other.draw(["box"], [1], 16, 2, 1.0), other.draw(["box"], [1], 16, 2, 5.0))
