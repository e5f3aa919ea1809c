"""The audit log: who signed in, tried to, or did what touches money, access or other people's work. Only ever appended.

The database itself refuses to change or remove a line (a trigger, see the migration). Lines name people by number, so
that a person who is deleted is in the log without a name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal, get_args

from sqlalchemy import BigInteger, Text, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, Session, mapped_column

from app.database import Base, BigId, Moment, utc_now

Act = Literal[
    "signed_in", "sign_in_failed", "signed_out", "signed_out_everywhere", "browser_ended",
    "password_set", "link_made",
    "person_added", "access_ended", "role_changed", "person_deleted",
    "cycle_started", "run_launched", "run_stopped", "run_discarded", "run_resumed", "run_extended",
    "job_asked", "job_cancelled", "queue_made", "queue_given", "queue_closed", "queue_opened",
    "naming_decided", "labels_defined",
    "photo_removed", "photo_allowed_again", "catalog_removed", "version_removed", "export_removed", "cache_emptied",
    "backup_written",
]  # fmt: skip

ACTS: Final[tuple[Act, ...]] = get_args(Act)
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


def page(session: Session, before: int | None = None, act: str | None = None, limit: int = 100) -> Sequence[AuditEntry]:
    """Lines of every act or of one, the newest first; those older than line `before`."""
    query = select(AuditEntry).order_by(AuditEntry.id.desc()).limit(limit)
    if before is not None:
        query = query.where(AuditEntry.id < before)
    if act is not None:
        query = query.where(AuditEntry.act == act)
    return session.scalars(query).all()
