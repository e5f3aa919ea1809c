"""know whose a photo is: source, licence, credit and opt-out, read from what came with it"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "8d13f5a7c062"
down_revision: str | None = "e4b07d29c813"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# As they were when this migration was written: a migration imports no code that goes on changing.
FUNCTIONS = (
    "create or replace function said_of_rights(extra jsonb, columns text[]) returns text language sql immutable parallel safe as $$ select left(btrim(said.value), 2000) from jsonb_each_text(case when jsonb_typeof(extra) = 'object' then extra else '{}' end) as said (key, value) where regexp_replace(lower(btrim(said.key) collate pg_c_utf8), '[\\s_-]+', '_', 'g') = any (columns) and btrim(said.value) <> '' order by array_position(columns, regexp_replace(lower(btrim(said.key) collate pg_c_utf8), '[\\s_-]+', '_', 'g')), said.key limit 1 $$",
    "create or replace function is_opted_out(extra jsonb) returns text language sql immutable parallel safe as $$ select case when exists (select from jsonb_each_text(case when jsonb_typeof(extra) = 'object' then extra else '{}' end) as said (key, value) where (regexp_replace(lower(btrim(said.key) collate pg_c_utf8), '[\\s_-]+', '_', 'g') = any (array['opt_out', 'optout', 'opted_out', 'ai_opt_out', 'training_opt_out', 'no_ai', 'noai', 'noimageai', 'do_not_train', 'tdm_reservation', 'tdm_opt_out']) and btrim(said.value) <> '' and lower(btrim(said.value)) <> all (array['false', '0', '0.0', 'no', 'n', 'f', 'off', 'none', 'null', 'nan', 'n/a', 'in', 'opt-in', '-'])) or (regexp_replace(lower(btrim(said.key) collate pg_c_utf8), '[\\s_-]+', '_', 'g') = any (array['x_robots_tag', 'robots', 'robots_tag']) and lower(said.value) ~ '(^|[^a-z])(noai|noimageai)([^a-z]|$)')) then 'yes' else 'no' end $$",
)
SOURCE = "coalesce(said_of_rights(extra, array['source_url', 'page_url', 'url', 'image_url', 'image_link', 'picture_url', 'photo_url', 'link', 'source', 'origin']), case when file_name ~* '^https?://' then file_name end)"
LICENCE = "said_of_rights(extra, array['licence', 'license', 'licence_url', 'license_url', 'rights', 'usage_rights', 'usage_terms'])"
CREDIT = "said_of_rights(extra, array['credit', 'credits', 'credit_line', 'attribution', 'author', 'creator', 'photographer', 'artist', 'copyright'])"


def upgrade() -> None:
    """Apply this step."""
    for statement in FUNCTIONS:
        op.execute(sa.text(statement.replace(":", "\\:")))
    # One rewrite of the table for all of them.
    op.execute(
        sa.text(
            f"""alter table image
            add column source text generated always as ({SOURCE}) stored,
            add column source_key text generated always as (search_text({SOURCE})) stored,
            add column licence text generated always as ({LICENCE}) stored,
            add column licence_key text generated always as (label_key({LICENCE})) stored,
            add column credit text generated always as ({CREDIT}) stored,
            add column opt_out text generated always as (is_opted_out(extra)) stored not null""".replace(":", "\\:")
        )
    )
    op.create_index("ix_image_opted_out", "image", ["catalog_id"], postgresql_where=sa.text("opt_out = 'yes'"))
    op.add_column("dataset_version", sa.Column("opted_out_count", sa.Integer(), nullable=True))


def downgrade() -> None:
    """Undo this step."""
    op.drop_column("dataset_version", "opted_out_count")
    op.drop_index("ix_image_opted_out", "image")
    for column in ("source", "source_key", "licence", "licence_key", "credit", "opt_out"):
        op.drop_column("image", column)
    op.execute("drop function is_opted_out(jsonb)")
    op.execute("drop function said_of_rights(jsonb, text[])")
