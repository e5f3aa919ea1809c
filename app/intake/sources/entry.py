"""An entry: one thing that a source holds, and the place where its bytes are found again by any worker."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import quote, unquote_to_bytes

Kind = Literal["picture", "refused", "other", "archive"]

MAX_FILE_BYTES: Final = 512 * 1024 * 1024


class Unopened(Exception):
    """The bytes of an entry cannot be had; the sentence says why."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


@dataclass(frozen=True, slots=True)
class Entry:
    """Something met in a source: a picture to read, a thing refused with a reason, an archive, or something else.

    `name` is its path relative to the source as people see it: forward slashes, odd bytes and control characters
    replaced, at most 500 characters. `path` is the file on this machine that holds it. `steps` lead from there to its
    bytes where that file is not the entry itself, one for each container:

        ["zip", n]                the member with this index, in the order of the archive's directory
        ["tar", offset, bytes]    a slice of the archive's bytes, unpacked where they are packed
        ["row", column, group, n] the bytes in a column of a Parquet file: row group, row in it

    `url` is the web address of an entry that lies nowhere on this machine. `data` are the bytes of what is small and
    was read on the way (a caption, a table inside an archive). `said` are the fields of the catalogue's row that the
    entry is from, by column, `line` that row's number, `table` the file it stands in.
    """

    kind: Kind
    path: Path
    name: str
    reason: str | None = None
    steps: tuple[tuple[str | int, ...], ...] = ()
    url: str | None = None
    data: bytes | None = None
    said: dict[str, Any] = field(default_factory=dict)
    line: int = 0
    table: str = ""
    is_catalogue: bool = False

    @property
    def locator(self) -> dict[str, Any]:
        """Where the entry is found again, as JSON. A path of any bytes is written as in a web address."""
        if self.url is not None:
            return {"url": self.url}
        place: dict[str, Any] = {"path": quote(os.fsencode(self.path))}
        return place | ({"steps": [list(step) for step in self.steps]} if self.steps else {})


def located(name: str, locator: dict[str, Any]) -> Entry:
    """The picture of this name at a locator."""
    if "url" in locator:
        return Entry("picture", Path(), name, url=locator["url"])
    path = Path(os.fsdecode(unquote_to_bytes(locator["path"])))
    return Entry("picture", path, name, steps=tuple(tuple(step) for step in locator.get("steps", ())))


def too_large(size_bytes: int, max_bytes: int) -> Unopened:
    """The refusal of a file over the limit of one file."""
    return Unopened(f"The file has {size_bytes // 1024**2:,} MB; {max_bytes // 1024**2} MB are the limit.")
