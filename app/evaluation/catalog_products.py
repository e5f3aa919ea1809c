"""What a catalog's photos show, as products that a suite is filled with: from catalogue, labels and measured colour."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.captions.colour_words import meaning, words_of
from app.catalog.tables import Image
from app.evaluation.product_suite import Product
from app.labels import known
from app.selection.query import Selection, parse

KEPT: Final = "decision:kept"
PHOTOS_AT_MOST: Final = 1_500
PER_CATEGORY: Final = 25
PRODUCTS_AT_MOST: Final = 60
_NOUN_WORDS: Final = 4
_MATERIAL_WORDS: Final = 3
_PLAIN: Final = re.compile(r"[^\W\d_]+(?:[ '-][^\W\d_]+)*")


@dataclass(frozen=True, slots=True)
class ProductsOf:
    """The products of a catalog, of the kinds with most photos first; `are_kept`: from its kept photos alone."""

    products: tuple[Product, ...]
    photos: int
    are_kept: bool


def products_of(session: Session, catalog_id: int) -> ProductsOf:
    """The products that the kept photos show, of all that are not rejected where none is kept yet.

    Of each category the same few photos are looked at every time, so that the same catalog gives the same products.
    """
    ids = _spread(session, parse(KEPT, catalog_id))
    are_kept = bool(ids)
    ids = ids or _spread(session, parse("-decision:rejected", catalog_id))
    shown = products_in(session, ids)
    counts = Counter(shown[number] for number in ids if number in shown)
    of_noun: dict[str, list[Product]] = defaultdict(list)
    for product, _ in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0].phrase)):
        of_noun[product.noun].append(product)
    sizes = {noun: sum(counts[each] for each in pile) for noun, pile in of_noun.items()}
    piles = [of_noun[noun] for noun in sorted(of_noun, key=lambda noun: (-sizes[noun], noun))]
    turns = max(map(len, piles), default=0)
    in_turn = [pile[turn] for turn in range(turns) for pile in piles if turn < len(pile)]
    return ProductsOf(tuple(in_turn[:PRODUCTS_AT_MOST]), len(ids), are_kept)


def products_in(session: Session, image_ids: Collection[int]) -> dict[int, Product]:
    """What each of these photos shows; without those of which nobody can tell."""
    facts = known.known_of(session, image_ids)
    shown = {number: _product(facts[number]) for number in facts}
    return {number: product for number, product in shown.items() if product is not None}


def _spread(session: Session, selection: Selection) -> list[int]:
    """Photos of every category, at most `PER_CATEGORY` of each; those of the largest categories first."""
    place = func.row_number().over(partition_by=Image.category_key, order_by=Image.sha256).label("place")
    size = func.count().over(partition_by=Image.category_key).label("size")
    ranked = selection.select(Image.id, Image.sha256, place, size).subquery()
    rows = select(ranked.c.id).where(ranked.c.place <= PER_CATEGORY)
    return list(session.scalars(rows.order_by(ranked.c.size.desc(), ranked.c.sha256).limit(PHOTOS_AT_MOST)))


def _product(facts: Mapping[str, str]) -> Product | None:
    noun = _noun(facts.get("category", "")) or _noun(facts.get("title", ""))
    if noun is None:
        return None
    colour = _said(facts, "colour") or facts.get("colour seen in the photo", "")
    return Product(noun, _colour(colour), _material(_said(facts, "material")))


def _said(facts: Mapping[str, str], name: str) -> str:
    """What people labelled, before what the catalogue says."""
    names = known.COLUMNS[name]
    labelled = (value for key, value in facts.items() if key.removeprefix("label ").lower() in names and key != name)
    return next(labelled, "") or facts.get(name, "")


def _noun(text: str) -> str | None:
    words = [word for word in text.split() if meaning(word) is None]
    noun = " ".join(words).lower()
    is_noun = 0 < len(words) <= _NOUN_WORDS and _PLAIN.fullmatch(noun)
    return noun if is_noun else None


def _colour(text: str) -> str | None:
    return next((colour for word in words_of(text) if (colour := meaning(word))), None)


def _material(text: str) -> str | None:
    first = re.split(r"[,;/|]", text)[0]
    match = _PLAIN.search(first)
    words = match.group().lower() if match else ""
    return words if words and len(words.split()) <= _MATERIAL_WORDS else None
