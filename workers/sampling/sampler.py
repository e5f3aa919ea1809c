"""Drawing samples: prompts x seeds from a base or from one of its checkpoints, the same way for both.

Each picture has its own generator, so it depends on the weights, its prompt and its seed, and not on what else is
drawn or in which order. (Batches of another size may round differently in the last bit of a pixel.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from workers.devices.model_cache import ModelCache

if TYPE_CHECKING:
    from PIL import Image

AT_ONCE = 8
"""Pictures denoised together."""


@dataclass(frozen=True)
class Source:
    """What draws: the base of a family, or a checkpoint folder's weights in its place when one is given.

    `revision` is the commit of a base on a model hub.
    """

    family: str
    base: str
    checkpoint: Path | None = None
    revision: str = ""


@dataclass(frozen=True)
class Drawn:
    """One sample: `prompts[prompt_index]` drawn with `seed`, RGB."""

    prompt_index: int
    seed: int
    picture: Image.Image


def draw(
    models: ModelCache,
    source: Source,
    prompts: Sequence[str],
    seeds: Sequence[int],
    size_px: int,
    steps: int,
    guidance: float,
) -> Iterator[Drawn]:
    """Every prompt with every seed, prompt by prompt, given out as soon as its batch is done.

    `size_px` is the side of the square picture, `steps` the denoising steps, `guidance` at least 1 (1: none).
    Raises `Refusal` when the base or the checkpoint is not there.
    """
    from PIL import Image

    weights = None if source.checkpoint is None else source.checkpoint / "weights"
    family = models.family(source.family, source.base, weights, source.revision)
    wanted = [(index, seed) for index in range(len(prompts)) for seed in seeds]
    for start in range(0, len(wanted), AT_ONCE):
        batch = wanted[start : start + AT_ONCE]
        pictures = family.draw(
            [prompts[index] for index, _ in batch], [seed for _, seed in batch], size_px, steps, guidance
        )
        for (index, seed), picture in zip(batch, pictures.numpy(), strict=True):
            yield Drawn(index, seed, Image.fromarray(picture))
