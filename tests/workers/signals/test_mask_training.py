"""The recipe of the mask network, from photos to a file that the app can read, on four drawn photos and two steps."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from benchmarks import mask_training
from benchmarks.mask_composites import Assets, compose, is_for_training
from benchmarks.mask_network import SubjectNetwork
from benchmarks.masks import overlap
from tests.workers.signals.test_mask import shirt_on
from workers.signals.mask_network import SIDE_PX, WEIGHTS, log_odds


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like `../shared/data`: packshots on white, every fourth held out, and shirts on boards, tiles, folds."""
    folder = tmp_path_factory.mktemp("photos")
    packshots, clothing = folder / "grocery" / "packshots", folder / "clothing" / "shirts"
    packshots.mkdir(parents=True)
    clothing.mkdir(parents=True)
    rows = ["file_name,department"]
    for number in range(4):
        drawn = np.full((200, 200, 3), 255, np.uint8)
        drawn[40:160, 60:140] = 200, 20 + 40 * number, 30
        cv2.imwrite(str(packshots / f"{number}.jpg"), drawn)
        rows.append(f"{number}.jpg,{'Packages' if number else 'Fruit'}")
    (packshots / "metadata.csv").write_text("\n".join(rows), encoding="utf-8")
    names = (name for name in map("{}.jpg".format, range(99)) if is_for_training(name))
    for ground, name in zip(("boards", "tiles", "folds"), names, strict=False):
        shirt_on(ground, (36, 40, 66))[0].save(clothing / name)
    return folder


@pytest.fixture(scope="module")
def assets(photos: Path) -> Assets:
    return mask_training.gather(photos)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Batches of two; and the threads that the recipe sets for itself go back to what they were."""
    monkeypatch.setattr(mask_training, "BATCH", 2)
    threads, cv_threads, state = torch.get_num_threads(), cv2.getNumThreads(), torch.get_rng_state()
    yield
    torch.set_num_threads(threads)
    cv2.setNumThreads(cv_threads)
    torch.set_rng_state(state)


def test_assets_are_cut_out_of_photos_whose_outline_is_sure(assets: Assets) -> None:
    garments = len(assets.photos) - 3
    assert garments >= 1, "a shirt is found from two starts alike"
    assert len(assets.cut_outs) == 3 * 3 + garments, "groceries count three times, one is held out"
    assert len(assets.grounds) == 3
    picture, truth = compose(assets, np.random.default_rng(1), 96)
    assert picture.shape == (96, 96, 3) and truth.shape == (96, 96) and 0 <= truth.min() <= truth.max() <= 1


@pytest.mark.usefixtures("quick")
def test_the_same_steps_give_the_same_network(assets: Assets) -> None:
    first, second = (mask_training.trained(assets, 2).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    untrained = SubjectNetwork().state_dict()
    assert not torch.equal(first["last.weight"], untrained["last.weight"])


@pytest.mark.usefixtures("quick")
@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # of torch's exporter
def test_the_recipe_ends_in_a_file_that_the_app_can_read(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxscript", reason="comes with `make install`: the network is written with it")
    shipped, target = WEIGHTS.read_bytes(), tmp_path / "build" / "network.onnx"
    monkeypatch.setattr(sys, "argv", ["mask_training", str(photos), str(target), "2"])
    mask_training.main()
    said = capsys.readouterr().out
    assert "192 px: step 2 of 2" in said and "160 px: step 1 of 1" in said and "SHA-256" in said
    assert [path.name for path in target.parent.iterdir()] == ["network.onnx"]
    assert all(b"mask_network.py" not in file for file in (shipped, target.read_bytes())), "no folders"
    picture, _ = shirt_on("boards", (36, 40, 66))
    odds = log_odds(np.asarray(picture), target)
    assert odds.shape == (SIDE_PX // 2, SIDE_PX // 2) and np.isfinite(odds).all()
    assert not np.array_equal(odds, log_odds(np.asarray(picture)))
    assert WEIGHTS.read_bytes() == shipped, "what the app uses is only replaced by a person"


def test_without_photos_or_the_writer_it_says_so_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["mask_training", str(tmp_path), str(tmp_path / "network.onnx"), "2"])
    monkeypatch.setattr(mask_training, "find_spec", lambda _: None)
    with pytest.raises(SystemExit, match="make install"):
        mask_training.main()
    monkeypatch.setattr(mask_training, "find_spec", lambda name: name)
    with pytest.raises(SystemExit, match="nothing to train on"):
        mask_training.main()


def test_the_shipped_network_finds_most_of_a_composite(assets: Assets) -> None:
    rng = np.random.default_rng(4)
    pairs = [compose(assets, rng, SIDE_PX) for _ in range(12)]
    shown = [(pixels, truth[::2, ::2] > 0.5) for pixels, truth in pairs if truth.mean() > 0.05]
    assert np.median([overlap(log_odds(pixels) > 0, truth) for pixels, truth in shown]) > 0.8
