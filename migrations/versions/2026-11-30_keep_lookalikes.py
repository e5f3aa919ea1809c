"""keep lookalikes, and by what the best is chosen: pairs that look like one product, and a catalog's order of criteria"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

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
    op.create_table(
        "best_order",
        sa.Column("id", sa.BigInteger(), primary_key=True),
        sa.Column("catalog_id", sa.BigInteger(), sa.ForeignKey("catalog.id", ondelete="CASCADE"), nullable=False),
        sa.Column("criteria", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("person_id", sa.BigInteger(), sa.ForeignKey("person.id"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("superseded_at", sa.DateTime(timezone=True), nullable=True),
    )
    op.create_index(
        "uq_best_order_current",
        "best_order",
        ["catalog_id"],
        unique=True,
        postgresql_where=sa.text("superseded_at is null"),
    )


def downgrade() -> None:
    """Undo this step."""
    op.drop_table("best_order")
    op.drop_table("look_pair")
    op.drop_column("embedding", "compared_at")
