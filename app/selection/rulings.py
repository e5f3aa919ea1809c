"""What other rule settings would change in a catalog, counted over the photo index, and the signals that limits cut."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Integer, case, cast, func, select
from sqlalchemy.orm import Session

from app.review import rulings
from app.review.rules import LIMITS, NAMES, RuleSettings
from app.review.rulings import FactColumns
from app.selection.tables import PhotoIndex

BINS: Final = 50


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
    facts = FactColumns(
        contrast=PhotoIndex.contrast,
        longest_px=PhotoIndex.longest_px,
        shortest_px=PhotoIndex.shortest_px,
        sharpness=PhotoIndex.sharpness,
        confidence=PhotoIndex.confidence,
        background=PhotoIndex.background,
        is_cropped=PhotoIndex.is_cropped,
        is_captioned=PhotoIndex.captioned_by != "none",
        is_contradicted=PhotoIndex.is_contradicted,
        lettering=PhotoIndex.lettering,
        **{name: getattr(PhotoIndex, name) for name in rulings.MEASURED},
    )
    rows = session.execute(
        select(PhotoIndex.rule, rulings.speaking(facts, settings).label("then"), func.count())
        .where(PhotoIndex.catalog_id == catalog_id, PhotoIndex.decided_by != "person")
        .group_by(PhotoIndex.rule, "then")
    ).all()
    names: tuple[str | None, ...] = (*NAMES, None)
    return Changes(
        undecided=sum(count for _, _, count in rows),
        changed=sum(count for now, then, count in rows if now != then),
        now={name: sum(count for now, _, count in rows if now == name) for name in names},
        then={name: sum(count for _, then, count in rows if then == name) for name in names},
    )


def histograms(session: Session, catalog_id: int) -> dict[str, tuple[int, ...]]:
    """For each limit, how many photos have a value of its signal in each of `BINS` equal steps from 0 to its highest;
    the last one has those beyond, too."""
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
