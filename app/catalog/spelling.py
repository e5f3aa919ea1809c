r"""When two texts are the same to people: in any letter case, with letters composed or not, with accents or without.

Three keys, each an SQL function of ours, so that tables and indexes hold them and no writer can forget one:

- `label_key`: equal for labels that differ only in letter case, composition, width or spaces: "Möbel" and "MÖBEL ".
- `search_text`: that and without accents, for finding: "creme" is in "Crème".
- `name_key`: `search_text` with numbers (of up to 20 digits) that sort by their value: "p2" before "p10".

`search_words` makes words of a text, with their places, and `search_query` the question for what was typed. Writing
without spaces (Chinese, Japanese, Korean, Thai and their neighbours) is parted character by character, so that a word
inside a longer run is found. A sign is kept beside the words: "100 %" and "Kettle & AB" ask for signs that are there.

PostgreSQL's own collations do not serve: the server in the wheel has no ICU, and what a C library's collation sorts
changes with the machine. `pg_c_utf8` (PostgreSQL 17) has Unicode's letter cases and is the same everywhere.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from sqlalchemy import Connection, MetaData, event

from app.database import Base

# Accents, and what is not seen at all: soft hyphens, joiners, variation selectors.
UNSEEN: Final = r"[\u0300-\u036f\u00ad\u200b-\u200d\u2060\ufe00-\ufe0f\ufeff]"
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
    small = "".join(letter.lower() if len(letter.lower()) == 1 else letter for letter in _composed(label))
    return re.sub(r"[^\S\x1c-\x1f]+", " ", small.replace("ß", "ss").replace("ς", "σ").replace("İ", "i")).strip(" ")


def is_unseen(text: str) -> bool:
    """Whether nothing of a text is left to look for."""
    seen = re.sub(UNSEEN, "", unicodedata.normalize("NFKD", text))
    return all(letter.isspace() or unicodedata.category(letter) in ("Cc", "Cf") for letter in seen)


def _composed(text: str) -> str:
    return unicodedata.normalize("NFKC", text)


def _function(name: str, returns: str, body: str) -> str:
    # A body calls none of ours by name: a dump is restored without the schema that they are in.
    return (
        f"create or replace function {name}(t text) returns {returns} language sql immutable strict parallel safe as "
        f"$$ {body} $$"
    )


def _search_text() -> str:
    text = f"lower(regexp_replace(normalize(t, NFKD), '{UNSEEN}', '', 'g') collate pg_c_utf8)"
    for letter, letters in _LONGER:
        text = f"replace({text}, '{letter}', '{letters}')"
    return f"normalize({_PLAINER.format(text)}, NFKC)"


def _name_key() -> str:
    longer = f"regexp_replace({_search_text()}, '([0-9]+)', '{'0' * _DIGITS}\\1', 'g')"
    return f"left(regexp_replace({longer}, '0+([0-9]{{{_DIGITS},}})', '\\1', 'g'), {_NAME_CHARACTERS})"


# Words of a text with their places, and its signs, each once and quoted as a lexeme. A tsvector takes words of 2 kB and
# counts places to 16,383.
_PARTED: Final = r"""
    with said as (select regexp_replace(TEXT, 'UNSPACED', ' \1 ', 'g') as text),
    word as (
        select left(word, 200) as word, place
        from said, regexp_split_to_table(said.text, '(\W|_)+') with ordinality as parted (word, place) where word <> ''
    ),
    sign as (
        select distinct replace(replace(found[1], '\', '\\'), '''', '''''') as sign
        from said, regexp_matches(said.text, '([^[:alnum:][:space:]])', 'g') as found
    )""".replace("TEXT", _search_text()).replace("UNSPACED", _UNSPACED)
_WORDS: Final = """
    select coalesce(string_agg(lexeme, ' '), '')::tsvector from (
        select '''' || word || ''':' || least(place, 16383) from word union all select '''' || sign || '''' from sign
    ) as lexemes (lexeme)"""
_QUERY: Final = """
    select coalesce(
        (select string_agg('''' || word || case place when last then ''':*' else '''' end, ' <-> ' order by place)
            from (select word, place, max(place) over () as last from word) as phrase),
        (select string_agg('''' || sign || '''', ' & ') from sign), ''
    )::tsquery"""

FUNCTIONS: Final[dict[str, str]] = {
    "label_key": _function(
        "label_key", "text",
        r"select btrim(regexp_replace(replace(replace(lower(normalize(t, NFKC) collate pg_c_utf8), 'ß', 'ss'), "
        r"'ς', 'σ'), '\s+', ' ', 'g'))",
    ),
    "search_text": _function("search_text", "text", f"select {_search_text()}"),
    "name_key": _function("name_key", "text", f"select {_name_key()}"),
    "search_words": _function("search_words", "tsvector", _PARTED + _WORDS),
    "search_query": _function("search_query", "tsquery", _PARTED + _QUERY),
}  # fmt: skip


def _make_functions(_metadata: MetaData, connection: Connection, **_: object) -> None:
    for statement in FUNCTIONS.values():
        connection.exec_driver_sql(statement)


event.listen(Base.metadata, "before_create", _make_functions)
