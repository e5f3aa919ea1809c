"""queues of photos, who works on them, holds, answers, and notes on photos"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "91f4c27be06a"
down_revision: str | None = "5ad07e64c8b1"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply this step."""
    op.create_table('review_queue',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('catalog_id', sa.BigInteger(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('query', sa.Text(), nullable=False),
    sa.Column('first', sa.Text(), nullable=False),
    sa.Column('overlap', sa.SmallInteger(), nullable=False),
    sa.Column('created_by_id', sa.BigInteger(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('closed_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("first in ('contradicted','disagreed','low_scores','rare','chance','given')", name=op.f('ck_review_queue_first')),
    sa.CheckConstraint('overlap between 1 and 5', name=op.f('ck_review_queue_overlap')),
    sa.ForeignKeyConstraint(['catalog_id'], ['catalog.id'], name=op.f('fk_review_queue_catalog_id_catalog'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['created_by_id'], ['person.id'], name=op.f('fk_review_queue_created_by_id_person')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_review_queue'))
    )
    op.create_index('ix_review_queue_catalog_id_id', 'review_queue', ['catalog_id', 'id'], unique=False)
    op.create_table('queue_person',
    sa.Column('queue_id', sa.BigInteger(), nullable=False),
    sa.Column('person_id', sa.BigInteger(), nullable=False),
    sa.Column('added_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['person_id'], ['person.id'], name=op.f('fk_queue_person_person_id_person')),
    sa.ForeignKeyConstraint(['queue_id'], ['review_queue.id'], name=op.f('fk_queue_person_queue_id_review_queue'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('queue_id', 'person_id', name=op.f('pk_queue_person'))
    )
    op.create_index(op.f('ix_queue_person_person_id'), 'queue_person', ['person_id'], unique=False)
    op.create_table('desk_note',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('image_id', sa.BigInteger(), nullable=False),
    sa.Column('author_id', sa.BigInteger(), nullable=False),
    sa.Column('audience', sa.Text(), nullable=False),
    sa.Column('to_id', sa.BigInteger(), nullable=True),
    sa.Column('text', sa.Text(), nullable=False),
    sa.Column('parent_id', sa.BigInteger(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('closed_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('closed_by_id', sa.BigInteger(), nullable=True),
    sa.CheckConstraint("(audience = 'person') = (to_id is not null)", name=op.f('ck_desk_note_to_one')),
    sa.CheckConstraint("audience in ('person','leads','everybody')", name=op.f('ck_desk_note_audience')),
    sa.CheckConstraint('length(text) between 1 and 2000', name=op.f('ck_desk_note_length')),
    sa.ForeignKeyConstraint(['author_id'], ['person.id'], name=op.f('fk_desk_note_author_id_person')),
    sa.ForeignKeyConstraint(['closed_by_id'], ['person.id'], name=op.f('fk_desk_note_closed_by_id_person')),
    sa.ForeignKeyConstraint(['image_id'], ['image.id'], name=op.f('fk_desk_note_image_id_image'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['parent_id'], ['desk_note.id'], name=op.f('fk_desk_note_parent_id_desk_note'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['to_id'], ['person.id'], name=op.f('fk_desk_note_to_id_person')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_desk_note'))
    )
    op.create_index(op.f('ix_desk_note_image_id'), 'desk_note', ['image_id'], unique=False)
    op.create_index('ix_desk_note_open', 'desk_note', ['image_id'], unique=False, postgresql_where=sa.text('parent_id is null and closed_at is null'))
    op.create_index(op.f('ix_desk_note_parent_id'), 'desk_note', ['parent_id'], unique=False)
    op.create_table('queue_answer',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('queue_id', sa.BigInteger(), nullable=False),
    sa.Column('image_id', sa.BigInteger(), nullable=False),
    sa.Column('person_id', sa.BigInteger(), nullable=False),
    sa.Column('verdict', sa.Text(), nullable=True),
    sa.Column('reason', sa.Text(), nullable=True),
    sa.Column('is_blind', sa.Boolean(), nullable=False),
    sa.Column('seconds', sa.Double(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('undone_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("verdict in ('kept','rejected','needs_work')", name=op.f('ck_queue_answer_verdict')),
    sa.ForeignKeyConstraint(['image_id'], ['image.id'], name=op.f('fk_queue_answer_image_id_image'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['person_id'], ['person.id'], name=op.f('fk_queue_answer_person_id_person')),
    sa.ForeignKeyConstraint(['queue_id'], ['review_queue.id'], name=op.f('fk_queue_answer_queue_id_review_queue'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_queue_answer')),
    sa.UniqueConstraint('queue_id', 'image_id', 'person_id', name='uq_queue_answer_one_each')
    )
    op.create_index(op.f('ix_queue_answer_image_id'), 'queue_answer', ['image_id'], unique=False)
    op.create_index('ix_queue_answer_person_id_id', 'queue_answer', ['person_id', 'id'], unique=False)
    op.create_table('queue_hold',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('queue_id', sa.BigInteger(), nullable=True),
    sa.Column('image_id', sa.BigInteger(), nullable=False),
    sa.Column('person_id', sa.BigInteger(), nullable=False),
    sa.Column('held_since', sa.DateTime(timezone=True), nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['image_id'], ['image.id'], name=op.f('fk_queue_hold_image_id_image'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['person_id'], ['person.id'], name=op.f('fk_queue_hold_person_id_person')),
    sa.ForeignKeyConstraint(['queue_id'], ['review_queue.id'], name=op.f('fk_queue_hold_queue_id_review_queue'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_queue_hold')),
    sa.UniqueConstraint('queue_id', 'image_id', 'person_id', name='uq_queue_hold_one_each')
    )
    op.create_index('ix_queue_hold_expires_at', 'queue_hold', ['expires_at'], unique=False)
    op.create_index(op.f('ix_queue_hold_image_id'), 'queue_hold', ['image_id'], unique=False)
    op.create_index('ix_queue_hold_person_id', 'queue_hold', ['person_id'], unique=False)
    op.create_index('uq_queue_hold_desk', 'queue_hold', ['image_id'], unique=True, postgresql_where=sa.text('queue_id is null'))
    op.create_table('queue_photo',
    sa.Column('queue_id', sa.BigInteger(), nullable=False),
    sa.Column('image_id', sa.BigInteger(), nullable=False),
    sa.Column('place', sa.Integer(), nullable=False),
    sa.Column('passes_left', sa.SmallInteger(), nullable=False),
    sa.Column('held', sa.SmallInteger(), server_default='0', nullable=False),
    sa.Column('known', sa.Text(), nullable=True),
    sa.CheckConstraint("known in ('kept','rejected')", name=op.f('ck_queue_photo_known')),
    sa.CheckConstraint('held >= 0 and passes_left >= 0', name=op.f('ck_queue_photo_held')),
    sa.ForeignKeyConstraint(['image_id'], ['image.id'], name=op.f('fk_queue_photo_image_id_image'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['queue_id'], ['review_queue.id'], name=op.f('fk_queue_photo_queue_id_review_queue'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('queue_id', 'image_id', name=op.f('pk_queue_photo'))
    )
    op.create_index(op.f('ix_queue_photo_image_id'), 'queue_photo', ['image_id'], unique=False)
    op.create_index('ix_queue_photo_free', 'queue_photo', ['queue_id', 'place'], unique=False, postgresql_where=sa.text('held < passes_left'))
    op.create_index('ix_queue_photo_left', 'queue_photo', ['queue_id'], unique=False, postgresql_where=sa.text('passes_left > 0'))


def downgrade() -> None:
    """Take it back."""
    op.drop_table('queue_photo')
    op.drop_table('queue_hold')
    op.drop_table('queue_answer')
    op.drop_table('desk_note')
    op.drop_table('queue_person')
    op.drop_table('review_queue')
