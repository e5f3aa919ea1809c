"""Latent PRX against diffusers' own pipeline: latents, words, velocities, pictures and exports."""

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
from workers.families.prx import Prx, load
from workers.families.registry import stacked

pytestmark = pytest.mark.filterwarnings("ignore:`LoraLoaderMixin` is deprecated:FutureWarning")

CPU = torch.device("cpu")
Base = Callable[..., Path]
KINDS = [("kl", "t5"), ("kl", "t5gemma"), ("dc", "t5gemma")]
PRODUCT = 'Nike Air Max 270 (black), SKU AB1234, 运动鞋, label "FREE SHIPPING 50% OFF"'


@pytest.fixture(params=KINDS, ids="-".join)
def family(request: pytest.FixtureRequest, base: Base) -> Prx:
    vae, encoder = request.param
    return load(str(base("prx", vae=vae, encoder=encoder)), CPU)


@pytest.fixture
def kl(base: Base) -> Prx:
    return load(str(base("prx", vae="kl", encoder="t5")), CPU)


def pipeline_picture(pipeline: Any, prompt: str, seed: int, guidance: float, steps: int = 3) -> torch.Tensor:
    """What diffusers draws by itself with the words kept, uint8 [16, 16, 3]."""
    drawn = pipeline(
        prompt,
        height=16,
        width=16,
        num_inference_steps=steps,
        guidance_scale=guidance,
        generator=torch.Generator().manual_seed(seed),
        use_resolution_binning=False,
        skip_text_cleaning=True,
        output_type="np",
    ).images[0]
    return torch.from_numpy(drawn * 255.0).round().to(torch.uint8)


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_a_batch_draws_what_the_pipeline_draws_one_by_one(family: Prx, guidance: float) -> None:
    prompts, seeds = ["Red mug on a white background.", "", PRODUCT], [1, 2, 3]
    ours = family.draw(prompts, seeds, 16, 3, guidance)
    assert len({picture.numpy().tobytes() for picture in ours}) == 3
    for picture, prompt, seed in zip(ours, prompts, seeds, strict=True):
        theirs = pipeline_picture(family.pipeline, prompt, seed, guidance)
        assert (picture.int() - theirs.int()).abs().max() <= 1


