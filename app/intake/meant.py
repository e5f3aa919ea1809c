"""Which photo of a catalog a row of a file means: by its number, its bytes, or its file's name. Never a guess."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import BigInteger, Text, any_, cast, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from app.catalog.table_cells import bare
from app.catalog.tables import Image
from app.intake import matching
from app.intake.metadata import PhotoMetadata, key_of

_NAMELESS: Final = "it names no photo, by file, sha256 or number."
Meant = int | str


@dataclass(frozen=True, slots=True)
class _Picture:
    name: str
    kind: str = "picture"


class MeantPhotos:
    """The photos of a catalog, looked up for rows by the thousand. A row has `photo`, `sha256` and `file`, or some.

    Bytes that no photo here has give way to the file's name, where one photo alone is called so: pictures are saved
    again. How many rows were taken so is `by_name`, to be told.
    """

    def __init__(self, session: Session, catalog_id: int) -> None:
        self._session, self._in_catalog = session, Image.catalog_id == catalog_id
        self._called: dict[str, list[int]] | None = None
        self.by_name = 0

    def of(self, records: Sequence[Mapping[str, Any]]) -> list[Meant]:
        """For each row the number of its photo, or why there is none, in a sentence."""
        numbers = {int(text) for text in (_text(row, "photo") for row in records) if _is_number(text)}
        here = self._pairs(Image.id, Image.id == any_(cast(sorted(numbers), ARRAY(BigInteger))))
        bytes_ = {_text(row, "sha256").lower() for row in records}
        of_bytes = self._pairs(Image.sha256, Image.sha256 == any_(cast(sorted(bytes_), ARRAY(Text))))
        named = self._named({_text(row, "file") for row in records if _text(row, "sha256").lower() not in of_bytes})
        return [self._one(row, here, of_bytes, named) for row in records]

    def _one(
        self, row: Mapping[str, Any], here: dict[Any, int], of_bytes: dict[Any, int], named: dict[str, Meant]
    ) -> Meant:
        number, sha256, name = (_text(row, key) for key in ("photo", "sha256", "file"))
        by_bytes = of_bytes.get(sha256.lower())
        if number:
            by_number = here.get(int(number)) if _is_number(number) else None
            if by_number is None:
                return f"there is no photo {number[:20]} in this catalog."
            if by_bytes not in (None, by_number):
                return f"photo {number} has other bytes than {sha256[:12]}…"
            return by_number
        if by_bytes is not None:
            return by_bytes
        if not name:
            return f"no photo here has the bytes {sha256[:80]}." if sha256 else _NAMELESS
        self.by_name += bool(sha256) and isinstance(named[name], int)
        return named[name]

    def _pairs(self, key: Any, condition: Any) -> dict[Any, int]:
        return {
            row[0]: row[1] for row in self._session.execute(select(key, Image.id).where(self._in_catalog, condition))
        }

    def _named(self, names: set[str]) -> dict[str, Meant]:
        """The photos of names as they are written; of those that nobody has so, in another spelling."""
        listed = func.unnest(cast(sorted(names - {""}), ARRAY(Text))).table_valued("name").render_derived()
        same = (Image.name_key == func.name_key(listed.c.name), Image.file_name == listed.c.name)
        called: dict[str, list[int]] = defaultdict(list)
        for name, number in self._session.execute(select(listed.c.name, Image.id).where(self._in_catalog, *same)):
            called[name].append(number)
        meant: dict[str, Meant] = {name: self._alone(name, numbers) for name, numbers in called.items()}
        if missing := names - {""} - called.keys():
            meant |= self._respelled(missing)
            # Other tools too put an apostrophe before a name that would run as a formula.
            guarded = {name: bare(name) for name in missing if bare(name) != name and isinstance(meant[name], str)}
            again = self._respelled(guarded.values()) if guarded else {}
            meant |= {name: again[own] for name, own in guarded.items() if isinstance(again[own], int)}
        return meant

    def _alone(self, name: str, numbers: list[int]) -> Meant:
        if len(numbers) == 1:
            return numbers[0]
        return f"{len(numbers)} photos are called “{name}”; give their sha256."

    def _respelled(self, names: Iterable[str]) -> dict[str, Meant]:
        if self._called is None:
            self._called = defaultdict(list)
            for number, name in self._session.execute(select(Image.id, Image.file_name).where(self._in_catalog)):
                self._called[key_of(name)].append(number)
        called = self._called
        meant: dict[str, Meant] = {}
        asked: dict[str, list[str]] = defaultdict(list)
        for name in names:
            asked[key_of(name)].append(name)
        rows = {key: PhotoMetadata(0, name=its[0]) for key, its in asked.items()}
        matched = matching.match(rows, (_Picture(name) for name in called), "")
        for picture, row in matched.rows.items():
            for name in asked[key_of(row.name)]:
                meant[name] = self._alone(picture, called[picture])
        for row, why in matched.unmatched:
            for name in asked[key_of(row.name)]:
                meant[name] = f"no photo is called “{name}”." + (f" {why}" if "could be meant" in why else "")
        return meant


def _text(row: Mapping[str, Any], key: str) -> str:
    value = row.get(key)
    return "" if value is None else str(value).strip()


def _is_number(text: str) -> bool:
    return text.isdecimal() and text.isascii() and len(text) <= 18
