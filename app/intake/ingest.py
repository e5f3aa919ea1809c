"""Taking in a folder of product photos: every file becomes an image, a second name of one, or a refusal with a reason.

Done in batches, each committed on its own and each safe to do again: images are known by their bytes, so a job that was
killed half-way, a folder taken in twice, and two people taking in the same folder at once all end with the same rows.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Protocol

from sqlalchemy import func, literal, select, true, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app import jobs
from app.catalog import reading
from app.catalog.files import SUFFIXES, THUMB_FORMAT, VIEW_FORMAT
from app.catalog.naming import folder_category
from app.catalog.tables import Catalog, Image, Intake, SourceFile
from app.errors import NotFound, Refused
from app.intake import describing, memory
from app.intake.decoding import Unreadable, read_picture
from app.intake.describing import Begin, Beside, GivenText, look_beside
from app.intake.folders import Met, holds_none, walk
from app.jobs import Job
from app.people import Person
from app.storage import Storage, sha256_of

BATCH: Final = 32
MAX_FILE_BYTES: Final = 512 * 1024 * 1024
# Threads pay twice: Pillow decodes and encodes without the interpreter lock, and disks flush several files at once.
THREADS: Final = 4


class Tell(Protocol):
    """Tells how far the work is; may raise to stop it."""

    def __call__(self, done: int | None = None, total: int | None = None, note: str | None = None) -> None: ...


class NoPictures(Refused):
    """There is nothing to take in; `refused` is the first file that was looked at and refused, and why."""

    def __init__(self, where: str, refused: str = "") -> None:
        super().__init__(f"There are no pictures {where}." + (f" {refused}" if refused else ""))
        self.refused = refused


@dataclass(frozen=True, slots=True)
class Hashed:
    """A file whose bytes were read once: their SHA-256, or why there is none."""

    met: Met
    sha256: str
    size_bytes: int
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """A new picture whose files are kept, and the columns of its image that follow from its bytes."""

    hashed: Hashed
    columns: dict[str, Any]


def request_intake(session: Session, catalog: Catalog, folder: Path, person: Person) -> Intake:
    """Ask for a folder to be taken in: an Intake and its job `intake.take_in`.

    Raises Refused when the path is not absolute, not a folder that can be read, or holds no picture files; metadata and
    caption files alone will do where the catalog has photos that they can be for.
    """
    if not folder.is_absolute():
        raise Refused(f"{folder} is not a full path; start it with /.")
    # Unlike Path.is_dir, this answers no to a name that is too long for the file system.
    if not os.path.isdir(folder):  # noqa: PTH112
        raise Refused(f"There is no folder {folder} on this machine.")
    if not os.access(folder, os.R_OK | os.X_OK):
        raise Refused(f"The folder {folder} cannot be read: permission denied.")
    has_photos = session.scalar(select(Image.id).where(Image.catalog_id == catalog.id).limit(1)) is not None
    refused: list[str] = []

    def is_wanted(met: Met) -> bool:
        if met.reason and not refused:
            refused.append(f"{met.name}: {met.reason}")
        return met.kind == "picture" or (has_photos and describing.can_correct(met))

    if holds_none(folder, is_wanted):
        raise NoPictures(f"in {folder}", *refused)
    try:
        str(folder).encode()
    except UnicodeEncodeError:
        raise Refused("The folder's name is not UTF-8 text; rename it first.") from None
    intake = Intake(catalog_id=catalog.id, folder=str(folder))
    session.add(intake)
    session.flush()
    intake.job_id = jobs.request(session, "intake.take_in", {"intake_id": intake.id}, person).id
    session.flush()
    return intake


def waiting(session: Session, catalog: Catalog, folder: Path) -> Intake | None:
    """The intake of this folder that waits for a worker: asked for again, it is the same. Held until the commit."""
    session.execute(select(Catalog.id).where(Catalog.id == catalog.id).with_for_update(key_share=True))
    return session.scalars(
        select(Intake)
        .join(Job, Job.id == Intake.job_id)
        .where(Intake.catalog_id == catalog.id, Intake.folder == str(folder), Job.state == "queued")
    ).first()


def take_in(begin: Begin, tell: Tell, storage: Storage, intake_id: int, max_megapixels: int) -> dict[str, Any]:
    """Do an intake: read every picture below its folder, keep its files and rows, and ask for signals at the end.

    `begin` opens a transaction, once a batch; `tell` is told after each. Returns counts for the job's result. Raises
    Refused with nothing taken in when the folder or its metadata file cannot be used, and between batches when the disk
    is full: what was taken in by then stays, and doing the intake again goes on from there. Done to its end, it is not
    done again: its folder may be gone by now.
    """
    with begin() as session:
        intake = get(session, intake_id)
        folder, catalog_id = Path(intake.folder), intake.catalog_id
        if result := _job(session, intake).result:
            return result
    if not folder.is_dir():
        raise Refused(f"There is no folder {folder} on this machine any more.")
    files = list(walk(folder, _beating(tell)))
    pictures = [met for met in files if met.kind == "picture"]
    # Metadata and captions that come alone are for the photos that are there already.
    photos = {} if pictures else describing.photos_by_name(begin, catalog_id)
    beside = look_beside(intake_id, folder, [*files, *(Met("picture", folder / name, name) for name in photos)])
    refused = [Hashed(met, "", 0, met.reason) for met in files if met.kind == "refused"]
    tell(done=0, total=len(pictures), note=beside.note)
    catalogued = _Catalogued(catalog_id, intake_id, beside)
    with begin() as session:
        describing.begin_remarks(session, beside)
    describing.describe_photos(begin, beside, photos)
    for start in range(0, len(refused), BATCH):
        with begin() as session:
            _record(session, catalogued, [], refused[start : start + BATCH], {})
    done, refusals, already_there = 0, len(refused), 0
    memory.share_one_heap()
    with ThreadPoolExecutor(THREADS) as pool:
        for start in range(0, len(pictures), BATCH):
            batch = pictures[start : start + BATCH]
            hashed = list(pool.map(_hash, batch))
            with begin() as session:
                known, hashed = _known(session, catalog_id, hashed), _without_removed(session, catalog_id, hashed)
            # A picture whose file went missing gets it back.
            known = {key: row for key, row in known.items() if (storage.root / row.render_path).is_file()}
            fresh = {file.sha256: file for file in reversed(hashed) if file.reason is None and file.sha256 not in known}
            results = list(pool.map(lambda file: _store(storage, file, max_megapixels), fresh.values()))
            why = {file.sha256: file.reason for file in results if isinstance(file, Hashed)}
            hashed = [replace(file, reason=file.reason or why.get(file.sha256)) for file in hashed]
            done += len(batch)
            refusals += sum(file.reason is not None for file in hashed)
            given = describing.read_captions(beside, [file.met.name for file in hashed if file.reason is None])
            stored = [picture for picture in results if isinstance(picture, Stored)]
            with begin() as session:
                already_there += _record(session, catalogued, stored, hashed, given)
                _count(session, intake_id, already_there, refusals)
            tell(done=done)
    others = sum(met.kind == "other" for met in files) - describing.count_read(beside, files)
    with begin() as session:
        result = {"other_files": others, **describing.outcome(session, beside)}
        result |= _count(session, intake_id, already_there, refusals)
        arguments = {"catalog_id": catalog_id, "image_ids": None}
        jobs.request_once(session, "signals.measure", arguments, jobs.asker(session, _job(session, intake).id))
        # Kept before the job ends: a worker that is killed in between may have removed an upload's folder.
        _job(session, get(session, intake_id)).result = result
    return result


def _beating(tell: Tell) -> Callable[[], None]:
    """Tells at once and then every second that the work goes on, which is also when it hears of a stop."""
    due = 0.0

    def beat() -> None:
        nonlocal due
        if time.monotonic() >= due:
            due = time.monotonic() + 1
            tell()

    return beat


def _job(session: Session, intake: Intake) -> Job:
    return session.scalars(select(Job).where(Job.id == intake.job_id)).one()


def _hash(met: Met) -> Hashed:
    try:
        size_bytes = met.path.stat().st_size
        if size_bytes > MAX_FILE_BYTES:
            limit = MAX_FILE_BYTES // 1024**2
            return Hashed(met, "", size_bytes, f"The file has {size_bytes // 1024**2:,} MB; {limit} MB are the limit.")
        return Hashed(met, sha256_of(met.path), size_bytes)
    except FileNotFoundError:
        return Hashed(met, "", 0, "The file vanished while the folder was taken in.")
    except PermissionError:
        return Hashed(met, "", 0, "The file cannot be read: permission denied.")
    except OSError as error:
        return Hashed(met, "", 0, f"The file cannot be read: {error.strerror or 'input or output failed'}.")


def _without_removed(session: Session, catalog_id: int, hashed: Sequence[Hashed]) -> list[Hashed]:
    """The files, those refused whose bytes an owner removed from the catalog."""
    gone = reading.removed(session, catalog_id, {file.sha256 for file in hashed})
    sentences = {sha256: describe_removal(row.removed_at, row.reason) for sha256, row in gone.items()}
    return [replace(file, reason=file.reason or sentences.get(file.sha256)) for file in hashed]


def describe_removal(at: datetime, reason: str) -> str:
    """Why a photo that an owner removed is not taken in."""
    why = f": {reason}" if reason else ""
    return f"An owner removed this photo on {at:%d %B %Y}{why}. On the Storage page an owner may allow it again."


def _store(storage: Storage, hashed: Hashed, max_megapixels: int) -> Stored | Hashed:
    """Read a new picture and keep its files, or say why not. Raises Refused when the disk is full."""
    with memory.FILES.hold(hashed.size_bytes):
        return _store_read(storage, hashed, max_megapixels)


def _store_read(storage: Storage, hashed: Hashed, max_megapixels: int) -> Stored | Hashed:
    try:
        data = hashed.met.path.read_bytes()
    except OSError:
        return replace(hashed, reason="The file vanished while the folder was taken in.")
    if hashlib.sha256(data).hexdigest() != hashed.sha256:
        return replace(hashed, reason="The file changed while it was read; take the folder in again.")
    try:
        picture = read_picture(data, max_megapixels, hashed.met.name)
    except Unreadable as refusal:
        return replace(hashed, reason=refusal.sentence)
    suffix = SUFFIXES[picture.format]
    shown = storage.path("originals", storage.put("originals", data, suffix), suffix)
    if picture.render is not None:
        shown = storage.path("renders", storage.put("renders", picture.render, ".png"), ".png")
    columns = {
        "sha256": hashed.sha256,
        "file_name": hashed.met.name,
        "format": picture.format,
        "size_bytes": len(data),
        "made_bytes": len(picture.render or b"") + len(picture.view) + len(picture.thumb),
        "width_px": picture.width_px,
        "height_px": picture.height_px,
        "had_alpha": picture.had_alpha,
        "had_profile": picture.had_profile,
        "was_turned": picture.was_turned,
        "notes": list(picture.notes),
        "render_path": shown.relative_to(storage.root).as_posix(),
        "thumb_sha256": storage.put("thumbs", picture.thumb, SUFFIXES[THUMB_FORMAT]),
        "view_sha256": storage.put("views", picture.view, SUFFIXES[VIEW_FORMAT]),
    }
    return Stored(hashed, columns)


@dataclass(frozen=True, slots=True)
class _Known:
    """An image that the catalog has, the intake and file it is from, and where its picture lies."""

    image_id: int
    intake_id: int
    file_name: str
    render_path: str


def _known(session: Session, catalog_id: int, hashed: Iterable[Hashed]) -> dict[str, _Known]:
    """The catalog's images by SHA-256, of those among the files."""
    query = select(Image.sha256, Image.id, Image.intake_id, Image.file_name, Image.render_path).where(
        Image.catalog_id == catalog_id, Image.sha256.in_({file.sha256 for file in hashed})
    )
    return {row.sha256: _Known(row.id, row.intake_id, row.file_name, row.render_path) for row in session.execute(query)}


