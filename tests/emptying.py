"""The tests' database, emptied: for tests whose rows other connections must see."""

from sqlalchemy import Engine, text

from app.database import Base, transaction
from app.selection.columns import memory


def empty(engine: Engine, *, numbers_begin_again: bool = False) -> None:
    """Take every row of every table away. A list of tables kept by hand would leave what a new table holds."""
    tables = ", ".join(table.name for table in Base.metadata.sorted_tables)
    restart = "restart identity " if numbers_begin_again else ""
    with transaction(engine) as session:
        session.execute(text(f"truncate {tables} {restart}cascade"))
    # No trigger tells of it, and nobody but a test does it.
    memory.kept_catalogs(engine).forget()
