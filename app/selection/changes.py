"""Which photos changed, by whom it is not visible yet: the log that columns in memory are brought up to date from.

Each statement that changes what a filter asks of photos notes their numbers in one row, in its own transaction. A
reader that keeps the snapshot of its last look finds what was committed since by `pg_visible_in_snapshot`: the order in
which transactions become visible is not that of their numbers, and a mark like "the newest row I saw" would lose the
rows of one that began early and ended late (https://www.postgresql.org/docs/current/functions-info.html, table 9.86).
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import BigInteger, Connection, Identity, Index, MetaData, delete, event, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, Session, mapped_column

from app.database import Base, Moment, utc_now


class PhotoChange(Base):
    """Photos of one catalog that one statement changed: written by triggers, read by `Columns`, gone after a day."""

    __tablename__ = "photo_change"
    __table_args__ = (Index("ix_photo_change_catalog_id_xact", "catalog_id", "xact"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    catalog_id: Mapped[int] = mapped_column(BigInteger)
    xact: Mapped[int] = mapped_column(BigInteger, server_default=text("pg_current_xact_id()::text::bigint"))
    noted_at: Mapped[Moment] = mapped_column(server_default=func.clock_timestamp(), index=True)
    image_ids: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))


KEPT_HOURS = 24
"""How long changes are kept. Columns that were not brought up to date for half of that are read anew."""


def forget_old(session: Session) -> None:
    """Take notes away that are older than `KEPT_HOURS`."""
    session.execute(delete(PhotoChange).where(PhotoChange.noted_at < utc_now() - timedelta(hours=KEPT_HOURS)))


def mark(session: Session, catalog_id: int) -> str:
    """What was changed in a catalog so far, as a mark that is another one after each change that becomes visible."""
    newest = select(func.max(PhotoChange.xact)).where(PhotoChange.catalog_id == catalog_id).scalar_subquery()
    # Transactions become visible in any order, yet hardly a thousand later than the newest one.
    late = (PhotoChange.catalog_id == catalog_id, PhotoChange.xact > newest - 1000)
    last, changes = session.execute(select(func.max(PhotoChange.xact), func.count()).where(*late)).one()
    return f"{last or 0}-{changes}"


_NOTE = "insert into photo_change (catalog_id, image_ids) select {} from changed {} group by 1"
_OWN = _NOTE.format("catalog_id, array_agg({})", "")
_NOTERS = {
    "image": (_OWN.format("id"), ("insert", "update", "delete")),
    "photo_index": (_OWN.format("image_id"), ("update",)),
    "photo_text": (
        _NOTE.format(
            "photo_index.catalog_id, array_agg(changed.image_id)",
            "join photo_index on photo_index.image_id = changed.image_id",
        ),
        ("update",),
    ),
}
# A photo that moves to another catalog, as a removed one that a version holds, leaves the one that it was in.
_LEFT = """
    insert into photo_change (catalog_id, image_ids) select earlier.catalog_id, array_agg(earlier.id)
    from earlier join changed on changed.id = earlier.id where earlier.catalog_id <> changed.catalog_id group by 1"""
TRIGGERS: tuple[str, ...] = (
    *(
        statement
        for source, (body, events) in _NOTERS.items()
        for statement in (
            f"create or replace function note_change_of_{source}() returns trigger language plpgsql as "
            f"$$ begin {body}; return null; end $$",
            *(
                # Behind the triggers that keep the index, for those of one table run in the order of their names.
                f"create or replace trigger note_change_{event} after {event} on {source} "
                f"referencing {'old' if event == 'delete' else 'new'} table as changed "
                f"for each statement execute function note_change_of_{source}()"
                for event in events
            ),
        )
    ),
    f"create or replace function note_leaving_of_image() returns trigger language plpgsql as "
    f"$$ begin {_LEFT}; return null; end $$",
    "create or replace trigger note_leaving after update on image "
    "referencing old table as earlier new table as changed for each statement execute function note_leaving_of_image()",
)


def _note_changes(_metadata: MetaData, connection: Connection, **_: object) -> None:
    for statement in TRIGGERS:
        connection.exec_driver_sql(statement)


event.listen(Base.metadata, "after_create", _note_changes)
