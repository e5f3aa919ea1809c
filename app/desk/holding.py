"""Whose hands a photo is in: handed out one by one, held while there are signs of life, free again afterwards.

Two people never hold the same photo, unless a queue's overlap says so. A photo is handed out by a guarded update of its
row (`held < passes_left`, rows that others are busy with skipped), so 200 people who ask at once get 200 photos.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    DateTime,
    Exists,
    Select,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from app.catalog import reading
from app.catalog.tables import Image
from app.database import utc_now
from app.desk import answers, queues
from app.desk.tables import QueueAnswer, QueueHold, QueuePerson, QueuePhoto, ReviewQueue
from app.errors import Refused
from app.people import Person, at_least
from app.review import decisions
from app.review.tables import Decision

HOLD_LASTS: Final = timedelta(minutes=12)
"""Without a sign of life. A photo takes seconds; who reads a long caption or takes a call comes back to it."""
AHEAD: Final = 6
"""Photos that a person holds at once: the one they look at and the next, which the browser fetches ahead."""

# No name of a column: a statement inside another would take the value for one of its own.
_QUEUE: Final = bindparam("of_queue", type_=BigInteger())
_IMAGE: Final = bindparam("of_image", type_=BigInteger())
_PERSON: Final = bindparam("of_person", type_=BigInteger())
_NOW: Final = bindparam("now", type_=DateTime(timezone=True))
_UNTIL: Final = bindparam("until", type_=DateTime(timezone=True))


def _looked() -> Select[bool, bool, int, int]:
    given = select(QueuePerson.person_id).where(QueuePerson.queue_id == _QUEUE)
    lapsed = select(QueueHold.id).where(QueueHold.queue_id == _QUEUE, QueueHold.expires_at <= _NOW).correlate(None)
    of_photo = and_(QueuePhoto.queue_id == QueueHold.queue_id, QueuePhoto.image_id == QueueHold.image_id)
    return (
        select(
            or_(~given.exists(), given.where(QueuePerson.person_id == _PERSON).exists()),
            lapsed.exists(),
            QueuePhoto.place,
            QueuePhoto.image_id,
        )
        .select_from(ReviewQueue)
        .outerjoin(QueueHold, and_(QueueHold.queue_id == ReviewQueue.id, QueueHold.person_id == _PERSON))
        .outerjoin(QueuePhoto, of_photo)
        .where(ReviewQueue.id == _QUEUE)
        .order_by(QueuePhoto.place, QueuePhoto.image_id)
    )


def _taken() -> Select[int, int]:
    of_photo = QueueHold.image_id == QueuePhoto.image_id
    is_mine = and_(QueueHold.queue_id == _QUEUE, QueueHold.person_id == _PERSON)
    is_elsewhere = and_(
        QueueHold.queue_id.is_distinct_from(_QUEUE), QueueHold.person_id != _PERSON, QueueHold.expires_at > _NOW
    )
    answered = exists().where(
        QueueAnswer.queue_id == _QUEUE, QueueAnswer.image_id == QueuePhoto.image_id,
        QueueAnswer.person_id == _PERSON, QueueAnswer.undone_at.is_(None),
    )  # fmt: skip
    free = (
        select(QueuePhoto.image_id)
        .where(
            QueuePhoto.queue_id == _QUEUE, QueuePhoto.held < QueuePhoto.passes_left,
            ~answered, ~exists().where(of_photo, or_(is_mine, is_elsewhere)),
        )
        .order_by(QueuePhoto.place, QueuePhoto.image_id)
        .limit(bindparam("count", type_=BigInteger()))
        .with_for_update(skip_locked=True)
        .cte("free")
    )  # fmt: skip
    taken = (
        update(QueuePhoto)
        .where(QueuePhoto.queue_id == _QUEUE, QueuePhoto.image_id == free.c.image_id)
        .values(held=QueuePhoto.held + 1)
        .returning(QueuePhoto.place, QueuePhoto.image_id)
        .cte("taken")
    )
    row = select(taken.c.image_id, _QUEUE, _PERSON, _NOW, _UNTIL)
    held = insert(QueueHold).from_select(["image_id", "queue_id", "person_id", "held_since", "expires_at"], row)
    return select(taken.c.place, taken.c.image_id).add_cte(held.returning(QueueHold.id).cte("held_now"))


# Built once: putting such statements together took longer than the database's answer to them.
_WITH_PHOTO: Final = select(ReviewQueue, Image).join(Image, Image.id == _IMAGE).where(ReviewQueue.id == _QUEUE)
_LOOK: Final = _looked()
_TAKE: Final = _taken()


@dataclass(frozen=True, slots=True)
class QueueDecision:
    """What came of an answer: the photo's decision where the answer is one, and whether it stays out of sight. `left`
    photos of the queue still wait for a pass."""

    decision: Decision | None
    is_blind: bool
    left: int = field(default=0, compare=False)


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
    look = _look(session, queue, person)
    if queue.closed_at is not None or not look.is_given:
        raise Refused(f"{queue.name} is closed." if queue.closed_at else f"{queue.name} was not given to you.")
    mine = look.mine
    if look.has_lapsed:
        _let_go_of_lapsed(session, queue.id)
        mine = _look(session, queue, person).mine
    if len(mine) < count:
        taken = _take(session, queue, person, count - len(mine))
        if not taken and not mine and _forget_skips(session, queue, person):
            taken = _take(session, queue, person, count)
        mine = sorted(mine + taken)
    return [image_id for _, image_id in mine[:count]]


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
    mine = session.scalars(
        select(QueueAnswer)
        .where(
            QueueAnswer.queue_id == queue.id, QueueAnswer.image_id == image.id, QueueAnswer.person_id == person.id
        )
        .execution_options(populate_existing=True)
    ).one_or_none()  # fmt: skip
    if mine is None or not (mine.undone_at is None and mine.verdict is not None):
        answer = answers.written(queue, image, person, None, None, False, None, utc_now())
        session.execute(select(literal(1)).add_cte(answer))
    _end(session, answers.hold_of(queue, image, person))


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
    known = answers.lock(session, queue, image)
    said = answers.read(session, queue, image, person)
    is_blind = known is not None or (queue.overlap > 1 and said.by_others)
    before, now, decision = said.decision, utc_now(), None
    is_kept = is_blind or (before and decisions.is_said(session, before, person, verdict, reason, expected_id))
    if is_kept and not is_blind:
        decision = before
    made_at = decision.created_at if decision is not None else now
    seconds = (now - said.begun).total_seconds() if said.begun is not None else None
    answer = answers.written(queue, image, person, verdict, reason, is_blind, seconds, made_at)
    beside = (*answers.passed(queue, image, person, 0 if said.by_me else 1), answer)
    if is_kept:
        session.execute(select(literal(1)).add_cte(*beside))
    else:
        decision = decisions.put(session, image.id, person, verdict, reason, before, now, beside)
    answers.forget_rows(session)
    return QueueDecision(decision, is_blind, said.left - (said.passes_left == 1 and not said.by_me))


def with_photo(session: Session, queue_id: int, image_id: int) -> tuple[ReviewQueue, Image]:
    """A queue and a photo, in one statement. Raises NotFound where one of them is not there."""
    row = session.execute(_WITH_PHOTO, {"of_queue": queue_id, "of_image": image_id}).one_or_none()
    if row is None:
        return queues.get(session, queue_id), reading.photo(session, image_id)
    return row[0], row[1]


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
    """Whether a pass of this person on a photo is shown blind: others answered before, or the queue has known answers.

    Then all of its passes are, for a page that differed would tell which answers are known.
    """
    this = (QueuePhoto.queue_id == queue.id, QueuePhoto.image_id == image_id)
    row = session.execute(select(QueuePhoto, _has_known(queue.id).label("has_known")).where(*this)).one_or_none()
    if row is None:
        return False
    return bool(row.has_known) or (queue.overlap > 1 and _others_said(session, row.QueuePhoto, person))


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
            or_(_has_known(ReviewQueue.id), and_(ReviewQueue.overlap > 1, others_said)),
        )
    )  # fmt: skip
    return {row.image_id: row.queue_id for row in rows}


def _has_known(queue_id: int | InstrumentedAttribute[int]) -> Exists:
    known = aliased(QueuePhoto)
    return exists().where(known.queue_id == queue_id, known.known.is_not(None))


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


@dataclass(frozen=True, slots=True)
class _QueueLook:
    """A queue as one person finds it: whether it is theirs or everybody's, whether holds in it ran out, and the photos
    in their hands, each its place and number, in the queue's order."""

    is_given: bool
    has_lapsed: bool
    mine: list[tuple[int, int]]


