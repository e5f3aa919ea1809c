"""note photos that leave a catalog for another one, as removed ones do that a version holds"""

from collections.abc import Sequence

from alembic import op

revision: str = "c4e81a70d3f9"
down_revision: str | None = "a71c3e05d9f4"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply this step."""
    op.execute("""
        create or replace function note_leaving_of_image() returns trigger language plpgsql as $$ begin
            insert into photo_change (catalog_id, image_ids) select earlier.catalog_id, array_agg(earlier.id)
            from earlier join changed on changed.id = earlier.id where earlier.catalog_id <> changed.catalog_id group by 1;
            return null; end $$""")
    op.execute("""
        create or replace trigger note_leaving after update on image
        referencing old table as earlier new table as changed
        for each statement execute function note_leaving_of_image()""")


def downgrade() -> None:
    """Take it back."""
    op.execute("drop trigger note_leaving on image")
    op.execute("drop function note_leaving_of_image()")
