"""Acts on many photos, begun and carried out."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy.orm import Session

from app.bulk import operations
from app.catalog.tables import Catalog
from app.people import Person
from app.review.tables import Operation
from app.selection.query import parse

KEEP: Final = {"verdict": "kept", "reason": None}


def begin(session: Session, pile: Catalog, person: Person, kind: str, value: dict[str, Any], q: str = "") -> Operation:
    """An act on what a filter gives now, of which nothing is done yet."""
    return operations.begin(session, parse(q, pile.id), person, kind, value, q)


def act(session: Session, pile: Catalog, person: Person, kind: str, value: dict[str, Any], q: str = "") -> Operation:
    """An act on what a filter gives now, done."""
    operation = begin(session, pile, person, kind, value, q)
    operations.carry_out(session, operation, person)
    return operation
