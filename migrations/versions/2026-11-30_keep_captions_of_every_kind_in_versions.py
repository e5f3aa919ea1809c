"""keep captions of every kind in versions, and ask for kinds of captions and for what they are better without"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "b84d07c3e6a9"
down_revision: str | None = "3f0a6be1d27c"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

KINDS = ("short", "tags", "facts")


def upgrade() -> None:
    """Apply this step."""
    # Of versions that were frozen before, only the captions that are learned are known.
    op.add_column("dataset_version", sa.Column("file_sha256", sa.Text(), nullable=True))
    op.add_column("dataset_version", sa.Column("keeps_kinds", sa.Boolean(), nullable=False, server_default=sa.false()))
    for kind in KINDS:
        op.add_column("member", sa.Column(f"{kind}_id", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    """Take this step back."""
    for kind in KINDS:
        op.drop_column("member", f"{kind}_id")
    op.drop_column("dataset_version", "keeps_kinds")
    op.drop_column("dataset_version", "file_sha256")
