"""share the work of a job between workers: jobs that are parts of a job"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "47b1e0c9d35a"
down_revision: str | None = "c5e07a9d1f62"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply this step."""
    op.add_column("job", sa.Column("whole_id", sa.BigInteger(), nullable=True))
    op.add_column("job", sa.Column("parts", sa.Integer(), nullable=True))
    op.create_foreign_key("fk_job_whole_id_job", "job", "job", ["whole_id"], ["id"])
    op.create_index(
        "ix_job_part", "job", ["whole_id", "state", "id"], postgresql_where=sa.text("whole_id is not null")
    )


def downgrade() -> None:
    """Undo this step."""
    op.drop_index("ix_job_part", "job")
    op.drop_constraint("fk_job_whole_id_job", "job")
    op.drop_column("job", "parts")
    op.drop_column("job", "whole_id")
