"""Removing a dataset version that nothing uses. One that a run learned from stays: without it the run tells nothing."""

from __future__ import annotations

from collections import defaultdict

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session, aliased

from app import audit
from app.catalog.tables import Catalog, Image
from app.datasets.tables import DatasetVersion, Member
from app.errors import NotFound, Refused
from app.exports.tables import Export
from app.jobs import Job
from app.people import Person, needs_owner
from app.removal import exports, files, photos
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
    hidden = sum(map(len, _held_alone(session, version.id).values()))
    goes = (
        f"the list of {counted(members, 'photo')} with the captions they had, and its manifest",
        *([f"its {counted(written, 'export')}"] if written else []),
        *([f"{counted(preflights, 'preflight')} with what they measured"] if preflights else []),
        *([f"{counted(hidden, 'removed photo')} that only this version holds"] if hidden else []),
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
    hidden = _held_alone(session, version_id)
    session.execute(delete(Preflight).where(Preflight.version_id == version_id))
    folders = exports.drop_of(session, storage, version_id)
    session.execute(delete(Member).where(Member.version_id == version_id))
    session.execute(delete(DatasetVersion).where(DatasetVersion.id == version_id))
    session.flush()
    folder = storage.dataset_folder(version_id).relative_to(storage.root).as_posix()
    going, encoded = list[str](), list[str]()
    for catalog_id, image_ids in hidden.items():
        removed = photos.take_away(session, storage, catalog_id, image_ids)
        going, encoded = going + list(removed.files), encoded + list(removed.folders)
    files.request_deletion(session, going, by, [folder, *folders, *encoded])


def _held_alone(session: Session, version_id: int) -> dict[int, list[int]]:
    """The removed photos that this version holds and no other does, by their hidden catalogs."""
    other = aliased(Member)
    elsewhere = select(other.image_id).where(other.image_id == Member.image_id, other.version_id != version_id)
    query = (
        select(Image.catalog_id, Image.id)
        .join(Member, Member.image_id == Image.id)
        .join(Catalog, Catalog.id == Image.catalog_id)
        .where(Member.version_id == version_id, Catalog.removed_from_id.is_not(None), ~elsewhere.exists())
    )
    hidden: dict[int, list[int]] = defaultdict(list)
    for catalog_id, image_id in session.execute(query):
        hidden[catalog_id].append(image_id)
    return hidden


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
