"""measure light, encoding and layout of photos, and read the text that stands in them"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "569496fe1e49"
down_revision: str | None = "e1c94b7a3d08"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# As they were when this migration was written, and before. A migration imports no code that goes on changing.
MEASURES = (
    "brightness", "clipped_light", "clipped_dark", "shadow", "chroma", "blockiness", "detail", "border", "seam",
)
SIGNALS = r"""
        update photo_index set background = coalesce(signals.background, 'cannot tell'),
            colour = signals.subject_colour, sharpness = signals.sharpness, fill = signals.fill,
            confidence = signals.confidence, is_cropped = jsonb_array_length(signals.cropped_edges) > 0,
            contrast = signals.contrast, brightness = signals.brightness, clipped_light = signals.clipped_light,
            clipped_dark = signals.clipped_dark, shadow = signals.shadow, chroma = signals.chroma,
            blockiness = signals.blockiness, detail = signals.detail, border = signals.border, seam = signals.seam,
            parts = signals.parts
        from (select distinct image_id from changed) as touched
        left join signals on signals.image_id = touched.image_id
        where photo_index.image_id = touched.image_id"""
SIGNALS_BEFORE = r"""
        update photo_index set background = coalesce(signals.background, 'cannot tell'),
            colour = signals.subject_colour, sharpness = signals.sharpness, fill = signals.fill,
            confidence = signals.confidence, is_cropped = jsonb_array_length(signals.cropped_edges) > 0,
            contrast = signals.contrast
        from (select distinct image_id from changed) as touched
        left join signals on signals.image_id = touched.image_id
        where photo_index.image_id = touched.image_id"""
LETTERING = r"""
        update photo_index set lettering = coalesce(lettering.place, 'not read')
        from (select distinct image_id from changed) as touched
        left join lettering on lettering.image_id = touched.image_id
        where photo_index.image_id = touched.image_id
            and photo_index.lettering is distinct from coalesce(lettering.place, 'not read');
        update photo_text set of_picture = fresh.words
        from (
            select touched.image_id, search_words(
                E'\x1f ' || replace(coalesce(lettering.words, ''), E'\n', E' \x1f ')) as words
            from (select distinct image_id from changed) as touched
            left join lettering on lettering.image_id = touched.image_id
        ) as fresh
        where photo_text.image_id = fresh.image_id and photo_text.of_picture is distinct from fresh.words"""


def upgrade() -> None:
    for name in MEASURES:
        op.add_column("signals", sa.Column(name, sa.Float(), nullable=True))
        op.add_column("photo_index", sa.Column(name, sa.Float(), nullable=True))
    for table in ("signals", "photo_index"):
        op.add_column(table, sa.Column("parts", sa.Integer(), nullable=True))
    for name in ("border_lines", "seam_lines"):
        op.add_column("signals", sa.Column(name, postgresql.JSONB(), server_default="[]", nullable=False))
    op.add_column("signals", sa.Column("outline", sa.Text(), nullable=True))
    op.add_column("photo_index", sa.Column("lettering", sa.Text(), server_default="not read", nullable=False))
    op.create_table(
        "lettering",
        sa.Column("image_id", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lines", postgresql.JSONB(), server_default="[]", nullable=False),
        sa.Column("words", sa.Text(), server_default="", nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.CheckConstraint("place in ('none','product','beside','cannot tell')", name="ck_lettering_place"),
        sa.ForeignKeyConstraint(["image_id"], ["image.id"], name="fk_lettering_image_id_image", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("image_id", name="pk_lettering"),
    )
    op.add_column("photo_text", sa.Column("of_picture", postgresql.TSVECTOR(), server_default="", nullable=False))
    _search("of_image || of_caption || of_picture")
    _keep("signals", SIGNALS)
    _keep("lettering", LETTERING)
    connection = op.get_bind()
    for event, rows in (("insert", "new"), ("update", "new"), ("delete", "old")):
        connection.exec_driver_sql(
            f"create or replace trigger keep_photo_index_{event} after {event} on lettering referencing {rows} table as "
            "changed for each statement execute function keep_photo_index_of_lettering()"
        )


def downgrade() -> None:
    op.drop_table("lettering")
    op.execute("drop function keep_photo_index_of_lettering()")
    _keep("signals", SIGNALS_BEFORE)
    _search("of_image || of_caption")
    op.drop_column("photo_text", "of_picture")
    op.drop_column("photo_index", "lettering")
    for name in ("outline", "border_lines", "seam_lines"):
        op.drop_column("signals", name)
    for table in ("signals", "photo_index"):
        for name in (*MEASURES, "parts"):
            op.drop_column(table, name)


def _search(words: str) -> None:
    """Find photos by these columns of their words."""
    op.drop_column("photo_text", "words")
    op.add_column(
        "photo_text", sa.Column("words", postgresql.TSVECTOR(), sa.Computed(words, persisted=True), nullable=False)
    )
    op.create_index("ix_photo_text_words", "photo_text", ["words"], postgresql_using="gin")


def _keep(source: str, body: str) -> None:
    """Put in how the photo index follows this table."""
    op.get_bind().exec_driver_sql(
        f"create or replace function keep_photo_index_of_{source}() returns trigger language plpgsql as "
        f"$$ begin {body}; return null; end $$"
    )
