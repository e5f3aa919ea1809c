"""note which photos each statement changes, so that columns in memory can follow"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "b4d81f6a20c7"
down_revision: str | None = "c88590ecab96"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

OWN = "insert into photo_change (catalog_id, image_ids) select catalog_id, array_agg({}) from changed group by 1"
BODIES = {
    "image": (OWN.format("id"), ("insert", "update", "delete")),
    "photo_index": (OWN.format("image_id"), ("update",)),
    "photo_text": (
        "insert into photo_change (catalog_id, image_ids) select photo_index.catalog_id, array_agg(changed.image_id) "
        "from changed join photo_index on photo_index.image_id = changed.image_id group by 1",
        ("update",),
    ),
}


def upgrade() -> None:
    """Apply this step."""
    op.create_table(
        "photo_change",
        sa.Column("id", sa.BigInteger(), sa.Identity(), primary_key=True),
        sa.Column("catalog_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "xact", sa.BigInteger(), server_default=sa.text("pg_current_xact_id()::text::bigint"), nullable=False
        ),
        sa.Column(
            "noted_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
            index=True,
        ),
        sa.Column("image_ids", postgresql.ARRAY(sa.BigInteger()), nullable=False),
    )
    op.create_index("ix_photo_change_catalog_id_xact", "photo_change", ["catalog_id", "xact"])
    for source, (body, events) in BODIES.items():
        op.execute(
            f"create or replace function note_change_of_{source}() returns trigger language plpgsql as "
            f"$$ begin {body}; return null; end $$"
        )
        for event in events:
            op.execute(
                f"create or replace trigger note_change_{event} after {event} on {source} "
                f"referencing {'old' if event == 'delete' else 'new'} table as changed "
                f"for each statement execute function note_change_of_{source}()"
            )


def downgrade() -> None:
    """Take it back."""
    for source, (_, events) in BODIES.items():
        for event in events:
            op.execute(f"drop trigger note_change_{event} on {source}")
        op.execute(f"drop function note_change_of_{source}()")
    op.drop_table("photo_change")
