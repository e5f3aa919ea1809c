"""Memory for time and time for memory: blocks computed twice (Chen et al. 2016), and blocks compiled.

Both are put around a block's `forward`, inside its hooks. So what hooks do, token routing among it, happens once, and
when a block is computed again in the backward pass it sees the tokens it saw before. Nothing changes without gradients:
validation and sampling run the blocks as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from typing import Any, Literal

import torch
from torch.utils.checkpoint import checkpoint

from workers.errors import InputError

Level = Literal["none", "half", "full"]

# What a model repeats, by the name of its class in diffusers; a UNet repeats two things in turn.
_BLOCKS = frozenset(
    {
        "PRXBlock",
        "JointTransformerBlock",
        "FluxTransformerBlock",
        "FluxSingleTransformerBlock",
        "Flux2TransformerBlock",
        "Flux2SingleTransformerBlock",
        "ResnetBlock2D",
        "BasicTransformerBlock",
    }
)


def blocks_of(model: torch.nn.Module) -> list[torch.nn.Module]:
    """The blocks that `model` repeats, in the order of its modules. Raises `InputError` where none are known."""
    blocks = [module for module in model.modules() if type(module).__name__ in _BLOCKS]
    if not blocks:
        raise InputError(
            f"Nothing is known of the blocks of a {type(model).__name__}: set checkpointing and compile off."
        )
    return blocks


def wrap_blocks(model: torch.nn.Module, checkpointing: Level, is_compiled: bool) -> None:
    """Compute all blocks twice, every other one, or none, to keep only their inputs in memory; compile them if asked.

    Changes the blocks' class in place: names of weights stay, and a copied model keeps what was set. Gradients are
    the same numbers; compiled blocks round differently. Raises `InputError`, see `blocks_of`.
    """
    if checkpointing == "none" and not is_compiled:
        return
    for place, block in enumerate(blocks_of(model)):
        is_twice = checkpointing == "full" or (checkpointing == "half" and place % 2 == 0)
        if is_twice or is_compiled:
            block_class: Any = type(block)
            block.__class__ = _wrapped(block_class, is_twice, is_compiled)


@cache
def _wrapped(block_class: Any, is_twice: bool, is_compiled: bool) -> Any:
    plain: Callable[..., Any] = block_class.forward
    # One compiled function for all blocks of a class: the second block finds the first one's code.
    trained = torch.compile(plain) if is_compiled else plain

    @wraps(plain)
    def forward(self: torch.nn.Module, *args: Any, **named: Any) -> Any:
        if not torch.is_grad_enabled():
            return plain(self, *args, **named)
        if is_twice:
            return checkpoint(trained, self, *args, use_reentrant=False, **named)
        return trained(self, *args, **named)

    # Under its old name, by which libraries look for blocks.
    names = {"forward": forward, "__module__": block_class.__module__, "__qualname__": block_class.__qualname__}
    return type(block_class.__name__, (block_class,), names)
