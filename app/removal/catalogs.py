"""Removing a catalog: out of sight at once, then photo by photo in a job; what versions in use hold stays."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.orm import Session

from app import audit, jobs, urgency
from app.captions.tables import Caption
from app.catalog import reading
from app.catalog.duplicate_tables import CopyPair, DuplicateGroup, LookPair
from app.catalog.tables import Catalog, Image, Intake, IntakeRemark, RemovedPhoto, SourceFile
from app.cycles.tables import Cycle
from app.database import utc_now
from app.datasets.tables import DatasetVersion, Member
from app.errors import Refused
from app.intake import streaming, uploads
from app.jobs import Job
from app.people import Person, needs_owner
from app.removal import files, photos, versions
from app.removal.consequences import Consequences, counted
from app.review.tables import Decision, RuleSet
from app.storage import Storage

KIND: Final = "catalog.remove"


def consequences(session: Session, catalog: Catalog) -> Consequences:
    """What depends on a catalog."""
    of_catalog = Image.catalog_id == catalog.id
    all_photos = session.scalar(select(func.count()).where(of_catalog)) or 0
    written = session.scalar(
        select(func.count()).select_from(Caption).join(Image).where(of_catalog, Caption.written_by == "person")
    )
    decided = session.scalar(
        select(func.count()).select_from(Decision).join(Image).where(of_catalog, Decision.person_id.is_not(None))
    )
    intakes = session.scalar(select(func.count()).where(Intake.catalog_id == catalog.id)) or 0
    used = [version for version in _versions(session, catalog.id) if versions.is_used(session, version.id)]
    unused = len(_versions(session, catalog.id)) - len(used)
    held = session.scalar(
        select(func.count(func.distinct(Member.image_id)))
        .join(DatasetVersion, DatasetVersion.id == Member.version_id)
        .where(DatasetVersion.id.in_([version.id for version in used]))
    )
    goes = [
        f"{counted(all_photos - (held or 0), 'photo')} with their files",
        "what training keeps of them, encoded",
        f"{counted(written or 0, 'caption')} and {counted(decided or 0, 'decision')} of people",
        f"{counted(intakes, 'intake', 'intakes')} with what they refused, and the catalog's rules",
        *([f"{counted(unused, 'version')} that no run uses"] if unused else []),
    ]
    stays = [
        f"version {version.number}, which {counted(versions.runs_of(session, version.id), 'run uses', 'runs use')}"
        for version in used
    ]
    if held:
        stays.append(f"{counted(held, 'photo')} of these versions, hidden")
    return Consequences(tuple(goes), tuple(stays), _obstacle(session, catalog.id))


def remove(session: Session, catalog_id: int, by: Person) -> Job:
    """Take a catalog out of sight and ask for its photos to be deleted: the job that does it.

    Raises NotAllowed for anybody but an owner, NotFound, and Refused while work on it is under way.
    """
    needs_owner(by, "remove a catalog")
    reading.get(session, catalog_id)
    catalog = session.get_one(Catalog, catalog_id, with_for_update=True)
    if sentence := _obstacle(session, catalog_id):
        raise Refused(sentence)
    for job_id in session.scalars(select(Job.id).where(*_under_way(catalog_id), Job.kind.in_(urgency.UNHURRIED))):
        jobs.cancel(session, job_id)
    audit.record(session, "catalog_removed", by.id, catalog=catalog.id, name=catalog.name)
    # Its name is free for another one.
    catalog.name, catalog.removed_at = f"{catalog.name} (removed, catalog {catalog.id})", utc_now()
    session.execute(update(Cycle).where(Cycle.catalog_id == catalog_id).values(catalog_id=None))
    return jobs.request(session, KIND, {"catalog_id": catalog_id}, by)


def go_on_removing(session: Session) -> list[Job]:
    """Ask again for what is left of removed catalogs to be deleted, where the job that did so ended before its end."""
    held = select(Member.image_id).where(Member.image_id == Image.id).exists()
    left = select(Catalog.id).where(
        Catalog.removed_at.is_not(None),
        Catalog.removed_from_id.is_(None),
        select(Image.id).where(Image.catalog_id == Catalog.id, ~held).exists(),
    )
    return [
        jobs.request_once(session, KIND, {"catalog_id": catalog_id}, is_running_enough=True)
        for catalog_id in session.scalars(left).all()
    ]


def next_photos(session: Session, catalog_id: int, after: int, limit: int = 5000) -> list[int]:
    """The next photos of a catalog to take away, by number."""
    query = select(Image.id).where(Image.catalog_id == catalog_id, Image.id > after).order_by(Image.id).limit(limit)
    return list(session.scalars(query))


def drop_unused_versions(session: Session, storage: Storage, catalog_id: int, by: Person | None) -> None:
    """Remove the versions of a catalog that no run uses."""
    for version in _versions(session, catalog_id):
        if not versions.is_used(session, version.id):
            versions.drop(session, storage, version.id, by)


def drop_rest(session: Session, storage: Storage, catalog_id: int) -> bool:
    """After its photos: the catalog's intakes and rules, and itself unless a version needs it. Whether it is gone."""
    hidden = select(Catalog.id).where(Catalog.removed_from_id == catalog_id)
    _drop_refused(session, storage, catalog_id)
    intakes = select(Intake.id).where(
        Intake.catalog_id == catalog_id, ~select(Image.id).where(Image.intake_id == Intake.id).exists()
    )
    session.execute(delete(IntakeRemark).where(IntakeRemark.intake_id.in_(intakes)))
    session.execute(delete(CopyPair).where(CopyPair.catalog_id == catalog_id))
    session.execute(delete(LookPair).where(LookPair.catalog_id == catalog_id))
    session.execute(delete(DuplicateGroup).where(DuplicateGroup.catalog_id == catalog_id))
    session.execute(delete(Intake).where(Intake.id.in_(intakes)))
    session.execute(delete(RuleSet).where(RuleSet.catalog_id == catalog_id))
    session.execute(delete(RemovedPhoto).where(RemovedPhoto.catalog_id == catalog_id))
    needed = (
        select(DatasetVersion.id).where(DatasetVersion.catalog_id == catalog_id),
        select(Intake.id).where(Intake.catalog_id == catalog_id),
        select(Image.id).where(Image.catalog_id.in_(hidden)),
    )
    if any(session.scalar(query.limit(1)) is not None for query in needed):
        return False
    session.execute(delete(Catalog).where(Catalog.removed_from_id == catalog_id))
    session.execute(delete(Catalog).where(Catalog.id == catalog_id))
    return True


