"""Browsing a selection: one page of the grid, the photos beside one photo, and counts for every facet.

Pages go by key, never by offset: "after photo 1,234 in this order". Facets are counted in one statement; the counts of
a facet follow every other filter but not its own, so that the other options show what choosing them would give.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    Text,
    and_,
    case,
    cast,
    func,
    literal,
    select,
    text,
    true,
    tuple_,
    union_all,
)
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from app.captions.checking import READ, contradictions
from app.captions.tables import Caption
from app.catalog.reading import among
from app.catalog.tables import Image
from app.review.tables import Decision
from app.selection.columns.catalog import Counted, Ordered
from app.selection.columns.memory import in_memory
from app.selection.keys import ASKED, LISTED, MEASURED, SEVERAL
from app.selection.kinds import NOTHING, Label, Measure, OneOf
from app.selection.ordering import ALIKE, Order, beyond, order_of, ordering, wished
from app.selection.query import Selection, joined
from app.selection.tables import PhotoIndex

PAGE: Final = 120
BINS: Final = 20


@dataclass(frozen=True, slots=True)
class Tile:
    """One photo as the grid shows it. `verdict` is a person's, or a rule's where `is_suggestion`; without either it is
    None and `decision_id` 0.

    `contradictions` are sentences: what the caption says otherwise than the picture was measured. `mend_id` is the mend
    that the photo shows.
    """

    id: int
    name: str
    width_px: int
    height_px: int
    verdict: str | None
    reason: str | None
    decision_id: int
    is_suggestion: bool
    contradictions: tuple[str, ...]
    mend_id: int | None = None

    @property
    def mark(self) -> str:
        """The mark it carries: a person's verdict, "suggested-" and a rule's, or none."""
        return mark_of(self.verdict, self.is_suggestion)

    def unseen(self) -> Tile:
        """It, as for somebody who shall not see what was decided."""
        return replace(self, verdict=None, reason=None, decision_id=0, is_suggestion=False)


@dataclass(frozen=True, slots=True)
class Option:
    """One value of a facet (None: missing), how many photos choosing it alone would show, and whether it is chosen."""

    value: str | None
    count: int
    is_on: bool


@dataclass(frozen=True, slots=True)
class Facets:
    """Exact counts for the facet pane. `bars` has `BINS` counts per measure, in equal steps from its begin to its end;
    of `untold` nobody can tell it. Of `suggested` of the `total` photos a rule suggests something, while no person has
    decided."""

    total: int
    suggested: int
    options: dict[str, tuple[Option, ...]]
    bars: dict[str, tuple[int, ...]]
    untold: dict[str, int]


def mark_of(verdict: str | None, is_suggestion: bool) -> str:
    """The name of the mark that a decision or a suggestion has on a photo; empty without either."""
    return f"suggested-{verdict}" if verdict and is_suggestion else verdict or ""


def page(
    session: Session, selection: Selection, sort: str = "newest", after: int | None = None, size: int = PAGE
) -> list[Tile]:
    """Up to `size` photos of the selection in this order, behind photo number `after`.

    Raises Refused for an unknown order, NotFound for an unknown photo.
    """
    ids = _beside(session, selection, sort, after, size, forwards=True)
    return tiles(session, ids)


def tiles(session: Session, ids: list[int]) -> list[Tile]:
    """The tiles of these photos, in this order; numbers that are no photo are left out."""
    # Plain columns: making objects of a photo's many signals takes longer than all else.
    statement: Select[*tuple[Any, ...]] = joined(
        select(
            Image.id, Image.title, Image.file_name, Image.width_px, Image.height_px, Decision.verdict, Decision.reason,
            func.coalesce(Decision.id, 0).label("decision_id"), Decision.rule, Caption.text, Image.mend_id, *READ,
        )
    ).where(among(Image.id, ids))  # fmt: skip
    tiles_by_id = {}
    for row in session.execute(statement):
        wrong = contradictions(row, row.text)
        tiles_by_id[row.id] = Tile(
            row.id, row.title or row.file_name, row.width_px, row.height_px, row.verdict, row.reason, row.decision_id,
            row.rule is not None, tuple(finding.sentence for finding in wrong), row.mend_id,
        )  # fmt: skip
    return [tiles_by_id[image_id] for image_id in ids if image_id in tiles_by_id]


def neighbours(
    session: Session, selection: Selection, sort: str, image_id: int, before: int, after: int
) -> tuple[list[int], list[int]]:
    """Numbers of the photos next to one photo: those before it and those behind it, both in the selection's order.

    The photo itself need not match the selection (any more). Raises Refused for a bad order.
    """
    back = _beside(session, selection, sort, image_id, before, forwards=False)
    return back[::-1], _beside(session, selection, sort, image_id, after, forwards=True)


def alike(session: Session, catalog_id: int, image_id: int, size: int) -> list[int]:
    """Numbers of up to `size` photos of the catalog that look most like one photo, the most alike first, without it."""
    nearest = Selection(catalog_id).narrowed(similar=(image_id,))
    return [other for other in _beside(session, nearest, ALIKE, None, size + 1, True) if other != image_id][:size]


def position(session: Session, selection: Selection, sort: str, image_id: int) -> int:
    """How many photos of the selection stand before this one, counting from 1 with the photo itself."""
    in_order = Ordered(selection, sort, wished(selection, sort))
    place = in_memory(session, selection.catalog_id, lambda held, link: held.position(link, in_order, image_id))
    if place is not None:
        return place
    order = order_of(selection, sort)
    before = _ids(selection, order).where(beyond(session, order, image_id, forwards=False))
    return (session.scalar(select(func.count()).select_from(before.subquery())) or 0) + 1


def holds(session: Session, selection: Selection, image_id: int) -> bool:
    """Whether the photo is one of the selection, now."""
    is_in = in_memory(session, selection.catalog_id, lambda held, link: held.holds(link, selection, image_id))
    if is_in is not None:
        return is_in
    return session.scalar(_ids(selection).where(PhotoIndex.image_id == image_id)) is not None


def at(session: Session, selection: Selection, sort: str, place: int) -> int | None:
    """The number of the photo just before `place` (from 1), for a jump; None for the beginning."""
    if place <= 1:
        return None
    asked = Ordered(selection, sort, wished(selection, sort))
    read = in_memory(session, selection.catalog_id, lambda held, link: held.at(link, asked, place))
    if read is not None:
        return read[0]
    order = order_of(selection, sort)
    in_order = _ids(selection, order).order_by(*ordering(order, forwards=True))
    return session.scalars(in_order.offset(place - 2).limit(1)).first()


def count(session: Session, selection: Selection) -> int:
    """The exact number of photos."""
    photos = in_memory(session, selection.catalog_id, lambda held, link: held.count(link, selection))
    if photos is not None:
        return photos
    return session.scalar(select(func.count()).select_from(_ids(selection).subquery())) or 0


def facets(session: Session, selection: Selection, measured: Mapping[str, Measure] = MEASURED) -> Facets:
    """Counts for every facet and the exact total; bars for these measures."""
    read = in_memory(session, selection.catalog_id, lambda held, link: held.facets(link, selection, BINS, measured))
    return _read_facets(selection, _counted_in_sql(session, selection, measured) if read is None else read, measured)


def _counted_in_sql(session: Session, selection: Selection, measured: Mapping[str, Measure]) -> Counted:
    """The counts of every facet, in one statement.

    Photos are counted by every combination of listed values, which are few, and in the same pass by the bars of each
    histogram; each facet then sums combinations.
    """
    clauses = selection.clauses()
    flags = {key: clauses.pop(key) for key in (*LISTED, *measured) if key in clauses}
    wide = {key: _widened(selection, key) for key in flags if LISTED.get(key) and LISTED[key].widening}
    asked = select(
        *(_spelling(listed).label(key) for key, listed in LISTED.items()),
        *(listed.widening.column.label(f"{key}_besides") for key, listed in LISTED.items() if listed.widening),
        *(_bar(measure).label(key) for key, measure in measured.items()),
        *(clause.label(f"is_{key}") for key, clause in flags.items()),
        *(clause.label(f"is_{key}_wide") for key, clause in wide.items()),
    ).where(PhotoIndex.catalog_id == selection.catalog_id, *clauses.values())
    if any(measure.column.class_ is Image for measure in measured.values()):
        asked = asked.join(Image, Image.id == PhotoIndex.image_id)
    matching = asked.subquery("matching")
    listed_columns = [column for column in matching.c if column.key not in measured]
    held_columns = [column for column in listed_columns if column.key.startswith("is_")]
    of_bars = [tuple_(matching.c[key], *held_columns) for key in measured]
    grouped = (
        select(*matching.c, *(func.grouping(matching.c[key]).label(f"{key}_apart") for key in measured))
        .add_columns(func.count().label("n"))
        .group_by(func.grouping_sets(tuple_(*listed_columns), *of_bars))
        .cte("grouped")
    )
    combined = select(grouped).where(*(grouped.c[f"{key}_apart"] == 1 for key in measured)).cte("combined")
    photos = func.sum(combined.c.n)
    kept = _Held(combined.c, tuple(flags), tuple(wide))
    parts: list[Select[*tuple[Any, ...]]] = [
        select(literal(TOTAL), combined.c.by, photos).where(*kept.all_but()).group_by(combined.c.by)
    ]
    for key in LISTED:
        with_value = photos.filter(and_(true(), *kept.all_but(key)))
        parts.append(select(literal(key), combined.c[key], with_value).group_by(combined.c[key]))
        if selection.is_wide(key):
            besides = combined.c[f"{key}_besides"]
            parts.append(select(literal(key), besides, with_value).where(besides.is_not(None)).group_by(besides))
    held = _Held(grouped.c, tuple(flags), tuple(wide))
    for key in measured:
        bar = grouped.c[key]
        limits = [grouped.c[f"{key}_apart"] == 0, *held.all_but(key)]
        parts.append(select(literal(key), cast(bar, Text), func.sum(grouped.c.n)).where(*limits).group_by(bar))
    for key in SEVERAL:
        parts += _counts_of_several(selection, key)
    # Groups that do not fit are sorted on disk, which takes three times as long.
    session.execute(text("set local work_mem = '64MB'"))
    counted: Counted = {key: {} for key in (TOTAL, *LISTED, *measured, *SEVERAL)}
    for key, value, photos_of_it in session.execute(union_all(*parts)):
        if photos_of_it:
            counted[key][value] = counted[key].get(value, 0) + int(photos_of_it)
    return counted


def _bar(measure: Measure) -> ColumnElement[int]:
    """The place of a value's bar in its histogram, from 0; null where nothing was measured."""
    # `least` and `greatest` pass over nulls.
    from_start = measure.column - measure.bars_from
    place = func.least(func.greatest(func.floor(from_start * (BINS / measure.bars_over)), 0), BINS - 1)
    return case((measure.column.is_not(None), cast(place, Integer)))


