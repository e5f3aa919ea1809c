"""What of acts on captions still stands, and whose captions are: for pages, in few statements."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import and_, any_, func, select
from sqlalchemy.orm import Session, aliased

from app.captions.tables import CaptionText, Kind
from app.catalog.reading import Chosen
from app.catalog.tables import Image
from app.database import array
from app.people import Person


def of_operations(session: Session, operation_ids: Collection[int]) -> dict[int, tuple[int, int]]:
    """By operation: how many captions of it are current, and how many somebody replaced since."""
    own = CaptionText
    query = (
        select(
            own.operation_id,
            func.count().filter(own.superseded_at.is_(None)),
            func.count().filter(and_(own.superseded_at.is_not(None), own.undone_at.is_(None))),
        )
        .where(own.operation_id == any_(array(sorted(operation_ids))))
        .group_by(own.operation_id)
    )
    return {row[0]: (row[1], row[2]) for row in session.execute(query) if row[0] is not None}


def captions_by_kind(session: Session, selection: Chosen) -> dict[Kind, int]:
    """How many captions of each kind the photos of a selection have."""
    of_any = aliased(CaptionText)
    query = selection.select(of_any.kind, func.count()).join(
        of_any, and_(of_any.image_id == Image.id, of_any.superseded_at.is_(None))
    )
    return {row[0]: row[1] for row in session.execute(query.group_by(of_any.kind))}


def authors(session: Session, caption_ids: Collection[int]) -> dict[int, str]:
    """Who wrote these captions, in a word or two: a name, "captioner", "file"."""
    own = CaptionText
    query = (
        select(own.id, own.written_by, Person.name)
        .outerjoin(Person, Person.id == own.person_id)
        .where(own.id == any_(array(sorted(caption_ids))))
    )
    words = {"captioner": "captioner", "given": "from a file"}
    return {row[0]: row[2] or words.get(row[1], "somebody") for row in session.execute(query)}
