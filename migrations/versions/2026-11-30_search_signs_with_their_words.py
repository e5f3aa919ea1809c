"""search for signs with the words they stand at, phrases within one text, and see no hidden letters"""

from collections.abc import Sequence

from alembic import op

revision: str = "c5e07a9d1f62"
down_revision: str | None = "b7f02d94c15e"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# As functions and triggers were when this migration was written, and before. A migration imports no code that goes on
# changing.
HIDDEN = (
    r"\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\U000e0000-\U000e01ef"
)
UNSEEN = (
    rf"[{HIDDEN}\u0300-\u036f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670"
    r"\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f\u2120\u2122]"
)
UNSEEN_BEFORE = r"[\u0300-\u036f\u00ad\u200b-\u200d\u2060\ufe00-\ufe0f\ufeff]"
UNSPACED = (
    r"([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff])"
)
SIGNS = (
    r"#$\u0025&+<=>@^|~\u00a2-\u00a9\u00ac\u00ae-\u00b1\u00b6\u00d7\u00f7\u2020-\u2022\u2030\u2031\u20a0-\u20cf"
    r"\u2190-\u2bff\U0001f000-\U0001faff"
)


def search_text(text: str, unseen: str) -> str:
    """The words of a text without letter case and accents, as an expression."""
    return f"""
    normalize(translate(replace(replace(replace(replace(
        lower(regexp_replace(normalize({text}, NFKD), '{unseen}', '', 'g') collate pg_c_utf8),
        'ß', 'ss'), 'æ', 'ae'), 'œ', 'oe'), 'þ', 'th'), 'øđłıħŧς', 'odlihtσ'), NFKC)"""


def name_key(text: str) -> str:
    """A text in which numbers sort by their value, as an expression."""
    return rf"""left(regexp_replace(regexp_replace({text},
            '([0-9]+)', '{"0" * 20}\1', 'g'), '0+([0-9]{{20,}})', '\1', 'g'), 500)"""


def label_key(text: str) -> str:
    """What spellings of one label have in common, as a statement."""
    return rf"""select btrim(regexp_replace(
            replace(replace(lower({text} collate pg_c_utf8), 'ß', 'ss'), 'ς', 'σ'), '\s+', ' ', 'g'))"""


SEARCH_TEXT = search_text(r"regexp_replace(t, '[\u2120\u2122]', '', 'g')", UNSEEN)
SEARCH_TEXT_BEFORE = search_text("t", UNSEEN_BEFORE)
PARTED = r"""
    with said as (select regexp_replace(TEXT, 'UNSPACED', ' \1 ', 'g') as text),
    part as (
        select parts[1] as word, replace(replace(parts[2], '\', '\\'), '''', '''''') as sign,
            count(*) filter (where parts[2] is null) over (order by number) as place
        from said, regexp_matches(said.text, '([[:alnum:]]+)|([^[:alnum:][:space:][:cntrl:]])|APART', 'g')
            with ordinality as parted (parts, number)
    ),
    word as (select left(word, 200) as word, least(place, 16382) as place from part where word is not null),
    sign as (select sign, least(place, 16382) as place, sign ~ '[SIGNS]' as is_told from part where sign is not null)
    """.replace("TEXT", SEARCH_TEXT).replace("UNSPACED", UNSPACED).replace("APART", r"\x1f").replace("SIGNS", SIGNS)
WORDS = """
    select coalesce(string_agg(lexeme, ' '), '')::tsvector from (
        select '''' || word || ''':' || place from word
        union all select distinct '''' || sign || '''' from sign
        union all select distinct '''' || sign || ''':' || greatest(place, 1) || ',' || place + 1 from sign where is_told
    ) as lexemes (lexeme)"""
QUERY = """
    select coalesce(
        (select string_agg(
            '(''' || word || '''' || case when place = last and not is_ended then ':*' else '' end || coalesce(told, '')
                || ')', ' <-> ' order by place)
            from (
                select word, place, max(place) over () as last,
                    (select string_agg(distinct ' <0> ''' || sign || '''', '') from sign
                        where is_told and greatest(sign.place, 1) = word.place) as told,
                    exists (select from sign where is_told and sign.place = word.place) as is_ended
                from word
            ) as phrase),
        (select string_agg('''' || sign || '''', ' & ') from sign), ''
    )::tsquery"""