def _drop_refused(session: Session, storage: Storage, catalog_id: int) -> None:
    """Forget the files that a catalog met, and delete what is kept of refused ones: small pictures, and uploads."""
    its_thumbs = (SourceFile.catalog_id == catalog_id, SourceFile.thumb_sha256.is_not(None))
    seen = session.scalars(select(SourceFile.thumb_sha256).where(*its_thumbs).distinct()).all()
    thumbs = [files.thumb(storage, sha256) for sha256 in seen if sha256 is not None]
    intakes = session.scalars(select(Intake).where(Intake.catalog_id == catalog_id)).all()
    sent = {Path(intake.folder) for intake in intakes if uploads.is_upload(storage, Path(intake.folder))}
    # What a data set that was cut off left on this machine.
    sent |= {streaming.scratch(storage, intake) for intake in intakes if streaming.commit_of(intake)}
    session.execute(delete(SourceFile).where(SourceFile.catalog_id == catalog_id))
    files.request_deletion(session, thumbs, None, [place.relative_to(storage.root).as_posix() for place in sent])


def _versions(session: Session, catalog_id: int) -> list[DatasetVersion]:
    query = select(DatasetVersion).where(DatasetVersion.catalog_id == catalog_id).order_by(DatasetVersion.number)
    return list(session.scalars(query))


def _under_way(catalog_id: int) -> tuple[ColumnElement[bool], ...]:
    """The condition on jobs that work on a catalog, or wait for a worker."""
    is_of = Job.arguments["catalog_id"].as_integer() == catalog_id
    return (Job.state.in_(("queued", "running")), Job.whole_id.is_(None), Job.kind != KIND, is_of)


def _obstacle(session: Session, catalog_id: int) -> str | None:
    """Work under way on a catalog would write rows that depend on what is being deleted."""
    # What nothing waits for is cancelled: reading the text of a large catalog takes hours.
    busy = session.scalars(
        select(Job.kind).where(*_under_way(catalog_id), Job.kind.not_in(urgency.UNHURRIED)).limit(1)
    ).first()
    taking_in = session.scalars(
        select(Job.id)
        .join(Intake, (Intake.job_id == Job.id) | (Job.arguments["intake_id"].as_integer() == Intake.id))
        .where(Intake.catalog_id == catalog_id, Job.state.in_(("queued", "running")))
        .limit(1)
    ).first()
    if taking_in is not None:
        return "Photos are being taken in. Try again when that is done, or cancel it."
    if busy is not None:
        return "Photos are being measured, captioned or looked at by rules. Try again when that is done."
    return photos.obstacle(session, catalog_id)
