"""remove photos and catalogs: hidden ones for versions that hold them, and bytes that no intake takes in again"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "e3a91c5d70b4"
down_revision: str | None = "47b1e0c9d35a"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply this step."""
    op.add_column("catalog", sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("catalog", sa.Column("removed_from_id", sa.BigInteger(), nullable=True))
    op.create_foreign_key("fk_catalog_removed_from_id_catalog", "catalog", "catalog", ["removed_from_id"], ["id"])
    op.create_table(
        "removed_photo",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("catalog_id", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("removed_by_id", sa.BigInteger(), nullable=True),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["catalog_id"], ["catalog.id"], name="fk_removed_photo_catalog_id_catalog"),
        sa.PrimaryKeyConstraint("id", name="pk_removed_photo"),
        sa.UniqueConstraint("catalog_id", "sha256", name="uq_removed_photo_catalog_id_sha256"),
    )
    given = sa.text("parent_id is not null")
    op.create_index("ix_caption_parent_id", "caption", ["parent_id"], postgresql_where=given)
    op.create_index("ix_decision_parent_id", "decision", ["parent_id"], postgresql_where=given)
    op.create_index("ix_member_caption_id", "member", ["caption_id"])


def downgrade() -> None:
    """Undo this step."""
    op.drop_index("ix_member_caption_id", "member")
    op.drop_index("ix_decision_parent_id", "decision")
    op.drop_index("ix_caption_parent_id", "caption")
    op.drop_table("removed_photo")
    op.drop_constraint("fk_catalog_removed_from_id_catalog", "catalog")
    op.drop_column("catalog", "removed_from_id")
    op.drop_column("catalog", "removed_at")
