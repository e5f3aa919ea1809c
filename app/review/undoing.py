"""Taking back one decision, with what belongs to it, or one caption. Whose turn it is: `app/bulk/undoing.py`."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import BigInteger, any_, cast, select, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from app.captions.tables import Caption, CaptionCheck
from app.catalog.tables import Image
from app.database import utc_now
from app.jobs import Job
from app.people import Person
from app.review import decisions
from app.review.tables import Decision


@dataclass(frozen=True, slots=True)
class Undone:
    """What an undo did, in a sentence, and a photo to look at (None when there was nothing to undo).

    `decision` is the one that is current again on a single photo; `job` takes the rest back where it is much.
    """

    sentence: str
    image_id: int | None = None
    count: int = 0
    decision: Decision | None = None
    job: Job | None = None


def newest_decision(session: Session, person: Person) -> Decision | None:
    """The newest decision of this person that still stands."""
    mine = (Decision.person_id == person.id, Decision.superseded_at.is_(None))
    return session.scalars(select(Decision).where(*mine).order_by(Decision.id.desc()).limit(1)).first()


def newest_caption(session: Session, person: Person) -> Caption | None:
    """The newest caption of this person that still stands; what an operation wrote is taken back with it."""
    mine = (Caption.person_id == person.id, Caption.superseded_at.is_(None), Caption.operation_id.is_(None))
    return session.scalars(select(Caption).where(*mine).order_by(Caption.id.desc()).limit(1)).first()


def undo_act(session: Session, newest: Decision) -> Undone:
    """Take back the act that a decision is of, as far as nobody decided again since."""
    image = session.get_one(Image, newest.image_id)
    decisions.lock(session, image.catalog_id)
    now = utc_now()
    undone = session.execute(
        update(Decision)
        .where(Decision.person_id == newest.person_id, Decision.created_at == newest.created_at)
        .where(Decision.superseded_at.is_(None))
        .values(superseded_at=now, undone_at=now)
        .returning(Decision.image_id, Decision.parent_id, Decision.verdict)
        .execution_options(synchronize_session=False)
    ).all()
    parents = [row.parent_id for row in undone if row.parent_id is not None]
    if parents:
        session.execute(
            update(Decision)
            .where(Decision.id == any_(cast(parents, ARRAY(BigInteger))))
            .values(superseded_at=None)
            .execution_options(synchronize_session=False)
        )
    session.expire_all()
    # Rules may have been set otherwise since they looked at these photos.
    chosen = cast([row.image_id for row in undone], ARRAY(BigInteger))
    looked_at = select(Decision.image_id).where(Decision.image_id == any_(chosen), Decision.rule.is_not(None))
    checked = select(CaptionCheck.image_id).where(CaptionCheck.image_id == any_(chosen))
    if ids := session.scalars(looked_at.union(checked)).all():
        decisions.apply_rules(session, ids)
    if len(undone) != 1:
        verdicts = {row.verdict for row in undone}
        what = decisions.SAID[newest.verdict] if len(verdicts) == 1 else "what was decided"
        return Undone(f"Took back {what} on {len(undone):,} photos.", image.id, len(undone))
    return of_one(session, image)


def of_one(session: Session, image: Image) -> Undone:
    """What a photo is again."""
    before = decisions.current(session, image.id)
    if before is None:
        state = "is not decided any more"
    elif before.is_suggestion:
        state = f"is not decided any more; a rule suggests {decisions.SUGGESTED[before.verdict]}"
    else:
        state = f"is {decisions.SAID[before.verdict]} again"
    return Undone(f"{decisions.name_of(image)} {state}.", image.id, 1, before)


def undo_caption(session: Session, caption: Caption) -> Undone:
    """Take one caption back, unless somebody has just written another."""
    image = session.get_one(Image, caption.image_id)
    decisions.lock(session, image.catalog_id)
    taken_back = session.execute(
        update(Caption)
        .where(Caption.id == caption.id, Caption.superseded_at.is_(None))
        .values(superseded_at=utc_now())
        .returning(Caption.id)
    ).scalar_one_or_none()
    if taken_back is None:
        return Undone(f"Somebody has just written another caption for {decisions.name_of(image)}; it stays.", image.id)
    if caption.parent_id is not None:
        session.get_one(Caption, caption.parent_id).superseded_at = None
        session.flush()
    decisions.reconsider(session, image.id)
    return Undone(
        f"{decisions.name_of(image)} has its earlier caption again.", image.id, 1, decisions.current(session, image.id)
    )
