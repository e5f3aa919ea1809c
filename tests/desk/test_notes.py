"""Notes on photos: asked, answered, closed, and whom they wait for."""

from __future__ import annotations

import pytest
from sqlalchemy.orm import Session

from app.desk import notes
from app.errors import NotAllowed, NotFound, Refused
from tests import cast


def test_a_note_waits_for_whom_it_is_for_until_it_is_closed(session: Session) -> None:
    pile = cast.catalog(session)
    photo = cast.image(session, pile)
    lead, ben, mei = (
        cast.person(session, "Ana"),
        cast.person(session, "Ben", "annotator"),
        cast.person(session, "Mei", "annotator"),
    )
    asked = notes.ask(session, ben, photo, "Is the green fabric, or the lamp?")
    to_mei = notes.ask(session, ben, photo, "Yours?", "person", mei.id)

    def waiting(person: object) -> list[int]:
        return [thread.note.id for thread in notes.waiting(session, pile.id, person)]  # type: ignore[arg-type]

    assert (waiting(lead), waiting(mei), waiting(ben)) == ([asked.id], [to_mei.id], [])
    notes.answer(session, lead, asked, "The lamp.")
    thread = next(each for each in notes.of_photo(session, photo.id) if each.note is asked)
    assert (thread.author, thread.to, [(said.text, who) for said, who in thread.answers]) == (
        "Ben", "all leads", [("The lamp.", "Ana")],
    )  # fmt: skip
    with pytest.raises(NotAllowed):
        notes.close(session, mei, asked)
    notes.close(session, ben, asked)
    assert notes.count_waiting(session, pile.id, lead) == 0
    notes.answer(session, mei, asked, "And the hanger?")
    assert waiting(lead) == [asked.id], "an answer opens it again"


def test_what_cannot_be_asked_is_refused(session: Session) -> None:
    photo = cast.image(session, cast.catalog(session))
    ben = cast.person(session, "Ben", "annotator")
    for text, audience, to_id in (("  ", "leads", None), ("x" * 2001, "leads", None), ("?", "person", 999999)):
        with pytest.raises(Refused):
            notes.ask(session, ben, photo, text, audience, to_id)  # type: ignore[arg-type]
    with pytest.raises(NotFound):
        notes.get(session, 1)
