"""keep by which operation captions and labels were written, and which of these captions were taken back"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "b7d1c05e93fa"
down_revision: str | None = "4f16bd0aa091"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply this step."""
    op.add_column("caption", sa.Column("undone_at", sa.DateTime(timezone=True)))
    for table in ("caption", "labelling"):
        op.add_column(table, sa.Column("operation_id", sa.BigInteger()))


def downgrade() -> None:
    """Take it back."""
    for table in ("labelling", "caption"):
        op.drop_column(table, "operation_id")
    op.drop_column("caption", "undone_at")
