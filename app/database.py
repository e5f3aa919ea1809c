"""The engine, the declarative base and the one place that commits outside a web request."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Annotated

from sqlalchemy import BigInteger, DateTime, Engine, Identity, MetaData, create_engine
from sqlalchemy.orm import DeclarativeBase, Session, mapped_column

from app.settings import PROJECT

# Alembic needs constraint names that do not depend on the engine's whims.
NAMING = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

BigId = Annotated[int, mapped_column(BigInteger, Identity(), primary_key=True)]
Moment = Annotated[datetime, mapped_column(DateTime(timezone=True))]


class Base(DeclarativeBase):
    """Base of every table."""

    metadata = MetaData(naming_convention=NAMING)


def utc_now() -> datetime:
    """The present moment, aware, UTC."""
    return datetime.now(UTC)


@lru_cache(maxsize=8)
def engine_for(url: str) -> Engine:
    """One engine per process and address. A connection that the server dropped is replaced on checkout.

    Errors do not repeat the values of a statement: they end up in logs. No statement is prepared: PostgreSQL would plan
    it once for all values, and a filter's "white", which most photos mention, needs another plan than its "samovar".
    """
    return create_engine(
        url,
        hide_parameters=True,
        pool_pre_ping=True,
        pool_size=10,
        max_overflow=20,
        connect_args={"prepare_threshold": None},
    )


@contextmanager
def transaction(engine: Engine) -> Iterator[Session]:
    """A session in a transaction: commits when the block ends, rolls back when it raises."""
    with Session(engine, expire_on_commit=False) as session, session.begin():
        yield session


def migrate(url: str) -> None:
    """Bring the database at `url` to the newest migration."""
    # Alembic is slow to import and only start-up needs it.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(migrations_folder()))
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    command.upgrade(config, "head")


def migrations_folder() -> Path:
    """The Alembic folder at the top of the project."""
    return PROJECT / "migrations"
