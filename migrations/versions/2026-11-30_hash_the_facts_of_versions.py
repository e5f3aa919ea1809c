"""hash the facts of versions: licence, labels and what else a manifest tells of photos"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "b7d2419f60ce"
down_revision: str | None = "c4e81a70d3f9"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply this step."""
    # Of versions that were frozen before nothing is known: a manifest may have been changed since.
    op.add_column("dataset_version", sa.Column("facts_hash", sa.Text(), nullable=True))


def downgrade() -> None:
    """Take this step back."""
    op.drop_column("dataset_version", "facts_hash")
