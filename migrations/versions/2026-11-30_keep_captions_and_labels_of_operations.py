"""keep by which operation captions and labels were written, and which of these captions were taken back"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "b7d1c05e93fa"
down_revision: str | None = "4f16bd0aa091"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# A row follows from one of the same photo: both go with it. Looking that up cost a seventh of an act on many photos.
HISTORIES = ("decision", "assignment", "labelling", "caption")


def upgrade() -> None:
    """Apply this step."""
    op.add_column("caption", sa.Column("undone_at", sa.DateTime(timezone=True)))
    for table in ("caption", "labelling"):
        op.add_column(table, sa.Column("operation_id", sa.BigInteger()))
    for table in HISTORIES:
        op.drop_constraint(f"fk_{table}_parent_id_{table}", table, type_="foreignkey")
        op.drop_index(f"ix_{table}_parent_id", table)


def downgrade() -> None:
    """Take it back."""
    for table in HISTORIES:
        has_parent = sa.text("parent_id is not null")
        op.create_index(f"ix_{table}_parent_id", table, ["parent_id"], postgresql_where=has_parent)
        op.create_foreign_key(f"fk_{table}_parent_id_{table}", table, table, ["parent_id"], ["id"])
    for table in ("labelling", "caption"):
        op.drop_column(table, "operation_id")
    op.drop_column("caption", "undone_at")
