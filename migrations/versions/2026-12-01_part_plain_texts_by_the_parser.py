"""Part plain texts into words by PostgreSQL's own parser; keep the index of a replaced caption once."""

from __future__ import annotations

from collections.abc import Sequence

from alembic import op

revision: str = "a94d06b3c7e1"
down_revision: str | None = "b86d03f5a17c"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# As functions and triggers were when this migration was written, and before. A migration imports no code that goes on
# changing. The words of a text are the same before and after, so that no row has to be written.
WORDS_BEFORE = r""" 
    with said as (select regexp_replace(normalize(translate(replace(replace(replace(replace(lower(regexp_replace(normalize(regexp_replace(t, '[\u2120\u2122]', '', 'g'), NFKD), '[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\U000e0000-\U000e01ef\u0300-\u036f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f\u2120\u2122]', '', 'g') collate pg_c_utf8), 'ß', 'ss'), 'æ', 'ae'), 'œ', 'oe'), 'þ', 'th'), 'øđłıħŧς', 'odlihtσ'), NFKC), '([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff])', ' \1 ', 'g') as text),
    part as (
        select parts[1] as word, replace(replace(parts[2], '\', '\\'), '''', '''''') as sign,
            count(*) filter (where parts[2] is null) over (order by number) as place
        from said, regexp_matches(said.text, '([[:alnum:]]+)|([^[:alnum:][:space:][:cntrl:]])|\x1f', 'g')
            with ordinality as parted (parts, number)
    ),
    word as (select left(word, 200) as word, least(place, 16382) as place from part where word is not null),
    sign as (select sign, least(place, 16382) as place, sign ~ '[#$\u0025&+<=>@^|~\u00a2-\u00a9\u00ac\u00ae-\u00b1\u00b6\u00d7\u00f7\u2020-\u2022\u2030\u2031\u20a0-\u20cf\u2190-\u2bff\U0001f000-\U0001faff]' as is_told from part where sign is not null)
    
    select coalesce(string_agg(lexeme, ' '), '')::tsvector from (
        select '''' || word || ''':' || place from word
        union all select distinct '''' || sign || '''' from sign
        union all
        select distinct '''' || sign || ''':' || greatest(place, 1) || ',' || place + 1 from sign where is_told
    ) as lexemes (lexeme) """
WORDS_AFTER = r""" 
    begin
        if length(t) <= 500 and t ~ '^[\x09\x0a\x0d\x1f 0-9A-Za-z!"''()*,./:;?\[\]\\_`{}-]*$' and t !~ '[0-9][Ee]'
            and (length(t) <= 200 or t !~ '[0-9A-Za-z]{201}')
        then
            return array_to_tsvector(string_to_array(regexp_replace(t, '[^!"''()*,./:;?\[\]\\_`{}-]+', '', 'g'), null))
                || ts_delete(to_tsvector('pg_catalog.simple',
                    regexp_replace(replace(t, E'\x1f', ' ÿ '), '[!"''()*,./:;?\[\]\\_`{}-]', ' ', 'g')), 'ÿ');
        end if;
        return (
    with said as (select regexp_replace(normalize(translate(replace(replace(replace(replace(lower(regexp_replace(normalize(regexp_replace(t, '[\u2120\u2122]', '', 'g'), NFKD), '[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\U000e0000-\U000e01ef\u0300-\u036f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f\u2120\u2122]', '', 'g') collate pg_c_utf8), 'ß', 'ss'), 'æ', 'ae'), 'œ', 'oe'), 'þ', 'th'), 'øđłıħŧς', 'odlihtσ'), NFKC), '([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff])', ' \1 ', 'g') as text),
    part as (
        select parts[1] as word, replace(replace(parts[2], '\', '\\'), '''', '''''') as sign,
            count(*) filter (where parts[2] is null) over (order by number) as place
        from said, regexp_matches(said.text, '([[:alnum:]]+)|([^[:alnum:][:space:][:cntrl:]])|\x1f', 'g')
            with ordinality as parted (parts, number)
    ),
    word as (select left(word, 200) as word, least(place, 16382) as place from part where word is not null),
    sign as (select sign, least(place, 16382) as place, sign ~ '[#$\u0025&+<=>@^|~\u00a2-\u00a9\u00ac\u00ae-\u00b1\u00b6\u00d7\u00f7\u2020-\u2022\u2030\u2031\u20a0-\u20cf\u2190-\u2bff\U0001f000-\U0001faff]' as is_told from part where sign is not null)
    
    select coalesce(string_agg(lexeme, ' '), '')::tsvector from (
        select '''' || word || ''':' || place from word
        union all select distinct '''' || sign || '''' from sign
        union all
        select distinct '''' || sign || ''':' || greatest(place, 1) || ',' || place + 1 from sign where is_told
    ) as lexemes (lexeme));
    end """
