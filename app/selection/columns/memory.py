"""The catalog in memory: what a filter asks of a million photos, answered in the web process.

PostgreSQL is the truth. A process that shows a catalog keeps the columns that filters, facets and orders ask for, and
before each answer follows what was committed since the last one; so a count is exact, and a person sees their own
writes and every commit before. `in_memory` gives nothing where it could not be so, and the same is asked in SQL then.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cache, partial
from typing import Final, TypeVar
from weakref import WeakKeyDictionary, finalize

from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.orm import Session

from app.selection.columns import room
from app.selection.columns.catalog import CatalogInMemory
from app.selection.columns.looks import LooksNotRead, SpaceCodes
from app.selection.columns.room import KeptPart
from app.selection.columns.rows import Columns, NotReadYet
from app.settings import CATALOG_MEMORY_MB

Answer = TypeVar("Answer")
_LOOK: Final = "look"
_GRID_BYTES: Final = 40
"""About what a photo takes of what each page of the grid asks for."""

_WITHIN_REQUEST: Final = 50_000
"""A catalog of more photos is read beside the request, which is answered in SQL."""
_LARGEST: Final = text("""
    select catalog.id, count(*) from catalog join photo_index on photo_index.catalog_id = catalog.id
    where catalog.removed_at is null group by catalog.id order by 2 desc, 1 desc""")


class KeptCatalogs:
    """The catalogs that this process keeps of one database, and the connections they follow it on."""

    def __init__(self, engine: Engine) -> None:
        # Of their own: a request that waits for a second connection of its pool could wait for itself.
        self._engine = create_engine(
            engine.url, hide_parameters=True, pool_pre_ping=True, pool_size=2, max_overflow=8,
            isolation_level="REPEATABLE READ", connect_args={"prepare_threshold": None},
        )  # fmt: skip
        finalize(engine, self._engine.dispose)
        self.most_bytes = CATALOG_MEMORY_MB << 20
        """What all catalogs may take, with everything that is kept of them."""
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, tuple[CatalogInMemory, threading.Lock]] = OrderedDict()
        self._being_read: dict[tuple[int, str], threading.Thread] = {}

    def load(self, catalog_id: int) -> None:
        """Read a catalog now: what its first page asks for. Other columns come when they are asked for."""
        _use_little()
        catalog = CatalogInMemory(catalog_id)
        with self._engine.connect() as connection:
            catalog.catch_up(connection)
            catalog.prefetch(connection)
        catalog.columns.is_complete = catalog.columns.count > _WITHIN_REQUEST
        _give_back()
        with self._lock:
            self._kept[catalog_id] = (catalog, threading.Lock())
            self._kept.move_to_end(catalog_id)
        self._make_room()

    @contextmanager
    def reading(self, catalog_id: int) -> Iterator[tuple[CatalogInMemory, Connection] | None]:
        """A catalog as of now, and the connection to ask it with; None while it is being read."""
        with ExitStack() as holding:
            catalog = self._held(catalog_id, holding)
            if catalog is None:
                yield None
                return
            connection = holding.enter_context(self._engine.connect())
            with self._dropping(catalog_id):
                catalog.catch_up(connection)
            yield catalog, connection
            self._make_room(held=catalog_id)

    def _held(self, catalog_id: int, holding: ExitStack) -> CatalogInMemory | None:
        """A catalog with its lock, which `holding` gives back; None while it is being read."""
        while True:
            with self._lock:
                kept = self._kept.get(catalog_id)
                if kept is not None:
                    self._kept.move_to_end(catalog_id)
            if kept is None:
                if not self._is_small(catalog_id):
                    self._do_beside(catalog_id, "grid", self.load)
                    return None
                self.load(catalog_id)
                continue
            catalog, lock = kept
            with ExitStack() as waiting:
                waiting.enter_context(lock)
                # Who had it while this waited may have failed, and left it half followed.
                if self._kept.get(catalog_id) is kept:
                    holding.enter_context(waiting.pop_all())
                    return catalog

    def _make_room(self, wanted_bytes: int = 0, held: int | None = None) -> None:
        """Let go of what nobody asked for longest, until all that is kept, and this much more, is within `most_bytes`.

        What each page asks for goes with its catalog, and that of the catalog asked for last stays. `held` is the
        catalog whose lock the caller has; one that others ask at this moment is left alone.
        """
        with self._lock:
            kept = dict(self._kept)
        too_many = sum(catalog.memory_bytes for catalog, _ in kept.values()) + wanted_bytes - self.most_bytes
        if too_many <= 0:
            return
        newest = next(reversed(kept), None)
        locks = [(number, lock) for number, (_, lock) in kept.items() if number == held or lock.acquire(blocking=False)]
        try:
            parts: list[KeptPart] = []
            for number, _ in locks:
                catalog = kept[number][0]
                own = list(catalog.parts())
                parts += own
                if number != newest:
                    rest = catalog.memory_bytes - sum(part.size_bytes for part in own)
                    parts.append(KeptPart(catalog.columns.asked_at, rest, partial(self._drop, number)))
            freed = room.let_go(parts, too_many, time.monotonic())
        finally:
            for number, lock in locks:
                if number != held:
                    lock.release()
        if freed:
            _give_back()

    def _drop(self, catalog_id: int) -> None:
        with self._lock:
            self._kept.pop(catalog_id, None)

    def answered(
        self,
        catalog_id: int,
        read: tuple[CatalogInMemory, Connection] | None,
        ask: Callable[[CatalogInMemory, Connection], Answer | None],
    ) -> Answer | None:
        """What a catalog answers that `reading` gave; None while it, or what is asked for of it, is not there."""
        if read is None:
            return None
        try:
            with self._dropping(catalog_id):
                return ask(*read)
        except NotReadYet as missing:
            self._do_beside(catalog_id, "columns", partial(self.read_more, names=missing.names))
        except LooksNotRead as missing:
            self._do_beside(catalog_id, "looks", partial(self._read_looks, space_id=missing.space_id))
        return None

    @contextmanager
    def _dropping(self, catalog_id: int) -> Iterator[None]:
        """Drop a catalog where this fails: half followed is nothing, and it is read anew by whoever comes next."""
        try:
            yield
        except (NotReadYet, LooksNotRead):
            raise
        except BaseException:
            self._drop(catalog_id)
            raise

    def forget(self) -> None:
        """Keep nothing any more, and close what it was followed on."""
        with self._lock:
            self._kept.clear()
        self._engine.dispose()

    def _is_small(self, catalog_id: int) -> bool:
        asked = text("select count(*) from (select from photo_index where catalog_id = :catalog limit :most) as few")
        with self._engine.connect() as connection:
            most = {"catalog": catalog_id, "most": _WITHIN_REQUEST + 1}
            return (connection.scalar(asked, most) or 0) <= _WITHIN_REQUEST

    def known(self) -> list[int]:
        """The numbers of the catalogs that are kept now."""
        with self._lock:
            return list(self._kept)

    def settle(self) -> None:
        """Wait until nothing is being read beside the requests."""
        with self._lock:
            readers = list(self._being_read.values())
        for reader in readers:
            reader.join()

    def load_beside(self) -> None:
        """Read the catalogs that there are, the largest first, beside the requests: at the start of a web process."""
        threading.Thread(target=self._load_largest, daemon=True).start()

    def _load_largest(self) -> None:
        left = self.most_bytes
        with self._engine.connect() as connection:
            there = connection.execute(_LARGEST).all()
        for catalog_id, photos in there:
            left -= photos * _GRID_BYTES
            if left < 0 and photos != there[0][1]:
                return
            # One after another: what is shown first is most likely among the largest.
            if reader := self._do_beside(catalog_id, "grid", self.load):
                reader.join()

    def read_more(self, catalog_id: int, names: Sequence[str]) -> None:
        """Read further columns beside those that a catalog has, and put them to it as of one moment."""
        more = Columns(catalog_id)
        with self._engine.connect() as connection:
            more.catch_up(connection)
            self._make_room(more.size_bytes(names))
            more.prefetch(connection, names)
        with self._lock:
            kept = self._kept.get(catalog_id)
        if kept is None:
            return
        catalog, lock = kept
        with lock, self._dropping(catalog_id), self._engine.connect() as connection:
            more.catch_up(connection)
            catalog.catch_up(connection)
            catalog.columns.take_over(more)
            del more
        self._make_room()
        _give_back()

    def _read_looks(self, catalog_id: int, space_id: int) -> None:
        """Read the codes of how a catalog's photos look, and put them to it."""
        codes = SpaceCodes(catalog_id, space_id)
        with self._engine.connect() as connection:
            codes.read(connection, self._make_room)
        with self._lock:
            kept = self._kept.get(catalog_id)
        if kept is not None:
            catalog, lock = kept
            with lock:
                catalog.looks.take_over(codes)
        self._make_room()
        _give_back()

    def _do_beside(self, catalog_id: int, what: str, work: Callable[[int], None]) -> threading.Thread | None:
        """Have another thread read this of a catalog; None where one is at it, or it is kept and complete.

        Columns do not wait for codes: the first page of the grid has those read, which takes ten times as long.
        """
        with self._lock:
            if (catalog_id, what) in self._being_read or (what == "grid" and catalog_id in self._kept):
                return None
            thread = threading.Thread(target=self._done_beside, args=(catalog_id, what, work), daemon=True)
            self._being_read[catalog_id, what] = thread
            thread.start()
        return thread

    def _done_beside(self, catalog_id: int, what: str, work: Callable[[int], None]) -> None:
        try:
            work(catalog_id)
        finally:
            with self._lock:
                self._being_read.pop((catalog_id, what), None)


