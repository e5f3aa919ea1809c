"""keep caption runs: how a captioner was asked over photos, what it answered to each, and what that took"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "c4d81e0b7a35"
down_revision: str | None = "91f4c27be06a"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "caption_run",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("catalog_id", sa.BigInteger(), nullable=False),
        sa.Column("captioner", sa.Text(), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("asking", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("is_apart", sa.Boolean(), nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=True),
        sa.Column("job_id", sa.BigInteger(), nullable=True),
        sa.Column("operation_id", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tokens_in", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("tokens_out", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("spent", sa.Numeric(14, 6), server_default="0", nullable=False),
        sa.CheckConstraint("place in ('facts','device','server')", name=op.f("ck_caption_run_place")),
        sa.ForeignKeyConstraint(
            ["catalog_id"], ["catalog.id"], name=op.f("fk_caption_run_catalog_id_catalog"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_caption_run_job_id_job")),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_caption_run_person_id_person")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_caption_run")),
    )
    op.create_index("ix_caption_run_catalog_id_id", "caption_run", ["catalog_id", "id"])
    for column in ("job_id", "operation_id"):
        is_there = sa.text(f"{column} is not null")
        op.create_index(f"uq_caption_run_{column}", "caption_run", [column], unique=True, postgresql_where=is_there)
    op.create_table(
        "caption_offer",
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("image_id", sa.BigInteger(), nullable=False),
        sa.Column("texts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("failure", sa.Text(), server_default="", nullable=False),
        sa.Column("settings", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["image_id"], ["image.id"], name=op.f("fk_caption_offer_image_id_image"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["caption_run.id"], name=op.f("fk_caption_offer_run_id_caption_run"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_id", "image_id", name=op.f("pk_caption_offer")),
    )
    op.create_index("ix_caption_offer_image_id", "caption_offer", ["image_id"])