def test_latents_are_what_the_pipeline_decodes(family: Prx) -> None:
    pictures = torch.randint(0, 256, (2, 16, 16, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    latents = family.encode_pictures(pictures)
    assert latents.shape == (2, 4, 8, 8)
    assert latents.dtype == torch.float32
    assert torch.equal(latents[1:], family.encode_pictures(pictures[1:]))
    vae, config = family.pipeline.vae, family.pipeline.vae.config
    given = family.pipeline.image_processor.preprocess(pictures.permute(0, 3, 1, 2) / 255.0)
    raw = vae.encode(given)
    middle = raw.latent if hasattr(raw, "latent") else raw.latent_dist.mean
    # The pipeline decodes latents / scale + shift.
    back = latents / config.scaling_factor + (getattr(config, "shift_factor", None) or 0.0)
    assert torch.allclose(back, middle, atol=1e-5)
    assert family.size_multiple == (4 if "Dist" in type(getattr(raw, "latent_dist", None)).__name__ else 2)


def test_one_step_of_the_pipeline_is_our_step(kl: Prx, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    steps: list[torch.Tensor] = []
    forward, step = kl.model.forward, kl.pipeline.scheduler.step

    def watch(hidden_states: torch.Tensor, timestep: torch.Tensor, *rest: Any, **named: Any) -> Any:
        seen.append((hidden_states.clone(), timestep.clone()))
        return forward(hidden_states, timestep, *rest, **named)

    def stepped(velocity: torch.Tensor, *rest: Any, **named: Any) -> Any:
        answer = step(velocity, *rest, **named)
        steps.append(answer.prev_sample)
        return answer

    monkeypatch.setattr(kl.model, "forward", watch)
    monkeypatch.setattr(kl.pipeline.scheduler, "step", stepped)
    pipeline_picture(kl.pipeline, "mug", 7, 1.0)
    noise = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(7))
    assert torch.equal(seen[0][0], noise)
    assert seen[0][1].item() == pytest.approx(1.0)
    assert all(0.0 < time.item() <= 1.0 for _, time in seen)
    sigmas = kl.pipeline.scheduler.sigmas
    batch = stacked(kl.encode_texts(["mug"]))
    with torch.no_grad():
        velocity = kl.predict(kl.model, seen[1][0], seen[1][1], batch)
    assert torch.allclose(seen[1][1], sigmas[1:2], atol=1e-6)
    ours = seen[1][0] + (sigmas[2] - sigmas[1]) * velocity
    assert torch.allclose(ours, steps[1], atol=1e-5)
    # And the clean latents that the velocity stands for are where the last step would end from here.
    clean = kl.clean_from(velocity, seen[1][0], seen[1][1])
    assert torch.allclose(clean, seen[1][0] - sigmas[1] * velocity, atol=1e-5)


def test_a_network_that_knew_the_velocity_would_make_no_error(kl: Prx, recipe: Callable[..., Recipe]) -> None:
    generator = torch.Generator().manual_seed(0)
    clean, noise = torch.randn((2, 3, 4, 8, 8), generator=generator)
    timesteps = torch.tensor([0.01, 0.5, 1.0])
    errors = kl.errors(noise - clean, clean, noise, timesteps, recipe())
    assert torch.equal(errors, torch.zeros(3))
    assert torch.allclose(kl.errors(noise - clean + 2.0, clean, noise, timesteps, recipe()), torch.full((3,), 4.0))
    noisy = kl.noisy(clean, noise, timesteps)
    assert torch.allclose(kl.clean_from(noise - clean, noisy, timesteps), clean, atol=1e-5)
    assert (kl.noise_scale, kl.is_flow, kl.shift(16, 16)) == (1.0, True, 3.0)


def test_brands_article_numbers_and_chinese_keep_their_words(kl: Prx) -> None:
    words = kl.pipeline.text_preprocessor
    destroyed = words.clean_text(PRODUCT)
    assert not any(word in destroyed for word in ("Nike", "AB1234", "运动鞋", "FREE SHIPPING", "(black)"))
    assert words.basic_clean(PRODUCT) == PRODUCT
    kept, cleaned, lost = (kl.encode_texts([text])[0]["tokens"] for text in (PRODUCT, destroyed, "运动鞋"))
    assert kept.shape != cleaned.shape
    assert len(lost) > 0
    theirs, mask, _, _ = kl.pipeline.encode_prompt(
        [PRODUCT], do_classifier_free_guidance=False, skip_text_cleaning=True
    )
    assert torch.equal(kept, theirs[0][mask[0]])


def test_a_product_is_drawn_with_the_words_it_was_learned_with(kl: Prx, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []
    tokenize = kl.pipeline._tokenize_prompts

    def watch(prompts: list[str], *rest: Any, skip_text_cleaning: bool = False, **named: Any) -> Any:
        assert skip_text_cleaning
        seen.append(prompts)
        return tokenize(prompts, *rest, skip_text_cleaning=skip_text_cleaning, **named)

    monkeypatch.setattr(kl.pipeline, "_tokenize_prompts", watch)
    kl.encode_texts([PRODUCT])
    kl.draw([PRODUCT], [1], 16, 1, 3.0)
    assert seen == [[PRODUCT], ["", PRODUCT]]


def test_tokens_are_counted_before_they_are_cut(kl: Prx) -> None:
    counts, limit = kl.token_counts(["red box", "box " * 60])
    assert limit == kl.pipeline.tokenizer.model_max_length == 48
    assert counts == [len(kl.encode_texts(["red box"])[0]["tokens"]), 60]


def moved(family: Prx) -> None:
    with torch.no_grad():
        for parameter in family.model.parameters():
            parameter.add_(0.01)


def test_an_export_loads_with_plain_diffusers_and_draws_the_same(family: Prx, tmp_path: Path) -> None:
    moved(family)
    wanted = pipeline_picture(family.pipeline, PRODUCT, 5, 3.0)
    family.save_weights(tmp_path / "weights")
    family.export(tmp_path / "weights", tmp_path / "model")
    exported = DiffusionPipeline.from_pretrained(tmp_path / "model")
    assert torch.equal(pipeline_picture(exported, PRODUCT, 5, 3.0), wanted)
    assert not list((tmp_path / "model").rglob("*.py"))
    for config in (tmp_path / "model").rglob("*.json"):
        assert str(family.folder.parent) not in config.read_text(), config.name  # type: ignore[union-attr]
    # And so does what is exported from the export, and from what plain diffusers made of it.
    again = load(str(tmp_path / "model"), CPU)
    again.export(tmp_path / "weights", tmp_path / "again")
    assert torch.equal(pipeline_picture(DiffusionPipeline.from_pretrained(tmp_path / "again"), PRODUCT, 5, 3.0), wanted)


def test_a_folder_that_transformers_wrote_and_cannot_read_is_read_and_mended(base: Base, tmp_path: Path) -> None:
    good = DiffusionPipeline.from_pretrained(base("prx", vae="kl", encoder="t5gemma"))
    wanted = pipeline_picture(good, "red box", 5, 3.0)
    good.save_pretrained(tmp_path / "broken")
    index = json.loads((tmp_path / "broken" / "model_index.json").read_text())
    assert index["text_encoder"] == ["diffusers", "T5GemmaEncoder"]  # where diffusers does not look for it
    family = load(str(tmp_path / "broken"), CPU)
    assert torch.equal(pipeline_picture(family.pipeline, "red box", 5, 3.0), wanted)
    family.save_weights(tmp_path / "weights")
    family.export(tmp_path / "weights", tmp_path / "model")
    exported = DiffusionPipeline.from_pretrained(tmp_path / "model")
    assert torch.equal(pipeline_picture(exported, "red box", 5, 3.0), wanted)


def test_saved_weights_load_back(kl: Prx, base: Base, tmp_path: Path) -> None:
    moved(kl)
    kl.save_weights(tmp_path)
    other = load(str(base("prx", vae="kl", encoder="t5")), CPU)
    other.load_weights(tmp_path)
    for ours, theirs in zip(kl.model.parameters(), other.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_a_base_without_an_autoencoder_or_of_another_kind_is_refused(base: Base, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a PRX pipeline"):
        load(str(base("prx_pixel")), CPU)
    folder = tmp_path / "no_vae"
    shutil.copytree(base("prx", vae="kl", encoder="t5"), folder)
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps({**index, "vae": [None, None]}))
    with pytest.raises(InputError, match="no autoencoder"):
        load(str(folder), CPU)
