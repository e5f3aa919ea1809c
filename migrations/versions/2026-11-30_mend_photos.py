"""mend photos: keep what people did to pictures, and which of it each photo shows"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "e3a7c15d8b42"
down_revision: str | None = "7d52c1f0a9e4"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply this step."""
    op.create_table(
        "mend",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("image_id", sa.BigInteger(), nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=True),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("superseded_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("job_id", sa.BigInteger(), nullable=True),
        sa.Column("restores_id", sa.BigInteger(), nullable=True),
        sa.Column("edits", postgresql.JSONB(), nullable=False),
        sa.Column("mask_sha256", sa.Text(), nullable=True),
        sa.Column("outline", sa.Text(), nullable=True),
        sa.Column("width_px", sa.Integer(), nullable=True),
        sa.Column("height_px", sa.Integer(), nullable=True),
        sa.Column("made_bytes", sa.Integer(), server_default="0", nullable=False),
        sa.Column("render_path", sa.Text(), nullable=True),
        sa.Column("thumb_sha256", sa.Text(), nullable=True),
        sa.Column("view_sha256", sa.Text(), nullable=True),
        sa.Column("mended_mask_sha256", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["image_id"], ["image.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"]),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"]),
        sa.ForeignKeyConstraint(["restores_id"], ["mend.id"], ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id"),
    )
    current = sa.text("superseded_at is null")
    op.create_index("ix_mend_current", "mend", ["image_id"], unique=True, postgresql_where=current)
    op.create_index("ix_mend_image_id_id", "mend", ["image_id", "id"])
    op.add_column("image", sa.Column("mend_id", sa.BigInteger(), nullable=True))
    op.add_column(
        "image",
        sa.Column("is_mended", sa.Boolean(), sa.Computed("mend_id is not null", persisted=True), nullable=False),
    )
    op.add_column("member", sa.Column("mend_id", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    """Take this step back."""
    op.drop_column("member", "mend_id")
    op.drop_column("image", "is_mended")
    op.drop_column("image", "mend_id")
    op.drop_table("mend")