@dataclass(frozen=True, slots=True)
class _Held:
    """The columns that tell whether a photo is in the selection, by key: `is_KEY`, and `is_KEY_wide` for keys that
    another key's choice widens."""

    columns: ReadOnlyColumnCollection[str, Any]
    keys: tuple[str, ...]
    wide: tuple[str, ...]

    def all_but(self, own: str = "") -> list[ColumnElement[bool]]:
        """The conditions of every key but one, whose other options show what choosing them would give."""
        return [self._of(key, own) for key in self.keys if key != own]

    def _of(self, key: str, own: str) -> ColumnElement[bool]:
        # Beside the options of the key that widens, each is widened: what it adds is of photos of that option alone.
        widening = ASKED[key].widening
        name = f"is_{key}_wide" if key in self.wide and widening and widening.key == own else f"is_{key}"
        condition: ColumnElement[bool] = self.columns[name]
        return condition


def _widened(selection: Selection, key: str) -> ColumnElement[bool]:
    """The condition of a key as if it were widened."""
    clauses = (
        ASKED[key].clause(values, is_not, is_wide=True)
        for is_not in (False, True)
        if (values := selection.values(key, is_not))
    )
    return and_(*clauses)


def _counts_of_several(selection: Selection, key: str) -> list[Select[*tuple[Any, ...]]]:
    """How many photos have each value of a key of which a photo has several, and where it is chosen, none: they are no
    column of the combinations."""
    listed = SEVERAL[key]
    owner: Any = listed.column.class_
    name = func.unnest(listed.column).table_valued("name").render_derived(f"each_{key}")
    free = selection.with_term(key, (), is_not=True).with_term(key, ())
    number = owner.id if owner is Image else owner.image_id
    have = (
        select(literal(key), name.c.name, func.count())
        .select_from(owner)
        .join(name, true())
        .where(owner.catalog_id == selection.catalog_id, listed.column != [])
        .where(number.in_(_ids(free)))
        .group_by(name.c.name)
    )
    if NOTHING not in selection.values(key):
        return [have]
    without = _ids(selection.with_term(key, (), is_not=True).with_term(key, (NOTHING,))).subquery()
    return [have, select(literal(key), literal(NOTHING), func.count()).select_from(without)]


