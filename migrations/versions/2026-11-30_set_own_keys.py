"""Let people set keys of their own, and know beside which reading and which brand a caption was checked."""

from __future__ import annotations

from collections.abc import Sequence

from alembic import op

revision: str = "3f0a6be1d27c"
down_revision: str | None = "6be2d91c04f7"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.execute("alter table person add column own_keys jsonb not null default '{}'")
    op.execute("alter table caption_check add column read_at timestamp with time zone, add column brand text")


def downgrade() -> None:
    op.execute("alter table caption_check drop column read_at, drop column brand")
    op.execute("alter table person drop column own_keys")
