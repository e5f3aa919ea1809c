"""How photos look, in memory: the codes of one catalog's photos, by which the nearest of a million are found.

A code is 512 bits (`app/catalog/look_codes.py`): 64 bytes a photo and 8 for its number. They are read when somebody
first asks how photos look, follow what was committed as columns do, and are let go when nobody has asked for a while.
Which photos are nearest PostgreSQL decides, by the vectors of the few whose codes differ least; so the order is exact
among these, and what is missing among them is missing. A filter is applied before, so these few are all of its own.
"""

from __future__ import annotations

import itertools
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
from sqlalchemy import Connection, Text, cast, func, select, text

from app.catalog import look_codes
from app.catalog.look_codes import BITS
from app.catalog.near import LOOKED_AT
from app.selection import near
from app.selection.columns.numbers import Array
from app.selection.columns.room import KeptPart
from app.selection.columns.rows import Columns
from app.selection.near import FARTHEST, Aim, Wished

LET_GO_AFTER_S: Final = 1_200.0
"""Codes that nobody asked for this long are read again when somebody does."""
WITHIN_REQUEST: Final = 50_000
"""More codes are read beside the request."""
LOOKED_AT_ALL: Final = 10_000
"""Of as many photos without codes each vector is looked at."""

_WORDS: Final = BITS // 64
_AT_ONCE: Final = 1 << 15
_SPARE: Final = 1.06
_FEW: Final = 2_000
_ORDERS_KEPT: Final = 2
_NEAREST_KEPT: Final = 64
# PostgreSQL's binary format: the count of fields, then each behind its length; that of a bit string has its own before.
_ROW: Final = np.dtype(
    [
        ("fields", ">i2"), ("id_length", ">i4"), ("id", ">i8"),
        ("code_length", ">i4"), ("bits", ">i4"), ("code", "u8", _WORDS),
    ]
)  # fmt: skip
_HEAD: Final = 19
# No two states of codes have one number, read anew or not, so that what was worked out is known to be out of date.
_CHANGES: Final = itertools.count(1)
_COUNTED: Final = text("select count(code) from look_code where catalog_id = :catalog and space_id = :space")
_ALL: Final = (
    "copy (select image_id, code from look_code where catalog_id = %(catalog)s and space_id = %(space)s "
    "and code is not null order by image_id) to stdout (format binary)"
)
_SNAPSHOT: Final = text("select pg_current_snapshot()::text")
# In a database that was restored from a backup, numbers of transactions may be higher than any that there were here.
_WRITTEN: Final = """from look_code where catalog_id = :catalog
    and xact < pg_snapshot_xmax(pg_current_snapshot())::text::bigint
    and xact >= pg_snapshot_xmin(cast(:seen as pg_snapshot))::text::bigint
    and not pg_visible_in_snapshot(xact::text::xid8, cast(:seen as pg_snapshot))"""
_HOW_MANY: Final = text(f"select pg_current_snapshot()::text, count(*) {_WRITTEN}")
_CHANGED: Final = text(f"select image_id, space_id, bit_send(code) {_WRITTEN} order by image_id")
_APART: Final = text("""
    select string_agg(int8send(image_id) || int4send(round((vector <=> cast(:aim as halfvec)) * 100000)::int), ''
        order by image_id)
    from embedding where image_id = any(:ids) and space_id = :space""")


class LooksNotRead(Exception):
    """The codes of a large catalog in one space, which are to be read beside the requests."""

    def __init__(self, space_id: int) -> None:
        super().__init__(f"The codes of space {space_id} are not read yet.")
        self.space_id = space_id


@dataclass(frozen=True, slots=True)
class _Sought:
    """What is looked for: its space, its vector as PostgreSQL writes it, and its code, empty without codes."""

    space_id: int
    vector: str
    code: bytes


