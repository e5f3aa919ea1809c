"""Batches: order by seed and epoch, squares without cropping, captions dropped and padded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from app.datasets.manifest import read_manifest
from app.training.recipe import Recipe
from workers.families.prx_pixel import load
from workers.finetune import batches
from workers.finetune.batches import Members, order, read_square, training_batches
from workers.refusals import Refusal

MakeRecipe = Callable[..., Recipe]
TEAL, GREY = (0, 128, 128), (200, 200, 200)


def picture(folder: Path, size: tuple[int, int], mode: str = "RGB") -> Path:
    """A teal product on grey that touches no edge."""
    drawn = Image.new("RGB", size, GREY)
    width, height = size
    drawn.paste(TEAL, (width // 4, height // 4, width * 3 // 4, height * 3 // 4))
    drawn.convert(mode).save(folder / "picture.png")
    return folder / "picture.png"


@pytest.mark.parametrize("size", [(64, 64), (64, 32), (20, 60), (16, 16), (24, 24)])
def test_a_picture_fills_a_square_uncropped_on_its_own_background(tmp_path: Path, size: tuple[int, int]) -> None:
    square = read_square(picture(tmp_path, size), 32)
    assert square.shape == (32, 32, 3)
    assert square.dtype == np.uint8
    assert (square[0] == GREY).all()
    assert (square[:, 0] == GREY).all()
    product = (np.abs(square.astype(int) - TEAL).sum(axis=2) < 60).nonzero()
    height, width = np.ptp(product[0]) + 1, np.ptp(product[1]) + 1
    assert width / height == pytest.approx(size[0] / size[1], rel=0.25)


def test_a_picture_of_the_right_size_is_left_alone(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    assert (read_square(tmp_path / "noise.png", 32) == noise).all()


def test_transparency_becomes_white_and_rotation_is_undone(tmp_path: Path) -> None:
    Image.new("RGBA", (8, 8), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    assert (read_square(tmp_path / "clear.png", 8) == 255).all()
    drawn = Image.new("RGB", (8, 8), "black")
    drawn.paste((255, 255, 255), (0, 0, 8, 2))
    exif = drawn.getexif()
    exif[0x0112] = 3
    drawn.save(tmp_path / "turned.png", exif=exif)
    assert read_square(tmp_path / "turned.png", 8)[-1].min() == 255


@pytest.mark.parametrize("content", [b"", b"GIF89a nonsense", None])
def test_what_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "bad.png").write_bytes(content)
    with pytest.raises(Refusal, match=r"bad\.png cannot be read"):
        read_square(tmp_path / "bad.png", 8)


def test_a_cut_off_picture_is_named(tmp_path: Path) -> None:
    whole = picture(tmp_path, (64, 64)).read_bytes()
    (tmp_path / "picture.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(Refusal, match=r"picture\.png cannot be read"):
        read_square(tmp_path / "picture.png", 8)


def test_each_epoch_shows_every_member_once_in_an_order_of_its_own(recipe: MakeRecipe) -> None:
    knobs = recipe(batch_size=3)
    shown = [member for step in range(14) for member in order(step, 7, knobs)]
    epochs = [shown[start : start + 7] for start in range(0, 42, 7)]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 3


def test_the_order_hangs_on_the_seed_and_the_step_alone(recipe: MakeRecipe) -> None:
    assert order(5, 100, recipe(seed=1)) == order(5, 100, recipe(seed=1, adamw_lr=0.5))
    assert order(5, 100, recipe(seed=1)) != order(5, 100, recipe(seed=2))


def test_fewer_members_than_a_batch_are_repeated(recipe: MakeRecipe) -> None:
    assert Counter(order(0, 2, recipe(batch_size=6))) == {0: 3, 1: 3}


@pytest.fixture
def members(manifest: Path, tiny_base: Path) -> Members:
    rows = [row for row in read_manifest(manifest) if row.split == "train"]
    return Members(rows, manifest.parent, 16, load(str(tiny_base), torch.device("cpu")))


def test_dropped_captions_leave_no_token(members: Members) -> None:
    batch = members.batch([0, 1, 2], [False, True, False])
    assert batch.mask.sum(dim=1).tolist() == [2, 0, 2]
    assert batch.pictures.shape == (3, 16, 16, 3)
    assert batch.pictures.dtype == torch.uint8
    assert batch.text.shape[:2] == batch.mask.shape
    assert members.batch([0], [True]).mask.tolist() == [[False]]


def test_starting_in_the_middle_gives_the_same_batches(members: Members, recipe: MakeRecipe) -> None:
    knobs = recipe(steps=6, batch_size=3, caption_dropout=0.5)
    whole = list(training_batches(members, knobs, 0))
    late = list(training_batches(members, knobs, 4))
    assert (len(whole), len(late)) == (6, 2)
    for one, other in zip(whole[4:], late, strict=True):
        assert torch.equal(one.pictures, other.pictures)
        assert torch.equal(one.text, other.text)


def test_a_finished_run_has_no_batches_left(members: Members, recipe: MakeRecipe) -> None:
    assert list(training_batches(members, recipe(steps=6), 6)) == []


def test_pictures_too_many_for_memory_are_read_when_needed(
    manifest: Path, tiny_base: Path, members: Members, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "KEPT_IN_MEMORY_BYTES", 100)
    rows = [row for row in read_manifest(manifest) if row.split == "train"]
    reading = Members(rows, manifest.parent, 16, load(str(tiny_base), torch.device("cpu")))
    assert torch.equal(reading.batch([3, 1]).pictures, members.batch([3, 1]).pictures)
    (manifest.parent / rows[3].file).unlink()
    with pytest.raises(Refusal):
        reading.batch([3])
