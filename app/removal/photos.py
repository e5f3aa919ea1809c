"""Removing a photo, for a takedown request for one: its rows, its files, and how it may return.

A photo that a frozen version holds stays with that version, marked: the version would not be what it was without it.
Such a photo moves into a hidden catalog beside its own, where no grid, desk, rule or freeze finds it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, aliased

from app import audit, jobs
from app.captions.tables import Caption
from app.catalog import mends, reading
from app.catalog.duplicate_tables import CopyPair, DuplicateGroup, DuplicateMember, PixelHash
from app.catalog.mend_tables import Mend
from app.catalog.tables import Catalog, Embedding, Image, Intake, Lettering, MapSet, RemovedPhoto, SourceFile
from app.database import utc_now
from app.datasets.tables import DatasetVersion, Member
from app.errors import NotFound, Refused
from app.jobs import Job
from app.labels.tables import Labelling
from app.people import Person, needs_owner
from app.removal import backups, caches, files
from app.removal.backups import TakenDown
from app.removal.consequences import Consequences, counted
from app.review import departures, duplicates
from app.review.tables import Decision, GroupRuling
from app.storage import Storage
from app.training.tables import TrainingRun

REASON_AT_MOST: Final = 300


@dataclass(frozen=True, slots=True)
class Removed:
    """How many photos are gone, how many stay for versions, and the files and folders to delete afterwards."""

    gone: int
    kept: int
    files: tuple[str, ...]
    folders: tuple[str, ...] = ()


def consequences(session: Session, image: Image) -> Consequences:
    """What depends on a photo."""
    captions = session.scalar(select(func.count()).where(Caption.image_id == image.id)) or 0
    by_people = session.scalar(select(func.count()).where(Caption.image_id == image.id, Caption.written_by == "person"))
    decisions = session.scalar(
        select(func.count()).where(Decision.image_id == image.id, Decision.person_id.is_not(None))
    )
    names = session.scalars(
        select(SourceFile.file_name).where(SourceFile.image_id == image.id, SourceFile.file_name != image.file_name)
    ).all()
    elsewhere = session.scalars(
        select(Catalog.name)
        .join(Image, Image.catalog_id == Catalog.id)
        .where(Image.sha256 == image.sha256, Image.id != image.id, Catalog.removed_at.is_(None))
    ).all()
    holding = versions_of(session, image.id)
    goes = [
        counted(captions, "caption") + (f", {by_people:,} of them by people" if by_people else ""),
        (f"{counted(decisions, 'decision')} of people, and " if decisions else "") + "what was measured",
        *(f"the same bytes under the name {name}" for name in names[:5]),
        *([counted(len(names) - 5, "more name")] if len(names) > 5 else []),
    ]
    stays = [f"the same picture in the catalog {name}" for name in elsewhere]
    if linked := departures.linked_to(session, image.id):
        stays.append(f"{counted(len(linked), 'copy', 'copies')} linked to it, no longer left out as such")
    if mended := session.scalar(select(func.count()).where(Mend.image_id == image.id, Mend.person_id.is_not(None))):
        goes.append(counted(mended, "mend") + " of its picture")
    if holding:
        stays += [f"in {version}, with its file and the caption it had" for version in holding]
        stays.append("what training keeps of it, encoded, which these need; it goes with the last of them")
        if runs := _runs_of(session, image.id):
            stays.append(f"what {counted(runs, 'run')} learned from it: checkpoints, models and samples")
    else:
        goes.insert(0, "its file as it came, and the pictures made of it")
        goes.append("what training keeps of it, encoded")
    stays += _in_backups(session, image)
    return Consequences(tuple(goes), tuple(stays), obstacle(session, image.catalog_id))


def _in_backups(session: Session, image: Image) -> list[str]:
    came = session.scalar(select(Intake.created_at).where(Intake.id == image.intake_id))
    holding = backups.known(session, came)
    lines = [
        f"in the backup {backup.file} of {backup.at:%d %B %Y}, until that file is deleted; a restore removes it again"
        for backup in holding[:5]
    ]
    return [*lines, f"in {counted(len(holding) - 5, 'older backup')}"] if len(holding) > 5 else lines


def _runs_of(session: Session, image_id: int) -> int:
    learned = select(func.count(TrainingRun.id)).join(Member, Member.version_id == TrainingRun.version_id)
    return session.scalar(learned.where(Member.image_id == image_id)) or 0


def versions_of(session: Session, image_id: int) -> list[str]:
    """The versions that hold a photo, in words."""
    rows = session.execute(
        select(Catalog.name, DatasetVersion.number)
        .join(Member, Member.version_id == DatasetVersion.id)
        .join(Catalog, Catalog.id == DatasetVersion.catalog_id)
        .where(Member.image_id == image_id)
        .order_by(DatasetVersion.id)
    )
    return [f"{name}, version {number}" for name, number in rows]


def obstacle(session: Session, catalog_id: int) -> str | None:
    """Why nothing can be removed from a catalog at this moment."""
    freezing = session.scalar(
        select(DatasetVersion.number)
        .join(Job, Job.id == DatasetVersion.job_id)
        .where(DatasetVersion.catalog_id == catalog_id, DatasetVersion.content_hash.is_(None))
        .where(Job.state.in_(("queued", "running")))
        .limit(1)
    )
    return None if freezing is None else f"Version {freezing} is being frozen. Try again when it is, or cancel that."


def remove(session: Session, storage: Storage, image_id: int, by: Person, reason: str) -> Removed:
    """Remove a photo and see to it that no intake brings it back. Its files are deleted by a job afterwards.

    Raises NotAllowed for anybody but an owner, NotFound, and Refused while a version of its catalog is being frozen.
    """
    needs_owner(by, "remove a photo")
    image = session.get(Image, image_id, with_for_update=True)
    if image is None:
        raise NotFound(f"There is no photo {image_id}.")
    if reading.is_removed(session, image.catalog_id):
        raise Refused("This photo was removed before; it is kept for the versions that hold it.")
    if sentence := obstacle(session, image.catalog_id):
        raise Refused(sentence)
    return _remove(session, storage, image, by, reason.strip()[:REASON_AT_MOST])


def _remove(session: Session, storage: Storage, image: Image, by: Person | None, reason: str) -> Removed:
    catalog_id, by_id = image.catalog_id, by.id if by is not None else None
    _bar(session, catalog_id, image.sha256, image.file_name, by_id, reason)
    audit.record(
        session, "photo_removed", by_id,
        photo=image.id, file=image.file_name, sha256=image.sha256, catalog=catalog_id,
    )  # fmt: skip
    departures.let_go(session, catalog_id, image.id)
    removed = take_away(session, storage, catalog_id, [image.id])
    # Groups that lost their best photo choose among the others.
    jobs.request_once(session, "photos.group", {"catalog_id": catalog_id}, by)
    files.request_deletion(session, removed.files, by, removed.folders, is_takedown=True)
    return removed


def _bar(session: Session, catalog_id: int, sha256: str, name: str, by_id: int | None, reason: str) -> None:
    """See to it that no intake takes these bytes into the catalog again."""
    columns = {"catalog_id": catalog_id, "sha256": sha256, "file_name": name, "reason": reason}
    new = insert(RemovedPhoto).values(**columns, removed_by_id=by_id, removed_at=utc_now())
    session.execute(new.on_conflict_do_nothing())


def remove_again(session: Session, storage: Storage, taken_down: Iterable[TakenDown]) -> tuple[int, list[str]]:
    """Remove the photos of a list from what an older backup brought back, and keep intakes from taking them in again.

    Returns how many were there, and the files that nobody needs any more.
    """
    count, paths = 0, list[str]()
    known = {(row.sha256, row.catalog) for row in backups.taken_down(session)}
    for row in taken_down:
        reason = f"Removed on {row.at[:10]}, after the backup was made that was restored."
        is_it = (Image.id == row.photo) if row.catalog is None else or_(
            Image.id == row.photo, Image.catalog_id == row.catalog
        )  # fmt: skip
        for image in session.scalars(select(Image).where(Image.sha256 == row.sha256, is_it)).all():
            if not reading.is_removed(session, image.catalog_id):
                known.add((row.sha256, image.catalog_id))
                paths += _remove(session, storage, image, None, reason).files
                count += 1
        if (row.sha256, row.catalog) not in known:
            # Not in this backup, but in others whose list is written anew from here.
            audit.record(
                session, "photo_removed", photo=row.photo, file=row.file, sha256=row.sha256, catalog=row.catalog
            )
        if row.catalog is not None and session.get(Catalog, row.catalog) is not None:
            _bar(session, row.catalog, row.sha256, row.file, None, reason)
    return count, files.unneeded(session, paths)


def take_away(session: Session, storage: Storage, catalog_id: int, image_ids: Collection[int]) -> Removed:
    """Delete these photos of one catalog with all that depends on them; those that versions hold become hidden."""
    held = set(session.scalars(select(Member.image_id).where(Member.image_id.in_(image_ids)).distinct()))
    going = [image_id for image_id in image_ids if image_id not in held]
    if reading.is_removed(session, catalog_id):
        duplicates.drop(session, catalog_id)
    images: Sequence[Image] = session.scalars(select(Image).where(Image.id.in_(image_ids))).all()
    of_each = {image.id: set(files.of(storage, image)) for image in images}
    paths = {path for image_id in going for path in of_each.get(image_id, ())}
    paths |= mends.files_of(session, storage, going)
    # Also of photos that stay: pictures of theirs that no version holds.
    seen = set().union(*of_each.values()) | mends.files_of(session, storage, image_ids)
    encoded = caches.folders_of(session, storage, seen)
    session.execute(delete(SourceFile).where(SourceFile.image_id.in_(image_ids)))
    _forget_rulings(session, image_ids)
    session.execute(delete(Image).where(Image.id.in_(going)).execution_options(synchronize_session=False))
    session.expire_all()
    if held and not reading.is_removed(session, catalog_id):
        hidden = _hidden(session, catalog_id, held)
        session.execute(update(Image).where(Image.id.in_(held)).values(catalog_id=hidden.id))
        _hide(session, held)
    session.flush()
    return Removed(len(going), len(held), tuple(sorted(paths)), tuple(encoded))


def _forget_rulings(session: Session, image_ids: Collection[int]) -> None:
    """What was said with one of these photos as the best of a group goes with it, and what was said later stays."""
    said = select(GroupRuling.id).where(GroupRuling.best_id.in_(image_ids))
    later = update(GroupRuling).where(GroupRuling.parent_id.in_(said)).values(parent_id=None)
    session.execute(later.execution_options(synchronize_session=False))


def _hide(session: Session, image_ids: Collection[int]) -> None:
    """Photos that versions hold are found no more: by their looks or words, as copies, in groups or on a map."""
    for table in (Embedding, Lettering, DuplicateMember, PixelHash, Labelling):
        session.execute(delete(table).where(table.image_id.in_(image_ids)))
    session.execute(delete(CopyPair).where(or_(CopyPair.first_id.in_(image_ids), CopyPair.second_id.in_(image_ids))))
    # Without its best photo a group is made anew, as is one of which a single photo is left.
    session.execute(delete(DuplicateGroup).where(DuplicateGroup.best_id.in_(image_ids)))
    session.execute(update(MapSet).where(MapSet.centre_id.in_(image_ids)).values(centre_id=None))


def removed(session: Session, limit: int = 200) -> list[tuple[RemovedPhoto, str]]:
    """The photos that no intake takes in any more, the newest first, with the names of their catalogs."""
    rows = session.execute(
        select(RemovedPhoto, Catalog.name)
        .join(Catalog, Catalog.id == RemovedPhoto.catalog_id)
        .where(Catalog.removed_at.is_(None))
        .order_by(RemovedPhoto.id.desc())
        .limit(limit)
    )
    return [(row, name) for row, name in rows]


def allow_again(session: Session, removed_id: int, by: Person) -> None:
    """Let intakes take in a removed photo again. Raises NotAllowed for anybody but an owner, and NotFound."""
    needs_owner(by, "let a removed photo be taken in again")
    row = session.get(RemovedPhoto, removed_id)
    if row is None:
        raise NotFound("That photo may be taken in again already.")
    audit.record(session, "photo_allowed_again", by.id, file=row.file_name, sha256=row.sha256, catalog=row.catalog_id)
    session.delete(row)
    session.flush()
    files.request_deletion(session, (), by, is_takedown=True)


def _hidden(session: Session, catalog_id: int, image_ids: Collection[int]) -> Catalog:
    """A hidden catalog beside this one that has room for these photos, made where there is none.

    A photo that was removed, allowed again, taken in again and removed again is not the one that an older version
    holds, though their bytes are the same; no catalog has the same bytes twice.
    """
    same, mine = aliased(Image), select(Image.sha256).where(Image.id.in_(image_ids))
    has_same = select(same.id).where(same.catalog_id == Catalog.id, same.sha256.in_(mine)).exists()
    all_beside = select(Catalog).where(Catalog.removed_from_id == catalog_id).order_by(Catalog.id)
    beside = session.scalars(all_beside.where(~has_same)).first()
    if beside is None:
        number = len(session.scalars(all_beside).all()) + 1
        place = f"catalog {catalog_id}" if number == 1 else f"catalog {catalog_id}, {number}"
        name = f"{reading.get(session, catalog_id).name} (removed photos of {place})"
        beside = Catalog(name=name, removed_at=utc_now(), removed_from_id=catalog_id)
        session.add(beside)
        session.flush()
    return beside
