"""tell what a version is made of: picture files, repeats, the seed of its split, what was counted"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "3f0c7be94a12"
down_revision: str | None = "7e3a90c4d1f6"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply this step."""
    op.add_column("member", sa.Column("sha256", sa.Text(), nullable=True))
    op.add_column("member", sa.Column("repeats", sa.SmallInteger(), server_default="1", nullable=False))
    # No photo could be mended before: the file that an image has now is the one that its members were frozen with.
    op.execute(
        "update member set sha256 = substring(image.render_path from '([0-9a-f]{64})[^/]*$') "
        "from image where image.id = member.image_id"
    )
    op.add_column("dataset_version", sa.Column("seed", sa.Integer(), server_default="0", nullable=False))
    op.add_column(
        "dataset_version", sa.Column("repeats", postgresql.JSONB(), server_default="[]", nullable=False)
    )
    op.add_column("dataset_version", sa.Column("summary", postgresql.JSONB(), nullable=True))
    op.add_column("dataset_version", sa.Column("leak", postgresql.JSONB(), nullable=True))
    op.add_column("dataset_version", sa.Column("verify_job_id", sa.BigInteger(), nullable=True))
    op.create_foreign_key(
        "fk_dataset_version_verify_job_id_job", "dataset_version", "job", ["verify_job_id"], ["id"]
    )


def downgrade() -> None:
    """Take this step back."""
    op.drop_constraint("fk_dataset_version_verify_job_id_job", "dataset_version", type_="foreignkey")
    for column in ("verify_job_id", "leak", "summary", "repeats", "seed"):
        op.drop_column("dataset_version", column)
    op.drop_column("member", "repeats")
    op.drop_column("member", "sha256")
