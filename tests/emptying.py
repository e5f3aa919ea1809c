"""The tests' database, emptied: for tests whose rows other connections must see."""

from psycopg.errors import LockNotAvailable
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from app.database import Base, transaction
from app.selection.columns import memory

TRIES = 15


def empty(engine: Engine, *, numbers_begin_again: bool = False) -> None:
    """Take every row of every table away. A list of tables kept by hand would leave what a new table holds.

    A request of the test before may still be at work: it holds tables on one connection and reads the photo columns'
    changes on another, which would wait behind this lock for ever. So the lock is let go of meanwhile.
    """
    tables = ", ".join(table.name for table in Base.metadata.sorted_tables)
    restart = "restart identity " if numbers_begin_again else ""
    for number in range(TRIES):
        try:
            with transaction(engine) as session:
                session.execute(text("set local lock_timeout = '1s'"))
                session.execute(text(f"truncate {tables} {restart}cascade"))
            break
        except OperationalError as error:
            if not isinstance(error.orig, LockNotAvailable) or number + 1 == TRIES:
                raise
    # No trigger tells of it, and nobody but a test does it.
    memory.kept_catalogs(engine).forget()
