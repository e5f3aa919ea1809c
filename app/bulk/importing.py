"""Files of captions brought in: read, shown before anything is changed, then done as one operation.

What a text of the file would do is told by `captioning.fate`, which the act asks again as it is done: what somebody
writes meanwhile stays. A machine's text never takes a person's place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import IO, Any, Final

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from app import people
from app.bulk import imports
from app.bulk.captioning import fate
from app.bulk.imports import BATCH, Clash, ImportPreview, Line
from app.bulk.tables import FileImport, ImportedCaption
from app.captions import files
from app.captions.files import WrittenCaption
from app.captions.tables import CaptionText, Kind
from app.captions.writing import author
from app.catalog.tables import Image
from app.errors import Refused
from app.people import Person

WORDS: Final = {
    "new": "new", "changed": "changed", "history": "of the history", "same": "the same",
    "conflict": "in conflict, where what is here stays",
    "machine": "by a captioner, for which no person’s gives way",
}  # fmt: skip
"""Fates as a sentence counts them."""


def read_in(
    session: Session,
    catalog_id: int,
    by: Person,
    name: str,
    file: IO[bytes],
    kind: Kind = "long",
    writer: str = "given",
) -> FileImport:
    """Read a file of captions and keep what it says, so that it can be shown and done; nothing is changed yet.

    A table or JSON lines, or a ZIP of sidecars, by the name's ending. `kind` and `writer` are those of texts of which
    the file tells none. Raises Refused where it is no such file, too large, or says nothing.
    """
    if kind not in files.KINDS or writer not in ("given", "person"):
        raise Refused(f"Captions are of a kind ({', '.join(files.KINDS)}), given or a person’s.")
    read = imports.begun(session, catalog_id, by, "captions", name)
    keeping = _Keeping(session, read, by, kind, writer)
    for batch in imports.batches(session, read, file, files.COLUMNS, ("text",), files.FIELDS):
        keeping.keep(batch)
    session.flush()
    return read


class _Keeping:
    """Rows of a file on their way into the database: each checked, and the first of those that are not taken named."""

    def __init__(self, session: Session, read: FileImport, by: Person, kind: Kind, writer: str) -> None:
        self._session, self._read, self._by, self._kind, self._writer = session, read, by, kind, writer
        named = Counter(person.name for person in people.everybody(session))
        self._people = {person.name: person for person in people.everybody(session) if named[person.name] == 1}
        self._said: dict[tuple[int, str], int] = {}

    def keep(self, batch: Iterable[Line]) -> None:
        """Keep some rows."""
        kept = []
        for line, row, photo in batch:
            place = f"“{row['member']}”" if "member" in row else f"Row {line:,}"
            try:
                image_id = imports.photo_of(self._read, photo)
                file = row.get("member", self._read.file)
                said = files.written(
                    row, self._kind, self._writer, file, 0 if "member" in row else line, self._read.created_at
                )
                self._look_for_another(image_id, said)
                kept.append(self._row(line, image_id, said))
            except Refused as refusal:
                imports.refuse(self._read, place, refusal)
        if kept:
            self._session.execute(insert(ImportedCaption), kept)

    def _look_for_another(self, photo: int, said: WrittenCaption) -> None:
        if said.until is not None:
            return
        before, own = self._said.get((photo, said.kind)), hash(said.text)
        if before is not None:
            raise Refused(f"an earlier row has {'this' if before == own else 'another'} text for this photo.")
        self._said[photo, said.kind] = own

    def _row(self, line: int, photo: int, said: WrittenCaption) -> dict[str, Any]:
        person_id, settings = None, said.settings
        if said.written_by == "person":
            person = self._people.get(said.by) if said.by else self._by
            if person is None:
                settings = settings | {"by": said.by}
            person_id = (person or self._by).id
        return {
            "import_id": self._read.id, "line": line, "image_id": photo, "kind": said.kind, "text": said.text,
            "written_by": said.written_by, "person_id": person_id, "captioner": said.captioner, "settings": settings,
            "at": said.at, "version": said.version, "parent": said.parent, "until": said.until,
            "taken_back": said.taken_back,
        }  # fmt: skip


def preview(session: Session, read: FileImport) -> ImportPreview:
    """What a file would do now."""
    shown = ImportPreview()
    here = CaptionText.__table__.alias("here")
    of_photo = (here.c.image_id == ImportedCaption.image_id) & (here.c.kind == ImportedCaption.kind)
    rows = session.execute(
        select(ImportedCaption, here, Image.file_name)
        .join(Image, Image.id == ImportedCaption.image_id)
        .outerjoin(here, of_photo & here.c.superseded_at.is_(None))
        .where(ImportedCaption.import_id == read.id)
        .order_by(ImportedCaption.line)
        .execution_options(yield_per=BATCH)
    )
    for row in rows:
        said = row[0]
        if said.until is not None:
            shown.counts["history"] += 1
            continue
        now = row if row.id is not None else None
        became = fate(said.text, said.written_by, said.captioner, said.at, now, None)
        shown.counts[became] += 1
        if became in ("conflict", "machine"):
            shown.note(_clash(session, said, row, became == "machine"))
    return shown


def _clash(session: Session, said: ImportedCaption, row: Any, is_machine: bool) -> Clash:
    def by(caption: Any) -> str:
        return author(session, caption)

    return Clash(said.image_id, row.file_name, said.kind, said.line, said.text, by(said), row.text, by(row), is_machine)
