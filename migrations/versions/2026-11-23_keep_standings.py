"""keep standings (one narrow row per photo for filters and facets) and search words"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from app.database import words_of
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
    for table, words in (
        ("image", words_of("title", "category", "description", "product", "file_name")),
        ("caption", words_of("text")),
    ):
        op.execute(f"alter table {table} add column if not exists words tsvector generated always as ({words}) stored")
    op.execute("create index if not exists ix_image_words on image using gin (words)")
    op.execute("create index if not exists ix_caption_words on caption using gin (words) where superseded_at is null")
    op.execute("create index if not exists ix_image_catalog_id_file_name on image (catalog_id, file_name, id)")
    for statement in TRIGGERS:
        op.execute(statement)
    op.execute(
        "insert into standing select i.id, i.catalog_id, i.category, coalesce(s.background, 'cannot tell'),"
        " s.subject_colour, s.sharpness, s.fill, coalesce(c.written_by, 'none'), coalesce(d.verdict, 'unseen'), d.rule"
        " from image i left join signals s on s.image_id = i.id"
        " left join caption c on c.image_id = i.id and c.superseded_at is null"
        " left join decision d on d.image_id = i.id and d.superseded_at is null on conflict do nothing"
    )


def downgrade() -> None:
    for source in ("image", "signals", "caption", "decision"):
        op.execute(f"drop function keep_standing_of_{source}() cascade")
    op.drop_table("standing")
    op.drop_column("image", "words")
    op.drop_column("caption", "words")
    op.drop_index("ix_image_catalog_id_file_name")
