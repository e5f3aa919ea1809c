"""keep an audit log that is only appended; sign-ins that tell when they were seen; tries by address and browser"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "b83d5e07c4f1"
down_revision: str | None = "2ccb10a53bd6"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "audit_entry",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("act", sa.Text(), nullable=False),
        sa.Column("by_id", sa.BigInteger(), nullable=True),
        sa.Column("about_id", sa.BigInteger(), nullable=True),
        sa.Column("from_address", sa.Text(), nullable=True),
        sa.Column("facts", postgresql.JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_entry")),
    )
    op.execute(
        "create function refuse_change() returns trigger language plpgsql as $$ begin "
        "raise exception 'the audit log is only appended'; end $$"
    )
    op.execute(
        "create trigger refuse_change before update or delete on audit_entry for each row execute function refuse_change()"
    )
    op.create_table(
        "known_browser",
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column("used_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["person_id"], ["person.id"], name=op.f("fk_known_browser_person_id_person"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("token_hash", "person_id", name=op.f("pk_known_browser")),
    )
    op.add_column("person", sa.Column("deleted_at", MOMENT, nullable=True))
    # Who is signed in stays so; the idle time counts from now on.
    op.add_column("sign_in", sa.Column("seen_at", MOMENT, server_default=sa.text("now()"), nullable=False))
    op.add_column("sign_in", sa.Column("confirmed_at", MOMENT, nullable=True))
    op.add_column("sign_in", sa.Column("browser", sa.Text(), server_default="", nullable=False))
    op.add_column("sign_in", sa.Column("address", sa.Text(), server_default="", nullable=False))
    op.add_column("sign_in_attempt", sa.Column("address", sa.Text(), nullable=True))
    op.add_column("sign_in_attempt", sa.Column("browser_hash", sa.Text(), nullable=True))
    op.create_index(op.f("ix_sign_in_attempt_address"), "sign_in_attempt", ["address"])


def downgrade() -> None:
    op.drop_index(op.f("ix_sign_in_attempt_address"), "sign_in_attempt")
    for column in ("browser_hash", "address"):
        op.drop_column("sign_in_attempt", column)
    for column in ("address", "browser", "confirmed_at", "seen_at"):
        op.drop_column("sign_in", column)
    op.drop_column("person", "deleted_at")
    op.drop_table("known_browser")
    op.drop_table("audit_entry")
    op.execute("drop function refuse_change()")
