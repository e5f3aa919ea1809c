"""several kinds of captions for a photo: long (those there are), short, tags, facts"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "5ad07e64c8b1"
down_revision: str | None = "e3b95f0c71d2"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

IS_LONG = """ and caption.kind = 'long'
                and caption.superseded_at"""
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
            left join caption on caption.image_id = touched.image_id and caption.kind = 'long'
                and caption.superseded_at is null
            left join caption_tokens as counted on counted.caption_id = caption.id
        ) as fresh
        where photo_index.image_id = fresh.image_id and (photo_index.tokens_clip, photo_index.tokens_t5,
            photo_index.tokens_gemma, photo_index.tokens_qwen, photo_index.tokens_nano, photo_index.tokens_by)
            is distinct from
            (fresh.clip, fresh.t5, fresh.gemma, fresh.qwen, fresh.nano, fresh.counted_by)"""
CAPTION = r"""
        update photo_index set captioned_by = fresh.captioned_by, captioned_at = fresh.captioned_at,
            author_id = fresh.author_id, caption_characters = fresh.characters, caption_words = fresh.words
        from (
            select touched.image_id, coalesce(caption.written_by, 'none') as captioned_by,
                caption.created_at as captioned_at, caption.person_id as author_id, length(caption.text) as characters,
                regexp_count(caption.text, '\S+') as words
            from (select distinct image_id from changed) as touched
            left join caption on caption.image_id = touched.image_id and caption.kind = 'long'
                and caption.superseded_at is null
        ) as fresh
        where photo_index.image_id = fresh.image_id and
            (photo_index.captioned_by, photo_index.captioned_at, photo_index.author_id, photo_index.caption_characters,
            photo_index.caption_words) is distinct from
            (fresh.captioned_by, fresh.captioned_at, fresh.author_id, fresh.characters, fresh.words);
        update photo_text set of_caption = fresh.words
        from (
            select touched.image_id, search_words(E'\x1f ' || coalesce(caption.text, '')) as words
            from (select distinct image_id from changed) as touched
            left join caption on caption.image_id = touched.image_id and caption.kind = 'long'
                and caption.superseded_at is null
        ) as fresh
        where photo_text.image_id = fresh.image_id and photo_text.of_caption is distinct from fresh.words;"""


def upgrade() -> None:
    """Apply this step."""
    op.add_column("caption", sa.Column("kind", sa.Text(), server_default="long", nullable=False))
    op.create_check_constraint("ck_caption_kind", "caption", "kind in ('long','short','tags','facts')")
    op.drop_index("uq_caption_current", "caption")
    op.create_index(
        "uq_caption_current", "caption", ["image_id", "kind"], unique=True,
        postgresql_where=sa.text("superseded_at is null"),
    )  # fmt: skip
    _keep(CAPTION + TOKENS, TOKENS)


def downgrade() -> None:
    """Take it back: what is not the long caption goes."""
    _keep(*(body.replace(IS_LONG, " and caption.superseded_at") for body in (CAPTION + TOKENS, TOKENS)))
    op.execute("delete from caption where kind <> 'long'")
    op.drop_index("uq_caption_current", "caption")
    op.create_index(
        "uq_caption_current", "caption", ["image_id"], unique=True, postgresql_where=sa.text("superseded_at is null")
    )
    op.drop_constraint("ck_caption_kind", "caption")
    op.drop_column("caption", "kind")


def _keep(caption: str, tokens: str) -> None:
    for source, body in (("caption", caption), ("caption_tokens", tokens)):
        op.execute(
            f"create or replace function keep_photo_index_of_{source}() returns trigger language plpgsql as "
            f"$$ begin {body}; return null; end $$"
        )
