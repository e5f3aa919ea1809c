"""let the photo index follow a map without a copy of the whole map for each of its photos"""

from collections.abc import Sequence

from alembic import op

revision: str = "7d1f30c2a9be"
down_revision: str | None = "b7d2419f60ce"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

PHOTO_MAP = """
        with of as materialized (select distinct catalog_id from changed),
        told as materialized (
            select each.image_id, each.apart from changed
            cross join lateral unnest(changed.image_ids, changed.apart) as each (image_id, apart)
        )
        update photo_index set apart = fresh.apart
        from (
            select own.image_id, told.apart from photo_index as own
            left join told on told.image_id = own.image_id
            where own.catalog_id in (select catalog_id from of)
        ) as fresh
        where photo_index.image_id = fresh.image_id and photo_index.apart is distinct from fresh.apart"""
BEFORE = """
        update photo_index set apart = fresh.apart
        from (
            select own.image_id, told.apart from photo_index as own
            left join (
                select each.image_id, each.apart from changed
                cross join lateral unnest(changed.image_ids, changed.apart) as each (image_id, apart)
            ) as told on told.image_id = own.image_id
            where own.catalog_id in (select catalog_id from changed)
        ) as fresh
        where photo_index.image_id = fresh.image_id and photo_index.apart is distinct from fresh.apart"""


def upgrade() -> None:
    """Apply this step."""
    _keep(PHOTO_MAP)


def downgrade() -> None:
    """Undo this step."""
    _keep(BEFORE)


def _keep(body: str) -> None:
    """Put in how the photo index follows maps."""
    op.get_bind().exec_driver_sql(
        "create or replace function keep_photo_index_of_photo_map() returns trigger language plpgsql as "
        f"$$ begin {body}; return null; end $$"
    )
