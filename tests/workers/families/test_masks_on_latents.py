"""Masks weigh errors in latents, too: at the latents' own size, and with the same cached pictures as without."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, ImageDraw

from app.datasets.manifest import read_manifest, write_manifest
from app.training.recipe import Recipe
from workers.families.registry import Family, load_family
from workers.finetune.batches import Members, Texts
from workers.finetune.cache import TensorCache
from workers.finetune.forward import forward
from workers.finetune.loss import position_weights
from workers.finetune.methods.auxiliary import AuxiliaryLosses
from workers.finetune.train import train

CPU = torch.device("cpu")


@pytest.fixture
def masked(manifest: Path) -> Path:
    """The manifest with one mask for all: the right half is the product."""
    mask = Image.new("L", (32, 32), 0)
    ImageDraw.Draw(mask).rectangle((16, 0, 31, 31), fill=255)
    mask.save(manifest.parent / "mask.png")
    write_manifest(manifest, [replace(row, mask="mask.png") for row in read_manifest(manifest)])
    return manifest


@pytest.fixture
def unet(base: Callable[..., Path]) -> Path:
    return base("sd15", prediction_type="epsilon")


def first_pass(family: Family, manifest: Path, recipe: Recipe, cache: Path | None) -> tuple[Any, Any]:
    rows = [row for row in read_manifest(manifest) if row.split == "train"]
    texts = Texts(sorted({row.caption for row in rows}), family, None, lambda *_: None)
    members = Members(rows, manifest.parent, family, texts, 16, False, needs_masks=recipe.needs_masks)
    if cache is not None:
        members.encode(TensorCache(cache), lambda *_: None)
    batch = members.batch([0, 1], [0, 1])
    return batch, forward(family, batch, recipe, 0, CPU, AuxiliaryLosses(recipe))


def test_a_mask_is_brought_to_the_size_of_the_latents_cached_or_not(
    masked: Path, unet: Path, recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    family = load_family("sd15", str(unet), CPU)
    knobs = recipe(family="sd15", base=str(unet), optimiser="adamw", background_weight=0.25)
    batch, cached = first_pass(family, masked, knobs, tmp_path / "cache")
    height, width = batch.clean.shape[2:]
    assert height < 16
    weights = position_weights(batch.masks, (height, width), 0.25)
    # Half of it counts 1 and half a quarter: 0.625 in the mean.
    columns = torch.tensor([0.25 / 0.625] * (width // 2) + [1.0 / 0.625] * (width // 2))
    # Where the mask's edge was smoothed as it was fitted, a column counts in between.
    away = [n for n in range(width) if n not in (width // 2 - 1, width // 2)]
    torch.testing.assert_close(weights[0, 0, :, away], columns[away].expand(height, -1), rtol=0.02, atol=0.0)
    _, uncached = first_pass(family, masked, knobs, None)
    torch.testing.assert_close(cached.loss, uncached.loss)
    assert not torch.allclose(cached.loss, cached.errors)
    _, even = first_pass(family, masked, knobs.model_copy(update={"background_weight": 1.0}), tmp_path / "cache")
    assert torch.equal(even.loss, even.errors)
    assert torch.equal(even.errors, cached.errors)


def test_cached_pictures_are_the_same_whatever_the_background_counts(
    masked: Path, unet: Path, recipe: Callable[..., Recipe], tmp_path: Path, listener: Any
) -> None:
    kept, losses = [], []
    for weight in (1.0, 0.1):
        knobs = recipe(
            family="sd15", base=str(unet), optimiser="adamw", steps=2, batch_size=2, background_weight=weight
        )
        report, out = listener(), tmp_path / str(weight)
        out.mkdir()
        train(knobs, masked, out, report, CPU, False, cache=tmp_path / "cache")
        kept.append({file: file.stat().st_mtime_ns for file in (tmp_path / "cache").rglob("*.safetensors")})
        losses.append([facts["loss"] for facts in report.facts("validation")])
    assert kept[0]
    assert kept[0] == kept[1]
    assert losses[0][0] == losses[1][0]
    assert losses[0][-1] != losses[1][-1]