@cache
def _use_little() -> None:
    """Have the C library keep little of what reading and counting use, and threads share it.

    Of itself glibc learns to keep blocks as large as those that were freed before, up to 32 MB each, and eight pools
    for each core: 40 MB more with all columns of a million photos. Larger than 2 MB, which masks of a million photos
    are not, each block goes back as it is freed. The numbers are those of `mallopt` in its malloc.h.
    """
    trim_threshold, mmap_threshold, most_arenas = -1, -3, -8
    with suppress(AttributeError, OSError):
        for option, value in ((mmap_threshold, 2 << 20), (trim_threshold, 8 << 20), (most_arenas, 2)):
            ctypes.CDLL(None).mallopt(option, value)


def _give_back() -> None:
    """Have the C library give back what reading used: it would keep about as much as the columns take.

    `malloc_trim` is glibc's; others give memory back by themselves.
    """
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


_memories: WeakKeyDictionary[Engine, KeptCatalogs] = WeakKeyDictionary()
_memories_lock = threading.Lock()


def kept_catalogs(engine: Engine) -> KeptCatalogs:
    """The catalogs in memory of one database, made on first use."""
    with _memories_lock:
        kept = _memories.get(engine)
        if kept is None:
            kept = _memories[engine] = KeptCatalogs(engine)
        return kept


