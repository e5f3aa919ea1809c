"""What a plan is made from: facts about a base, a dataset version and a device. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, get_args

from app.training.recipe import Recipe

Preset = Literal["quick", "balanced", "best"]
PRESETS: Final[tuple[Preset, ...]] = get_args(Preset)
GIB: Final = 1 << 30
_SLICE: Final = re.compile(r"\d+g\.\d+gb")


@dataclass(frozen=True, slots=True)
class LicensedPart:
    """A part of a base whose licence counts: its name, the licence, and what it asks of whoever gets the model."""

    name: str
    licence: str
    binds: str = ""


@dataclass(frozen=True, slots=True)
class BaseFacts:
    """What a base's folder says of it. `fault` is a sentence where it cannot be trained; the rest is then a guess.

    `token_px`: pixels along the side of one token; 0 where the family has none. `parameters` counts the denoiser's.
    `template` is a recipe that was tried on this very kind of base. `revision`: the commit of a base from a model hub.
    `few_steps`: how many a distilled base was taught to draw in; 0 for all others.
    """

    name: str
    title: str
    family: str
    resolution_px: int
    parameters: int
    token_px: int
    is_pixel: bool
    size_bytes: int
    parts: tuple[LicensedPart, ...] = ()
    template: Recipe | None = None
    fault: str = ""
    revision: str = ""
    few_steps: int = 0


@dataclass(frozen=True, slots=True)
class DataFacts:
    """What is known of a dataset version: photos to learn from and held out, products, shapes, caption lengths."""

    train: int
    validation: int
    products: int
    oblong_share: float  # photos whose sides differ by more than a tenth
    caption_words: float  # in the median
    long_share: float  # captions of more than one sentence


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """Where a run will be. `memory_bytes` is the accelerator's, None without one or while nobody knows.

    `count`: how many of its kind can work on one run together. `threads`: how many threads of one process it may keep
    busy; `cores`: how many processes of one thread each.
    """

    name: str
    memory_bytes: int | None
    threads: int
    count: int = 1
    cores: int = 1

    @property
    def has_gpu(self) -> bool:
        """Whether there is an accelerator."""
        return self.memory_bytes is not None


def may_be_same(name: str, other: str) -> bool:
    """Whether two names may be of the same kind of device. An empty one is not known, so it may be any.

    A slice is "GPU 0, slice 1 (3g.20gb)" to a worker and "NVIDIA A100 MIG 3g.20gb" to torch; a processor is "CPU" or
    "cpu".
    """
    if not name or not other:
        return True
    slices = [match[0] for match in (_SLICE.search(name), _SLICE.search(other)) if match]
    return slices[0] == slices[1] if len(slices) == 2 else name.casefold() == other.casefold()
