"""A gate says why it was changed.

Revision ID: 5be2a90c41d7
Revises: d20c7f4be915
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "5be2a90c41d7"
down_revision = "d20c7f4be915"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("gate", sa.Column("note", sa.Text(), nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("gate", "note")
