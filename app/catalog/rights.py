"""Whose a photo is and what may be done with it: source, licence, credit and opt-out, as tables of photos tell them.

They stay among a photo's further columns (`Image.extra`), under whatever names they came; two SQL functions read them
from there into columns of their own, so that a corrected table, a web server's header and photos taken in long ago all
count, whoever writes them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection, MetaData, event

from app.database import Base

# What tables of shops, of LAION's kind and of model hubs call each, the likeliest first.
SOURCES: Final = (
    "source_url", "page_url", "url", "image_url", "image_link", "picture_url", "photo_url", "link", "source", "origin",
)  # fmt: skip
LICENCES: Final = ("licence", "license", "licence_url", "license_url", "rights", "usage_rights", "usage_terms")
CREDITS: Final = (
    "credit", "credits", "credit_line", "attribution", "author", "creator", "photographer", "artist", "copyright",
)  # fmt: skip
# A column that says so by a word like "yes"; the Robots tag says so by its own words.
OPT_OUTS: Final = (
    "opt_out", "optout", "opted_out", "ai_opt_out", "training_opt_out", "no_ai", "noai", "noimageai", "do_not_train",
    "tdm_reservation", "tdm_opt_out",
)  # fmt: skip
ROBOTS: Final = ("x_robots_tag", "robots", "robots_tag")
# What a photo's server says in headers of these names no table takes back.
_OF_SERVERS: Final = ("tdm_reservation", "x_robots_tag")
# What a column of `OPT_OUTS` holds where nobody opted out.
_NOT_OPTED_OUT: Final = ("false", "0", "0.0", "no", "n", "f", "off", "none", "null", "nan", "n/a", "in", "opt-in", "-")
_NO_TRAINING: Final = "(^|[^a-z])(noai|noimageai)([^a-z]|$)"
MAX_CHARACTERS: Final = 2_000


def _names(columns: tuple[str, ...]) -> str:
    return "array[" + ", ".join(f"'{column}'" for column in columns) + "]"


_HEADING: Final = r"regexp_replace(lower(btrim(said.key) collate pg_c_utf8), '[\s_-]+', '_', 'g')"
_EACH: Final = (
    "from jsonb_each_text(case when jsonb_typeof(extra) = 'object' then extra else '{}' end) as said (key, value)"
)


def _function(head: str, body: str) -> str:
    return f"create or replace function {head} returns text language sql immutable parallel safe as $$ {body} $$"


FUNCTIONS: Final[dict[str, str]] = {
    "said_of_rights": _function(
        "said_of_rights(extra jsonb, columns text[])",
        f"select left(btrim(said.value), {MAX_CHARACTERS}) {_EACH} "
        f"where {_HEADING} = any (columns) and btrim(said.value) <> '' "
        f"order by array_position(columns, {_HEADING}), said.key limit 1",
    ),
    "is_opted_out": _function(
        "is_opted_out(extra jsonb)",
        f"select case when exists (select {_EACH} where ({_HEADING} = any ({_names(OPT_OUTS)}) "
        f"and btrim(said.value) <> '' and lower(btrim(said.value)) <> all ({_names(_NOT_OPTED_OUT)})) "
        f"or ({_HEADING} = any ({_names(ROBOTS)}) and lower(said.value) ~ '{_NO_TRAINING}')) then 'yes' else 'no' end",
    ),
}
SOURCE: Final = (
    f"coalesce(said_of_rights(extra, {_names(SOURCES)}), case when file_name ~* '^https?://' then file_name end)"
)
LICENCE: Final = f"said_of_rights(extra, {_names(LICENCES)})"
CREDIT: Final = f"said_of_rights(extra, {_names(CREDITS)})"
OPT_OUT: Final = "is_opted_out(extra)"


def _heading_of(column: str) -> str:
    return re.sub(r"[\s_-]+", "_", column.strip().lower())


def is_of_rights(column: str) -> bool:
    """Whether a column says whose a photo is or what may be done with it."""
    return _heading_of(column) in {*SOURCES, *LICENCES, *CREDITS, *OPT_OUTS, *ROBOTS}


def replaced(extra: Mapping[str, Any], said: Mapping[str, Any]) -> list[str]:
    """The columns of a photo that a newer row takes the place of, for it says the same in a column of another name.

    That is a column in other letters, one of the same right that would be read before the row's, and an opt-out.
    """
    own = {_heading_of(column) for column in said}
    outdated = set(own)
    for columns in (SOURCES, LICENCES, CREDITS):
        outdated |= set(columns[: min((columns.index(heading) for heading in own if heading in columns), default=0)])
    if own.intersection(OPT_OUTS):
        outdated |= set(OPT_OUTS)
    outdated -= set(_OF_SERVERS) - own
    return [column for column in extra if column not in said and _heading_of(column) in outdated]


def opt_out_said(extra: Mapping[str, Any]) -> str:
    """The columns and words that a photo's opt-out is known by: "opt_out: yes"; empty where there is none."""
    said = []
    for column, value in extra.items():
        heading, text = _heading_of(column), str(value).strip()
        is_robots = heading in ROBOTS and re.search(_NO_TRAINING, text.lower())
        if is_robots or (heading in OPT_OUTS and text and text.lower() not in _NOT_OPTED_OUT):
            said.append(f"{column.strip()}: {text}")
    return "; ".join(said)


def _make_functions(_metadata: MetaData, connection: Connection, **_: object) -> None:
    for statement in FUNCTIONS.values():
        connection.exec_driver_sql(statement)


event.listen(Base.metadata, "before_create", _make_functions)
