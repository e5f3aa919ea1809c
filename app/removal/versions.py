"""Removing a dataset version that nothing uses. One that a run learned from stays: without it the run tells nothing."""

from __future__ import annotations

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from app import audit
from app.datasets.tables import DatasetVersion, Member
from app.errors import NotFound, Refused
from app.exports.tables import Export
from app.jobs import Job
from app.people import Person, needs_owner
from app.removal import exports, files
from app.removal.consequences import Consequences, counted
from app.storage import Storage
from app.training.tables import Preflight, TrainingRun


def runs_of(session: Session, version_id: int) -> int:
    """How many runs learned from a version."""
    return session.scalar(select(func.count()).where(TrainingRun.version_id == version_id)) or 0


def is_used(session: Session, version_id: int) -> bool:
    """Whether anything would be lost with this version."""
    return runs_of(session, version_id) > 0


def consequences(session: Session, version: DatasetVersion) -> Consequences:
    """What depends on a version."""
    members = session.scalar(select(func.count()).where(Member.version_id == version.id)) or 0
    preflights = session.scalar(select(func.count()).where(Preflight.version_id == version.id)) or 0
    written = session.scalar(select(func.count()).where(Export.version_id == version.id)) or 0
    runs = runs_of(session, version.id)
    goes = (
        f"the list of {counted(members, 'photo')} with the captions they had, and its manifest",
        *([f"its {counted(written, 'export')}"] if written else []),
        *([f"{counted(preflights, 'preflight')} with what they measured"] if preflights else []),
    )
    stays = ("the photos themselves, in their catalog",)
    return Consequences(goes, stays, _obstacle(session, version) if not runs else _used(runs))


def remove(session: Session, storage: Storage, version_id: int, by: Person) -> None:
    """Remove a version that nothing uses.

    Raises NotAllowed for anybody but an owner, NotFound, and Refused where a run uses it or it is being frozen.
    """
    needs_owner(by, "remove a version")
    version = session.get(DatasetVersion, version_id, with_for_update=True)
    if version is None:
        raise NotFound(f"There is no dataset version {version_id}.")
    if runs := runs_of(session, version_id):
        raise Refused(_used(runs))
    if sentence := _obstacle(session, version):
        raise Refused(sentence)
    audit.record(session, "version_removed", by.id, version=version.number, content_hash=version.content_hash)
    drop(session, storage, version_id, by)


def drop(session: Session, storage: Storage, version_id: int, by: Person | None) -> None:
    """Delete a version's rows, and its folder once that is kept."""
    session.execute(delete(Preflight).where(Preflight.version_id == version_id))
    folders = exports.drop_of(session, storage, version_id)
    session.execute(delete(Member).where(Member.version_id == version_id))
    session.execute(delete(DatasetVersion).where(DatasetVersion.id == version_id))
    session.flush()
    folder = storage.dataset_folder(version_id).relative_to(storage.root).as_posix()
    files.request_deletion(session, (), by, [folder, *folders])


def _used(runs: int) -> str:
    return f"{counted(runs, 'run')} learned from this version, so it stays."


def _obstacle(session: Session, version: DatasetVersion) -> str | None:
    job = session.get(Job, version.job_id) if version.job_id else None
    if version.content_hash is None and job is not None and not job.is_over:
        return "This version is being frozen. Cancel that first."
    if exports.is_being_written(session, version.id):
        return "An export of this version is being written. Stop that first."
    waiting = session.scalars(
        select(Preflight.id).where(Preflight.version_id == version.id, Preflight.ended_at.is_(None)).limit(1)
    ).first()
    return None if waiting is None else "A preflight of this version is under way. Cancel it first."
