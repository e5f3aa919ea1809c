"""two captioners compared on a sample, judged blind, before one is adopted"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "60e2d9a7f41c"
down_revision: str | None = "c4d81e0b7a35"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply this step."""
    op.create_table('captioner_comparison',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('catalog_id', sa.BigInteger(), nullable=False),
    sa.Column('query', sa.Text(), nullable=False),
    sa.Column('photos', sa.Integer(), nullable=False),
    sa.Column('a_id', sa.BigInteger(), nullable=False),
    sa.Column('b_id', sa.BigInteger(), nullable=False),
    sa.Column('seed', sa.BigInteger(), nullable=False),
    sa.Column('created_by_id', sa.BigInteger(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('adopted', sa.Text(), nullable=True),
    sa.Column('adopted_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('operation_id', sa.BigInteger(), nullable=True),
    sa.CheckConstraint("adopted in ('a','b')", name=op.f('ck_captioner_comparison_adopted')),
    sa.ForeignKeyConstraint(['a_id'], ['caption_run.id'], name=op.f('fk_captioner_comparison_a_id_caption_run'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['b_id'], ['caption_run.id'], name=op.f('fk_captioner_comparison_b_id_caption_run'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['catalog_id'], ['catalog.id'], name=op.f('fk_captioner_comparison_catalog_id_catalog'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['created_by_id'], ['person.id'], name=op.f('fk_captioner_comparison_created_by_id_person')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_captioner_comparison'))
    )
    op.create_index('ix_captioner_comparison_a_id', 'captioner_comparison', ['a_id'], unique=False)
    op.create_index('ix_captioner_comparison_b_id', 'captioner_comparison', ['b_id'], unique=False)
    op.create_index('ix_captioner_comparison_catalog_id_id', 'captioner_comparison', ['catalog_id', 'id'], unique=False)
    op.create_table('caption_vote',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('comparison_id', sa.BigInteger(), nullable=False),
    sa.Column('image_id', sa.BigInteger(), nullable=False),
    sa.Column('person_id', sa.BigInteger(), nullable=False),
    sa.Column('choice', sa.Text(), nullable=False),
    sa.Column('taken_a', sa.Integer(), nullable=True),
    sa.Column('taken_b', sa.Integer(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.CheckConstraint("choice in ('a','b','tie','neither')", name=op.f('ck_caption_vote_choice')),
    sa.ForeignKeyConstraint(['comparison_id'], ['captioner_comparison.id'], name=op.f('fk_caption_vote_comparison_id_captioner_comparison'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['image_id'], ['image.id'], name=op.f('fk_caption_vote_image_id_image'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['person_id'], ['person.id'], name=op.f('fk_caption_vote_person_id_person')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_caption_vote')),
    sa.UniqueConstraint('comparison_id', 'image_id', 'person_id', name='uq_caption_vote_one_each')
    )
    op.create_index(op.f('ix_caption_vote_image_id'), 'caption_vote', ['image_id'], unique=False)
    op.create_index('ix_caption_vote_person_id_id', 'caption_vote', ['person_id', 'id'], unique=False)
    op.create_table('compared_photo',
    sa.Column('comparison_id', sa.BigInteger(), nullable=False),
    sa.Column('image_id', sa.BigInteger(), nullable=False),
    sa.Column('place', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['comparison_id'], ['captioner_comparison.id'], name=op.f('fk_compared_photo_comparison_id_captioner_comparison'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['image_id'], ['image.id'], name=op.f('fk_compared_photo_image_id_image'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('comparison_id', 'image_id', name=op.f('pk_compared_photo'))
    )
    op.create_index(op.f('ix_compared_photo_image_id'), 'compared_photo', ['image_id'], unique=False)


def downgrade() -> None:
    """Take it back."""
    op.drop_table("compared_photo")
    op.drop_table("caption_vote")
    op.drop_table("captioner_comparison")
