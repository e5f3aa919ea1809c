r"""When two texts are the same to people: in any letter case, with letters composed or not, with accents or without.

Three keys, each an SQL function of ours, so that tables and indexes hold them and no writer can forget one:

- `label_key`: equal for labels that differ only in letter case, composition, width or spaces: "Möbel" and "MÖBEL ".
- `search_text`: that and without accents, for finding: "creme" is in "Crème".
- `name_key`: `search_text` with numbers (of up to 20 digits) that sort by their value: "p2" before "p10".

`search_words` makes words of a text, with their places, and `search_query` the question for what was typed. Writing
without spaces (Chinese, Japanese, Korean, Thai and their neighbours) is parted character by character, so that a word
inside a longer run is found. Signs are kept beside the words. Those that mean something (`%`, `+`, `#`, `€`) stand at
the places of the words around them, so that "100%" finds neither "100 wool" nor "5 % of 100"; punctuation only parts
words, for people write "T-shirt" and "T shirt" for one thing. `APART` between two texts parts their phrases too.

PostgreSQL's own collations do not serve: the server in the wheel has no ICU, and what a C library's collation sorts
changes with the machine. `pg_c_utf8` (PostgreSQL 17) has Unicode's letter cases and is the same everywhere.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from sqlalchemy import Connection, MetaData, event

from app.database import Base

# What is not seen at all: soft hyphens, joiners, marks of direction, variation selectors, tags.
_HIDDEN: Final = r"\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\U000e0000-\U000e01ef"
HIDDEN: Final = f"[{_HIDDEN}]"
# That, accents of all scripts that write words without them too, the long line in Arabic words, and trade marks.
UNSEEN: Final = (
    rf"[{_HIDDEN}\u0300-\u036f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670"
    r"\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f\u2120\u2122]"
)
# Signs that mean something by themselves. Hyphens, apostrophes, brackets and stops part words, and an asterisk behind
# one is how other searches ask for its beginning.
SIGNS: Final = (
    r"#$\u0025&+<=>@^|~\u00a2-\u00a9\u00ac\u00ae-\u00b1\u00b6\u00d7\u00f7\u2020-\u2022\u2030\u2031\u20a0-\u20cf"
    r"\u2190-\u2bff\U0001f000-\U0001faff"
)
APART: Final = r"\x1f"
_UNSPACED: Final = (
    r"([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff])"
)
# Letters that Unicode does not take apart, as people type them without their language's keyboard.
_PLAINER: Final = "translate({}, 'øđłıħŧς', 'odlihtσ')"
_LONGER: Final = (("ß", "ss"), ("æ", "ae"), ("œ", "oe"), ("þ", "th"))
_DIGITS: Final = 20
_NAME_CHARACTERS: Final = 500  # of a name that sort: an index takes rows of 2.7 kB


def label_key(label: str) -> str:
    """What `label` has in common with labels that people take for the same; the SQL function in Python."""
    seen = re.sub(HIDDEN, "", _composed(label))
    small = "".join(letter.lower() if len(letter.lower()) == 1 else letter for letter in seen)
    return re.sub(r"[^\S\x1c-\x1f]+", " ", small.replace("ß", "ss").replace("ς", "σ").replace("İ", "i")).strip(" ")


def is_unseen(text: str) -> bool:
    """Whether nothing of a text is left to look for."""
    seen = re.sub(UNSEEN, "", unicodedata.normalize("NFKD", text))
    return all(letter.isspace() or unicodedata.category(letter) in ("Cc", "Cf") for letter in seen)


def _composed(text: str) -> str:
    return unicodedata.normalize("NFKC", text)


def _function(name: str, returns: str, body: str, language: str = "sql") -> str:
    # A body calls none of ours by name: a dump is restored without the schema that they are in.
    return (
        f"create or replace function {name}(t text) returns {returns} "
        f"language {language} immutable strict parallel safe as $$ {body} $$"
    )


def _search_text() -> str:
    # Trade marks go before they become letters: "Kettle™" is the word "kettle".
    text = rf"regexp_replace(normalize(regexp_replace(t, '[\u2120\u2122]', '', 'g'), NFKD), '{UNSEEN}', '', 'g')"
    text = f"lower({text} collate pg_c_utf8)"
    for letter, letters in _LONGER:
        text = f"replace({text}, '{letter}', '{letters}')"
    return f"normalize({_PLAINER.format(text)}, NFKC)"


def _name_key() -> str:
    longer = f"regexp_replace({_search_text()}, '([0-9]+)', '{'0' * _DIGITS}\\1', 'g')"
    return f"left(regexp_replace({longer}, '0+([0-9]{{{_DIGITS},}})', '\\1', 'g'), {_NAME_CHARACTERS})"


# The words of a text with their places, and its signs with the number of words before them. A tsvector takes words of
# 2 kB, and counts places to 16,383.
_PARTED: Final = (
    r"""
    with said as (select regexp_replace(TEXT, 'UNSPACED', ' \1 ', 'g') as text),
    part as (
        select parts[1] as word, replace(replace(parts[2], '\', '\\'), '''', '''''') as sign,
            count(*) filter (where parts[2] is null) over (order by number) as place
        from said, regexp_matches(said.text, '([[:alnum:]]+)|([^[:alnum:][:space:][:cntrl:]])|APART', 'g')
            with ordinality as parted (parts, number)
    ),
    word as (select left(word, 200) as word, least(place, 16382) as place from part where word is not null),
    sign as (select sign, least(place, 16382) as place, sign ~ '[SIGNS]' as is_told from part where sign is not null)
    """.replace("TEXT", _search_text())
    .replace("UNSPACED", _UNSPACED)
    .replace("APART", APART)
    .replace("SIGNS", SIGNS)
)
_WORDS: Final = """
    select coalesce(string_agg(lexeme, ' '), '')::tsvector from (
        select '''' || word || ''':' || place from word
        union all select distinct '''' || sign || '''' from sign
        union all
        select distinct '''' || sign || ''':' || greatest(place, 1) || ',' || place + 1 from sign where is_told
    ) as lexemes (lexeme)"""
# Texts of ASCII letters, digits and punctuation that only parts words, as most captions are, by PostgreSQL's own
# parser, which takes a fifth of the time. That it gives the same is why some go the long way: it reads "1e5red" as two
# words, a vector keeps no more than 255 places of a word, and words are cut at 200 letters.
_PARTING: Final = r"""!"''()*,./:;?\[\]\\_`{}-"""
_PLAIN_FIRST: Final = rf"""
    begin
        if length(t) <= 500 and t ~ '^[\x09\x0a\x0d{APART} 0-9A-Za-z{_PARTING}]*$' and t !~ '[0-9][Ee]'
            and (length(t) <= 200 or t !~ '[0-9A-Za-z]{{201}}')
        then
            return array_to_tsvector(string_to_array(regexp_replace(t, '[^{_PARTING}]+', '', 'g'), null))
                || ts_delete(to_tsvector('pg_catalog.simple',
                    regexp_replace(replace(t, E'{APART}', ' ÿ '), '[{_PARTING}]', ' ', 'g')), 'ÿ');
        end if;
        return ({_PARTED + _WORDS});
    end"""
# The last word may go on, unless a sign ends it.
_QUERY: Final = """
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

FUNCTIONS: Final[dict[str, str]] = {
    "label_key": _function(
        "label_key", "text",
        "select btrim(regexp_replace(replace(replace(lower(regexp_replace("
        f"normalize(t, NFKC), '{HIDDEN}', '', 'g') collate pg_c_utf8), 'ß', 'ss'), 'ς', 'σ'), "
        r"'\s+', ' ', 'g'))",
    ),
    "search_text": _function("search_text", "text", f"select {_search_text()}"),
    "name_key": _function("name_key", "text", f"select {_name_key()}"),
    "search_words": _function("search_words", "tsvector", _PLAIN_FIRST, "plpgsql"),
    "search_query": _function("search_query", "tsquery", _PARTED + _QUERY),
}  # fmt: skip


def _make_functions(_metadata: MetaData, connection: Connection, **_: object) -> None:
    for statement in FUNCTIONS.values():
        connection.exec_driver_sql(statement)


event.listen(Base.metadata, "before_create", _make_functions)
