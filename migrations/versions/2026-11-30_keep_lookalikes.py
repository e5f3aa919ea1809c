"""keep lookalikes: pairs of photos that look as if they showed one product"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "b7a3d90c51e4"
down_revision: str | None = "8e41d6f3b7c9"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply this step."""
    op.add_column("embedding", sa.Column("compared_at", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "look_pair",
        sa.Column("first_id", sa.BigInteger(), sa.ForeignKey("image.id", ondelete="CASCADE"), primary_key=True),
        sa.Column(
            "second_id", sa.BigInteger(), sa.ForeignKey("image.id", ondelete="CASCADE"), primary_key=True, index=True
        ),
        sa.Column("catalog_id", sa.BigInteger(), sa.ForeignKey("catalog.id"), nullable=False, index=True),
        sa.Column("likeness", sa.Float(), nullable=False),
        sa.Column("margin", sa.Float(), nullable=False),
    )


def downgrade() -> None:
    """Undo this step."""
    op.drop_table("look_pair")
    op.drop_column("embedding", "compared_at")