@dataclass(frozen=True, slots=True)
class _Catalogued:
    """What all rows of an intake share, and what stands beside each photo."""

    catalog_id: int
    intake_id: int
    beside: Beside

    def row(self, stored: Stored) -> dict[str, Any]:
        """The image row of a new picture."""
        name = stored.hashed.met.name
        said = self.beside.said_of(name)
        return {
            **stored.columns,
            "catalog_id": self.catalog_id,
            "intake_id": self.intake_id,
            "title": said.title,
            "category": said.category or folder_category(name),
            "description": said.description,
            "product": said.product,
            "extra": said.extra,
        }


def _record(
    session: Session,
    catalogued: _Catalogued,
    stored: Sequence[Stored],
    hashed: Sequence[Hashed],
    given: dict[str, list[GivenText]],
) -> int:
    """Write a batch's images and source files; returns how many files are second names of images.

    Rows go in in the order of their keys, so that two intakes into one catalog never wait for each other in a circle.
    """
    if stored:
        by_sha256 = {
            picture.hashed.sha256: picture for picture in sorted(stored, key=lambda picture: picture.hashed.sha256)
        }
        query = insert(Image).values([catalogued.row(picture) for picture in by_sha256.values()])
        session.execute(query.on_conflict_do_nothing())
    known = _known(session, catalogued.catalog_id, hashed)
    files: dict[tuple[str, str], dict[str, Any]] = {}
    for file in hashed:
        row: dict[str, Any] = {"image_id": None, "outcome": "refused", "reason": file.reason}
        if file.reason is None:
            image = known[file.sha256]
            # Also where an earlier attempt at this intake made the image.
            is_main = (image.intake_id, image.file_name) == (catalogued.intake_id, file.met.name)
            row = {"image_id": image.image_id, "outcome": "accepted" if is_main else "same_bytes", "reason": None}
        row |= {"catalog_id": catalogued.catalog_id, "intake_id": catalogued.intake_id}
        files[file.met.name, file.sha256] = row | {"file_name": file.met.name, "sha256": file.sha256}
    _keep_source_files(session, [files[key] for key in sorted(files)])
    named = [(known[file.sha256].image_id, file.met.name) for file in hashed if file.reason is None]
    describing.describe(session, catalogued.beside, given, named)
    return sum(row["outcome"] == "same_bytes" for row in files.values())


