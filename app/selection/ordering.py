"""Orders of a selection: by a column, or by how much its photos look like something.

By likeness goes `alike`, which takes what is looked for from the filter's own terms, and `alike:` with terms of its own
behind it, as in `alike:similar:12`: these limit nothing, so that any selection can be gone through from the most alike
to the least.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from textwrap import shorten
from typing import Any, Final

from sqlalchemy import ColumnElement, func, literal, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.catalog.tables import Image
from app.errors import NotFound, Refused
from app.selection.keys import ASKED
from app.selection.near import Looking, Unlike, Wished, nearness
from app.selection.query import Selection, joined, parse
from app.selection.tables import PhotoIndex
from app.selection.tree import asked_for
from app.selection.wording import say_term

# Unmeasured photos stand where the softest do.
SHARPNESS: Final = func.coalesce(PhotoIndex.sharpness, -1.0)
PIXELS: Final = Image.width_px * Image.height_px
ALIKE: Final = "alike"
_LABEL_AT_MOST: Final = 60


@dataclass(frozen=True, slots=True)
class Order:
    """A sort order: its name for people, its key, and its direction. Ties go by photo number, the same way."""

    label: str
    key: ColumnElement[Any] | InstrumentedAttribute[Any]
    is_descending: bool
    of_image: bool = False  # the key is in `Image`, not in `PhotoIndex`


SORTS: Final[dict[str, Order]] = {
    "newest": Order("Newest first", PhotoIndex.image_id, True),
    "oldest": Order("Oldest first", PhotoIndex.image_id, False),
    "name": Order("File name", Image.name_key, False, of_image=True),
    "sharpest": Order("Sharpest first", SHARPNESS, True),
    "softest": Order("Softest first", SHARPNESS, False),
    "largest": Order("Largest first", PIXELS, True, of_image=True),
    # Among photos that were asked for by their looks; see `order_of`.
    ALIKE: Order("Most alike first", PhotoIndex.image_id, False),
}


def order_named(name: str) -> Order:
    """The sort order of this name. Raises Refused."""
    if name in SORTS:
        return SORTS[name]
    terms = ", ".join(say_term(term) for term, _ in asked_for(_own_terms(name).asked))
    return replace(SORTS[ALIKE], label=f"Most alike first: {shorten(terms, _LABEL_AT_MOST, placeholder=' …')}")


def orders_beside(name: str) -> dict[str, Order]:
    """The orders to choose from where this one is chosen. Raises Refused."""
    return SORTS | {name: order_named(name)}


def wished(selection: Selection, sort: str) -> Wished:
    """What an order by likeness goes by; nothing for other orders, and where nothing is looked for. Raises Refused."""
    order_named(sort)
    if sort in SORTS and sort != ALIKE:
        return ()
    asked = selection.asked if sort == ALIKE else _own_terms(sort).asked
    return tuple(
        tuple(key.aims(term.values, around.beside(term.key, selection.catalog_id)))
        for term, around in asked_for(asked)
        if isinstance(key := ASKED[term.key], Looking) and not isinstance(key, Unlike)
    )


def order_of(selection: Selection, sort: str) -> Order:
    """As `order_named`; by likeness, its key depends on what is looked for. Raises Refused."""
    order, aims = order_named(sort), wished(selection, sort)
    return replace(order, key=nearness(aims)) if aims else order


def ordering(order: Order, forwards: bool) -> list[ColumnElement[Any]]:
    """What a statement is sorted by, in this order or against it."""
    is_down = order.is_descending == forwards
    return [column.desc() if is_down else column.asc() for column in (order.key, PhotoIndex.image_id)]


def beyond(session: Session, order: Order, image_id: int, forwards: bool) -> ColumnElement[bool]:
    """The condition of lying behind (or before) a photo in this order. Raises NotFound for an unknown photo."""
    key = session.execute(joined(select(order.key)).where(PhotoIndex.image_id == image_id)).one_or_none()
    if key is None:
        raise NotFound(f"There is no photo {image_id}.")
    here, there = tuple_(order.key, PhotoIndex.image_id), tuple_(literal(key[0]), literal(image_id))
    return here < there if order.is_descending == forwards else here > there


def _own_terms(name: str) -> Selection:
    """What stands behind `alike:`. Raises Refused."""
    start, _, asked = name.partition(":")
    if start != ALIKE or not asked:
        raise Refused(f"“{name}” is not a sort order. Orders are: {', '.join(SORTS)}, and alike:similar:12.")
    own = parse(asked, 0)
    keys = [ASKED[term.key] for term in own.terms if not term.is_not]
    if own.groups or len(keys) < len(own.terms) or not all(isinstance(key, Looking) for key in keys):
        raise Refused("Behind “alike:” stand similar, like, unlike and looks alone, as in alike:like:12,15 unlike:18.")
    if all(isinstance(key, Unlike) for key in keys):
        raise Refused("An order needs something that photos shall look like: alike:like:12 unlike:18.")
    return own
