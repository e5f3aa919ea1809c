"""files of labels are read, shown and brought in like those of captions"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "b86d03f5a17c"
down_revision: str | None = "7c41e9d02b6f"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_NAMES = (
    "alter table {0} rename constraint pk_{0} to pk_{1}",
    "alter table {0} rename constraint fk_{0}_catalog_id_catalog to fk_{1}_catalog_id_catalog",
    "alter table {0} rename constraint fk_{0}_person_id_person to fk_{1}_person_id_person",
    "alter table imported_caption rename constraint fk_imported_caption_import_id_{0} to fk_imported_caption_import_id_{1}",
    "alter index ix_{0}_catalog_id_person_id rename to ix_{1}_catalog_id_person_id",
    "alter table {0} rename to {1}",
)


def upgrade() -> None:
    """Apply this step."""
    for statement in _NAMES:
        op.execute(statement.format("caption_import", "file_import"))
    op.add_column('file_import', sa.Column('subject', sa.Text(), server_default='captions', nullable=False))
    op.alter_column('file_import', 'subject', server_default=None)
    op.create_table('imported_label',
    sa.Column('import_id', sa.BigInteger(), nullable=False),
    sa.Column('number', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('line', sa.Integer(), nullable=False),
    sa.Column('image_id', sa.BigInteger(), nullable=True),
    sa.Column('set_name', sa.Text(), nullable=False),
    sa.Column('set_key', sa.Text(), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('key', sa.Text(), nullable=False),
    sa.Column('label', sa.Text(), nullable=False),
    sa.Column('label_key', sa.Text(), nullable=False),
    sa.Column('is_retired', sa.Boolean(), nullable=False),
    sa.Column('set_id', sa.BigInteger(), nullable=True),
    sa.Column('value_id', sa.BigInteger(), nullable=True),
    sa.ForeignKeyConstraint(['image_id'], ['image.id'], name=op.f('fk_imported_label_image_id_image'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['import_id'], ['file_import.id'], name=op.f('fk_imported_label_import_id_file_import'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('import_id', 'number', name=op.f('pk_imported_label'))
    )
    op.create_index(op.f('ix_imported_label_image_id'), 'imported_label', ['image_id'], unique=False)


def downgrade() -> None:
    """Take this step back."""
    op.drop_table('imported_label')
    op.execute("delete from file_import where subject <> 'captions'")
    op.drop_column('file_import', 'subject')
    for statement in _NAMES:
        op.execute(statement.format("file_import", "caption_import"))
