"""LoRA on a real tiny denoiser: what is trained, what is saved, what loads back, what merging gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch

from workers.families import lora, metadata
from workers.families.prx_pixel import PrxPixel, load
from workers.refusals import Refusal

CPU = torch.device("cpu")


@pytest.fixture
def family(base: Callable[..., Path]) -> PrxPixel:
    return load(str(base("prx_pixel")), CPU)


def drawn(family: PrxPixel) -> torch.Tensor:
    return family.draw(["red box", "blue box"], [1, 2], 16, 4, 3.0)


def trained(family: PrxPixel, rank: int = 4) -> list[torch.nn.Parameter]:
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


def test_a_base_kept_in_bf16_has_an_adapter_in_fp32(family: PrxPixel) -> None:
    family.model.bfloat16()
    parameters = trained(family)
    assert {p.dtype for p in parameters} == {torch.float32}
    kept = {p.dtype for p in family.model.parameters() if not p.requires_grad}
    assert kept == {torch.bfloat16}
    text = family.encode_texts(["red box"])[0]
    batch = {"tokens": text["tokens"][None], "mask": torch.ones(1, len(text["tokens"]), dtype=torch.bool)}
    clean = torch.zeros(1, 3, 16, 16)
    with torch.autocast("cpu", torch.bfloat16):
        answer = family.predict(family.model, clean, torch.tensor([0.5]), batch)
    answer.float().square().mean().backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 and p.grad.isfinite().all() for p in parameters)


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


def test_merged_it_draws_the_same_and_leaves_nothing_behind(family: PrxPixel) -> None:
    trained(family)
    wanted = drawn(family)
    before = {name: value.clone() for name, value in family.model.state_dict().items()}
    with lora.merged(family):
        assert not lora.is_on(family)
        assert (drawn(family).int() - wanted.int()).abs().max() <= 1
        assert not any("lora" in name for name in family.model.state_dict())
    after = family.model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert torch.equal(drawn(family), wanted)


def test_what_does_not_fit_is_refused(family: PrxPixel, tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="cannot be loaded"):
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
        with pytest.raises(Refusal, match="does not fit"):
            lora.load(family, tmp_path)
    safetensors.torch.save_file({"unet.x.lora_A.weight": torch.zeros(4, 5)}, tmp_path / lora.FILE)
    with pytest.raises(Refusal, match="is no LoRA"):
        lora.load(family, tmp_path)
    family.lora_targets = ("nothing_like_it",)
    with pytest.raises(Refusal, match="nothing_like_it"):
        lora.put_on(family, 4, seed=0)
