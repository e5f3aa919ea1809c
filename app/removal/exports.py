"""Taking exports away. What is deleted here is only written again, as long as its version is there."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import audit
from app.exports import asking
from app.exports.tables import Export
from app.jobs import Job
from app.people import Person, needs_owner
from app.removal import files
from app.storage import Storage


def remove(session: Session, storage: Storage, export_id: int, by: Person) -> int:
    """Remove one export. Returns its version's id.

    Raises NotFound, NotAllowed for others' exports unless an owner asks, and Refused while it is being written.
    """
    version_id = asking.get(session, storage, export_id).export.version_id
    files.request_deletion(session, (), by, _take_away(session, storage, export_id, by))
    return version_id


def remove_all(session: Session, storage: Storage, by: Person) -> None:
    """Remove every export that is not being written. Raises NotAllowed for anybody but an owner."""
    needs_owner(by, "delete the exports")
    folders = [path for left in asking.leftovers(session, storage) for path in asking.paths(storage, int(left.name))]
    over = select(Export.id).join(Job, Job.id == Export.job_id).where(Job.state.not_in(("queued", "running")))
    for export_id in session.scalars(over.order_by(Export.id)).all():
        folders += _take_away(session, storage, export_id, by)
    files.request_deletion(session, (), by, folders)


def _take_away(session: Session, storage: Storage, export_id: int, by: Person) -> list[str]:
    folders = asking.remove(session, storage, export_id, by)
    audit.record(session, "export_removed", by.id, export=export_id)
    return folders


def drop_of(session: Session, storage: Storage, version_id: int) -> list[str]:
    """Take the rows of a version's exports away, with the version. Returns their folders, to be deleted."""
    rows = session.scalars(select(Export).where(Export.version_id == version_id)).all()
    folders = [path for row in rows for path in asking.paths(storage, row.id)]
    for row in rows:
        session.delete(row)
    session.flush()
    return folders


def is_being_written(session: Session, version_id: int) -> bool:
    """Whether an export of a version is under way."""
    query = select(Export.id).join(Job, Job.id == Export.job_id).where(Export.version_id == version_id)
    return session.scalar(query.where(Job.state.in_(("queued", "running"))).limit(1)) is not None
