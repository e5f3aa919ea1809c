"""Which photos look alike, as SQL: the functions by which a filter asks for a photo's neighbours.

Distances are cosine distances between vectors of one space. In a space that has codes (`look_codes`), the `LOOKED_AT`
photos whose codes differ least from what is looked for are put in order by their vectors; in others all photos are.
Photos that are as near but for the last digits come in the order of their numbers, the same every time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import BigInteger, ColumnElement, Connection, MetaData, TableValuedAlias, cast, event, func
from sqlalchemy.dialects.postgresql import ARRAY

from app.database import Base

LOOKED_AT: Final = 2_000
"""How many photos, found by their codes, are put in order by their vectors; as `NEAREST_PHOTOS` says too."""

# More like these, not like those: the middle of the ones, taken twice, less the middle of the others (Rocchio 1971, in
# whose experiments what is wanted counts for more than what is not).
LOOK_AIM: Final = """
create or replace function look_aim(
    wanted bigint[], unwanted bigint[], looks text,
    out aim_space bigint, out aim halfvec, out aim_code bit
) language plpgsql stable as $$
declare
    away halfvec;
begin
    if looks is null then
        select space_id into aim_space from embedding where image_id = any(wanted) order by space_id desc limit 1;
        select l2_normalize(avg(vector)::halfvec) into aim from embedding
            where image_id = any(wanted) and space_id = aim_space;
        select l2_normalize(avg(vector)::halfvec) into away from embedding
            where image_id = any(unwanted) and space_id = aim_space;
        if away is not null then
            aim := l2_normalize(aim + aim - away);
        end if;
    else
        select space_id, vector into aim_space, aim from embedded_phrase
            where phrase = looks order by space_id desc limit 1;
    end if;
    select string_agg(case when -(axis <#> aim) > bound then '1' else '0' end, '' order by number)::bit(512)
        into aim_code from look_axis where space_id = aim_space;
end $$"""
NEAREST_PHOTOS: Final = """
create or replace function nearest_photos(
    of_catalog bigint, wanted bigint[], unwanted bigint[], looks text, at_most integer
) returns setof bigint language plpgsql stable as $$
declare
    sought record;
begin
    select * into sought from look_aim(wanted, unwanted, looks);
    if sought.aim is null then
        return;
    end if;
    if sought.aim_code is null then
        return query select image_id from embedding where catalog_id = of_catalog and space_id = sought.aim_space
            order by round((vector <=> sought.aim) * 100000), image_id limit at_most;
        return;
    end if;
    return query select few.image_id from (
            select look_code.image_id from look_code
            where catalog_id = of_catalog and space_id = sought.aim_space and code is not null
            order by code <~> sought.aim_code, look_code.image_id limit 2000
        ) as few join embedding on embedding.image_id = few.image_id
        where embedding.space_id = sought.aim_space
        order by round((vector <=> sought.aim) * 100000), few.image_id limit at_most;
end $$"""

# A photo that is mended or hidden loses its vector; whoever has read its code has to hear of it.
FORGET_LOOK_CODES: Final = """
create or replace function forget_look_codes() returns trigger language plpgsql as $$
begin
    update look_code set code = null, xact = pg_current_xact_id()::text::bigint
        where image_id in (select image_id from gone);
    return null;
end $$"""
_FORGETS: Final = """
create or replace trigger forget_look_codes after delete on embedding
referencing old table as gone for each statement execute function forget_look_codes()"""


def nearest_photos(
    catalog_id: int, wanted: Any, unwanted: Sequence[int] = (), looks: str | None = None, at_most: int = 1
) -> TableValuedAlias:
    """The call in a statement: a table of one column, `image_id`, the nearest first. `wanted` are numbers of photos, or
    an array of them that the statement has."""
    numbers = ARRAY(BigInteger)
    asked = cast(wanted if isinstance(wanted, ColumnElement) else list(wanted), numbers)
    call = func.nearest_photos(catalog_id, asked, cast(list(unwanted), numbers), looks, at_most)
    return call.table_valued("image_id").render_derived()


def look_aim(wanted: Sequence[int], unwanted: Sequence[int] = (), looks: str | None = None) -> TableValuedAlias:
    """What is looked for, as a row: `aim_space`, `aim`, and `aim_code`, null in a space without codes."""
    numbers = ARRAY(BigInteger)
    call = func.look_aim(cast(list(wanted), numbers), cast(list(unwanted), numbers), looks)
    return call.table_valued("aim_space", "aim", "aim_code").render_derived()


FUNCTIONS: Final = {"look_aim": LOOK_AIM, "nearest_photos": NEAREST_PHOTOS, "forget_look_codes": FORGET_LOOK_CODES}


def _make_extension(_metadata: MetaData, connection: Connection, **_: object) -> None:
    connection.exec_driver_sql("create extension if not exists vector")


def _make_functions(_metadata: MetaData, connection: Connection, **_: object) -> None:
    # Two vectors stand in one page, where PostgreSQL would put each into another table and read it piece by piece.
    for table, column in (("embedding", "vector"), ("look_axis", "axis")):
        connection.exec_driver_sql(f"alter table {table} alter column {column} set storage plain")
    for statement in (*FUNCTIONS.values(), _FORGETS):
        connection.exec_driver_sql(statement)


event.listen(Base.metadata, "before_create", _make_extension)
event.listen(Base.metadata, "after_create", _make_functions)
