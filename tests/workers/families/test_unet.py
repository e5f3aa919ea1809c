"""SD 1.5 and SDXL against diffusers' own arithmetic: same noise, same targets, same weights, same pictures."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, get_args

import pytest
import safetensors.torch
import torch
from diffusers import DDIMScheduler, DDPMScheduler, DiffusionPipeline, EulerAncestralDiscreteScheduler
from diffusers.training_utils import compute_snr
from diffusers.utils import logging
from peft import get_peft_model_state_dict
from PIL import Image

from app.datasets.manifest import ManifestRow, Split, write_manifest
from app.training.recipe import Recipe
from tests.workers.families import tiny
from tests.workers.families.tiny_unets import PICTURE_PX, TOKENS
from workers.errors import InputError
from workers.families import lora, lora_merge
from workers.families.registry import load_family, stacked
from workers.families.unet import Unet
from workers.finetune.train import train

# EulerDiscreteScheduler makes an array of a tensor in a way that NumPy is about to give up.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

CPU = torch.device("cpu")
NAMES = ("sd15", "sdxl")
LEVELS = torch.tensor([0, 1, 10, 250, 499, 750, 998, 999])
TIMESTEPS = (LEVELS + 0.5) / 1000


@pytest.fixture(params=NAMES, scope="module")
def folder(request: pytest.FixtureRequest, base: Callable[..., Path]) -> Path:
    """A base of each of the two families."""
    return base(request.param, prediction_type="epsilon")


@pytest.fixture(scope="module")
def family(folder: Path) -> Unet:
    """A loaded one that no test changes."""
    return unet(folder)


@pytest.fixture
def fresh(folder: Path) -> Unet:
    """One loaded for this test alone."""
    return unet(folder)


@pytest.fixture(params=["epsilon", "v_prediction"], scope="module")
def either(request: pytest.FixtureRequest, base: Callable[..., Path]) -> Unet:
    """A family that answers with n, and one that answers with v."""
    return unet(base("sd15", prediction_type=request.param))


def unet(folder: Path) -> Unet:
    loaded = load_family(folder.name.partition("-")[0], str(folder), CPU)
    assert isinstance(loaded, Unet)
    return loaded


def schedule(family: Unet) -> DDPMScheduler:
    assert family.folder is not None
    return DDPMScheduler.from_pretrained(family.folder / "scheduler")


def latents(seed: int, count: int = len(LEVELS)) -> torch.Tensor:
    return torch.randn((count, 4, 8, 8), generator=torch.Generator().manual_seed(seed))


def pipeline_picture(pipeline: Any, prompt: str, seed: int, guidance: float) -> torch.Tensor:
    """What diffusers draws by itself, uint8 [16, 16, 3]."""
    pipeline.set_progress_bar_config(disable=True)
    drawn = pipeline(
        prompt,
        height=PICTURE_PX,
        width=PICTURE_PX,
        num_inference_steps=5,
        guidance_scale=guidance,
        generator=torch.Generator().manual_seed(seed),
        output_type="np",
    ).images[0]
    return torch.from_numpy(drawn * 255.0).round().to(torch.uint8)


def test_even_timesteps_meet_every_noise_level_equally_often(either: Unet) -> None:
    evenly = (torch.arange(100_000) + 0.5) / 100_000
    assert torch.equal(torch.bincount(either.levels(evenly)), torch.full((1000,), 100))
    assert either.levels(torch.tensor([1e-4, 0.5, 0.50001, 1.0])).tolist() == [0, 499, 500, 999]


def test_noise_is_added_as_the_base_was_trained(either: Unet) -> None:
    clean, noise = latents(0), latents(1)
    theirs = schedule(either).add_noise(clean, noise, LEVELS)
    assert torch.equal(either.noisy(clean, noise, TIMESTEPS), theirs)


@pytest.mark.parametrize("gamma", [0.0, 5.0])
@pytest.mark.parametrize("has_weights", [False, True])
def test_errors_are_weighted_distances_from_what_the_base_answers_with(
    either: Unet, recipe: Callable[..., Recipe], gamma: float, has_weights: bool
) -> None:
    clean, noise, answer = latents(0), latents(1), latents(2)
    theirs = schedule(either)
    is_velocity = theirs.config.prediction_type == "v_prediction"
    target = theirs.get_velocity(clean, noise, LEVELS) if is_velocity else noise
    weights = torch.rand_like(answer[:, :1]) if has_weights else None
    squares = torch.nn.functional.mse_loss(answer, target, reduction="none")
    errors = (squares if weights is None else squares * weights).mean(dim=(1, 2, 3))
    if gamma:
        snr = compute_snr(theirs, LEVELS)
        errors *= torch.minimum(snr, torch.full_like(snr, gamma)) / (snr + 1 if is_velocity else snr)
    ours = either.errors(answer, clean, noise, TIMESTEPS, recipe(family="sd15", min_snr_gamma=gamma), weights)
    torch.testing.assert_close(ours, errors, rtol=1e-4, atol=1e-7)


def test_weighted_errors_of_either_answer_are_the_same_in_clean_latents(
    either: Unet, recipe: Callable[..., Recipe]
) -> None:
    clean, noise, answer = latents(0), latents(1), latents(2)
    weighted = either.errors(answer, clean, noise, TIMESTEPS, recipe(family="sd15", min_snr_gamma=5.0))
    given = either.clean_from(answer, either.noisy(clean, noise, TIMESTEPS), TIMESTEPS)
    snr = compute_snr(schedule(either), LEVELS)
    wanted = snr.clamp(max=5.0) * (given - clean).square().mean(dim=(1, 2, 3))
    torch.testing.assert_close(weighted, wanted, rtol=1e-3, atol=1e-6)


def test_without_signal_the_weight_is_a_number(tmp_path: Path) -> None:
    for answer, weight in (("epsilon", 1.0), ("v_prediction", 0.0)):
        silent = unet(tiny.sdxl(tmp_path / f"sdxl-{answer}", prediction_type=answer, rescale_betas_zero_snr=True))
        assert silent.min_snr_weights(torch.tensor([1.0]), 5.0).item() == pytest.approx(weight, abs=1e-6)


def test_the_clean_latents_are_those_of_a_step_of_drawing(either: Unet) -> None:
    clean, noise, answer = latents(0), latents(1), latents(2)
    seen = either.noisy(clean, noise, TIMESTEPS)
    ours = either.clean_from(answer, seen, TIMESTEPS)
    drawing = DDIMScheduler.from_config(schedule(either).config, clip_sample=False)
    drawing.set_timesteps(1000)
    for row, level in enumerate(LEVELS):
        step = drawing.step(answer[row], level, seen[row])
        torch.testing.assert_close(ours[row], step.pred_original_sample, rtol=1e-5, atol=1e-4)


def test_the_network_is_asked_as_the_pipeline_asks_it(family: Unet, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[torch.Tensor, Any, torch.Tensor]] = []
    forward = family.model.forward

    def watch(sample: torch.Tensor, timestep: Any, *rest: Any, **named: Any) -> Any:
        answer = forward(sample, timestep, *rest, **named)
        asked.append((sample.clone(), timestep, answer[0].clone()))
        return answer

    with monkeypatch.context() as watching:
        watching.setattr(family.model, "forward", watch)
        pipeline_picture(family.pipeline, "red mug", 7, 1.0)
    assert len(asked) >= 5
    text = stacked(family.encode_texts(["red mug"]))
    for sample, level, theirs in asked:
        with torch.no_grad():
            ours = family.predict(family.model, sample, torch.tensor([(float(level) + 1) / 1000]), text)
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_a_batch_draws_what_the_pipeline_draws_one_by_one(family: Unet, guidance: float) -> None:
    prompts, seeds = ["red mug", "", "Zlorf &amp; Café ÆØ-31"], [1, 2, 3]
    ours = family.draw(prompts, seeds, PICTURE_PX, 5, guidance)
    assert (ours.dtype, ours.shape) == (torch.uint8, (3, PICTURE_PX, PICTURE_PX, 3))
    for picture, prompt, seed in zip(ours, prompts, seeds, strict=True):
        theirs = pipeline_picture(family.pipeline, prompt, seed, guidance)
        assert (picture.int() - theirs.int()).abs().max() <= 1
    assert (ours[0].int() - ours[1].int()).abs().max() > 5


def test_a_picture_depends_on_its_own_seed_also_where_drawing_adds_noise(fresh: Unet) -> None:
    fresh.pipeline.scheduler = EulerAncestralDiscreteScheduler.from_config(fresh.pipeline.scheduler.config)
    one = fresh.draw(["red mug"], [4], PICTURE_PX, 5, 2.0)[0]
    beside_another = fresh.draw(["blue box", "red mug"], [3, 4], PICTURE_PX, 5, 2.0)[1]
    assert (one.int() - beside_another.int()).abs().max() <= 1


def test_pictures_become_the_scaled_middle_of_the_posterior(family: Unet) -> None:
    pictures = torch.randint(0, 256, (2, PICTURE_PX, PICTURE_PX + 8, 3), dtype=torch.uint8)
    ours = family.encode_pictures(pictures)
    vae, processor = family.pipeline.vae, family.pipeline.image_processor
    prepared = processor.preprocess(pictures.permute(0, 3, 1, 2) / 255.0)
    theirs = vae.encode(prepared).latent_dist.mode() * vae.config.scaling_factor
    torch.testing.assert_close(ours, theirs)
    assert ours.shape == (2, 4, 8, 12)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(family.encode_pictures(pictures), ours)


def test_texts_are_encoded_as_the_pipeline_encodes_them(family: Unet) -> None:
    texts = ["  Red mug, “matte” &amp; small ", "Café box", "mug " * 30]
    device = {"device": CPU, "num_images_per_prompt": 1, "do_classifier_free_guidance": False}
    theirs = family.pipeline.encode_prompt(texts, **device)
    for row, ours in enumerate(family.encode_texts(texts)):
        assert torch.equal(ours["tokens"], theirs[0][row])
        if "pooled" in ours:
            assert torch.equal(ours["pooled"], theirs[2][row])


def test_the_empty_text_is_the_unguided_branch(family: Unet) -> None:
    device = {"device": CPU, "num_images_per_prompt": 1, "do_classifier_free_guidance": True}
    theirs = family.pipeline.encode_prompt(["red mug"], **device)
    alone, beside = family.encode_texts([""])[0], family.encode_texts(["red mug", ""])[1]
    for ours in (alone, beside):
        torch.testing.assert_close(ours["tokens"], theirs[1][0])
        if "pooled" in ours:
            torch.testing.assert_close(ours["pooled"], theirs[3][0])


def test_many_texts_are_encoded_like_each_alone(family: Unet) -> None:
    texts = [f"box number {n}" for n in range(70)]
    together, alone = family.encode_texts(texts), family.encode_texts([texts[69]])[0]
    torch.testing.assert_close(together[69], alone, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(together[68]["tokens"], alone["tokens"])


def test_tokens_are_counted_before_the_cut(family: Unet) -> None:
    counts, limit = family.token_counts(["", "red", "mug " * 30])
    assert limit == TOKENS
    assert counts[0] == 2
    assert counts[0] < counts[1] < limit < counts[2]


def test_sides_can_be_halved_by_autoencoder_and_network(family: Unet) -> None:
    assert family.size_multiple == 4
    assert not family.is_flow
    assert family.shift(512, 512) == 1.0


def test_computing_blocks_twice_gives_the_same_gradients(fresh: Unet, recipe: Callable[..., Recipe]) -> None:
    plain = gradients(fresh, recipe(family=fresh.name))
    fresh.model.enable_gradient_checkpointing()  # type: ignore[operator]
    twice = gradients(fresh, recipe(family=fresh.name))
    torch.testing.assert_close(plain, twice)


def test_autocast_changes_the_error_by_its_rounding_only(family: Unet, recipe: Callable[..., Recipe]) -> None:
    plain = batch_errors(family, recipe(family=family.name))
    with torch.autocast("cpu", torch.bfloat16):
        rounded = batch_errors(family, recipe(family=family.name))
    assert rounded.dtype == torch.float32
    assert not torch.equal(plain, rounded)
    torch.testing.assert_close(plain, rounded, rtol=0.03, atol=0.03)


def test_a_base_kept_in_bf16_learns_and_draws_nearly_the_same(fresh: Unet, recipe: Callable[..., Recipe]) -> None:
    plain = batch_errors(fresh, recipe(family=fresh.name))
    drawn = fresh.draw(["red mug"], [5], PICTURE_PX, 5, 3.0)
    fresh.model.bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        rounded = batch_errors(fresh, recipe(family=fresh.name))
    torch.testing.assert_close(plain, rounded, rtol=0.03, atol=0.03)
    narrow = fresh.draw(["red mug"], [5], PICTURE_PX, 5, 3.0)
    assert not torch.equal(narrow, drawn)
    assert (narrow.int() - drawn.int()).abs().float().mean() < 3
    assert "forward" not in vars(fresh.model)


def batch_errors(family: Unet, recipe: Recipe) -> torch.Tensor:
    clean, noise, timesteps = latents(0, 2), latents(1, 2), torch.tensor([0.2, 0.9])
    text = stacked(family.encode_texts(["red mug", ""]))
    answer = family.predict(family.model, family.noisy(clean, noise, timesteps), timesteps, text)
    return family.errors(answer, clean, noise, timesteps, recipe)


def gradients(family: Unet, recipe: Recipe) -> list[torch.Tensor]:
    family.model.train().zero_grad()
    batch_errors(family, recipe).mean().backward()
    return [p.grad.clone() for p in family.model.parameters() if p.grad is not None]


def test_an_export_needs_no_code_of_ours_and_draws_the_same(fresh: Unet, folder: Path, tmp_path: Path) -> None:
    nudge(fresh.model.parameters())
    fresh.save_weights(tmp_path / "unet")
    fresh.export(tmp_path / "unet", tmp_path / "model")
    index = json.loads((tmp_path / "model" / "model_index.json").read_text())
    assert {part[0] for part in index.values() if isinstance(part, list)} - {None} == {"diffusers", "transformers"}
    for config in (tmp_path / "model").rglob("*.json"):
        assert str(folder.parent) not in config.read_text(), config.name
    exported = DiffusionPipeline.from_pretrained(tmp_path / "model")
    theirs = pipeline_picture(exported, "red mug", 5, 3.0)
    assert torch.equal(theirs, pipeline_picture(fresh.pipeline, "red mug", 5, 3.0))
    assert not torch.equal(theirs, pipeline_picture(unet(folder).pipeline, "red mug", 5, 3.0))


def test_saved_weights_load_back(fresh: Unet, folder: Path, tmp_path: Path) -> None:
    nudge(fresh.model.parameters())
    fresh.save_weights(tmp_path / "w")
    other = unet(folder)
    other.load_weights(tmp_path / "w")
    for ours, theirs in zip(fresh.model.parameters(), other.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def nudge(parameters: Iterable[torch.nn.Parameter]) -> None:
    with torch.no_grad():
        for parameter in parameters:
            parameter.add_(0.01)


def test_an_adapter_loads_into_the_pipeline_with_no_key_left_over(
    fresh: Unet, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    parameters = lora.put_on(fresh, 4, seed=1)
    nudge(parameters)
    lora.save(fresh, tmp_path)
    saved = safetensors.torch.load_file(tmp_path / lora.FILE)
    assert all(name.startswith("unet.") for name in saved)
    theirs = DiffusionPipeline.from_pretrained(folder)
    logging.enable_propagation()
    try:
        theirs.load_lora_weights(tmp_path)
    finally:
        logging.disable_propagation()
    # It says that there is nothing for the text encoders, and must have nothing else to say.
    told = [record.getMessage() for record in caplog.records]
    assert not [line for line in told if not line.startswith("No LoRA keys associated to CLIPText")]
    loaded = {
        f"unet.{name}": value
        for name, value in get_peft_model_state_dict(theirs.unet, adapter_name="default_0").items()
    }
    assert loaded.keys() == saved.keys()
    assert all(torch.equal(loaded[name], saved[name]) for name in saved)
    drawn = pipeline_picture(theirs, "red mug", 5, 3.0)
    assert torch.equal(drawn, fresh.draw(["red mug"], [5], PICTURE_PX, 5, 3.0)[0])
    assert not torch.equal(drawn, unet(folder).draw(["red mug"], [5], PICTURE_PX, 5, 3.0)[0])


def test_an_adapter_loads_back_and_merges_into_a_plain_network(fresh: Unet, folder: Path, tmp_path: Path) -> None:
    nudge(lora.put_on(fresh, 4, seed=1))
    lora.save(fresh, tmp_path)
    drawn = fresh.draw(["red mug"], [5], PICTURE_PX, 5, 3.0)
    other = unet(folder)
    lora.load(other, tmp_path)
    assert torch.equal(other.draw(["red mug"], [5], PICTURE_PX, 5, 3.0), drawn)
    lora_merge.save_merged(other, tmp_path / "merged")
    lora.take_off(other)
    other.load_weights(tmp_path / "merged")
    merged = other.draw(["red mug"], [5], PICTURE_PX, 5, 3.0)
    assert (merged.int() - drawn.int()).abs().max() <= 1


def test_the_other_family_is_refused(folder: Path) -> None:
    other = NAMES[1 - NAMES.index(folder.name.partition("-")[0])]
    with pytest.raises(InputError, match="is not a Stable Diffusion"):
        load_family(other, str(folder), CPU)


@pytest.mark.parametrize(
    ("part", "changes", "why"),
    [
        ("scheduler", {"prediction_type": "sample"}, "noise or velocity"),
        ("unet", {"time_cond_proj_dim": 8}, "text alone"),
    ],
)
def test_a_base_that_was_trained_otherwise_is_refused(
    folder: Path, tmp_path: Path, part: str, changes: dict[str, Any], why: str
) -> None:
    changed = shutil.copytree(folder, tmp_path / folder.name)
    config = next((changed / part).glob("*config.json"))
    config.write_text(json.dumps({**json.loads(config.read_text()), **changes}))
    with pytest.raises(InputError, match=why):
        unet(changed)


@pytest.mark.slow
def test_it_overfits_one_picture_and_its_adapter_another(
    folder: Path, recipe: Callable[..., Recipe], listener: Any, tmp_path: Path
) -> None:
    knobs: dict[str, Any] = {
        "family": folder.name.partition("-")[0], "steps": 30, "batch_size": 16, "adamw_beta2": 0.99, "ema_decay": 0.0,
        "constant_share": 0.8, "caption_dropout": 0.0, "timestep_uniform_share": 1.0, "validate_every": 30,
        "checkpoint_every": 30, "lora_rank": 8,
    }  # fmt: skip
    dark, half = tmp_path / "dark", tmp_path / "half"
    full, adapter = listener(), listener()
    one, other = one_picture(dark, "black", "black", "blue box"), one_picture(half, "white", "red", "red mug")
    train(recipe(base=str(folder), method="full", adamw_lr=4e-3, **knobs), one, dark, full, CPU, False)
    train(recipe(base=str(dark / "model"), method="lora", adamw_lr=1e-2, **knobs), other, half, adapter, CPU, False)
    before, after = (facts["loss"] for facts in full.facts("validation"))
    assert after < 0.3 * before
    # Nearly clean, the noise can be told only by who knows the picture.
    before, after = (facts["loss_by_band"][0] for facts in adapter.facts("validation"))
    assert after < 0.65 * before
    assert [file.name for file in (half / "checkpoints" / "step-000030" / "weights").iterdir()] == [lora.FILE]


def one_picture(folder: Path, left: str, right: str, caption: str) -> Path:
    """A manifest with one picture, of two halves, to learn from and to look at."""
    folder.mkdir()
    picture = Image.new("RGB", (PICTURE_PX, PICTURE_PX), left)
    picture.paste(right, (PICTURE_PX // 2, 0, PICTURE_PX, PICTURE_PX))
    rows = []
    for level, split in enumerate(get_args(Split)):
        # The same pixels in other bytes: no member may be in both splits.
        picture.save(folder / f"{split}.png", compress_level=level)
        digest = hashlib.sha256((folder / f"{split}.png").read_bytes()).hexdigest()
        rows.append(ManifestRow(f"{split}.png", caption, split, split, digest, PICTURE_PX, PICTURE_PX))
    write_manifest(folder / "manifest.jsonl", rows)
    return folder / "manifest.jsonl"
