"""Every family, in full and with LoRA, from a base to a model that plain diffusers loads: trained, stopped, resumed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline
from PIL import Image

from app.training.recipe import Recipe
from workers.finetune.train import train

# What diffusers tells of its own pipeline for PRX and of its own scheduler for SDXL.
pytestmark = [
    pytest.mark.filterwarnings("ignore:`LoraLoaderMixin` is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

CPU = torch.device("cpu")
FAMILIES = get_args(Recipe.model_fields["family"].annotation)
SIZE = 16


@pytest.mark.parametrize("method", ["full", "lora"])
@pytest.mark.parametrize("name", FAMILIES)
def test_a_base_is_trained_stopped_resumed_and_given_away(
    name: str,
    method: str,
    base: Callable[..., Path],
    recipe: Callable[..., Recipe],
    manifest: Path,
    tmp_path: Path,
    listener: Any,
) -> None:
    made = recipe(
        family=name,
        base=str(base(name)),
        method=method,
        lora_rank=4,
        resolution_px=SIZE,
        batch_size=2,
        steps=2,
        report_every=1,
        checkpoint_every=1,
        caption_dropout=0.5,
        sampling_steps=2,
        constant_share=1.0,
    )
    out, cache = tmp_path / "out", tmp_path / "cache"
    out.mkdir()
    (out / "previews.json").write_text(json.dumps([{"prompt_id": 1, "text": "red box", "seed": 3}]))
    assert train(made, manifest, out, listener(1), CPU, resume=False, cache=cache) == "stopped"
    report = listener()
    # A resume that is not put back as it was saved is refused by the loop itself.
    assert train(made, manifest, out, report, CPU, resume=True, cache=cache) == "completed"
    assert [facts["step"] for facts in report.facts("step")] == [2]

    # What was learned changes the picture; the exported model draws with plain diffusers what the run drew.
    before, after = (sample(out, step) for step in (0, 2))
    assert differ(before, after) > 0
    pipeline = DiffusionPipeline.from_pretrained(out / "model")
    pipeline.set_progress_bar_config(disable=True)
    assert differ(drawn(pipeline, made), after) <= 1
    assert (out / "lora").exists() == (method == "lora")


def sample(out: Path, step: int) -> np.ndarray:
    """The previews's picture at a step."""
    with Image.open(out / "samples" / f"step-{step:06d}" / "1-3.png") as picture:
        return np.asarray(picture)


def drawn(pipeline: Any, made: Recipe) -> np.ndarray:
    """The previews's picture by the pipeline's own call."""
    options = {"use_resolution_binning": False} if type(pipeline).__name__.startswith("PRX") else {}
    picture = pipeline(
        prompt="red box",
        height=SIZE,
        width=SIZE,
        num_inference_steps=made.sampling_steps,
        guidance_scale=made.guidance,
        generator=torch.Generator().manual_seed(3),
        output_type="np",
        **options,
    ).images[0]
    return (picture * 255.0).round().astype(np.uint8)


def differ(one: np.ndarray, other: np.ndarray) -> int:
    """The largest difference of any channel, 0 to 255."""
    return int(np.abs(one.astype(int) - other.astype(int)).max())
