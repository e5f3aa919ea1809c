"""Queues of photos: made from any selection, given to people, closed; and how far each is.

A queue's photos are chosen once, when it is made, in the order that it shall have. Who gets which is in `holding`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Integer, Text, case, cast, func, insert, literal, or_, select
from sqlalchemy.orm import Session

from app import audit, people
from app.database import utc_now
from app.desk import tallies
from app.desk.tables import First, QueueAnswer, QueuePerson, QueuePhoto, ReviewQueue
from app.errors import NotFound, Refused
from app.people import Person
from app.review.tables import Decision
from app.selection.query import Selection
from app.selection.tables import PhotoIndex

FIRSTS: Final[dict[First, str]] = {
    "contradicted": "contradictions first",
    "disagreed": "disagreement first",
    "low_scores": "low scores first",
    "rare": "rare ones first",
    "chance": "by chance",
    "given": "newest first",
}
OVERLAP_MAX: Final = 5
NAME_MAX: Final = 80
KNOWN_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class QueueState:
    """A queue, who it was given to, and how many of its photos still wait for a pass."""

    queue: ReviewQueue
    people: tuple[Person, ...]
    photos: int
    left: int

    @property
    def share(self) -> float:
        """How much of it is done, 0 to 1."""
        return 1 - self.left / self.photos if self.photos else 1.0


def make(
    session: Session,
    by: Person,
    chosen: Selection,
    name: str,
    first: First = "contradicted",
    overlap: int = 1,
    person_ids: Collection[int] = (),
    known: int = 0,
) -> ReviewQueue:
    """A queue of the photos of a selection, as they are now, for these people, or for everybody.

    `known` photos that leads have decided on are mixed in at places drawn by chance, to see who finds the same. Raises
    NotAllowed for anybody but a lead, Refused for bad values or where the selection has no photo.
    """
    people.needs_lead(by, "make a queue")
    name = " ".join(name.replace("\0", "").split())
    if not name or len(name) > NAME_MAX:
        raise Refused(f"A queue needs a name of at most {NAME_MAX} characters.")
    if first not in FIRSTS or not 1 <= overlap <= OVERLAP_MAX or not 0 <= known <= KNOWN_MAX:
        raise Refused(f"An overlap is 1 to {OVERLAP_MAX}, and known answers are 0 to {KNOWN_MAX}.")
    given_to = _people(session, person_ids)
    if given_to and overlap > len(given_to):
        raise Refused(f"{overlap} people cannot each review a photo where {len(given_to)} have the queue.")
    queue = ReviewQueue(
        catalog_id=chosen.catalog_id, name=name, query=chosen.query, first=first, overlap=overlap, created_by_id=by.id
    )
    session.add(queue)
    session.flush()
    if not _fill(session, queue, chosen):
        raise Refused("No photo is so. A queue needs some.")
    _mix_in(session, queue, known)
    session.add_all(QueuePerson(queue_id=queue.id, person_id=person.id) for person in given_to)
    session.flush()
    audit.record(session, "queue_made", by.id, queue=queue.id, name=name)
    return queue


def get(session: Session, queue_id: int) -> ReviewQueue:
    """The queue with this number. Raises NotFound."""
    queue = session.get(ReviewQueue, queue_id)
    if queue is None:
        raise NotFound("There is no such queue.")
    return queue


def give(session: Session, by: Person, queue: ReviewQueue, person_ids: Collection[int]) -> None:
    """Give a queue to these people in place of those who had it; to nobody named: to everybody.

    What somebody holds stays in their hands until they decide or leave. Raises NotAllowed, Refused.
    """
    people.needs_lead(by, "hand out a queue")
    given_to = _people(session, person_ids)
    if given_to and queue.overlap > len(given_to):
        raise Refused(f"{queue.overlap} people review each photo of this queue. Give it to as many.")
    before = {
        row.person_id: row for row in session.scalars(select(QueuePerson).where(QueuePerson.queue_id == queue.id))
    }
    kept = {person.id for person in given_to}
    for person_id, row in before.items():
        if person_id not in kept:
            session.delete(row)
    session.add_all(QueuePerson(queue_id=queue.id, person_id=person_id) for person_id in kept - before.keys())
    session.flush()
    audit.record(session, "queue_given", by.id, queue=queue.id, people=", ".join(person.name for person in given_to))


def close(session: Session, by: Person, queue: ReviewQueue) -> None:
    """Hand out no more of a queue; closed again, it is opened. Answers stay. Raises NotAllowed."""
    people.needs_lead(by, "close a queue")
    queue.closed_at = utc_now() if queue.closed_at is None else None
    session.flush()
    audit.record(session, "queue_closed" if queue.closed_at else "queue_opened", by.id, queue=queue.id)


def states(session: Session, catalog_id: int, is_closed: bool = False) -> list[QueueState]:
    """The queues of a catalog that are open, or those that are closed, the oldest first, with how far each is."""
    asked = ReviewQueue.closed_at.is_not(None) if is_closed else ReviewQueue.closed_at.is_(None)
    queues = session.scalars(
        select(ReviewQueue).where(ReviewQueue.catalog_id == catalog_id, asked).order_by(ReviewQueue.id)
    ).all()
    ids = [queue.id for queue in queues]
    counts = tallies.counts(session, ids)
    given_to: dict[int, list[Person]] = {}
    for queue_id, person in session.execute(
        select(QueuePerson.queue_id, Person)
        .join(Person, Person.id == QueuePerson.person_id)
        .where(QueuePerson.queue_id.in_(ids))
        .order_by(func.lower(Person.name), Person.id)
    ):
        given_to.setdefault(queue_id, []).append(person)
    return [
        QueueState(
            queue, tuple(given_to.get(queue.id, ())), *counts.get(queue.id, (0, 0))
        )
        for queue in queues
    ]  # fmt: skip


def state(session: Session, queue: ReviewQueue) -> QueueState:
    """How far one queue is."""
    return next(
        each for each in states(session, queue.catalog_id, queue.closed_at is not None) if each.queue.id == queue.id
    )


def progress(session: Session, queue: ReviewQueue) -> QueueState:
    """How far one queue is, without its pace, in one statement."""
    rows = session.execute(
        select(tallies.photos_of(queue.id), tallies.left_of(queue.id), Person)
        .select_from(ReviewQueue)
        .outerjoin(QueuePerson, QueuePerson.queue_id == ReviewQueue.id)
        .outerjoin(Person, Person.id == QueuePerson.person_id)
        .where(ReviewQueue.id == queue.id)
        .order_by(func.lower(Person.name), Person.id)
    ).all()
    return QueueState(queue, tuple(row[2] for row in rows if row[2] is not None), rows[0][0], rows[0][1])


def of_person(session: Session, catalog_id: int, person: Person) -> list[QueueState]:
    """The open queues that a person may work on, with photos left, those given to them by name first."""
    own = [
        state for state in states(session, catalog_id)
        if state.left and (not state.people or any(other.id == person.id for other in state.people))
    ]  # fmt: skip
    return sorted(own, key=lambda state: (not state.people, state.queue.id))


def may_work(session: Session, queue: ReviewQueue, person: Person) -> bool:
    """Whether a queue hands photos to this person, who reviews: it is open, and theirs or everybody's."""
    if not people.at_least(person, "annotator"):
        return False
    given_to = set(session.scalars(select(QueuePerson.person_id).where(QueuePerson.queue_id == queue.id)))
    return queue.closed_at is None and (not given_to or person.id in given_to)


