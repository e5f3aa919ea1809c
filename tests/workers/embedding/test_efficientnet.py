from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from workers.embedding import efficientnet
from workers.embedding.efficientnet import EfficientNet
from workers.errors import InputError


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def network(cache: Path) -> EfficientNet:
    return efficientnet.load(cache)


def drawn(colour: str, size: tuple[int, int] = (300, 400)) -> Pillow.Image:
    picture = Pillow.new("RGB", size, "white")
    picture.paste(Pillow.new("RGB", (size[0] // 2, size[1] // 2), colour), (size[0] // 4, size[1] // 4))
    return picture


def test_the_folded_network_is_the_trained_one(network: EfficientNet, cache: Path) -> None:
    """Each normalisation by itself, as it was trained, gives what the folded convolution gives."""
    import torch
    from safetensors.torch import load_file
    from torch.nn import functional

    weights = load_file(next(cache.glob("*.safetensors")))
    pixels = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    padded = functional.pad(pixels, (0, 1, 0, 1))
    plain = functional.conv2d(padded, weights["_conv_stem.weight"], stride=2)
    plain = functional.batch_norm(
        plain, weights["_bn0.running_mean"], weights["_bn0.running_var"], weights["_bn0.weight"], weights["_bn0.bias"],
        eps=1e-3,
    )  # fmt: skip
    with torch.inference_mode():
        folded = efficientnet.build(weights)[0](pixels)
    assert torch.allclose(folded, plain, atol=1e-4)


def test_pictures_become_vectors_of_length_one_each_by_itself(network: EfficientNet) -> None:
    pictures = [drawn("red"), drawn("red", (1200, 300)), drawn("navy")]
    together = network.look(pictures)
    assert together.shape == (3, 1280)
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    alone = np.concatenate([network.look([picture]) for picture in pictures])
    assert np.allclose(together, alone, atol=1e-3)


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (5000, 2), (223, 225)])
def test_any_shape_of_picture_is_prepared(size: tuple[int, int]) -> None:
    prepared = efficientnet.prepared(Pillow.new("RGB", size, (127, 127, 127)))
    assert prepared.shape == (224, 224, 3)
    assert abs(float(prepared.mean())) < 0.02


def test_the_middle_of_a_picture_is_looked_at(network: EfficientNet) -> None:
    wide = Pillow.new("RGB", (448, 224), "white")
    wide.paste(drawn("red", (224, 224)), (112, 0))
    near, far = network.look([wide, drawn("navy", (224, 224))]) @ network.look([drawn("red", (224, 224))])[0]
    assert near > 0.999 > far


def test_half_a_file_in_the_cache_is_made_again(network: EfficientNet, cache: Path) -> None:
    kept = next(cache.glob("*.safetensors"))
    kept.write_bytes(kept.read_bytes()[:1000])
    again = efficientnet.load(cache)
    assert np.allclose(again.look([drawn("red")]), network.look([drawn("red")]))
    assert kept.stat().st_size > 10_000_000
    assert [path.name for path in cache.iterdir()] == [kept.name]


def test_other_weights_than_the_known_ones_are_never_unpickled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    other = tmp_path / "other.pth"
    other.write_bytes(b"\x80\x04cos\nsystem\n")
    monkeypatch.setattr(efficientnet, "_packed", lambda: other)
    with pytest.raises(InputError, match="not the ones that Packshot knows"):
        efficientnet.load(tmp_path / "cache")


@pytest.mark.parametrize(
    ("missing", "said"), [("torch", "PyTorch is not installed"), (efficientnet._PACKAGE, "is not")]
)
def test_what_is_not_installed_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, missing: str, said: str
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    find = efficientnet.importlib.util.find_spec
    monkeypatch.setattr(efficientnet.importlib.util, "find_spec", lambda name: None if name == missing else find(name))
    with pytest.raises(InputError, match=said):
        efficientnet.load(tmp_path)


def test_photos_of_one_kind_are_nearest(network: EfficientNet, photos: Path) -> None:
    """Twelve of each of five kinds of real photos; the whole comparison is benchmarks/alike.py."""
    kinds = ("shoes", "hat", "pants", "dress", "t-shirt")
    files = [(kind, path) for kind in kinds for path in sorted((photos / "clothing" / kind).rglob("*.jpg"))[:12]]
    vectors = np.concatenate([network.look([Pillow.open(path).convert("RGB")]) for _, path in files])
    likeness = vectors @ vectors.T
    np.fill_diagonal(likeness, -1)
    same = [files[place][0] == files[int(near)][0] for place, near in enumerate(likeness.argmax(axis=1))]
    assert np.mean(same) > 0.6