def _spelling(listed: OneOf | Label) -> InstrumentedAttribute[Any]:
    """Spellings of one name are few, so they are counted apart and put together afterwards."""
    return listed.spelling if isinstance(listed, Label) else listed.column


TOTAL: Final = "total"


def _read_facets(selection: Selection, counted: Counted, measured: Mapping[str, Measure]) -> Facets:
    options = {
        key: _options_of_name(listed, counted[key], selection.values(key))
        if isinstance(listed, Label)
        else tuple(
            Option(choice, counted[key].get(choice, 0), choice in selection.values(key)) for choice in listed.allowed
        )
        for key, listed in LISTED.items()
    }
    options |= {  # only what a photo has, or what is chosen: most catalogs have few
        key: tuple(
            Option(name, counted[key].get(name, 0), name in selection.values(key))
            for name in several.allowed
            if name in counted[key] or name in selection.values(key)
        )
        for key, several in SEVERAL.items()
    }
    bars = {key: tuple(counted[key].get(str(place), 0) for place in range(BINS)) for key in measured}
    untold = {key: counted[key].get(None, 0) for key in measured}
    return Facets(sum(counted[TOTAL].values()), counted[TOTAL].get("rule", 0), options, bars, untold)


def _options_of_name(listed: Label, counted: dict[str | None, int], chosen: Sequence[str | None]) -> tuple[Option, ...]:
    """Names that photos have, each in the spelling of most photos, and those chosen that no photo has.

    Chosen names first: they must be seen; missing ones last.
    """
    spellings: dict[Any, dict[str | None, int]] = {}
    for name, count in (*counted.items(), *((name, 0) for name in chosen if name not in counted)):
        spellings.setdefault(listed.identity(name), {})[name] = count
    are_on = {listed.identity(name) for name in chosen}
    options = [
        Option(min(counts, key=lambda name: (-counts[name], name or "")), sum(counts.values()), identity in are_on)
        for identity, counts in spellings.items()
    ]
    return tuple(
        sorted(options, key=lambda option: (not option.is_on, option.value is None, -option.count, option.value or ""))
    )


def _ids(selection: Selection, order: Order | None = None) -> Select[int]:
    """Numbers of the selected photos, unordered, from as few tables as `order` allows."""
    statement = select(PhotoIndex.image_id).where(
        PhotoIndex.catalog_id == selection.catalog_id, *selection.clauses().values()
    )
    if order is not None and order.of_image:
        return statement.join(Image, Image.id == PhotoIndex.image_id).where(Image.catalog_id == selection.catalog_id)
    return statement


def _beside(
    session: Session, selection: Selection, sort: str, image_id: int | None, size: int, forwards: bool
) -> list[int]:
    """Numbers of up to `size` photos behind (or before) a photo, nearest first; of the first ones for None."""
    asked = Ordered(selection, sort, wished(selection, sort))
    ids = in_memory(
        session, selection.catalog_id, lambda held, link: held.beside(link, asked, image_id, size, forwards)
    )
    if ids is not None:
        return ids
    order = order_of(selection, sort)
    statement = _ids(selection, order).order_by(*ordering(order, forwards)).limit(size)
    if image_id is not None:
        statement = statement.where(beyond(session, order, image_id, forwards))
    return list(session.scalars(statement))
