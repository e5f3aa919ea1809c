"""The PRX pixel family against diffusers' own pipeline: same text, same noise, same velocities, same pictures."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DiffusionPipeline

from app.training.recipe import Recipe
from workers.errors import InputError
from workers.families.prx_pixel import SAMPLING_FLOOR, PrxPixel, load
from workers.families.registry import load_family, stacked

CPU = torch.device("cpu")


@pytest.fixture
def family(tiny_base: Path) -> PrxPixel:
    return load(str(tiny_base), CPU)


def pipeline_picture(pipeline: Any, prompt: str, seed: int, guidance: float) -> torch.Tensor:
    """What diffusers draws by itself, uint8 [16, 16, 3]."""
    drawn = pipeline(
        prompt,
        num_inference_steps=5,
        guidance_scale=guidance,
        generator=torch.Generator().manual_seed(seed),
        use_resolution_binning=False,
        output_type="np",
    ).images[0]
    return torch.from_numpy(drawn * 255.0).round().to(torch.uint8)


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_a_batch_draws_what_the_pipeline_draws_one_by_one(family: PrxPixel, guidance: float) -> None:
    prompts, seeds = ["Red mug on a white background.", "", "Zlorf &amp; Caf\u00c3\u00a9"], [1, 2, 3]
    ours = family.draw(prompts, seeds, 16, 5, guidance)
    for picture, prompt, seed in zip(ours, prompts, seeds, strict=True):
        theirs = pipeline_picture(family.pipeline, prompt, seed, guidance)
        assert (picture.int() - theirs.int()).abs().max() <= 1


def test_noise_and_timesteps_are_scaled_once_and_as_in_the_pipeline(
    family: PrxPixel, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    predict = family.model.forward

    def watch(hidden_states: torch.Tensor, timestep: torch.Tensor, *rest: Any, **named: Any) -> Any:
        seen.append((hidden_states.clone(), timestep.clone()))
        return predict(hidden_states, timestep, *rest, **named)

    monkeypatch.setattr(family.model, "forward", watch)
    family.draw(["mug"], [7], 16, 4, 1.0)
    latents, first = seen[0]
    noise = torch.randn((1, 3, 16, 16), generator=torch.Generator().manual_seed(7))
    assert torch.equal(latents, noise * 1.5)
    assert first.item() == pytest.approx(1.0)
    assert all(0.0 < timestep.item() <= 1.0 for _, timestep in seen)
    theirs = len(seen)
    pipeline_picture(family.pipeline, "mug", 7, 1.0)
    assert torch.equal(seen[theirs][0], seen[0][0])


def test_the_error_is_the_distance_of_velocities_as_the_pipeline_converts_them(
    family: PrxPixel, recipe: Callable[..., Recipe]
) -> None:
    generator = torch.Generator().manual_seed(0)
    clean = torch.rand((4, 3, 16, 16), generator=generator) * 2 - 1
    noise = torch.randn(clean.shape, generator=generator) * family.noise_scale
    timesteps = torch.tensor([0.02, 0.3, 0.6, 1.0])
    batch = stacked(family.encode_texts(["red box"]) * 4)
    t = timesteps[:, None, None, None]
    noisy = family.noisy(clean, noise, timesteps)
    assert torch.equal(noisy, (1 - t) * clean + t * noise)
    with torch.no_grad():
        predicted = family.predict(family.model, noisy, timesteps, batch)
        theirs = family.model(noisy, timesteps, batch["tokens"], batch["mask"], return_dict=False)[0]
    assert torch.equal(predicted, theirs)
    errors = family.errors(predicted, clean, noise, timesteps, recipe(velocity_floor=SAMPLING_FLOOR))
    # diffusers turns x0 into (x_t - x0) / max(t, 0.05); the true velocity is that of the true x0.
    wanted = (noisy - clean) / t.clamp(min=0.05)
    given = (noisy - predicted) / t.clamp(min=0.05)
    assert torch.allclose(errors, (given - wanted).square().mean(dim=(1, 2, 3)), rtol=1e-4)
    assert torch.allclose(wanted[1:], (noise - clean)[1:], atol=1e-4)
    assert torch.equal(family.clean_from(predicted, noisy, timesteps), predicted)


def test_texts_are_encoded_as_the_pipeline_encodes_them(family: PrxPixel) -> None:
    texts = ["  Red mug, \u201cmatte\u201d &amp; small ", "", "Caf\u00c3\u00a9 box"]
    encoded = family.encode_texts(texts)
    theirs, mask, _, _ = family.pipeline.encode_prompt(texts, do_classifier_free_guidance=False)
    for ours, row, kept in zip(encoded, theirs, mask, strict=True):
        assert torch.equal(ours["tokens"], row[kept])
    assert len(encoded[1]["tokens"]) == 0


def test_a_batch_of_texts_is_encoded_like_each_alone(family: PrxPixel) -> None:
    texts = [f"box number {n}" for n in range(70)]
    together = family.encode_texts(texts)
    assert torch.allclose(together[69]["tokens"], family.encode_texts([texts[69]])[0]["tokens"], atol=1e-5)


def test_tokens_are_counted_before_they_are_cut(family: PrxPixel) -> None:
    counts, limit = family.token_counts(["red box", "box " * 40, "&amp;"])
    assert limit == 16
    assert counts[0] == len(family.encode_texts(["red box"])[0]["tokens"])
    assert counts[1] == 40
    assert counts[2] == len(family.encode_texts(["&amp;"])[0]["tokens"])


def test_pictures_become_what_the_pipeline_gives_back(family: PrxPixel) -> None:
    pictures = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16, 1).repeat(1, 1, 1, 3)
    given = family.encode_pictures(pictures)
    assert (given.min().item(), given.max().item()) == (-1.0, 1.0)
    back = family.pipeline.image_processor.postprocess(given, output_type="np")
    assert torch.equal(torch.from_numpy(back * 255.0).round().to(torch.uint8), pictures)


def test_an_export_needs_no_code_of_ours_and_draws_the_same(family: PrxPixel, tiny_base: Path, tmp_path: Path) -> None:
    with torch.no_grad():
        for parameter in family.model.parameters():
            parameter.add_(0.01)
    family.save_weights(tmp_path / "transformer")
    family.export(tmp_path / "transformer", tmp_path / "model")
    index = json.loads((tmp_path / "model" / "model_index.json").read_text())
    assert {part[0] for part in index.values() if isinstance(part, list)} == {"diffusers", "transformers"}
    assert not list((tmp_path / "model").rglob("*.py"))
    for config in (tmp_path / "model").rglob("*.json"):
        assert str(tiny_base.parent) not in config.read_text(), config.name
    exported = DiffusionPipeline.from_pretrained(tmp_path / "model")
    theirs = pipeline_picture(exported, "red box", 5, 3.0)
    assert torch.equal(theirs, pipeline_picture(family.pipeline, "red box", 5, 3.0))


def test_saved_weights_load_back(family: PrxPixel, tiny_base: Path, tmp_path: Path) -> None:
    with torch.no_grad():
        next(family.model.parameters()).add_(1.0)
    family.save_weights(tmp_path / "w")
    other = load(str(tiny_base), CPU)
    other.load_weights(tmp_path / "w")
    for ours, theirs in zip(family.model.parameters(), other.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_what_is_not_there_or_of_another_kind_is_refused(family: PrxPixel, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no model family called unheard"):
        load_family("unheard", str(tmp_path), CPU)
    with pytest.raises(InputError, match="holds no pipeline"):
        load_family("prx_pixel", str(tmp_path), CPU)
    with pytest.raises(InputError, match="cannot be loaded"):
        family.load_weights(tmp_path)
    with pytest.raises(InputError, match="cannot be fetched"):
        load_family("prx_pixel", "nobody/nothing", CPU)


@pytest.mark.parametrize(
    "index", ["{}", "[]", "{", '{"_class_name": ["pipeline", "Evil"]}', '{"_class_name": "FluxPipeline"}']
)
def test_a_folder_with_another_kind_of_pipeline_is_refused_before_it_is_loaded(tmp_path: Path, index: str) -> None:
    (tmp_path / "model_index.json").write_text(index)
    (tmp_path / "pipeline.py").write_text("raise AssertionError('code of a model folder was run')")
    with pytest.raises(InputError, match="not a PRX pixel pipeline"):
        load(str(tmp_path), CPU)


def test_a_broken_pipeline_folder_is_refused(tiny_base: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_base, tmp_path / "base")
    shutil.rmtree(tmp_path / "base" / "text_encoder")
    with pytest.raises(InputError, match="cannot be loaded"):
        load(str(tmp_path / "base"), CPU)
