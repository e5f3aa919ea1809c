"""Repeats: which photos of a version a trainer shows more than once in one time round, said by filters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy.orm import Session

from app.errors import Refused
from app.selection.query import Selection, parse
from app.selection.tables import PhotoIndex

TIMES_AT_MOST: Final = 100
RULES_AT_MOST: Final = 50


@dataclass(frozen=True, slots=True)
class Repeat:
    """Photos that match `query`, in the filter language, are shown `times` times, 2 to TIMES_AT_MOST."""

    query: str
    times: int


def read(repeated: Sequence[Repeat], catalog_id: int) -> list[Repeat]:
    """What was asked for as it is kept: without what says nothing (no filter, or once), each filter as it is written.

    Raises selection.NotUnderstood for a filter that does not parse, Refused where a number is out of its range.
    """
    asked = [repeat for repeat in repeated if repeat.query.strip() and repeat.times != 1]
    if wrong := [repeat.times for repeat in asked if not 1 <= repeat.times <= TIMES_AT_MOST]:
        raise Refused(f"Photos are shown 1 to {TIMES_AT_MOST} times, not {wrong[0]:,}.")
    if len(asked) > RULES_AT_MOST:
        raise Refused(f"A version has at most {RULES_AT_MOST} kinds of repeated photos, not {len(asked):,}.")
    written: dict[str, int] = {}
    for repeat in asked:
        query = parse(repeat.query.strip(), catalog_id).query
        written[query] = max(written.get(query, 1), repeat.times)
    return [Repeat(query, times) for query, times in sorted(written.items())]


def times(session: Session, chosen: Selection, rules: Sequence[Repeat]) -> dict[int, int]:
    """How often each photo that any rule repeats is shown, by its number: the most that one of its rules says."""
    most: dict[int, int] = {}
    for rule in rules:
        ids = session.scalars(parse(rule.query, chosen.catalog_id).select(PhotoIndex.image_id))
        for image_id in ids:
            most[image_id] = max(most.get(image_id, 1), rule.times)
    return most