CAPTION_BEFORE = r"""
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
CAPTION_AFTER = r"""
        if tg_op = 'UPDATE' and not exists (
            select from changed where superseded_at is null or not exists (
                select from caption as newer where newer.parent_id = changed.id and newer.superseded_at is null))
        then
            return null;
        end if;
        update photo_index set captioned_by = fresh.captioned_by, captioned_at = fresh.captioned_at,
            author_id = fresh.author_id, caption_characters = fresh.characters, caption_words = fresh.words,
            kinds = fresh.kinds, lints = fresh.lints,
            tokens_clip = fresh.clip, tokens_t5 = fresh.t5, tokens_gemma = fresh.gemma, tokens_qwen = fresh.qwen,
            tokens_nano = fresh.nano, tokens_by = fresh.counted_by
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
                else '{unchecked}' end as lints, counted.counted_by,
                cast(counted.counts ->> 'clip' as integer) as clip,
                cast(counted.counts ->> 't5' as integer) as t5,
                cast(counted.counts ->> 'gemma' as integer) as gemma,
                cast(counted.counts ->> 'qwen' as integer) as qwen,
                cast(counted.counts ->> 'nano' as integer) as nano
            from (select distinct image_id from changed) as touched
            left join caption on caption.image_id = touched.image_id and caption.kind = 'long'
                and caption.superseded_at is null
            left join caption_lint as linted on linted.image_id = touched.image_id
            left join lettering on lettering.image_id = touched.image_id
            left join image on image.id = touched.image_id
            left join caption_tokens as counted on counted.caption_id = caption.id
        ) as fresh
        where photo_index.image_id = fresh.image_id and
            (photo_index.captioned_by, photo_index.captioned_at, photo_index.author_id, photo_index.caption_characters,
            photo_index.caption_words, photo_index.kinds, photo_index.lints, photo_index.tokens_clip,
            photo_index.tokens_t5, photo_index.tokens_gemma, photo_index.tokens_qwen, photo_index.tokens_nano,
            photo_index.tokens_by) is distinct from
            (fresh.captioned_by, fresh.captioned_at, fresh.author_id, fresh.characters, fresh.words, fresh.kinds,
            fresh.lints, fresh.clip, fresh.t5, fresh.gemma, fresh.qwen, fresh.nano, fresh.counted_by);
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
        update photo_text set of_caption = search_words(E'\x1f ' || coalesce(fresh.text, '')),
            caption_id = fresh.caption_id
        from (
            select touched.image_id, coalesce(caption.id, 0) as caption_id, caption.text
            from (select distinct image_id from changed where kind = 'long') as touched
            left join caption on caption.image_id = touched.image_id and caption.kind = 'long'
                and caption.superseded_at is null
        ) as fresh
        where photo_text.image_id = fresh.image_id and photo_text.caption_id is distinct from fresh.caption_id"""


def upgrade() -> None:
    _make("plpgsql", WORDS_AFTER, CAPTION_AFTER)


def downgrade() -> None:
    _make("sql", WORDS_BEFORE, CAPTION_BEFORE)


def _make(language: str, words: str, caption: str) -> None:
    driver = op.get_bind()
    driver.exec_driver_sql(
        "create or replace function search_words(t text) returns tsvector "
        f"language {language} immutable strict parallel safe as $$ {words} $$"
    )
    driver.exec_driver_sql(
        "create or replace function keep_photo_index_of_caption() returns trigger language plpgsql as "
        f"$$ begin {caption}; return null; end $$"
    )
