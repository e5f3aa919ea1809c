"""The engine, the declarative base and the one place that commits outside a web request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    DateTime,
    Engine,
    Identity,
    LargeBinary,
    MetaData,
    Subquery,
    Text,
    cast,
    column,
    create_engine,
    func,
    literal,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, Session, mapped_column
from sqlalchemy.types import NullType, TypeEngine

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
    Connections are kept: those beyond a pool's size would be opened anew for each request of a crowd.
    """
    return create_engine(
        url,
        hide_parameters=True,
        pool_pre_ping=True,
        pool_size=30,
        max_overflow=0,
        connect_args={"prepare_threshold": None},
    )


@contextmanager
def transaction(engine: Engine) -> Iterator[Session]:
    """A session in a transaction: commits when the block ends, rolls back when it raises."""
    with Session(engine, expire_on_commit=False) as session, session.begin():
        yield session


def recordset(table: type[Base], rows: Sequence[Mapping[str, Any]]) -> Subquery:
    """Rows for a table, at least one, as one value in one statement: columns named, typed and ordered as in `rows[0]`.

    A statement of many rows of parameters takes longer to write than to do, and one statement a row runs the table's
    triggers for each.
    """
    types = {name: table.__table__.c[name].type for name in rows[0]}
    packed = {name for name, of in types.items() if isinstance(of, LargeBinary)}
    unlike_json = [name for name, of in types.items() if isinstance(of, LargeBinary | DateTime)]
    given = [{**row, **{name: _as_json(row[name]) for name in unlike_json}} for row in rows]
    sent = (
        func.jsonb_to_recordset(literal(given, JSONB()))
        .table_valued(*(column(name, _sent_as(of)) for name, of in types.items()))
        .render_derived(name="sent", with_types=True)
    )
    listed = (func.decode(sent.c[name], "hex") if name in packed else sent.c[name] for name in types)
    return select(*(value.label(name) for name, value in zip(types, listed, strict=True))).subquery("given_rows")


def array(values: Iterable[Any], of: TypeEngine[Any] | None = None) -> ColumnElement[Any]:
    """Values as one array of a statement: whole numbers, or what `of` says, of texts and moments; None is null.

    It is sent as one text. A statement has room for 65,535 parameters, and psycopg writes a list item by item, at ten
    times the cost (https://www.postgresql.org/docs/current/arrays.html, "Array Input and Output Syntax").
    """
    sent = "{" + ",".join(map(str, values) if of is None else map(_in_array, values)) + "}"
    # Of no type of its own: a text that is cast would be read again for every row it is held against.
    return cast(literal(sent, NullType()), ARRAY(of or BigInteger()))


def _in_array(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f'"{value.isoformat()}"' if isinstance(value, datetime) else str(value)


def _as_json(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value.isoformat() if isinstance(value, datetime) else value


def _sent_as(of: TypeEngine[Any]) -> TypeEngine[Any]:
    """The type that a column's values have on their way: bytes go as hex."""
    return Text() if isinstance(of, LargeBinary) else JSONB() if isinstance(of, JSONB) else of


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
