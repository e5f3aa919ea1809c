"""Take out of ended runs' reasons what was to come after them: how far a sheet is, only the sheet knows."""

from __future__ import annotations

from collections.abc import Sequence

from alembic import op

revision: str = "5b7e20c94d1f"
down_revision: str | None = "8d41f0b6c3e9"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

TO_COME = (
    "Test pictures of step [0-9,]+ are there, and its sheet is drawn next"
    "|Its first test pictures are drawn next, in its sheet"
    "|Its sheet is drawn next"
)


def upgrade() -> None:
    op.execute(
        f"update training_run set reason = regexp_replace(reason, ' ({TO_COME})\\.$', '') "
        "where reason like '% drawn next%'"
    )


def downgrade() -> None:
    """What was taken out said nothing of the run."""
