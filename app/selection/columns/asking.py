"""Which photos a filter chooses, told from columns; PostgreSQL judges texts, looks and places on a map."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Final

import numpy as np
from sqlalchemy import Connection, Select, func, select

from app.catalog.tables import Image
from app.selection.columns.labels import LabelPairs
from app.selection.columns.looks import LooksInMemory
from app.selection.columns.numbers import Array
from app.selection.columns.room import KeptPart
from app.selection.columns.rows import Columns, in_blocks
from app.selection.columns.shape import NEVER, SHAPES, name_of
from app.selection.keys import ASKED
from app.selection.kinds import NOTHING, Around, Key, Label, Measure, Number, OneOf, Range, SomeOf, YesNo
from app.selection.labelled import Labelled, numbers_of, sets_of
from app.selection.near import Looking
from app.selection.query import GROUPS, Selection
from app.selection.tables import PhotoIndex, PhotoText
from app.selection.tree import AllOf, AnyOf, Node, Term, Without, alone
from app.selection.when import Period, When, Who

_ANSWERS_KEPT: Final = 24
# Above this many changed photos, what PostgreSQL said of a text is asked again as a whole.
_FEW: Final = 2_000
_AT_ONCE: Final = 1 << 15


class Asker:
    """Answers filters on the columns of one catalog. What PostgreSQL judged of texts is kept, and follows changes."""

    def __init__(self, columns: Columns, looks: LooksInMemory) -> None:
        self.columns, self.looks = columns, looks
        self.labels = LabelPairs(columns)
        self._judged: OrderedDict[tuple[str, tuple[Any, ...]], Array] = OrderedDict()
        self._judged_at: dict[tuple[str, tuple[Any, ...]], float] = {}

    @property
    def memory_bytes(self) -> int:
        """What labels and what PostgreSQL judged take."""
        return self.labels.memory_bytes + sum(ids.nbytes for ids in list(self._judged.values()))

    def parts(self) -> Iterator[KeptPart]:
        """The labels, and each answer of PostgreSQL: of a broad word, as large as four columns."""
        yield from self.labels.parts()
        for asked, ids in list(self._judged.items()):
            yield KeptPart(self._judged_at[asked], ids.nbytes, partial(self._let_go, asked))

    def _let_go(self, asked: tuple[str, tuple[Any, ...]]) -> None:
        del self._judged[asked], self._judged_at[asked]

    def follow(self, connection: Connection, changed: Array | None) -> None:
        """Bring what PostgreSQL judged up to date for the photos that changed; None for all."""
        self.labels.follow(connection, changed)
        if changed is None or len(changed) > _FEW:
            self._judged.clear()
            self._judged_at.clear()
            return
        if not len(changed):
            return
        for (name, values), ids in self._judged.items():
            statement = _judged_by_database(self.columns.catalog_id, ASKED[name], values)
            fresh = _ids(connection, statement.where(PhotoIndex.image_id.in_(changed.tolist())))
            self._judged[name, values] = _narrow(np.union1d(np.setdiff1d(ids, changed, assume_unique=True), fresh))

    def masks(self, connection: Connection, selection: Selection) -> dict[str, Array]:
        """For each key that limits something, the photos it lets through: bool, one for each row."""
        masks: dict[str, Array] = {}
        for term in selection.terms:
            mask = self.term(connection, term, selection.asked, selection.is_wide(term.key))
            masks[term.key] = masks[term.key] & mask if term.key in masks else mask
        if selection.groups:
            masks[GROUPS] = self.part(connection, AllOf((), selection.groups))
        return masks

    def part(self, connection: Connection, asked: Node) -> Array:
        """The photos that one part of a filter lets through, as `query.condition` says it in SQL."""
        if isinstance(asked, Term):
            return self.term(connection, asked, alone(asked), is_wide=False)
        if isinstance(asked, Without):
            return ~self.part(connection, asked.part)
        if isinstance(asked, AnyOf):
            some: Array = np.logical_or.reduce([self.part(connection, part) for part in asked.parts])
            return some
        masks = [self.term(connection, term, asked, asked.is_wide(term.key)) for term in asked.terms]
        masks += [self.part(connection, group) for group in asked.groups]
        every: Array = np.logical_and.reduce(masks)
        return every

    def term(self, connection: Connection, term: Term, around: AllOf, is_wide: bool) -> Array:
        """The photos that one term of `around` lets through, `is_wide` where another key's choice widens it."""
        key = ASKED[term.key]
        if isinstance(key, Labelled):
            return self._labelled(connection, term)
        if isinstance(key, Looking) and (mask := self._looking(connection, key, term, around)) is not None:
            return mask
        mask = self._any_of(connection, key, term.values)
        if mask is None:
            return self._asked_of_database(connection, term, around, is_wide)
        if is_wide and key.widening and isinstance(key, OneOf):
            mask = mask | self._coded(connection, name_of(key.widening.column), term.values)
        return ~mask if term.is_not else mask

    def _any_of(self, connection: Connection, key: Key, values: Sequence[Any]) -> Array | None:
        """Whether the key's column holds one of the values; None where no column can tell."""
        if isinstance(key, Number) and not isinstance(key, Looking):
            mask = np.zeros(self.columns.count, bool)
            mask[self.columns.places(values)] = True
            return mask
        if isinstance(key, Label) and key.title:
            return self.names(connection, key, values)
        if name_of(key.column) not in SHAPES or isinstance(key, Number):
            return None
        if isinstance(key, SomeOf):
            return self._listed(connection, key, values)
        if isinstance(key, YesNo) and SHAPES[name_of(key.column)].values == (False, True):
            return self._coded(connection, name_of(key.column), [value == "yes" for value in values])
        if isinstance(key, OneOf):
            return self._coded(connection, name_of(key.column), values)
        if isinstance(key, Measure):
            unit = key.top / key.full
            return self.columns.measured(connection, name_of(key.column)).each(
                lambda numbers: np.logical_or.reduce([_within(numbers, bounds, unit) for bounds in values])
            )
        if isinstance(key, When):
            return self.columns.measured(connection, name_of(key.column)).each(
                lambda days: np.logical_or.reduce([_happened(days, period) for period in values])
            )
        if isinstance(key, Who):
            people = list(connection.scalars(key.people(values))) + [0] * (None in values)
            of_person = self.columns.measured(connection, name_of(key.column))
            return of_person.each(lambda numbers: np.isin(numbers, people))
        return None

    def _looking(self, connection: Connection, key: Looking, term: Term, around: AllOf) -> Array | None:
        """As `Looking.clause`; None where SQL has to be asked."""
        mask = np.zeros(self.columns.count, bool)
        aims, is_left_out = key.limits(term.values, term.is_not, around.beside(term.key, self.columns.catalog_id))
        for aim in aims:
            ids = self.looks.nearest(connection, aim)
            if ids is None:
                return None
            mask[self.columns.places(ids)] = True
        return ~mask if is_left_out else mask

    def _labelled(self, connection: Connection, term: Term) -> Array:
        """As `Labelled.clause`. Names are looked up each time: a set that is renamed changes no photo."""
        held = [
            self.labels.having(
                connection, connection.scalar(select(numbers_of(self.columns.catalog_id, name, labels))) or ()
            )
            for name, labels in sets_of(term.values).items()
        ]
        ways = [self.labels.unlabelled(connection)] if NOTHING in term.values else []
        if term.is_not:
            left_out: Array = np.logical_or.reduce([*ways, *held])
            return ~left_out
        both: Array = np.logical_or.reduce([*ways, *([np.logical_and.reduce(held)] if held else [])])
        return both

    def names(self, connection: Connection, key: Label, values: Sequence[Any]) -> Array:
        """Whether a photo has one of these names, in any spelling."""
        name = name_of(key.spelling)
        codes = self.columns.column(connection, name)
        return self.columns.names[name].chosen(list(values)).take(codes)

    def _coded(self, connection: Connection, name: str, values: Sequence[Any]) -> Array:
        is_chosen = np.zeros(256, bool)
        is_chosen[[place for place, value in enumerate(SHAPES[name].values, 1) if value in values]] = True
        return self.columns.words(connection, name).each(is_chosen.take)

    def _listed(self, connection: Connection, key: SomeOf, values: Sequence[Any]) -> Array:
        name = name_of(key.column)
        wanted = sum(1 << place for place, value in enumerate(SHAPES[name].values) if value in values)
        is_nothing = NOTHING in values
        return self.columns.measured(connection, name).each(
            lambda bits: ((bits & wanted) != 0) | (is_nothing & (bits == 0))
        )

    def _asked_of_database(self, connection: Connection, term: Term, around: AllOf, is_wide: bool) -> Array:
        key = ASKED[term.key]
        mask = np.zeros(self.columns.count, bool)
        if key.column.class_ not in (Image, PhotoText):
            # Looks and the map: who is near changes with every photo, and is few.
            catalog_id = self.columns.catalog_id
            clause = key.clause(term.values, term.is_not, is_wide, around.beside(term.key, catalog_id))
            asked = select(PhotoIndex.image_id).where(PhotoIndex.catalog_id == catalog_id, clause)
            mask[self.columns.places(connection.scalars(asked))] = True
            return mask
        # Left out are photos that have any of the values, where of words that are chosen all must be there; each value
        # is asked for by itself then, for the positive question of all would be another one.
        for values in [(value,) for value in term.values] if term.is_not else [term.values]:
            mask |= self._judgement(connection, key, values)
        return ~mask if term.is_not else mask

    def _judgement(self, connection: Connection, key: Key, values: tuple[Any, ...]) -> Array:
        """Which photos' texts hold these values, as PostgreSQL judges; asked once."""
        ids = self._judged.get((key.name, values))
        if ids is None:
            statement = _judged_by_database(self.columns.catalog_id, key, values)
            ids = _ids(connection, statement)
            self._judged[key.name, values] = ids
            if len(self._judged) > _ANSWERS_KEPT:
                self._let_go(next(iter(self._judged)))
        self._judged_at[key.name, values] = time.monotonic()
        self._judged.move_to_end((key.name, values))
        mask = np.zeros(self.columns.count, bool)
        # Part by part: places, and numbers made as wide as those they are looked for in, take eight bytes each.
        for begin in range(0, len(ids), _AT_ONCE):
            mask[np.searchsorted(self.columns.ids, ids[begin : begin + _AT_ONCE])] = True
        return mask


