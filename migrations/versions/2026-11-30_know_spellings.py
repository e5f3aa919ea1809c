"""know spellings of one name, words in any script, numbers in file names, and copies of pictures"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "8d41f0b6c3e9"
down_revision: str | None = "b83d5e07c4f1"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# As functions and triggers were when this migration was written, and before. A migration imports no code that goes on
# changing.
SEARCH_TEXT = r"""
    normalize(translate(replace(replace(replace(replace(
        lower(regexp_replace(
            normalize(t, NFKD), '[\u0300-\u036f\u00ad\u200b-\u200d\u2060\ufe00-\ufe0f\ufeff]', '', 'g') collate pg_c_utf8),
        'ß', 'ss'), 'æ', 'ae'), 'œ', 'oe'), 'þ', 'th'), 'øđłıħŧς', 'odlihtσ'), NFKC)"""
UNSPACED = (
    r"([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff])"
)
PARTED = r"""
    with said as (select regexp_replace(TEXT, 'UNSPACED', ' \1 ', 'g') as text),
    word as (
        select left(word, 200) as word, place
        from said, regexp_split_to_table(said.text, '(\W|_)+') with ordinality as parted (word, place) where word <> ''
    ),
    sign as (
        select distinct replace(replace(found[1], '\', '\\'), '''', '''''') as sign
        from said, regexp_matches(said.text, '([^[:alnum:][:space:]])', 'g') as found
    )""".replace("TEXT", SEARCH_TEXT).replace("UNSPACED", UNSPACED)
WORDS = """
    select coalesce(string_agg(lexeme, ' '), '')::tsvector from (
        select '''' || word || ''':' || least(place, 16383) from word union all select '''' || sign || '''' from sign
    ) as lexemes (lexeme)"""
QUERY = """
    select coalesce(
        (select string_agg('''' || word || case place when last then ''':*' else '''' end, ' <-> ' order by place)
            from (select word, place, max(place) over () as last from word) as phrase),
        (select string_agg('''' || sign || '''', ' & ') from sign), ''
    )::tsquery"""
FUNCTIONS = {
    "label_key": (
        "text",
        r"""select btrim(regexp_replace(
            replace(replace(lower(normalize(t, NFKC) collate pg_c_utf8), 'ß', 'ss'), 'ς', 'σ'), '\s+', ' ', 'g'))""",
    ),
    "search_text": ("text", f"select {SEARCH_TEXT}"),
    "name_key": (
        "text",
        rf"""select left(regexp_replace(regexp_replace({SEARCH_TEXT},
            '([0-9]+)', '{"0" * 20}\1', 'g'), '0+([0-9]{{20,}})', '\1', 'g'), 500)""",
    ),
    "search_words": ("tsvector", PARTED + WORDS),
    "search_query": ("tsquery", PARTED + QUERY),
}
COMPUTED = {
    "category_key": sa.Column("category_key", sa.Text(), sa.Computed("label_key(category)", persisted=True)),
    "product_key": sa.Column("product_key", sa.Text(), sa.Computed("label_key(product)", persisted=True)),
    "file_key": sa.Column("file_key", sa.Text(), sa.Computed("search_text(file_name)", persisted=True), nullable=False),
    "name_key": sa.Column(
        "name_key", sa.Text(collation="C"), sa.Computed("name_key(file_name)", persisted=True), nullable=False
    ),
}
KEEPERS = {
    "image": r"""
        insert into photo_index (image_id, catalog_id, category, category_key, longest_px, shortest_px)
        select id, catalog_id, category, category_key, greatest(width_px, height_px), least(width_px, height_px)
        from changed
        on conflict (image_id) do update set catalog_id = excluded.catalog_id, category = excluded.category,
            category_key = excluded.category_key, longest_px = excluded.longest_px, shortest_px = excluded.shortest_px
        where (photo_index.catalog_id, photo_index.category, photo_index.longest_px, photo_index.shortest_px)
            is distinct from
            (excluded.catalog_id, excluded.category, excluded.longest_px, excluded.shortest_px);
        insert into photo_text (image_id, of_image)
        select id, search_words(concat_ws(' ', title, category, description, product, file_name)) from changed
        on conflict (image_id) do update set of_image = excluded.of_image
        where photo_text.of_image is distinct from excluded.of_image""",
    "signals": r"""
        update photo_index set background = coalesce(signals.background, 'cannot tell'),
            colour = signals.subject_colour, sharpness = signals.sharpness, fill = signals.fill,
            confidence = signals.confidence, is_cropped = jsonb_array_length(signals.cropped_edges) > 0,
            contrast = signals.contrast
        from (select distinct image_id from changed) as touched
        left join signals on signals.image_id = touched.image_id
        where photo_index.image_id = touched.image_id""",
    "caption": r"""
        update photo_index set captioned_by = coalesce(caption.written_by, 'none')
        from (select distinct image_id from changed) as touched
        left join caption on caption.image_id = touched.image_id and caption.superseded_at is null
        where photo_index.image_id = touched.image_id
            and photo_index.captioned_by is distinct from coalesce(caption.written_by, 'none');
        update photo_text set of_caption = fresh.words
        from (
            select touched.image_id, search_words(coalesce(caption.text, '')) as words
            from (select distinct image_id from changed) as touched
            left join caption on caption.image_id = touched.image_id and caption.superseded_at is null
        ) as fresh
        where photo_text.image_id = fresh.image_id and photo_text.of_caption is distinct from fresh.words""",
}
KEEPERS_BEFORE = {
    "image": r"""
        insert into photo_index (image_id, catalog_id, category, longest_px, shortest_px)
        select id, catalog_id, category, greatest(width_px, height_px), least(width_px, height_px) from changed
        on conflict (image_id) do update set catalog_id = excluded.catalog_id, category = excluded.category,
            longest_px = excluded.longest_px, shortest_px = excluded.shortest_px
        where (photo_index.catalog_id, photo_index.category, photo_index.longest_px, photo_index.shortest_px)
            is distinct from
            (excluded.catalog_id, excluded.category, excluded.longest_px, excluded.shortest_px);
        insert into photo_text (image_id, of_image)
        select id, to_tsvector('simple', regexp_replace(
            concat_ws(' ', title, category, description, product, file_name), '(\W|_)+', ' ', 'g')) from changed
        on conflict (image_id) do update set of_image = excluded.of_image
        where photo_text.of_image is distinct from excluded.of_image""",
    "signals": r"""
        update photo_index set background = changed.background, colour = changed.subject_colour,
            sharpness = changed.sharpness, fill = changed.fill, confidence = changed.confidence,
            is_cropped = jsonb_array_length(changed.cropped_edges) > 0, contrast = changed.contrast
        from changed where photo_index.image_id = changed.image_id""",
    "caption": r"""
        update photo_index set captioned_by = coalesce(caption.written_by, 'none')
        from (select distinct image_id from changed) as touched
        left join caption on caption.image_id = touched.image_id and caption.superseded_at is null
        where photo_index.image_id = touched.image_id
            and photo_index.captioned_by is distinct from coalesce(caption.written_by, 'none');
        update photo_text set of_caption = fresh.words
        from (
            select touched.image_id,
                to_tsvector('simple', regexp_replace(coalesce(caption.text, ''), '(\W|_)+', ' ', 'g')) as words
            from (select distinct image_id from changed) as touched
            left join caption on caption.image_id = touched.image_id and caption.superseded_at is null
        ) as fresh
        where photo_text.image_id = fresh.image_id and photo_text.of_caption is distinct from fresh.words""",
}


def upgrade() -> None:
    for name, (returns, body) in FUNCTIONS.items():
        op.get_bind().exec_driver_sql(
            f"create or replace function {name}(t text) returns {returns} language sql immutable strict parallel safe as "
            f"$$ {body} $$"
        )
    for column in COMPUTED.values():
        op.add_column("image", column)
    op.drop_index("ix_image_product", "image")
    op.create_index("ix_image_product_key", "image", ["product_key"])
    op.drop_index("ix_image_catalog_id_file_name", "image")
    op.create_index("ix_image_catalog_id_name_key", "image", ["catalog_id", "name_key", "id"])
    op.add_column("signals", sa.Column("fingerprint", sa.LargeBinary(), nullable=True))
    op.add_column("dataset_version", sa.Column("uncompared_count", sa.Integer(), nullable=True))
    op.add_column("photo_index", sa.Column("category_key", sa.Text(), nullable=True))
    op.execute("update photo_index set category_key = label_key(category)")
    _keep(KEEPERS)
    op.execute(
        "create or replace trigger keep_photo_index_delete after delete on signals referencing old table as changed "
        "for each statement execute function keep_photo_index_of_signals()"
    )


def downgrade() -> None:
    op.execute("drop trigger keep_photo_index_delete on signals")
    _keep(KEEPERS_BEFORE)
    op.drop_column("photo_index", "category_key")
    op.drop_column("dataset_version", "uncompared_count")
    op.drop_column("signals", "fingerprint")
    for name in COMPUTED:
        op.drop_column("image", name)
    op.create_index("ix_image_product", "image", ["product"])
    op.create_index("ix_image_catalog_id_file_name", "image", ["catalog_id", "file_name", "id"])
    for name in FUNCTIONS:
        op.execute(f"drop function {name}(text)")


def _keep(keepers: dict[str, str]) -> None:
    """Put these bodies in, and let them find the words of what is there anew."""
    for source, body in keepers.items():
        op.get_bind().exec_driver_sql(
            f"create or replace function keep_photo_index_of_{source}() returns trigger language plpgsql as "
            f"$$ begin {body}; return null; end $$"
        )
    op.execute("update image set id = id")
    op.execute("update caption set id = id where superseded_at is null")
