"""SD 3, FLUX.1 and FLUX.2 against diffusers' own pipelines: the network is told the same, and the line is straight."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DiffusionPipeline
from diffusers.loaders import peft as peft_loader
from peft import get_peft_model_state_dict
from PIL import Image

from app.datasets.manifest import ManifestRow, Split, write_manifest
from app.training.recipe import Recipe
from tests.workers.families import tiny_flow
from workers.families import lora
from workers.families.registry import Text, load_family, stacked
from workers.families.velocity import Velocity
from workers.finetune.train import train

CPU = torch.device("cpu")
SPLITS: tuple[Split, ...] = ("train", "validation")
NAMES = ("sd3", "flux", "flux2")
SIZE = 16
Calls = list[dict[str, Any]]
Base = Callable[..., Path]


@pytest.fixture(params=NAMES)
def family(base: Base, request: pytest.FixtureRequest) -> Velocity:
    return loaded(base, request.param)


def loaded(base: Base, name: str) -> Velocity:
    found = load_family(name, str(base(name)), CPU)
    assert isinstance(found, Velocity)
    return found


def picture(number: int = 0) -> torch.Tensor:
    """Something to learn or encode, uint8 [1, 16, 16, 3]: a bright square, each number in another corner and colour."""
    made = torch.full((1, SIZE, SIZE, 3), 20, dtype=torch.uint8)
    row, column = 8 * (number % 2), 8 * (number // 2 % 2)
    made[:, row : row + 8, column : column + 8, number % 3] = 250
    return made


def listened_to(family: Velocity) -> Calls:
    """What the transformer is called with from now on, by name."""
    calls: Calls = []

    def listen(_: Any, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        assert not given
        calls.append({key: value.clone() if torch.is_tensor(value) else value for key, value in named.items()})

    family.model.register_forward_pre_hook(listen, with_kwargs=True)
    return calls


def spread(family: Velocity, latents: torch.Tensor) -> torch.Tensor:
    """What a pipeline shows its transformer as points [B, C, h, w], by the pipeline's own functions."""
    if family.name == "sd3":
        return latents
    if family.name == "flux":
        return family.pipeline._unpack_latents(latents, SIZE, SIZE, family.pipeline.vae_scale_factor)
    side = SIZE // family.size_multiple
    ids = family.pipeline._prepare_latent_ids(torch.zeros(len(latents), 1, side, side))
    return family.pipeline._unpack_latents_with_ids(latents, ids, side, side)


def packed(family: Velocity, points: torch.Tensor) -> torch.Tensor:
    """The other way round."""
    if family.name == "sd3":
        return points
    return (
        family.pipeline._pack_latents(points, *points.shape)
        if family.name == "flux"
        else family.pipeline._pack_latents(points)
    )


def one_text(family: Velocity, count: int = 1) -> Text:
    return stacked(family.encode_texts(["a red Zlorf box"] * count))


def test_the_transformer_is_told_what_the_pipeline_tells_it(family: Velocity) -> None:
    prompts = ["a red Zlorf box", "blue mug"]
    calls = listened_to(family)
    family.draw(prompts, [1, 2], SIZE, 4, 1.0)
    theirs = list(calls)
    assert len(theirs) == 4
    text = stacked(family.encode_texts(prompts))
    for given, sigma in zip(theirs, family.pipeline.scheduler.sigmas, strict=False):
        calls.clear()
        with torch.no_grad():
            answer = family.predict(family.model, spread(family, given["hidden_states"]), sigma.expand(2), text)
            wanted = spread(family, family.model(**given)[0])
        (ours,) = calls[:1]
        assert torch.allclose(ours.pop("timestep"), given.pop("timestep"), rtol=1e-6)
        assert not given.pop("joint_attention_kwargs")
        assert ours.keys() == given.keys()
        for name, value in given.items():
            assert torch.equal(ours[name], value) if torch.is_tensor(value) else ours[name] == value, name
        assert torch.allclose(answer, wanted, atol=1e-5)


