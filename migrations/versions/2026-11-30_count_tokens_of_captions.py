"""keep how many tokens captions are to text encoders"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "a71c3e05d9f4"
down_revision: str | None = "b7d20c94e1f5"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# As the triggers were when this migration was written. A migration imports no code that goes on changing.
ENCODERS = ("clip", "t5", "gemma", "qwen", "nano")
CAPTION = r"""
        update photo_index set captioned_by = fresh.captioned_by, captioned_at = fresh.captioned_at,
            author_id = fresh.author_id, caption_characters = fresh.characters, caption_words = fresh.words
        from (
            select touched.image_id, coalesce(caption.written_by, 'none') as captioned_by,
                caption.created_at as captioned_at, caption.person_id as author_id, length(caption.text) as characters,
                regexp_count(caption.text, '\S+') as words
            from (select distinct image_id from changed) as touched
            left join caption on caption.image_id = touched.image_id and caption.superseded_at is null
        ) as fresh
        where photo_index.image_id = fresh.image_id and
            (photo_index.captioned_by, photo_index.captioned_at, photo_index.author_id, photo_index.caption_characters,
            photo_index.caption_words) is distinct from
            (fresh.captioned_by, fresh.captioned_at, fresh.author_id, fresh.characters, fresh.words);
        update photo_text set of_caption = fresh.words
        from (
            select touched.image_id, search_words(E'\x1f ' || coalesce(caption.text, '')) as words
            from (select distinct image_id from changed) as touched
            left join caption on caption.image_id = touched.image_id and caption.superseded_at is null
        ) as fresh
        where photo_text.image_id = fresh.image_id and photo_text.of_caption is distinct from fresh.words"""
TOKENS = """
        update photo_index set (tokens_clip, tokens_t5, tokens_gemma, tokens_qwen, tokens_nano, tokens_by) =
            (fresh.clip, fresh.t5, fresh.gemma, fresh.qwen, fresh.nano, fresh.counted_by)
        from (
            select touched.image_id, counted.counted_by, cast(counted.counts ->> 'clip' as integer) as clip,
                cast(counted.counts ->> 't5' as integer) as t5,
                cast(counted.counts ->> 'gemma' as integer) as gemma,
                cast(counted.counts ->> 'qwen' as integer) as qwen,
                cast(counted.counts ->> 'nano' as integer) as nano
            from (select distinct image_id from changed) as touched
            left join caption on caption.image_id = touched.image_id and caption.superseded_at is null
            left join caption_tokens as counted on counted.caption_id = caption.id
        ) as fresh
        where photo_index.image_id = fresh.image_id and (photo_index.tokens_clip, photo_index.tokens_t5,
            photo_index.tokens_gemma, photo_index.tokens_qwen, photo_index.tokens_nano, photo_index.tokens_by)
            is distinct from
            (fresh.clip, fresh.t5, fresh.gemma, fresh.qwen, fresh.nano, fresh.counted_by)"""
EVENTS = (("insert", "new"), ("update", "new"), ("delete", "old"))


def upgrade() -> None:
    """Apply this step."""
    op.create_table(
        "caption_tokens",
        sa.Column("caption_id", sa.BigInteger(), sa.ForeignKey("caption.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("image_id", sa.BigInteger(), sa.ForeignKey("image.id", ondelete="CASCADE"), nullable=False),
        sa.Column("counts", postgresql.JSONB(), nullable=False),
        sa.Column("counted_by", sa.Text(), nullable=False),
    )
    op.create_index("ix_caption_tokens_image_id", "caption_tokens", ["image_id"])
    for name in ENCODERS:
        op.add_column("photo_index", sa.Column(f"tokens_{name}", sa.Integer(), nullable=True))
    op.add_column("photo_index", sa.Column("tokens_by", sa.Text(), nullable=True))
    op.create_index(
        "ix_photo_index_uncounted", "photo_index", ["catalog_id"],
        postgresql_where=sa.text("captioned_by <> 'none' and tokens_by is null"),
    )  # fmt: skip
    _keep("caption", CAPTION + ";" + TOKENS)
    _keep("caption_tokens", TOKENS)
    for event, rows in EVENTS:
        op.execute(
            f"create or replace trigger keep_photo_index_{event} after {event} on caption_tokens "
            f"referencing {rows} table as changed for each statement execute function "
            "keep_photo_index_of_caption_tokens()"
        )


def downgrade() -> None:
    """Take this step back."""
    _keep("caption", CAPTION)
    op.drop_table("caption_tokens")
    op.execute("drop function keep_photo_index_of_caption_tokens()")
    op.drop_index("ix_photo_index_uncounted", "photo_index")
    for name in (*ENCODERS, "by"):
        op.drop_column("photo_index", f"tokens_{name}")


def _keep(source: str, body: str) -> None:
    op.execute(
        f"create or replace function keep_photo_index_of_{source}() returns trigger language plpgsql as "
        f"$$ begin {body}; return null; end $$"
    )
