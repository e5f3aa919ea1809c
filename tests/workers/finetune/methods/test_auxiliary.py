"""The teacher, the perceptual losses, and what puts them together."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel

from app.training.recipe import Recipe
from workers.errors import InputError
from workers.families.prx_pixel import PrxPixel
from workers.finetune.methods.auxiliary import AuxiliaryLosses, build_auxiliary
from workers.finetune.methods.dino import Dino
from workers.finetune.methods.perceptual import Lpips, dino_errors, lpips_errors

CPU = torch.device("cpu")
MakeRecipe = Callable[..., Recipe]
Pass = tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor], torch.Tensor]


def extra_loss(auxiliary: AuxiliaryLosses, family: PrxPixel, one_pass: Pass, step: int = 0) -> torch.Tensor | None:
    """One training pass with the auxiliary around it, and their loss."""
    noisy, timesteps, text, pictures = one_pass
    with auxiliary.around(step, range(3)):
        prediction = family.predict(family.model, noisy, timesteps, text)
    return auxiliary.terms(family, prediction, noisy, family.encode_pictures(pictures), timesteps, pictures, step)


def test_nothing_is_on_unless_asked_for(family: PrxPixel, recipe: MakeRecipe, one_pass: Pass) -> None:
    auxiliary = build_auxiliary(recipe(), family)
    noisy, timesteps, text, _ = one_pass
    plain = family.predict(family.model, noisy, timesteps, text)
    with auxiliary.around(0, range(3)):
        assert torch.equal(plain, family.predict(family.model, noisy, timesteps, text))
    assert extra_loss(auxiliary, family, one_pass) is None
    assert (len(auxiliary.modules), auxiliary.needs_pictures, auxiliary.notes) == (0, False, ())


@pytest.mark.parametrize("folder", ["dino_folder", "dino3_folder"])
def test_features_are_those_of_the_model_without_its_other_tokens(folder: str, request: pytest.FixtureRequest) -> None:
    path = str(request.getfixturevalue(folder))
    dino = Dino(path, CPU, is_bf16=False)
    size = (3 * dino.patch_px, 5 * dino.patch_px)
    pictures = torch.rand((2, 3, *size), generator=torch.Generator().manual_seed(1))
    seen = dino.patches(pictures, 3, 5)
    mean, spread = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    given = (pictures - mean[:, None, None]) / spread[:, None, None]
    with torch.no_grad():
        theirs = AutoModel.from_pretrained(path)(given).last_hidden_state
    assert torch.allclose(seen, theirs[:, -15:], atol=1e-5)
    assert seen.shape[:2] == (2, 15)


def test_a_block_learns_to_see_as_the_teacher_does(
    family: PrxPixel, recipe: MakeRecipe, one_pass: Pass, dino_folder: Path
) -> None:
    auxiliary = build_auxiliary(recipe(teacher=str(dino_folder), teacher_block=3, teacher_weight=1.0), family)
    assert auxiliary.needs_pictures
    before = dict(family.model.named_parameters())
    optimiser = torch.optim.Adam([*before.values(), *auxiliary.modules.parameters()], lr=3e-3)
    losses = []
    for _ in range(40):
        loss = extra_loss(auxiliary, family, one_pass)
        assert loss is not None
        assert loss.shape == (3,)
        optimiser.zero_grad()
        loss.mean().backward()  # type: ignore[no-untyped-call]
        losses.append(loss.mean().item())
        reached = {name for name, p in before.items() if p.grad is not None and p.grad.abs().sum() > 0}
        assert any(name.startswith("blocks.2.") for name in reached)
        assert not any(name.startswith(("blocks.3.", "blocks.4.", "final_layer")) for name in reached)
        optimiser.step()
    assert losses[-1] < 0.5 * losses[0]


def test_the_loss_is_one_minus_the_cosine_of_each_token(
    family: PrxPixel, recipe: MakeRecipe, one_pass: Pass, dino_folder: Path
) -> None:
    auxiliary = build_auxiliary(recipe(teacher=str(dino_folder), teacher_block=2, teacher_weight=0.5), family)
    caught: list[torch.Tensor] = []
    model: Any = family.model
    model.blocks[1].register_forward_hook(lambda _, __, out: caught.append(out))
    loss = extra_loss(auxiliary, family, one_pass)
    pictures = one_pass[3].permute(0, 3, 1, 2) / 255.0
    wanted = Dino(str(dino_folder), CPU, is_bf16=False).patches(pictures, 4, 6)
    given = auxiliary.modules["teacher"](caught[0])
    cosine = (given * wanted).sum(dim=-1) / given.norm(dim=-1) / wanted.norm(dim=-1)
    assert loss is not None
    assert torch.allclose(loss, 0.5 * (1.0 - cosine).mean(dim=1), atol=1e-5)


@pytest.mark.parametrize("block", [1, 3, 4, 5])
def test_only_tokens_that_were_worked_on_are_taught(
    family: PrxPixel, recipe: MakeRecipe, one_pass: Pass, dino_folder: Path, block: int
) -> None:
    """Block 1 comes before routing, 2 to 4 are routed, and what comes out of 5 is measured on the kept ones."""
    knobs = recipe(teacher=str(dino_folder), teacher_block=block, teacher_weight=1.0, route_share=0.5, route_from=1)
    auxiliary = build_auxiliary(knobs, family)
    caught: list[torch.Tensor] = []
    model: Any = family.model
    model.blocks[block - 1].register_forward_hook(lambda _, __, out: caught.append(out))
    loss = extra_loss(auxiliary, family, one_pass)
    assert auxiliary.routing is not None
    kept = auxiliary.routing.kept
    assert kept is not None
    assert loss is not None
    pictures = one_pass[3].permute(0, 3, 1, 2) / 255.0
    wanted = Dino(str(dino_folder), CPU, is_bf16=False).patches(pictures, 4, 6)
    rows = torch.arange(3)[:, None]
    given = caught[0]
    if block > 1:
        wanted = wanted[rows, kept]
        given = given if given.shape[1] == kept.shape[1] else given[rows, kept]
    cosine = torch.nn.functional.cosine_similarity(auxiliary.modules["teacher"](given), wanted, dim=-1)
    assert torch.allclose(loss, (1.0 - cosine).mean(dim=1), atol=1e-5)


def test_the_teacher_goes_when_its_time_is_over(
    family: PrxPixel, recipe: MakeRecipe, one_pass: Pass, dino_folder: Path
) -> None:
    auxiliary = build_auxiliary(recipe(teacher=str(dino_folder), teacher_block=1, teacher_until=0.5, steps=10), family)
    assert extra_loss(auxiliary, family, one_pass, step=4) is not None
    assert extra_loss(auxiliary, family, one_pass, step=5) is None


def test_a_fine_grid_is_taught_from_a_coarser_one(
    family: PrxPixel, recipe: MakeRecipe, dino_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.finetune.methods.teacher.PATCHES_AT_MOST", 3)
    auxiliary = build_auxiliary(recipe(teacher=str(dino_folder), teacher_block=1), family)
    assert auxiliary.teacher is not None
    view = auxiliary.teacher._view(torch.zeros((1, 16, 24, 3), dtype=torch.uint8), 4, 6)
    assert view.shape == (1, 24, 24)


def test_lpips_is_what_its_definition_says(lpips_folder: Path) -> None:
    """Zhang et al. 2018, equation 1, on the network as torchvision lays it out."""
    generator = torch.Generator().manual_seed(2)
    given, true = torch.rand((2, 2, 3, 48, 32), generator=generator) * 2 - 1
    weights = load_file(lpips_folder / "vgg16.safetensors") | load_file(lpips_folder / "lpips.safetensors")
    shift, scale = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])

    def stages(x: torch.Tensor) -> list[torch.Tensor]:
        x = (x - shift[:, None, None]) / scale[:, None, None]
        told = []
        for place in range(30):  # torchvision's `features` up to the last relu: pools at 4, 9, 16 and 23
            if f"features.{place}.weight" in weights:
                parts = weights[f"features.{place}.weight"], weights[f"features.{place}.bias"]
                x = torch.nn.functional.conv2d(x, *parts, padding=1)
            elif place in (4, 9, 16, 23):
                x = torch.nn.functional.max_pool2d(x, 2)
            else:
                x = x.relu()
            if place in (3, 8, 15, 22, 29):
                told.append(x / x.norm(dim=1, keepdim=True).clamp(min=1e-10))
        return told

    wanted = torch.zeros(2)
    for number, (mine, theirs) in enumerate(zip(stages(given), stages(true), strict=True)):
        linear = torch.nn.functional.conv2d((mine - theirs).square(), weights[f"lin{number}.model.1.weight"])
        wanted += linear.mean(dim=(1, 2, 3))
    lpips = Lpips(str(lpips_folder), CPU, is_bf16=False)
    assert torch.allclose(lpips(given, true), wanted, rtol=1e-4)
    assert torch.equal(lpips(true, true), torch.zeros(2))
    halved = [torch.nn.functional.interpolate(x, scale_factor=0.5, mode="area") for x in (given, true)]
    assert torch.allclose(lpips_errors(lpips, given, true), lpips(*halved))


def test_gradients_are_numbers_where_nothing_is_seen(lpips_folder: Path) -> None:
    """All of a stage's channels at 0, as in a plain black picture."""
    lpips = Lpips(str(lpips_folder), CPU, is_bf16=False)
    for convolution in lpips.features.values():
        convolution.bias.data.fill_(-10.0)
    given = torch.zeros((1, 3, 32, 32), requires_grad=True)
    distance = lpips(given, torch.ones((1, 3, 32, 32)))
    distance.sum().backward()
    assert distance.isfinite().all()
    assert given.grad is not None
    assert given.grad.isfinite().all()