class SpaceCodes:
    """The codes of one catalog's photos in one space, as of one snapshot; 8 words of 64 bits each."""

    def __init__(self, catalog_id: int, space_id: int) -> None:
        self.catalog_id, self.space_id = catalog_id, space_id
        self.snapshot = ""
        self.changes = next(_CHANGES)
        self.asked_at = time.monotonic()
        self.count = 0
        self.placed: tuple[Any, Array] | None = None
        """Where they lie among the photos, and as of what; see `LooksInMemory`."""
        self._ids = np.empty(0, np.int64)
        self._words = np.empty((_WORDS, 0), np.uint64)

    @property
    def ids(self) -> Array:
        """The numbers of the photos, ascending."""
        return self._ids[: self.count]

    @property
    def memory_bytes(self) -> int:
        """What they take."""
        return self._ids.nbytes + self._words.nbytes + (self.placed[1].nbytes if self.placed else 0)

    def read(self, connection: Connection, make_room: Callable[[int], None] = lambda size_bytes: None) -> None:
        """Read all of them, as this connection's transaction sees them; before, what they will take is told."""
        asked = {"catalog": self.catalog_id, "space": self.space_id}
        self.snapshot = str(connection.scalar(_SNAPSHOT))
        room = int((connection.scalar(_COUNTED, asked) or 0) * _SPARE) + 64
        make_room(room * (_WORDS + 1) * 8)
        self._ids, self._words, self.count = np.empty(room, np.int64), np.empty((_WORDS, room), np.uint64), 0
        driver: Any = connection.connection.driver_connection
        with driver.cursor() as cursor, cursor.copy(_ALL, asked) as copy:
            # Taken over piece by piece: all at once they would be in memory twice.
            waiting, is_begun = bytearray(), False
            for piece in copy:
                waiting += piece
                if not is_begun and len(waiting) >= _HEAD:
                    del waiting[:_HEAD]
                    is_begun = True
                if is_begun and len(waiting) > _AT_ONCE * _ROW.itemsize:
                    self._take(waiting)
            self._take(waiting)
        self.changes = next(_CHANGES)

    def drop(self, stays: Array) -> None:
        """Keep those alone of which `stays` (bool) is true."""
        count = int(np.count_nonzero(stays))
        for kept in (self._ids, *self._words):
            kept[:count] = kept[: self.count][stays]
        self.count = count
        self.changes = next(_CHANGES)

    def _take(self, waiting: bytearray) -> None:
        """Take whole rows from the front. What is left at the end, two bytes, is the format's own end."""
        rows = np.frombuffer(bytes(waiting[: len(waiting) // _ROW.itemsize * _ROW.itemsize]), _ROW)
        del waiting[: rows.nbytes]
        end = self.count + len(rows)
        self._ids[self.count : end], self._words[:, self.count : end] = rows["id"], rows["code"].T
        self.count = end

    def catch_up(self, connection: Connection) -> bool:
        """Follow what was committed since the last look. False where that is so much, or so many photos are new, that
        all is to be read anew."""
        asked = {"catalog": self.catalog_id, "seen": self.snapshot}
        snapshot, changed = connection.execute(_HOW_MANY, asked).one()
        if changed > max(_FEW, self.count // 4):
            return False
        if changed and not self._follow(connection.execute(_CHANGED, asked).all()):
            return False
        self.snapshot = snapshot
        return True

    def _follow(self, changed: Sequence[Any]) -> bool:
        """Put changed codes where they belong: replaced, taken out, or put in; False where there is no room for them.

        All in place: a copy of all for the sake of one would double what they take.
        """
        ids = np.array([row[0] for row in changed], np.int64)
        is_ours = np.array([row[1] == self.space_id and row[2] is not None for row in changed])
        codes = [np.frombuffer(row[2], np.uint64, offset=4) for row, ours in zip(changed, is_ours, strict=True) if ours]
        words = np.array(codes, np.uint64).reshape(-1, _WORDS).T
        places = np.searchsorted(self.ids, ids)
        is_known = places < self.count
        is_known[is_known] = self.ids[places[is_known]] == ids[is_known]
        self._words[:, places[is_known & is_ours]] = words[:, is_known[is_ours]]
        if len(gone := places[is_known & ~is_ours]):
            stays = np.ones(self.count, bool)
            stays[gone] = False
            self.drop(stays)
        self.changes = next(_CHANGES)
        return self._put_in(ids[is_ours & ~is_known], words[:, ~is_known[is_ours]])

    def _put_in(self, ids: Array, words: Array) -> bool:
        """Codes of photos that had none, most often of new photos, behind the others."""
        count = self.count + len(ids)
        if count > len(self._ids):
            return False
        places = np.searchsorted(self.ids, ids)
        is_behind = not len(ids) or places[0] == self.count
        for kept, fresh in zip((self._ids, *self._words), (ids, *words), strict=True):
            if is_behind:
                kept[self.count : count] = fresh
            else:
                kept[:count] = np.insert(kept[: self.count], places, fresh)
        self.count = count
        return True

    def differing(self, code: bytes, places: Array | None = None) -> Array:
        """In how many bits each code differs from one: uint16, of those at `places`, or of all."""
        return look_codes.differing(self._words[:, : self.count], np.frombuffer(code, np.uint64), places)


@dataclass(slots=True)
class AlikeRows:
    """Rows by likeness, as of `as_of`: the `first` in order; those behind, which few go through, when asked for."""

    as_of: Any
    rows: Array
    first: Array
    differing: Array | None = None

    @property
    def memory_bytes(self) -> int:
        """What they take."""
        return sum(kept.nbytes for kept in (self.rows, self.first, self.differing) if kept is not None)

    def up_to(self, count: int) -> Array:
        """At least the first `count`, where there are as many."""
        if self.differing is not None and count > len(self.first):
            # In the order of their codes.
            others = self.rows[np.argsort(self.differing, kind="stable")]
            is_first = np.zeros(int(self.rows[-1]) + 1, bool)
            is_first[self.first] = True
            self.first, self.differing = np.concatenate([self.first, others[~is_first[others]]]), None
        return self.first

    def place(self, row: int) -> int:
        """Where one of the rows stands, from 0."""
        for order in (self.first, self.up_to(len(self.rows))):
            if len(there := np.flatnonzero(order == row)):
                return int(there[0])
        raise KeyError(row)


class LooksInMemory:
    """Asked as filters and orders ask. Gives None where SQL has to be asked: where many photos have no codes.

    Raises LooksNotRead where the codes of a large catalog are asked for the first time.
    """

    def __init__(self, columns: Columns) -> None:
        self.columns = columns
        self._spaces: dict[int, SpaceCodes] = {}
        self._as_of = ""
        self._sought: dict[Aim, _Sought | None] = {}
        self._nearest: OrderedDict[tuple[int, str], tuple[int, Array]] = OrderedDict()
        self._orders: OrderedDict[Wished, AlikeRows] = OrderedDict()

    @property
    def memory_bytes(self) -> int:
        """What the codes take, and the orders by them."""
        orders = sum(order.memory_bytes for order in list(self._orders.values()))
        return sum(codes.memory_bytes for codes in list(self._spaces.values())) + orders

    def parts(self) -> Iterator[KeptPart]:
        """The codes of each space, with all orders, which are worked out by them in some milliseconds."""
        for space_id, codes in list(self._spaces.items()):
            yield KeptPart(codes.asked_at, codes.memory_bytes, partial(self._let_go, space_id))

    def _let_go(self, space_id: int) -> None:
        del self._spaces[space_id]
        self._orders.clear()

    def let_go(self, now_s: float) -> None:
        """Let go of what nobody has asked for in a while, by the clock of `time.monotonic`."""
        for space_id, codes in list(self._spaces.items()):
            if now_s - codes.asked_at > LET_GO_AFTER_S:
                self._let_go(space_id)

    def take_over(self, codes: SpaceCodes) -> None:
        """Keep codes that were read beside the requests; they follow from their own snapshot."""
        self._spaces[codes.space_id] = codes
        self._as_of = ""

    def nearest(self, connection: Connection, aim: Aim) -> Array | None:
        """The numbers of the photos nearest to what is looked for, as `Aim.nearest` gives them."""
        sought = self._looked_up(connection, aim)
        if sought is None:
            return np.empty(0, np.int64)
        if (codes := self._codes(connection, sought)) is None:
            return None
        asked = (near.NEAREST, sought.vector)
        known = self._nearest.get(asked)
        if known is None or known[0] != codes.changes:
            ids = codes.ids[look_codes.least(codes.differing(sought.code), LOOKED_AT)]
            apart = _apart(connection, [sought], ids)
            order = np.argsort(apart, kind="stable")[: near.NEAREST]
            known = self._nearest[asked] = (codes.changes, ids[order[apart[order] < FARTHEST]])
            if len(self._nearest) > _NEAREST_KEPT:
                self._nearest.popitem(last=False)
        self._nearest.move_to_end(asked)
        return known[1]

    def ordered(self, connection: Connection, rows: Array, aims: Wished) -> AlikeRows | None:
        """These rows (ascending, int32), the most alike first, ties by number; those without a vector last."""
        parts = [[sought for aim in some if (sought := self._looked_up(connection, aim)) is not None] for some in aims]
        parts = [part for part in parts if part]
        coded = [self._codes(connection, sought) for part in parts for sought in part]
        # Rows are told by their places among the photos, which are other ones once photos came or went.
        photos = (self.columns.stamps.get("id", 0), self.columns.count)
        as_of = (tuple(map(tuple, parts)), photos, *(codes and codes.changes for codes in coded))
        known = self._orders.get(aims)
        if known is not None and all(coded) and known.as_of == as_of and np.array_equal(known.rows, rows):
            return known
        if len(rows) <= (LOOKED_AT if all(coded) else LOOKED_AT_ALL):
            known = AlikeRows(as_of, rows, rows[_in_order(connection, parts, self.columns.ids[rows])])
        else:
            spaces = {sought.space_id for part in parts for sought in part}
            codes = coded[0]
            if len(spaces) > 1 or codes is None:
                return None
            differing = self._differing(codes, parts, rows)
            first = rows[look_codes.least(differing, LOOKED_AT)]
            first = first[_in_order(connection, parts, self.columns.ids[first])]
            known = AlikeRows(as_of, rows, first, differing)
        self._orders[aims] = known
        self._orders.move_to_end(aims)
        if len(self._orders) > _ORDERS_KEPT:
            self._orders.popitem(last=False)
        return known

    def _differing(self, codes: SpaceCodes, parts: Sequence[Sequence[_Sought]], rows: Array) -> Array:
        """In how many bits the rows' codes differ from what is looked for, added up (uint16); most without a code."""
        places = self._places(codes)[rows]
        is_coded = places >= 0
        differing = np.zeros(len(rows), np.uint16)
        if len(rows) == codes.count and is_coded.all():
            for part in parts:
                differing += np.minimum.reduce([codes.differing(sought.code) for sought in part])
            return differing
        ours = places[is_coded]
        for part in parts:
            differing[is_coded] += np.minimum.reduce([codes.differing(sought.code, ours) for sought in part])
        differing[~is_coded] = np.iinfo(np.uint16).max
        return differing

    def _looked_up(self, connection: Connection, aim: Aim) -> _Sought | None:
        """What is looked for, as of now; None where nobody knows how it looks."""
        if self._as_of != self.columns.snapshot:
            # As of one snapshot nothing changes.
            self._as_of = self.columns.snapshot
            self._sought.clear()
            self._spaces = {codes.space_id: codes for codes in self._spaces.values() if codes.catch_up(connection)}
        if aim not in self._sought:
            row = aim.sought()
            asked = select(row.c.aim_space, cast(row.c.aim, Text), func.bit_send(row.c.aim_code))
            space_id, vector, code = connection.execute(asked).one()
            known = _Sought(space_id, vector, code[4:] if code else b"") if vector else None
            self._sought[aim] = known
        return self._sought[aim]

    def _codes(self, connection: Connection, sought: _Sought) -> SpaceCodes | None:
        """The codes of its space; None where it has none."""
        if not sought.code:
            return None
        codes = self._spaces.get(sought.space_id)
        if codes is None:
            if self.columns.count > WITHIN_REQUEST:
                raise LooksNotRead(sought.space_id)
            codes = self._spaces[sought.space_id] = SpaceCodes(self.columns.catalog_id, sought.space_id)
            codes.read(connection)
        codes.asked_at = time.monotonic()
        self._places(codes)
        return codes

    def _places(self, codes: SpaceCodes) -> Array:
        """For each row the place of its photo's code, -1 without one (int32). Codes of photos that went go too."""
        stamp = (codes.changes, self.columns.stamps.get("id", 0), self.columns.count)
        if codes.placed is None or codes.placed[0] != stamp:
            rows = np.searchsorted(self.columns.ids, codes.ids)
            rows[rows == self.columns.count] = 0
            is_there = self.columns.ids[rows] == codes.ids if self.columns.count else np.zeros(codes.count, bool)
            if not is_there.all():
                codes.drop(is_there)
                rows = rows[is_there]
            places = np.full(self.columns.count, -1, np.int32)
            places[rows] = np.arange(codes.count, dtype=np.int32)
            codes.placed = ((codes.changes, *stamp[1:]), places)
        return codes.placed[1]


def _in_order(connection: Connection, parts: Sequence[Sequence[_Sought]], ids: Array) -> Array:
    """Places in `ids` (ascending), the most alike first."""
    apart = np.zeros(len(ids), np.int64)
    for part in parts:
        apart += _apart(connection, part, ids)
    return np.argsort(apart, kind="stable").astype(np.int32)


def _apart(connection: Connection, part: Sequence[_Sought], ids: Array) -> Array:
    """How far these photos (ascending numbers) are from the nearest of what is looked for, as `near.apart` says it."""
    apart = np.full(len(ids), FARTHEST, np.int64)
    for sought in part:
        asked = {"aim": sought.vector, "space": sought.space_id, "ids": ids.tolist()}
        packed = np.frombuffer(connection.scalar(_APART, asked) or b"", [("id", ">i8"), ("apart", ">i4")])
        places = np.searchsorted(ids, packed["id"].astype(np.int64))
        apart[places] = np.minimum(apart[places], packed["apart"])
    return apart
