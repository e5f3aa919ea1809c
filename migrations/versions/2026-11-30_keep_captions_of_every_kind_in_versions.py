"""keep captions of every kind in versions, and ask for kinds of captions and for what they are better without"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "b84d07c3e6a9"
down_revision: str | None = "5d1c07be94a2"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# As the triggers were when this migration was written, and before. A migration imports no code that goes on changing.
KINDS = ("short", "tags", "facts")
IMAGE = r"""
        insert into photo_index (image_id, catalog_id, category, category_key, longest_px, shortest_px)
        select id, catalog_id, category, category_key, greatest(width_px, height_px), least(width_px, height_px)
        from changed
        on conflict (image_id) do update set catalog_id = excluded.catalog_id, category = excluded.category,
            category_key = excluded.category_key, longest_px = excluded.longest_px, shortest_px = excluded.shortest_px
        where (photo_index.catalog_id, photo_index.category, photo_index.category_key, photo_index.longest_px,
            photo_index.shortest_px) is distinct from
            (excluded.catalog_id, excluded.category, excluded.category_key, excluded.longest_px, excluded.shortest_px);
        insert into photo_text (image_id, of_image)
        select id, search_words(concat_ws(E' \x1f ', title, category, description, product, file_name)) from changed
        on conflict (image_id) do update set of_image = excluded.of_image
        where photo_text.of_image is distinct from excluded.of_image"""
LETTERING = r"""
        update photo_index set lettering = fresh.place, writing = fresh.kinds, text_share = fresh.share
        from (
            select touched.image_id, coalesce(lettering.place, 'not read') as place,
                coalesce(lettering.kinds, '{}') as kinds, lettering.share
            from (select distinct image_id from changed) as touched
            left join lettering on lettering.image_id = touched.image_id
        ) as fresh
        where photo_index.image_id = fresh.image_id
            and (photo_index.lettering, photo_index.writing, photo_index.text_share)
            is distinct from (fresh.place, fresh.kinds, fresh.share);
        update photo_text set of_picture = fresh.words
        from (
            select touched.image_id, search_words(
                E'\x1f ' || replace(coalesce(lettering.words, ''), E'\n', E' \x1f ')) as words
            from (select distinct image_id from changed) as touched
            left join lettering on lettering.image_id = touched.image_id
        ) as fresh
        where photo_text.image_id = fresh.image_id and photo_text.of_picture is distinct from fresh.words"""
CAPTION_BEFORE = r"""
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
CAPTION = r"""
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
            fresh.lints);"""
CAPTION_WORDS = r"""
        update photo_text set COLUMN = fresh.words
        from (
            select touched.image_id, search_words(E'\x1f ' || coalesce(caption.text, '')) as words
            from (select distinct image_id from changed where kind = 'KIND') as touched
            left join caption on caption.image_id = touched.image_id and caption.kind = 'KIND'
                and caption.superseded_at is null
        ) as fresh
        where photo_text.image_id = fresh.image_id and photo_text.COLUMN is distinct from fresh.words;"""
TOKENS = r"""
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
LINTS = r"""
        update photo_index set lints = fresh.lints
        from (
            select touched.image_id, case when caption.id is null then '{}'
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
        where photo_index.image_id = fresh.image_id and photo_index.lints is distinct from fresh.lints"""
TOUCHED = "select distinct image_id from changed"
LINTED = "select changed.id as image_id from changed join caption_lint on caption_lint.image_id = changed.id"
EVENTS = (("insert", "new"), ("update", "new"), ("delete", "old"))


def upgrade() -> None:
    """Apply this step."""
    # Of versions that were frozen before, only the captions that are learned are known.
    op.add_column("dataset_version", sa.Column("file_sha256", sa.Text(), nullable=True))
    op.add_column("dataset_version", sa.Column("keeps_kinds", sa.Boolean(), nullable=False, server_default=sa.false()))
    for kind in KINDS:
        op.add_column("member", sa.Column(f"{kind}_id", sa.BigInteger(), nullable=True))
        op.add_column("photo_text", sa.Column(f"of_{kind}", postgresql.TSVECTOR(), nullable=False, server_default=""))
    op.create_table(
        "caption_lint",
        sa.Column("image_id", sa.BigInteger(), sa.ForeignKey("image.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("caption_id", sa.BigInteger(), sa.ForeignKey("caption.id", ondelete="CASCADE"), nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("catalogue", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("kinds", postgresql.ARRAY(sa.Text()), nullable=False),
    )
    op.create_index("ix_caption_lint_caption_id", "caption_lint", ["caption_id"])
    for name in ("kinds", "lints"):
        column = sa.Column(name, postgresql.ARRAY(sa.Text()), nullable=False, server_default="{}")
        op.add_column("photo_index", column)
    op.execute("""
        update photo_index set kinds = said.kinds,
            lints = case when 'long' = any(said.kinds) then '{unchecked}' else '{}' end::text[]
        from (
            select image_id, array_agg(kind order by kind) as kinds from caption where superseded_at is null
            group by image_id
        ) as said where photo_index.image_id = said.image_id""")
    for kind in KINDS:
        op.execute(rf"""
            update photo_text set of_{kind} = search_words(E'\x1f ' || caption.text) from caption
            where caption.image_id = photo_text.image_id and kind = '{kind}' and superseded_at is null""")
    op.create_index(
        "ix_photo_index_unlinted", "photo_index", ["catalog_id"], postgresql_where=sa.text("lints = '{unchecked}'")
    )
    op.create_index(
        "ix_photo_text_of_kinds", "photo_text", [f"of_{kind}" for kind in KINDS], postgresql_using="gin"
    )
    words = [CAPTION_WORDS.replace("KIND", "long").replace("COLUMN", "of_caption")]
    words += [CAPTION_WORDS.replace("KIND", kind).replace("COLUMN", f"of_{kind}") for kind in KINDS]
    _keep("caption", CAPTION + "".join(words) + TOKENS)
    _keep("caption_lint", LINTS)
    _keep("lettering", f"{LETTERING};{LINTS}")
    _keep("image", f"{IMAGE};{LINTS.replace(TOUCHED, LINTED)}")
    for event, rows in EVENTS:
        op.execute(
            f"create or replace trigger keep_photo_index_{event} after {event} on caption_lint "
            f"referencing {rows} table as changed for each statement execute function "
            "keep_photo_index_of_caption_lint()"
        )


def downgrade() -> None:
    """Take this step back."""
    _keep("caption", CAPTION_BEFORE + TOKENS)
    _keep("lettering", LETTERING)
    _keep("image", IMAGE)
    op.drop_table("caption_lint")
    op.execute("drop function keep_photo_index_of_caption_lint()")
    op.drop_index("ix_photo_index_unlinted", "photo_index")
    for name in ("kinds", "lints"):
        op.drop_column("photo_index", name)
    op.drop_index("ix_photo_text_of_kinds", "photo_text")
    for kind in KINDS:
        op.drop_column("photo_text", f"of_{kind}")
        op.drop_column("member", f"{kind}_id")
    op.drop_column("dataset_version", "keeps_kinds")
    op.drop_column("dataset_version", "file_sha256")


def _keep(source: str, body: str) -> None:
    op.execute(
        f"create or replace function keep_photo_index_of_{source}() returns trigger language plpgsql as "
        f"$$ begin {body}; return null; end $$"
    )
