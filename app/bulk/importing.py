"""Files of captions brought in: read, shown before anything is changed, then done as one operation.

What a text of the file would do is told by `captioning.fate`, which the act asks again as it is done: what somebody
writes meanwhile stays. A machine's text never takes a person's place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from pathlib import PurePosixPath
from typing import IO, Any, Final

from sqlalchemy import Select, delete, insert, select
from sqlalchemy.orm import Session

from app import people
from app.bulk import operations
from app.bulk.captioning import fate
from app.bulk.tables import CaptionImport, ImportedCaption
from app.captions import files
from app.captions.files import WrittenCaption
from app.captions.tables import CaptionText, Kind
from app.captions.writing import author
from app.catalog import reading, table_cells
from app.catalog.tables import Image
from app.database import utc_now
from app.errors import NotFound, Refused
from app.intake import sidecars
from app.intake.meant import MeantPhotos
from app.intake.sources.naming import ZIPS
from app.people import Person
from app.review.tables import Operation

MAX_FILE_BYTES: Final = 256 << 20
# A table is read whole, and takes several times its bytes of memory.
MAX_TABLE_BYTES: Final = 64 << 20
NAMED_AT_MOST: Final = 200
SHOWN_AT_MOST: Final = 50
_BATCH: Final = 2_000
# A file that was shown and never brought in is forgotten after so long.
_SHOWN_FOR: Final = timedelta(days=7)

Line = tuple[int, "dict[str, Any]", "int | str"]


@dataclass(frozen=True, slots=True)
class Clash:
    """Two texts of which one stays: what the file has, and what the photo has, each with who wrote it."""

    image_id: int
    file_name: str
    kind: Kind
    line: int
    theirs: str
    theirs_by: str
    here: str
    here_by: str
    is_machine: bool


@dataclass(slots=True)
class ImportPreview:
    """What a file would do to a catalog now: how many texts of each fate, and the first that clash."""

    counts: Counter[str] = field(default_factory=Counter)
    clashes: list[Clash] = field(default_factory=list)

    @property
    def does_something(self) -> bool:
        """Whether bringing it in would change anything, a conflict decided for the file counted."""
        return any(self.counts[name] for name in ("new", "changed", "conflict", "history"))


@dataclass(frozen=True, slots=True)
class ImportedPhotos:
    """The photos of which a file has captions, as operations take what was chosen."""

    catalog_id: int
    import_id: int

    def select(self, *columns: Any) -> Select[*tuple[Any, ...]]:
        """A query of columns of these photos."""
        named = select(ImportedCaption.image_id).where(ImportedCaption.import_id == self.import_id)
        return select(*columns).select_from(Image).where(Image.catalog_id == self.catalog_id, Image.id.in_(named))


def read_in(
    session: Session,
    catalog_id: int,
    by: Person,
    name: str,
    file: IO[bytes],
    kind: Kind = "long",
    writer: str = "given",
) -> CaptionImport:
    """Read a file of captions and keep what it says, so that it can be shown and done; nothing is changed yet.

    A table or JSON lines, or a ZIP of sidecars, by the name's ending. `kind` and `writer` are those of texts of which
    the file tells none. Raises Refused where it is no such file, too large, or says nothing.
    """
    if kind not in files.KINDS or writer not in ("given", "person"):
        raise Refused(f"Captions are of a kind ({', '.join(files.KINDS)}), given or a person’s.")
    _forget(session, catalog_id, by)
    plain = PurePosixPath(name.replace("\\", "/")).name[:300] or "captions.csv"
    read = CaptionImport(catalog_id=catalog_id, person_id=by.id, file=plain, assumed=[], named=[], created_at=utc_now())
    session.add(read)
    session.flush()
    keeping = _Keeping(session, read, by, kind, writer)
    lines = _sidecars if PurePosixPath(plain.lower()).suffix in ZIPS else _table
    every = lines(session, catalog_id, plain, file, read)
    while batch := list(islice(every, _BATCH)):
        keeping.keep(batch)
    if not keeping.met:
        raise Refused(f"“{plain}” has no captions.")
    session.flush()
    return read


def _forget(session: Session, catalog_id: int, by: Person) -> None:
    """What was shown and not brought in: this person's earlier file, and all that is old."""
    own = (CaptionImport.catalog_id == catalog_id) & (CaptionImport.person_id == by.id)
    is_old = CaptionImport.created_at < utc_now() - _SHOWN_FOR
    session.execute(delete(CaptionImport).where(CaptionImport.operation_id.is_(None), own | is_old))