def _ids(connection: Connection, statement: Select[int]) -> Array:
    """The numbers of photos that a statement gives, ascending: read as arrays, which are far less than rows."""
    block = (func.row_number().over() // _AT_ONCE).label("block")
    of = select(statement.subquery().c.image_id, block).subquery()
    packed = select(func.array_send(func.array_agg(of.c.image_id))).group_by(of.c.block)
    # Made narrow as they come: of a broad word, all at once in eight bytes were what a process takes at most.
    blocks = [_narrow(np.sort(block)) for block in in_blocks(connection, packed, {})]
    ids = np.concatenate([np.empty(0, np.uint32), *blocks])
    ids.sort()
    return ids


def _narrow(ids: Array) -> Array:
    """Ascending numbers of photos in four bytes each (uint32) where they are so low, else in eight (int64)."""
    return ids.astype(np.uint32) if len(ids) and ids[-1] < 1 << 32 else ids


def _judged_by_database(catalog_id: int, key: Key, values: tuple[Any, ...]) -> Select[int]:
    return select(PhotoIndex.image_id).where(
        PhotoIndex.catalog_id == catalog_id, key.clause(values, beside=Around(catalog_id))
    )


def _happened(days: Array, period: Period | None) -> Array:
    """Whether days lie in a period; what never happened lies in none, and is asked for by None."""
    happened: Array = days != NEVER
    if period is None:
        return ~happened
    begin, end = period.bounds
    if begin:
        happened &= days >= begin.timestamp() // 86400
    return happened & (days < end.timestamp() // 86400) if end else happened


def _within(column: Array, bounds: Range | None, unit: float) -> Array:
    """Whether measured values lie in a range; what cannot be told (NaN) lies in none, and is asked for by None."""
    within: Array
    if bounds is None:
        return np.asarray(np.isnan(column))
    # Compared as doubles, also where the column is kept in four bytes.
    low, high = (np.float64((bound or 0.0) / unit) for bound in (bounds.low, bounds.high))
    if bounds.low is not None and bounds.high is not None:
        within = (column >= low) & (column <= high)
    else:
        within = column > low if bounds.low is not None else column < high
    return within
