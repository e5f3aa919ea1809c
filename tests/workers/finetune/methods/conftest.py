"""A PRX model deep enough to route through, and DINO and LPIPS folders with random weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import PRXTransformer2DModel
from safetensors.torch import save_file
from transformers import Dinov2Config, Dinov2Model, DINOv3ViTConfig, DINOv3ViTModel

from tests.workers.finetune.methods.shaken import shaken
from workers.families.prx_pixel import PrxPixel, load


@pytest.fixture
def family(tiny_base: Path) -> PrxPixel:
    """The tiny pixel pipeline with a transformer of five blocks, 16 tokens for 16 pixels."""
    family = load(str(tiny_base), torch.device("cpu"))
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = PRXTransformer2DModel.from_config({**family.model.config, "depth": 5})
    family.model = family.pipeline.transformer = shaken(model)
    return family


@pytest.fixture(scope="session")
def dino_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DINOv2 of one narrow layer, with the real one's patches of 14 pixels."""
    folder = tmp_path_factory.mktemp("dino2")
    with torch.random.fork_rng():
        torch.manual_seed(2)
        config = Dinov2Config(
            hidden_size=24, num_hidden_layers=1, num_attention_heads=2, mlp_ratio=2, image_size=28, patch_size=14
        )
        Dinov2Model(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def dino3_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DINOv3 of one narrow layer with two register tokens."""
    folder = tmp_path_factory.mktemp("dino3")
    with torch.random.fork_rng():
        torch.manual_seed(3)
        config = DINOv3ViTConfig(
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            patch_size=4,
            num_register_tokens=2,
        )
        DINOv3ViTModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def lpips_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights under the names of torchvision's VGG16 and the lpips package."""
    folder = tmp_path_factory.mktemp("lpips")
    generator = torch.Generator().manual_seed(4)
    channels = {0: (3, 64), 2: (64, 64), 5: (64, 128), 7: (128, 128), 10: (128, 256), 12: (256, 256), 14: (256, 256)}
    channels |= {17: (256, 512), 19: (512, 512), 21: (512, 512), 24: (512, 512), 26: (512, 512), 28: (512, 512)}
    vgg = {}
    for place, (given, wanted) in channels.items():
        vgg[f"features.{place}.weight"] = (
            torch.randn((wanted, given, 3, 3), generator=generator) * (2 / given / 9) ** 0.5
        )
        vgg[f"features.{place}.bias"] = torch.zeros(wanted)
    vgg["classifier.0.weight"] = torch.zeros(1)
    save_file(vgg, folder / "vgg16.safetensors")
    linear = {
        f"lin{number}.model.1.weight": torch.rand((1, wanted, 1, 1), generator=generator)
        for number, wanted in enumerate((64, 128, 256, 512, 512))
    }
    save_file(linear, folder / "lpips.safetensors")
    return folder


@pytest.fixture
def one_pass(family: PrxPixel) -> tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor], torch.Tensor]:
    """Noisy input [3, 3, 16, 24], timesteps, texts as a batch, and the clean pictures uint8 [3, 16, 24, 3]."""
    from workers.families.registry import stacked

    generator = torch.Generator().manual_seed(5)
    pictures = torch.randint(0, 256, (3, 16, 24, 3), generator=generator, dtype=torch.uint8)
    clean = family.encode_pictures(pictures)
    timesteps = torch.tensor([0.2, 0.5, 0.9])
    noisy = family.noisy(clean, torch.randn(clean.shape, generator=generator), timesteps)
    return noisy, timesteps, stacked(family.encode_texts(["red box", "", "a blue box on white"])), pictures