def _keep_source_files(session: Session, rows: list[dict[str, Any]]) -> None:
    """A file met again stays one row as it was; only a refusal is replaced by the newest word about that file."""
    if not rows:
        return
    new = insert(SourceFile).values(rows)
    changed = {name: new.excluded[name] for name in ("intake_id", "image_id", "outcome", "reason")}
    session.execute(
        new.on_conflict_do_update(
            index_elements=["catalog_id", "file_name", "sha256"], set_=changed, where=SourceFile.outcome == "refused"
        )
    )


def _count(session: Session, intake_id: int, already_there: int, refused: int) -> dict[str, int]:
    """Bring the counts up to date. They only grow: a job taken up again meets the same files once more."""
    intake = session.get_one(Intake, intake_id)
    intake.accepted = session.scalar(select(func.count()).where(Image.intake_id == intake_id)) or 0
    intake.already_there = max(intake.already_there, already_there)
    intake.refused = max(intake.refused, refused)
    return {"accepted": intake.accepted, "already_there": intake.already_there, "refused": intake.refused}


def get(session: Session, intake_id: int) -> Intake:
    """The intake with this id. Raises NotFound."""
    intake = session.get(Intake, intake_id)
    if intake is None:
        raise NotFound(f"There is no intake {intake_id}.")
    return intake


