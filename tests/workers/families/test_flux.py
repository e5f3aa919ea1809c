"""What is FLUX.1's own: dev and schnell, the guidance that is told, the shift by size, tokens of 2 x 2."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers.pipelines.flux.pipeline_flux import FluxPipeline, calculate_shift

from tests.workers.families import tiny_flow
from workers.errors import InputError
from workers.families.flux import Flux, load
from workers.families.registry import stacked
from workers.families.velocity import patches, points, tokens

CPU = torch.device("cpu")


@pytest.fixture
def dev(base: Callable[..., Path]) -> Path:
    return base("flux", kind="dev")


@pytest.fixture
def schnell(base: Callable[..., Path]) -> Path:
    return base("flux", kind="schnell")


def told(family: Flux) -> dict[str, torch.Tensor]:
    """What the transformer is told in training."""
    calls: list[dict[str, torch.Tensor]] = []
    handle = family.model.register_forward_pre_hook(lambda _, given, named: calls.append(named), with_kwargs=True)
    text = stacked(family.encode_texts(["box", "mug"]))
    with torch.no_grad():
        family.predict(family.model, torch.zeros(2, 4, 8, 6), torch.tensor([0.25, 1.0]), text)
    handle.remove()
    return calls[0]


def test_dev_is_told_a_guidance_of_one_in_training_and_the_asked_one_in_drawing(dev: Path) -> None:
    family = load(str(dev), CPU)
    call = told(family)
    assert call["guidance"].tolist() == [1.0, 1.0]
    assert call["timestep"].tolist() == [0.25, 1.0]
    drawn: list[float] = []
    family.model.register_forward_pre_hook(
        lambda _, given, named: drawn.append(named["guidance"].item()), with_kwargs=True
    )
    family.draw(["box"], [1], 16, 2, 3.5)
    assert drawn == [3.5, 3.5]  # once a step: no second, unguided pass


def test_schnell_is_told_no_guidance(schnell: Path) -> None:
    family = load(str(schnell), CPU)
    assert told(family)["guidance"] is None
    assert torch.equal(family.draw(["box"], [1], 16, 2, 1.0), family.draw(["box"], [1], 16, 2, 7.0))


def test_texts_are_t5s_tokens_and_clips_summary(dev: Path, schnell: Path) -> None:
    for base, length in ((dev, 512), (schnell, 256)):
        family = load(str(base), CPU)
        texts = ["a red Zlorf box", ""]
        embeddings, pooled, _ = family.pipeline.encode_prompt(texts, max_sequence_length=length)
        for row, text in enumerate(family.encode_texts(texts)):
            assert torch.equal(text["tokens"], embeddings[row])
            assert torch.equal(text["pooled"], pooled[row])
        assert family.token_counts(["a red Zlorf box " * 70]) == ([280], length)
        # Drawn with as many as trained with.
        seen: list[int] = []
        family.model.register_forward_pre_hook(
            lambda _, given, named, seen=seen: seen.append(named["encoder_hidden_states"].shape[1]), with_kwargs=True
        )
        family.draw(["box"], [1], 16, 1, 1.0)
        assert seen == [length]


def test_devs_shift_grows_with_the_picture_as_in_the_pipeline() -> None:
    family = Flux(tiny_flow.flux_pipeline(levels=4))
    assert family.size_multiple == 16
    for height, width in ((256, 256), (512, 512), (768, 1344), (1024, 1024)):
        # The token count is the pipeline's: of packed latents, a quarter of the autoencoder's points.
        latents, _ = family.pipeline.prepare_latents(1, 4, height, width, torch.float32, CPU, torch.Generator())
        mu = calculate_shift(latents.shape[1], 256, 4096, 0.5, 1.15)
        assert family.shift(height, width) == pytest.approx(float(torch.tensor(mu).exp()), rel=1e-5)
    assert family.shift(1024, 1024) == pytest.approx(3.158, abs=1e-3)  # exp(1.15): 4096 tokens
    assert family.shift(256, 256) == pytest.approx(1.649, abs=1e-3)  # exp(0.5): 256 tokens


def test_the_shift_moves_timesteps_as_the_scheduler_does() -> None:
    family = Flux(tiny_flow.flux_pipeline(levels=4))
    scheduler = family.pipeline.scheduler
    scheduler.set_timesteps(sigmas=[1.0, 0.75, 0.5, 0.25], mu=family.mu(1024))
    shift, even = family.shift(512, 512), torch.tensor([1.0, 0.75, 0.5, 0.25])
    assert torch.allclose(scheduler.sigmas[:-1], shift * even / (1 + (shift - 1) * even))


def test_schnell_draws_unshifted() -> None:
    assert Flux(tiny_flow.flux_pipeline(guided=False, levels=4)).shift(1024, 1024) == 1.0


def test_latents_become_tokens_as_in_the_pipeline_and_back() -> None:
    latents = torch.randn(2, 4, 6, 8)
    packed = tokens(patches(latents))
    assert torch.equal(packed, FluxPipeline._pack_latents(latents, 2, 4, 6, 8))
    assert torch.equal(torch.nn.functional.pixel_shuffle(points(packed, 3, 4), 2), latents)


def test_another_pipeline_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text('{"_class_name": "FluxFillPipeline"}')
    with pytest.raises(InputError, match=r"is not a FLUX.1 pipeline"):
        load(str(tmp_path), CPU)
