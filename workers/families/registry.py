"""Families by name, imported only when asked for, and what every one of them can do."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

import torch

from workers.refusals import Refusal

_MODULES = {"prx_pixel": "workers.families.prx_pixel"}


class Family(Protocol):
    """A loaded model of one family. `B` pictures, `H` x `W` pixels, `C` channels of the model's own input."""

    model: torch.nn.Module
    """The trained part, fp32."""

    def encode_texts(self, texts: Sequence[str]) -> list[torch.Tensor]:
        """For each text its encoding [tokens, width] without padding, made exactly as the pipeline makes it."""
        ...

    def to_input(self, pictures: torch.Tensor) -> torch.Tensor:
        """Pictures uint8 [B, H, W, 3] as the model's clean input, float32 [B, C, h, w]."""
        ...

    def start_noise(self, shape: Sequence[int], generator: torch.Generator) -> torch.Tensor:
        """Noise as sampling starts from, float32 of `shape`, on the generator's device."""
        ...

    def errors(
        self,
        model: torch.nn.Module,
        clean: torch.Tensor,
        noise: torch.Tensor,
        timesteps: torch.Tensor,
        text: torch.Tensor,
        mask: torch.Tensor,
        floor: float,
    ) -> torch.Tensor:
        """Mean squared error of each picture in the family's own target, float32 [B].

        `timesteps` [B] in (0, 1], 1 is pure noise; `text` [B, L, width] with `mask` bool [B, L] true on real tokens.
        """
        ...

    def draw(
        self, prompts: Sequence[str], seeds: Sequence[int], size_px: int, steps: int, guidance: float
    ) -> torch.Tensor:
        """One picture per (prompt, seed) pair, uint8 [B, size_px, size_px, 3] on the CPU."""
        ...

    def save_weights(self, model: torch.nn.Module, folder: Path) -> None:
        """Write the trained part alone into `folder`, in the library's own format."""
        ...

    def load_weights(self, folder: Path) -> None:
        """Put weights that `save_weights` wrote into `model`."""
        ...

    def export(self, weights: Path, folder: Path) -> None:
        """Write a complete pipeline with the saved `weights` that the library loads with no code of ours."""
        ...


def load_family(name: str, base: str, device: torch.device) -> Family:
    """Load the base (a folder or a hub name) of the named family onto `device`.

    Raises `Refusal` for an unknown family or a base that is missing or of another kind.
    """
    if name not in _MODULES:
        raise Refusal(f"There is no model family called {name}; known are {', '.join(sorted(_MODULES))}.")
    return cast(Family, import_module(_MODULES[name]).load(base, device))
