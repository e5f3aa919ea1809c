"""A file that was read, as its page shows it: what it would do, or the operation that it became."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from sqlalchemy.orm import Session

from app.bulk import importing, imports, label_importing, operations, undoing
from app.bulk.acts import are, photos
from app.bulk.imports import ImportPreview, Subject
from app.bulk.operations import OperationRow
from app.bulk.tables import FileImport
from app.catalog import reading
from app.catalog.tables import Catalog
from app.people import Person
from app.review.tables import Operation

# What each count means, in the order of the page.
_MEANS: Final[dict[Subject, dict[str, tuple[str, str]]]] = {
    "captions": {
        "new": ("new", "no text of that kind is here"),
        "changed": ("changed", "in place of a captioner’s, a given or an older text"),
        "history": ("of the history", "kept beneath the current text, each once"),
        "same": ("the same", "nothing changes"),
        "conflict": ("in conflict", "a person’s or a newer text is here; it stays unless you say otherwise"),
        "machine": ("by a captioner", "a person’s or a given text is here; a captioner never replaces it"),
    },
    "labels": {
        "new": ("new", "nothing is said of the photo in that set"),
        "changed": ("changed", "one more label, or another in place of your own"),
        "same": ("the same", "nothing changes"),
        "conflict": ("in conflict", "somebody else answered otherwise; that stays unless you say otherwise"),
        "retired": ("of retired labels", "bring the label or its set back to give it"),
        "named": ("to be made", "sets and labels that are not here yet; an undo retires those that nothing has"),
    },
}
_TITLES: Final[dict[Subject, str]] = {"captions": "Captions in and out", "labels": "Labels"}


@dataclass(frozen=True)
class ImportView:
    """A file that was read: what it would do now, each count with what it means, or the operation that it became."""

    catalog: Catalog
    read: FileImport
    title: str
    preview: ImportPreview
    means: Mapping[str, tuple[str, str]]
    row: OperationRow | None
    said: str


def read(session: Session, catalog_id: int, subject: Subject, import_id: int) -> ImportView:
    """The page of a file. Raises NotFound."""
    catalog, kept = reading.get(session, catalog_id), imports.get(session, catalog_id, subject, import_id)
    operation = operations.get(session, kept.operation_id) if kept.operation_id is not None else None
    row = operations.row_of(session, operation) if operation is not None else None
    would = ImportPreview() if operation is not None else would_do(session, kept)
    said = undoing.said(operation) if operation is not None else ""
    return ImportView(catalog, kept, _TITLES[subject], would, _MEANS[subject], row, said)


def would_do(session: Session, kept: FileImport) -> ImportPreview:
    """What a file would do now."""
    if kept.subject == "labels":
        return label_importing.preview(session, kept)
    return importing.preview(session, kept)


def as_json(session: Session, kept: FileImport) -> dict[str, Any]:
    """What a file would do now, for a script."""
    would = would_do(session, kept)
    about = {"import_id": kept.id, "counts": would.counts, "clashes": [asdict(clash) for clash in would.clashes]}
    return about | {"refused": kept.refused, "unknown": kept.unknown, "named": kept.named, "assumed": kept.assumed}


def carried_out(session: Session, operation: Operation, me: Person) -> tuple[dict[str, Any], int]:
    """Carry out what was begun: what came of it, for a script, and the status of the answer."""
    job = operations.carry_out(session, operation, me)
    said = undoing.said(operation)
    if job is not None:
        said = f"{photos(operation.count)} {are(operation.count)} being changed. It can be stopped, and taken back"
    facts = {"changed": operation.changed, "operation_id": operation.id, "job_id": job.id if job else None}
    return {"sentence": said} | facts, 202 if job else 200
