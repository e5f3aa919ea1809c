"""Whose hands a photo is in: handed out one by one, held while there are signs of life, free again afterwards.

Two people never hold the same photo, unless a queue's overlap says so. A photo is handed out by a guarded update of its
row (`held < passes_left`, rows that others are busy with skipped), so 200 people who ask at once get 200 photos.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, and_, delete, exists, func, insert, or_, select, update
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session, aliased

from app.catalog.tables import Image
from app.database import utc_now
from app.desk import queues
from app.desk.tables import QueueAnswer, QueueHold, QueuePhoto, ReviewQueue
from app.errors import NotFound, Refused
from app.people import Person, at_least
from app.review import decisions
from app.review.tables import Decision

HOLD_LASTS: Final = timedelta(minutes=12)
"""Without a sign of life. A photo takes seconds; who reads a long caption or takes a call comes back to it."""
AHEAD: Final = 6
"""Photos that a person holds at once: the one they look at and the next, which the browser fetches ahead."""


@dataclass(frozen=True, slots=True)
class QueueDecision:
    """What came of an answer: the photo's decision where the answer is one, and whether it stays out of sight."""

    decision: Decision | None
    is_blind: bool


@dataclass(frozen=True, slots=True)
class HeldPhoto:
    """A photo in somebody's hands, for the board. `queue` is its name, None at the catalog's own desk."""

    person: Person
    image: Image
    queue: str | None
    since: datetime
    until: datetime
    count: int


def ahead(session: Session, queue: ReviewQueue, person: Person, count: int = AHEAD) -> list[int]:
    """Photos of a queue for this person, in its order: those they hold, and as many new ones as make `count`.

    What they skipped comes back when nothing else is left. Raises Refused where the queue hands them nothing.
    """
    if not at_least(person, "annotator"):
        raise Refused(f"{queue.name} hands its photos to annotators, and you look only.")
    if not queues.may_work(session, queue, person):
        raise Refused(f"{queue.name} is closed." if queue.closed_at else f"{queue.name} was not given to you.")
    _let_go_of_lapsed(session, queue.id)
    mine = _mine(session, queue, person)
    if len(mine) < count:
        taken = _take(session, queue, person, count - len(mine))
        if not taken and not mine and _forget_skips(session, queue, person):
            taken = _take(session, queue, person, count)
        if taken:
            mine = _mine(session, queue, person)
    return mine[:count]


def keep_alive(session: Session, person: Person) -> datetime | None:
    """A sign of life: everything in this person's hands is held on. Until when; None where they hold nothing."""
    until = utc_now() + HOLD_LASTS
    held = session.scalars(
        update(QueueHold).where(QueueHold.person_id == person.id).values(expires_at=until).returning(QueueHold.id)
    ).all()
    return until if held else None


def let_go(session: Session, person: Person, queue_id: int | None = None) -> None:
    """Put down what a person holds, in one queue or (None) everywhere: others get it."""
    mine = QueueHold.person_id == person.id
    _end(session, mine if queue_id is None else and_(mine, QueueHold.queue_id == queue_id))


def hold_at_desk(session: Session, person: Person, image_ids: Sequence[int]) -> list[int]:
    """Hold photos at the catalog's own desk, which has no queue: those of them that nobody else holds, in order."""
    now = utc_now()
    lapsed = and_(QueueHold.image_id.in_(image_ids), QueueHold.expires_at <= now)
    _end(session, lapsed)
    taken = others(session, person, image_ids)
    free = [image_id for image_id in dict.fromkeys(image_ids) if image_id not in taken]
    if not free:
        return []
    rows = [{"image_id": image_id, "person_id": person.id, "held_since": now} for image_id in free]
    fresh = upsert(QueueHold).values([row | {"expires_at": now + HOLD_LASTS} for row in rows])
    session.execute(
        fresh.on_conflict_do_update(
            index_elements=["image_id"], index_where=QueueHold.queue_id.is_(None),
            set_={"expires_at": fresh.excluded.expires_at}, where=QueueHold.person_id == person.id,
        )
    )  # fmt: skip
    held = (QueueHold.image_id.in_(free), QueueHold.queue_id.is_(None), QueueHold.person_id == person.id)
    mine = set(session.scalars(select(QueueHold.image_id).where(*held)))
    return [image_id for image_id in free if image_id in mine]


