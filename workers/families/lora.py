"""LoRA: a small trained addition to a family's frozen denoiser (Hu et al. 2021), in fp32 whatever the base is kept in.

A linear layer W becomes W + (alpha / rank) B A with A [rank, in] and B [out, rank]; alpha is always the rank, so the
share in front is 1 and learning rates can be compared between ranks. B begins at zero: an adapter that was just put on
changes no picture. Saved files have diffusers' own layout, `transformer.LAYER.lora_A.weight` (or `unet.`).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from diffusers.loaders.lora_base import LORA_ADAPTER_METADATA_KEY, LORA_WEIGHT_NAME_SAFE
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from safetensors import SafetensorError

from workers.errors import InputError
from workers.families import metadata
from workers.families.registry import Family

FILE: str = LORA_WEIGHT_NAME_SAFE
"""Name of the file in a LoRA checkpoint's `weights/`; a folder without it holds a whole denoiser."""

ADAPTER = "default"


def put_on(family: Family, rank: int, seed: int) -> list[torch.nn.Parameter]:
    """Freeze the denoiser and put an adapter on its `lora_targets`; the adapter's weights, all that is to be trained.

    They are the same for the same seed on every device. Raises `InputError` when no layer has the names of the targets.
    """
    take_off(family)
    model = family.model.requires_grad_(False)
    config = LoraConfig(r=rank, lora_alpha=rank, target_modules=list(family.lora_targets))
    try:
        inject_adapter_in_model(config, model, ADAPTER)
    except ValueError as error:
        raise InputError(f"No layer of the model is one of {', '.join(family.lora_targets)}.") from error
    trained = list(weights(family).items())
    for name, parameter in trained:
        parameter.data = parameter.data.float()
        if name.endswith("lora_A.weight"):
            # peft's own draw depends on the device and the order of layers; by name and seed it is one and the same.
            digest = hashlib.sha256(f"{seed} {name}".encode()).digest()
            generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
            drawn = torch.nn.init.kaiming_uniform_(torch.empty(parameter.shape), math.sqrt(5), generator=generator)
            parameter.data.copy_(drawn)
    return [parameter for _, parameter in trained]


def take_off(family: Family) -> None:
    """Give the denoiser back as it was before `put_on`, its own weights untouched; nothing without an adapter."""
    if not is_on(family):
        return
    for parent in list(family.model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, LoraLayer):
                setattr(parent, name, child.get_base_layer())
    del family.model.peft_config


def is_on(family: Family) -> bool:
    """Whether an adapter is on the denoiser."""
    return any(isinstance(module, LoraLayer) for module in family.model.modules())


def rank_of(family: Family) -> int:
    """The rank of the adapter that is on the denoiser."""
    return next(int(layer.r[ADAPTER]) for _, layer in layers(family.model))


def weights(family: Family) -> dict[str, torch.nn.Parameter]:
    """The adapter's own parameters by their names in a saved file, in the order of the model's layers."""
    prefix = _prefix(family)
    parameters: dict[str, torch.nn.Parameter] = {}
    for name, layer in layers(family.model):
        parameters[f"{prefix}.{name}.lora_A.weight"] = layer.lora_A[ADAPTER].weight
        parameters[f"{prefix}.{name}.lora_B.weight"] = layer.lora_B[ADAPTER].weight
    return parameters


def save(family: Family, folder: Path, facts: Mapping[str, str] | None = None) -> None:
    """Write the adapter into `folder` as diffusers' pipelines load it; `facts` go into the file's metadata."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: weight.detach().float() for name, weight in weights(family).items()}
    config = family.model.peft_config[ADAPTER].to_dict()  # type: ignore[union-attr, index]
    adapter_metadata = {f"{_prefix(family)}.{key}": _plain(value) for key, value in config.items()}
    # peft leaves the order of a set to chance; sorted, the same adapter is the same file.
    own = {
        "format": "pt",
        "rank": str(rank_of(family)),
        LORA_ADAPTER_METADATA_KEY: json.dumps(adapter_metadata, sort_keys=True),
    }
    metadata.save(folder / FILE, tensors, {**(facts or {}), **own})


def load(family: Family, folder: Path) -> None:
    """Put the adapter in `folder` on; one of the same rank that is on already takes its values, in place.

    Raises `InputError` when the file is not there or does not fit: a missing, an unknown and a misshapen weight all do.
    """
    saved = read(folder / FILE)
    prefix = _prefix(family)
    ranks = {len(tensor) for name, tensor in saved.items() if name.endswith("lora_A.weight")}
    if len(ranks) != 1 or not all(name.startswith(f"{prefix}.") for name in saved):
        raise InputError(f"The file {folder / FILE} is no LoRA for a model of the family {family.name}.")
    rank = ranks.pop()
    if not is_on(family) or rank_of(family) != rank:
        put_on(family, rank, seed=0)
    own = weights(family)
    if {name: weight.shape for name, weight in own.items()} != {name: t.shape for name, t in saved.items()}:
        raise InputError(f"The LoRA in {folder / FILE} does not fit the layers of this base.")
    with torch.no_grad():
        for name, weight in own.items():
            weight.copy_(saved[name])


def read(file: Path) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file, on the CPU. Raises `InputError`."""
    try:
        tensors: dict[str, torch.Tensor] = safetensors.torch.load_file(file)
    except (OSError, SafetensorError) as error:
        raise InputError(f"The weights in {file} cannot be loaded: {' '.join(str(error).split())}") from error
    return tensors


def layers(model: torch.nn.Module) -> Iterator[tuple[str, Any]]:
    """The layers that an adapter is on, with their names."""
    return ((name, module) for name, module in model.named_modules() if isinstance(module, LoraLayer))


def _prefix(family: Family) -> str:
    """What diffusers' loaders put before the names of the denoiser's layers: its part of the pipeline."""
    return "unet" if getattr(family.pipeline, "unet", None) is family.model else "transformer"


def _plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, set) else value
