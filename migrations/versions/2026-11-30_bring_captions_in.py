"""files of captions that were read, shown, and brought in by an operation"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "6be2d91c04f7"
down_revision: str | None = "c3a81f5d70e9"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply this step."""
    op.create_table('caption_import',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('catalog_id', sa.BigInteger(), nullable=False),
    sa.Column('person_id', sa.BigInteger(), nullable=False),
    sa.Column('file', sa.Text(), nullable=False),
    sa.Column('assumed', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('refused', sa.Integer(), nullable=False),
    sa.Column('unknown', sa.Integer(), nullable=False),
    sa.Column('named', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('operation_id', sa.BigInteger(), nullable=True),
    sa.ForeignKeyConstraint(['catalog_id'], ['catalog.id'], name=op.f('fk_caption_import_catalog_id_catalog'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['person_id'], ['person.id'], name=op.f('fk_caption_import_person_id_person')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_caption_import'))
    )
    op.create_index('ix_caption_import_catalog_id_person_id', 'caption_import', ['catalog_id', 'person_id'], unique=False)
    op.create_table('imported_caption',
    sa.Column('import_id', sa.BigInteger(), nullable=False),
    sa.Column('line', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('image_id', sa.BigInteger(), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('text', sa.Text(), nullable=False),
    sa.Column('written_by', sa.Text(), nullable=False),
    sa.Column('person_id', sa.BigInteger(), nullable=True),
    sa.Column('captioner', sa.Text(), nullable=True),
    sa.Column('settings', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('version', sa.Integer(), nullable=True),
    sa.Column('parent', sa.Integer(), nullable=True),
    sa.Column('until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('taken_back', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['image_id'], ['image.id'], name=op.f('fk_imported_caption_image_id_image'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['import_id'], ['caption_import.id'], name=op.f('fk_imported_caption_import_id_caption_import'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['person_id'], ['person.id'], name=op.f('fk_imported_caption_person_id_person')),
    sa.PrimaryKeyConstraint('import_id', 'line', name=op.f('pk_imported_caption'))
    )
    op.create_index(op.f('ix_imported_caption_image_id'), 'imported_caption', ['image_id'], unique=False)


def downgrade() -> None:
    """Take this step back."""
    op.drop_table('imported_caption')
    op.drop_table('caption_import')
