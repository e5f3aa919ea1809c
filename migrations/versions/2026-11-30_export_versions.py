"""export versions: what was asked for in which format, and what came of it"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "7d52c1f0a9e4"
down_revision: str | None = "3f0c7be94a12"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply this step."""
    op.create_table(
        "export",
        sa.Column("id", sa.BigInteger(), sa.Identity(), primary_key=True),
        sa.Column("version_id", sa.BigInteger(), nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("repeats", sa.Integer(), nullable=False),
        sa.Column("leaves_out", sa.Boolean(), nullable=False),
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("photos", sa.Integer(), nullable=True),
        sa.Column("files", sa.Integer(), nullable=True),
        sa.Column("size_bytes", sa.BigInteger(), nullable=True),
        sa.Column("left_out", postgresql.JSONB(), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("format in ('webdataset','imagefolder','parquet','mds','kohya')", name="ck_export_format"),
        sa.CheckConstraint("repeats between 1 and 1000", name="ck_export_repeats"),
        sa.ForeignKeyConstraint(
            ["version_id"], ["dataset_version.id"], "fk_export_version_id_dataset_version", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], "fk_export_job_id_job"),
    )
    op.create_index("ix_export_version_id", "export", ["version_id"])


def downgrade() -> None:
    """Undo this step."""
    op.drop_table("export")
