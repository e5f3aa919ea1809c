"""Part each caption into words once: the index notes whose words it has."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "7c41e9d02b6f"
down_revision: str | None = "f5b3d8127a40"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# As the triggers were when this migration was written. A migration imports no code that goes on changing.
BEFORE = r"""
        update photo_index set captioned_by = fresh.captioned_by, captioned_at = fresh.captioned_at,
            author_id = fresh.author_id, caption_characters = fresh.characters, caption_words = fresh.words,
            kinds = fresh.kinds, lints = fresh.lints
        from (
            select touched.image_id, coalesce(caption.written_by, 'none') as captioned_by,
                caption.created_at as captioned_at, caption.person_id as author_id, length(caption.text) as characters,
                regexp_count(caption.text, '\S+') as words, array(
                    select each.kind from caption as each
                    where each.image_id = touched.image_id and each.superseded_at is null order by 1) as kinds,
                case when caption.id is null then '{}'
                when linted.caption_id = caption.id and linted.read_at is not distinct from lettering.read_at
                    and linted.catalogue = md5(concat_ws(E'\x1f', image.title, image.category, image.description,
                        image.product)) then linted.kinds
                else '{unchecked}' end as lints
            from (select distinct image_id from changed) as touched
            left join caption on caption.image_id = touched.image_id and caption.kind = 'long'
                and caption.superseded_at is null
            left join caption_lint as linted on linted.image_id = touched.image_id
            left join lettering on lettering.image_id = touched.image_id
            left join image on image.id = touched.image_id
        ) as fresh
        where photo_index.image_id = fresh.image_id and
            (photo_index.captioned_by, photo_index.captioned_at, photo_index.author_id, photo_index.caption_characters,
            photo_index.caption_words, photo_index.kinds, photo_index.lints) is distinct from
            (fresh.captioned_by, fresh.captioned_at, fresh.author_id, fresh.characters, fresh.words, fresh.kinds,
            fresh.lints);
        update photo_text set of_caption = fresh.words
        from (
            select touched.image_id, search_words(E'\x1f ' || coalesce(caption.text, '')) as words
            from (select distinct image_id from changed where kind = 'long') as touched
            left join caption on caption.image_id = touched.image_id and caption.kind = 'long'
                and caption.superseded_at is null
        ) as fresh
        where photo_text.image_id = fresh.image_id and photo_text.of_caption is distinct from fresh.words;
        update photo_text set of_short = fresh.words
        from (
            select touched.image_id, search_words(E'\x1f ' || coalesce(caption.text, '')) as words
            from (select distinct image_id from changed where kind = 'short') as touched
            left join caption on caption.image_id = touched.image_id and caption.kind = 'short'
                and caption.superseded_at is null
        ) as fresh
        where photo_text.image_id = fresh.image_id and photo_text.of_short is distinct from fresh.words;
        update photo_text set of_tags = fresh.words
        from (
            select touched.image_id, search_words(E'\x1f ' || coalesce(caption.text, '')) as words
            from (select distinct image_id from changed where kind = 'tags') as touched
            left join caption on caption.image_id = touched.image_id and caption.kind = 'tags'
                and caption.superseded_at is null
        ) as fresh
        where photo_text.image_id = fresh.image_id and photo_text.of_tags is distinct from fresh.words;
        update photo_text set of_facts = fresh.words
        from (
            select touched.image_id, search_words(E'\x1f ' || coalesce(caption.text, '')) as words
            from (select distinct image_id from changed where kind = 'facts') as touched
            left join caption on caption.image_id = touched.image_id and caption.kind = 'facts'
                and caption.superseded_at is null
        ) as fresh
        where photo_text.image_id = fresh.image_id and photo_text.of_facts is distinct from fresh.words;
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
AFTER = r"""
        update photo_index set captioned_by = fresh.captioned_by, captioned_at = fresh.captioned_at,
            author_id = fresh.author_id, caption_characters = fresh.characters, caption_words = fresh.words,
            kinds = fresh.kinds, lints = fresh.lints
        from (
            select touched.image_id, coalesce(caption.written_by, 'none') as captioned_by,
                caption.created_at as captioned_at, caption.person_id as author_id, length(caption.text) as characters,
                regexp_count(caption.text, '\S+') as words, array(
                    select each.kind from caption as each
                    where each.image_id = touched.image_id and each.superseded_at is null order by 1) as kinds,
                case when caption.id is null then '{}'
                when linted.caption_id = caption.id and linted.read_at is not distinct from lettering.read_at
                    and linted.catalogue = md5(concat_ws(E'\x1f', image.title, image.category, image.description,
                        image.product)) then linted.kinds
                else '{unchecked}' end as lints
            from (select distinct image_id from changed) as touched
            left join caption on caption.image_id = touched.image_id and caption.kind = 'long'
                and caption.superseded_at is null
            left join caption_lint as linted on linted.image_id = touched.image_id
            left join lettering on lettering.image_id = touched.image_id
            left join image on image.id = touched.image_id
        ) as fresh
        where photo_index.image_id = fresh.image_id and
            (photo_index.captioned_by, photo_index.captioned_at, photo_index.author_id, photo_index.caption_characters,
            photo_index.caption_words, photo_index.kinds, photo_index.lints) is distinct from
            (fresh.captioned_by, fresh.captioned_at, fresh.author_id, fresh.characters, fresh.words, fresh.kinds,
            fresh.lints);
        update photo_text set of_caption = search_words(E'\x1f ' || coalesce(fresh.text, '')),
            caption_id = fresh.caption_id
        from (
            select touched.image_id, coalesce(caption.id, 0) as caption_id, caption.text
            from (select distinct image_id from changed where kind = 'long') as touched
            left join caption on caption.image_id = touched.image_id and caption.kind = 'long'
                and caption.superseded_at is null
        ) as fresh
        where photo_text.image_id = fresh.image_id and photo_text.caption_id is distinct from fresh.caption_id;
        update photo_text set of_short = fresh.words
        from (
            select touched.image_id, search_words(E'\x1f ' || coalesce(caption.text, '')) as words
            from (select distinct image_id from changed where kind = 'short') as touched
            left join caption on caption.image_id = touched.image_id and caption.kind = 'short'
                and caption.superseded_at is null
        ) as fresh
        where photo_text.image_id = fresh.image_id and photo_text.of_short is distinct from fresh.words;
        update photo_text set of_tags = fresh.words
        from (
            select touched.image_id, search_words(E'\x1f ' || coalesce(caption.text, '')) as words
            from (select distinct image_id from changed where kind = 'tags') as touched
            left join caption on caption.image_id = touched.image_id and caption.kind = 'tags'
                and caption.superseded_at is null
        ) as fresh
        where photo_text.image_id = fresh.image_id and photo_text.of_tags is distinct from fresh.words;
        update photo_text set of_facts = fresh.words
        from (
            select touched.image_id, search_words(E'\x1f ' || coalesce(caption.text, '')) as words
            from (select distinct image_id from changed where kind = 'facts') as touched
            left join caption on caption.image_id = touched.image_id and caption.kind = 'facts'
                and caption.superseded_at is null
        ) as fresh
        where photo_text.image_id = fresh.image_id and photo_text.of_facts is distinct from fresh.words;
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


def upgrade() -> None:
    """What is there is noted with each photo's next caption: no photo is written for it now."""
    op.add_column("photo_text", sa.Column("caption_id", sa.BigInteger()))
    _keep(AFTER)


def downgrade() -> None:
    _keep(BEFORE)
    op.drop_column("photo_text", "caption_id")


def _keep(body: str) -> None:
    op.execute(
        "create or replace function keep_photo_index_of_caption() returns trigger language plpgsql as "
        f"$$ begin {body}; return null; end $$"
    )
