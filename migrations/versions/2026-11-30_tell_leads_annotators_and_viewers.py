"""leads, annotators and viewers: who was a member could do what a lead can"""

from collections.abc import Sequence

from alembic import op

revision: str = "e3b95f0c71d2"
down_revision: str | None = "9d41f7c2a06b"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply this step."""
    op.drop_constraint("ck_person_role", "person")
    op.execute("update person set role = 'lead' where role = 'member'")
    op.create_check_constraint("ck_person_role", "person", "role in ('viewer','annotator','lead','owner')")


def downgrade() -> None:
    """Take it back."""
    op.drop_constraint("ck_person_role", "person")
    op.execute("update person set role = 'member' where role <> 'owner'")
    op.create_check_constraint("ck_person_role", "person", "role in ('owner','member')")
