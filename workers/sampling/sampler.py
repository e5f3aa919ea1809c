"""Drawing samples: prompts with seeds from a base or from one of its checkpoints, the same way for both.

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
    """One sample: what was asked for at `index`, RGB."""

    index: int
    picture: Image.Image


def draw(
    models: ModelCache,
    source: Source,
    wanted: Sequence[tuple[str, int]],
    size_px: int,
    steps: int,
    guidance: float,
) -> Iterator[Drawn]:
    """Each of the prompts in `wanted` with the seed beside it, in their order, given out as soon as its batch is done.

    Whatever prompts and seeds they have, every batch but the last one is full.
    `size_px` is the side of the square picture, `steps` the denoising steps, `guidance` at least 1 (1: none).
    Raises `Refusal` when the base or the checkpoint is not there.
    """
    from PIL import Image

    weights = None if source.checkpoint is None else source.checkpoint / "weights"
    family = models.family(source.family, source.base, weights, source.revision)
    for start in range(0, len(wanted), AT_ONCE):
        batch = wanted[start : start + AT_ONCE]
        texts, seeds = [text for text, _ in batch], [seed for _, seed in batch]
        pictures = family.draw(texts, seeds, size_px, steps, guidance)
        for index, picture in enumerate(pictures.numpy(), start=start):
            yield Drawn(index, Image.fromarray(picture))
