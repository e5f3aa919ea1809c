"""The recipe of PRX's 24-hour run: what it starts from can be built, it starts, and it says what its source says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import PRXTransformer2DModel

from app.training.recipe import Recipe, read_recipe
from tests.workers.families import tiny
from workers.families import prx_pixel_untrained
from workers.families.prx_pixel import load
from workers.finetune.methods.auxiliary import build_auxiliary
from workers.finetune.train import train

RECIPE = Path(__file__).parents[4] / "workers" / "recipes" / "prx_pixel_24h.yaml"
CPU = torch.device("cpu")
SMALL = {**prx_pixel_untrained.SIZES, "hidden_size": 16, "num_heads": 2, "bottleneck_size": 8, "mlp_ratio": 2.0}


def test_its_base_is_as_large_as_the_published_one() -> None:
    with torch.device("meta"):
        model = PRXTransformer2DModel(
            in_channels=3, context_in_dim=2304, axes_dim=[32, 32], **prx_pixel_untrained.SIZES
        )
    assert sum(parameter.numel() for parameter in model.parameters()) == 1_177_215_744


# The pipeline inherits a loader that is going away.
@pytest.mark.filterwarnings("ignore:`LoraLoaderMixin` is deprecated:FutureWarning")
def test_it_starts_and_does_what_it_says(
    dino_folder: Path, dino3_folder: Path, lpips_folder: Path, manifest: Path, tmp_path: Path, listener: Any
) -> None:
    base = tmp_path / "untrained"
    prx_pixel_untrained.build(base, str(tiny.prx(tmp_path / "prx")), 7, SMALL)
    assert json.loads((base / "model_index.json").read_text())["noise_scale"] == 1.0
    known = read_recipe(RECIPE)
    assert known.base == "build/prx-pixel/untrained"
    smaller = {
        "base": str(base), "resolution_px": 64, "second_resolution_px": 96, "batch_size": 2, "micro_batch": 2,
        "second_batch_size": 2, "steps": 2, "second_from": 0.5, "teacher_until": 0.5, "warmup_steps": 0,
        "teacher": str(dino3_folder), "lpips": str(lpips_folder), "dino": str(dino_folder), "threads": 1,
        "compile": False, "precision": "fp32",
    }  # fmt: skip
    recipe = Recipe.model_validate({**known.model_dump(), **smaller})
    family = load(str(base), CPU)
    assert (family.noise_scale, family.shift(64, 64), family.token_limit()) == (1.0, 3.0, 256)
    routing = build_auxiliary(recipe, family).routing
    assert routing is not None
    assert (routing.first, routing.last, len(family.model.blocks)) == (2, 12, 16)
    report = listener()
    assert train(recipe, manifest, tmp_path / "out", report, CPU, False) == "completed"
    assert report.facts("finished")[0]["kept"]


def test_a_folder_without_texts_is_refused(tmp_path: Path, tiny_base: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(SystemExit, match="holds no PRX pipeline with a text encoder"):
        prx_pixel_untrained.main([str(tmp_path / "out"), "--texts", str(tmp_path / "empty")])
    assert not (tmp_path / "out").exists()
