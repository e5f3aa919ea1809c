"""Notes on photos: a question to a person, to all leads or to everybody; answered, and closed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import Session

from app import people
from app.catalog.tables import Image
from app.database import utc_now
from app.desk.tables import DeskNote
from app.errors import NotAllowed, NotFound, Refused
from app.people import Person

Audience = Literal["person", "leads", "everybody"]
TEXT_MAX: Final = 2000
SHOWN_MAX: Final = 50


@dataclass(frozen=True, slots=True)
class NoteThread:
    """A note with its answers, each with who wrote it, the oldest first; and the photo it is about."""

    note: DeskNote
    image: Image
    author: str
    to: str
    answers: tuple[tuple[DeskNote, str], ...]


def ask(
    session: Session, by: Person, image: Image, text: str, audience: Audience = "leads", to_id: int | None = None
) -> DeskNote:
    """Say something about a photo. Raises Refused for an empty or a long text, or for nobody."""
    if (audience == "person") != (to_id is not None):
        raise Refused("Choose whom the note is for.")
    if to_id is not None and to_id not in {person.id for person in people.enabled(session)}:
        raise Refused("This person is not on the team any more.")
    note = DeskNote(image_id=image.id, author_id=by.id, audience=audience, to_id=to_id, text=_tidy(text))
    session.add(note)
    session.flush()
    return note


def answer(session: Session, by: Person, note: DeskNote, text: str) -> DeskNote:
    """Answer a note. One that was closed is open again: there is something to read. Raises Refused."""
    said = DeskNote(
        image_id=note.image_id, author_id=by.id, audience=note.audience, to_id=note.to_id, text=_tidy(text),
        parent_id=note.id,
    )  # fmt: skip
    session.add(said)
    note.closed_at = note.closed_by_id = None
    session.flush()
    return said


def close(session: Session, by: Person, note: DeskNote) -> None:
    """It waits for nobody any more. Raises NotAllowed for whom it is not from or to."""
    is_asked = note.audience == "everybody" or note.to_id == by.id
    if not (note.author_id == by.id or is_asked or people.at_least(by, "lead")):
        raise NotAllowed("A note is closed by the one who wrote it, by whom it is for, or by a lead.")
    if note.closed_at is None:
        note.closed_at, note.closed_by_id = utc_now(), by.id
        session.flush()


def get(session: Session, note_id: int) -> DeskNote:
    """The note (not an answer) with this number. Raises NotFound."""
    note = session.get(DeskNote, note_id)
    if note is None or note.parent_id is not None:
        raise NotFound("There is no such note.")
    return note


def of_photo(session: Session, image_id: int) -> list[NoteThread]:
    """Everything that was said about a photo: what is open first, then the newest."""
    return _threads(session, DeskNote.image_id == image_id)


def waiting(session: Session, catalog_id: int, person: Person) -> list[NoteThread]:
    """Open notes of a catalog that wait for this person: to them, to everybody, and to leads where they are one."""
    return _threads(session, and_(Image.catalog_id == catalog_id, _waits_for(person)))


def count_waiting(session: Session, catalog_id: int, person: Person) -> int:
    """How many they are."""
    asked = select(func.count()).select_from(DeskNote).join(Image, Image.id == DeskNote.image_id)
    return session.scalar(asked.where(Image.catalog_id == catalog_id, _waits_for(person))) or 0


def _waits_for(person: Person) -> ColumnElement[bool]:
    asked = [DeskNote.to_id == person.id, DeskNote.audience == "everybody"]
    if people.at_least(person, "lead"):
        asked.append(DeskNote.audience == "leads")
    return and_(DeskNote.parent_id.is_(None), DeskNote.closed_at.is_(None), or_(*asked))


def _threads(session: Session, which: ColumnElement[bool]) -> list[NoteThread]:
    rows = session.execute(
        select(DeskNote, Image)
        .join(Image, Image.id == DeskNote.image_id)
        .where(DeskNote.parent_id.is_(None), which)
        .order_by(DeskNote.closed_at.is_not(None), DeskNote.id.desc())
        .limit(SHOWN_MAX)
    ).all()
    if not rows:
        return []
    ids = [note.id for note, _ in rows]
    said = session.scalars(select(DeskNote).where(DeskNote.parent_id.in_(ids)).order_by(DeskNote.id)).all()
    names = _names(session, [*(note for note, _ in rows), *said])
    return [
        NoteThread(
            note, image, names[note.author_id],
            names[note.to_id] if note.to_id is not None else {"leads": "all leads"}.get(note.audience, "everybody"),
            tuple((each, names[each.author_id]) for each in said if each.parent_id == note.id),
        )
        for note, image in rows
    ]  # fmt: skip


def _names(session: Session, notes: Sequence[DeskNote]) -> dict[int, str]:
    asked = {note.author_id for note in notes} | {note.to_id for note in notes if note.to_id is not None}
    return people.names(session, asked)


def _tidy(text: str) -> str:
    tidy = text.replace("\0", "").strip()
    if not tidy or len(tidy) > TEXT_MAX:
        raise Refused(f"A note has 1 to {TEXT_MAX:,} characters.")
    return tidy