def test_dinos_angle_falls_to_nothing_for_the_same_picture(dino_folder: Path) -> None:
    dino = Dino(str(dino_folder), CPU, is_bf16=False)
    true = torch.rand((2, 3, 32, 16), generator=torch.Generator().manual_seed(3)) * 2 - 1
    given = torch.zeros_like(true, requires_grad=True)
    assert torch.allclose(dino_errors(dino, true, true), torch.zeros(2), atol=1e-5)
    dino_errors(dino, given, true).sum().backward()  # type: ignore[no-untyped-call]
    assert given.grad is not None
    assert given.grad.abs().sum() > 0


def test_dino_is_shown_nothing_brighter_than_white_or_darker_than_black(dino_folder: Path) -> None:
    dino = Dino(str(dino_folder), CPU, is_bf16=False)
    true = torch.rand((2, 3, 32, 16), generator=torch.Generator().manual_seed(3)).round() * 2 - 1
    assert torch.allclose(dino_errors(dino, 7.0 * true, true), torch.zeros(2), atol=1e-5)


def test_perceptual_losses_add_up_by_their_weights(
    family: PrxPixel, recipe: MakeRecipe, one_pass: Pass, dino_folder: Path, lpips_folder: Path
) -> None:
    both = {"lpips": str(lpips_folder), "dino": str(dino_folder)}
    knobs = recipe(**both, lpips_weight=0.1, dino_weight=0.01, resolution_px=32)
    auxiliary = build_auxiliary(knobs, family)
    assert (auxiliary.needs_pictures, len(auxiliary.modules)) == (False, 0)
    pictures = torch.randint(0, 256, (3, 32, 32, 3), generator=torch.Generator().manual_seed(4), dtype=torch.uint8)
    clean = family.encode_pictures(pictures)
    noisy = torch.randn(clean.shape, generator=torch.Generator().manual_seed(5), requires_grad=True)
    timesteps = one_pass[1]
    loss = auxiliary.terms(family, noisy, noisy, clean, timesteps, None, 0)
    lpips, dino = Lpips(str(lpips_folder), CPU, is_bf16=False), Dino(str(dino_folder), CPU, is_bf16=False)
    wanted = 0.1 * lpips_errors(lpips, noisy, clean) + 0.01 * dino_errors(dino, noisy, clean)
    assert loss is not None
    assert torch.allclose(loss, wanted)
    assert loss.shape == (3,)


