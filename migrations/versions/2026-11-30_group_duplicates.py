"""group duplicates: keys and thumbs of frames, pairs of copies, groups and what people say of them"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "8e41d6f3b7c9"
down_revision: str | None = "569496fe1e49"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def _photo(name: str, **more: bool) -> "sa.Column[int]":
    return sa.Column(name, sa.BigInteger(), sa.ForeignKey("image.id", ondelete="CASCADE"), nullable=False, **more)


def upgrade() -> None:
    """Apply this step."""
    op.drop_column("signals", "fingerprint")
    op.add_column("signals", sa.Column("frame_keys", sa.LargeBinary(), nullable=True))
    op.add_column("signals", sa.Column("frame_thumbs", sa.LargeBinary(), nullable=True))
    op.add_column("signals", sa.Column("compared_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("image", sa.Column("copies", sa.Text(), server_default="none", nullable=False))
    op.add_column("image", sa.Column("copy_count", sa.Integer(), server_default="0", nullable=False))
    op.add_column("image", sa.Column("is_best", sa.Boolean(), server_default="false", nullable=False))
    op.add_column("image", sa.Column("is_linked", sa.Boolean(), server_default="false", nullable=False))
    op.create_table(
        "copy_pair",
        _photo("first_id", primary_key=True),
        _photo("second_id", primary_key=True, index=True),
        sa.Column("catalog_id", sa.BigInteger(), sa.ForeignKey("catalog.id"), nullable=False, index=True),
        sa.Column("rest", sa.Float(), nullable=False),
        sa.Column("pose", sa.Integer(), nullable=False),
        sa.Column("cut", sa.Float(), nullable=False),
        sa.Column("first_frame", sa.Integer(), nullable=False),
        sa.Column("second_frame", sa.Integer(), nullable=False),
        sa.Column("is_variant", sa.Boolean(), nullable=False),
    )
    op.create_table(
        "duplicate_group",
        sa.Column("id", sa.BigInteger(), primary_key=True),
        sa.Column("catalog_id", sa.BigInteger(), sa.ForeignKey("catalog.id"), nullable=False),
        sa.Column("grade", sa.Text(), nullable=False),
        sa.Column("members_hash", sa.Text(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        _photo("best_id", index=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("spread", sa.Float(), nullable=False),
        sa.Column("is_current", sa.Boolean(), nullable=False),
        sa.Column("found_at", sa.DateTime(timezone=True), nullable=False),
        sa.UniqueConstraint("catalog_id", "grade", "members_hash"),
        sa.CheckConstraint("grade in ('pixels','photo','product')", name="grade"),
    )
    op.create_table(
        "duplicate_member",
        sa.Column(
            "group_id", sa.BigInteger(), sa.ForeignKey("duplicate_group.id", ondelete="CASCADE"), primary_key=True
        ),
        _photo("image_id", primary_key=True, index=True),
        sa.Column("differs", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("distance", sa.Float(), nullable=True),
        sa.Column("is_variant", sa.Boolean(), nullable=False),
    )
    op.create_table(
        "group_ruling",
        sa.Column("id", sa.BigInteger(), primary_key=True),
        sa.Column(
            "group_id",
            sa.BigInteger(),
            sa.ForeignKey("duplicate_group.id", ondelete="CASCADE"),
            nullable=False,
            index=True,
        ),
        sa.Column("kind", sa.Text(), nullable=False),
        _photo("best_id", index=True),
        sa.Column("person_id", sa.BigInteger(), sa.ForeignKey("person.id"), nullable=False),
        sa.Column("parent_id", sa.BigInteger(), sa.ForeignKey("group_ruling.id"), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("superseded_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("undone_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("kind in ('linked','kept','apart','best')", name="kind"),
    )
    op.create_index(
        "uq_group_ruling_current",
        "group_ruling",
        ["group_id"],
        unique=True,
        postgresql_where=sa.text("superseded_at is null"),
    )
    op.create_index("ix_group_ruling_person_id_id", "group_ruling", ["person_id", "id"])


def downgrade() -> None:
    """Undo this step."""
    for table in ("group_ruling", "duplicate_member", "duplicate_group", "copy_pair"):
        op.drop_table(table)
    for column in ("is_linked", "is_best", "copy_count", "copies"):
        op.drop_column("image", column)
    for column in ("compared_at", "frame_thumbs", "frame_keys"):
        op.drop_column("signals", column)
    op.add_column("signals", sa.Column("fingerprint", sa.LargeBinary(), nullable=True))
