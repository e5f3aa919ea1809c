"""Asking for exports, looking at them, and taking them away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app import jobs
from app.database import utc_now
from app.datasets.tables import DatasetVersion
from app.errors import NotAllowed, NotFound, Refused
from app.exports import formats
from app.exports.shards import Wish, Written
from app.exports.tables import Export
from app.jobs import Job
from app.people import Person, may_act_for
from app.storage import Storage

KIND: Final = "versions.export"
MAX_REPEATS: Final = 1_000
ExportState = Literal["waiting", "writing", "done", "failed", "stopped", "gone"]
"""`gone`: it was written, and its folder is not in the data folder any more, as after a restored backup."""


@dataclass(frozen=True, slots=True)
class ExportRow:
    """An export with the job that writes it, and how it stands."""

    export: Export
    job: Job
    state: ExportState
    folder: Path

    @property
    def name(self) -> str:
        """Its format, in words."""
        return formats.NAMES[self.export.format]


def folder_of(storage: Storage, export_id: int) -> Path:
    """Where an export lies."""
    return storage.exports_folder / str(export_id)


def wished(leaves_out: bool, repeats: int) -> Wish:
    """What is asked for beside the format. Raises Refused for repeats out of range."""
    if not 1 <= repeats <= MAX_REPEATS:
        raise Refused(f"Repeats are a whole number from 1 to {MAX_REPEATS:,}.")
    return Wish(leaves_out, repeats)


def request_export(
    session: Session, version_id: int, name: str, person: Person | None = None, wish: Wish | None = None
) -> Export:
    """Ask for a version in a format; one that is being written just so already is not written twice.

    Raises NotFound, and Refused for an unknown format or a version that is not frozen.
    """
    formats.named(name)
    wish = wish or Wish()
    # The lock makes a double click one export.
    version = session.get(DatasetVersion, version_id, with_for_update={"key_share": True})
    if version is None:
        raise NotFound(f"There is no dataset version {version_id}.")
    session.execute(select(func.pg_advisory_xact_lock(_LOCK, version_id)))
    if version.content_hash is None:
        raise Refused("This version is not frozen yet, so there is nothing to export.")
    under_way = session.scalars(
        select(Export)
        .join(Job, Job.id == Export.job_id)
        .where(Export.version_id == version_id, Export.format == name, Export.repeats == wish.repeats)
        .where(Export.leaves_out == wish.leaves_out, Job.state.in_(("queued", "running")))
        .where(Job.is_cancel_asked.is_(False))
    ).first()
    if under_way is not None:
        return under_way
    job = jobs.request(session, KIND, {}, person)
    export = Export(
        version_id=version_id, format=name, repeats=wish.repeats, leaves_out=wish.leaves_out, job_id=job.id, left_out=[]
    )
    session.add(export)
    session.flush()
    job.arguments = {"export_id": export.id}
    session.flush()
    return export


_LOCK: Final = 0x65787074


def request_again(session: Session, storage: Storage, export_id: int, person: Person) -> Export:
    """Write an export that failed, was stopped or is gone; what is whole of it already is kept.

    Raises NotFound, NotAllowed for others' exports unless an owner asks, and Refused while it is written or there.
    """
    row = get(session, storage, export_id, is_locking=True)
    _refuse_others(row, person)
    if row.state in ("waiting", "writing", "done"):
        raise Refused("This export is being written or there already.")
    row.export.photos = row.export.files = row.export.size_bytes = row.export.finished_at = None
    row.export.job_id = jobs.request(session, KIND, {"export_id": export_id}, person).id
    session.flush()
    return row.export


def get(session: Session, storage: Storage, export_id: int, is_locking: bool = False) -> ExportRow:
    """The export with this id. Raises NotFound."""
    export = session.get(Export, export_id, with_for_update=True if is_locking else None)
    if export is None:
        raise NotFound(f"There is no export {export_id}.")
    return _row(storage, export, session.get_one(Job, export.job_id))


def of_version(session: Session, storage: Storage, version_id: int) -> list[ExportRow]:
    """The exports of a version, newest first."""
    query = select(Export, Job).join(Job, Job.id == Export.job_id).where(Export.version_id == version_id)
    return [_row(storage, export, job) for export, job in session.execute(query.order_by(Export.id.desc()))]


def record(session: Session, export: Export, written: Written) -> None:
    """The export is whole."""
    export.photos, export.files, export.size_bytes = written.photos, written.files, written.size_bytes
    export.left_out, export.finished_at = written.left_out, utc_now()
    session.flush()


def leftovers(session: Session, storage: Storage) -> Sequence[Path]:
    """Folders of exports that were stopped, or whose rows are gone: nobody goes on with them."""
    root = storage.exports_folder
    if not root.is_dir():
        return []
    numbers = {int(part) for path in root.iterdir() if (part := path.name.strip(".").split(".")[0]).isdigit()}
    query = select(Export.id).join(Job, Job.id == Export.job_id)
    alive = set(session.scalars(query.where(Export.id.in_(numbers), Job.state != "cancelled")))
    return [root / str(number) for number in sorted(numbers - alive)]


def remove(session: Session, storage: Storage, export_id: int, person: Person) -> list[str]:
    """Take an export's row away. Returns its folder, for whoever deletes files once this is kept.

    Raises NotFound, NotAllowed for others' exports unless an owner asks, and Refused while it is being written.
    """
    row = get(session, storage, export_id, is_locking=True)
    _refuse_others(row, person)
    if not row.job.is_over:
        raise Refused("This export is being written. Stop that first.")
    session.delete(row.export)
    session.flush()
    return paths(storage, export_id)


def paths(storage: Storage, export_id: int) -> list[str]:
    """What there may be of an export, relative to the data folder."""
    folder = folder_of(storage, export_id).relative_to(storage.root)
    return [folder.as_posix(), folder.with_name(f".{folder.name}.part").as_posix()]


def _refuse_others(row: ExportRow, person: Person) -> None:
    if not may_act_for(person, row.job.requested_by_id):
        raise NotAllowed("Somebody else asked for this export. They can do that, or an owner.")


def _row(storage: Storage, export: Export, job: Job) -> ExportRow:
    folder = folder_of(storage, export.id)
    state: ExportState
    if not job.is_over:
        state = "waiting" if job.state == "queued" else "writing"
    elif job.state == "done":
        state = "done" if folder.is_dir() else "gone"
    else:
        state = "failed" if job.state == "failed" else "stopped"
    return ExportRow(export, job, state, folder)