def others(session: Session, person: Person, image_ids: Collection[int]) -> dict[int, str]:
    """Who else has these photos in hand just now: names by photo."""
    rows = session.execute(
        select(QueueHold.image_id, Person.name)
        .join(Person, Person.id == QueueHold.person_id)
        .where(
            QueueHold.image_id.in_(image_ids), QueueHold.person_id != person.id, QueueHold.expires_at > utc_now(),
        )
        .order_by(QueueHold.held_since.desc())
    )  # fmt: skip
    return {row.image_id: row.name for row in rows}


def in_hands(session: Session, catalog_id: int) -> list[HeldPhoto]:
    """What each person holds now in a catalog: the photo that they have held longest, and how many there are."""
    rows = session.execute(
        select(
            QueueHold,
            Person,
            Image,
            ReviewQueue.name,
            func.count().over(partition_by=QueueHold.person_id).label("count"),
        )
        .join(Person, Person.id == QueueHold.person_id)
        .join(Image, Image.id == QueueHold.image_id)
        .outerjoin(ReviewQueue, ReviewQueue.id == QueueHold.queue_id)
        .where(Image.catalog_id == catalog_id, QueueHold.expires_at > utc_now())
        .ext(distinct_on(QueueHold.person_id))
        .order_by(QueueHold.person_id, QueueHold.held_since, QueueHold.id)
    )
    return [
        HeldPhoto(person, image, name, hold.held_since, hold.expires_at, count)
        for hold, person, image, name, count in rows
    ]


def skip(session: Session, queue: ReviewQueue, image: Image, person: Person) -> None:
    """Put a photo of a queue down undecided: another one comes first for this person, and others may take it."""
    mine = _answers(session, queue, image).get(person.id)
    if mine is None or not _stands(mine):
        _write(session, mine, queue, image, person, None, None, False, None)
    _end(session, _hold_of(queue, image, person))


