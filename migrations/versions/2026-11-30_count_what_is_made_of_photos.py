"""count the disk that is taken by what is made of each photo"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "b7f02d94c15e"
down_revision: str | None = "5b7e20c94d1f"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("image", sa.Column("made_bytes", sa.BigInteger(), server_default="0", nullable=False))


def downgrade() -> None:
    op.drop_column("image", "made_bytes")