def refused_files(session: Session, intake_id: int, after: str = "", limit: int = 200) -> list[SourceFile]:
    """Files that this intake refused, by name with its numbers by their value, starting after the name `after`."""
    order = tuple(key.collate("C") for key in (func.name_key(SourceFile.file_name), SourceFile.file_name))
    query = (
        select(SourceFile)
        .where(SourceFile.intake_id == intake_id, SourceFile.outcome == "refused")
        .where(tuple_(*order) > tuple_(func.name_key(after), literal(after)))
        .order_by(*order)
        .limit(limit)
    )
    return list(session.scalars(query))


def noted(session: Session, intake_id: int) -> dict[str, int]:
    """What was assumed of the photos that this intake added: how many have each note."""
    name = func.unnest(Image.notes).table_valued("name").render_derived("noted")
    query = (
        select(name.c.name, func.count())
        .select_from(Image)
        .join(name, true())
        .where(Image.intake_id == intake_id)
        .group_by(name.c.name)
    )
    return {row[0]: row[1] for row in session.execute(query)}


def met_again(session: Session, asked: Intake) -> int:
    """How many files that this intake refused a later one met too: their rows are that one's now."""
    query = select(func.count()).where(SourceFile.intake_id == asked.id, SourceFile.outcome == "refused")
    return max(0, asked.refused - (session.scalar(query) or 0))


def catalog_for(session: Session, catalog_id: int | None, name: str) -> Catalog:
    """The catalog with this number, or the one of this name, made where there is none. Names are trimmed.

    Raises NotFound for an unknown number, Refused for a name that is empty or over 100 characters.
    """
    if catalog_id is not None:
        return reading.get(session, catalog_id)
    name = " ".join(name.split())
    if not name or len(name) > 100:
        raise Refused("Give the new catalog a name of at most 100 characters.")
    session.execute(insert(Catalog).values(name=name).on_conflict_do_nothing())
    return session.scalars(select(Catalog).where(Catalog.name == name)).one()


def recent(session: Session, limit: int = 20) -> list[tuple[Intake, Catalog, Job | None]]:
    """The newest intakes with their catalogs and jobs."""
    query = (
        select(Intake, Catalog, Job)
        .join(Catalog, Catalog.id == Intake.catalog_id)
        .outerjoin(Job, Job.id == Intake.job_id)
        .order_by(Intake.id.desc())
        .limit(limit)
    )
    return [(row[0], row[1], row[2]) for row in session.execute(query)]


def under_way_after(session: Session, asked: Intake) -> list[Job]:
    """Jobs that an intake led to and that are not over: its catalog's signals and captions. Oldest first."""
    query = (
        select(Job)
        .where(
            Job.kind.in_(("signals.measure", "captions.propose", "captions.look")),
            Job.state.in_(("queued", "running")),
            Job.whole_id.is_(None),
            Job.id > (asked.job_id or 0),
            Job.arguments["catalog_id"].as_integer() == asked.catalog_id,
        )
        .order_by(Job.id)
        .limit(3)
    )
    return list(session.scalars(query))
