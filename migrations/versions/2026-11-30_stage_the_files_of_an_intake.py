"""stage what an intake has listed, so that any worker takes in a share of it"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "e4b07d29c813"
down_revision: str | None = "8d3f61b2a7c4"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply this step."""
    op.add_column("intake", sa.Column("listed", postgresql.JSONB(), server_default="{}", nullable=False))
    op.create_table(
        "intake_file",
        sa.Column("id", sa.BigInteger(), sa.Identity(), primary_key=True),
        sa.Column("intake_id", sa.BigInteger(), nullable=False),
        sa.Column("place", sa.LargeBinary(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("stem", sa.Text(collation="C"), nullable=False),
        sa.Column("locator", postgresql.JSONB(), nullable=False),
        sa.Column("said", postgresql.JSONB(), nullable=True),
        sa.Column("given", postgresql.JSONB(), nullable=True),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("image_id", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("kind in ('picture','refused','caption','other','photo')", name=op.f("ck_intake_file_kind")),
        sa.CheckConstraint("outcome in ('accepted','same_bytes','refused')", name=op.f("ck_intake_file_outcome")),
        sa.ForeignKeyConstraint(["intake_id"], ["intake.id"], name="fk_intake_file_intake_id_intake", ondelete="CASCADE"),
        sa.UniqueConstraint("intake_id", "place", name="uq_intake_file_intake_id_place"),
    )
    op.create_index("ix_intake_file_intake_id_stem_id", "intake_file", ["intake_id", "stem", "id"])
    op.create_index("ix_intake_file_intake_id_image_id", "intake_file", ["intake_id", "image_id"])
    op.create_index("ix_intake_file_intake_id_id", "intake_file", ["intake_id", "id"])


def downgrade() -> None:
    """Undo this step."""
    op.drop_column("intake", "listed")
    op.drop_table("intake_file")
