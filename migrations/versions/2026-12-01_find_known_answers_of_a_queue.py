"""Find the known answers of a queue: where it has some, every pass is shown blind, so that nobody sees which they are."""

from __future__ import annotations

from collections.abc import Sequence

from alembic import op

revision: str = "e7a2c95d31b8"
down_revision: str | None = "b84d07c3e6a9"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.execute("create index ix_queue_photo_known on queue_photo (queue_id) where known is not null")


def downgrade() -> None:
    op.execute("drop index ix_queue_photo_known")
