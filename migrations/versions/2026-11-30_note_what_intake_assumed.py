"""note what intake assumed of each photo; remember which were read strictly; measure contrast"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "c41d7a90be36"
down_revision: str | None = "5f0c9b7e21ad"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# The sentences that were kept with accepted files until now, and the word that each is now.
NOTES = {
    "cmyk-without-profile": "CMYK without a usable profile: its colours are approximate.",
    "broken-profile": "The embedded colour profile cannot be used; the colours are taken as sRGB.",
}


def upgrade() -> None:
    op.add_column("image", sa.Column("notes", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False))
    op.add_column("image", sa.Column("was_read_strictly", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.alter_column("image", "was_read_strictly", server_default=None)
    op.add_column("signals", sa.Column("contrast", sa.Float(), nullable=True))
    for note, sentence in NOTES.items():
        op.execute(
            sa.text(
                "update image set notes = array[:note] from source_file "
                "where source_file.image_id = image.id and outcome = 'accepted' and reason = :sentence"
            ).bindparams(note=note, sentence=sentence)
        )
    op.execute("update source_file set reason = null where outcome = 'accepted'")
    op.create_index("ix_image_noted", "image", ["catalog_id"], postgresql_where=sa.text("notes <> '{}'"))


def downgrade() -> None:
    op.drop_index("ix_image_noted", "image")
    for note, sentence in NOTES.items():
        op.execute(
            sa.text(
                "update source_file set reason = :sentence from image where image_id = image.id "
                "and outcome = 'accepted' and :note = any (notes)"
            ).bindparams(note=note, sentence=sentence)
        )
    op.drop_column("signals", "contrast")
    op.drop_column("image", "was_read_strictly")
    op.drop_column("image", "notes")
