"""use the words of the field: photo index and text, rollups, attempts, estimates, groups, warnings; tell why a job failed"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "5f0c9b7e21ad"
down_revision: str | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

TABLES = {"standing": "photo_index", "wording": "photo_text", "run_stretch": "run_rollup"}
CONSTRAINTS = (
    ("photo_index", "pk_standing", "pk_photo_index"),
    ("photo_index", "fk_standing_image_id_image", "fk_photo_index_image_id_image"),
    ("photo_text", "pk_wording", "pk_photo_text"),
    ("photo_text", "fk_wording_image_id_image", "fk_photo_text_image_id_image"),
    ("run_rollup", "pk_run_stretch", "pk_run_rollup"),
    ("run_rollup", "fk_run_stretch_run_id_training_run", "fk_run_rollup_run_id_training_run"),
)
INDEXES = {
    "ix_standing_catalog_id_image_id": "ix_photo_index_catalog_id_image_id",
    "ix_wording_words": "ix_photo_text_words",
    "ix_run_event_news": "ix_run_event_milestone",
}
COLUMNS = (
    ("training_run", "foretold_s", "estimated_s"),
    ("training_run", "foretold_low_s", "estimated_low_s"),
    ("training_run", "foretold_high_s", "estimated_high_s"),
    ("training_run", "foretold_from", "estimated_from"),
    ("training_run", "billed_sitting", "billed_attempt"),
    ("member", "product", "group"),
)
SOURCES = {"image": ("insert", "update"), "signals": ("insert", "update")} | {
    source: ("insert", "update", "delete") for source in ("caption", "decision")
}


def upgrade() -> None:
    for old, new in TABLES.items():
        op.rename_table(old, new)
    _rename(CONSTRAINTS, INDEXES)
    for table, old, new in COLUMNS:
        op.alter_column(table, old, new_column_name=new)
    _rename_triggers("standing", "photo_index")
    for source in SOURCES:
        _rewrite_function(f"keep_photo_index_of_{source}", TABLES)
    op.execute("update run_event set kind = 'attempt' where kind = 'sitting'")
    _restate("to_know", "warning")
    op.add_column("job", sa.Column("failure_kind", sa.Text(), nullable=True))
    op.execute(
        "update job set failure_kind = case when failure like 'The worker doing this stopped answering%' then 'lost' "
        "when failure like 'The worker crashed%' then 'crashed' else 'refused' end where state = 'failed'"
    )
    op.create_check_constraint(
        op.f("ck_job_failure_kind"), "job", "failure_kind in ('refused','crashed','lost','gave_up')"
    )


def downgrade() -> None:
    op.drop_column("job", "failure_kind")
    _restate("warning", "to_know")
    op.execute("update run_event set kind = 'sitting' where kind = 'attempt'")
    _rename_triggers("photo_index", "standing")
    for source in SOURCES:
        _rewrite_function(f"keep_standing_of_{source}", {new: old for old, new in TABLES.items()})
    for table, old, new in COLUMNS:
        op.alter_column(table, new, new_column_name=old)
    _rename(((table, new, old) for table, old, new in CONSTRAINTS), {new: old for old, new in INDEXES.items()})
    for old, new in TABLES.items():
        op.rename_table(new, old)


def _rename(constraints: Sequence[tuple[str, str, str]], indexes: dict[str, str]) -> None:
    for table, old, new in constraints:
        op.execute(f"alter table {table} rename constraint {old} to {new}")
    for old, new in indexes.items():
        op.execute(f"alter index {old} rename to {new}")


def _rename_triggers(old: str, new: str) -> None:
    for source, events in SOURCES.items():
        op.execute(f"alter function keep_{old}_of_{source}() rename to keep_{new}_of_{source}")
        for event in events:
            op.execute(f"alter trigger keep_{old}_{event} on {source} rename to keep_{new}_{event}")


def _rewrite_function(name: str, words: dict[str, str]) -> None:
    """A function's body names tables by text, so it has to say the new names."""
    body = op.get_bind().execute(sa.text("select prosrc from pg_proc where proname = :name"), {"name": name}).scalar_one()
    for old, new in words.items():
        body = body.replace(old, new)
    op.execute(f"create or replace function {name}() returns trigger language plpgsql as $$ {body.strip()} $$")


def _restate(old: str, new: str) -> None:
    """What the checks of a launch found is kept with its preflight, as JSON."""
    op.execute(
        "update preflight set findings = (select coalesce(jsonb_agg(case when one->>'state' = "
        f"'{old}' then jsonb_set(one, '{{state}}', '\"{new}\"') else one end order by place), '[]') "
        "from jsonb_array_elements(findings) with ordinality as found (one, place)) "
        f"where findings @> '[{{\"state\": \"{old}\"}}]'"
    )