def test_a_step_along_the_true_velocity_stays_on_the_line(family: Velocity) -> None:
    generator = torch.Generator().manual_seed(0)
    clean = family.encode_pictures(picture())
    noise = torch.randn(clean.shape, generator=generator)
    scheduler = family.pipeline.scheduler
    scheduler.set_timesteps(5, mu=1.1)
    for index, t in enumerate(scheduler.timesteps):
        here, there = scheduler.sigmas[index : index + 2]
        noisy = family.noisy(clean, noise, here[None])
        moved = scheduler.step(noise - clean, t, noisy).prev_sample
        assert torch.allclose(moved, family.noisy(clean, noise, there[None]), atol=1e-5)
        assert torch.allclose(family.clean_from(noise - clean, noisy, here[None]), clean, atol=1e-5)


def test_the_error_is_that_of_the_velocity_and_the_same_at_every_timestep(family: Velocity) -> None:
    clean, noise = torch.randn(3, 4, 4, 4), torch.randn(3, 4, 4, 4)
    timesteps = torch.tensor([0.01, 0.5, 1.0])
    recipe: Any = None  # nothing in it is asked for
    assert family.errors(noise - clean, clean, noise, timesteps, recipe).tolist() == [0.0, 0.0, 0.0]
    errors = family.errors((noise - clean + 2.0).bfloat16(), clean, noise, timesteps, recipe)
    assert errors.dtype is torch.float32
    assert torch.allclose(errors, torch.full((3,), 4.0), rtol=0.02)