PARTED_BEFORE = r"""
    with said as (select regexp_replace(TEXT, 'UNSPACED', ' \1 ', 'g') as text),
    word as (
        select left(word, 200) as word, place
        from said, regexp_split_to_table(said.text, '(\W|_)+') with ordinality as parted (word, place) where word <> ''
    ),
    sign as (
        select distinct replace(replace(found[1], '\', '\\'), '''', '''''') as sign
        from said, regexp_matches(said.text, '([^[:alnum:][:space:]])', 'g') as found
    )""".replace("TEXT", SEARCH_TEXT_BEFORE).replace("UNSPACED", UNSPACED)
WORDS_BEFORE = """
    select coalesce(string_agg(lexeme, ' '), '')::tsvector from (
        select '''' || word || ''':' || least(place, 16383) from word union all select '''' || sign || '''' from sign
    ) as lexemes (lexeme)"""
QUERY_BEFORE = """
    select coalesce(
        (select string_agg('''' || word || case place when last then ''':*' else '''' end, ' <-> ' order by place)
            from (select word, place, max(place) over () as last from word) as phrase),
        (select string_agg('''' || sign || '''', ' & ') from sign), ''
    )::tsquery"""
FUNCTIONS = {
    "label_key": ("text", label_key(f"regexp_replace(normalize(t, NFKC), '[{HIDDEN}]', '', 'g')")),
    "search_text": ("text", f"select {SEARCH_TEXT}"),
    "name_key": ("text", f"select {name_key(SEARCH_TEXT)}"),
    "search_words": ("tsvector", PARTED + WORDS),
    "search_query": ("tsquery", PARTED + QUERY),
}
FUNCTIONS_BEFORE = {
    "label_key": ("text", label_key("normalize(t, NFKC)")),
    "search_text": ("text", f"select {SEARCH_TEXT_BEFORE}"),
    "name_key": ("text", f"select {name_key(SEARCH_TEXT_BEFORE)}"),
    "search_words": ("tsvector", PARTED_BEFORE + WORDS_BEFORE),
    "search_query": ("tsquery", PARTED_BEFORE + QUERY_BEFORE),
}
KEEPERS = {
    "image": r"""
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
        where photo_text.of_image is distinct from excluded.of_image""",
    "caption": r"""
        update photo_index set captioned_by = coalesce(caption.written_by, 'none')
        from (select distinct image_id from changed) as touched
        left join caption on caption.image_id = touched.image_id and caption.superseded_at is null
        where photo_index.image_id = touched.image_id
            and photo_index.captioned_by is distinct from coalesce(caption.written_by, 'none');
        update photo_text set of_caption = fresh.words
        from (
            select touched.image_id, search_words(E'\x1f ' || coalesce(caption.text, '')) as words
            from (select distinct image_id from changed) as touched
            left join caption on caption.image_id = touched.image_id and caption.superseded_at is null
        ) as fresh
        where photo_text.image_id = fresh.image_id and photo_text.of_caption is distinct from fresh.words""",
}
KEEPERS_BEFORE = {
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


def upgrade() -> None:
    _keep(FUNCTIONS, KEEPERS)


def downgrade() -> None:
    _keep(FUNCTIONS_BEFORE, KEEPERS_BEFORE)


def _keep(functions: dict[str, tuple[str, str]], keepers: dict[str, str]) -> None:
    """Put these functions and triggers in, and let them find keys and words of what is there anew."""
    connection = op.get_bind()
    for name, (returns, body) in functions.items():
        connection.exec_driver_sql(
            f"create or replace function {name}(t text) returns {returns} language sql immutable strict parallel safe as "
            f"$$ {body} $$"
        )
    for source, body in keepers.items():
        connection.exec_driver_sql(
            f"create or replace function keep_photo_index_of_{source}() returns trigger language plpgsql as "
            f"$$ begin {body}; return null; end $$"
        )
    # Computed columns are made anew where what they are made of is set.
    op.execute("update image set category = category, product = product, file_name = file_name")
    op.execute("update caption set id = id where superseded_at is null")
