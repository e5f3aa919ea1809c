"""disabled people: since when, and by whom, until they are enabled again"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "b0d7e1962a4c"
down_revision: str | None = "60e2d9a7f41c"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply this step."""
    op.add_column("person", sa.Column("disabled_at", sa.DateTime(timezone=True)))
    op.add_column("person", sa.Column("disabled_by_id", sa.BigInteger()))
    op.create_foreign_key("fk_person_disabled_by_id_person", "person", "person", ["disabled_by_id"], ["id"])


def downgrade() -> None:
    """Take it back."""
    op.drop_column("person", "disabled_by_id")
    op.drop_column("person", "disabled_at")