def test_a_network_that_knows_the_velocity_draws_the_encoded_picture(
    family: Velocity, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Encoding, normalising, packing, the scheduler's direction and the pipeline's decoding fit together."""
    clean = family.encode_pictures(picture())
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(7))

    def know(**given: Any) -> tuple[torch.Tensor]:
        return (packed(family, noise - clean),)

    monkeypatch.setattr(family.model, "forward", know)
    drawn = family.draw(["box"], [7], SIZE, 3, 1.0)
    vae = family.pipeline.vae
    with torch.no_grad():
        pixels = picture().permute(0, 3, 1, 2).float() / 127.5 - 1.0
        there_and_back = vae.decode(vae.encode(pixels).latent_dist.mode()).sample
    wanted = ((there_and_back / 2 + 0.5).clamp(0, 1) * 255.0).round().permute(0, 2, 3, 1)
    assert (drawn.float() - wanted).abs().max() <= 1
    assert drawn.float().std() > 5


@pytest.mark.parametrize("guidance", [1.0, 3.5])
def test_a_batch_draws_what_the_pipeline_draws_one_by_one(family: Velocity, guidance: float) -> None:
    prompts, seeds = ["a red Zlorf box", "", "blue mug SKU-77"], [1, 2, 3]
    ours = family.draw(prompts, seeds, SIZE, 3, guidance)
    for drawn, prompt, seed in zip(ours, prompts, seeds, strict=True):
        theirs = family.pipeline(
            prompt=prompt,
            height=SIZE,
            width=SIZE,
            num_inference_steps=3,
            guidance_scale=guidance,
            generator=torch.Generator().manual_seed(seed),
            output_type="np",
        ).images[0]
        assert (drawn.int() - torch.from_numpy(theirs * 255.0).round().int()).abs().max() <= 1
    assert not torch.equal(ours[0], family.draw([prompts[0]], [9], SIZE, 3, guidance)[0])


def test_guidance_and_words_change_the_picture(family: Velocity) -> None:
    plain = family.draw(["a red Zlorf box"], [1], SIZE, 3, 1.0).int()
    assert (plain - family.draw(["a red Zlorf box"], [1], SIZE, 3, 6.0).int()).abs().max() > 0
    assert (plain - family.draw(["blue mug"], [1], SIZE, 3, 1.0).int()).abs().max() > 0


def test_a_text_is_encoded_alike_alone_and_in_company(family: Velocity) -> None:
    texts = [f"box SKU-77 {word}" for word in tiny_flow.WORDS]
    together = family.encode_texts(texts)
    (alone,) = family.encode_texts(texts[-1:])
    for name, part in alone.items():
        assert torch.allclose(together[-1][name], part, atol=1e-5), name
        assert part.untyped_storage().nbytes() == part.numel() * part.element_size(), name


def test_pictures_are_encoded_to_the_same_bits_in_any_company(family: Velocity) -> None:
    both = family.encode_pictures(torch.cat([picture(0), picture(1)]))
    assert both.dtype is torch.float32
    assert torch.equal(both[1:], family.encode_pictures(picture(1)))


def test_pictures_of_any_shape_are_predicted(family: Velocity) -> None:
    tall = torch.randint(0, 256, (1, 24, 8, 3), dtype=torch.uint8)
    clean = family.encode_pictures(tall)
    with torch.no_grad():
        answer = family.predict(family.model, clean, torch.tensor([0.5]), one_text(family))
    assert answer.shape == clean.shape


# FLUX.1's norms are then not fused, which torch tells; they are right all the same.
@pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight")
def test_mixed_precision_as_on_an_accelerator(family: Velocity) -> None:
    """Encoders in bf16, the rest in fp32, the forward pass under autocast."""
    for part in family.text_encoders:
        getattr(family.pipeline, part).bfloat16()
    (text,) = family.encode_texts(["a red Zlorf box"])
    assert text["tokens"].dtype is torch.bfloat16
    clean = family.encode_pictures(picture())
    with torch.autocast("cpu", torch.bfloat16):
        answer = family.predict(family.model, clean, torch.tensor([0.5]), stacked([text]))
        drawn = family.pipeline(
            prompt="a red Zlorf box", height=SIZE, width=SIZE, num_inference_steps=2, output_type="pt"
        ).images
    assert answer.shape == clean.shape
    assert torch.isfinite(drawn).all()
    answer.float().square().mean().backward()
    assert all(parameter.dtype is torch.float32 for parameter in family.model.parameters())


def test_encoders_that_were_put_away_come_back(family: Velocity) -> None:
    before = family.draw(["blue mug"], [1], SIZE, 2, 1.0)
    family.free_encoders()
    assert torch.equal(family.draw(["blue mug"], [1], SIZE, 2, 1.0), before)
    assert {folder.name for folder in family.encoder_files} == {*family.text_encoders, *family.tokenizers}
    assert [folder.name for folder in family.autoencoder_files] == ["vae"]


def test_saved_weights_load_back_and_an_export_draws_the_same(family: Velocity, base: Base, tmp_path: Path) -> None:
    with torch.no_grad():
        for parameter in family.model.parameters():
            parameter.mul_(1.02)
    mine = family.draw(["a red Zlorf box"], [5], SIZE, 2, 2.0)
    family.save_weights(tmp_path / "weights")
    other = loaded(base, family.name)
    assert not torch.equal(other.draw(["a red Zlorf box"], [5], SIZE, 2, 2.0), mine)
    other.load_weights(tmp_path / "weights")
    assert torch.equal(other.draw(["a red Zlorf box"], [5], SIZE, 2, 2.0), mine)
    loaded(base, family.name).export(tmp_path / "weights", tmp_path / "model")
    index = json.loads((tmp_path / "model" / "model_index.json").read_text())
    assert {part[0] for part in index.values() if isinstance(part, list)} <= {"diffusers", "transformers", None}
    exported = DiffusionPipeline.from_pretrained(tmp_path / "model")
    exported.set_progress_bar_config(disable=True)
    theirs = exported(
        prompt="a red Zlorf box",
        height=SIZE,
        width=SIZE,
        num_inference_steps=2,
        guidance_scale=2.0,
        generator=torch.Generator().manual_seed(5),
        output_type="np",
    ).images[0]
    assert torch.equal(torch.from_numpy(theirs * 255.0).round().to(torch.uint8), mine[0])


@pytest.mark.slow
def test_one_picture_is_learned_by_heart_and_another_one_on_top_with_lora(
    family: Velocity, recipe: Callable[..., Recipe], listener: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(family), "text_tokens", 8)  # quicker, and as good for one text
    knobs: dict[str, Any] = {
        "family": family.name, "steps": 60, "batch_size": 4, "adamw_beta2": 0.99, "ema_decay": 0.0, "lora_rank": 8,
        "caption_dropout": 0.0, "timestep_uniform_share": 1.0, "validate_every": 60, "checkpoint_every": 60,
        "constant_share": 0.8, "warmup_steps": 2, "resolution_px": SIZE,
    }  # fmt: skip
    full, adapter = listener(), listener()
    one, other = one_picture(tmp_path / "one", "black", "red"), one_picture(tmp_path / "other", "white", "blue")
    first = recipe(base=str(family.folder), method="full", adamw_lr=1e-2, **knobs)
    train(first, one, one.parent, full, CPU, False)
    second = recipe(base=str(one.parent / "model"), method="lora", adamw_lr=3e-2, **knobs)
    train(second, other, other.parent, adapter, CPU, False)
    before, after = (facts["loss"] for facts in full.facts("validation"))
    assert after < 0.4 * before
    before, after = (facts["loss"] for facts in adapter.facts("validation"))
    assert after < 0.65 * before


def one_picture(folder: Path, left: str, right: str) -> Path:
    """A manifest of one picture of two colours, to learn and to be asked for."""
    folder.mkdir()
    drawn = Image.new("RGB", (SIZE, SIZE), left)
    drawn.paste(right, (SIZE // 2, 0, SIZE, SIZE))
    rows = []
    for level, split in enumerate(SPLITS):
        # The same pixels in other bytes: no member may be in both splits.
        drawn.save(folder / f"{split}.png", compress_level=level)
        digest = hashlib.sha256((folder / f"{split}.png").read_bytes()).hexdigest()
        rows.append(ManifestRow(f"{split}.png", "a red Zlorf box", split, split, digest, SIZE, SIZE))
    write_manifest(folder / "manifest.jsonl", rows)
    return folder / "manifest.jsonl"


def test_a_saved_lora_is_loaded_by_the_pipeline_itself_with_every_key(
    family: Velocity, base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parameters = lora.put_on(family, 4, seed=5)
    with torch.no_grad():
        for parameter in parameters:
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    mine = family.draw(["a red Zlorf box"], [3], SIZE, 2, 1.0)
    lora.save(family, tmp_path)
    saved = {key.removeprefix("transformer."): value for key, value in lora.read(tmp_path / lora.FILE).items()}

    pipeline = loaded(base, family.name).pipeline
    complaints: list[str] = []
    monkeypatch.setattr(peft_loader.logger, "warning", complaints.append)
    pipeline.load_lora_weights(tmp_path)
    assert not complaints
    taken = get_peft_model_state_dict(pipeline.transformer, adapter_name="default_0")
    assert taken.keys() == saved.keys()
    assert all(torch.equal(taken[key], value) for key, value in saved.items())
    theirs = type(family)(pipeline).draw(["a red Zlorf box"], [3], SIZE, 2, 1.0)
    assert torch.equal(theirs, mine)
    assert not torch.equal(loaded(base, family.name).draw(["a red Zlorf box"], [3], SIZE, 2, 1.0), mine)


def test_an_adapter_reaches_every_block(family: Velocity) -> None:
    lora.put_on(family, 4, seed=5)
    names = {".".join(name.split(".")[1:3]) for name in lora.weights(family)}
    wanted = {f"transformer_blocks.{index}" for index in range(len(family.model.transformer_blocks))}
    singles = getattr(family.model, "single_transformer_blocks", ())
    assert names == wanted | {f"single_transformer_blocks.{index}" for index in range(len(singles))}


def test_positions_count_as_they_are_weighed(family: Velocity) -> None:
    clean, noise, answer = torch.randn(3, 4, 4, 4), torch.randn(3, 4, 4, 4), torch.randn(3, 4, 4, 4)
    weights = torch.rand(3, 1, 4, 4)
    recipe: Any = None  # nothing in it is asked for
    errors = family.errors(answer, clean, noise, torch.full((3,), 0.5), recipe, weights)
    wanted = (weights * (answer - (noise - clean)) ** 2).mean(dim=(1, 2, 3))
    torch.testing.assert_close(errors, wanted)
    even = family.errors(answer, clean, noise, torch.full((3,), 0.5), recipe)
    assert torch.equal(family.errors(answer, clean, noise, torch.full((3,), 0.5), recipe, torch.ones(3, 1, 4, 4)), even)
