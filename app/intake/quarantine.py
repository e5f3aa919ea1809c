"""Quarantine: the files that were refused, by the kind of their reason; tried again, or left out for good by a person.

Nothing is lost here: a refused file stays a row until it is taken in, and one that somebody left out can be taken back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, func, select, tuple_, update
from sqlalchemy.orm import Session

from app import jobs
from app.catalog.tables import Intake, SourceFile
from app.database import utc_now
from app.errors import AppError, NotAllowed, NotFound, Refused
from app.intake import folders, hub, streaming, uploads
from app.jobs import Job
from app.people import Person
from app.settings import Settings
from app.storage import Storage

RETRY: Final = "intake.try_again"
# How many rows of a long list are read at once.
CHUNK: Final = 2_000


@dataclass(frozen=True, slots=True)
class Which:
    """Refused files: of a catalog, of one of its intakes, of one kind of reason, or one alone; or those left out."""

    catalog_id: int
    intake_id: int | None = None
    reason: str | None = None
    file_id: int | None = None
    is_left_out: bool = False

    @property
    def conditions(self) -> list[ColumnElement[bool]]:
        """The same for the database."""
        asked = [
            SourceFile.catalog_id == self.catalog_id,
            SourceFile.refused_key.is_not(None),
            SourceFile.outcome == ("left_out" if self.is_left_out else "refused"),
        ]
        if self.intake_id is not None:
            asked.append(SourceFile.intake_id == self.intake_id)
        if self.reason is not None:
            asked.append(SourceFile.reason_kind == self.reason)
        if self.file_id is not None:
            asked.append(SourceFile.id == self.file_id)
        return asked


@dataclass(frozen=True, slots=True)
class ReasonCount:
    """A kind of reason, a sentence for people, and how many files were refused so.

    Where the files' own sentences differ in numbers, the sentence has … in their places, as the kind does.
    """

    kind: str
    sentence: str
    files: int


def reasons(session: Session, which: Which) -> list[ReasonCount]:
    """The kinds of reasons, the commonest first; the filter by reason left aside."""
    least, most = func.min(SourceFile.reason), func.max(SourceFile.reason)
    query = (
        select(SourceFile.reason_kind, least, most, func.count())
        .where(*replace(which, reason=None).conditions)
        .group_by(SourceFile.reason_kind)
        .order_by(func.count().desc(), SourceFile.reason_kind)
    )
    return [
        ReasonCount(kind or "", (low if low == high else kind) or "", count)
        for kind, low, high, count in session.execute(query)
    ]


def count(session: Session, which: Which) -> int:
    """How many files."""
    return session.scalar(select(func.count()).select_from(SourceFile).where(*which.conditions)) or 0


def page(session: Session, which: Which, after_id: int = 0, limit: int = 200) -> list[SourceFile]:
    """Files by name, its numbers by their value, starting behind the file with the id `after_id`."""
    query = select(SourceFile).where(*which.conditions).order_by(SourceFile.refused_key, SourceFile.id).limit(limit)
    if after_id:
        # Its own row may have left the list meanwhile, which moves no other.
        name = select(func.name_key(SourceFile.file_name).collate("C")).where(SourceFile.id == after_id)
        place = tuple_(SourceFile.refused_key, SourceFile.id)
        query = query.where(place > tuple_(name.scalar_subquery(), after_id))
    return list(session.scalars(query))


def file(session: Session, file_id: int) -> SourceFile:
    """One refused file. Raises NotFound for one that is not refused, or not any more."""
    refused = session.get(SourceFile, file_id)
    if refused is None or refused.refused_key is None:
        raise NotFound("This file is not among the refused ones any more.")
    return refused


def leave_out(session: Session, which: Which, person: Person) -> int:
    """Leave these files out for good: they are not listed, tried or told about again. Returns how many."""
    values = {"outcome": "left_out", "left_out_by_id": person.id, "left_out_at": utc_now()}
    return _move(session, replace(which, is_left_out=False), values)


def take_back(session: Session, which: Which) -> int:
    """Undo `leave_out`: the files are among the refused ones again. Returns how many."""
    values = {"outcome": "refused", "left_out_by_id": None, "left_out_at": None}
    return _move(session, replace(which, is_left_out=True), values)


def _move(session: Session, which: Which, values: dict[str, Any]) -> int:
    moved = session.execute(update(SourceFile).where(*which.conditions).values(**values).returning(SourceFile.id))
    return len(moved.all())


def try_again(session: Session, storage: Storage, settings: Settings, which: Which, person: Person) -> list[Job]:
    """Ask for these files, and no others, to be looked at again: a job `intake.try_again` for each of their intakes.

    Intakes that are being worked on, or whose files this person cannot have tried again, are passed over where others
    are left. Raises NotAllowed and Refused where none is, and Refused where there are no such files.
    """
    of_files = select(SourceFile.intake_id).where(*which.conditions)
    # Held until the commit: of two who ask at once, the second finds the job of the first.
    session.execute(
        select(Intake.id).where(Intake.id.in_(of_files)).order_by(Intake.id).with_for_update(key_share=True)
    )
    asked = sources(session, storage, settings, which, person)
    if not asked:
        raise Refused("There is no refused file to try again.")
    may = [source.intake for source in asked if source.obstacle is None]
    if not may:
        raise next(source.obstacle for source in asked if source.obstacle is not None)
    storage.refuse_below_reserve()
    some = {"reason": which.reason, "file_id": which.file_id}
    wanted = [(intake, {"intake_id": intake.id, **some}) for intake in may]
    free = [arguments for intake, arguments in wanted if not _is_worked_on(session, intake, arguments)]
    if not free:
        raise Refused("These files are being taken in or tried again already. Try again when that is done.")
    return [jobs.request_once(session, RETRY, arguments, person) for arguments in free]


def _is_worked_on(session: Session, intake: Intake, arguments: dict[str, Any]) -> bool:
    """Whether a job is under way that stages files of this intake: a second one would take its entries for its own.

    One that waits to do the very same is none: it will do for both.
    """
    is_retry = (Job.kind == RETRY) & (Job.arguments["intake_id"].as_integer() == intake.id)
    is_same = (Job.state == "queued") & (Job.arguments == arguments)
    open_jobs = select(Job.id).where(Job.state.in_(("queued", "running")), Job.whole_id.is_(None))
    return session.scalar(open_jobs.where((Job.id == intake.job_id) | (is_retry & ~is_same)).limit(1)) is not None


@dataclass(frozen=True, slots=True)
class RefusedSource:
    """Where refused files came from, in words; of which intake; how many; what keeps them from being tried again."""

    intake: Intake
    name: str
    files: int
    obstacle: AppError | None


def sources(
    session: Session, storage: Storage, settings: Settings, which: Which, person: Person
) -> list[RefusedSource]:
    """The intakes that these files were refused by, oldest first."""
    query = (
        select(Intake, func.count())
        .join(SourceFile, SourceFile.intake_id == Intake.id)
        .where(*which.conditions)
        .group_by(Intake.id)
        .order_by(Intake.id)
    )
    return [
        RefusedSource(
            intake, source_name(storage, intake), files, _obstacle(session, storage, settings, intake, person)
        )
        for intake, files in session.execute(query)
    ]


def source_name(storage: Storage, intake: Intake) -> str:
    """What an intake was taken from, in words."""
    folder = Path(intake.folder)
    if dataset := hub.of_folder(storage, folder):
        commit = streaming.commit_of(intake)
        return f"{dataset} at commit {commit[:12]}" if commit and commit != dataset.revision else str(dataset)
    return "Files from a browser" if uploads.is_upload(storage, folder) else intake.folder


def _obstacle(
    session: Session, storage: Storage, settings: Settings, intake: Intake, person: Person
) -> AppError | None:
    """What keeps this person from having an intake's files tried again."""
    folder = Path(intake.folder)
    if streaming.goes_on(session, intake):
        return Refused(f"{source_name(storage, intake)} is not taken in to its end. Go on with it first.")
    if not folder.exists() and not hub.of_folder(storage, folder):
        if uploads.is_upload(storage, folder):
            return Refused("What the browser sent is not kept any more. Choose these files again under “Take in”.")
        return Refused(f"There is no folder {intake.folder} on this machine any more.")
    if not may_read(storage, settings, folder, person):
        if person.role == "owner":
            return folders.outside(folder, settings.roots)
        return NotAllowed("Only an owner may take in a folder of the server. Ask one to try these files again.")
    return None


