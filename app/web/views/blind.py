"""What a blind pass keeps from whoever makes it, on every page and piece: who and what wrote or decided before."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from sqlalchemy.orm import Session

from app import people
from app.captions import writing
from app.captions.tables import CaptionText
from app.desk import holding, notes
from app.desk.notes import NoteThread
from app.errors import Conflict
from app.people import Person
from app.selection.browse import Tile
from app.selection.query import Selection, parse

SOMEBODY: Final = "somebody"
# Keys of the filter language that ask what a blind pass keeps back.
_TELLING: Final = frozenset({"decision", "by", "rule", "decided", "decider", "author", "assigned", "caption"})


def is_held(session: Session, person: Person, image_id: int) -> bool:
    """Whether this person has the photo in hand for a blind pass."""
    return image_id in holding.blind(session, person)


def hidden(session: Session, person: Person) -> dict[int, int]:
    """The photos of which lists, counts and files keep from this person what was said before, each with its queue:
    those in their hands for a blind pass. Leads and owners, who answer for the whole, see everything."""
    return {} if people.at_least(person, "lead") else holding.blind(session, person)


def chosen(session: Session, person: Person, query: str, catalog_id: int, *, is_counted: bool = False) -> Selection:
    """What a filter gives this person. Raises NotUnderstood. See `narrowed`."""
    return narrowed(session, person, parse(query, catalog_id), is_counted=is_counted)


def narrowed(session: Session, person: Person, selection: Selection, *, is_counted: bool = False) -> Selection:
    """A selection without the photos `hidden` from this person, where it asks who or what was there before, or what is
    made of it `is_counted` by that: whether such a photo is in it would be the answer."""
    if not is_counted and not any(term.key in _TELLING for term in selection.every_term):
        return selection
    held = hidden(session, person)
    if not held:
        return selection
    return selection.with_term("id", tuple(sorted({*selection.values("id", is_not=True), *held})), is_not=True)


def tiles(session: Session, person: Person, shown: Sequence[Tile]) -> list[Tile]:
    """Tiles, those of photos in this person's hands for a blind pass without what was decided."""
    return masked(holding.blind(session, person), shown)


def masked(held: Container[int], shown: Sequence[Tile]) -> list[Tile]:
    """Tiles, those of the photos `held` for a blind pass without what was decided."""
    return [tile.unseen() if tile.id in held else tile for tile in shown]


def threads(session: Session, person: Person, image_id: int, is_blind: bool) -> list[NoteThread]:
    """What was said about a photo; in a blind pass what this person asked alone, and answers without names."""
    every = notes.of_photo(session, image_id)
    if not is_blind:
        return every
    return [_unnamed(thread, person) for thread in every if thread.note.author_id == person.id]


def waiting(session: Session, person: Person, every: Sequence[NoteThread]) -> list[NoteThread]:
    """Notes that wait for this person, without those about photos in their hands for a blind pass."""
    held = holding.blind(session, person)
    return [thread for thread in every if thread.image.id not in held]


def asked(session: Session, person: Person, is_blind: bool) -> list[Person]:
    """Whom a note can be for by name; in a blind pass nobody, for it may be whoever was there before."""
    return [] if is_blind else [other for other in people.enabled(session) if other.id != person.id]


def author(session: Session, person: Person, caption: CaptionText) -> str:
    """Who wrote the caption that stands now; in a blind pass only oneself is named."""
    if caption.person_id != person.id and is_held(session, person, caption.image_id):
        return SOMEBODY
    return writing.author(session, caption)


@contextmanager
def unnamed(session: Session, person: Person, image_id: int, has_text: bool = False) -> Iterator[None]:
    """A conflict over a photo of a blind pass is told without who was first, and without what they said or decided;
    where it `has_text`, with the caption that stands now, which is shown in any case."""
    try:
        yield
    except Conflict as conflict:
        if not is_held(session, person, image_id):
            raise
        other = conflict.other if has_text else None
        raise Conflict("Somebody changed this photo meanwhile. Reload it, and go on from there.", other) from None


def _unnamed(thread: NoteThread, person: Person) -> NoteThread:
    to = thread.to if thread.note.to_id is None else SOMEBODY
    answers = tuple((said, name if said.author_id == person.id else SOMEBODY) for said, name in thread.answers)
    return replace(thread, to=to, answers=answers)
