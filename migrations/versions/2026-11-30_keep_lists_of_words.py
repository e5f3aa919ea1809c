"""lists of words that captions are held to, and finding what an act wrote"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "c3a81f5d70e9"
down_revision: str | None = "b0d7e1962a4c"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply this step."""
    op.create_table('word_list',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('catalog_id', sa.BigInteger(), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('words', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('person_id', sa.BigInteger(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('superseded_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("kind in ('locked','banned','known')", name=op.f('ck_word_list_kind')),
    sa.ForeignKeyConstraint(['catalog_id'], ['catalog.id'], name=op.f('fk_word_list_catalog_id_catalog'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['person_id'], ['person.id'], name=op.f('fk_word_list_person_id_person')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_word_list'))
    )
    op.create_index(op.f('ix_word_list_catalog_id'), 'word_list', ['catalog_id'], unique=False)
    op.create_index('uq_word_list_current', 'word_list', ['catalog_id', 'kind'], unique=True, postgresql_where=sa.text('superseded_at is null'))
    op.create_index('ix_caption_operation_id', 'caption', ['operation_id'], unique=False, postgresql_where=sa.text('operation_id is not null'))


def downgrade() -> None:
    """Take it back."""
    op.drop_index('ix_caption_operation_id', table_name='caption')
    op.drop_table('word_list')
