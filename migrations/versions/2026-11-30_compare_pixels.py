"""compare pixels: what those of a photo are known by, where it has a near copy of its size"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "9d41f7c2a06b"
down_revision: str | None = "7d1f30c2a9be"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply this step. Nothing is known of the photos that are there: they are read when they are grouped next."""
    op.create_table(
        "pixel_hash",
        sa.Column("image_id", sa.BigInteger(), sa.ForeignKey("image.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("render_path", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
    )


def downgrade() -> None:
    """Take it back."""
    op.drop_table("pixel_hash")
