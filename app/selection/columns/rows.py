"""The columns of one catalog in memory, as of one snapshot of the database, and how they follow it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

import numpy as np
from sqlalchemy import Connection, Executable, text

from app.selection.changes import KEPT_HOURS
from app.selection.columns.names import Names
from app.selection.columns.numbers import CODE, Array, NumberColumn, Numbers, are_few
from app.selection.columns.room import KeptPart
from app.selection.columns.shape import BIGINT, SHAPES, TOGETHER, WORDS, Shape, array_of, digits, statement

# Above this share of changed photos, all are read anew: rows picked by number cost about four times as much each.
_ANEW_ABOVE: Final = 0.25
_FEW: Final = 2_000
# So many photos are read at a time: read at once, they are many times what becomes of them.
_BLOCK_ROWS: Final = 1 << 14
_STREAMED: Final = {"stream_results": True, "max_row_buffer": 4}
# Room kept at the end of each column, so that photos being taken in do not move it each time.
_SPARE: Final = 1.06

_CHANGED = text("""
    select pg_current_snapshot()::text, array(
        select distinct unnest(image_ids) from photo_change
        where catalog_id = :catalog and xact >= pg_snapshot_xmin(cast(:seen as pg_snapshot))::text::bigint
            and not pg_visible_in_snapshot(xact::text::xid8, cast(:seen as pg_snapshot)))""")
_COUNT = text("select count(*) from photo_index where catalog_id = :catalog")
_BY_NAME = text("""
    select array_send(array_agg(id order by place)) from (
        select id, row_number() over (order by name_key, id) as place from image where catalog_id = :catalog) as named
    group by place / :rows order by place / :rows""")
# The photo just before each new one in the order of names, found in the index; 0 for the first.
_BEFORE_IN_NAMES = text("""
    select new.id, coalesce((
        select old.id from image as old
        where old.catalog_id = :catalog and (old.name_key, old.id) < (new.name_key, new.id)
        order by old.name_key desc, old.id desc limit 1), 0)
    from image as new where new.id = any(:ids) and new.catalog_id = :catalog order by new.name_key, new.id""")
NAME_HASH: Final = Shape("name_hash", "hashtextextended(image.name_key, 0)", "int8", "int64", of_image=True)
_OTHERS: Final = {shape.name: shape for shape in (NAME_HASH, WORDS)}


class NotReadYet(Exception):
    """A column of a large catalog that nobody asked for before; `names` are to be read beside the requests."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(f"Not read yet: {', '.join(names)}.")
        self.names = tuple(names)


