"""What is SD 1.5's own: the layers an adapter is put on, and the safety checker that is not loaded."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from workers.families.sd15 import Sd15, load

CPU = torch.device("cpu")


@pytest.fixture
def folder(base: Callable[..., Path]) -> Path:
    return base("sd15", prediction_type="epsilon")


@pytest.fixture
def family(folder: Path) -> Sd15:
    return load(str(folder), CPU)


def test_a_base_with_a_safety_checker_loads_without_it(folder: Path, tmp_path: Path) -> None:
    checked = shutil.copytree(folder, tmp_path / "checked")
    index = json.loads((checked / "model_index.json").read_text())
    index |= {
        "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
        "feature_extractor": ["transformers", "CLIPImageProcessor"],
        "requires_safety_checker": True,
    }
    (checked / "model_index.json").write_text(json.dumps(index))
    family = load(str(checked), CPU)
    assert family.pipeline.safety_checker is None
    family.save_weights(tmp_path / "unet")
    family.export(tmp_path / "unet", tmp_path / "model")
    exported = json.loads((tmp_path / "model" / "model_index.json").read_text())
    assert exported["safety_checker"] == [None, None]
    assert exported["requires_safety_checker"] is False


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
