"""Taking a person's newest act back, whatever it was, answers in queues among them."""

from __future__ import annotations

from sqlalchemy.orm import Session

from app.bulk import undoing
from app.catalog.tables import Image
from app.desk import holding
from app.people import Person
from app.review import decisions
from app.review.undoing import Undone


def undo(session: Session, person: Person) -> Undone:
    """Take back the newest act of this person that still stands. A photo whose answer is taken back waits in its queue
    again, in this person's hands. Raises Refused while a worker is busy with that act.
    """
    answer = holding.newest_answer(session, person)
    act = undoing.newest(session, person)
    if answer is None or (act is not None and act.created_at > answer.created_at):
        return undoing.undo(session, person)
    image = session.get_one(Image, answer.image_id)
    if answer.is_blind:
        holding.reopen(session, answer)
        return Undone(f"Your answer on {decisions.name_of(image)} is taken back.", image.id, 1)
    # The answer was the photo's decision; somebody may have decided otherwise since, and then that stays.
    back = undoing.undo(session, person) if act is not None and act.created_at == answer.created_at else None
    holding.reopen(session, answer)
    return back or Undone(
        f"Your answer on {decisions.name_of(image)} is taken back; its decision is not yours.", image.id
    )
