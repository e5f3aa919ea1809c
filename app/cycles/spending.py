"""Who may spend: an owner always; a lead what a cycle, which an owner started, has set aside."""

from __future__ import annotations

from sqlalchemy.orm import Session

from app.cycles import clock
from app.errors import NotAllowed
from app.people import Person
from app.settings import Settings


def refuse(session: Session, settings: Settings, person: Person) -> None:
    """Raises NotAllowed where a lead asks for what costs money that no owner has set aside. Free work is free."""
    if person.role == "owner" or not settings.gpu_hour_price:
        return
    now = clock.read(session, settings)
    if now is None:
        raise NotAllowed("This costs money, and no cycle has set any aside. An owner can start one, or do this.")
    if now.money_left is not None and now.money_left <= 0:
        raise NotAllowed(f"The money of cycle {now.number} is spent. An owner can start the next one, or do this.")


def free_of(session: Session, settings: Settings, person: Person | None) -> Settings:
    """The settings for what follows by itself from work that somebody asked for.

    They name no caption model and no embedder, which would cost money, where none is set aside for the person: captions
    from facts are free, and a model takes their place when somebody who may spend asks for it. None: the program itself
    asked.
    """
    if person is None or (settings.caption_model is None and settings.embedder is None):
        return settings
    try:
        refuse(session, settings, person)
    except NotAllowed:
        return settings.model_copy(update={"caption_model": None, "embedder": None})
    return settings