def test_what_is_routed_hangs_on_the_picture_however_the_step_is_cut(
    family: PrxPixel, recipe: MakeRecipe, one_pass: Pass
) -> None:
    noisy, timesteps, text, _ = one_pass
    auxiliary = build_auxiliary(recipe(route_share=0.5, route_from=1), family)
    assert auxiliary.routing is not None

    def kept(step: int, places: list[int]) -> torch.Tensor:
        some = {name: tensor[places] for name, tensor in text.items()}
        with auxiliary.around(step, places):
            family.predict(family.model, noisy[places], timesteps[places], some)
        assert auxiliary.routing is not None
        assert auxiliary.routing.kept is not None
        return auxiliary.routing.kept

    whole = kept(7, [0, 1, 2])
    assert torch.equal(whole, torch.cat([kept(7, [0]), kept(7, [1, 2])]))
    assert not torch.equal(whole, kept(8, [0, 1, 2]))


def test_few_tokens_are_worth_a_note(family: PrxPixel, recipe: MakeRecipe) -> None:
    (note,) = build_auxiliary(recipe(route_share=0.5, route_from=1), family).notes
    assert "about 16 tokens" in note
    assert build_auxiliary(recipe(route_share=0.5, route_from=1, resolution_px=128), family).notes == ()


def test_what_is_missing_or_does_not_fit_is_refused(
    family: PrxPixel, recipe: MakeRecipe, tmp_path: Path, dino_folder: Path, lpips_folder: Path
) -> None:
    def refused(**knobs: Any) -> str:
        with pytest.raises(InputError) as refusal:
            build_auxiliary(recipe(**knobs), family)
        return str(refusal.value)

    assert "holds no DINO model" in refused(teacher=str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    assert "is a bert" in refused(dino=str(tmp_path))
    assert "the model has 5 blocks" in refused(teacher=str(dino_folder), teacher_block=6)
    assert "missing or holds no safetensors" in refused(lpips=str(tmp_path / "none"), resolution_px=32)
    assert "at least 32 pixels" in refused(lpips=str(lpips_folder), resolution_px=16)
    assert "route_from" in refused(route_share=0.5, route_from=4)

    torn = tmp_path / "torn"
    shutil.copytree(dino_folder, torn)
    weights = load_file(torn / "model.safetensors")
    weights.pop("layernorm.weight")
    save_file(weights, torn / "model.safetensors", {"format": "pt"})
    assert "lacks weights: layernorm.weight" in refused(teacher=str(torn), teacher_block=1)

    half = tmp_path / "half"
    half.mkdir()
    shutil.copy(lpips_folder / "vgg16.safetensors", half)
    assert "lacks lin0.model.1.weight" in refused(lpips=str(half), resolution_px=32)


def test_a_pickled_teacher_is_refused(family: PrxPixel, recipe: MakeRecipe, dino_folder: Path, tmp_path: Path) -> None:
    shutil.copy(dino_folder / "config.json", tmp_path)
    torch.save(load_file(dino_folder / "model.safetensors"), tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match="cannot be loaded"):
        build_auxiliary(recipe(teacher=str(tmp_path), teacher_block=1), family)
