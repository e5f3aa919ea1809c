"""keep refused files at hand: their kind of reason, a small picture, who left them out; and how file names name photos"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "e1c94b7a3d08"
down_revision: str | None = "8d13f5a7c062"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

KIND = "regexp_replace(reason, '“[^”]*”|[0-9][0-9.,]*[0-9]|[0-9]', '…', 'g')"
REFUSED_KEY = "case when outcome in ('refused','left_out') then name_key(file_name) end"


def upgrade() -> None:
    """Apply this step."""
    op.drop_constraint(op.f("ck_source_file_outcome"), "source_file")
    op.create_check_constraint(
        op.f("ck_source_file_outcome"), "source_file", "outcome in ('accepted','same_bytes','refused','left_out')"
    )
    op.add_column("source_file", sa.Column("reason_kind", sa.Text(), sa.Computed(KIND, persisted=True)))
    op.add_column(
        "source_file", sa.Column("refused_key", sa.Text(collation="C"), sa.Computed(REFUSED_KEY, persisted=True))
    )
    op.add_column("source_file", sa.Column("thumb_sha256", sa.Text()))
    op.add_column("source_file", sa.Column("left_out_by_id", sa.BigInteger()))
    op.add_column("source_file", sa.Column("left_out_at", sa.DateTime(timezone=True)))
    op.create_foreign_key(
        op.f("fk_source_file_left_out_by_id_person"), "source_file", "person", ["left_out_by_id"], ["id"]
    )
    for of in ("catalog", "intake"):
        op.create_index(
            f"ix_source_file_refused_{of}",
            "source_file",
            [f"{of}_id", "outcome", "refused_key", "id"],
            postgresql_where=sa.text("refused_key is not null"),
        )
    op.create_table(
        "naming_rule",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("catalog_id", sa.BigInteger(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=True),
        sa.Column("examples", postgresql.JSONB(), nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("superseded_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["catalog_id"], ["catalog.id"], name=op.f("fk_naming_rule_catalog_id_catalog"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_naming_rule_person_id_person")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_naming_rule")),
    )
    op.create_index(op.f("ix_naming_rule_catalog_id"), "naming_rule", ["catalog_id"])
    op.create_index(
        "uq_naming_rule_current",
        "naming_rule",
        ["catalog_id"],
        unique=True,
        postgresql_where=sa.text("superseded_at is null"),
    )


def downgrade() -> None:
    """Undo this step."""
    op.drop_table("naming_rule")
    for of in ("catalog", "intake"):
        op.drop_index(f"ix_source_file_refused_{of}", "source_file")
    op.drop_constraint(op.f("fk_source_file_left_out_by_id_person"), "source_file")
    for column in ("left_out_at", "left_out_by_id", "thumb_sha256", "refused_key", "reason_kind"):
        op.drop_column("source_file", column)
    op.execute("update source_file set outcome = 'refused' where outcome = 'left_out'")
    op.drop_constraint(op.f("ck_source_file_outcome"), "source_file")
    op.create_check_constraint(
        op.f("ck_source_file_outcome"), "source_file", "outcome in ('accepted','same_bytes','refused')"
    )
