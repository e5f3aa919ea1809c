"""Which photos look alike, as SQL: the function by which a filter asks for a photo's neighbours.

Distances are cosine distances between vectors of one space. Up to some 100,000 photos each search looks at all of them;
beyond that an HNSW index does (`EmbeddingSpace.is_indexed`), whose neighbours are nearly the nearest ones. Photos that
are as near but for the last digits come in the order of their numbers, the same every time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import BigInteger, ColumnElement, Connection, MetaData, TableValuedAlias, cast, event, func
from sqlalchemy.dialects.postgresql import ARRAY

from app.database import Base

# More like these, not like those: the middle of the ones, taken twice, less the middle of the others (Rocchio 1971, in
# whose experiments what is wanted counts for more than what is not).
NEAREST_PHOTOS: Final = """
create or replace function nearest_photos(
    of_catalog bigint, wanted bigint[], unwanted bigint[], looks text, at_most integer
) returns setof bigint language plpgsql stable as $$
declare
    space embedding_space;
    aim halfvec;
    away halfvec;
begin
    if looks is null then
        select embedding_space.* into space from embedding join embedding_space on embedding_space.id = space_id
            where image_id = any(wanted) order by space_id desc limit 1;
        select l2_normalize(avg(vector)::halfvec) into aim from embedding
            where image_id = any(wanted) and space_id = space.id;
        select l2_normalize(avg(vector)::halfvec) into away from embedding
            where image_id = any(unwanted) and space_id = space.id;
        if away is not null then
            aim := l2_normalize(aim + aim - away);
        end if;
    else
        select embedding_space.* into space from embedded_phrase
            join embedding_space on embedding_space.id = space_id
            where phrase = looks order by space_id desc limit 1;
        select vector into aim from embedded_phrase where phrase = looks and space_id = space.id;
    end if;
    if aim is null then
        return;
    end if;
    if not space.is_indexed then
        return query select image_id from embedding where catalog_id = of_catalog and space_id = space.id
            order by round((vector <=> aim) * 100000), image_id limit at_most;
        return;
    end if;
    perform set_config('hnsw.iterative_scan', 'strict_order', true);
    perform set_config('hnsw.ef_search', '200', true);
    return query execute
        'select image_id from embedding where catalog_id = $1 and space_id = ' || space.id
        || ' order by vector::halfvec(' || space.dimensions || ') <=> $2::halfvec(' || space.dimensions || ') limit $3'
        using of_catalog, aim, at_most;
end $$"""


def nearest_photos(
    catalog_id: int, wanted: Any, unwanted: Sequence[int] = (), looks: str | None = None, at_most: int = 1
) -> TableValuedAlias:
    """The call in a statement: a table of one column, `image_id`, the nearest first. `wanted` are numbers of photos, or
    an array of them that the statement has."""
    numbers = ARRAY(BigInteger)
    asked = cast(wanted if isinstance(wanted, ColumnElement) else list(wanted), numbers)
    call = func.nearest_photos(catalog_id, asked, cast(list(unwanted), numbers), looks, at_most)
    return call.table_valued("image_id").render_derived()


FUNCTIONS: Final = {"nearest_photos": NEAREST_PHOTOS}


def _make_extension(_metadata: MetaData, connection: Connection, **_: object) -> None:
    connection.exec_driver_sql("create extension if not exists vector")


def _make_functions(_metadata: MetaData, connection: Connection, **_: object) -> None:
    # Two vectors stand in one page, where PostgreSQL would put each into another table and read it piece by piece.
    connection.exec_driver_sql("alter table embedding alter column vector set storage plain")
    connection.exec_driver_sql(NEAREST_PHOTOS)


event.listen(Base.metadata, "before_create", _make_extension)
event.listen(Base.metadata, "after_create", _make_functions)
