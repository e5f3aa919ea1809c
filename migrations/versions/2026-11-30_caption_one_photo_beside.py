"""Let a caption run be of one photo alone, whose answer is shown beside what stands."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "5d1c07be94a2"
down_revision: str | None = "3f0a6be1d27c"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("caption_run", sa.Column("image_id", sa.BigInteger(), nullable=True))
    op.create_foreign_key(
        "fk_caption_run_image_id_image", "caption_run", "image", ["image_id"], ["id"], ondelete="CASCADE"
    )
    op.create_index(
        "ix_caption_run_image_id", "caption_run", ["image_id", "id"], postgresql_where=sa.text("image_id is not null")
    )


def downgrade() -> None:
    op.drop_index("ix_caption_run_image_id", "caption_run")
    op.drop_constraint("fk_caption_run_image_id_image", "caption_run", type_="foreignkey")
    op.drop_column("caption_run", "image_id")
