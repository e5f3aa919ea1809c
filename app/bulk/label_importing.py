"""Files of labels brought in: read, shown before anything is changed, then done as one operation.

A row is a label of a photo, or names a set or a label alone. Reading tries what the file names and takes it back, so
that the preview refuses what bringing in would; what a label would do is told by `label_bringing.fate`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import groupby
from typing import IO, Any, Final

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from app import audit
from app.bulk import imports, label_naming
from app.bulk.imports import BATCH, Clash, ImportPreview, Line
from app.bulk.label_bringing import fate
from app.bulk.label_naming import NamedLabels
from app.bulk.tables import FileImport, ImportedLabel
from app.catalog.spelling import label_key
from app.catalog.table_cells import JSON_LINES
from app.catalog.tables import Image
from app.database import utc_now
from app.errors import Refused
from app.labels import files
from app.labels.tables import Labelling, LabelSet, LabelValue
from app.people import Person
from app.review.decisions import lock
from app.review.tables import Operation

WORDS: Final = {
    "new": "new", "changed": "changed", "same": "the same", "conflict": "in conflict, where what is here stays",
    "retired": "of retired labels, which are not given", "named": "to be made, sets and labels",
}  # fmt: skip
"""Fates as a sentence counts them, each of what is said of one photo in one set."""

ONLY_NAMED: Final = "Made the sets and labels that the file names; it says nothing of photos."


def read_in(
    session: Session, catalog_id: int, by: Person, name: str, file: IO[bytes], set_name: str = ""
) -> FileImport:
    """Read a file of labels and keep what it says, so that it can be shown and done; nothing is changed yet.

    A table or JSON lines, or a ZIP of sidecars, whose labels stand between commas and are of the set `set_name`, by the
    name's ending. Raises Refused where it is no such file, too large, or says nothing.
    """
    read = imports.begun(session, catalog_id, by, "labels", name)
    set_name = " ".join(set_name.split())
    if imports.is_of_sidecars(read.file) and not set_name:
        raise Refused("Name the set that these labels are of.")
    needed = ("set",) if read.file.lower().endswith(JSON_LINES) else ("set", "label")
    lock(session, catalog_id)
    own = files.FIELDS
    with audit.trial(session):
        keeping = _KeepingLabels(session, read, by, set_name)
        refusals = [keeping.keep(batch) for batch in imports.batches(session, read, file, files.COLUMNS, needed, own)]
        assumed, unknown = read.assumed, read.unknown
    session.refresh(read)
    read.assumed, read.unknown = assumed, unknown
    for place, refusal in (each for some in refusals for each in some):
        imports.refuse(read, place, refusal)
    for start in range(0, len(keeping.kept), BATCH):
        session.execute(insert(ImportedLabel), keeping.kept[start : start + BATCH])
    session.flush()
    return read


class _KeepingLabels:
    """Rows of a file on their way into the database: each checked by trying what it names."""

    def __init__(self, session: Session, read: FileImport, by: Person, set_name: str) -> None:
        self.kept: list[dict[str, Any]] = []
        self._read, self._import_id, self._set_name = read, read.id, set_name
        self._names = NamedLabels(session, read.catalog_id, by, utc_now())
        self._said: dict[tuple[int, int], str] = {}

    def keep(self, batch: Sequence[Line]) -> list[tuple[str, Refused]]:
        """Take some rows; which are not taken, and why."""
        refused = []
        for line, row, photo in batch:
            place = f"“{row['member']}”" if "member" in row else f"Row {line:,}"
            try:
                if isinstance(photo, str) and photo.startswith("!"):
                    raise Refused(photo[1:])
                for record in self._records(row):
                    self._take(line, record, photo)
            except Refused as refusal:
                refused.append((place, refusal))
        return refused

    def _records(self, row: Mapping[str, Any]) -> Iterator[Mapping[str, str]]:
        if "member" not in row:
            yield files.texts_of(row)
            return
        known = self._names.known(self._set_name)
        kind = known.kind if known is not None else "many"
        text = str(row["text"])
        labels = [text] if kind == "text" else text.replace("\n", ",").split(",")
        for label in filter(None, map(str.strip, labels)):
            yield {"file": row["member"], "set": self._set_name, "kind": kind, "label": label}

    def _take(self, line: int, record: Mapping[str, str], photo: int | str) -> None:
        label_set, label = self._names.name(record)
        image_id = None
        if any(record.get(key) for key in ("file", "sha256", "photo")):
            image_id = imports.photo_of(self._read, photo)
            if not label:
                raise Refused("it names no label.")
            before = self._said.setdefault((image_id, label_set.id), label_key(label))
            if before != label_key(label) and label_set.kind != "many":
                said = f"an earlier row says otherwise of this photo in “{label_set.name}”"
                raise Refused(f"{said}, which takes one answer.")
        self.kept.append({
            "import_id": self._import_id, "number": len(self.kept), "line": line, "image_id": image_id,
            "set_name": label_set.name, "set_key": label_key(label_set.name), "kind": label_set.kind,
            "key": label_set.key or "", "label": label, "label_key": label_key(label),
            "is_retired": files.as_yes_no(record.get("retired", "")) == "yes",
        })  # fmt: skip


def preview(session: Session, read: FileImport) -> ImportPreview:
    """What a file would do now, counted by what is said of one photo in one set; and how many sets and labels it would
    make."""
    shown, row = ImportPreview(), ImportedLabel
    undone = label_naming.undone_at(session, read.catalog_id)
    by = session.get_one(Person, read.person_id)
    said = select(
        row.number, row.line, row.image_id, row.set_key, row.set_name, row.kind, row.label, LabelValue.id,
        LabelValue.retired_at, LabelSet.retired_at.label("set_retired_at"), Labelling.value_ids, Labelling.person_id,
        Labelling.created_at, Image.file_name, Person.name,
    )  # fmt: skip
    every = session.execute(
        said.join(Image, Image.id == row.image_id)
        .outerjoin(LabelSet, (LabelSet.catalog_id == read.catalog_id) & (LabelSet.name_key == row.set_key))
        .outerjoin(LabelValue, (LabelValue.set_id == LabelSet.id) & (LabelValue.name_key == row.label_key))
        .outerjoin(
            Labelling,
            (Labelling.image_id == row.image_id)
            & (Labelling.set_id == LabelSet.id)
            & Labelling.superseded_at.is_(None),
        )
        .outerjoin(Person, Person.id == Labelling.person_id)
        .where(row.import_id == read.id)
        .order_by(row.image_id, row.set_key, row.number)
        .execution_options(yield_per=BATCH)
    )
    names = _names(session, read.catalog_id)
    for _, group in groupby(every, key=lambda each: (each.image_id, each.set_key)):
        rows = list(group)
        first = rows[0]
        wanted = [each.id or -1 - each.number for each in rows]
        retired = {
            each.id for each in rows
            if {each.retired_at, each.set_retired_at} - {None} - undone and each.id is not None
        }  # fmt: skip
        here = first if first.value_ids is not None else None
        became, _ = fate(first.kind, wanted, here, by.id, retired, utc_now(), None)
        shown.counts[became] += 1
        if became in ("conflict", "retired"):
            theirs = ", ".join(each.label for each in rows)
            held = ", ".join(names[number] for number in first.value_ids or ())
            by_whom = "retired here, and given by no file" if became == "retired" else by.name
            shown.note(
                Clash(
                    first.image_id, first.file_name, first.set_name, first.line, theirs, by_whom, held or "nothing",
                    first.name or "",
                )
            )  # fmt: skip
    if made := _to_make(session, read):
        shown.counts["named"] = made
    return shown


def carry_out(session: Session, read: FileImport, by: Person, *, takes_over: bool) -> Operation | None:
    """Make what a file names and begin the operation that gives it; the caller carries it out. None where the file
    says nothing of a photo: then all is done. Raises Refused where it was brought in already."""
    session.refresh(read, with_for_update=True)
    row = ImportedLabel
    is_of_photos = select(row.number).where(row.import_id == read.id, row.image_id.is_not(None)).limit(1)
    operation = None
    if read.operation_id is not None or session.scalar(is_of_photos) is not None:
        operation = imports.carry_out(session, read, by, takes_over=takes_over)
    labels = NamedLabels(session, read.catalog_id, by, operation.created_at if operation else utc_now())
    named = (row.set_name, row.kind, row.key, row.label, row.is_retired)
    once = select(*named).where(row.import_id == read.id).group_by(*named).order_by(func.min(row.number))
    for each in session.execute(once).all():
        said = {"set": each.set_name, "kind": each.kind, "key": each.key, "label": each.label}
        with suppress(Refused):  # what cannot be made any more gets no number, and its photos are passed over
            labels.name(said | {"retired": "yes" if each.is_retired else ""})
    labels.finish()
    label_naming.tell_numbers(session, read.catalog_id, read.id)
    if operation is None:
        session.delete(read)
    session.flush()
    return operation


def _names(session: Session, catalog_id: int) -> dict[int, str]:
    rows = session.execute(
        select(LabelValue.id, LabelValue.name).join(LabelSet).where(LabelSet.catalog_id == catalog_id)
    )
    return {row.id: row.name for row in rows}


def _to_make(session: Session, read: FileImport) -> int:
    """How many sets and labels that a file names are not there."""
    row, of_file = ImportedLabel, ImportedLabel.import_id == read.id
    in_catalog = LabelSet.catalog_id == read.catalog_id
    known_sets = select(LabelSet.name_key).where(in_catalog)
    new_sets = select(func.count(row.set_key.distinct())).where(of_file, row.set_key.not_in(known_sets))
    known = select(LabelSet.name_key, LabelValue.name_key).join(LabelValue, LabelValue.set_id == LabelSet.id)
    wanted = select(row.set_key, row.label_key).where(of_file, row.label != "", row.kind != "yes_no")
    new_labels = select(func.count()).select_from(wanted.except_(known.where(in_catalog)).subquery())
    return (session.scalar(new_sets) or 0) + (session.scalar(new_labels) or 0)
