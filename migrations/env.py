"""Alembic's entry: one PostgreSQL, the metadata of every table, and a lock so that two starts migrate one at a time."""

from alembic import context
from sqlalchemy import create_engine, text

import app.tables  # noqa: F401  (fills the metadata)
from app.database import Base

# "packshot" as a number: any fixed key does, it only has to be the same for everybody.
MIGRATION_LOCK = 0x7061636B


def run() -> None:
    """Run the migrations on a connection of our own, inside one transaction."""
    url = context.config.get_main_option("sqlalchemy.url")
    assert url is not None
    engine = create_engine(url)
    with engine.connect() as connection:
        context.configure(connection=connection, target_metadata=Base.metadata, compare_type=True)
        with context.begin_transaction():
            connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
            context.run_migrations()
    engine.dispose()


run()
