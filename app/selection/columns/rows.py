"""The columns of one catalog in memory, as of one snapshot of the database, and how they follow it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
from sqlalchemy import Connection, text

from app.selection.changes import KEPT_HOURS
from app.selection.columns.names import Names
from app.selection.columns.shape import SHAPES, Array, Shape, read, statement

# Above this share of changed photos, all are read anew: rows picked by number cost about four times as much each.
_ANEW_ABOVE: Final = 0.25
_FEW: Final = 2_000
# Room kept at the end of each column, so that photos being taken in do not move it each time.
_SPARE: Final = 1.06

_CHANGED = text("""
    select pg_current_snapshot()::text, array(
        select distinct unnest(image_ids) from photo_change
        where catalog_id = :catalog and xact >= pg_snapshot_xmin(cast(:seen as pg_snapshot))::text::bigint
            and not pg_visible_in_snapshot(xact::text::xid8, cast(:seen as pg_snapshot)))""")
_BY_NAME = "copy (select id from image where catalog_id = %(catalog)s order by name_key, id) to stdout (format binary)"
# The photo just before each new one in the order of names, found in the index; 0 for the first.
_BEFORE_IN_NAMES = text("""
    select new.id, coalesce((
        select old.id from image as old
        where old.catalog_id = :catalog and (old.name_key, old.id) < (new.name_key, new.id)
        order by old.name_key desc, old.id desc limit 1), 0)
    from image as new where new.id = any(:ids) and new.catalog_id = :catalog order by new.name_key, new.id""")
NAME_HASH: Final = Shape("name_hash", "hashtextextended(image.name_key, 0)", "int8", "int64", of_image=True)


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
        self.stamps: dict[str, int] = {}
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
        return sum(kept.nbytes for kept in self._kept.values()) + by_name

    def column(self, connection: Connection, name: str) -> Array:
        """A column, `count` long, of the dtype of its shape; it is read where it was not yet."""
        self.prefetch(connection, [name])
        return self._kept[name][: self.count]

    def prefetch(self, connection: Connection, names: Iterable[str]) -> None:
        """Read the columns that were not yet, in one pass over the tables. Raises NotReadYet where that is refused."""
        missing = [name for name in dict.fromkeys(names) if name not in self._kept]
        if missing and self.is_complete:
            raise NotReadYet(missing)
        if missing:
            self._read_all(connection, [_shape(name) for name in missing])

    def take_over(self, other: Columns) -> None:
        """Keep the columns that another one has read of the same photos, as of the same snapshot."""
        for name, kept in other._kept.items():
            if name not in self._kept:
                self._kept[name] = kept
                if name in other.names:
                    self.names[name] = other.names[name]
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
            ids = self._copied(connection, _BY_NAME, [])["id"].astype(np.int64)
            self._by_name = np.searchsorted(self.ids, ids).astype(np.int32)
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
        rows = self._copied(connection, statement(shapes, only_changed=False), shapes)
        if "id" not in self._kept:
            self.count = len(rows)
            self._kept["id"] = _with_room(rows["id"].astype(np.int64))
        for shape in shapes:
            values = self._as_kept(connection, shape, rows[shape.name])
            self._kept[shape.name] = _with_room(values, len(self._kept["id"]))
            self._touch(shape.name)

    def _copied(self, connection: Connection, asked: str, shapes: Sequence[Shape], ids: Array | None = None) -> Array:
        values = {"catalog": self.catalog_id, "ids": [] if ids is None else ids.tolist()}
        driver: Any = connection.connection.driver_connection
        with driver.cursor() as cursor, cursor.copy(asked, values) as copy:
            # Kept as pieces until the end, a million rows leave the process full of holes.
            whole = bytearray()
            for piece in copy:
                whole += piece
            return read(whole, shapes)

    def _as_kept(self, connection: Connection, shape: Shape, values: Array) -> Array:
        if shape.is_named:
            names = self.names.setdefault(shape.name, Names(self.catalog_id, shape.name))
            return names.codes(connection, values)
        return values.astype(shape.dtype)

    def _follow(self, connection: Connection, changed: Array) -> None:
        shapes = [_shape(name) for name in self._kept if name != "id"]
        rows = self._copied(connection, statement(shapes, only_changed=True), shapes, changed)
        gone = np.setdiff1d(changed, rows["id"], assume_unique=True)
        if len(gone := self.places(gone)):
            self._take_out(gone)
        places = np.searchsorted(self.ids, rows["id"])
        there = places < self.count
        there[there] = self.ids[places[there]] == rows["id"][there]
        for shape in shapes:
            values = self._as_kept(connection, shape, rows[shape.name])
            kept = self._kept[shape.name]
            if not np.array_equal(kept[places[there]], values[there], equal_nan=values.dtype.kind == "f"):
                kept[places[there]] = values[there]
                self._touch(shape.name)
                if shape is NAME_HASH:
                    self._by_name = None
        if not there.all():
            self._put_in(connection, rows[~there], shapes)
        self.changes += 1

    def _put_in(self, connection: Connection, rows: Array, shapes: Sequence[Shape]) -> None:
        """Rows of new photos, behind the others where their numbers are higher, which is nearly always."""
        ids, before = rows["id"].astype(np.int64), self.count
        is_behind = not before or ids[0] > self.ids[-1]
        places = np.searchsorted(self.ids, ids)
        fresh = {shape.name: self._as_kept(connection, shape, rows[shape.name]) for shape in shapes} | {"id": ids}
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
    return NAME_HASH if name == NAME_HASH.name else SHAPES[name]


def _with_room(values: Array, room: int = 0) -> Array:
    kept = np.empty(max(room, int(len(values) * _SPARE) + 64), values.dtype)
    kept[: len(values)] = values
    return kept
