"""Saved views: a filter and an order of a catalog by a name, for oneself or for the whole team."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ForeignKey, Text, false, func, or_, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from app.catalog import reading
from app.catalog.spelling import is_unseen
from app.catalog.tables import Catalog
from app.database import Base, BigId, Moment, utc_now
from app.errors import Conflict, NotFound, Refused
from app.people import Person
from app.selection.ordering import order_named
from app.selection.query import parse

NAME_MOST: Final = 60
VIEWS_MOST: Final = 100
"""How many views a person keeps of one catalog."""


class SavedView(Base):
    """A filter (`query`) and an order (`sort`) of a catalog. It is a person's own; others see it where `is_shared`."""

    __tablename__ = "saved_view"

    id: Mapped[BigId]
    catalog_id: Mapped[int] = mapped_column(ForeignKey(Catalog.id, ondelete="CASCADE"), index=True)
    person_id: Mapped[int] = mapped_column(ForeignKey(Person.id))
    name: Mapped[str] = mapped_column(Text)
    query: Mapped[str] = mapped_column(Text)
    sort: Mapped[str] = mapped_column(Text)
    is_shared: Mapped[bool] = mapped_column(default=False, server_default=false())
    created_at: Mapped[Moment] = mapped_column(default=utc_now)


@dataclass(frozen=True, slots=True)
class ShownView:
    """A view as one person sees it: whose it is, and whether they may change it."""

    view: SavedView
    owner: str
    is_own: bool


def visible(session: Session, catalog_id: int, me: Person) -> Sequence[ShownView]:
    """One's own views of a catalog and those that others share, by name."""
    rows = session.execute(
        select(SavedView, Person.name)
        .join(Person, Person.id == SavedView.person_id)
        .where(SavedView.catalog_id == catalog_id, or_(SavedView.is_shared, SavedView.person_id == me.id))
        .order_by(func.lower(SavedView.name), SavedView.id)
    )
    return [ShownView(view, owner, view.person_id == me.id) for view, owner in rows]


def save(session: Session, catalog_id: int, me: Person, name: str, query: str, sort: str, is_shared: bool) -> SavedView:
    """Keep a filter and an order by a name. Raises Refused for a name or a filter that is none, NotFound, and Conflict
    where the person has a view of that name already."""
    reading.get(session, catalog_id)
    order_named(sort)
    # Two windows that save at once queue up here, so that no name stands twice.
    session.execute(select(Person.id).where(Person.id == me.id).with_for_update())
    name = _free_name(session, catalog_id, me, name)
    own = select(func.count()).where(SavedView.catalog_id == catalog_id, SavedView.person_id == me.id)
    if (session.scalar(own) or 0) >= VIEWS_MOST:
        raise Refused(f"A person keeps at most {VIEWS_MOST} views of a catalog. Delete one first.")
    view = SavedView(
        catalog_id=catalog_id, person_id=me.id, name=name, query=parse(query, catalog_id).query, sort=sort,
        is_shared=is_shared,
    )  # fmt: skip
    session.add(view)
    session.flush()
    return view


def change(session: Session, view_id: int, me: Person, name: str, is_shared: bool) -> SavedView:
    """Give one's own view another name, and share it or no more. Raises as `save`."""
    view = _own(session, view_id, me)
    session.execute(select(Person.id).where(Person.id == me.id).with_for_update())
    view.name = _free_name(session, view.catalog_id, me, name, view.id)
    view.is_shared = is_shared
    session.flush()
    return view


def delete(session: Session, view_id: int, me: Person) -> int:
    """Take one's own view away, and give the number of its catalog. The photos stay. Raises NotFound."""
    view = _own(session, view_id, me)
    session.delete(view)
    session.flush()
    return view.catalog_id


def _own(session: Session, view_id: int, me: Person) -> SavedView:
    view = session.get(SavedView, view_id)
    if view is None or view.person_id != me.id:
        raise NotFound("This view is not one of yours.")
    return view


def _free_name(session: Session, catalog_id: int, me: Person, name: str, but_id: int = 0) -> str:
    name = " ".join(name.split())
    if not name or len(name) > NAME_MOST or "\0" in name or is_unseen(name):
        raise Refused(f"The name of a view has 1 to {NAME_MOST} characters, some of them to be seen.")
    same = select(SavedView.id).where(
        SavedView.catalog_id == catalog_id, SavedView.person_id == me.id, SavedView.id != but_id,
        func.lower(SavedView.name) == name.lower(),
    )  # fmt: skip
    if session.scalar(same) is not None:
        raise Conflict(f"You have a view “{name}” of this catalog already.")
    return name
