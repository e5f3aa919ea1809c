"""find a person's newest caption, and what one act of theirs decided, without reading all that there are"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "7d1c3a90be52"
down_revision: str | None = "4f16bd0aa091"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Make two indexes."""
    op.create_index(
        "ix_caption_person_id_id", "caption", ["person_id", "id"], postgresql_where=sa.text("person_id is not null")
    )
    op.create_index(
        "ix_decision_person_id_created_at",
        "decision",
        ["person_id", "created_at"],
        postgresql_where=sa.text("superseded_at is null and person_id is not null"),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_index("ix_decision_person_id_created_at", table_name="decision")
    op.drop_index("ix_caption_person_id_id", table_name="caption")
