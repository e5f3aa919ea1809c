"""Begin urgent jobs first, and tell prices and watermarks from other text in photos."""

from __future__ import annotations

from collections.abc import Sequence

from alembic import op

revision: str = "c88590ecab96"
down_revision: str | None = "b7a3d90c51e4"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

LATER = "'photos.group', 'photos.embed', 'photos.encode', 'photos.map', 'photos.read_text'"

FOLLOW = """
create or replace function keep_photo_index_of_lettering() returns trigger language plpgsql as $$ begin
    update photo_index set lettering = coalesce(lettering.place, 'not read')
    from (select distinct image_id from changed) as touched
    left join lettering on lettering.image_id = touched.image_id
    where photo_index.image_id = touched.image_id
        and photo_index.lettering is distinct from coalesce(lettering.place, 'not read');
    update photo_text set of_picture = fresh.words{kept}
    from (
        select touched.image_id, {read}search_words(
            E'\\x1f ' || replace(coalesce(lettering.words, ''), E'\\n', E' \\x1f ')) as words
        from (select distinct image_id from changed) as touched
        left join lettering on lettering.image_id = touched.image_id
    ) as fresh
    where photo_text.image_id = fresh.image_id and {differs}; return null; end $$
"""
WITH_KINDS = {
    "kept": ", kinds = fresh.kinds",
    "read": "coalesce(lettering.kinds, '{}') as kinds, ",
    "differs": "(photo_text.of_picture, photo_text.kinds) is distinct from (fresh.words, fresh.kinds)",
}
WITHOUT = {"kept": "", "read": "", "differs": "photo_text.of_picture is distinct from fresh.words"}


def upgrade() -> None:
    op.execute("alter table job add column urgency smallint not null default 3")
    op.execute(f"update job set urgency = 9 where kind in ({LATER}) and state in ('queued', 'running')")
    op.execute("drop index ix_job_waiting")
    op.execute("create index ix_job_waiting on job (queue, urgency, id) where state = 'queued'")
    for table in ("lettering", "photo_text"):
        op.execute(f"alter table {table} add column kinds text[] not null default '{{}}'")
    op.execute(FOLLOW.format(**WITH_KINDS))


def downgrade() -> None:
    op.execute(FOLLOW.format(**WITHOUT))
    for table in ("lettering", "photo_text"):
        op.execute(f"alter table {table} drop column kinds")
    op.execute("drop index ix_job_waiting")
    op.execute("create index ix_job_waiting on job (queue, id) where state = 'queued'")
    op.execute("alter table job drop column urgency")
