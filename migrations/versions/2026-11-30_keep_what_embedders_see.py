"""keep what embedders see of photos, and maps of them"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "8d3f61b2a7c4"
down_revision: str | None = "e3a91c5d70b4"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

NEAREST_PHOTOS = """
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
    op.execute("create extension if not exists vector")
    op.create_table(
        "embedding_space",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("revision", sa.Text(), nullable=False),
        sa.Column("preprocessing", sa.Text(), nullable=False),
        sa.Column("dimensions", sa.Integer(), nullable=False),
        sa.Column("reads_words", sa.Boolean(), nullable=False),
        sa.Column("is_indexed", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_embedding_space"),
        sa.UniqueConstraint(
            "model", "revision", "preprocessing", name="uq_embedding_space_model_revision_preprocessing"
        ),
    )
    # The type is the extension's, which SQLAlchemy does not know by itself.
    op.execute(
        """
        create table embedding (
            image_id bigint not null constraint pk_embedding primary key
                constraint fk_embedding_image_id_image references image (id) on delete cascade,
            catalog_id bigint not null,
            space_id bigint not null
                constraint fk_embedding_space_id_embedding_space references embedding_space (id),
            vector halfvec not null,
            made_at timestamp with time zone not null
        )"""
    )
    op.execute("alter table embedding alter column vector set storage plain")
    op.create_index("ix_embedding_catalog_id_space_id", "embedding", ["catalog_id", "space_id"])
    op.execute(
        """
        create table embedded_phrase (
            space_id bigint not null constraint fk_embedded_phrase_space_id_embedding_space
                references embedding_space (id) on delete cascade,
            phrase text not null,
            vector halfvec not null,
            made_at timestamp with time zone not null,
            constraint pk_embedded_phrase primary key (space_id, phrase)
        )"""
    )
    op.create_table(
        "photo_map",
        sa.Column("catalog_id", sa.BigInteger(), nullable=False),
        sa.Column("space_id", sa.BigInteger(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("took_s", sa.Float(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("seed", sa.Integer(), nullable=False),
        sa.Column("photos", sa.Integer(), nullable=False),
        sa.Column("neighbours", sa.Integer(), nullable=False),
        sa.Column("neighbours_kept", sa.Float(), nullable=False),
        sa.Column("same_kind", sa.Float(), nullable=True),
        sa.Column("categorised", sa.Integer(), nullable=False),
        sa.Column("image_ids", postgresql.ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("points", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["catalog_id"], ["catalog.id"], name="fk_photo_map_catalog_id_catalog", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["space_id"], ["embedding_space.id"], name="fk_photo_map_space_id_embedding_space"),
        sa.PrimaryKeyConstraint("catalog_id", name="pk_photo_map"),
    )
    op.create_table(
        "map_set",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("catalog_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("image_ids", postgresql.ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("centre_id", sa.BigInteger(), nullable=True),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("kind in ('lasso','cluster','far')", name="ck_map_set_kind"),
        sa.ForeignKeyConstraint(["catalog_id"], ["catalog.id"], name="fk_map_set_catalog_id_catalog", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name="fk_map_set_person_id_person"),
        sa.PrimaryKeyConstraint("id", name="pk_map_set"),
        sa.UniqueConstraint("catalog_id", "name", name="uq_map_set_catalog_id_name"),
    )
    op.execute(NEAREST_PHOTOS)


def downgrade() -> None:
    """Undo this step."""
    op.execute("drop function nearest_photos")
    for table in ("map_set", "photo_map", "embedded_phrase", "embedding", "embedding_space"):
        op.drop_table(table)
