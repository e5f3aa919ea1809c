"""What other rule settings would change in a catalog, counted over the photo index, and the signals that limits cut."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Integer, cast, func, select
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
    counted = {}
    for name, limit in LIMITS.items():
        column = getattr(PhotoIndex, limit.signal)
        place = cast(func.least(func.greatest(func.floor(column / limit.highest * BINS), 0), BINS - 1), Integer).label(
            "place"
        )
        rows = session.execute(
            select(place, func.count())
            .where(PhotoIndex.catalog_id == catalog_id, column.is_not(None))
            .group_by("place")
        )
        counts = Counter({row[0]: row[1] for row in rows})
        counted[name] = tuple(counts[at] for at in range(BINS))
    return counted
