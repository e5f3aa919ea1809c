"""The audit log: who signed in, tried to, and everything that somebody changed. Only ever appended.

The database itself refuses to change or remove a line (a trigger, see the migration). Lines name people by number, so
that a person who is deleted is in the log without a name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, Literal, get_args

from sqlalchemy import BigInteger, ColumnElement, Text, or_, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, Session, mapped_column

from app.database import Base, BigId, Moment, utc_now

Act = Literal[
    "signed_in", "sign_in_failed", "signed_out", "signed_out_everywhere", "browser_ended",
    "password_set", "link_made",
    "person_added", "access_ended", "person_enabled", "role_changed", "person_deleted",
    "cycle_started", "run_launched", "run_stopped", "run_discarded", "run_resumed", "run_extended",
    "job_asked", "job_cancelled", "queue_made", "queue_given", "queue_closed", "queue_opened",
    "naming_decided", "labels_defined", "file_imported",
    "photo_removed", "photo_allowed_again", "catalog_removed", "version_removed", "export_removed", "cache_emptied",
    "backup_written", "changed", "captioner_adopted",
    "candidate_asked", "candidate_ended", "model_promoted", "model_rolled_back", "model_withdrawn",
]  # fmt: skip

ACTS: Final[tuple[Act, ...]] = get_args(Act)
_WRITTEN: Final = "audit_lines"
FROM_ADDRESS: Final = "from_address"
"""Where `Session.info` holds the address that a request came from; the machine's own terminal has none."""


class AuditEntry(Base):
    """One line. `by_id` did it: None where nobody was signed in, or at the machine's own terminal.

    `about_id` is the person whom it is about. `facts` are plain values, as the act has them.
    """

    __tablename__ = "audit_entry"

    id: Mapped[BigId]
    at: Mapped[Moment] = mapped_column(default=utc_now)
    act: Mapped[str] = mapped_column(Text)
    by_id: Mapped[int | None] = mapped_column(BigInteger)
    about_id: Mapped[int | None] = mapped_column(BigInteger)
    from_address: Mapped[str | None] = mapped_column(Text)
    facts: Mapped[dict[str, Any]] = mapped_column(JSONB)


def record(
    session: Session, act: Act, by_id: int | None = None, about_id: int | None = None, **facts: str | int | float | None
) -> None:
    """Write a line, in the transaction of what it tells: both are kept or neither."""
    session.add(
        AuditEntry(
            act=act, by_id=by_id, about_id=about_id, from_address=session.info.get(FROM_ADDRESS), facts=dict(facts)
        )
    )
    session.flush()
    session.info[_WRITTEN] = written(session) + 1


@contextmanager
def trial(session: Session) -> Iterator[None]:
    """Whatever is done inside is taken back at its end, with its lines and the count of them."""
    lines, savepoint = written(session), session.begin_nested()
    try:
        yield
    finally:
        savepoint.rollback()
        session.info[_WRITTEN] = lines


def written(session: Session) -> int:
    """How many lines this session has written: whether something told of itself."""
    return int(session.info.get(_WRITTEN, 0))


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Which lines: of an act, by or about a person, since a day and up to a day, both included. None: any."""

    act: str | None = None
    person_id: int | None = None
    since: date | None = None
    until: date | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """It, as SQL."""
        asked: list[ColumnElement[bool]] = []
        if self.act is not None:
            asked.append(AuditEntry.act == self.act)
        if self.person_id is not None:
            asked.append(or_(AuditEntry.by_id == self.person_id, AuditEntry.about_id == self.person_id))
        if self.since is not None:
            asked.append(AuditEntry.at >= _begin_of(self.since))
        if self.until is not None:
            asked.append(AuditEntry.at < _begin_of(self.until) + timedelta(days=1))
        return asked


def page(
    session: Session, before: int | None = None, wanted: LogFilter | None = None, limit: int = 100
) -> Sequence[AuditEntry]:
    """Lines that are wanted, the newest first; those older than line `before`."""
    query = select(AuditEntry).where(*(wanted or LogFilter()).conditions()).order_by(AuditEntry.id.desc()).limit(limit)
    if before is not None:
        query = query.where(AuditEntry.id < before)
    return session.scalars(query).all()


def every(session: Session, wanted: LogFilter) -> Iterator[AuditEntry]:
    """All lines that are wanted, the newest first, read some at a time."""
    query = select(AuditEntry).where(*wanted.conditions()).order_by(AuditEntry.id.desc())
    yield from session.scalars(query.execution_options(yield_per=1000))


def _begin_of(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
