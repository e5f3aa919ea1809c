"""AdamW whose memory takes 2 bytes a weight, not 8: block-wise 8-bit quantisation (Dettmers et al. 2022).

The arithmetic is bitsandbytes'. Its lookup tables are the same for every weight, so they are kept out of the
optimiser's state: what is left there are tensors of each weight's own, which a safetensors file can hold.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from bitsandbytes.optim import AdamW8bit

from app.training.recipe import Recipe

_TABLES = {"qmap1": "dynamic", "qmap2": "udynamic"}


def make_adamw8bit(parameters: Iterable[torch.nn.Parameter], recipe: Recipe) -> torch.optim.Optimizer:
    """AdamW with 8-bit memory and the recipe's AdamW knobs, on CPU and CUDA.

    Weights with fewer than 4,096 numbers keep 32-bit memory, bitsandbytes' own limit. On CUDA every step waits for the
    device once a weight.
    """
    return _OwnTensors(
        list(parameters),
        lr=recipe.adamw_lr,
        betas=(recipe.adamw_beta1, recipe.adamw_beta2),
        weight_decay=recipe.weight_decay,
    )


class _OwnTensors(AdamW8bit):  # type: ignore[misc]  # the library tells no types
    """State per weight: `step` (a tensor on the CPU), `state1`, `state2`, and for 8 bits `absmax1` and `absmax2`."""

    def init_state(self, group: dict[str, Any], p: torch.Tensor, gindex: int, pindex: int) -> None:
        super().init_state(group, p, gindex, pindex)
        self._keep_own_tensors(p)

    def update_step(self, group: dict[str, Any], p: torch.Tensor, gindex: int, pindex: int) -> None:
        state = self.state[p]
        state["step"] = int(state["step"])
        if "absmax1" in state:
            # A restored optimiser meets its weights without `init_state`, which fills the tables.
            if "dynamic" not in self.name2qmap:
                self.fill_qmap()
            for name, table in _TABLES.items():
                self.name2qmap[table] = self.name2qmap[table].to(p.device)
                state[name] = self.name2qmap[table]
        super().update_step(group, p, gindex, pindex)
        self._keep_own_tensors(p)

    def _keep_own_tensors(self, p: torch.Tensor) -> None:
        state = self.state[p]
        state["step"] = torch.tensor(float(state["step"]))
        for name in _TABLES:
            state.pop(name, None)
