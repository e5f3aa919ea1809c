"""What is SD 1.5's own: the layers an adapter is put on, and the safety checker that is not loaded."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import DiffusionPipeline
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from transformers import CLIPConfig, CLIPImageProcessorPil

from tests.workers.families.tiny_unets import PICTURE_PX
from workers.families.sd15 import Sd15, load

CPU = torch.device("cpu")


@pytest.fixture
def folder(base: Callable[..., Path]) -> Path:
    return base("sd15", prediction_type="epsilon")


@pytest.fixture
def family(folder: Path) -> Sd15:
    return load(str(folder), CPU)


def test_a_bases_safety_checker_is_not_loaded_and_not_lost(folder: Path, tmp_path: Path) -> None:
    checked = with_checker(folder, tmp_path / "checked")
    family = load(str(checked), CPU)
    assert family.pipeline.safety_checker is None
    plain = load(str(folder), CPU).draw(["red mug"], [1], PICTURE_PX, 4, 3.0)
    assert torch.equal(family.draw(["red mug"], [1], PICTURE_PX, 4, 3.0), plain)
    family.save_weights(tmp_path / "unet")
    family.export(tmp_path / "unet", tmp_path / "model")
    exported = DiffusionPipeline.from_pretrained(tmp_path / "model")
    assert type(exported.safety_checker).__name__ == "StableDiffusionSafetyChecker"


def with_checker(folder: Path, changed: Path) -> Path:
    """A copy of a base that has a (tiny, random) safety checker."""
    shutil.copytree(folder, changed)
    part = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    seeing = {**part, "image_size": 32, "patch_size": 16}
    config = CLIPConfig(text_config=part, vision_config=seeing, projection_dim=8)
    StableDiffusionSafetyChecker(config).save_pretrained(changed / "safety_checker")
    CLIPImageProcessorPil(size=32, crop_size=32).save_pretrained(changed / "feature_extractor")
    index = json.loads((changed / "model_index.json").read_text())
    index |= {
        "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
        "feature_extractor": ["transformers", "CLIPImageProcessorPil"],
        "requires_safety_checker": True,
    }
    (changed / "model_index.json").write_text(json.dumps(index))
    return changed


def test_adapters_go_on_attention_and_feed_forward_only(family: Sd15) -> None:
    targets = {
        name for name, _ in family.model.named_modules() if any(name.endswith(f".{t}") for t in family.lora_targets)
    }
    modules = dict(family.model.named_modules())
    assert all(isinstance(modules[name], torch.nn.Linear) for name in targets)
    assert all(".transformer_blocks." in name for name in targets)
    in_blocks = {
        name
        for name, module in modules.items()
        if ".transformer_blocks." in name and isinstance(module, torch.nn.Linear)
    }
    assert targets == in_blocks


def test_a_text_is_its_tokens_alone(family: Sd15) -> None:
    assert family.encode_texts(["red mug"])[0].keys() == {"tokens"}
    assert [path.name for path in family.encoder_files] == ["text_encoder", "tokenizer"]
    assert [path.name for path in family.autoencoder_files] == ["vae"]


def test_all_of_it_is_loaded_in_fp32(folder: Path, tmp_path: Path) -> None:
    family = load(str(folder), CPU)
    family.pipeline.to(torch.float16).save_pretrained(tmp_path / "half")
    again = load(str(tmp_path / "half"), CPU)
    for part in (again.pipeline.unet, again.pipeline.vae, again.pipeline.text_encoder):
        assert {parameter.dtype for parameter in part.parameters()} == {torch.float32}
