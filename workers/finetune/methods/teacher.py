"""REPA: a middle block learns to see the picture as a DINO model does (Yu et al. 2024, arXiv:2410.06940).

The block's tokens pass through a small network of their own and are pulled towards the teacher's patch features by
their angle. Only tokens that went through the block count. The network is trained along and thrown away afterwards.
For training from scratch: PRX part 2 reports the best quality at 100,000 steps with it, and sharper texture once it
is let go; for a short fine-tune of a trained model there is no such evidence.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from diffusers import PRXTransformer2DModel

from app.training.recipe import Recipe
from workers.errors import InputError
from workers.finetune.methods.dino import Dino
from workers.finetune.methods.routing import Routing

# The teacher looks at no more patches a side than this; for a finer grid its features are stretched.
PATCHES_AT_MOST = 32
# Width of the projection's inner layers in the paper.
_INNER = 2048


class Teacher:
    """Catches the output of block `recipe.teacher_block` (from 1) and measures it against the teacher's view."""

    def __init__(self, model: torch.nn.Module, recipe: Recipe, dino: Dino, routing: Routing | None) -> None:
        """Raises `InputError` for models other than PRX and for a block they do not have."""
        if not isinstance(model, PRXTransformer2DModel):
            raise InputError(
                f"A teacher (REPA) can be set before PRX models only, not before a {type(model).__name__}."
            )
        if recipe.teacher_block > len(model.blocks):
            raise InputError(
                f"teacher_block {recipe.teacher_block} is too high: the model has {len(model.blocks)} blocks."
            )
        self._model = model
        self._block = recipe.teacher_block - 1
        self._patch = int(model.config.patch_size)
        self._weight = recipe.teacher_weight
        self._steps = math.ceil(recipe.teacher_until * recipe.steps)
        self._dino = dino
        self._routing = routing
        self._caught: torch.Tensor | None = None
        device = next(model.parameters()).device
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            self.projection = _projection(int(model.config.hidden_size), dino.width).to(device)

    def is_on(self, step: int) -> bool:
        """Whether the teacher is still there in step `step` (0-based)."""
        return step < self._steps

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Catch the block's output in passes made inside. Enter it before routing, which lengthens the output."""

        def catch(_: torch.nn.Module, __: object, output: torch.Tensor) -> None:
            self._caught = output

        hook = self._model.blocks[self._block].register_forward_hook(catch)
        try:
            yield
        finally:
            hook.remove()

    def errors(self, noisy: torch.Tensor, pictures: torch.Tensor) -> torch.Tensor:
        """Weighted mean of 1 - cosine over each picture's tokens, float32 [B].

        `noisy` [B, C, h, w] is what the last watched pass saw, `pictures` uint8 [B, H, W, 3] the same ones clean.
        """
        tokens, self._caught = self._caught, None
        assert tokens is not None  # noqa: S101  # the pass was made inside `watching`
        wanted = self._view(pictures.to(noisy.device), noisy.shape[-2] // self._patch, noisy.shape[-1] // self._patch)
        if self._routing is not None and self._block >= self._routing.first:
            kept = self._routing.kept
            assert kept is not None  # noqa: S101  # the pass was routed
            wanted = _at(wanted, kept)
            # After the last routed block the skipped tokens are back, but they are no work of this block.
            tokens = tokens if tokens.shape[1] == kept.shape[1] else _at(tokens, kept)
        given = self.projection(tokens.float()).float()
        return self._weight * (1.0 - torch.nn.functional.cosine_similarity(given, wanted, dim=-1)).mean(dim=1)

    @torch.no_grad()
    def _view(self, pictures: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
        """The teacher's features on the model's grid of tokens, float32 [B, rows * columns, width]."""
        fewer = min(1.0, PATCHES_AT_MOST / max(rows, columns))
        seen_rows, seen_columns = max(1, round(fewer * rows)), max(1, round(fewer * columns))
        seen = self._dino.patches(pictures.permute(0, 3, 1, 2).float() / 255.0, seen_rows, seen_columns)
        if (seen_rows, seen_columns) == (rows, columns):
            return seen
        grid = seen.transpose(1, 2).reshape(len(seen), -1, seen_rows, seen_columns)
        return torch.nn.functional.interpolate(grid, (rows, columns), mode="bilinear").flatten(2).transpose(1, 2)


def _projection(given: int, wanted: int) -> torch.nn.Module:
    """The paper's three-layer network; narrower for models narrower than its own."""
    inner = min(_INNER, 4 * given)
    return torch.nn.Sequential(
        torch.nn.Linear(given, inner),
        torch.nn.SiLU(),
        torch.nn.Linear(inner, inner),
        torch.nn.SiLU(),
        torch.nn.Linear(inner, wanted),
    )


def _at(tokens: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """The tokens [B, L, width] at int64 `places` [B, K]."""
    return tokens.gather(1, places[:, :, None].expand(-1, -1, tokens.shape[-1]))
