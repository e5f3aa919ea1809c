"""Let any checkpoints stand beside one another, and keep what is measured of samples, voted, gated and promoted.

A sample belongs to its checkpoint, prompt and seed and to no sheet: sheets that draw the same share it.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy import Text
from sqlalchemy.dialects import postgresql

revision: str = "d20c7f4be915"
down_revision: str | None = "a94d06b3c7e1"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

SHEET_OF_SAMPLE = """
    update sample set sheet_id = sheet.id from checkpoint, prompt, sheet
    where checkpoint.id = sample.checkpoint_id and prompt.id = sample.prompt_id
        and sheet.run_id = checkpoint.run_id and sheet.suite_id = prompt.suite_id
"""


def upgrade() -> None:
    op.create_table('rule_profile',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('key', sa.Text(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('rules', postgresql.JSONB(astext_type=Text()), nullable=False),
    sa.Column('source', sa.Text(), nullable=False),
    sa.Column('checked_on', sa.Date(), nullable=False),
    sa.Column('created_by_id', sa.BigInteger(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('superseded_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("key ~ '^[a-z0-9_]{1,40}$'", name=op.f('ck_rule_profile_key')),
    sa.ForeignKeyConstraint(['created_by_id'], ['person.id'], name=op.f('fk_rule_profile_created_by_id_person')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_rule_profile'))
    )
    op.create_index('uq_rule_profile_current', 'rule_profile', ['key'], unique=True, postgresql_where=sa.text('superseded_at is null'))
    op.create_table('prompt_photo',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('prompt_id', sa.BigInteger(), nullable=False),
    sa.Column('position', sa.Integer(), nullable=False),
    sa.Column('image_id', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['image_id'], ['image.id'], name=op.f('fk_prompt_photo_image_id_image'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['prompt_id'], ['prompt.id'], name=op.f('fk_prompt_photo_prompt_id_prompt'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_prompt_photo')),
    sa.UniqueConstraint('prompt_id', 'position', name=op.f('uq_prompt_photo_prompt_id_position'))
    )
    op.create_index(op.f('ix_prompt_photo_image_id'), 'prompt_photo', ['image_id'], unique=False)
    op.create_table('column_metric',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('suite_id', sa.BigInteger(), nullable=False),
    sa.Column('checkpoint_id', sa.BigInteger(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('made_with', sa.Text(), nullable=False),
    sa.Column('value', sa.Double(), nullable=True),
    sa.Column('low', sa.Double(), nullable=True),
    sa.Column('high', sa.Double(), nullable=True),
    sa.Column('count', sa.Integer(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['checkpoint_id'], ['checkpoint.id'], name=op.f('fk_column_metric_checkpoint_id_checkpoint'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['suite_id'], ['suite.id'], name=op.f('fk_column_metric_suite_id_suite'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_column_metric')),
    sa.UniqueConstraint('suite_id', 'checkpoint_id', 'name', 'made_with', name=op.f('uq_column_metric_suite_id_checkpoint_id_name_made_with'))
    )
    op.create_index('ix_column_metric_checkpoint_id', 'column_metric', ['checkpoint_id'], unique=False)
    op.create_table('gate',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('sheet_id', sa.BigInteger(), nullable=False),
    sa.Column('baseline_id', sa.BigInteger(), nullable=True),
    sa.Column('settings', postgresql.JSONB(astext_type=Text()), nullable=False),
    sa.Column('created_by_id', sa.BigInteger(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('superseded_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['baseline_id'], ['checkpoint.id'], name=op.f('fk_gate_baseline_id_checkpoint'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['created_by_id'], ['person.id'], name=op.f('fk_gate_created_by_id_person')),
    sa.ForeignKeyConstraint(['sheet_id'], ['sheet.id'], name=op.f('fk_gate_sheet_id_sheet'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_gate'))
    )
    op.create_index(op.f('ix_gate_baseline_id'), 'gate', ['baseline_id'], unique=False)
    op.create_index('uq_gate_current', 'gate', ['sheet_id'], unique=True, postgresql_where=sa.text('superseded_at is null'))
    op.create_table('hold_out_use',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('suite_id', sa.BigInteger(), nullable=False),
    sa.Column('sheet_id', sa.BigInteger(), nullable=False),
    sa.Column('person_id', sa.BigInteger(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['person_id'], ['person.id'], name=op.f('fk_hold_out_use_person_id_person')),
    sa.ForeignKeyConstraint(['sheet_id'], ['sheet.id'], name=op.f('fk_hold_out_use_sheet_id_sheet'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['suite_id'], ['suite.id'], name=op.f('fk_hold_out_use_suite_id_suite'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_hold_out_use'))
    )
    op.create_index(op.f('ix_hold_out_use_sheet_id'), 'hold_out_use', ['sheet_id'], unique=False)
    op.create_index('uq_hold_out_use', 'hold_out_use', ['suite_id', 'sheet_id'], unique=True)
    op.create_table('promotion',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('catalog_id', sa.BigInteger(), nullable=False),
    sa.Column('checkpoint_id', sa.BigInteger(), nullable=False),
    sa.Column('sheet_id', sa.BigInteger(), nullable=True),
    sa.Column('verdict', postgresql.JSONB(astext_type=Text()), nullable=False),
    sa.Column('note', sa.Text(), nullable=False),
    sa.Column('rolls_back_id', sa.BigInteger(), nullable=True),
    sa.Column('signed_by_id', sa.BigInteger(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('ended_by_id', sa.BigInteger(), nullable=True),
    sa.Column('end_cause', sa.Text(), nullable=True),
    sa.CheckConstraint("end_cause in ('replaced','rolled_back','withdrawn')", name=op.f('ck_promotion_end_cause')),
    sa.ForeignKeyConstraint(['catalog_id'], ['catalog.id'], name=op.f('fk_promotion_catalog_id_catalog'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['checkpoint_id'], ['checkpoint.id'], name=op.f('fk_promotion_checkpoint_id_checkpoint')),
    sa.ForeignKeyConstraint(['ended_by_id'], ['person.id'], name=op.f('fk_promotion_ended_by_id_person')),
    sa.ForeignKeyConstraint(['rolls_back_id'], ['promotion.id'], name=op.f('fk_promotion_rolls_back_id_promotion'), ondelete='SET NULL'),
    sa.ForeignKeyConstraint(['sheet_id'], ['sheet.id'], name=op.f('fk_promotion_sheet_id_sheet'), ondelete='SET NULL'),
    sa.ForeignKeyConstraint(['signed_by_id'], ['person.id'], name=op.f('fk_promotion_signed_by_id_person')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_promotion'))
    )
    op.create_index('ix_promotion_checkpoint_id', 'promotion', ['checkpoint_id'], unique=False)
    op.create_index('ix_promotion_sheet_id', 'promotion', ['sheet_id'], unique=False)
    op.create_index('uq_promotion_live', 'promotion', ['catalog_id'], unique=True, postgresql_where=sa.text('ended_at is null'))
    op.create_table('sheet_column',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('sheet_id', sa.BigInteger(), nullable=False),
    sa.Column('position', sa.Integer(), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('checkpoint_id', sa.BigInteger(), nullable=True),
    sa.Column('tier', sa.Text(), nullable=False),
    sa.CheckConstraint("(kind = 'checkpoint') = (checkpoint_id is not null)", name=op.f('ck_sheet_column_kind')),
    sa.CheckConstraint("tier in ('preview','quick','full','hold_out')", name=op.f('ck_sheet_column_tier')),
    sa.ForeignKeyConstraint(['checkpoint_id'], ['checkpoint.id'], name=op.f('fk_sheet_column_checkpoint_id_checkpoint'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['sheet_id'], ['sheet.id'], name=op.f('fk_sheet_column_sheet_id_sheet'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_sheet_column')),
    sa.UniqueConstraint('sheet_id', 'position', name=op.f('uq_sheet_column_sheet_id_position'))
    )
    op.create_index(op.f('ix_sheet_column_checkpoint_id'), 'sheet_column', ['checkpoint_id'], unique=False)
    op.create_index('uq_sheet_column_checkpoint', 'sheet_column', ['sheet_id', 'checkpoint_id'], unique=True)
    op.create_table('sheet_link',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('sheet_id', sa.BigInteger(), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('token_hash', sa.Text(), nullable=False),
    sa.Column('created_by_id', sa.BigInteger(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('revoked_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("kind in ('read','vote')", name=op.f('ck_sheet_link_kind')),
    sa.ForeignKeyConstraint(['created_by_id'], ['person.id'], name=op.f('fk_sheet_link_created_by_id_person')),
    sa.ForeignKeyConstraint(['sheet_id'], ['sheet.id'], name=op.f('fk_sheet_link_sheet_id_sheet'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_sheet_link')),
    sa.UniqueConstraint('token_hash', name=op.f('uq_sheet_link_token_hash'))
    )
    op.create_index(op.f('ix_sheet_link_sheet_id'), 'sheet_link', ['sheet_id'], unique=False)
    op.create_table('guest',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('link_id', sa.BigInteger(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('key_hash', sa.Text(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['link_id'], ['sheet_link.id'], name=op.f('fk_guest_link_id_sheet_link'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_guest')),
    sa.UniqueConstraint('key_hash', name=op.f('uq_guest_key_hash'))
    )
    op.create_index(op.f('ix_guest_link_id'), 'guest', ['link_id'], unique=False)
    op.create_table('sample_measure',
    sa.Column('sample_id', sa.BigInteger(), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('values', postgresql.JSONB(astext_type=Text()), nullable=False),
    sa.Column('evidence', postgresql.JSONB(astext_type=Text()), nullable=False),
    sa.Column('words', postgresql.JSONB(astext_type=Text()), nullable=True),
    sa.Column('failure', sa.Text(), nullable=True),
    sa.Column('space_id', sa.BigInteger(), nullable=True),
    sa.Column('nearest_id', sa.BigInteger(), nullable=True),
    sa.Column('nearest_similarity', sa.Double(), nullable=True),
    sa.Column('measured_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['nearest_id'], ['image.id'], name=op.f('fk_sample_measure_nearest_id_image'), ondelete='SET NULL'),
    sa.ForeignKeyConstraint(['sample_id'], ['sample.id'], name=op.f('fk_sample_measure_sample_id_sample'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['space_id'], ['embedding_space.id'], name=op.f('fk_sample_measure_space_id_embedding_space')),
    sa.PrimaryKeyConstraint('sample_id', name=op.f('pk_sample_measure'))
    )
    op.execute("alter table sample_measure add column vector halfvec")
    op.create_index(op.f('ix_sample_measure_nearest_id'), 'sample_measure', ['nearest_id'], unique=False)
    op.create_table('failure_tag',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('sample_id', sa.BigInteger(), nullable=False),
    sa.Column('tag', sa.Text(), nullable=False),
    sa.Column('person_id', sa.BigInteger(), nullable=True),
    sa.Column('guest_id', sa.BigInteger(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('removed_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint('num_nonnulls(person_id, guest_id) = 1', name=op.f('ck_failure_tag_voter')),
    sa.ForeignKeyConstraint(['guest_id'], ['guest.id'], name=op.f('fk_failure_tag_guest_id_guest'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['person_id'], ['person.id'], name=op.f('fk_failure_tag_person_id_person')),
    sa.ForeignKeyConstraint(['sample_id'], ['sample.id'], name=op.f('fk_failure_tag_sample_id_sample'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_failure_tag'))
    )
    op.create_index('ix_failure_tag_guest_id', 'failure_tag', ['guest_id'], unique=False)
    op.create_index('ix_failure_tag_person_id', 'failure_tag', ['person_id'], unique=False)
    op.create_index('uq_failure_tag_current', 'failure_tag', ['sample_id', 'tag', 'person_id', 'guest_id'], unique=True, postgresql_where=sa.text('removed_at is null'), postgresql_nulls_not_distinct=True)
    op.create_table('usable_answer',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('sheet_id', sa.BigInteger(), nullable=False),
    sa.Column('sample_id', sa.BigInteger(), nullable=True),
    sa.Column('prompt_photo_id', sa.BigInteger(), nullable=True),
    sa.Column('person_id', sa.BigInteger(), nullable=True),
    sa.Column('guest_id', sa.BigInteger(), nullable=True),
    sa.Column('is_usable', sa.Boolean(), nullable=False),
    sa.Column('seconds', sa.Double(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('superseded_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint('num_nonnulls(person_id, guest_id) = 1', name=op.f('ck_usable_answer_voter')),
    sa.CheckConstraint('num_nonnulls(sample_id, prompt_photo_id) = 1', name=op.f('ck_usable_answer_picture')),
    sa.ForeignKeyConstraint(['guest_id'], ['guest.id'], name=op.f('fk_usable_answer_guest_id_guest'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['person_id'], ['person.id'], name=op.f('fk_usable_answer_person_id_person')),
    sa.ForeignKeyConstraint(['prompt_photo_id'], ['prompt_photo.id'], name=op.f('fk_usable_answer_prompt_photo_id_prompt_photo'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['sample_id'], ['sample.id'], name=op.f('fk_usable_answer_sample_id_sample'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['sheet_id'], ['sheet.id'], name=op.f('fk_usable_answer_sheet_id_sheet'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_usable_answer'))
    )
    op.create_index('ix_usable_answer_guest_id', 'usable_answer', ['guest_id'], unique=False)
    op.create_index('ix_usable_answer_person_id', 'usable_answer', ['person_id'], unique=False)
    op.create_index('ix_usable_answer_prompt_photo_id', 'usable_answer', ['prompt_photo_id'], unique=False)
    op.create_index('ix_usable_answer_sheet_id', 'usable_answer', ['sheet_id'], unique=False)
    op.create_index('uq_usable_answer_current', 'usable_answer', ['sample_id', 'prompt_photo_id', 'person_id', 'guest_id'], unique=True, postgresql_where=sa.text('superseded_at is null'), postgresql_nulls_not_distinct=True)
    op.create_table('vote',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('sheet_id', sa.BigInteger(), nullable=False),
    sa.Column('prompt_id', sa.BigInteger(), nullable=False),
    sa.Column('seed', sa.BIGINT(), nullable=False),
    sa.Column('left_checkpoint_id', sa.BigInteger(), nullable=False),
    sa.Column('right_checkpoint_id', sa.BigInteger(), nullable=False),
    sa.Column('choice', sa.Text(), nullable=False),
    sa.Column('person_id', sa.BigInteger(), nullable=True),
    sa.Column('guest_id', sa.BigInteger(), nullable=True),
    sa.Column('repeats_id', sa.BigInteger(), nullable=True),
    sa.Column('seconds', sa.Double(), nullable=False),
    sa.Column('was_zoomed', sa.Boolean(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('withdrawn_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("choice in ('left','right','tie','both_bad')", name=op.f('ck_vote_choice')),
    sa.CheckConstraint('left_checkpoint_id <> right_checkpoint_id', name=op.f('ck_vote_two')),
    sa.CheckConstraint('num_nonnulls(person_id, guest_id) = 1', name=op.f('ck_vote_voter')),
    sa.ForeignKeyConstraint(['guest_id'], ['guest.id'], name=op.f('fk_vote_guest_id_guest'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['left_checkpoint_id'], ['checkpoint.id'], name=op.f('fk_vote_left_checkpoint_id_checkpoint'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['person_id'], ['person.id'], name=op.f('fk_vote_person_id_person')),
    sa.ForeignKeyConstraint(['prompt_id'], ['prompt.id'], name=op.f('fk_vote_prompt_id_prompt'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['repeats_id'], ['vote.id'], name=op.f('fk_vote_repeats_id_vote'), ondelete='SET NULL'),
    sa.ForeignKeyConstraint(['right_checkpoint_id'], ['checkpoint.id'], name=op.f('fk_vote_right_checkpoint_id_checkpoint'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['sheet_id'], ['sheet.id'], name=op.f('fk_vote_sheet_id_sheet'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_vote'))
    )
    op.create_index('ix_vote_guest_id', 'vote', ['guest_id'], unique=False)
    op.create_index('ix_vote_left_checkpoint_id', 'vote', ['left_checkpoint_id'], unique=False)
    op.create_index('ix_vote_person_id', 'vote', ['person_id'], unique=False)
    op.create_index('ix_vote_prompt_id', 'vote', ['prompt_id'], unique=False)
    op.create_index(op.f('ix_vote_repeats_id'), 'vote', ['repeats_id'], unique=False)
    op.create_index('ix_vote_right_checkpoint_id', 'vote', ['right_checkpoint_id'], unique=False)
    op.create_index('ix_vote_sheet_id_id', 'vote', ['sheet_id', 'id'], unique=False)
    op.add_column('prompt', sa.Column('tier', sa.Text(), server_default='full', nullable=False))
    op.add_column('prompt', sa.Column('weight', sa.Double(), server_default='1', nullable=False))
    op.add_column('prompt', sa.Column('is_seen', sa.Boolean(), nullable=True))
    op.add_column('sample', sa.Column('made_with', postgresql.JSONB(astext_type=Text()), server_default='{}', nullable=False))
    op.drop_index(op.f('ix_sample_checkpoint_id'), table_name='sample')
    op.drop_index(op.f('ix_sample_sheet_id'), table_name='sample')
    op.drop_constraint(op.f('uq_sample_sheet_id_checkpoint_id_prompt_id_seed'), 'sample', type_='unique')
    op.create_index(op.f('ix_sample_prompt_id'), 'sample', ['prompt_id'], unique=False)
    op.create_unique_constraint(op.f('uq_sample_checkpoint_id_prompt_id_seed'), 'sample', ['checkpoint_id', 'prompt_id', 'seed'])
    op.drop_constraint(op.f('fk_sample_sheet_id_sheet'), 'sample', type_='foreignkey')
    op.drop_column('sample', 'sheet_id')
    op.add_column('sheet', sa.Column('name', sa.Text(), nullable=True))
    op.add_column('sheet', sa.Column('created_by_id', sa.BigInteger(), nullable=True))
    op.alter_column('sheet', 'run_id',
               existing_type=sa.BIGINT(),
               nullable=True)
    op.create_foreign_key(op.f('fk_sheet_created_by_id_person'), 'sheet', 'person', ['created_by_id'], ['id'])
    op.add_column('suite', sa.Column('catalog_id', sa.BigInteger(), nullable=True))
    op.add_column('suite', sa.Column('created_by_id', sa.BigInteger(), nullable=True))
    op.create_index(op.f('ix_suite_catalog_id'), 'suite', ['catalog_id'], unique=False)
    op.create_foreign_key(op.f('fk_suite_catalog_id_catalog'), 'suite', 'catalog', ['catalog_id'], ['id'], ondelete='SET NULL')
    op.create_foreign_key(op.f('fk_suite_created_by_id_person'), 'suite', 'person', ['created_by_id'], ['id'])


def downgrade() -> None:
    op.drop_constraint(op.f('fk_suite_created_by_id_person'), 'suite', type_='foreignkey')
    op.drop_constraint(op.f('fk_suite_catalog_id_catalog'), 'suite', type_='foreignkey')
    op.drop_index(op.f('ix_suite_catalog_id'), table_name='suite')
    op.drop_column('suite', 'created_by_id')
    op.drop_column('suite', 'catalog_id')
    op.drop_constraint(op.f('fk_sheet_created_by_id_person'), 'sheet', type_='foreignkey')
    op.execute("delete from sheet where run_id is null")
    op.alter_column('sheet', 'run_id', existing_type=sa.BIGINT(), nullable=False)
    op.drop_column('sheet', 'created_by_id')
    op.drop_column('sheet', 'name')
    op.add_column('sample', sa.Column('sheet_id', sa.BIGINT(), nullable=True))
    op.execute(SHEET_OF_SAMPLE)
    op.execute("delete from sample where sheet_id is null")
    op.alter_column('sample', 'sheet_id', nullable=False)
    op.create_foreign_key(op.f('fk_sample_sheet_id_sheet'), 'sample', 'sheet', ['sheet_id'], ['id'], ondelete='CASCADE')
    op.drop_constraint(op.f('uq_sample_checkpoint_id_prompt_id_seed'), 'sample', type_='unique')
    op.drop_index(op.f('ix_sample_prompt_id'), table_name='sample')
    op.create_unique_constraint(op.f('uq_sample_sheet_id_checkpoint_id_prompt_id_seed'), 'sample', ['sheet_id', 'checkpoint_id', 'prompt_id', 'seed'], postgresql_nulls_not_distinct=False)
    op.create_index(op.f('ix_sample_sheet_id'), 'sample', ['sheet_id'], unique=False)
    op.create_index(op.f('ix_sample_checkpoint_id'), 'sample', ['checkpoint_id'], unique=False)
    op.drop_column('sample', 'made_with')
    op.drop_column('prompt', 'is_seen')
    op.drop_column('prompt', 'weight')
    op.drop_column('prompt', 'tier')
    op.drop_table('vote')
    op.drop_table('usable_answer')
    op.drop_table('failure_tag')
    op.drop_table('sample_measure')
    op.drop_table('guest')
    op.drop_table('sheet_link')
    op.drop_table('sheet_column')
    op.drop_table('promotion')
    op.drop_table('hold_out_use')
    op.drop_table('gate')
    op.drop_table('column_metric')
    op.drop_table('prompt_photo')
    op.drop_table('rule_profile')
