"""Label sets as facets: how many photos have each label, following the filter but for the set's own part of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import func, select, true
from sqlalchemy.orm import Session

from app.catalog.spelling import label_key
from app.labels import sets
from app.labels.tables import LabelSet, LabelValue
from app.selection.browse import Option
from app.selection.columns.memory import in_memory
from app.selection.labelled import joined, parted
from app.selection.query import Selection
from app.selection.tables import PhotoIndex

KEY: Final = "label"
MOST_SHOWN: Final = 100


@dataclass(frozen=True, slots=True)
class LabelFacet:
    """One set with its labels: each option's value is what the filter asks for it by."""

    label_set: LabelSet
    options: tuple[Option, ...]


def label_facets(session: Session, selection: Selection) -> list[LabelFacet]:
    """The sets of a catalog that are not retired, with their labels in order; of free text the most frequent first."""
    shown = sets.of(session, selection.catalog_id)
    if not shown:
        return []
    everywhere = counts(session, selection)
    chosen = {label_key(parted(value)[0]) for is_not in (False, True) for value in selection.values(KEY, is_not)}
    facets = []
    for label_set in shown:
        is_asked = label_set.name_key in chosen
        counted = counts(session, free_of(selection, label_set)) if is_asked else everywhere
        facets.append(LabelFacet(label_set, tuple(_options(label_set, counted, selection))))
    return facets


def counts(session: Session, selection: Selection) -> dict[int, int]:
    """How many photos of a selection have each label, by its number."""
    known = in_memory(session, selection.catalog_id, lambda held, link: held.labels(link, selection))
    if known is not None:
        return known
    given = func.unnest(PhotoIndex.labels).table_valued("number").render_derived("given")
    rows = session.execute(
        select(given.c.number, func.count())
        .select_from(PhotoIndex)
        .join(given, true())
        .where(PhotoIndex.catalog_id == selection.catalog_id, *selection.clauses().values())
        .group_by(given.c.number)
    )
    return {row[0]: row[1] for row in rows}


def free_of(selection: Selection, label_set: LabelSet) -> Selection:
    """The selection without what it asks of one set."""
    for is_not in (False, True):
        stay = [v for v in selection.values(KEY, is_not) if label_key(parted(v)[0]) != label_set.name_key]
        selection = selection.with_term(KEY, stay, is_not)
    return selection


def _options(label_set: LabelSet, counted: dict[int, int], selection: Selection) -> Sequence[Option]:
    on = {(label_key(name), label_key(label or "")) for name, label in map(parted, selection.values(KEY))}
    options = []
    for value in label_set.values:
        is_on = (label_set.name_key, value.name_key) in on
        if is_on or value.id in counted or _is_offered(label_set, value):
            options.append(Option(joined(label_set.name, value.name), counted.get(value.id, 0), is_on))
    if label_set.kind == "text":
        options.sort(key=lambda option: (not option.is_on, -option.count, option.value))
    return options[:MOST_SHOWN]


def _is_offered(label_set: LabelSet, value: LabelValue) -> bool:
    return value.retired_at is None and label_set.kind != "text"
