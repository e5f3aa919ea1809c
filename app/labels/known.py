"""What is known of photos besides their pixels: catalogue, measured colour, labels, text in the picture. For questions
that are put to a captioner."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any, Final

from sqlalchemy import BigInteger, any_, cast, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from app.captions import proposing, titles
from app.catalog.tables import Image, Lettering, Signals
from app.labels.tables import Labelling, LabelSet, LabelValue

# What tables of shops call each, the likeliest first.
COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "brand": ("brand", "brand_name", "manufacturer", "maker", "marke", "hersteller", "marque", "marca"),
    "colour": ("colour", "color", "base_colour", "basecolour", "color_name", "farbe", "couleur", "colore"),
    "material": ("material", "fabric", "composition", "materiaux", "matiere", "tessuto"),
}
TEXT_AT_MOST: Final = 200


def known_of(session: Session, image_ids: Collection[int]) -> dict[int, dict[str, str]]:
    """The facts of each of these photos by name, without those that nobody knows."""
    ids = cast(sorted(image_ids), ARRAY(BigInteger))
    rows = session.execute(
        select(Image, Signals, Lettering.words)
        .outerjoin(Signals, Signals.image_id == Image.id)
        .outerjoin(Lettering, Lettering.image_id == Image.id)
        .where(Image.id == any_(ids))
    ).all()
    labels = _labels_of(session, ids)
    known = {}
    for image, signals, words in rows:
        catalogue = proposing.catalogue_facts(image)
        facts = {"title": titles.plain_title(image.title) or "", "category": catalogue.noun or ""}
        facts |= {name: _column(image.extra, columns) for name, columns in COLUMNS.items()}
        facts["material"] = facts["material"] or catalogue.material or ""
        facts["colour seen in the photo"] = proposing.measured_facts(signals).colour or ""
        facts |= labels.get(image.id, {})
        facts["text in the photo"] = " / ".join((words or "").split("\n"))[:TEXT_AT_MOST]
        known[image.id] = {name: value for name, value in facts.items() if value}
    return known


def _labels_of(session: Session, ids: Any) -> dict[int, dict[str, str]]:
    """The labels of each photo, by set."""
    value_id = func.unnest(Labelling.value_ids).label("value_id")
    said = (
        select(Labelling.image_id, Labelling.set_id, value_id)
        .where(Labelling.image_id == any_(ids), Labelling.superseded_at.is_(None))
        .subquery()
    )
    rows = session.execute(
        select(said.c.image_id, LabelSet.name, LabelValue.name)
        .join(LabelSet, LabelSet.id == said.c.set_id)
        .join(LabelValue, LabelValue.id == said.c.value_id)
        .where(LabelSet.retired_at.is_(None))
        .order_by(LabelSet.position, LabelSet.id, LabelValue.position, LabelValue.id)
    )
    labels: dict[int, dict[str, str]] = defaultdict(dict)
    for image_id, set_name, name in rows:
        before = labels[image_id].get(f"label {set_name}")
        labels[image_id][f"label {set_name}"] = f"{before}, {name}" if before else name
    return labels


def _column(extra: Mapping[str, Any], columns: tuple[str, ...]) -> str:
    headings = {re.sub(r"[\s_-]+", "_", name.strip().lower()): value for name, value in extra.items()}
    said = next((headings[name] for name in columns if headings.get(name) not in (None, "")), "")
    return " ".join(str(said).split())