def last_tried(session: Session, which: Which) -> Job | None:
    """The newest job that tried files of these again and is over."""
    return session.scalars(_retries(which).where(Job.state == "done").order_by(Job.id.desc()).limit(1)).first()


def may_read(storage: Storage, settings: Settings, folder: Path, person: Person) -> bool:
    """Whether this person may have a folder looked at: an upload anybody, a folder of the server an owner."""
    if uploads.is_upload(storage, folder):
        return True
    return person.role == "owner" and (
        hub.of_folder(storage, folder) is not None or folders.is_within(folder, settings.roots)
    )


def under_way(session: Session, which: Which, limit: int = 3) -> list[Job]:
    """Jobs that try files of these again and are not over, oldest first."""
    waiting = Job.state.in_(("queued", "running"))
    return list(session.scalars(_retries(which).where(waiting).order_by(Job.id).limit(limit)))


def _retries(which: Which) -> Select[Job]:
    of_intake = Intake.catalog_id == which.catalog_id
    if which.intake_id is not None:
        of_intake &= Intake.id == which.intake_id
    is_retry = (Job.kind == RETRY, Job.whole_id.is_(None))
    return select(Job).join(Intake, Intake.id == Job.arguments["intake_id"].as_integer()).where(*is_retry, of_intake)


def rows(session: Session, which: Which) -> Iterator[Sequence[str]]:
    """All of these files as rows of a table, a chunk in memory at a time: file, why, where from, and when."""
    known = session.execute(select(Intake.id, Intake.folder).where(Intake.catalog_id == which.catalog_id))
    sources = {row.id: row.folder for row in known}
    last = 0
    while some := page(session, which, last, CHUNK):
        last = some[-1].id
        for refused in some:
            yield refused.file_name, refused.reason or "", sources[refused.intake_id], str(refused.intake_id)
            session.expunge(refused)
