"""Writing captions: what is kept of a text, who may replace whom, and two people at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.captions import writing
from app.captions.tables import MAX_CHARACTERS
from app.catalog.tables import Image
from app.database import transaction
from app.errors import Conflict, NotFound, Refused
from app.people import Person
from tests import cast
from tests.blocking import process_id, wait_until_blocked


@pytest.fixture
def photo(session: Session) -> Image:
    return cast.image(session, cast.catalog(session))


def written(session: Session, photo: Image) -> list[tuple[str, str]]:
    """The history of a photo as (author, text), the current one first."""
    return [(writing.author(session, one), one.text) for one in writing.history(session, photo.id)]


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        ("  Red\tkettle,\r\n\n side view.  ", "Red kettle, side view."),
        ("Cafe\u0301 cup", "Café cup"),
        ("Red\x00 ket\x07tle\x1b[31m", "Red kettle[31m"),
        ("Red\u00a0kettle\u2028on white", "Red kettle on white"),
        ("\u202eRed\u200b kettle\ufeff", "Red kettle"),
        ("a \x00 b", "a b"),
        ("Bébé 👩‍🍳 家電", "Bébé 👩‍🍳 家電"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
    ],
)
def test_a_text_is_kept_in_one_tidy_line(raw: str, kept: str) -> None:
    assert writing.tidy(raw) == kept


@pytest.mark.parametrize("raw", ["", "   \n", "\x00\u200b"])
def test_an_empty_text_is_refused(raw: str) -> None:
    with pytest.raises(Refused, match=r"^A caption cannot be empty\.$"):
        writing.tidy(raw)


def test_a_text_too_long_is_refused_with_both_numbers(session: Session, photo: Image) -> None:
    person = cast.person(session)
    with pytest.raises(Refused, match=r"^This caption has 100,000 characters; 4,000 is the most\.$"):
        writing.rewrite(session, photo.id, "x" * 100_000, person, None)
    assert writing.rewrite(session, photo.id, "é" * MAX_CHARACTERS, person, None).text == "é" * MAX_CHARACTERS


def test_a_proposal_becomes_current_and_a_better_one_takes_its_place(session: Session, photo: Image) -> None:
    first = writing.propose(session, photo, "Red kettle.", "facts", {"version": 1})
    assert first is not None
    second = writing.propose(session, photo, "Red kettle on white.", "org/model", {"prompt": "?"})
    assert second is not None
    assert second.parent_id == first.id
    assert writing.current(session, [photo.id]) == {photo.id: second}
    assert written(session, photo) == [
        ("org/model", "Red kettle on white."),
        ("the facts captioner", "Red kettle."),
    ]


def test_the_same_text_by_the_same_captioner_adds_nothing(session: Session, photo: Image) -> None:
    writing.propose(session, photo, "Red kettle.", "facts", {})
    assert writing.propose(session, photo, " Red  kettle. ", "facts", {}) is None
    assert len(writing.history(session, photo.id)) == 1


def test_a_captioner_never_replaces_a_person(session: Session, photo: Image) -> None:
    writing.rewrite(session, photo.id, "Ana's words.", cast.person(session), None)
    assert writing.propose(session, photo, "Red kettle.", "facts", {}) is None
    assert written(session, photo) == [("Ana", "Ana's words.")]


def test_saving_a_captioners_text_unchanged_accepts_it(session: Session, photo: Image) -> None:
    proposed = writing.propose(session, photo, "Red kettle.", "facts", {})
    assert proposed is not None
    accepted = writing.rewrite(session, photo.id, "Red kettle.", cast.person(session), proposed.id)
    assert (accepted.written_by, accepted.parent_id) == ("person", proposed.id)
    assert proposed.superseded_at is not None


def test_a_form_sent_twice_is_one_caption(session: Session, photo: Image) -> None:
    person = cast.person(session)
    first = writing.rewrite(session, photo.id, "Red kettle.", person, None)
    assert writing.rewrite(session, photo.id, "Red kettle.", person, None) is first


def test_who_comes_second_sees_the_other_text(session: Session, photo: Image) -> None:
    proposed = writing.propose(session, photo, "Red kettle.", "facts", {})
    assert proposed is not None
    writing.rewrite(session, photo.id, "Mei's words.", cast.person(session, "Mei"), proposed.id)
    with pytest.raises(Conflict, match=r"^Mei wrote another caption meanwhile\.$") as conflict:
        writing.rewrite(session, photo.id, "Ana's words.", cast.person(session, "Ana"), proposed.id)
    assert conflict.value.other == "Mei's words."
    assert written(session, photo)[0] == ("Mei", "Mei's words.")


def test_an_older_caption_comes_back_as_a_new_one(session: Session, photo: Image) -> None:
    proposed = writing.propose(session, photo, "Red kettle.", "facts", {})
    ana, mei = cast.person(session, "Ana"), cast.person(session, "Mei")
    assert proposed is not None
    writing.rewrite(session, photo.id, "Ana's words.", ana, proposed.id)
    restored = writing.restore(session, proposed.id, mei)
    assert (restored.text, restored.person_id) == ("Red kettle.", mei.id)
    assert writing.restore(session, restored.id, ana) is restored
    assert written(session, photo) == [
        ("Mei", "Red kettle."),
        ("Ana", "Ana's words."),
        ("the facts captioner", "Red kettle."),
    ]


def test_what_is_not_there_is_not_found(session: Session, photo: Image) -> None:
    person = cast.person(session)
    with pytest.raises(NotFound):
        writing.rewrite(session, photo.id + 1_000_000, "Red kettle.", person, None)
    with pytest.raises(NotFound):
        writing.restore(session, 1_000_000_000, person)
    assert writing.current(session, []) == {}


@dataclass(frozen=True)
class Desk:
    """A photo that two people on two connections look at, and the caption both see (None: none)."""

    engine: Engine
    image_id: int
    people: tuple[int, int]
    seen_id: int | None


@pytest.fixture(params=["with a caption", "without one"])
def desk(engine: Engine, emptied: None, request: pytest.FixtureRequest) -> Desk:
    caption = "Red kettle." if request.param == "with a caption" else None
    with transaction(engine) as session:
        pile = cast.catalog(session)
        photo = cast.image(session, pile, caption=caption)
        ana, mei = cast.person(session, "Ana"), cast.person(session, "Mei")
        seen = writing.current(session, [photo.id]).get(photo.id)
        ids = (photo.id, (ana.id, mei.id), seen.id if seen else None)
    return Desk(engine, *ids)


def test_of_two_writers_at_the_same_moment_one_wins_and_the_other_is_shown_it(desk: Desk) -> None:
    with Session(desk.engine) as first, Session(desk.engine) as second, ThreadPoolExecutor(1) as pool:
        second_pid = process_id(second)
        mei = second.get_one(Person, desk.people[1])
        ana = first.get_one(Person, desk.people[0])
        writing.rewrite(first, desk.image_id, "Ana's words.", ana, desk.seen_id)
        other = pool.submit(writing.rewrite, second, desk.image_id, "Mei's words.", mei, desk.seen_id)
        wait_until_blocked(desk.engine, second_pid)
        first.commit()
        with pytest.raises(Conflict, match="Ana wrote another caption meanwhile") as conflict:
            other.result(timeout=30)
        second.rollback()
    assert conflict.value.other == "Ana's words."
    with Session(desk.engine) as session:
        assert writing.current(session, [desk.image_id])[desk.image_id].text == "Ana's words."


def test_a_captioner_that_meets_a_writing_person_gives_way(desk: Desk) -> None:
    with Session(desk.engine) as first, Session(desk.engine) as second, ThreadPoolExecutor(1) as pool:
        second_pid = process_id(second)
        photo = second.get_one(Image, desk.image_id)
        writing.rewrite(first, desk.image_id, "Ana's words.", first.get_one(Person, desk.people[0]), desk.seen_id)
        proposal = pool.submit(writing.propose, second, photo, "A machine's words.", "facts", {})
        wait_until_blocked(desk.engine, second_pid)
        first.commit()
        assert proposal.result(timeout=30) is None
        second.commit()
        assert writing.current(second, [desk.image_id])[desk.image_id].text == "Ana's words."
