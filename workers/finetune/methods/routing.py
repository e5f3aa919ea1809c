"""TREAD: in training a share of the picture's tokens skips the middle blocks (Krause et al. 2025, arXiv:2501.04765).

Routed tokens leave before block `first` and come back at their places, as they left, after block `last`, in the paper
the last but one. Positions belong to tokens, so rotary embeddings leave and stay with them. PRX's text is only looked
at (keys and values), so it takes no part. Fewer tokens, less work; the paper and PRX part 3 report that it pays from
about 1,024 tokens on, and PRX part 2 that it harms at 256.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from diffusers import PRXTransformer2DModel

from workers.errors import InputError

PAYS_FROM_TOKENS = 1024

_NAMES = ("hidden_states", "encoder_hidden_states", "temb", "image_rotary_emb", "attention_mask")


class Routing:
    """Token routing for one PRX transformer. `kept` tells which tokens stayed in the last pass, int64 [B, K]."""

    def __init__(self, model: torch.nn.Module, share: float, first: int, last: int = 0) -> None:
        """Blocks are counted from 0; `last` 0 is the last but one.

        Raises `InputError` for other models, and when no block is left to skip.
        """
        if not isinstance(model, PRXTransformer2DModel):
            raise InputError(f"Token routing (route_share) knows PRX models only, not a {type(model).__name__}.")
        depth = len(model.blocks)
        if first > depth - 2:
            raise InputError(
                f"route_from {first} leaves no block to skip: the model has {depth}, and the last is never skipped."
            )
        if last > depth - 2 or 0 < last < first:
            raise InputError(
                f"route_to {last} is no block between route_from {first} and the last but one, {depth - 2}."
            )
        if share >= 1.0:
            raise InputError("route_share 1 leaves no token for the middle blocks.")
        self._model = model
        self._share = share
        self.first, self.last = first, last or depth - 2
        self.kept: torch.Tensor | None = None
        self._all_tokens: torch.Tensor | None = None
        self._positions: torch.Tensor | None = None

    @contextmanager
    def on(self, generators: Sequence[torch.Generator]) -> Iterator[None]:
        """Route the passes made inside: which tokens of a picture stay is drawn from its own generator, on the CPU."""
        blocks = self._model.blocks
        with ExitStack() as hooks:

            def leave(_: torch.nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
                given = dict(zip(_NAMES, args, strict=False)) | named
                tokens, positions = given["hidden_states"], given["image_rotary_emb"]
                self.kept = self._draw(tokens.shape[1], generators).to(tokens.device)
                self._all_tokens = tokens
                # [B, 1, L, width / 2, 2, 2]: one rotation for each token, shared by the heads.
                places = self.kept[:, None, :, None, None, None]
                self._positions = positions.gather(2, places.expand(-1, 1, -1, *positions.shape[3:]))
                given["hidden_states"] = tokens.gather(1, self._columns(tokens))
                given["image_rotary_emb"] = self._positions
                return (), given

            def follow(_: torch.nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
                given = dict(zip(_NAMES, args, strict=False)) | named
                return (), given | {"image_rotary_emb": self._positions}

            def come_back(_: torch.nn.Module, __: Any, worked_on: torch.Tensor) -> torch.Tensor:
                tokens, self._all_tokens, self._positions = self._all_tokens, None, None
                assert tokens is not None  # noqa: S101  # `leave` came first
                return tokens.scatter(1, self._columns(tokens), worked_on.to(tokens.dtype))

            for place in range(self.first, self.last + 1):
                hook = leave if place == self.first else follow
                hooks.callback(blocks[place].register_forward_pre_hook(hook, with_kwargs=True).remove)
            hooks.callback(blocks[self.last].register_forward_hook(come_back).remove)
            yield

    def _draw(self, tokens: int, generators: Sequence[torch.Generator]) -> torch.Tensor:
        """Places of the tokens that stay, in order, int64 [B, K]; K = tokens minus the rounded share."""
        kept = max(1, tokens - round(self._share * tokens))
        drawn = torch.stack([torch.rand(tokens, generator=generator) for generator in generators])
        return drawn.argsort(dim=1)[:, :kept].sort(dim=1).values

    def _columns(self, tokens: torch.Tensor) -> torch.Tensor:
        assert self.kept is not None  # noqa: S101  # `leave` came first
        return self.kept[:, :, None].expand(-1, -1, tokens.shape[-1])
