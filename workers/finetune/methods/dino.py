"""What a local DINO model sees: DINOv2 (Oquab et al. 2023) or DINOv3 (Siméoni et al. 2025), frozen.

The folder is one that transformers writes: `config.json`, `model.safetensors` and, for the colours' mean and spread,
`preprocessor_config.json`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModel
from transformers.utils import logging as transformers_logging

from workers.errors import InputError

_KINDS = ("dinov2", "dinov2_with_registers", "dinov3_vit")
# ImageNet's, which DINO uses when the folder says nothing.
_MEAN, _SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Dino:
    """A frozen DINO vision transformer on one device, float32."""

    def __init__(self, folder: str, device: torch.device, is_bf16: bool) -> None:
        """`is_bf16`: compute under bf16 autocast. Raises `InputError` when the folder holds no whole DINO model."""
        _check_kind(Path(folder))
        transformers_logging.disable_progress_bar()
        try:
            model, loading_info = AutoModel.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, trust_remote_code=False, output_loading_info=True
            )
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise InputError(f"The DINO model in {folder} cannot be loaded: {' '.join(str(error).split())}") from error
        if loading_info["missing_keys"]:
            raise InputError(
                f"The DINO model in {folder} lacks weights: {', '.join(sorted(loading_info['missing_keys'])[:3])}."
            )
        self._model: Any = model.float().eval().requires_grad_(False).to(device)
        self._is_bf16 = is_bf16
        self.patch_px = int(model.config.patch_size)
        self.width = int(model.config.hidden_size)
        self._others = 1 + int(getattr(model.config, "num_register_tokens", 0))
        mean, spread = _colours(Path(folder))
        self._mean = torch.tensor(mean, device=device)[:, None, None]
        self._spread = torch.tensor(spread, device=device)[:, None, None]

    def patches(self, pictures: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
        """Features of `rows` x `columns` patches, float32 [B, rows * columns, width], in reading order.

        `pictures` float [B, 3, H, W] from 0 to 1 are resized so that the patches come out at that many. Gradients
        flow to the pictures.
        """
        size = (rows * self.patch_px, columns * self.patch_px)
        resized = torch.nn.functional.interpolate(pictures.float(), size, mode="bicubic", antialias=True)
        with torch.autocast(pictures.device.type, torch.bfloat16, enabled=self._is_bf16):
            seen = self._model((resized - self._mean) / self._spread).last_hidden_state
        return torch.as_tensor(seen)[:, self._others :].float()


def _check_kind(folder: Path) -> None:
    try:
        kind = json.loads((folder / "config.json").read_text())["model_type"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"The folder {folder} holds no DINO model: its config.json is missing or broken.") from error
    if kind not in _KINDS:
        raise InputError(f"The model in {folder} is a {kind}, not one of {', '.join(_KINDS)}.")


def _colours(folder: Path) -> tuple[tuple[float, ...], tuple[float, ...]]:
    file = folder / "preprocessor_config.json"
    config = json.loads(file.read_text()) if file.is_file() else {}
    return tuple(config.get("image_mean", _MEAN)), tuple(config.get("image_std", _SPREAD))
