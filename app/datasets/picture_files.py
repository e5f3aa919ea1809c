"""Whether the picture files of a version are there, the ones that were taken in, and whole; what is not is named.

A file is known by the SHA-256 that is its name. Photos that earlier versions took in were not read strictly: such an
original is read so once, as it is first frozen, for half of it may be black.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol

from app.catalog.files import SUFFIXES
from app.errors import Refused
from app.intake import memory
from app.intake.decoding import Unreadable, read_picture
from app.storage import Storage, sha256_of

THREADS: Final = 4
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


def refuse_unsound(storage: Storage, pictures: Sequence[PictureFile]) -> None:
    """Raises Refused, naming the photos, where a file is missing, not the one taken in any more, or damaged."""
    with ThreadPoolExecutor(THREADS) as pool:
        faults = list(pool.map(lambda picture: _fault(storage, picture), pictures))
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


def _fault(storage: Storage, picture: PictureFile) -> str | None:
    file = storage.root / picture.file
    try:
        if file.stat().st_size == 0:
            return MISSING
        if sha256_of(file) != picture.sha256:
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
