"""A frozen base in half the memory: its matrices and convolutions in bf16 from the start, all else in fp32.

They are only multiplied with, under bf16 autocast in bf16 anyhow: predictions and gradients are to the bit what they
are with a base in fp32. No more is needed of it, so it is never held in fp32 on the way either: FLUX.1's denoiser would
take 48 GB for a moment, to be kept in 24.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors import safe_open

from workers.errors import InputError


def widen_the_rest(model: torch.nn.Module, files: Iterable[Path]) -> None:
    """Give a model that was loaded in bf16 what is no matrix and no convolution in fp32 again, as its `files` have it.

    Raises `InputError` when a weight is in none of them.
    """
    wanted: set[str] = set()
    for place, module in model.named_modules():
        if not isinstance(module, torch.nn.Linear | torch.nn.Conv2d):
            for name, tensor in (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)):
                if tensor.dtype == torch.bfloat16:
                    tensor.data = tensor.data.float()
                    wanted.add(f"{place}.{name}" if place else name)
    # Buffers that are worked out anew each time are in no file.
    wanted &= model.state_dict().keys()
    for file in files:
        with safe_open(file, framework="pt") as opened:
            tensors = {name: opened.get_tensor(name) for name in wanted.intersection(opened.keys())}
        model.load_state_dict(tensors, strict=False)
        wanted -= tensors.keys()
    if wanted:
        raise InputError(f"The base model's files lack {len(wanted)} weights ({min(wanted)} first).")
