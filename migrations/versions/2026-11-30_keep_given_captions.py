"""keep captions that came with the photos as given ones; remarks of an intake on the rows and texts beside its photos"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "2ccb10a53bd6"
down_revision: str | None = "9d41b7c06e2f"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.drop_constraint(op.f("ck_caption_written_by"), "caption")
    op.create_check_constraint(
        op.f("ck_caption_written_by"), "caption", "written_by in ('captioner','person','given')"
    )
    op.create_table(
        "intake_remark",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("intake_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "kind in ('unmatched','respelled','unread','changed','unused')", name=op.f("ck_intake_remark_kind")
        ),
        sa.ForeignKeyConstraint(["intake_id"], ["intake.id"], name=op.f("fk_intake_remark_intake_id_intake")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_intake_remark")),
    )
    op.create_index(op.f("ix_intake_remark_intake_id"), "intake_remark", ["intake_id"])


def downgrade() -> None:
    op.drop_table("intake_remark")
    op.execute("update caption set written_by = 'captioner' where written_by = 'given'")
    op.drop_constraint(op.f("ck_caption_written_by"), "caption")
    op.create_check_constraint(op.f("ck_caption_written_by"), "caption", "written_by in ('captioner','person')")