def decide(
    session: Session,
    queue: ReviewQueue,
    image: Image,
    person: Person,
    verdict: str,
    reason: str | None = None,
    expected_id: int | None = None,
) -> QueueDecision:
    """A person's answer on a photo of a queue. The first one is the photo's decision too; later ones, and those on
    known answers, are kept beside it, blind.

    Raises NotFound where the photo is not in the queue, and what `decisions.decide` raises.
    """
    reason = decisions.checked(verdict, reason)
    decisions.lock(session, image.catalog_id, func.pg_advisory_xact_lock_shared)
    row = session.scalars(
        select(QueuePhoto)
        .where(QueuePhoto.queue_id == queue.id, QueuePhoto.image_id == image.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one_or_none()
    if row is None:
        raise NotFound(f"{decisions.name_of(image)} is not in {queue.name}.")
    said = _answers(session, queue, image)
    others_said = any(_stands(answer) for person_id, answer in said.items() if person_id != person.id)
    is_blind = row.known is not None or (queue.overlap > 1 and others_said)
    decision = None if is_blind else decisions.decide(session, image, person, verdict, reason, expected_id)
    mine = said.get(person.id)
    if mine is None or not _stands(mine):
        row.passes_left = max(0, row.passes_left - 1)
    begun = _begun(session, queue, image, person)
    if session.scalar(delete(QueueHold).where(_hold_of(queue, image, person)).returning(QueueHold.id)) is not None:
        row.held = max(0, row.held - 1)
    _write(session, mine, queue, image, person, verdict, reason, is_blind, begun, decision)
    return QueueDecision(decision, is_blind)


def answered(session: Session, queue: ReviewQueue, person: Person, count: int) -> list[int]:
    """Photos of a queue that this person answered on last, the latest last."""
    ids = session.scalars(
        select(QueueAnswer.image_id)
        .where(
            QueueAnswer.queue_id == queue.id, QueueAnswer.person_id == person.id, QueueAnswer.undone_at.is_(None),
            QueueAnswer.verdict.is_not(None),
        )
        .order_by(QueueAnswer.created_at.desc())
        .limit(count)
    )  # fmt: skip
    return list(ids)[::-1]


def is_blind(session: Session, queue: ReviewQueue, image_id: int, person: Person) -> bool:
    """Whether a pass of this person on a photo is blind: its answer is known, or others answered before."""
    row = session.get(QueuePhoto, (queue.id, image_id))
    return row is not None and (row.known is not None or (queue.overlap > 1 and _others_said(session, row, person)))


def blind(session: Session, person: Person) -> dict[int, int]:
    """The photos in this person's hands whose pass is blind, each with its queue: wherever they meet one, nothing is
    told of who or what was there before."""
    said = aliased(QueueAnswer)
    others_said = exists().where(
        said.queue_id == QueueHold.queue_id, said.image_id == QueueHold.image_id, said.person_id != person.id,
        said.undone_at.is_(None), said.verdict.is_not(None),
    )  # fmt: skip
    of_photo = and_(QueuePhoto.queue_id == QueueHold.queue_id, QueuePhoto.image_id == QueueHold.image_id)
    rows = session.execute(
        select(QueueHold.image_id, QueueHold.queue_id)
        .join(QueuePhoto, of_photo)
        .join(ReviewQueue, ReviewQueue.id == QueueHold.queue_id)
        .where(
            QueueHold.person_id == person.id, QueueHold.expires_at > utc_now(),
            or_(QueuePhoto.known.is_not(None), and_(ReviewQueue.overlap > 1, others_said)),
        )
    )  # fmt: skip
    return {row.image_id: row.queue_id for row in rows}


def until(session: Session, queue: ReviewQueue, image_id: int, person: Person) -> datetime | None:
    """Until when a photo of a queue is in this person's hands; None: it is not."""
    mine = (QueueHold.queue_id == queue.id, QueueHold.image_id == image_id, QueueHold.person_id == person.id)
    return session.scalar(select(QueueHold.expires_at).where(*mine))


def newest_answer(session: Session, person: Person) -> QueueAnswer | None:
    """The newest answer of this person that stands."""
    mine = (QueueAnswer.person_id == person.id, QueueAnswer.undone_at.is_(None), QueueAnswer.verdict.is_not(None))
    return session.scalars(select(QueueAnswer).where(*mine).order_by(QueueAnswer.created_at.desc()).limit(1)).first()


def reopen(session: Session, answer: QueueAnswer) -> None:
    """Take an answer back: its photo waits for a pass again, in the hands of the one who answered."""
    answer.undone_at = now = utc_now()
    row = session.get(QueuePhoto, (answer.queue_id, answer.image_id), with_for_update=True, populate_existing=True)
    if row is not None:
        row.passes_left += 1
        row.held += 1
        session.add(
            QueueHold(
                queue_id=answer.queue_id, image_id=answer.image_id, person_id=answer.person_id, held_since=now,
                expires_at=now + HOLD_LASTS,
            )
        )  # fmt: skip
    session.flush()


def _others_said(session: Session, row: QueuePhoto, person: Person) -> bool:
    answer = exists().where(
        QueueAnswer.queue_id == row.queue_id, QueueAnswer.image_id == row.image_id, QueueAnswer.person_id != person.id,
        QueueAnswer.undone_at.is_(None), QueueAnswer.verdict.is_not(None),
    )  # fmt: skip
    return bool(session.scalar(select(answer)))


def _mine(session: Session, queue: ReviewQueue, person: Person) -> list[int]:
    """Photos of the queue in this person's hands, in its order."""
    return list(
        session.scalars(
            select(QueueHold.image_id)
            .join(
                QueuePhoto,
                and_(QueuePhoto.queue_id == QueueHold.queue_id, QueuePhoto.image_id == QueueHold.image_id),
            )
            .where(QueueHold.queue_id == queue.id, QueueHold.person_id == person.id)
            .order_by(QueuePhoto.place, QueuePhoto.image_id)
        )
    )


def _take(session: Session, queue: ReviewQueue, person: Person, count: int) -> list[int]:
    """Put the first free photos of a queue into a person's hands."""
    now = utc_now()
    of_photo = QueueHold.image_id == QueuePhoto.image_id
    is_mine = and_(QueueHold.queue_id == queue.id, QueueHold.person_id == person.id)
    is_elsewhere = and_(
        QueueHold.queue_id.is_distinct_from(queue.id), QueueHold.person_id != person.id, QueueHold.expires_at > now
    )
    answered = exists().where(
        QueueAnswer.queue_id == queue.id, QueueAnswer.image_id == QueuePhoto.image_id,
        QueueAnswer.person_id == person.id, QueueAnswer.undone_at.is_(None),
    )  # fmt: skip
    free = (
        select(QueuePhoto.image_id)
        .where(
            QueuePhoto.queue_id == queue.id, QueuePhoto.held < QueuePhoto.passes_left,
            ~answered, ~exists().where(of_photo, or_(is_mine, is_elsewhere)),
        )
        .order_by(QueuePhoto.place, QueuePhoto.image_id)
        .limit(count)
        .with_for_update(skip_locked=True)
        .cte("free")
    )  # fmt: skip
    taken = list(
        session.scalars(
            update(QueuePhoto)
            .where(QueuePhoto.queue_id == queue.id, QueuePhoto.image_id == free.c.image_id)
            .values(held=QueuePhoto.held + 1)
            .returning(QueuePhoto.image_id)
            .execution_options(synchronize_session=False)
        )
    )
    if taken:
        session.execute(
            insert(QueueHold).values(
                [
                    {
                        "queue_id": queue.id, "image_id": image_id, "person_id": person.id, "held_since": now,
                        "expires_at": now + HOLD_LASTS,
                    }
                    for image_id in taken
                ]
            )
        )  # fmt: skip
    return taken


def _let_go_of_lapsed(session: Session, queue_id: int) -> None:
    """Free what people of a queue walked away from. What another request is freeing is left to it."""
    lapsed = select(QueueHold.id).where(QueueHold.queue_id == queue_id, QueueHold.expires_at <= utc_now())
    _end(session, QueueHold.id.in_(lapsed.with_for_update(skip_locked=True)))


def _forget_skips(session: Session, queue: ReviewQueue, person: Person) -> bool:
    """Let what a person skipped come back. False where they skipped nothing."""
    skipped = (QueueAnswer.queue_id == queue.id, QueueAnswer.person_id == person.id, QueueAnswer.verdict.is_(None))
    return bool(session.scalars(delete(QueueAnswer).where(*skipped).returning(QueueAnswer.id)).all())


def _hold_of(queue: ReviewQueue, image: Image, person: Person) -> ColumnElement[bool]:
    return and_(
        QueueHold.queue_id == queue.id, QueueHold.image_id == image.id, QueueHold.person_id == person.id
    )  # fmt: skip


def _end(session: Session, which: ColumnElement[bool]) -> None:
    """End holds, and count them off where they are of a queue."""
    gone = delete(QueueHold).where(which).returning(QueueHold.queue_id, QueueHold.image_id).cte("gone")
    counted = (
        select(gone.c.queue_id, gone.c.image_id, func.count().label("count"))
        .group_by(gone.c.queue_id, gone.c.image_id)
        .cte("counted")
    )
    session.execute(
        update(QueuePhoto)
        .where(QueuePhoto.queue_id == counted.c.queue_id, QueuePhoto.image_id == counted.c.image_id)
        .values(held=func.greatest(0, QueuePhoto.held - counted.c.count))
        .execution_options(synchronize_session=False)
    )
    session.expire_all()


def _answers(session: Session, queue: ReviewQueue, image: Image) -> dict[int, QueueAnswer]:
    """What was said of a photo in a queue, by person; skipped ones and those taken back, too."""
    rows = session.scalars(
        select(QueueAnswer)
        .where(QueueAnswer.queue_id == queue.id, QueueAnswer.image_id == image.id)
        .execution_options(populate_existing=True)
    )
    return {row.person_id: row for row in rows}


def _stands(answer: QueueAnswer) -> bool:
    return answer.undone_at is None and answer.verdict is not None


def _begun(session: Session, queue: ReviewQueue, image: Image, person: Person) -> datetime | None:
    """When this photo's turn came: with the hold, or, held ahead, with the answer before it. None: it was not held."""
    last = (
        select(QueueAnswer.created_at)
        .where(QueueAnswer.person_id == person.id, QueueAnswer.verdict.is_not(None))
        .order_by(QueueAnswer.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    return session.scalar(select(func.greatest(QueueHold.held_since, last)).where(_hold_of(queue, image, person)))


def _write(
    session: Session,
    before: QueueAnswer | None,
    queue: ReviewQueue,
    image: Image,
    person: Person,
    verdict: str | None,
    reason: str | None,
    is_blind: bool,
    begun: datetime | None,
    decision: Decision | None = None,
) -> None:
    """Write a person's answer down, in place of the one `before`; of one moment with the decision that it is."""
    now = utc_now()
    answer = before or QueueAnswer(queue_id=queue.id, image_id=image.id, person_id=person.id)
    answer.verdict, answer.reason, answer.is_blind, answer.undone_at = verdict, reason, is_blind, None
    answer.created_at = decision.created_at if decision is not None else now
    answer.seconds = (now - begun).total_seconds() if begun is not None else None
    session.add(answer)
    session.flush()
