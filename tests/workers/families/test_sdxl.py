"""What is SDXL's own: two text encoders, sizes told to the network, the empty text, the autoencoder's channels."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.workers.families import tiny
from tests.workers.families.tiny_unets import PICTURE_PX, WIDTH
from workers.families.registry import stacked
from workers.families.sdxl import Sdxl, load
from workers.finetune.cache import identity

# EulerDiscreteScheduler makes an array of a tensor in a way that NumPy is about to give up.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

CPU = torch.device("cpu")


@pytest.fixture
def folder(base: Callable[..., Path]) -> Path:
    return base("sdxl", prediction_type="epsilon")


@pytest.fixture
def family(folder: Path) -> Sdxl:
    return load(str(folder), CPU)


def test_sizes_follow_the_picture_as_in_the_pipeline(family: Sdxl, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[dict[str, torch.Tensor]] = []
    forward = family.model.forward

    def watch(*given: Any, added_cond_kwargs: dict[str, torch.Tensor], **named: Any) -> Any:
        told.append(added_cond_kwargs)
        return forward(*given, added_cond_kwargs=added_cond_kwargs, **named)

    monkeypatch.setattr(family.model, "forward", watch)
    height, width = PICTURE_PX + 8, PICTURE_PX
    family.pipeline("red mug", height=height, width=width, num_inference_steps=1, guidance_scale=1.0)
    theirs = told[0]["time_ids"]
    assert theirs.tolist() == [[24.0, 16.0, 0.0, 0.0, 24.0, 16.0]]

    clean = family.encode_pictures(torch.zeros(2, height, width, 3, dtype=torch.uint8))
    text = stacked(family.encode_texts(["red mug", "blue box"]))
    with torch.no_grad():
        answer = family.predict(family.model, clean, torch.tensor([0.3, 0.7]), text)
    assert answer.shape == clean.shape
    assert torch.equal(told[-1]["time_ids"], theirs.repeat(2, 1))
    assert torch.equal(told[-1]["text_embeds"], text["pooled"])

    # A small photo that was enlarged, and a large one that was made smaller.
    text["original_px"] = torch.tensor([[9.0, 6.0], [2400.0, 1600.0]])
    with torch.no_grad():
        family.predict(family.model, clean, torch.tensor([0.3, 0.7]), text)
    assert told[-1]["time_ids"].tolist() == [[9, 6, 0, 0, 24, 16], [2400, 1600, 0, 0, 24, 16]]


def test_a_text_is_both_encoders_and_the_second_ones_summary(family: Sdxl) -> None:
    text = family.encode_texts(["red mug"])[0]
    assert text.keys() == {"tokens", "pooled"}
    ids = family.pipeline.tokenizer("red mug", padding="max_length", return_tensors="pt").input_ids
    with torch.no_grad():
        first = family.pipeline.text_encoder(ids, output_hidden_states=True)
        second = family.pipeline.text_encoder_2(ids, output_hidden_states=True)
    torch.testing.assert_close(text["tokens"][:, :WIDTH], first.hidden_states[-2][0])
    torch.testing.assert_close(text["tokens"][:, WIDTH:], second.hidden_states[-2][0])
    torch.testing.assert_close(text["pooled"], second.text_embeds[0])


def test_the_empty_text_is_zeros_only_where_the_pipeline_says_so(family: Sdxl, tmp_path: Path) -> None:
    empty = family.encode_texts([""])[0]
    assert not empty["tokens"].any()
    assert not empty["pooled"].any()
    other = load(str(tiny.sdxl(tmp_path / "base", forces_zeros=False)), CPU)
    kept = other.encode_texts([""])[0]
    _, unguided, _, pooled = other.pipeline.encode_prompt("red mug", do_classifier_free_guidance=True)
    assert kept["tokens"].any()
    torch.testing.assert_close(kept["tokens"], unguided[0])
    torch.testing.assert_close(kept["pooled"], pooled[0])


def test_cached_texts_depend_on_what_the_empty_text_is(family: Sdxl, folder: Path, tmp_path: Path) -> None:
    other = load(str(shutil.copytree(folder, tmp_path / "base")), CPU)
    assert identity(other.encoder_files) == identity(family.encoder_files)
    index = tmp_path / "base" / "model_index.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), "force_zeros_for_empty_prompt": False}))
    assert identity(other.encoder_files) != identity(family.encoder_files)


def test_channels_with_their_own_mean_and_spread_come_back_through_the_pipeline(folder: Path, tmp_path: Path) -> None:
    changed = shutil.copytree(folder, tmp_path / "base")
    config = changed / "vae" / "config.json"
    channels = {"latents_mean": [0.1, -0.2, 0.3, 0.0], "latents_std": [0.5, 1.0, 2.0, 1.5]}
    config.write_text(json.dumps({**json.loads(config.read_text()), **channels}))
    family, plain = load(str(changed), CPU), load(str(folder), CPU)
    pictures = torch.randint(0, 256, (1, PICTURE_PX, PICTURE_PX, 3), dtype=torch.uint8)
    ours = family.encode_pictures(pictures)
    assert not torch.allclose(ours, plain.encode_pictures(pictures))
    # What the pipeline does to latents before it decodes them (pipeline_stable_diffusion_xl.py) undoes ours.
    mean, sd = (torch.tensor(channels[name])[None, :, None, None] for name in ("latents_mean", "latents_std"))
    decoded = ours * sd / family.pipeline.vae.config.scaling_factor + mean
    torch.testing.assert_close(decoded, plain.encode_pictures(pictures) / plain.pipeline.vae.config.scaling_factor)


def test_adapters_go_on_every_linear_layer_of_the_attention_blocks(family: Sdxl) -> None:
    linear = {name for name, module in family.model.named_modules() if isinstance(module, torch.nn.Linear)}
    targets = {
        name for name, _ in family.model.named_modules() if any(name.endswith(f".{t}") for t in family.lora_targets)
    }
    assert targets == {name for name in linear if ".attentions." in name}
