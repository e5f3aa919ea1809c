"""Perceptual losses for pixel models, at every noise level: LPIPS (Zhang et al. 2018) and DINO features.

Both compare the clean picture that the answer stands for with the true one, as PRX part 3 does: LPIPS at half size, and
the angle between DINO's patch features at about 224 x 224 pixels.

The LPIPS folder holds safetensors files with these weights, in one file or several; nothing is unpickled here:
`features.N.weight` and `.bias` of torchvision's VGG16 (N of its 13 convolutions), and `linK.model.1.weight` (K from 0
to 4) of the lpips package. docs/methods.md says where they come from and how to write the files.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from workers.errors import InputError
from workers.finetune.methods.dino import Dino

# Convolutions of VGG16 (Simonyan & Zisserman 2014, configuration D) in five stages between which the size is halved:
# (place in torchvision's `features`, channels in, channels out).
_STAGES = (
    ((0, 3, 64), (2, 64, 64)),
    ((5, 64, 128), (7, 128, 128)),
    ((10, 128, 256), (12, 256, 256), (14, 256, 256)),
    ((17, 256, 512), (19, 512, 512), (21, 512, 512)),
    ((24, 512, 512), (26, 512, 512), (28, 512, 512)),
)
# The lpips package's own scaling of pictures from -1 to 1.
_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
# Halved once here and four times in the network, something must be left.
SMALLEST_SIDE_PX = 32

_DINO_SIDE_PX = 224


class Lpips(torch.nn.Module):
    """The LPIPS distance on VGG16, frozen, float32."""

    def __init__(self, folder: str, device: torch.device, is_bf16: bool) -> None:
        """`is_bf16`: compute under bf16 autocast. Raises `InputError` when the folder lacks weights."""
        super().__init__()
        self._is_bf16 = is_bf16
        self.features = torch.nn.ModuleDict(
            {str(n): torch.nn.Conv2d(i, o, 3, padding=1) for stage in _STAGES for n, i, o in stage}
        )
        # Saved as 1 x 1 convolutions without bias: a weight for each channel of a stage.
        self._weights = [f"lin{number}.model.1.weight" for number in range(len(_STAGES))]
        tensors = _read(Path(folder))
        names = [*(f"features.{name}" for name in self.features.state_dict()), *self._weights]
        missing = [name for name in names if name not in tensors]
        if missing:
            raise InputError(f"The LPIPS folder {folder} lacks {missing[0]}" + f" and {len(missing) - 1} more.")
        try:
            self.features.load_state_dict({n: tensors[f"features.{n}"] for n in self.features.state_dict()})
            self.channels = [
                tensors[n].float().reshape(s[-1][2], 1, 1) for n, s in zip(self._weights, _STAGES, strict=True)
            ]
        except RuntimeError as error:
            raise InputError(f"The LPIPS weights in {folder} do not fit: {' '.join(str(error).split())}") from error
        self.requires_grad_(False).eval().to(device)
        self.channels = [weight.to(device) for weight in self.channels]
        self._shift = torch.tensor(_SHIFT, device=device)[:, None, None]
        self._scale = torch.tensor(_SCALE, device=device)[:, None, None]

    def forward(self, given: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
        """Distance of each picture, float32 [B]; pictures float [B, 3, H, W] from -1 to 1."""
        with torch.no_grad():
            wanted = self._stages(true)
        distance = torch.zeros(len(given), device=given.device)
        for mine, theirs, channels in zip(self._stages(given), wanted, self.channels, strict=True):
            distance = distance + ((mine - theirs).square() * channels).sum(dim=1).mean(dim=(1, 2))
        return distance

    def _stages(self, pictures: torch.Tensor) -> list[torch.Tensor]:
        """What each stage sees, every place's channels scaled to length 1, float32."""
        seen = (pictures.float() - self._shift) / self._scale
        stages = []
        with torch.autocast(seen.device.type, torch.bfloat16, enabled=self._is_bf16):
            for number, stage in enumerate(_STAGES):
                if number:
                    seen = torch.nn.functional.max_pool2d(seen, 2)
                for place, _, _ in stage:
                    seen = self.features[str(place)](seen).relu()
                stages.append(seen)
        # Under the root, unlike in the package: there the gradient of a place where every channel is 0 is no number.
        return [s.float() / (s.float().square().sum(dim=1, keepdim=True) + 1e-20).sqrt() for s in stages]


def lpips_errors(lpips: Lpips, given: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """LPIPS of pictures float [B, 3, H, W] from -1 to 1, both halved in size first, float32 [B]."""
    halved = [torch.nn.functional.avg_pool2d(pictures.float(), 2) for pictures in (given, true)]
    return torch.as_tensor(lpips(*halved))


def dino_errors(dino: Dino, given: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """Mean of 1 - cosine over patch features of pictures float [B, 3, H, W] from -1 to 1, float32 [B]."""
    height, width = given.shape[-2:]
    scale = _DINO_SIDE_PX / math.sqrt(height * width) / dino.patch_px
    rows, columns = max(1, round(scale * height)), max(1, round(scale * width))
    # What is brighter than white or darker than black is shown as those: DINO has seen pictures only.
    with torch.no_grad():
        wanted = dino.patches(((true + 1.0) / 2.0).clamp(0.0, 1.0), rows, columns)
    seen = dino.patches(((given + 1.0) / 2.0).clamp(0.0, 1.0), rows, columns)
    return (1.0 - torch.nn.functional.cosine_similarity(seen, wanted, dim=-1)).mean(dim=1)


def _read(folder: Path) -> dict[str, torch.Tensor]:
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise InputError(f"The LPIPS folder {folder} is missing or holds no safetensors files.")
    tensors: dict[str, torch.Tensor] = {}
    for file in files:
        try:
            tensors |= load_file(file)
        except (OSError, SafetensorError) as error:
            raise InputError(f"The LPIPS file {file} cannot be read: {error}.") from error
    return tensors
