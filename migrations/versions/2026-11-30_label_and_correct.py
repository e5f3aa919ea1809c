"""keep the label sets of a team and what it said of photos in them, and what people corrected"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "7e3a90c4d1f6"
down_revision: str | None = "5e07c1d9a4b3"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

KEEP = """
    update photo_index set labels = fresh.labels
    from (
        select touched.image_id, array(
            select unnest(labelling.value_ids) from labelling
            where labelling.image_id = touched.image_id and labelling.superseded_at is null order by 1) as labels
        from (select distinct image_id from changed) as touched
    ) as fresh
    where photo_index.image_id = fresh.image_id and photo_index.labels is distinct from fresh.labels"""


def _moment(name: str, is_optional: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=is_optional)


def _number(name: str, target: str, **options: object) -> sa.Column[object]:
    where = {"ondelete": options.pop("ondelete")} if "ondelete" in options else {}
    return sa.Column(name, sa.BigInteger(), sa.ForeignKey(target, **where), **({"nullable": False} | options))


def _id() -> sa.Column[object]:
    return sa.Column("id", sa.BigInteger(), sa.Identity(), primary_key=True)


def _name() -> list[sa.Column[object]]:
    return [
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", sa.Text(), sa.Computed("label_key(name)", persisted=True), nullable=False),
    ]


def upgrade() -> None:
    """Apply this step."""
    op.create_table(
        "label_set",
        _id(),
        _number("catalog_id", "catalog.id", ondelete="CASCADE"),
        *_name(),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=True),
        sa.Column("position", sa.Integer(), nullable=False),
        _number("person_id", "person.id"),
        _moment("created_at"),
        _moment("retired_at", is_optional=True),
        sa.CheckConstraint("kind in ('one','many','yes_no','text')", name="kind"),
        sa.UniqueConstraint("catalog_id", "name_key", name="uq_label_set_name"),
    )
    op.create_index(
        "uq_label_set_key",
        "label_set",
        ["catalog_id", "key"],
        unique=True,
        postgresql_where=sa.text("retired_at is null"),
    )
    op.create_table(
        "label_value",
        _id(),
        _number("set_id", "label_set.id", ondelete="CASCADE"),
        *_name(),
        sa.Column("position", sa.Integer(), nullable=False),
        _moment("created_at"),
        _moment("retired_at", is_optional=True),
        sa.UniqueConstraint("set_id", "name_key", name="uq_label_value_name"),
    )
    op.create_table(
        "labelling",
        _id(),
        _number("image_id", "image.id", ondelete="CASCADE", index=True),
        _number("set_id", "label_set.id", ondelete="CASCADE", index=True),
        sa.Column("value_ids", postgresql.ARRAY(sa.BigInteger()), nullable=False),
        _number("person_id", "person.id"),
        _number("parent_id", "labelling.id", nullable=True),
        _moment("created_at"),
        _moment("superseded_at", is_optional=True),
        _moment("undone_at", is_optional=True),
    )
    is_current, is_child = sa.text("superseded_at is null"), sa.text("parent_id is not null")
    op.create_index(
        "uq_labelling_current", "labelling", ["image_id", "set_id"], unique=True, postgresql_where=is_current
    )
    op.create_index("ix_labelling_person_id_id", "labelling", ["person_id", "id"])
    op.create_index("ix_labelling_parent_id", "labelling", ["parent_id"], postgresql_where=is_child)
    op.create_table(
        "correction",
        _id(),
        _number("image_id", "image.id", ondelete="CASCADE", index=True),
        sa.Column("fact", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=True),
        sa.Column("before", sa.Text(), nullable=True),
        _number("person_id", "person.id"),
        _number("parent_id", "correction.id", nullable=True),
        _moment("created_at"),
        _moment("superseded_at", is_optional=True),
        _moment("undone_at", is_optional=True),
    )
    op.create_index("uq_correction_current", "correction", ["image_id", "fact"], unique=True, postgresql_where=is_current)
    op.create_index("ix_correction_person_id_id", "correction", ["person_id", "id"])
    op.create_index("ix_correction_parent_id", "correction", ["parent_id"], postgresql_where=is_child)
    op.add_column(
        "photo_index", sa.Column("labels", postgresql.ARRAY(sa.BigInteger()), server_default="{}", nullable=False)
    )
    op.execute(
        "create or replace function keep_photo_index_of_labelling() returns trigger language plpgsql as "
        f"$$ begin {KEEP}; return null; end $$"
    )
    for event, rows in (("insert", "new"), ("update", "new"), ("delete", "old")):
        op.execute(
            f"create or replace trigger keep_photo_index_{event} after {event} on labelling "
            f"referencing {rows} table as changed for each statement execute function keep_photo_index_of_labelling()"
        )


def downgrade() -> None:
    """Take it back."""
    for table in ("correction", "labelling", "label_value", "label_set"):
        op.drop_table(table)
    op.execute("drop function keep_photo_index_of_labelling()")
    op.drop_column("photo_index", "labels")
