"""Arranging: selected photos whose files are whole, each in its group and split. No database.

What belongs together comes from three sides: one product, one picture, and what the catalog knows or the fingerprints
tell to be copies.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from app.catalog.copies import components, find
from app.catalog.mends import MASK_SUFFIX
from app.catalog.spelling import label_key
from app.datasets.kinds import Kept
from app.datasets.leaks import refuse_leaks
from app.datasets.manifest import Split
from app.datasets.picture_files import refuse_unsound
from app.datasets.splitting import Group, group, split
from app.errors import Refused
from app.storage import Storage


@dataclass(frozen=True, slots=True)
class Candidate:
    """A selected photo with the caption that is current as the version is frozen. `file` lies under the data folder;
    `frame_keys` and `frame_thumbs` are None for a photo that was not measured, or is too flat to tell. One that
    `is_compared` has its copies among the pairs of its catalog; the others are looked for. `repeats`, 1 or more, is how
    often it is shown where it is trained on. `labels` are those of `label_ids` by name, "set=label", `others` the
    captions of other kinds that are current."""

    image_id: int
    file_name: str
    file: str
    width_px: int
    height_px: int
    product: str | None
    category: str | None
    caption_id: int
    caption: str
    original_sha256: str
    format: str
    was_read_strictly: bool
    is_seen: bool  # a person has decided on it
    is_compared: bool = False
    frame_keys: bytes | None = None
    frame_thumbs: bytes | None = None
    source: str | None = None
    licence: str | None = None
    credit: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    mend_id: int | None = None
    mend_edits: Mapping[str, Any] | None = None
    mask_sha256: str | None = None
    label_ids: Sequence[int] = ()
    caption_by: str | None = None
    repeats: int = 1
    labels: Sequence[str] = ()
    others: Kept = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        """SHA-256 of the picture file's bytes, which is its name."""
        return Path(self.file).stem


@dataclass(frozen=True, slots=True)
class Gathered:
    """The candidates, oldest first; how many selected photos have no caption and are left out, and how many more are
    because they were opted out of training. `together`: pairs of image ids that the catalog knows to be duplicates."""

    candidates: list[Candidate]
    left_out: int
    opted_out: int = 0
    together: Sequence[tuple[int, int]] = ()


@dataclass(frozen=True, slots=True)
class Placed:
    """A candidate in its group and split; `copies` is the number that it shares with its near copies, if known."""

    candidate: Candidate
    group: str
    split: Split
    copies: int | None = None

    @property
    def repeats(self) -> int:
        """How often it is shown; a photo that is held out is never repeated."""
        return self.candidate.repeats if self.split == "train" else 1


def arrange(
    storage: Storage, gathered: Gathered, seed: int = 0, listen: Callable[[int], None] = lambda done: None
) -> list[Placed]:
    """Every candidate in its group and split; the same photos and seed give the same. `listen` hears how many picture
    files were checked so far.

    Raises Refused, naming photos, when picture files are missing, changed or damaged, and Leak when a product or copies
    would be in both splits.
    """
    candidates = gathered.candidates
    refuse_unsound(storage, candidates, listen)
    for candidate in candidates:
        mask = candidate.mask_sha256
        if mask is not None and not storage.path("masks", mask, MASK_SUFFIX).is_file():
            raise Refused(f"The mask of {candidate.file_name} is missing. Mend the photo again, then freeze.")
    joined, copies = _copies(gathered)
    names = group([(candidate.product, candidate.sha256) for candidate in candidates], joined)
    sizes: dict[str, int] = defaultdict(int)
    categories: dict[str, str] = {}
    for candidate, name in zip(candidates, names, strict=True):
        sizes[name] += 1
        category = label_key(candidate.category or "")
        categories[name] = min(categories.get(name, category), category)
    splits = split({name: Group(size, categories[name]) for name, size in sizes.items()}, seed)
    placed = [
        Placed(candidate, name, splits[name], number)
        for candidate, name, number in zip(candidates, names, copies, strict=True)
    ]
    refuse_leaks(placed)
    return placed


def _copies(gathered: Gathered) -> tuple[list[int], list[int | None]]:
    """A number for each candidate, the same for duplicates; and the same again, None where copies cannot be known."""
    candidates = gathered.candidates
    places = {candidate.image_id: place for place, candidate in enumerate(candidates)}
    pairs = [(places[first], places[second]) for first, second in gathered.together]
    is_new = np.array([not candidate.is_compared for candidate in candidates], np.bool_)
    if is_new.any():
        keys = [candidate.frame_keys for candidate in candidates]
        matches = find(keys, lambda some: {at: candidates[at].frame_thumbs or b"" for at in some}, is_new)
        pairs += [(match.first, match.second) for match in matches if not match.is_variant]
    numbers = components(len(candidates), pairs)
    is_known = [candidate.frame_keys is not None for candidate in candidates]
    return numbers, [number if known else None for number, known in zip(numbers, is_known, strict=True)]
