"""keep standings and wordings: what filters, facets and words ask about a photo, kept by triggers"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from app.review.tables import TRIGGERS

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    if not sa.inspect(op.get_bind()).has_table("standing"):
        op.create_table(
            "standing",
            sa.Column("image_id", sa.BigInteger(), nullable=False),
            sa.Column("catalog_id", sa.BigInteger(), nullable=False),
            sa.Column("category", sa.Text(), nullable=True),
            sa.Column("background", sa.Text(), server_default="cannot tell", nullable=False),
            sa.Column("colour", sa.Text(), nullable=True),
            sa.Column("sharpness", sa.Float(), nullable=True),
            sa.Column("fill", sa.Float(), nullable=True),
            sa.Column("captioned_by", sa.Text(), server_default="none", nullable=False),
            sa.Column("verdict", sa.Text(), server_default="unseen", nullable=False),
            sa.Column("rule", sa.Text(), nullable=True),
            sa.ForeignKeyConstraint(
                ["image_id"], ["image.id"], name=op.f("fk_standing_image_id_image"), ondelete="CASCADE"
            ),
            sa.PrimaryKeyConstraint("image_id", name=op.f("pk_standing")),
        )
        op.create_index("ix_standing_catalog_id_image_id", "standing", ["catalog_id", "image_id"])
        op.create_table(
            "wording",
            sa.Column("image_id", sa.BigInteger(), nullable=False),
            sa.Column("of_image", postgresql.TSVECTOR(), server_default="", nullable=False),
            sa.Column("of_caption", postgresql.TSVECTOR(), server_default="", nullable=False),
            sa.Column("words", postgresql.TSVECTOR(), sa.Computed("of_image || of_caption", persisted=True), nullable=False),
            sa.ForeignKeyConstraint(
                ["image_id"], ["image.id"], name=op.f("fk_wording_image_id_image"), ondelete="CASCADE"
            ),
            sa.PrimaryKeyConstraint("image_id", name=op.f("pk_wording")),
        )
        op.create_index("ix_wording_words", "wording", ["words"], postgresql_using="gin")
    op.execute("create index if not exists ix_image_catalog_id_file_name on image (catalog_id, file_name, id)")
    for statement in TRIGGERS:
        op.execute(statement)
    # The triggers fill both tables for what is there already.
    for source in ("image", "signals", "caption", "decision"):
        op.execute(f"update {source} set {'id = id' if source != 'signals' else 'image_id = image_id'}")


def downgrade() -> None:
    for source in ("image", "signals", "caption", "decision"):
        op.execute(f"drop function keep_standing_of_{source}() cascade")
    op.drop_table("standing")
    op.drop_table("wording")
    op.drop_index("ix_image_catalog_id_file_name")
