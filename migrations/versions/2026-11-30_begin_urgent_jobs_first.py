"""Begin urgent jobs first: how soon each is to be begun, and the index by which workers ask for more urgent ones."""

from __future__ import annotations

from collections.abc import Sequence

from alembic import op

revision: str = "c88590ecab96"
down_revision: str | None = "8e41d6f3b7c9"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

LATER = "'photos.group', 'photos.embed', 'photos.encode', 'photos.map', 'photos.read_text'"


def upgrade() -> None:
    op.execute("alter table job add column urgency smallint not null default 3")
    op.execute(f"update job set urgency = 9 where kind in ({LATER}) and state in ('queued', 'running')")
    op.execute("drop index ix_job_waiting")
    op.execute("create index ix_job_waiting on job (queue, urgency, id) where state = 'queued'")


def downgrade() -> None:
    op.execute("drop index ix_job_waiting")
    op.execute("create index ix_job_waiting on job (queue, id) where state = 'queued'")
    op.execute("alter table job drop column urgency")