def _look(session: Session, queue: ReviewQueue, person: Person) -> _QueueLook:
    rows = session.execute(_LOOK, {"of_queue": queue.id, "of_person": person.id, "now": utc_now()}).all()
    mine = [(place, image_id) for _, _, place, image_id in rows if image_id is not None]
    return _QueueLook(rows[0][0], rows[0][1], mine)


def _take(session: Session, queue: ReviewQueue, person: Person, count: int) -> list[tuple[int, int]]:
    """Put the first free photos of a queue into a person's hands, in one statement: each its place and number."""
    now = utc_now()
    asked = {"of_queue": queue.id, "of_person": person.id, "now": now, "until": now + HOLD_LASTS, "count": count}
    rows = session.execute(_TAKE, asked).all()
    answers.forget_rows(session)
    return [(row.place, row.image_id) for row in rows]


def _let_go_of_lapsed(session: Session, queue_id: int) -> None:
    """Free what people of a queue walked away from. What another request is freeing is left to it."""
    lapsed = select(QueueHold.id).where(QueueHold.queue_id == queue_id, QueueHold.expires_at <= utc_now())
    _end(session, QueueHold.id.in_(lapsed.with_for_update(skip_locked=True)))


def _forget_skips(session: Session, queue: ReviewQueue, person: Person) -> bool:
    """Let what a person skipped come back. False where they skipped nothing."""
    skipped = (QueueAnswer.queue_id == queue.id, QueueAnswer.person_id == person.id, QueueAnswer.verdict.is_(None))
    return bool(session.scalars(delete(QueueAnswer).where(*skipped).returning(QueueAnswer.id)).all())


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
    answers.forget_rows(session)
