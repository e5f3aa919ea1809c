"""Captions of other kinds than the long one: what a version keeps of them beside the caption that is learned."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session, aliased

from app.captions.tables import CaptionText, Kind
from app.catalog.tables import Image
from app.datasets.tables import Member
from app.selection.query import Selection

COLUMNS: Final[dict[Kind, Any]] = {"short": Member.short_id, "tags": Member.tags_id, "facts": Member.facts_id}
"""Where a member keeps the caption that it had of each kind."""
# Of each kind the number of the caption and its text.
Kept = Mapping[Kind, tuple[int, str]]


def current(session: Session, chosen: Selection) -> dict[int, Kept]:
    """The current captions of other kinds of the photos in a selection, by photo; those without any are not there."""
    other = aliased(CaptionText)
    rows = session.execute(
        chosen.select(Image.id, other.kind, other.id, other.text).join(
            other, (other.image_id == Image.id) & other.superseded_at.is_(None) & other.kind.in_(COLUMNS)
        )
    )
    kept: defaultdict[int, dict[Kind, tuple[int, str]]] = defaultdict(dict)
    for image_id, kind, number, text in rows:
        kept[image_id][kind] = number, text
    return dict(kept)


def counted(session: Session, version_id: int) -> dict[str, int]:
    """How many members of a version have a caption of each other kind."""
    counts = [func.count(column).label(kind) for kind, column in COLUMNS.items()]
    return dict(session.execute(select(*counts).where(Member.version_id == version_id)).mappings().one())


def texts(session: Session, numbers: set[int]) -> dict[int, str]:
    """Texts of captions of any kind, by their numbers."""
    rows = session.execute(select(CaptionText.id, CaptionText.text).where(CaptionText.id.in_(numbers)))
    return {row[0]: row[1] for row in rows}


def text_of(number: ColumnElement[int]) -> ColumnElement[str]:
    """The text of the caption with a number, in SQL."""
    other = aliased(CaptionText)
    return select(other.text).where(other.id == number).scalar_subquery()
