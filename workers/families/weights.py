"""One door to what is trained: the whole denoiser or an adapter on it, told apart by what a folder holds.

A checkpoint's `weights/` is a denoiser in diffusers' own format, or holds `pytorch_lora_weights.safetensors`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import torch

from workers.errors import InputError
from workers.families import lora
from workers.families.registry import Family


def to_train(family: Family, method: Literal["full", "lora"], rank: int, seed: int) -> dict[str, torch.nn.Parameter]:
    """What a run with this method trains, by name: every weight of the denoiser, or a new adapter's (see `lora`).

    A frozen base may be held in bf16; weights that are trained are fp32. Raises `InputError`, see `lora.put_on`.
    """
    if method == "lora":
        lora.put_on(family, rank, seed)
        return lora.weights(family)
    lora.take_off(family)
    family.holds_base = False
    return dict(family.model.requires_grad_(True).named_parameters())


def save(family: Family, folder: Path) -> None:
    """Write what is trained, as it is now, into `folder`: the adapter where one is on, else the whole denoiser."""
    if lora.is_on(family):
        lora.save(family, folder)
    else:
        family.save_weights(folder)


def load(family: Family, folder: Path | None) -> None:
    """Make the denoiser what `folder` says, or what the base was when there is none.

    Weights are read into the parameters that are there; only an adapter that comes, goes or changes its rank replaces
    layers. Raises `InputError` when the folder does not hold weights that fit.
    """
    if folder is not None and not is_lora(folder):
        lora.take_off(family)
        family.load_weights(folder)
        return
    if not family.holds_base:
        lora.take_off(family)
        family.load_base()
    if folder is None:
        lora.take_off(family)
    else:
        lora.load(family, folder)


@contextmanager
def loaded(family: Family, folder: Path) -> Iterator[None]:
    """`with loaded(family, folder):` the denoiser is what `folder` holds; an adapter is afterwards what it was before.

    Raises `InputError`, see `load`.
    """
    before = {name: weight.detach().clone() for name, weight in lora.weights(family).items()}
    load(family, folder)
    try:
        yield
    finally:
        after = lora.weights(family)
        if not before:
            lora.take_off(family)
        elif before.keys() == after.keys():
            with torch.no_grad():
                for name, weight in before.items():
                    after[name].copy_(weight)


def is_lora(folder: Path) -> bool:
    """Whether a checkpoint's weights are an adapter. Raises `InputError` when they are not there at all."""
    if not folder.is_dir():
        raise InputError(f"The weights {folder} are missing.")
    return (folder / lora.FILE).is_file()