class Columns:
    """The photos of a catalog, one row each in the order of their numbers: `ids`, int64, and columns by name.

    Columns are read when they are first asked for, and kept. All are as of `snapshot`; `catch_up` moves it on. A caller
    holds the lock of the catalog (see `access`), and a connection in one repeatable-read transaction.
    """

    def __init__(self, catalog_id: int) -> None:
        self.catalog_id = catalog_id
        self.snapshot = ""
        self.changes = 0
        """Counts what changed, so that what was worked out is known to be out of date."""
        self.count = 0
        self.is_complete = False
        """Whether a column that was not read yet is refused (`NotReadYet`): reading it would take a request seconds."""
        self.names: dict[str, Names] = {}
        self.numbers: dict[str, Numbers] = {}
        """Of the columns that are kept as codes of numbers."""
        self.stamps: dict[str, int] = {}
        self.staying: frozenset[str] = frozenset({"id"})
        """Columns that are asked for with every page, and go with the whole catalog alone."""
        self.asked_at = time.monotonic()
        """When any column was last asked for."""
        self._column_asked_at: dict[str, float] = {}
        self._kept: dict[str, Array] = {"id": np.empty(0, np.int64)}
        self._seen_at = 0.0
        self._by_name: Array | None = None

    @property
    def ids(self) -> Array:
        """The numbers of the photos, ascending."""
        return self._kept["id"][: self.count]

    @property
    def memory_bytes(self) -> int:
        """What all columns take."""
        by_name = self._by_name.nbytes if self._by_name is not None else 0
        return sum(kept.nbytes for kept in list(self._kept.values())) + by_name

    def size_bytes(self, names: Iterable[str]) -> int:
        """What further columns would take."""
        return sum(_shape(name).kept_as.itemsize for name in names) * _room_for(self.count)

    def parts(self) -> Iterator[KeptPart]:
        """Each column that can go by itself."""
        for name, kept in list(self._kept.items()):
            if name not in self.staying:
                yield KeptPart(self._column_asked_at.get(name, 0.0), kept.nbytes, partial(self._let_go, name))

    def _let_go(self, name: str) -> None:
        del self._kept[name]
        self.numbers.pop(name, None)
        self.names.pop(name, None)

    def column(self, connection: Connection, name: str) -> Array:
        """A column, `count` long, as it is kept; it is read where it was not yet."""
        self.prefetch(connection, [name])
        return self._kept[name][: self.count]

    def measured(self, connection: Connection, name: str) -> NumberColumn:
        """A column of numbers; it is read where it was not yet."""
        kept = self.column(connection, name)
        numbers = self.numbers.get(name)
        return NumberColumn(kept, None) if numbers is None else NumberColumn(numbers.values, kept)

    def prefetch(self, connection: Connection, names: Iterable[str]) -> None:
        """Read the columns that were not yet, in one pass over the tables. Raises NotReadYet where that is refused."""
        asked = dict.fromkeys(names)
        self.asked_at = time.monotonic()
        self._column_asked_at |= dict.fromkeys(asked, self.asked_at)
        missing = [name for name in asked if name not in self._kept]
        if missing and self.is_complete:
            raise NotReadYet(missing)
        if missing:
            self._read_all(connection, [_shape(name) for name in missing])

    def words(self, connection: Connection, name: str) -> NumberColumn:
        """The codes in a column of few words; it is read where it was not yet."""
        if all(shape.name != name for shape in TOGETHER):
            return NumberColumn(self.column(connection, name), None)
        combined = self.measured(connection, WORDS.name)
        return NumberColumn(digits(combined.values, name), combined.codes)

    def take_over(self, other: Columns) -> None:
        """Keep the columns that another one has read of the same photos, as of the same snapshot."""
        for name, kept in other._kept.items():
            if name not in self._kept:
                self._kept[name] = kept
                if name in other.names:
                    self.names[name] = other.names[name]
                if name in other.numbers:
                    self.numbers[name] = other.numbers[name]
                self._column_asked_at[name] = time.monotonic()
                self._touch(name)

    def places(self, image_ids: Iterable[int]) -> Array:
        """The rows of those of these photos that there are, ascending."""
        wanted = np.unique(np.fromiter(image_ids, np.int64))
        places = np.searchsorted(self.ids, wanted)
        places = places[places < self.count]
        return places[np.isin(self.ids[places], wanted, assume_unique=True)]

    def place(self, image_id: int) -> int | None:
        """The row of a photo."""
        place = int(np.searchsorted(self.ids, image_id))
        return place if place < self.count and self.ids[place] == image_id else None

    def by_name(self, connection: Connection) -> Array:
        """Rows in the order of the photos' file names."""
        if self._by_name is None:
            self.column(connection, NAME_HASH.name)
            blocks = in_blocks(connection, _BY_NAME, {"catalog": self.catalog_id, "rows": _BLOCK_ROWS})
            places = [np.searchsorted(self.ids, ids).astype(np.int32) for ids in blocks]
            self._by_name = np.concatenate([np.empty(0, np.int32), *places])
        return self._by_name

    def catch_up(self, connection: Connection) -> Array | None:
        """Follow what was committed since the last look, as this connection's transaction sees it.

        Gives the numbers of the photos that changed, or None where everything was read anew.
        """
        if not self.snapshot or time.monotonic() - self._seen_at > KEPT_HOURS * 1800:
            self._begin(connection)
            return None
        asked = {"catalog": self.catalog_id, "seen": self.snapshot}
        snapshot, listed = connection.execute(_CHANGED, asked).one()
        self._seen_at = time.monotonic()
        changed = np.sort(np.asarray(listed, np.int64))
        if len(changed) > max(_FEW, self.count * _ANEW_ABOVE):
            self._begin(connection)
            return None
        if len(changed):
            self._follow(connection, changed)
        self.snapshot = snapshot
        return changed

    def _begin(self, connection: Connection) -> None:
        self.snapshot = str(connection.scalar(text("select pg_current_snapshot()::text")))
        self._seen_at = time.monotonic()
        shapes = [_shape(name) for name in self._kept if name != "id"]
        self._kept, self._by_name = {}, None
        self._read_all(connection, shapes)
        self.changes += 1

    def _read_all(self, connection: Connection, shapes: Sequence[Shape]) -> None:
        is_first = "id" not in self._kept
        if is_first:
            self.count = connection.scalar(_COUNT, {"catalog": self.catalog_id}) or 0
        room = _room_for(self.count) if is_first else len(self._kept["id"])
        fresh = {shape.name: np.empty(room, shape.kept_as) for shape in shapes}
        ids = np.empty(room, np.int64) if is_first else self._kept["id"]
        self.numbers |= {shape.name: Numbers(shape.wire.newbyteorder("=")) for shape in shapes if shape.is_number}
        begin = 0
        for rows in self._blocks(connection, shapes):
            place = slice(begin, begin + len(rows["id"]))
            ids[place] = rows["id"]
            for shape in shapes:
                values = self._as_kept(connection, shape, rows[shape.name], fresh)
                fresh[shape.name][place] = values
            begin = place.stop
        self._kept |= {"id": ids} | fresh
        for shape in shapes:
            self._touch(shape.name)

    def _blocks(
        self, connection: Connection, shapes: Sequence[Shape], ids: Array | None = None
    ) -> Iterator[dict[str, Array]]:
        """Blocks of rows by the photos' numbers, all or those of `ids`, as arrays by name; at least one block."""
        asked = statement(shapes, only_changed=ids is not None)
        values: dict[str, Any] = {"catalog": self.catalog_id, "after": 0, "rows": _BLOCK_ROWS}
        if ids is not None:
            values["ids"] = ids.tolist()
        while True:
            arrays = arrays_of(connection, asked, values, [BIGINT, *(shape.wire for shape in shapes)])
            yield dict(zip(["id", *(shape.name for shape in shapes)], arrays, strict=True))
            if len(arrays[0]) < _BLOCK_ROWS:
                return
            values["after"] = int(arrays[0][-1])

    def _as_kept(self, connection: Connection, shape: Shape, values: Array, kept: dict[str, Array]) -> Array:
        """Values as they are kept in the column of `kept`, which becomes a wider one where they need that."""
        if shape.is_named:
            names = self.names.setdefault(shape.name, Names(self.catalog_id, shape.name))
            codes = names.codes(connection, values)
            if not are_few(len(names.values)) and kept[shape.name].dtype == CODE:
                kept[shape.name] = kept[shape.name].astype(shape.dtype)
            return codes.astype(kept[shape.name].dtype)
        numbers = self.numbers.get(shape.name)
        if numbers is not None:
            numbered = numbers.codes(values)
            if numbered is not None:
                return numbered
            of_codes = np.append(numbers.values, 0).astype(shape.dtype)
            # Behind the last row stands anything.
            kept[shape.name] = np.take(of_codes, kept[shape.name], mode="clip")
            del self.numbers[shape.name]
        return values.astype(shape.dtype)

    def _follow(self, connection: Connection, changed: Array) -> None:
        shapes = [_shape(name) for name in self._kept if name != "id"]
        blocks = list(self._blocks(connection, shapes, changed))
        rows = {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
        gone = np.setdiff1d(changed, rows["id"], assume_unique=True)
        if len(gone := self.places(gone)):
            self._take_out(gone)
        places = np.searchsorted(self.ids, rows["id"])
        there = places < self.count
        there[there] = self.ids[places[there]] == rows["id"][there]
        for shape in shapes:
            values = self._as_kept(connection, shape, rows[shape.name], self._kept)
            kept = self._kept[shape.name]
            if not np.array_equal(kept[places[there]], values[there], equal_nan=values.dtype.kind == "f"):
                kept[places[there]] = values[there]
                self._touch(shape.name)
                if shape is NAME_HASH:
                    self._by_name = None
        if not there.all():
            self._put_in(connection, {name: values[~there] for name, values in rows.items()}, shapes)
        self.changes += 1

    def _put_in(self, connection: Connection, rows: dict[str, Array], shapes: Sequence[Shape]) -> None:
        """Rows of new photos, behind the others where their numbers are higher, which is nearly always."""
        ids, before = rows["id"].astype(np.int64), self.count
        is_behind = not before or ids[0] > self.ids[-1]
        places = np.searchsorted(self.ids, ids)
        fresh = {shape.name: self._as_kept(connection, shape, rows[shape.name], self._kept) for shape in shapes}
        fresh["id"] = ids
        self.count += len(ids)
        for name, values in fresh.items():
            kept = self._kept[name]
            if not is_behind:
                kept = _with_room(np.insert(kept[:before], places, values))
            elif len(kept) < self.count:
                kept = _with_room(np.concatenate([kept[:before], values]))
            else:
                kept[before : self.count] = values
            self._kept[name] = kept
            self._touch(name)
        if self._by_name is not None:
            self._by_name = self._named_in(connection, ids, self._by_name) if is_behind and len(ids) <= _FEW else None

    def _named_in(self, connection: Connection, ids: Array, order: Array) -> Array:
        """The order of names with new photos, whose rows are the last, at their places."""
        rank = np.empty(self.count, np.int64)
        rank[order] = np.arange(len(order))
        behind: list[int] = []
        rows: list[int] = []
        for image_id, before in connection.execute(_BEFORE_IN_NAMES, {"catalog": self.catalog_id, "ids": ids.tolist()}):
            place = self.place(before) if before else None
            is_new = place is not None and place >= len(order)
            # One behind another new one stands where that one stands; they come in their order.
            behind.append(behind[-1] if is_new else int(rank[place]) + 1 if place is not None else 0)
            rows.append(self.place(image_id) or 0)
        return np.insert(order, behind, np.asarray(rows, order.dtype))

    def _take_out(self, places: Array) -> None:
        stays = np.ones(self.count, bool)
        stays[places] = False
        if self._by_name is not None:
            moved = (np.cumsum(stays) - 1).astype(np.int32)
            self._by_name = moved[self._by_name[stays[self._by_name]]]
        before, self.count = self.count, int(stays.sum())
        for name, kept in self._kept.items():
            self._kept[name] = _with_room(kept[:before][stays])
            self._touch(name)

    def _touch(self, name: str) -> None:
        self.stamps[name] = self.stamps.get(name, 0) + 1


def _shape(name: str) -> Shape:
    return _OTHERS.get(name) or SHAPES[name]


def arrays_of(
    connection: Connection, asked: str, values: Mapping[str, Any], wires: Sequence[np.dtype[Any]]
) -> list[Array]:
    """The arrays in the one row that a statement gives, an array of rows being many times smaller than rows."""
    driver: Any = connection.connection.driver_connection
    with driver.cursor(binary=True) as cursor:
        cursor.execute(asked, values)
        return [array_of(cursor.pgresult.get_value(0, place), wire) for place, wire in enumerate(wires)]


def in_blocks(connection: Connection, asked: Executable, values: Mapping[str, Any]) -> Iterator[Array]:
    """Numbers of photos (int64) that a statement gives as packed arrays in several rows, some rows at a time.

    In one row they would be in memory three times, and the connection keeps a buffer of that size for good.
    """
    for packed in connection.execute(asked, values, execution_options=_STREAMED).scalars():
        yield array_of(packed, BIGINT).astype(np.int64)


def _room_for(count: int) -> int:
    return int(count * _SPARE) + 64


def _with_room(values: Array) -> Array:
    kept = np.empty(_room_for(len(values)), values.dtype)
    kept[: len(values)] = values
    return kept
