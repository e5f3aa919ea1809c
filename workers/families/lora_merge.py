"""A LoRA merged into its base: one weight after the other, in the precision of the base's own files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from workers.errors import InputError
from workers.families import lora, metadata
from workers.families.registry import Family


def save_merged(family: Family, folder: Path) -> None:
    """Write the denoiser with the adapter added to its weights into `folder`, as the base's own files have it.

    A sum is made in fp32 and kept in the precision of the base's file. Only one weight at a time is held, so that a
    base that fills the device can be merged too. Raises `InputError` where the base cannot be read.
    """
    adapted = {f"{name}.weight": layer for name, layer in lora.layers(family.model)}
    files = family.base_files()
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        if file.suffix != ".safetensors":
            (folder / file.name).write_bytes(file.read_bytes())
            continue
        try:
            with safe_open(file, framework="pt") as opened:

                def made(name: str, opened: Any = opened) -> torch.Tensor:
                    weight: torch.Tensor = opened.get_tensor(name)
                    layer = adapted.get(name)
                    return weight if layer is None else _sum(weight, layer)

                metadata.save_made(folder / file.name, metadata.kinds(file), made, {"format": "pt"})
        except (ValueError, SafetensorError) as error:
            raise InputError(f"The base's weights cannot be merged: {' '.join(str(error).split())}") from error


def _sum(weight: torch.Tensor, layer: Any) -> torch.Tensor:
    with torch.no_grad():
        added: torch.Tensor = layer.get_delta_weight(lora.ADAPTER).cpu()
        return (weight.float() + added).to(weight.dtype)
