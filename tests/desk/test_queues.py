"""Queues: made from a selection, handed out one by one, held, answered, blind where others answered first."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import Engine, delete, func, select, update
from sqlalchemy.orm import Session

from app.audit import AuditEntry
from app.catalog.tables import Catalog, Image
from app.database import transaction, utc_now
from app.desk import holding, queues, tallies, undoing
from app.desk.tables import First, QueueAnswer, QueueHold, QueuePhoto, ReviewQueue
from app.errors import Conflict, NotAllowed, Refused
from app.people import Person
from app.review import decisions
from app.selection.query import parse
from tests import cast
from tests.emptying import empty


@pytest.fixture
def ana(session: Session) -> Person:
    return cast.person(session, "Ana")


@pytest.fixture
def ben(session: Session) -> Person:
    return cast.person(session, "Ben", "annotator")


@pytest.fixture
def mei(session: Session) -> Person:
    return cast.person(session, "Mei", "annotator")


@pytest.fixture
def pile(session: Session) -> Catalog:
    return cast.catalog(session)


@pytest.fixture
def photos(session: Session, pile: Catalog) -> list[Image]:
    return [cast.image(session, pile, f"Kettle {n}") for n in range(8)]


def queue_of(session: Session, by: Person, pile: Catalog, **wishes: object) -> ReviewQueue:
    query = str(wishes.pop("query", ""))
    return queues.make(session, by, parse(query, pile.id), "Kettles", **wishes)  # type: ignore[arg-type]


def decided(session: Session, photo: Image) -> str | None:
    current = decisions.current(session, photo.id)
    return current.verdict if current is not None and not current.is_suggestion else None


@pytest.mark.usefixtures("photos")
def test_two_people_never_hold_the_same_photo(session: Session, pile: Catalog, ana: Person, ben: Person) -> None:
    queue = queue_of(session, ana, pile)
    mine, others = (holding.ahead(session, queue, person, 3) for person in (ana, ben))
    assert len(mine) == len(others) == 3 and not set(mine) & set(others)
    assert holding.ahead(session, queue, ana, 3) == mine, "asked again, it is the same photos"
    assert len(holding.ahead(session, queue, ben, 8)) == 5, "what is left, and no more"


def test_an_answer_is_the_photos_decision_and_ends_the_hold(
    session: Session, pile: Catalog, photos: Sequence[Image], ana: Person, ben: Person
) -> None:
    queue = queue_of(session, ana, pile)
    first = session.get_one(Image, holding.ahead(session, queue, ben)[0])
    said = holding.decide(session, queue, first, ben, "rejected", "blurred")
    assert said.decision is not None and said.decision.reason == "blurred" and not said.is_blind
    state = queues.states(session, pile.id)[0]
    assert (state.photos, state.left) == (len(photos), len(photos) - 1)
    assert first.id not in holding.ahead(session, queue, ben, 8) + holding.ahead(session, queue, ana, 8)
    holding.decide(session, queue, first, ben, "kept")
    assert queues.states(session, pile.id)[0].left == len(photos) - 1, "a second thought is no second pass"


@pytest.mark.usefixtures("photos")
def test_who_walks_away_leaves_the_queue_whole(session: Session, pile: Catalog, ana: Person, ben: Person) -> None:
    queue = queue_of(session, ana, pile)
    held = holding.ahead(session, queue, ben, 8)
    assert not holding.ahead(session, queue, ana), "all is in Ben's hands"
    session.execute(update(QueueHold).values(expires_at=utc_now() + timedelta(seconds=1)))
    assert holding.keep_alive(session, ben) is not None
    assert not holding.ahead(session, queue, ana), "a sign of life holds on"
    session.execute(update(QueueHold).values(expires_at=utc_now()))
    assert holding.ahead(session, queue, ana, 8) == held
    left = session.get_one(Image, held[0])
    assert holding.decide(session, queue, left, ben, "kept").decision, "what Ben decides late still counts"
    holding.let_go(session, ana)
    assert not session.scalar(select(func.count()).select_from(QueueHold))
    assert session.scalar(select(func.sum(QueuePhoto.held))) == 0


def test_the_second_pass_is_blind_and_kept_beside_the_decision(
    session: Session, pile: Catalog, photos: Sequence[Image], ana: Person, ben: Person, mei: Person
) -> None:
    queue = queue_of(session, ana, pile, overlap=2, person_ids=[ben.id, mei.id])
    photo = session.get_one(Image, holding.ahead(session, queue, ben)[0])
    assert photo.id in holding.ahead(session, queue, mei), "overlap hands it to two"
    holding.decide(session, queue, photo, ben, "kept")
    second = holding.decide(session, queue, photo, mei, "rejected", "cropped")
    assert second.is_blind and second.decision is None
    assert decided(session, photo) == "kept"
    answers = session.scalars(select(QueueAnswer).order_by(QueueAnswer.id)).all()
    assert [(answer.verdict, answer.is_blind) for answer in answers] == [("kept", False), ("rejected", True)]
    assert queues.states(session, pile.id)[0].left == len(photos) - 1
    with pytest.raises(Refused, match="not given to you"):
        holding.ahead(session, queue, ana)


def test_known_answers_are_mixed_in_unseen(
    session: Session, pile: Catalog, photos: Sequence[Image], ana: Person, ben: Person
) -> None:
    for photo in photos[:2]:
        decisions.decide(session, photo, ana, "rejected", "blurred")
    queue = queue_of(session, ana, pile, query="decision:unseen", known=2)
    held = holding.ahead(session, queue, ben, 8)
    assert len(held) == 8 and {photo.id for photo in photos[:2]} <= set(held)
    assert holding.decide(session, queue, photos[0], ben, "kept") == holding.QueueDecision(None, is_blind=True)
    assert decided(session, photos[0]) == "rejected", "the answer that was known stays"
    with pytest.raises(Refused, match="Leads have kept or rejected 0 photos"):
        queue_of(session, ana, pile, known=1)


@pytest.mark.usefixtures("photos")
def test_an_answer_is_one_of_the_passes_asked_for(
    session: Session, pile: Catalog, ana: Person, ben: Person, mei: Person
) -> None:
    queue = queue_of(session, ana, pile, overlap=2)
    first = session.get_one(Image, holding.ahead(session, queue, ben, 1)[0])
    holding.decide(session, queue, first, ben, "kept")
    assert queues.state(session, queue).left == 8, "one more is to look at it"
    assert holding.ahead(session, queue, mei, 1) == [first.id], "who comes later is handed it, too"
    holding.decide(session, queue, first, mei, "kept")
    assert first.id not in holding.ahead(session, queue, ana, 8), "two were asked for, and no third"


def test_known_answers_lie_anywhere_and_are_asked_blind(
    session: Session, pile: Catalog, photos: Sequence[Image], ana: Person, ben: Person
) -> None:
    known = [cast.image(session, pile, f"Known {n}") for n in range(12)]
    for photo in known:
        decisions.decide(session, photo, ana, "kept")
    queue = queue_of(session, ana, pile, query="decision:unseen", known=12)
    rows = session.execute(select(QueuePhoto.image_id, QueuePhoto.place)).all()
    places = {row.image_id: row.place for row in rows}
    last = max(places[photo.id] for photo in photos)
    assert min(places[photo.id] for photo in known) < last, "not all of them behind the others"
    assert holding.is_blind(session, queue, known[0].id, ben)
    assert holding.is_blind(session, queue, photos[0].id, ben), "a page that differed would tell which are known"
    plain = queue_of(session, ana, pile, query="decision:unseen")
    assert not holding.is_blind(session, plain, photos[0].id, ben)


def test_what_a_lead_does_with_queues_is_in_the_audit_log(
    session: Session, pile: Catalog, ana: Person, ben: Person
) -> None:
    cast.image(session, pile)
    queue = queue_of(session, ana, pile)
    queues.give(session, ana, queue, [ben.id])
    queues.close(session, ana, queue)
    with pytest.raises(Refused, match="is closed"):
        holding.ahead(session, queue, ben)
    queues.close(session, ana, queue)
    assert holding.ahead(session, queue, ben), "opened again, it goes on"
    lines = session.scalars(select(AuditEntry).order_by(AuditEntry.id)).all()
    assert [(line.act, line.by_id, line.facts["queue"]) for line in lines] == [
        (act, ana.id, queue.id) for act in ("queue_made", "queue_given", "queue_closed", "queue_opened")
    ]
    assert (lines[0].facts["name"], lines[1].facts["people"]) == ("Kettles", "Ben")


@pytest.mark.usefixtures("photos")
def test_what_was_skipped_comes_back_when_nothing_else_is_left(
    session: Session, pile: Catalog, ana: Person, ben: Person
) -> None:
    queue = queue_of(session, ana, pile)
    first, *rest = holding.ahead(session, queue, ben, 8)
    holding.skip(session, queue, session.get_one(Image, first), ben)
    assert holding.ahead(session, queue, ben, 8) == rest
    for image_id in rest:
        holding.decide(session, queue, session.get_one(Image, image_id), ben, "kept")
    assert holding.ahead(session, queue, ben) == [first]


def test_contradictions_come_first_and_low_scores_where_asked(session: Session, pile: Catalog, ana: Person) -> None:
    sharp = [cast.image(session, pile, sharpness=value).id for value in (0.9, 0.2, 0.5)]
    queue = queue_of(session, ana, pile, first="low_scores")
    assert holding.ahead(session, queue, ana) == [sharp[1], sharp[2], sharp[0]]


@pytest.mark.parametrize("first", queues.FIRSTS)
def test_every_order_hands_out_every_photo(session: Session, pile: Catalog, ana: Person, first: First) -> None:
    many = [cast.image(session, pile, category="Kettles").id for _ in range(3)]
    few = cast.image(session, pile, category="Lamps").id
    handed_out = holding.ahead(session, queue_of(session, ana, pile, first=first), ana)
    assert set(handed_out) == {*many, few}
    if first == "rare":
        assert handed_out[0] == few
    if first == "given":
        assert handed_out == [few, *many[::-1]]


@pytest.mark.usefixtures("photos")
def test_an_answer_taken_back_waits_in_the_hands_it_came_from(
    session: Session, pile: Catalog, ana: Person, ben: Person
) -> None:
    queue = queue_of(session, ana, pile)
    first = holding.ahead(session, queue, ben, 1)[0]
    holding.decide(session, queue, session.get_one(Image, first), ben, "kept")
    answer = holding.newest_answer(session, ben)
    assert answer is not None
    holding.reopen(session, answer)
    assert holding.ahead(session, queue, ben, 1) == [first]
    assert first not in holding.ahead(session, queue, ana, 8)


def test_what_cannot_be_is_refused(
    session: Session, pile: Catalog, photos: Sequence[Image], ana: Person, ben: Person
) -> None:
    with pytest.raises(NotAllowed):
        queue_of(session, ben, pile)
    with pytest.raises(Refused, match="No photo is so"):
        queue_of(session, ana, pile, query="decision:rejected")
    with pytest.raises(Refused, match="3 people cannot"):
        queue_of(session, ana, pile, overlap=3, person_ids=[ana.id, ben.id])
    viewer = cast.person(session, "Vi", "viewer")
    with pytest.raises(Refused, match="looks only"):
        queue_of(session, ana, pile, person_ids=[viewer.id])
    queue = queue_of(session, ana, pile)
    queues.close(session, ana, queue)
    with pytest.raises(Refused, match="closed"):
        holding.ahead(session, queue, ben)


def test_at_the_catalogs_own_desk_a_photo_has_one_pair_of_hands(
    session: Session, photos: Sequence[Image], ana: Person, ben: Person
) -> None:
    ids = [photo.id for photo in photos[:3]]
    assert holding.hold_at_desk(session, ana, ids) == ids
    assert holding.hold_at_desk(session, ana, ids) == ids
    assert holding.hold_at_desk(session, ben, [*ids, photos[3].id]) == [photos[3].id]
    assert holding.others(session, ben, ids) == dict.fromkeys(ids, "Ana")
    session.execute(update(QueueHold).values(expires_at=utc_now()))
    assert holding.hold_at_desk(session, ben, ids) == ids


def test_another_persons_decision_is_a_conflict_still(
    session: Session, pile: Catalog, photos: Sequence[Image], ana: Person, ben: Person
) -> None:
    queue = queue_of(session, ana, pile)
    decisions.decide(session, photos[0], ana, "kept")
    with pytest.raises(Conflict, match="Ana kept this photo"):
        holding.decide(session, queue, photos[0], ben, "rejected", expected_id=0)


def test_forty_who_ask_at_once_get_forty_photos(engine: Engine) -> None:
    try:
        with transaction(engine) as session:
            lead = cast.person(session)
            pile = cast.catalog(session)
            for n in range(45):
                cast.image(session, pile, f"Kettle {n}")
            people = [cast.person(session, f"P{n}", "annotator").id for n in range(40)]
            queue_id = queues.make(session, lead, parse("", pile.id), "All").id

        def ask(person_id: int) -> int:
            with transaction(engine) as session:
                queue, person = session.get_one(ReviewQueue, queue_id), session.get_one(Person, person_id)
                return holding.ahead(session, queue, person, 1)[0]

        with ThreadPoolExecutor(10) as several:
            given = list(several.map(ask, people))
        assert len(set(given)) == 40
        with transaction(engine) as session:
            assert session.scalar(select(func.sum(QueuePhoto.held))) == 40
    finally:
        empty(engine)


def test_tallies_are_what_counting_gives(
    session: Session, pile: Catalog, photos: Sequence[Image], ana: Person, ben: Person
) -> None:
    def counted() -> dict[int, tuple[int, int]]:
        rows = session.execute(
            select(QueuePhoto.queue_id, func.count(), func.count().filter(QueuePhoto.passes_left > 0)).group_by(
                QueuePhoto.queue_id
            )
        )
        return {queue_id: (photos, left) for queue_id, photos, left in rows}

    one, twice = queue_of(session, ana, pile), queue_of(session, ana, pile, overlap=2)
    for person in (ana, ben):
        for image_id in holding.ahead(session, twice, person, 2):
            holding.decide(session, twice, session.get_one(Image, image_id), person, "kept")
    holding.ahead(session, one, ben, 1)
    assert tallies.counts(session, [one.id, twice.id]) == counted()
    undoing.undo(session, ben)
    assert tallies.counts(session, [one.id, twice.id]) == counted()
    session.execute(delete(Image).where(Image.id == photos[0].id))
    assert tallies.counts(session, [one.id, twice.id]) == counted()
    session.execute(delete(ReviewQueue).where(ReviewQueue.id == one.id))
    assert tallies.counts(session, [one.id, twice.id]) == counted()
