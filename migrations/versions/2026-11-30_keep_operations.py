"""keep acts on many photos as operations, and whose a photo is to look at"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "4f16bd0aa091"
down_revision: str | None = "e3a7c15d8b42"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

KEEPER = """
        update photo_index set assignee_id = assignment.assignee_id
        from (select distinct image_id from changed) as touched
        left join assignment on assignment.image_id = touched.image_id and assignment.superseded_at is null
        where photo_index.image_id = touched.image_id
            and photo_index.assignee_id is distinct from assignment.assignee_id"""
EVENTS = (("insert", "new"), ("update", "new"), ("delete", "old"))


def upgrade() -> None:
    """Apply this step."""
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "operation",
        sa.Column("id", sa.BigInteger(), sa.Identity(), primary_key=True),
        sa.Column("catalog_id", sa.BigInteger(), sa.ForeignKey("catalog.id", ondelete="CASCADE"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("value", postgresql.JSONB(), nullable=False),
        sa.Column("query", sa.Text(), nullable=False),
        sa.Column("person_id", sa.BigInteger(), sa.ForeignKey("person.id"), nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        *(
            sa.Column(name, sa.Integer(), nullable=False)
            for name in ("count", "changed", "already", "passed_over", "taken_back", "stayed")
        ),
        sa.Column("job_id", sa.BigInteger(), sa.ForeignKey("job.id")),
        sa.Column("undone_by_id", sa.BigInteger(), sa.ForeignKey("person.id")),
        sa.Column("undone_at", moment),
        sa.CheckConstraint("state in ('open','done','undoing','undone')", name="state"),
    )
    op.create_index("ix_operation_catalog_id_id", "operation", ["catalog_id", "id"])
    op.create_index("ix_operation_person_id_id", "operation", ["person_id", "id"])
    op.create_table(
        "operation_batch",
        sa.Column(
            "operation_id", sa.BigInteger(), sa.ForeignKey("operation.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("image_ids", postgresql.ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("state", sa.Text(), server_default="open", nullable=False),
        sa.CheckConstraint("state in ('open','done','undone')", name="state"),
    )
    op.create_table(
        "assignment",
        sa.Column("id", sa.BigInteger(), sa.Identity(), primary_key=True),
        sa.Column(
            "image_id", sa.BigInteger(), sa.ForeignKey("image.id", ondelete="CASCADE"), nullable=False, index=True
        ),
        sa.Column("assignee_id", sa.BigInteger(), sa.ForeignKey("person.id")),
        sa.Column("person_id", sa.BigInteger(), sa.ForeignKey("person.id"), nullable=False),
        sa.Column("parent_id", sa.BigInteger(), sa.ForeignKey("assignment.id")),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("superseded_at", moment),
        sa.Column("undone_at", moment),
        sa.Column("operation_id", sa.BigInteger()),
    )
    is_current = sa.text("superseded_at is null")
    op.create_index("uq_assignment_current", "assignment", ["image_id"], unique=True, postgresql_where=is_current)
    has_parent = sa.text("parent_id is not null")
    op.create_index("ix_assignment_parent_id", "assignment", ["parent_id"], postgresql_where=has_parent)
    op.add_column("decision", sa.Column("operation_id", sa.BigInteger()))
    op.add_column("photo_index", sa.Column("assignee_id", sa.BigInteger()))
    op.create_index(
        "ix_photo_index_assignee_id_catalog_id",
        "photo_index",
        ["assignee_id", "catalog_id"],
        postgresql_where=sa.text("assignee_id is not null"),
    )
    op.execute(
        "create or replace function keep_photo_index_of_assignment() returns trigger language plpgsql as "
        f"$$ begin {KEEPER}; return null; end $$"
    )
    for event, rows in EVENTS:
        op.execute(
            f"create or replace trigger keep_photo_index_{event} after {event} on assignment "
            f"referencing {rows} table as changed "
            "for each statement execute function keep_photo_index_of_assignment()"
        )


def downgrade() -> None:
    """Take it back."""
    op.drop_table("assignment")
    op.execute("drop function keep_photo_index_of_assignment()")
    op.drop_column("photo_index", "assignee_id")
    op.drop_column("decision", "operation_id")
    op.drop_table("operation_batch")
    op.drop_table("operation")
