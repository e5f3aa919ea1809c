"""Candidates that wait for a signature, and runs that are closed because a checkpoint shipped."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy import Text

revision = "7b3e95c10a6d"
down_revision = "5be2a90c41d7"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("training_run", sa.Column("shipped_at", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "candidacy",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("catalog_id", sa.BigInteger(), nullable=False),
        sa.Column("checkpoint_id", sa.BigInteger(), nullable=False),
        sa.Column("sheet_id", sa.BigInteger(), nullable=True),
        sa.Column("note", Text(), nullable=False),
        sa.Column("asked_by_id", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_by_id", sa.BigInteger(), nullable=True),
        sa.Column("outcome", Text(), nullable=True),
        sa.Column("answer", Text(), nullable=False),
        sa.Column("promotion_id", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("outcome in ('signed','declined','withdrawn')", name=op.f("ck_candidacy_outcome")),
        sa.CheckConstraint("(ended_at is null) = (outcome is null)", name=op.f("ck_candidacy_end")),
        sa.ForeignKeyConstraint(["catalog_id"], ["catalog.id"], name=op.f("fk_candidacy_catalog_id_catalog"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["checkpoint_id"], ["checkpoint.id"], name=op.f("fk_candidacy_checkpoint_id_checkpoint"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["sheet_id"], ["sheet.id"], name=op.f("fk_candidacy_sheet_id_sheet"), ondelete="SET NULL"),
        sa.ForeignKeyConstraint(["asked_by_id"], ["person.id"], name=op.f("fk_candidacy_asked_by_id_person")),
        sa.ForeignKeyConstraint(["ended_by_id"], ["person.id"], name=op.f("fk_candidacy_ended_by_id_person")),
        sa.ForeignKeyConstraint(["promotion_id"], ["promotion.id"], name=op.f("fk_candidacy_promotion_id_promotion"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_candidacy")),
    )
    op.create_index("ix_candidacy_catalog_id", "candidacy", ["catalog_id"])
    op.create_index("ix_candidacy_sheet_id", "candidacy", ["sheet_id"])
    op.create_index("ix_candidacy_promotion_id", "candidacy", ["promotion_id"])
    op.create_index("uq_candidacy_open", "candidacy", ["checkpoint_id"], unique=True, postgresql_where=sa.text("ended_at is null"))


def downgrade() -> None:
    op.drop_table("candidacy")
    op.drop_column("training_run", "shipped_at")
