"""What other rule settings would change in a catalog, counted over the photo index, and the signals that limits cut."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from sqlalchemy import Connection, Integer, case, cast, func, select
from sqlalchemy.orm import Session

from app.review import rulings
from app.review.rules import LIMITS, NAMES, RuleSettings
from app.review.rulings import FactColumns
from app.selection.columns.catalog import CatalogInMemory
from app.selection.columns.memory import in_memory
from app.selection.columns.numbers import Array
from app.selection.tables import PhotoIndex

BINS: Final = 50
_MEASURES: Final = ("contrast", "longest_px", "shortest_px", "sharpness", "confidence", "text_share", *rulings.MEASURED)
# Read at once, for the page of the rules asks for all of them: what else they look at, every facet does too.
_RULED: Final = (*(getattr(PhotoIndex, name) for name in _MEASURES), PhotoIndex.is_contradicted)
Ruled = list[tuple[str | None, str | None, int]]
"""How many photos a rule speaks of now, and another one, or none, would then."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What the rules say of the photos that no person has decided on: now, and with other settings.

    `now` and `then` count photos by the rule that speaks (None: none does); `changed` is how many photos another rule
    would speak of, or none any more.
    """

    undecided: int
    changed: int
    now: dict[str | None, int]
    then: dict[str | None, int]


def changes(session: Session, catalog_id: int, settings: RuleSettings) -> Changes:
    """What these settings would change, in one pass over narrow rows."""
    rows = in_memory(session, catalog_id, lambda held, link: _ruled_in_columns(held, link, settings))
    if rows is None:
        rows = _ruled_in_sql(session, catalog_id, settings)
    names: tuple[str | None, ...] = (*NAMES, None)
    return Changes(
        undecided=sum(count for _, _, count in rows),
        changed=sum(count for now, then, count in rows if now != then),
        now={name: sum(count for now, _, count in rows if now == name) for name in names},
        then={name: sum(count for _, then, count in rows if then == name) for name in names},
    )


def _ruled_in_columns(held: CatalogInMemory, link: Connection, settings: RuleSettings) -> Ruled:
    held.ready(link, _RULED)
    facts = FactColumns(
        **{name: held.measured(link, getattr(PhotoIndex, name)) for name in _MEASURES},
        is_measured=held.measured(link, PhotoIndex.confidence).is_told,
        is_scene=held.has(link, PhotoIndex.background, "scene"),
        is_packshot=held.has(link, PhotoIndex.background, "white", "plain"),
        is_cropped=held.has(link, PhotoIndex.cropped, "yes"),
        is_uncaptioned=held.has(link, PhotoIndex.captioned_by, "none"),
        is_contradicted=held.has(link, PhotoIndex.is_contradicted, True),
        has_text_beside=held.has(link, PhotoIndex.lettering, "beside"),
    )
    # Rows of a table of pairs, counted: which rule speaks now, and which would then; 0 for none.
    speaks = held.coded(link, PhotoIndex.rule, lambda name: NAMES.index(name) + 1 if name else 0).astype(np.uint16)
    speaks *= len(NAMES) + 1
    then = np.zeros(len(speaks), np.uint8)
    for name, condition in reversed(rulings.conditions(facts, settings).items()):
        then[condition] = NAMES.index(name) + 1
    counts = np.bincount((speaks + then)[~held.has(link, PhotoIndex.decided_by, "person")])
    names = (None, *NAMES)
    there = np.flatnonzero(counts).tolist()
    return [(names[pair // len(names)], names[pair % len(names)], int(counts[pair])) for pair in there]


def _ruled_in_sql(session: Session, catalog_id: int, settings: RuleSettings) -> Ruled:
    facts = FactColumns(
        **{name: getattr(PhotoIndex, name) for name in _MEASURES},
        is_measured=PhotoIndex.confidence.is_not(None),
        is_scene=PhotoIndex.background == "scene",
        is_packshot=PhotoIndex.background.in_(("white", "plain")),
        is_cropped=PhotoIndex.cropped == "yes",
        is_uncaptioned=PhotoIndex.captioned_by == "none",
        is_contradicted=PhotoIndex.is_contradicted,
        has_text_beside=PhotoIndex.lettering == "beside",
    )
    rows = session.execute(
        select(PhotoIndex.rule, rulings.speaking(facts, settings).label("then"), func.count())
        .where(PhotoIndex.catalog_id == catalog_id, PhotoIndex.decided_by != "person")
        .group_by(PhotoIndex.rule, "then")
    )
    return [(row[0], row[1], row[2]) for row in rows]


def histograms(session: Session, catalog_id: int) -> dict[str, tuple[int, ...]]:
    """For each limit, how many photos have a value of its signal in each of `BINS` equal steps from 0 to its highest;
    the last one has those beyond, too."""
    counted = in_memory(session, catalog_id, _histograms_in_columns)
    return _histograms_in_sql(session, catalog_id) if counted is None else counted


def _histograms_in_columns(held: CatalogInMemory, link: Connection) -> dict[str, tuple[int, ...]]:
    held.ready(link, _RULED)
    counts = {}
    for name, limit in LIMITS.items():
        column = getattr(PhotoIndex, limit.signal)
        counts[name] = tuple(held.bars(link, column, None, partial(_steps, highest=limit.highest), BINS))
    return counts


def _steps(values: Array, highest: float) -> Array:
    """Values as fractions of a limit's steps, worked out as SQL does."""
    return values / highest * BINS


def _histograms_in_sql(session: Session, catalog_id: int) -> dict[str, tuple[int, ...]]:
    places = []
    for name, limit in LIMITS.items():
        column = getattr(PhotoIndex, limit.signal)
        step = func.greatest(func.floor(column / limit.highest * BINS), 0)
        # `least` passes over nulls, and what was not measured has no place.
        places.append(case((column.is_not(None), cast(func.least(step, BINS - 1), Integer))).label(name))
    # One pass over the photos for all limits: they are counted by each place by itself.
    of = select(*places).where(PhotoIndex.catalog_id == catalog_id).subquery()
    columns = [of.c[name] for name in LIMITS]
    rows = session.execute(
        select(func.grouping(*columns), func.coalesce(*columns), func.count()).group_by(func.grouping_sets(*columns))
    )
    counts = Counter({(grouping, place): count for grouping, place, count in rows if place is not None})
    # `grouping` has a bit for each column that a row is not counted by, the first one highest.
    every = 2 ** len(LIMITS) - 1
    bits = {name: every - 2 ** (len(LIMITS) - 1 - at) for at, name in enumerate(LIMITS)}
    return {name: tuple(counts[bits[name], at] for at in range(BINS)) for name in LIMITS}
