"""measure before running: preflights, hard stops, when an attempt began, what was foretold, notes from outside the trainer, paused runs, curves summed up"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

STATES = ("queued", "running", "stopping", "completed", "stopped", "discarded", "failed")
NEW = {
    "cause": sa.Text(),
    "resumptions": sa.Integer(),
    "max_seconds": sa.Float(),
    "max_amount": sa.Numeric(12, 4),
    "hour_price": sa.Numeric(12, 4),
    "preflight_id": sa.BigInteger(),
    "foretold_s": sa.Float(),
    "foretold_low_s": sa.Float(),
    "foretold_high_s": sa.Float(),
    "foretold_from": sa.Text(),
    "actual_s": sa.Float(),
    "billed_sitting": sa.Text(),
    "pace": postgresql.JSONB(),
    "stop_asked_at": sa.DateTime(timezone=True),
    "stop_bound_s": sa.Float(),
    "peak_bytes": sa.BigInteger(),
}

DEFAULTS = {"resumptions": sa.text("0"), "pace": sa.text("'{}'")}


def upgrade() -> None:
    op.create_table(
        "preflight",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("version_id", sa.BigInteger(), nullable=False),
        sa.Column("job_id", sa.BigInteger(), nullable=True),
        sa.Column("base", sa.Text(), nullable=False),
        sa.Column("recipe", postgresql.JSONB(), nullable=False),
        sa.Column("recipe_hash", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("measured", postgresql.JSONB(), nullable=False),
        sa.Column("findings", postgresql.JSONB(), nullable=False),
        sa.Column("alternatives", postgresql.JSONB(), nullable=False),
        sa.Column("created_by_id", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state in ('queued','running','passed','refused','failed','cancelled')", name=op.f("ck_preflight_state")
        ),
        sa.ForeignKeyConstraint(
            ["version_id"], ["dataset_version.id"], name=op.f("fk_preflight_version_id_dataset_version")
        ),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_preflight_job_id_job")),
        sa.ForeignKeyConstraint(["created_by_id"], ["person.id"], name=op.f("fk_preflight_created_by_id_person")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_preflight")),
    )
    op.add_column("job", sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("update job set claimed_at = started_at where state = 'running'")
    op.create_index("ix_preflight_version_id_recipe_hash", "preflight", ["version_id", "recipe_hash"])
    for name, kind in NEW.items():
        default = DEFAULTS.get(name)
        column = sa.Column(name, kind, server_default=default, nullable=default is None)
        op.add_column("training_run", column)
    op.create_foreign_key(
        op.f("fk_training_run_preflight_id_preflight"), "training_run", "preflight", ["preflight_id"], ["id"]
    )
    _states(*STATES, "paused")
    op.create_table(
        "run_note",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"], ["training_run.id"], name=op.f("fk_run_note_run_id_training_run"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run_note")),
    )
    op.create_index(op.f("ix_run_note_run_id"), "run_note", ["run_id"])
    op.alter_column("checkpoint", "size_bytes", type_=sa.BigInteger())  # a whole denoiser has more than 2 GB
    op.create_table(
        "run_stretch",
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("first_seq", sa.Integer(), nullable=False),
        sa.Column("first_step", sa.Integer(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("counts", postgresql.ARRAY(sa.Integer()), nullable=False),
        sa.Column("low", postgresql.ARRAY(sa.Float()), nullable=False),
        sa.Column("mean", postgresql.ARRAY(sa.Float()), nullable=False),
        sa.Column("high", postgresql.ARRAY(sa.Float()), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"], ["training_run.id"], name=op.f("fk_run_stretch_run_id_training_run"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_id", "seq", name=op.f("pk_run_stretch")),
    )
    op.create_index(
        "ix_run_event_news",
        "run_event",
        ["run_id", "seq"],
        postgresql_where=sa.text("kind <> 'step' and kind <> 'phase'"),
    )


def downgrade() -> None:
    op.drop_index("ix_run_event_news", "run_event")
    op.drop_table("run_stretch")
    op.alter_column("checkpoint", "size_bytes", type_=sa.Integer(), postgresql_using="least(size_bytes, 2147483647)")
    op.drop_table("run_note")
    op.execute("update training_run set state = 'failed' where state = 'paused'")
    _states(*STATES)
    op.drop_constraint(op.f("fk_training_run_preflight_id_preflight"), "training_run", type_="foreignkey")
    for name in NEW:
        op.drop_column("training_run", name)
    op.drop_column("job", "claimed_at")
    op.drop_table("preflight")


def _states(*names: str) -> None:
    op.drop_constraint(op.f("ck_training_run_state"), "training_run", type_="check")
    listed = ",".join(f"'{name}'" for name in names)
    op.create_check_constraint(op.f("ck_training_run_state"), "training_run", f"state in ({listed})")
