"""LoRA on a real tiny denoiser: what is trained, what is saved, what loads back, what merging gives."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from app.training.recipe import Recipe
from tests.workers.families import tiny, tiny_flow, tiny_unets
from workers.errors import InputError
from workers.families import lora, lora_merge, metadata
from workers.families.prx_pixel import PrxPixel, load
from workers.families.registry import load_family, stacked

CPU = torch.device("cpu")


@pytest.fixture
def family(base: Callable[..., Path]) -> PrxPixel:
    return load(str(base("prx_pixel")), CPU)


def drawn(family: PrxPixel) -> torch.Tensor:
    return family.draw(["red box", "blue box"], [1, 2], 16, 4, 3.0)


def trained(family: Any, rank: int = 4) -> list[torch.nn.Parameter]:
    """An adapter that has learned something: every weight moved off its start."""
    parameters = lora.put_on(family, rank, seed=5)
    with torch.no_grad():
        for number, parameter in enumerate(parameters):
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number)) * 0.3)
    return parameters


def test_a_fresh_adapter_changes_no_picture_and_only_it_is_trained(family: PrxPixel) -> None:
    before = drawn(family)
    parameters = lora.put_on(family, 4, seed=5)
    assert torch.equal(drawn(family), before)
    assert {id(p) for p in parameters} == {id(p) for p in family.model.parameters() if p.requires_grad}
    assert len(parameters) == 2 * 6 * 2  # A and B, six layers, two blocks
    assert lora.rank_of(family) == 4


def test_the_start_is_the_seeds_and_nothing_elses(family: PrxPixel, base: Callable[..., Path]) -> None:
    ours = lora.put_on(family, 4, seed=5)
    torch.rand(7)
    other = load(str(base("prx_pixel")), CPU)
    for one, same in zip(ours, lora.put_on(other, 4, seed=5), strict=True):
        assert torch.equal(one, same)
    lora.put_on(other, 4, seed=6)
    names = [name for name in lora.weights(other) if name.endswith("lora_A.weight")]
    assert not any(torch.equal(lora.weights(family)[name], lora.weights(other)[name]) for name in names)


def test_taken_off_the_base_is_what_it_was_to_the_bit(family: PrxPixel) -> None:
    before = {name: value.clone() for name, value in family.model.state_dict().items()}
    picture = drawn(family)
    trained(family)
    assert not torch.equal(drawn(family), picture)
    lora.take_off(family)
    after = family.model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert torch.equal(drawn(family), picture)
    assert not lora.is_on(family)


FAMILIES = {
    "prx": lambda folder: tiny.prx(folder),
    "prx_pixel": lambda folder: tiny.prx_pixel(folder),
    "sd15": lambda folder: tiny_unets.sd15(folder),
    "sdxl": lambda folder: tiny_unets.sdxl(folder),
    "sd3": lambda folder: tiny_flow.sd3(folder),
    "flux": lambda folder: tiny_flow.flux(folder),
    "flux2": lambda folder: tiny_flow.flux2(folder),
}


@pytest.mark.filterwarnings("ignore:`LoraLoaderMixin` is deprecated:FutureWarning")
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight:UserWarning")
@pytest.mark.parametrize("name", FAMILIES)
def test_a_narrow_base_trains_to_the_bit_as_a_wide_one_and_merges_as_wide(
    name: str, recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    wide: Any = load_family(name, str(FAMILIES[name](tmp_path / name)), CPU)
    narrowed: Any = load_family(name, str(tmp_path / name), CPU, is_narrow=True)
    assert narrowed.is_narrow
    assert not wide.is_narrow
    told = []
    for family in (wide, narrowed):
        parameters = trained(family)
        assert {p.dtype for p in parameters} == {torch.float32}
        clean = family.encode_pictures(torch.arange(2 * 16 * 16 * 3).reshape(2, 16, 16, 3).to(torch.uint8))
        noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(1)) * family.noise_scale
        timesteps, batch = torch.tensor([0.3, 0.8]), stacked(family.encode_texts(["red box", "blue mug"]))
        with torch.autocast("cpu", torch.bfloat16):
            answer = family.predict(family.model, family.noisy(clean, noise, timesteps), timesteps, batch)
            errors = family.errors(answer, clean, noise, timesteps, recipe())
        errors.mean().backward()
        told.append([errors.detach(), *(p.grad for p in parameters)])
        assert sum(bool(p.grad.any()) for p in parameters) > len(parameters) / 2
        assert family.draw(["red box"], [1], 16, 2, 3.0).shape == (1, 16, 16, 3)
    assert all(torch.equal(one, same) for one, same in zip(*told, strict=True))
    for family, place in ((wide, "wide"), (narrowed, "narrow")):
        lora_merge.save_merged(family, tmp_path / place)
    files = sorted(file.name for file in (tmp_path / "wide").glob("*.safetensors"))
    assert files
    assert all((tmp_path / "wide" / one).read_bytes() == (tmp_path / "narrow" / one).read_bytes() for one in files)


def test_saved_it_loads_back_to_the_bit_and_in_place(
    family: PrxPixel, base: Callable[..., Path], tmp_path: Path
) -> None:
    trained(family)
    lora.save(family, tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == [lora.FILE]
    again = load(str(base("prx_pixel")), CPU)
    lora.load(again, tmp_path)
    assert torch.equal(drawn(again), drawn(family))
    held = lora.put_on(again, 4, seed=1)
    lora.load(again, tmp_path)
    assert [id(p) for p in lora.weights(again).values()] == [id(p) for p in held]
    for one, same in zip(lora.weights(family).values(), held, strict=True):
        assert torch.equal(one, same)


def test_the_same_adapter_is_the_same_file(family: PrxPixel, tmp_path: Path) -> None:
    trained(family)
    for name in ("one", "two"):
        lora.save(family, tmp_path / name, {"dataset_hash": "d" * 64})
    assert (tmp_path / "one" / lora.FILE).read_bytes() == (tmp_path / "two" / lora.FILE).read_bytes()
    told = metadata.read(tmp_path / "one" / lora.FILE)
    assert (told["format"], told["rank"], told["dataset_hash"]) == ("pt", "4", "d" * 64)


def test_merged_it_draws_the_same(family: PrxPixel, base: Callable[..., Path], tmp_path: Path) -> None:
    trained(family)
    lora_merge.save_merged(family, tmp_path)
    assert lora.is_on(family)
    plain = load(str(base("prx_pixel")), CPU)
    assert not torch.equal(drawn(plain), drawn(family))
    plain.load_weights(tmp_path)
    assert (drawn(plain).int() - drawn(family).int()).abs().max() <= 1


def test_a_base_in_shards_and_in_bf16_is_merged_as_it_lies(
    family: PrxPixel, base: Callable[..., Path], tmp_path: Path
) -> None:
    shutil.copytree(base("prx_pixel"), tmp_path / "base")
    shutil.rmtree(tmp_path / "base/transformer")
    family.model.to(torch.bfloat16).save_pretrained(tmp_path / "base/transformer", max_shard_size="60KB")
    there = sorted(file.name for file in (tmp_path / "base/transformer").iterdir())
    assert len(there) > 4
    lying = load(str(tmp_path / "base"), CPU)
    trained(lying)
    layer = next(name.removesuffix(".lora_B.weight") for name in lora.weights(lying) if name.endswith("lora_B.weight"))
    lora_merge.save_merged(lying, tmp_path / "merged")
    assert sorted(file.name for file in (tmp_path / "merged").iterdir()) == there
    saved = type(lying.model).from_pretrained(tmp_path / "merged", torch_dtype=torch.bfloat16).state_dict()
    module = lying.model.get_submodule(layer.removeprefix("transformer."))
    wanted = (module.base_layer.weight + module.get_delta_weight("default")).bfloat16()
    assert torch.equal(saved[f"{layer.removeprefix('transformer.')}.weight"], wanted)


def test_what_does_not_fit_is_refused(family: PrxPixel, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be loaded"):
        lora.load(family, tmp_path)
    trained(family)
    lora.save(family, tmp_path)
    saved = safetensors.torch.load_file(tmp_path / lora.FILE)
    name = next(iter(saved))
    for changed in (
        {key: value for key, value in saved.items() if key != name},
        {**saved, "transformer.blocks.9.gate_proj.lora_B.weight": torch.zeros(64, 4)},
        {**saved, name: torch.zeros(4, 5)},
    ):
        safetensors.torch.save_file(changed, tmp_path / lora.FILE)
        with pytest.raises(InputError, match="does not fit"):
            lora.load(family, tmp_path)
    safetensors.torch.save_file({"unet.x.lora_A.weight": torch.zeros(4, 5)}, tmp_path / lora.FILE)
    with pytest.raises(InputError, match="is no LoRA"):
        lora.load(family, tmp_path)
    family.lora_targets = ("nothing_like_it",)
    with pytest.raises(InputError, match="nothing_like_it"):
        lora.put_on(family, 4, seed=0)
