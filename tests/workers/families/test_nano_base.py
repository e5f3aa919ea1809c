"""The shipped base: loads without our code, draws what it is asked for, and can be fine-tuned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from diffusers import DiffusionPipeline, PRXPixelPipeline

from app.demo.judge import judge
from app.demo.worlds import BASE_WITHHELD, prompts_for
from app.training.recipe import Recipe, read_recipe, write_recipe
from workers.devices.model_cache import ModelCache
from workers.families import nano
from workers.finetune.__main__ import main
from workers.sampling.sampler import Source, draw

ROOT = Path(__file__).parents[3]
BASE = ROOT / "models" / "nano"


def test_it_loads_with_diffusers_alone_and_is_small() -> None:
    pipeline = DiffusionPipeline.from_pretrained(BASE)
    assert isinstance(pipeline, PRXPixelPipeline)
    assert pipeline.tokenizer.get_vocab() == nano.build_tokenizer().get_vocab()
    assert sum(file.stat().st_size for file in BASE.rglob("*") if file.is_file()) < 15_000_000


def test_it_draws_combinations_it_never_saw() -> None:
    prompts = prompts_for(BASE_WITHHELD, 6)
    source = Source("prx_pixel", str(BASE))
    samples = draw(ModelCache(threads=1), source, [(p.text, 1) for p in prompts], size_px=64, steps=20, guidance=3.0)
    right = [
        judge(np.asarray(sample.picture)).right(asked.kind, asked.colour, asked.background)
        for sample, asked in zip(samples, prompts, strict=True)
    ]
    background, colour, kind = np.sum(right, axis=0)
    assert background >= 5
    assert colour >= 5
    assert kind >= 4


def test_the_quick_recipe_runs_on_it(manifest: Path, tmp_path: Path) -> None:
    knobs = read_recipe(ROOT / "workers" / "recipes" / "nano_quick.yaml").model_dump()
    write_recipe(tmp_path / "recipe.yaml", Recipe.model_validate({**knobs, "base": str(BASE)}))
    assert main([str(tmp_path / "recipe.yaml"), str(manifest), str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "model" / "transformer" / "config.json").is_file()