def _people(session: Session, person_ids: Collection[int]) -> Sequence[Person]:
    """Raises Refused for somebody who cannot review."""
    asked = set(person_ids)
    given_to = [person for person in people.enabled(session) if person.id in asked]
    if len(given_to) != len(asked):
        raise Refused("Somebody of these is not on the team any more.")
    for person in given_to:
        if not people.at_least(person, "annotator"):
            raise Refused(f"{person.name} looks only, and cannot review. Make them an annotator first.")
    return given_to


def _fill(session: Session, queue: ReviewQueue, chosen: Selection) -> int:
    """Put the selection's photos in. How many they are."""
    place = func.row_number().over(order_by=(*_order(queue), PhotoIndex.image_id)) - 1
    rows = chosen.select(
        literal(queue.id), PhotoIndex.image_id, cast(place, Integer), literal(queue.overlap), literal(0)
    )
    names = ["queue_id", "image_id", "place", "passes_left", "held"]
    session.execute(insert(QueuePhoto).from_select(names, rows))
    return session.scalar(select(func.count()).where(QueuePhoto.queue_id == queue.id)) or 0


def _order(queue: ReviewQueue) -> tuple[ColumnElement[Any], ...]:
    """What a queue hands out first."""
    is_contradicted = or_(PhotoIndex.rule == "contradicted", PhotoIndex.is_contradicted)
    doubt = case(
        (PhotoIndex.suggested == "rejected", 0), (PhotoIndex.suggested == "needs_work", 1), else_=2
    )  # fmt: skip
    chance = func.md5(func.concat(cast(PhotoIndex.image_id, Text), " ", str(queue.id)))
    said = (
        select(func.count(QueueAnswer.verdict.distinct()))
        .where(QueueAnswer.image_id == PhotoIndex.image_id, QueueAnswer.undone_at.is_(None))
        .correlate(PhotoIndex)
        .scalar_subquery()
    )
    contradicted = case((is_contradicted, 0), else_=1)
    of_kind = func.coalesce(PhotoIndex.category_key, "")
    sizes = (
        select(of_kind.label("category"), func.count().label("photos"))
        .where(PhotoIndex.catalog_id == queue.catalog_id)
        .group_by(of_kind)
        .cte("sizes")
    )
    size = select(sizes.c.photos).where(sizes.c.category == of_kind).correlate(PhotoIndex).scalar_subquery()
    orders: dict[First, tuple[ColumnElement[Any], ...]] = {
        "contradicted": (contradicted, doubt, chance),
        "disagreed": (said.desc(), contradicted, doubt, chance),
        "low_scores": (doubt, PhotoIndex.sharpness.asc().nulls_last(), chance),
        # Few of a category first; of one category what lies far from everything.
        "rare": (size, PhotoIndex.apart.desc().nulls_last(), chance),
        "chance": (chance,),
        "given": (PhotoIndex.image_id.desc(),),
    }  # fmt: skip
    return orders[queue.first]


