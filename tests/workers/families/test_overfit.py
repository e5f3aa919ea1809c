"""PRX in latents and in pixels learns one picture by heart, in full and then another with a LoRA on what it learned."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from PIL import Image

from app.datasets.manifest import ManifestRow, Split, write_manifest
from app.training.recipe import Recipe
from workers.families import lora
from workers.families.registry import load_family
from workers.finetune.train import train

pytestmark = pytest.mark.filterwarnings("ignore:`LoraLoaderMixin` is deprecated:FutureWarning")

CPU = torch.device("cpu")
SIZE_PX = 16


@pytest.mark.parametrize("name", ["prx", "prx_pixel"])
def test_it_overfits_one_picture_and_its_adapter_another(
    name: str, base: Callable[..., Path], recipe: Callable[..., Recipe], listener: Any, tmp_path: Path
) -> None:
    folder = base(name, vae="kl", encoder="t5") if name == "prx" else base(name)
    knobs: dict[str, Any] = {
        "family": name, "steps": 60, "batch_size": 8, "adamw_beta2": 0.99, "ema_decay": 0.0, "constant_share": 0.8,
        "caption_dropout": 0.0, "timestep_uniform_share": 1.0, "validate_every": 60, "checkpoint_every": 60,
        "optimiser": "adamw", "lora_rank": 8, "warmup_steps": 2, "resolution_px": SIZE_PX, "velocity_floor": 0.2,
    }  # fmt: skip
    full, adapter = listener(), listener()
    dark, half = tmp_path / "dark", tmp_path / "half"
    one, other = one_picture(dark, "black", "black", "blue box"), one_picture(half, "white", "red", "red mug")
    train(recipe(base=str(folder), method="full", adamw_lr=1e-2, **knobs), one, dark, full, CPU, False)
    train(recipe(base=str(dark / "model"), method="lora", adamw_lr=3e-2, **knobs), other, half, adapter, CPU, False)
    before, after = (facts["loss"] for facts in full.facts("validation"))
    assert after < 0.3 * before
    before, after = (facts["loss"] for facts in adapter.facts("validation"))
    assert after < 0.6 * before
    assert [file.name for file in (half / "checkpoints" / "step-000060" / "weights").iterdir()] == [lora.FILE]
    # What is given away draws the picture that was learned last. (An autoencoder of chance shows nothing of it.)
    if name == "prx_pixel":
        (drawn,) = load_family(name, str(half / "model"), CPU).draw(["red mug"], [1], SIZE_PX, 8, 1.0)
        near, far = (float((drawn - pixels(place / "train.png")).abs().mean()) for place in (half, dark))
        assert near < 0.8 * far
    assert json.loads((half / "model" / "packshot.json").read_text())["step"] == 60
    assert {file.name for file in (half / "lora").iterdir()} == {"diffusers.safetensors", "comfyui.safetensors"}


def pixels(file: Path) -> torch.Tensor:
    """A picture as float32 [SIZE_PX, SIZE_PX, 3], 0 to 255."""
    flat = torch.frombuffer(bytearray(Image.open(file).tobytes()), dtype=torch.uint8)
    return flat.reshape(SIZE_PX, SIZE_PX, 3).float()


def one_picture(folder: Path, left: str, right: str, caption: str) -> Path:
    """A manifest with one picture, of two halves, to learn from and to look at."""
    folder.mkdir()
    picture = Image.new("RGB", (SIZE_PX, SIZE_PX), left)
    picture.paste(right, (SIZE_PX // 2, 0, SIZE_PX, SIZE_PX))
    rows = []
    for level, split in enumerate(get_args(Split)):
        # The same pixels in other bytes: no member may be in both splits.
        picture.save(folder / f"{split}.png", compress_level=level)
        digest = hashlib.sha256((folder / f"{split}.png").read_bytes()).hexdigest()
        rows.append(ManifestRow(f"{split}.png", caption, split, split, digest, SIZE_PX, SIZE_PX))
    write_manifest(folder / "manifest.jsonl", rows)
    return folder / "manifest.jsonl"
