"""find photos that look alike by codes, in place of an index that other keys of a filter do not reach"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "7c05e9a1d384"
down_revision: str | None = "4f16bd0aa091"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

LOOK_AIM = """
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
NEAREST_PHOTOS = """
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
FORGET_LOOK_CODES = """
create or replace function forget_look_codes() returns trigger language plpgsql as $$
begin
    update look_code set code = null, xact = pg_current_xact_id()::text::bigint
        where image_id in (select image_id from gone);
    return null;
end $$"""
# As it was before.
BY_INDEX = """
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


def upgrade() -> None:
    """Apply this step."""
    op.execute(
        """
        create table look_axis (
            space_id bigint not null constraint fk_look_axis_space_id_embedding_space
                references embedding_space (id) on delete cascade,
            number integer not null,
            axis halfvec not null,
            bound double precision not null,
            constraint pk_look_axis primary key (space_id, number)
        )"""
    )
    op.execute("alter table look_axis alter column axis set storage plain")
    op.execute(
        """
        create table look_code (
            image_id bigint not null constraint pk_look_code primary key
                constraint fk_look_code_image_id_image references image (id) on delete cascade,
            catalog_id bigint not null,
            space_id bigint not null,
            code bit(512),
            xact bigint not null default pg_current_xact_id()::text::bigint
        )"""
    )
    op.create_index("ix_look_code_catalog_id_xact", "look_code", ["catalog_id", "xact"])
    spaces = op.get_bind().scalars(sa.text("select id from embedding_space where is_indexed"))
    for space_id in spaces.all():
        op.execute(f"drop index if exists ix_embedding_near_{space_id}")
    op.drop_column("embedding_space", "is_indexed")
    op.add_column("embedding_space", sa.Column("coded_photos", sa.Integer(), nullable=False, server_default="0"))
    op.alter_column("embedding_space", "coded_photos", server_default=None)
    op.execute(LOOK_AIM)
    op.execute(NEAREST_PHOTOS)
    op.execute(FORGET_LOOK_CODES)
    op.execute(
        """
        create or replace trigger forget_look_codes after delete on embedding
        referencing old table as gone for each statement execute function forget_look_codes()"""
    )


def downgrade() -> None:
    """Take it back; indexes are made again when photos are next embedded."""
    op.execute("drop trigger forget_look_codes on embedding")
    op.execute("drop function forget_look_codes")
    op.drop_column("embedding_space", "coded_photos")
    op.add_column("embedding_space", sa.Column("is_indexed", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.drop_table("look_code")
    op.drop_table("look_axis")
    op.execute("drop function look_aim")
    op.execute(BY_INDEX)