def in_memory(
    session: Session, catalog_id: int, ask: Callable[[CatalogInMemory, Connection], Answer | None]
) -> Answer | None:
    """What a catalog in memory answers; None where SQL has to be asked.

    That is: while it, or a column that is asked for, is being read, where the session has written something that no
    other connection can see yet, and where the answer is None.
    """
    bind = session.get_bind()
    if not isinstance(bind, Engine) or session.new or session.dirty or session.deleted:
        return None
    kept = kept_catalogs(bind)
    look = session.info.get(_LOOK, {})
    if catalog_id in look:
        return kept.answered(catalog_id, look[catalog_id], ask)
    if _has_written(session):
        return None
    with kept.reading(catalog_id) as read:
        return kept.answered(catalog_id, read, ask)


def _has_written(session: Session) -> bool:
    """Whether a session has sent something to the database that no other connection can see yet."""
    asked = text("select pg_current_xact_id_if_assigned()::text")
    return session.in_transaction() and session.scalar(asked) is not None


@contextmanager
def one_look(session: Session, catalog_id: int) -> Iterator[None]:
    """Have all that a session asks of a catalog meanwhile answered as of one moment: it is followed once for a page.

    Who else asks for the catalog waits until then. A session looks at one catalog at a time, and writes nothing
    meanwhile; what it wrote before is asked for in SQL, as in `in_memory`.
    """
    bind = session.get_bind()
    if not isinstance(bind, Engine) or _has_written(session):
        yield
        return
    with kept_catalogs(bind).reading(catalog_id) as read:
        session.info[_LOOK] = {catalog_id: read}
        try:
            yield
        finally:
            del session.info[_LOOK]
