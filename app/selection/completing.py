"""What could stand at the cursor of a filter that is being typed: keys, and values with their counts."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.catalog.spelling import label_key
from app.catalog.tables import MapSet
from app.people import Person
from app.selection import browse
from app.selection.keys import KEYS, LISTED, SEVERAL
from app.selection.kinds import NOTHING, Key, Label, OneOf
from app.selection.label_facets import label_facets
from app.selection.labelled import Labelled
from app.selection.near import Inside
from app.selection.query import Selection
from app.selection.tree import Term
from app.selection.when import LATELY, When, Who
from app.selection.wording import say_term
from app.selection.writing import write_value

SHOWN: Final = 12
# A key with its values so far, of which the last one ends at the cursor; and the beginning of a key.
_OF_KEY: Final = re.compile(
    r'(?:^|[\s(-])([^\W\d]\w*)[:：]((?:(?:"(?:[^"\\]|\\.)*"|[^\s",，、，]+)[,，、،])*)("[^"]*|[^\s",，、،]*)$'
)
_BEGUN: Final = re.compile(r"(?:^|[\s(-])([^\W\d]\w*)$")


@dataclass(frozen=True, slots=True)
class Completion:
    """`text` is what would stand in place of what is typed; `count` how many photos have it, where that is known."""

    text: str
    hint: str = ""
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Completions:
    """What fits, best first, in place of the characters from `start` to `end` (0-based, the end not included)."""

    start: int
    end: int
    choices: tuple[Completion, ...] = ()


def complete(session: Session, counted: Selection, text: str, cursor: int) -> Completions:
    """What could stand at `cursor`, at most `SHOWN`, with how many of the photos `counted` have it; none where nothing
    is begun or nothing of ours fits."""
    cursor = max(0, min(cursor, len(text)))
    before = text[:cursor]
    if (typed := _OF_KEY.search(before)) and (key := KEYS.get(typed[1].lower())):
        start = typed.start(3)
        begun = label_key(typed[3].lstrip('"'))
        choices = list(itertools.islice(_values(session, counted, key, begun), SHOWN))
        end = cursor
        if typed[3].startswith('"') and text.startswith('"', cursor):
            end += 1
        return Completions(start, end, tuple(choices))
    if (typed := _BEGUN.search(before)) is None:
        return Completions(cursor, cursor)
    begun = typed[1].lower()
    names = sorted((name for name in KEYS if begun in name), key=lambda name: (not name.startswith(begun), name))
    keys = tuple(Completion(f"{name}:", say_term(Term(name, KEYS[name].sample))) for name in names[:SHOWN])
    return Completions(typed.start(1), cursor, keys)


def _values(session: Session, counted: Selection, key: Key, begun: str) -> Iterator[Completion]:
    """Values of a key that begin as typed, or have a word that does; those of most photos first."""
    for value, count in _counts(session, counted, key, begun).items():
        hint = key.choices.get(value or "", "") if isinstance(key, OneOf) else ""
        if f" {begun}" in f" {label_key(f'{value or NOTHING} {hint}')}":
            yield Completion(NOTHING if value is None else write_value(value, key), hint, count)


def _counts(session: Session, counted: Selection, key: Key, begun: str) -> dict[str | None, int | None]:
    if key.name in LISTED or key.name in SEVERAL:
        options = browse.facets(session, counted).options[key.name]
        ordered = sorted(options, key=lambda option: -option.count) if isinstance(key, Label) else options
        return {option.value: option.count for option in ordered}
    if isinstance(key, OneOf):
        return dict.fromkeys(key.allowed)
    if isinstance(key, Label):
        return _names(session, counted.catalog_id, key, begun)
    if isinstance(key, Who):
        people = session.scalars(select(Person.name).where(Person.deleted_at.is_(None)).order_by(Person.name))
        return dict.fromkeys([*people, None])
    if isinstance(key, When):
        return dict.fromkeys([*LATELY, None])
    if isinstance(key, Labelled):
        facets = label_facets(session, counted)
        named = {option.value: option.count for facet in facets for option in facet.options}
        return dict.fromkeys([facet.label_set.name for facet in facets]) | named | {None: None}
    if isinstance(key, Inside):
        return dict.fromkeys(
            session.scalars(select(MapSet.name).where(MapSet.catalog_id == counted.catalog_id).limit(200))
        )
    return {}


def _names(session: Session, catalog_id: int, key: Label, begun: str) -> dict[str | None, int | None]:
    """Names that photos have in a column that is no facet, those of most photos first."""
    owner = key.column.class_
    counted = (
        select(func.min(key.spelling), func.count())
        .where(owner.catalog_id == catalog_id, func.starts_with(key.column, begun))
        .group_by(key.column)
        .order_by(func.count().desc(), key.column)
        .limit(SHOWN)
    )
    return {row[0]: row[1] for row in session.execute(counted)}
