"""Ranges of a selection: the photos from one to another in an order, as few numbers as tell which they are."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.orm import Session

from app.errors import Refused
from app.selection import browse
from app.selection.keys import KEYS
from app.selection.query import Selection

MOST = KEYS["id"].most


@dataclass(frozen=True, slots=True)
class IdRange:
    """`count` photos in a row of a selection: those in `ids`, or, where `is_left_out`, all of it but those in `ids`."""

    ids: tuple[int, ...]
    is_left_out: bool
    count: int


def between(session: Session, selection: Selection, sort: str, one_id: int, other_id: int) -> IdRange:
    """The photos from one to another in this order, both included, told by those that are fewer: they or the others.

    A photo at an end need not match the selection (any more); it is left out of none. Raises Refused where both are
    more than a filter takes by their numbers, or for an unknown order; NotFound for an unknown photo.
    """
    (low, first), (high, last) = sorted(
        (browse.position(session, selection, sort, id), id) for id in (one_id, other_id)
    )
    if first == last:
        return IdRange((first,), False, 1)
    first_is_in = browse.holds(session, selection, first)
    inside = high - low - first_is_in
    if inside + 2 <= MOST:
        _, behind = browse.neighbours(session, selection, sort, first, 0, inside)
        return IdRange((first, *behind, last), False, inside + 2)
    total = browse.count(session, selection)
    last_is_in = browse.holds(session, selection, last)
    before, after = low - 1, total - high + (not last_is_in)
    if before + after > MOST:
        raise Refused(
            f"These are {inside + 2:,} photos of {total:,}. One by one, at most {MOST:,} can be selected or left out: "
            f"narrow the filter, or select all of it."
        )
    head, _ = browse.neighbours(session, selection, sort, first, before, 0)
    _, tail = browse.neighbours(session, selection, sort, last, 0, after)
    return IdRange((*head, *tail), True, total - len(head) - len(tail))
