"""Samples depend on weights, prompt and seed alone, and one lease holds one model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.workers.families import tiny
from workers.devices.model_cache import ModelCache
from workers.errors import InputError
from workers.families import weights
from workers.families.prx_pixel import load
from workers.sampling.sampler import Drawn, Source, draw

PROMPTS = ["red box", "blue mug on a white background", ""]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return Source("prx_pixel", str(tiny.prx_pixel(tmp_path_factory.mktemp("sampler") / "base")))


@pytest.fixture
def checkpoint(base: Source, tmp_path: Path) -> Path:
    """Weights that differ from the base's."""
    family = load(base.base, torch.device("cpu"))
    with torch.no_grad():
        for parameter in family.model.parameters():
            parameter.add_(0.02)
    family.save_weights(tmp_path / "checkpoint" / "weights")
    return tmp_path / "checkpoint"


@pytest.fixture
def adapted(base: Source, tmp_path: Path) -> Path:
    """A LoRA that has learned something."""
    family = load(base.base, torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    for parameter in weights.to_train(family, "lora", rank=4, seed=1).values():
        parameter.data.add_(torch.randn(parameter.shape, generator=generator))
    weights.save(family, tmp_path / "adapted" / "weights")
    return tmp_path / "adapted"


def drawn(source: Source, prompts: list[str], seeds: list[int], models: ModelCache | None = None) -> list[Drawn]:
    wanted = [(prompt, seed) for prompt in prompts for seed in seeds]
    return list(draw(models or ModelCache(threads=1), source, wanted, size_px=16, steps=4, guidance=3.0))


def differ(one: Drawn, other: Drawn) -> int:
    """The largest difference of any channel, 0 to 255."""
    return int(np.abs(np.asarray(one.picture).astype(int) - np.asarray(other.picture)).max())


def test_all_that_is_wanted_is_drawn_in_order(base: Source) -> None:
    samples = drawn(base, PROMPTS, [5, 1, 9, 4])
    assert [sample.index for sample in samples] == list(range(3 * 4))
    assert {sample.picture.size for sample in samples} == {(16, 16)}


def test_a_sample_does_not_depend_on_what_else_is_drawn(base: Source) -> None:
    together = drawn(base, PROMPTS, [1, 2, 3, 4])
    alone = drawn(base, [PROMPTS[1]], [3])[0]
    assert differ(together[4 + 2], alone) <= 1
    assert differ(together[4 + 2], together[0]) > 1


def test_switching_checkpoints_leaves_no_trace(base: Source, checkpoint: Path) -> None:
    trained = Source(base.family, base.base, checkpoint)
    models = ModelCache(threads=1)
    first, second, third = (drawn(source, ["red box"], [1], models)[0] for source in (base, trained, base))
    assert differ(first, second) > 1
    assert differ(first, third) == 0
    assert differ(second, drawn(trained, ["red box"], [1])[0]) == 0


def test_an_adapter_comes_and_goes_between_the_base_and_whole_checkpoints(
    base: Source, checkpoint: Path, adapted: Path
) -> None:
    models = ModelCache(threads=1)
    orders = [None, adapted, checkpoint, adapted, None, checkpoint, None]
    pictures = [drawn(Source(base.family, base.base, folder), ["red box"], [1], models)[0] for folder in orders]
    alone = {folder: drawn(Source(base.family, base.base, folder), ["red box"], [1])[0] for folder in set(orders)}
    for folder, picture in zip(orders, pictures, strict=True):
        assert differ(picture, alone[folder]) == 0
    assert differ(alone[None], alone[adapted]) > 1
    assert differ(alone[checkpoint], alone[adapted]) > 1


def test_what_stays_loaded_is_not_loaded_again(base: Source, checkpoint: Path) -> None:
    models = ModelCache(threads=1)
    family = models.family(base.family, base.base)
    assert models.family(base.family, base.base) is family
    assert models.family(base.family, base.base, checkpoint / "weights") is family
    assert models.family(base.family, base.base) is family


def test_a_released_lease_loads_again_and_reports_memory(base: Source) -> None:
    models = ModelCache(threads=1)
    family = models.family(base.family, base.base)
    assert models.memory().peak_resident_bytes > 10_000_000
    models.release()
    assert models.family(base.family, base.base) is not family


def test_missing_weights_are_refused(base: Source, tmp_path: Path) -> None:
    models = ModelCache(threads=1)
    with pytest.raises(InputError, match="are missing"):
        drawn(Source(base.family, base.base, tmp_path / "gone"), ["red box"], [1], models)
    (tmp_path / "empty" / "weights").mkdir(parents=True)
    with pytest.raises(InputError, match="cannot be loaded"):
        drawn(Source(base.family, base.base, tmp_path / "empty"), ["red box"], [1], models)
    assert drawn(base, ["red box"], [1], models)