def _table(session: Session, catalog_id: int, name: str, file: IO[bytes], read: CaptionImport) -> Iterator[Line]:
    data = file.read(MAX_TABLE_BYTES + 1)
    if len(data) > MAX_TABLE_BYTES:
        raise Refused(f"“{name}” has more than {MAX_TABLE_BYTES >> 20} MB; bring it in in parts.")
    if data.startswith(b"PK\x03\x04"):
        raise Refused(f"“{name}” is a workbook or a ZIP under another name. Save the sheet as CSV UTF-8.")
    text, assumed = table_cells.decoded(name, data)
    read.assumed = [assumed] if assumed else []
    photos = MeantPhotos(session, catalog_id)
    every = table_cells.rows(name, text, files.COLUMNS, ("text",))
    while batch := list(islice(every, _BATCH)):
        rows = [row if isinstance(row, dict) else {} for _, row in batch]
        meant = photos.of(rows)
        for (line, row), photo in zip(batch, meant, strict=True):
            yield (line, row, photo) if isinstance(row, dict) else (line, {}, f"!{row}")
    if photos.by_name:
        rows_are = "1 row has" if photos.by_name == 1 else f"{photos.by_name:,} rows have"
        said = f"{rows_are} the bytes of no photo here and went by the file’s name."
        read.assumed = [*read.assumed, said]


def _sidecars(session: Session, catalog_id: int, name: str, file: IO[bytes], read: CaptionImport) -> Iterator[Line]:
    beside = sidecars.Beside(reading.named(session, catalog_id))
    guessed = 0
    for place, (own, text, assumed, refusal) in enumerate(sidecars.read(file), 1):
        guessed += bool(assumed)
        yield place, {"text": text, "member": own}, f"!{refusal}" if refusal else beside.of(own)
    if guessed:
        texts = "1 sidecar is" if guessed == 1 else f"{guessed:,} sidecars are"
        read.assumed = [f"{texts} not UTF-8 and read as Windows-1252 or UTF-16."]


class _Keeping:
    """Rows of a file on their way into the database: each checked, and the first of those that are not taken named."""

    def __init__(self, session: Session, read: CaptionImport, by: Person, kind: Kind, writer: str) -> None:
        self.met = 0
        self._session, self._read, self._by, self._kind, self._writer = session, read, by, kind, writer
        named = Counter(person.name for person in people.everybody(session))
        self._people = {person.name: person for person in people.everybody(session) if named[person.name] == 1}
        self._said: dict[tuple[int, str], int] = {}

    def keep(self, batch: Iterable[Line]) -> None:
        """Keep some rows."""
        kept = []
        for line, row, photo in batch:
            self.met += 1
            place = f"“{row['member']}”" if "member" in row else f"Row {line:,}"
            try:
                if isinstance(photo, str):
                    self._read.unknown += not photo.startswith("!")
                    raise Refused(photo.removeprefix("!"))
                file = row.get("member", self._read.file)
                said = files.written(
                    row, self._kind, self._writer, file, 0 if "member" in row else line, self._read.created_at
                )
                self._look_for_another(photo, said)
                kept.append(self._row(line, photo, said))
            except Refused as refusal:
                self._read.refused += 1
                if len(self._read.named) < NAMED_AT_MOST:
                    self._read.named = [*self._read.named, f"{place}: {refusal.sentence}"]
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


def get(session: Session, catalog_id: int, import_id: int) -> CaptionImport:
    """A file that was read for this catalog. Raises NotFound."""
    read = session.get(CaptionImport, import_id)
    if read is None or read.catalog_id != catalog_id:
        raise NotFound("This file is not kept any more. Choose it again.")
    return read


def preview(session: Session, read: CaptionImport) -> ImportPreview:
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
        .execution_options(yield_per=_BATCH)
    )
    for row in rows:
        said = row[0]
        if said.until is not None:
            shown.counts["history"] += 1
            continue
        now = row if row.id is not None else None
        became = fate(said.text, said.written_by, said.captioner, said.at, now, None)
        shown.counts[became] += 1
        if became in ("conflict", "machine") and len(shown.clashes) < SHOWN_AT_MOST:
            shown.clashes.append(_clash(session, said, row, became == "machine"))
    return shown


def _clash(session: Session, said: ImportedCaption, row: Any, is_machine: bool) -> Clash:
    def by(caption: Any) -> str:
        return author(session, caption)

    return Clash(said.image_id, row.file_name, said.kind, said.line, said.text, by(said), row.text, by(row), is_machine)


def sentence(read: CaptionImport, shown: ImportPreview) -> str:
    """What a file would do, in one sentence: "12 new, 3 changed, 2 in conflict, 1 of no photo."."""
    words = {
        "new": "new", "changed": "changed", "history": "of the history", "same": "the same",
        "conflict": "in conflict, where what is here stays",
        "machine": "by a captioner, for which no person’s gives way",
    }  # fmt: skip
    parts = [f"{shown.counts[fate]:,} {word}" for fate, word in words.items() if shown.counts[fate]]
    parts += [f"{read.unknown:,} of no photo"] if read.unknown else []
    broken = read.refused - read.unknown
    parts += [f"{broken:,} not taken"] if broken else []
    return f"{', '.join(parts)}."


def carry_out(session: Session, read: CaptionImport, by: Person, *, takes_over: bool) -> Operation:
    """Begin the operation that brings a file in; the caller carries it out. Raises Refused where it was already."""
    session.refresh(read, with_for_update=True)
    if read.operation_id is not None:
        raise Refused("This file was brought in already.")
    chosen = ImportedPhotos(read.catalog_id, read.id)
    value = {"import_id": read.id, "takes_over": takes_over}
    operation = operations.begin(session, chosen, by, "captions", value, "")
    read.operation_id = operation.id
    session.flush()
    return operation
