"""The leak test: what a model has learned must not be what it is measured on. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from app.catalog.spelling import label_key
from app.errors import Refused

LeakKind = Literal["product", "picture", "copies"]
"""Why two photos belong together: one product, the same picture file, near copies."""


class Leak(Refused):
    """Two photos that belong together would be in both splits. `learned_id` and `held_out_id` are their image ids."""

    def __init__(self, sentence: str, kind: LeakKind, learned_id: int, held_out_id: int) -> None:
        super().__init__(sentence)
        self.kind, self.learned_id, self.held_out_id = kind, learned_id, held_out_id


class Pictured(Protocol):
    """What is asked of a candidate."""

    @property
    def image_id(self) -> int: ...
    @property
    def file_name(self) -> str: ...
    @property
    def sha256(self) -> str: ...
    @property
    def product(self) -> str | None: ...


class InSplit(Protocol):
    """What is asked of a placed candidate; `copies` is the number that near copies share, None where it is unknown."""

    @property
    def candidate(self) -> Pictured: ...
    @property
    def split(self) -> str: ...
    @property
    def copies(self) -> int | None: ...


def refuse_leaks(placed: Sequence[InSplit]) -> None:
    """No product, picture or near copy may be in both splits. Raises Leak naming the first pair that is."""
    seen: dict[tuple[LeakKind, str], InSplit] = {}
    for place in placed:
        candidate = place.candidate
        keys: tuple[tuple[LeakKind, str], ...] = (
            ("product", label_key(candidate.product or "")),
            ("picture", candidate.sha256),
            ("copies", "" if place.copies is None else str(place.copies)),
        )
        for key in keys:
            if key[1] and (other := seen.setdefault(key, place)).split != place.split:
                learned, held_out = sorted((other, place), key=lambda each: each.split)
                raise Leak(
                    _sentence(key[0], learned.candidate, held_out.candidate),
                    key[0],
                    learned.candidate.image_id,
                    held_out.candidate.image_id,
                )


def _sentence(kind: LeakKind, learned: Pictured, held_out: Pictured) -> str:
    what = {"product": f"product “{learned.product}”", "picture": f"picture “{learned.sha256}”"}.get(kind, "same photo")
    pair = f"{learned.file_name} stands in train, {held_out.file_name} in validation"
    return f"The {what} would be in both train and validation, so nothing was frozen: {pair}."
