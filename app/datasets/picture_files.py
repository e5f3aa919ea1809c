"""Whether the picture files of a version are there, the ones that were taken in, and whole; what is not is named.

A file is known by the SHA-256 that is its name, and read only where that was not done since it last changed
(`checked_files`). Photos that earlier versions took in were not read strictly: such an
original is read so once, as it is first frozen, for half of it may be black.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

import numpy as np

from app.catalog.ahead import ahead
from app.catalog.files import SUFFIXES
from app.datasets import checked_files
from app.errors import Refused
from app.intake import memory
from app.intake.decoding import Unreadable, read_picture
from app.storage import Storage, sha256_of

THREADS: Final = 4
AT_ONCE: Final = 500
NAMED_AT_MOST: Final = 5
# Whatever was taken in is looked at again, also where the team's limit is lower now.
_ANY_SIZE: Final = 2_000


class PictureFile(Protocol):
    """What is asked of a candidate. `file` lies under the data folder and has the name of its bytes."""

    @property
    def file_name(self) -> str: ...
    @property
    def file(self) -> str: ...
    @property
    def sha256(self) -> str: ...
    @property
    def original_sha256(self) -> str: ...
    @property
    def format(self) -> str: ...
    @property
    def was_read_strictly(self) -> bool: ...


def refuse_unsound(
    storage: Storage, pictures: Sequence[PictureFile], listen: Callable[[int], None] = lambda done: None
) -> None:
    """Raises Refused, naming the photos, where a file is missing, not the one taken in any more, or damaged.

    `listen` hears of how many it is known, every AT_ONCE files that were read.
    """
    stamps = checked_files.stamps_of([(f"{storage.root}/{picture.file}", picture.sha256) for picture in pictures])
    is_known = checked_files.are_known(storage, stamps)
    is_missing = stamps["size"] == 0
    faults: list[str | None] = [MISSING if missing else None for missing in is_missing]
    is_read = np.array([picture.was_read_strictly for picture in pictures], np.bool_)
    waiting = np.flatnonzero(~is_missing & ~(is_known & is_read)).tolist()
    done = len(pictures) - len(waiting)
    some = [waiting[start : start + AT_ONCE] for start in range(0, len(waiting), AT_ONCE)]
    for places, read in zip(some, ahead(lambda some: _faults(storage, pictures, some), some, THREADS), strict=True):
        for place, fault in zip(places, read, strict=True):
            faults[place] = fault
        done += len(places)
        listen(done)
    whole = [place for place in waiting if faults[place] is None]
    if whole:
        checked_files.remember(storage, stamps[whole])
    bad = [(picture, fault) for picture, fault in zip(pictures, faults, strict=True) if fault]
    if not bad:
        return
    if len(bad) == 1:
        ((picture, fault),) = bad
        raise Refused(f"The picture file of {picture.file_name} ({picture.file}) is {fault}. {_advice(fault)}")
    named = ", ".join(f"{picture.file_name} is {fault}" for picture, fault in bad[:NAMED_AT_MOST])
    more = f" and {len(bad) - NAMED_AT_MOST:,} more" if len(bad) > NAMED_AT_MOST else ""
    kinds = dict.fromkeys(_advice(fault) for _, fault in bad)
    raise Refused(f"{len(bad):,} picture files cannot be learned from: {named}{more}. {' '.join(kinds)}")


MISSING: Final = "missing"
CHANGED: Final = "not the one that was taken in any more"
DAMAGED: Final = "damaged"


def _advice(fault: str) -> str:
    if fault == MISSING:
        return "Take its folder in again, then freeze."
    if fault == CHANGED:
        return "Delete that file and take its folder in again, then freeze."
    return "Reject that photo, take in a whole copy of it, then freeze."


def _faults(storage: Storage, pictures: Sequence[PictureFile], places: Sequence[int]) -> list[str | None]:
    """Some at once: handing each to another thread on its own takes longer than reading it."""
    return [_fault(storage, pictures[place]) for place in places]


def _fault(storage: Storage, picture: PictureFile) -> str | None:
    try:
        if sha256_of(storage.root / picture.file) != picture.sha256:
            return CHANGED
        return None if picture.was_read_strictly else _damage(storage, picture)
    except OSError:
        return MISSING


def _damage(storage: Storage, picture: PictureFile) -> str | None:
    original = storage.path("originals", picture.original_sha256, SUFFIXES[picture.format])
    with memory.FILES.hold(original.stat().st_size):
        try:
            read_picture(original.read_bytes(), _ANY_SIZE)
        except Unreadable:
            return DAMAGED
    return None
