"""The files of a data set cut into hauls, each fetched, taken in and removed before the next but one is fetched.

Words that are for photos anywhere, the card and the metadata tables, come before all of them and stay to the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import PurePosixPath
from typing import Final

from app.intake.metadata import STEM, TABLES, UNREAD_KINDS
from app.intake.sources.naming import PARQUETS, PICTURE_NAMES, TARS, UNREAD_ARCHIVES, ZIPS, tidy
from app.intake.staging import CAPTION_SUFFIXES, stem_of
from app.intake.table_rows import KINDS

# Of a data set no more than two hauls are on this machine, the one that is taken in and the one that is fetched
# meanwhile: 2 GiB, or two of its largest files where these are larger.
HAUL_BYTES: Final = 1024**3
# Loose photos are small, and the first ones are to be seen soon.
HAUL_FILES: Final = 1_000
README: Final = "README.md"


@dataclass(frozen=True, slots=True)
class Haul:
    """Files that are on this machine at once: bytes by name, in the order in which they are taken in.

    Those of one either all hold many others, `holds_many`, or none does.
    """

    number: int
    files: dict[str, int]
    holds_many: bool

    @property
    def size_bytes(self) -> int:
        """Bytes of all its files."""
        return sum(self.files.values())

    @property
    def stems(self) -> tuple[str, str]:
        """The first and the last stem of a haul of loose files: no other haul has one between them."""
        stems = [_stem(name) for name in self.files]
        return stems[0], stems[-1]


@dataclass(frozen=True, slots=True)
class DatasetPlan:
    """A data set's files: `words` are fetched first, `unread` only named as what is not read, the rest in hauls."""

    words: dict[str, int]
    unread: tuple[str, ...]
    hauls: tuple[Haul, ...]

    @property
    def holds_pictures(self) -> bool:
        """Whether any file may be or hold a picture."""
        return any(haul.holds_many or any(map(is_picture, haul.files)) for haul in self.hauls)


def is_picture(name: str) -> bool:
    """Whether a file is called like a picture."""
    return _suffix(name) in PICTURE_NAMES


def holds_many(name: str) -> bool:
    """Whether a file is called like one that holds many others."""
    return _suffix(name) in ZIPS | TARS | PARQUETS


def plan(sizes: Mapping[str, int], haul_bytes: int, haul_files: int) -> DatasetPlan:
    """Cut files, bytes by name, into hauls: loose ones first, a picture and what stands beside it never apart.

    A haul has at most so many bytes and files, or is the one that alone has more.
    """
    words = {name: size for name, size in sizes.items() if name == README or _is_table_of_rows(name)}
    loose = {name: size for name, size in sizes.items() if is_picture(name) or _suffix(name) in CAPTION_SUFFIXES}
    many = {name: size for name, size in sizes.items() if holds_many(name)}
    left = (name for name in sizes if name not in words and name not in loose and name not in many)
    unread = tuple(name for name in left if _suffix(name) in {*TABLES, *UNREAD_ARCHIVES})
    by_stem = [list(its) for _, its in groupby(sorted(loose, key=lambda name: (_stem(name), name)), key=_stem)]
    hauls = list[Haul]()
    for is_many, groups, of in ((False, by_stem, loose), (True, [[name] for name in sorted(many)], many)):
        for names in _cut(groups, of, haul_bytes, haul_files):
            hauls.append(Haul(len(hauls), {name: of[name] for name in names}, is_many))
    return DatasetPlan(words, unread, tuple(hauls))


def _cut(
    groups: Sequence[list[str]], sizes: Mapping[str, int], haul_bytes: int, haul_files: int
) -> Iterator[list[str]]:
    haul, size_bytes = list[str](), 0
    for group in groups:
        more_bytes = sum(sizes[name] for name in group)
        if haul and (size_bytes + more_bytes > haul_bytes or len(haul) + len(group) > haul_files):
            yield haul
            haul, size_bytes = [], 0
        haul += group
        size_bytes += more_bytes
    if haul:
        yield haul


def _stem(name: str) -> str:
    return stem_of(tidy(name))


def _suffix(name: str) -> str:
    return PurePosixPath(name.lower()).suffix


def _is_table_of_rows(name: str) -> bool:
    return PurePosixPath(name.lower()).stem == STEM and _suffix(name) in {*KINDS, *UNREAD_KINDS}
