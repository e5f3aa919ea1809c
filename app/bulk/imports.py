"""Files brought in, whatever they hold: read once, kept until they are done or forgotten, begun as one operation.

What is of one subject alone, how a row is checked and what it would do, is beside this: `importing.py` for captions,
`label_importing.py` for labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from pathlib import PurePosixPath
from typing import IO, Any, Final, Literal

from sqlalchemy import Select, delete, select
from sqlalchemy.orm import Session

from app import audit
from app.bulk import operations
from app.bulk.tables import FileImport, ImportedCaption, ImportedLabel
from app.catalog import reading, table_cells
from app.catalog.tables import Image
from app.database import utc_now
from app.errors import NotFound, Refused
from app.intake import sidecars
from app.intake.meant import MeantPhotos
from app.intake.sources.naming import ZIPS
from app.people import Person
from app.review.tables import Operation

Subject = Literal["captions", "labels"]
MAX_FILE_BYTES: Final = 256 << 20
# A table is read whole, and takes several times its bytes of memory.
MAX_TABLE_BYTES: Final = 64 << 20
NAMED_AT_MOST: Final = 200
SHOWN_AT_MOST: Final = 50
BATCH: Final = 2_000
# A file that was shown and never brought in is forgotten after so long.
_SHOWN_FOR: Final = timedelta(days=7)
_ROWS: Final[dict[str, type[ImportedCaption] | type[ImportedLabel]]] = {
    "captions": ImportedCaption,
    "labels": ImportedLabel,
}

Line = tuple[int, "dict[str, Any]", "int | str"]
"""A row's line, what it has by column, and its photo: a number, or a sentence on why there is none; one that begins
with `!` says that the row cannot be read."""


@dataclass(frozen=True, slots=True)
class Clash:
    """Two texts of which one stays: what the file has, and what the photo has, each with who said it. `kind` is the
    caption's, or the label set's name."""

    image_id: int
    file_name: str
    kind: str
    line: int
    theirs: str
    theirs_by: str
    here: str
    here_by: str
    is_machine: bool = False


@dataclass(slots=True)
class ImportPreview:
    """What a file would do to a catalog now: how many texts of each fate, and the first that clash."""

    counts: Counter[str] = field(default_factory=Counter)
    clashes: list[Clash] = field(default_factory=list)

    @property
    def does_something(self) -> bool:
        """Whether bringing it in would change anything, a conflict decided for the file counted."""
        return any(self.counts[name] for name in ("new", "changed", "conflict", "history", "named"))

    def note(self, clash: Clash) -> None:
        """Show a clash, if it is among the first."""
        if len(self.clashes) < SHOWN_AT_MOST:
            self.clashes.append(clash)


@dataclass(frozen=True, slots=True)
class ImportedPhotos:
    """The photos of which a file says something, as operations take what was chosen."""

    catalog_id: int
    read: FileImport

    def select(self, *columns: Any) -> Select[*tuple[Any, ...]]:
        """A query of columns of these photos."""
        rows = _ROWS[self.read.subject]
        named = select(rows.image_id).where(rows.import_id == self.read.id, rows.image_id.is_not(None))
        return select(*columns).select_from(Image).where(Image.catalog_id == self.catalog_id, Image.id.in_(named))


def begun(session: Session, catalog_id: int, by: Person, subject: Subject, name: str) -> FileImport:
    """A file that is about to be read; what this person was shown before and did not bring in is forgotten."""
    own = (FileImport.catalog_id == catalog_id) & (FileImport.person_id == by.id) & (FileImport.subject == subject)
    is_old = FileImport.created_at < utc_now() - _SHOWN_FOR
    session.execute(delete(FileImport).where(FileImport.operation_id.is_(None), own | is_old))
    plain = PurePosixPath(name.replace("\\", "/")).name[:300] or f"{subject}.csv"
    read = FileImport(
        catalog_id=catalog_id, person_id=by.id, subject=subject, file=plain, assumed=[], named=[], refused=0, unknown=0,
        created_at=utc_now(),
    )  # fmt: skip
    session.add(read)
    session.flush()
    return read


def is_of_sidecars(name: str) -> bool:
    """Whether a file of this name is a ZIP of sidecars."""
    return PurePosixPath(name.lower()).suffix in ZIPS


def batches(
    session: Session,
    read: FileImport,
    file: IO[bytes],
    columns: Mapping[str, Sequence[str]],
    needed: Sequence[str],
    own: Collection[str],
) -> Iterator[list[Line]]:
    """The rows of a file, some at a time: a table or JSON lines, or a ZIP of sidecars, by the name's ending.

    `columns`, `needed` and `own` are those of `table_cells.rows`. A sidecar has its name as `member` and its `text`.
    Raises Refused where it is no such file, too large, or says nothing.
    """
    every = _sidecars(session, file, read) if is_of_sidecars(read.file) else None
    every = every or _table(session, file, read, columns, needed, own)
    is_empty = True
    while batch := list(islice(every, BATCH)):
        is_empty = False
        yield batch
    if is_empty:
        raise Refused(f"“{read.file}” has no {read.subject}.")


def _table(
    session: Session,
    file: IO[bytes],
    read: FileImport,
    columns: Mapping[str, Sequence[str]],
    needed: Sequence[str],
    own: Collection[str],
) -> Iterator[Line]:
    data = file.read(MAX_TABLE_BYTES + 1)
    if len(data) > MAX_TABLE_BYTES:
        raise Refused(f"“{read.file}” has more than {MAX_TABLE_BYTES >> 20} MB; bring it in in parts.")
    if data.startswith(b"PK\x03\x04"):
        raise Refused(f"“{read.file}” is a workbook or a ZIP under another name. Save the sheet as CSV UTF-8.")
    text, assumed = table_cells.decoded(read.file, data)
    read.assumed = [assumed] if assumed else []
    photos = MeantPhotos(session, read.catalog_id)
    every = table_cells.rows(read.file, text, columns, needed, own)
    while batch := list(islice(every, BATCH)):
        rows = [row if isinstance(row, dict) else {} for _, row in batch]
        meant = photos.of(rows)
        for (line, row), photo in zip(batch, meant, strict=True):
            yield (line, row, photo) if isinstance(row, dict) else (line, {}, f"!{row}")
    if photos.by_name:
        rows_are = "1 row has" if photos.by_name == 1 else f"{photos.by_name:,} rows have"
        said = f"{rows_are} the bytes of no photo here and went by the file’s name."
        read.assumed = [*read.assumed, said]


def _sidecars(session: Session, file: IO[bytes], read: FileImport) -> Iterator[Line]:
    beside = sidecars.Beside(reading.named(session, read.catalog_id))
    guessed = 0
    for place, (own, text, assumed, refusal) in enumerate(sidecars.read(file), 1):
        guessed += bool(assumed)
        yield place, {"text": text, "member": own}, f"!{refusal}" if refusal else beside.of(own)
    if guessed:
        texts = "1 sidecar is" if guessed == 1 else f"{guessed:,} sidecars are"
        read.assumed = [f"{texts} not UTF-8 and read as Windows-1252 or UTF-16."]


def refuse(read: FileImport, place: str, refusal: Refused) -> None:
    """Count a row that is not taken, and name it among the first."""
    read.refused += 1
    if len(read.named) < NAMED_AT_MOST:
        read.named = [*read.named, f"{place}: {refusal.sentence}"]


def photo_of(read: FileImport, photo: int | str) -> int:
    """The photo of a row. Raises Refused, and counts it, where there is none."""
    if isinstance(photo, int):
        return photo
    read.unknown += not photo.startswith("!")
    raise Refused(photo.removeprefix("!"))


def get(session: Session, catalog_id: int, subject: Subject, import_id: int) -> FileImport:
    """A file that was read for this catalog. Raises NotFound."""
    read = session.get(FileImport, import_id)
    if read is None or (read.catalog_id, read.subject) != (catalog_id, subject):
        raise NotFound("This file is not kept any more. Choose it again.")
    return read


def sentence(read: FileImport, shown: ImportPreview, words: Mapping[str, str]) -> str:
    """What a file would do, in one sentence: "12 new, 3 changed, 2 in conflict, 1 of no photo."."""
    parts = [f"{shown.counts[fate]:,} {word}" for fate, word in words.items() if shown.counts[fate]]
    parts += [f"{read.unknown:,} of no photo"] if read.unknown else []
    broken = read.refused - read.unknown
    parts += [f"{broken:,} not taken"] if broken else []
    return f"{', '.join(parts)}."


def carry_out(session: Session, read: FileImport, by: Person, *, takes_over: bool) -> Operation:
    """Begin the operation that brings a file in; the caller carries it out. Raises Refused where it was already."""
    session.refresh(read, with_for_update=True)
    if read.operation_id is not None:
        raise Refused("This file was brought in already.")
    chosen = ImportedPhotos(read.catalog_id, read)
    value = {"import_id": read.id, "takes_over": takes_over}
    operation = operations.begin(session, chosen, by, read.subject, value, "")
    read.operation_id = operation.id
    about = {"file": read.file, "subject": read.subject}
    audit.record(session, "file_imported", by.id, None, catalog=read.catalog_id, operation=operation.id, **about)
    return operation