def _mix_in(session: Session, queue: ReviewQueue, known: int) -> None:
    """Photos that a lead has kept or rejected, drawn by chance, at places drawn by chance."""
    if not known:
        return
    leads = select(Person.id).where(Person.role.in_(("lead", "owner")))
    there = select(QueuePhoto.image_id).where(QueuePhoto.queue_id == queue.id)
    drawn = session.execute(
        select(Decision.image_id, Decision.verdict)
        .join(PhotoIndex, PhotoIndex.image_id == Decision.image_id)
        .where(
            PhotoIndex.catalog_id == queue.catalog_id, Decision.superseded_at.is_(None),
            Decision.person_id.in_(leads), Decision.verdict.in_(("kept", "rejected")),
            Decision.image_id.not_in(there),
        )
        .order_by(func.random())
        .limit(known)
    ).all()  # fmt: skip
    if len(drawn) < known:
        raise Refused(
            f"Leads have kept or rejected {len(drawn):,} photos outside this selection; ask for at most as many known "
            "answers."
        )
    last = session.scalar(select(func.max(QueuePhoto.place)).where(QueuePhoto.queue_id == queue.id)) or 0
    session.execute(
        insert(QueuePhoto).values(
            [
                {
                    "queue_id": queue.id, "image_id": image_id, "passes_left": queue.overlap, "held": 0,
                    "known": verdict, "place": cast(func.floor(func.random() * (last + 1)), Integer),
                }
                for image_id, verdict in drawn
            ]
        )
    )  # fmt: skip
