"""Masks weigh the loss: the formula, where a mask lies on its picture, members without one, what stays as it was."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageOps
from safetensors.torch import load_file

from app.catalog.mends import Edits
from app.datasets.manifest import ManifestRow, read_manifest, write_manifest
from app.training.recipe import Recipe
from workers.errors import InputError
from workers.families.prx_pixel import PrxPixel, load
from workers.finetune.batches import Members, Texts
from workers.finetune.forward import forward
from workers.finetune.loss import position_weights
from workers.finetune.methods.auxiliary import AuxiliaryLosses
from workers.finetune.pictures import read_fitted, read_fitted_mask
from workers.finetune.preflight import preflight
from workers.finetune.train import train
from workers.mending import framed, mended

CPU = torch.device("cpu")
MakeRecipe = Callable[..., Recipe]
TEAL, GREY = (0, 128, 128), (200, 200, 200)
ADAMW = {"optimiser": "adamw", "batch_size": 4, "report_every": 1, "checkpoint_every": 100}


@pytest.fixture
def family(tiny_base: Path) -> PrxPixel:
    return load(str(tiny_base), CPU)


@pytest.fixture
def bare(manifest: Path) -> str:
    """The file of the one member that has no mask; all others get theirs, named by its bytes as in a version."""
    rows = read_manifest(manifest)
    write_manifest(manifest, [rows[0], *(masked(row, manifest.parent) for row in rows[1:])])
    return rows[0].file


def masked(row: ManifestRow, folder: Path) -> ManifestRow:
    half = int(row.group.split("-")[1]) // 2
    mask = Image.new("L", (16, 16), 0)
    ImageDraw.Draw(mask).rectangle((8 - half, 8 - half, 7 + half, 7 + half), fill=255)
    mask.save(folder / "mask.png")
    name = f"{hashlib.sha256((folder / 'mask.png').read_bytes()).hexdigest()}.png"
    (folder / "mask.png").replace(folder / name)
    return replace(row, mask=name)


def members(manifest: Path, family: PrxPixel, needs_masks: bool = True) -> Members:
    rows = [row for row in read_manifest(manifest) if row.split == "train"]
    texts = Texts(sorted({row.caption for row in rows}), family, None, lambda *_: None)
    return Members(rows, manifest.parent, family, texts, 16, False, needs_masks=needs_masks)


def tensors(out: Path, step: int) -> dict[str, torch.Tensor]:
    folder = out / "checkpoints" / f"step-{step:06d}"
    weights = load_file(next((folder / "weights").glob("*.safetensors")))
    return {**{f"ema/{name}": t for name, t in weights.items()}, **load_file(folder / "state.safetensors")}


def assert_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


@pytest.mark.parametrize("background", [0.0, 0.1, 0.9])
@pytest.mark.parametrize("shape", [(24, 16), (6, 4), (3, 2)])
def test_weights_are_those_of_the_formula(background: float, shape: tuple[int, int]) -> None:
    masks = np.random.default_rng(0).integers(0, 256, (3, 24, 16), dtype=np.uint8)
    height, width = 24 // shape[0], 16 // shape[1]
    share = masks.reshape(3, shape[0], height, shape[1], width).mean(axis=(2, 4)) / 255
    counts = background + (1 - background) * share
    wanted = counts / counts.mean(axis=(1, 2), keepdims=True)
    weights = position_weights(torch.from_numpy(masks), shape, background)
    assert (weights.shape, weights.dtype) == ((3, 1, *shape), torch.float32)
    np.testing.assert_allclose(weights[:, 0].numpy(), wanted, rtol=1e-5)
    np.testing.assert_allclose(weights.mean(dim=(1, 2, 3)).numpy(), 1.0, rtol=1e-6)


def test_without_a_product_or_without_background_all_positions_count_evenly() -> None:
    masks = torch.tensor([0, 255], dtype=torch.uint8)[:, None, None].expand(2, 16, 16)
    for background in (0.0, 0.1, 0.7):
        weights = position_weights(masks, (4, 4), background)
        assert torch.equal(weights[1], torch.ones(1, 4, 4))
        torch.testing.assert_close(weights[0], torch.ones(1, 4, 4))


def drawn(size: tuple[int, int]) -> tuple[Image.Image, Image.Image]:
    """A product in a corner of a picture, and its mask at half the size."""
    picture, mask = Image.new("RGB", size, GREY), Image.new("L", (size[0] // 2, size[1] // 2), 0)
    for canvas, fill in ((picture, TEAL), (mask, 255)):
        width, height = canvas.size
        ImageDraw.Draw(canvas).ellipse((width * 0.1, height * 0.2, width * 0.6, height * 0.7), fill=fill)
    return picture, mask


def overlap(folder: Path, picture: Image.Image, mask: Image.Image, size: tuple[int, int], bound: float = 0.0) -> float:
    """Of where the product is seen and where the mask says it is, once both are fitted: intersection over union."""
    picture.save(folder / "picture.png")
    mask.save(folder / "mask.png")
    pixels = read_fitted(folder / "picture.png", size, enlarge_at_most=bound).astype(int)
    fitted = read_fitted_mask(folder / "mask.png", size, picture.size, bound)
    assert (fitted.shape, fitted.dtype) == (pixels.shape[:2], np.uint8)
    seen, said = np.abs(pixels - TEAL).sum(axis=2) < 136, fitted > 127
    assert 0.02 < seen.mean() < 0.9
    return float((seen & said).sum() / (seen | said).sum())


@pytest.mark.parametrize(
    ("given", "size", "bound"),
    [
        ((300, 200), (64, 64), 0.0),
        ((200, 300), (64, 64), 0.0),
        ((300, 200), (80, 56), 0.0),
        ((301, 99), (96, 48), 0.0),
        ((64, 40), (128, 128), 0.0),
        ((64, 40), (128, 128), 1.334),
        ((3000, 2000), (64, 48), 0.0),
    ],
)
def test_a_mask_lies_where_its_picture_does(
    tmp_path: Path, given: tuple[int, int], size: tuple[int, int], bound: float
) -> None:
    picture, mask = drawn(given)
    assert overlap(tmp_path, picture, mask, size, bound) > 0.88
    assert overlap(tmp_path, ImageOps.mirror(picture), ImageOps.mirror(mask), size, bound) > 0.88
    assert overlap(tmp_path, ImageOps.mirror(picture), mask, size, bound) < 0.8


@pytest.mark.parametrize(
    "edits",
    [
        Edits(turns=1),
        Edits(turns=2, crop=(0.3, 0.1, 1.0, 0.9)),
        Edits(angle=9.0),
        Edits(turns=3, angle=-4.0, crop=(0.0, 0.25, 0.75, 1.0)),
    ],
)
def test_the_mask_of_a_mended_picture_lies_where_that_does(tmp_path: Path, edits: Edits) -> None:
    picture, mask = drawn((300, 200))
    assert overlap(tmp_path, mended(picture, edits, mask), framed(mask, edits, "black"), (96, 64)) > 0.88


def test_a_member_without_a_mask_counts_evenly(bare: str, manifest: Path, family: PrxPixel) -> None:
    learned = members(manifest, family)
    batch = learned.batch([0, 1], [0, 1])
    assert batch.masks is not None
    weights = position_weights(batch.masks, (16, 16), 0.1)
    assert torch.equal(weights[0], torch.ones(1, 16, 16))
    assert weights[1, 0, 8, 8] / weights[1, 0, 0, 0] == pytest.approx(10.0)
    assert learned.batch([0], [0]).masks is None
    assert members(manifest, family, needs_masks=False).batch([0, 1], [0, 1]).masks is None


def test_the_loss_is_weighed_and_the_told_error_is_not(
    bare: str, manifest: Path, family: PrxPixel, recipe: MakeRecipe
) -> None:
    batch = members(manifest, family).batch([0, 1, 2], [0, 1, 2])

    def passed(**knobs: Any) -> Any:
        made = recipe(background_weight=0.1, **knobs)
        return forward(family, batch, made, 0, CPU, AuxiliaryLosses(made))

    seen, answers = passed(), []
    given = PrxPixel.errors

    def watched(*parts: Any) -> torch.Tensor:
        answers.append(parts)
        return given(*parts)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PrxPixel, "errors", watched)
        again = passed()
    _, prediction, clean, _, timesteps, knobs, _ = answers[-1]
    assert torch.equal(again.loss, seen.loss)
    share = batch.masks.numpy() / 255  # type: ignore[union-attr]
    counts = 0.1 + 0.9 * share
    even = (prediction - clean).detach().numpy() / timesteps.clamp(min=knobs.velocity_floor).numpy()[
        :, None, None, None
    ]
    wanted = (even**2 * (counts / counts.mean(axis=(1, 2), keepdims=True))[:, None]).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(seen.loss.detach().numpy(), wanted, rtol=1e-5)
    np.testing.assert_allclose(seen.errors.numpy(), (even**2).mean(axis=(1, 2, 3)), rtol=1e-5)
    assert torch.equal(seen.loss[0], seen.errors[0])  # it has no mask
    assert not torch.equal(seen.loss[1:], seen.errors[1:])


def test_all_of_the_background_is_to_the_bit_what_was_without_masks(
    bare: str, manifest: Path, tmp_path: Path, recipe: MakeRecipe, listener: Any
) -> None:
    rows, made = read_manifest(manifest), {}
    for name, weight, given in (("all", 1.0, rows), ("none", 1.0, [replace(row, mask=None) for row in rows]),
                                ("weighed", 0.2, rows)):  # fmt: skip
        write_manifest(manifest, given)
        report = listener()
        train(recipe(steps=3, background_weight=weight, **ADAMW), manifest, tmp_path / name, report, CPU, False)
        made[name] = tensors(tmp_path / name, 3), report.facts("validation")[0]["loss"]
    assert_same(made["all"][0], made["none"][0])
    assert any(not torch.equal(made["all"][0][name], tensor) for name, tensor in made["weighed"][0].items())
    # What is validated is not weighed, so that runs compare.
    assert made["weighed"][1] == made["all"][1]


def test_stopping_and_going_on_with_masks_equals_going_straight_through(
    bare: str, manifest: Path, tmp_path: Path, recipe: MakeRecipe, listener: Any
) -> None:
    knobs = recipe(steps=5, micro_batch=2, background_weight=0.2, buckets=True, **ADAMW)
    train(knobs, manifest, tmp_path / "straight", listener(), CPU, False)
    assert train(knobs, manifest, tmp_path / "broken", listener(stop_at=2), CPU, False) == "stopped"
    rows = read_manifest(manifest)
    write_manifest(manifest, [*rows[:-1], replace(rows[-1], mask=None)])
    with pytest.raises(InputError, match="learned from other members: other masks"):
        train(knobs, manifest, tmp_path / "broken", listener(), CPU, True)
    write_manifest(manifest, rows)
    assert train(knobs, manifest, tmp_path / "broken", listener(), CPU, True) == "completed"
    assert_same(tensors(tmp_path / "straight", 5), tensors(tmp_path / "broken", 5))


def test_members_without_masks_are_told_of(
    bare: str, manifest: Path, tmp_path: Path, recipe: MakeRecipe, listener: Any
) -> None:
    def note(name: str, **knobs: Any) -> str:
        report = listener()
        train(recipe(steps=2, **knobs), manifest, tmp_path / name, report, CPU, False)
        return str(report.facts("started")[0].get("note", ""))

    one = f"One picture has no mask, so there the background weighs as much as the product; the first is {bare}."
    assert one in note("one", background_weight=0.5)
    assert "mask" not in note("off")
    write_manifest(manifest, [replace(row, mask=None) for row in read_manifest(manifest)])
    assert "No picture has a mask, so the background weighs as much" in note("none", background_weight=0.5)


def test_a_mask_that_is_not_its_pictures_is_refused_by_name(
    bare: str, manifest: Path, tmp_path: Path, recipe: MakeRecipe, listener: Any
) -> None:
    rows = read_manifest(manifest)
    mask = manifest.parent / str(rows[1].mask)
    Image.new("L", (30, 10), 255).save(manifest.parent / "wide.png")
    (manifest.parent / "torn.png").write_bytes(mask.read_bytes()[:40])
    for name, why in (("wide.png", "another shape than its picture: 30 × 10 px for 16 × 16 px"),
                      ("torn.png", "cannot be read"), ("gone.png", "cannot be read")):  # fmt: skip
        write_manifest(manifest, [rows[0], replace(rows[1], mask=name), *rows[2:]])
        with pytest.raises(InputError, match=f"The mask .*{name} (has )?{why}"):
            train(recipe(background_weight=0.5), manifest, tmp_path / "out", listener(), CPU, False)
    write_manifest(manifest, rows)
    Image.new("L", (16, 16), 255).save(mask)
    (tmp_path / "before").mkdir()
    with pytest.raises(InputError, match="pictures cannot be read"):
        preflight(recipe(background_weight=0.5), manifest, tmp_path / "before", listener(), CPU, tmp_path / "cache")
    assert f"The mask {mask} is not the one in the manifest" in (tmp_path / "before" / "preflight.json").read_text()
    # Where masks weigh nothing, nobody opens them.
    train(recipe(steps=2), manifest, tmp_path / "off", listener(), CPU, False)
