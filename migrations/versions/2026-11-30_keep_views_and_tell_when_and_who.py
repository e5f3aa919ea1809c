"""keep filters by name; tell when photos were decided on and captioned, by whom, and how long captions are"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "5e07c1d9a4b3"
down_revision: str | None = "b4d81f6a20c7"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# As the triggers were when this migration was written. A migration imports no code that goes on changing.
TEXTS = r"""
        update photo_text set of_caption = fresh.words
        from (
            select touched.image_id, search_words(E'\x1f ' || coalesce(caption.text, '')) as words
            from (select distinct image_id from changed) as touched
            left join caption on caption.image_id = touched.image_id and caption.superseded_at is null
        ) as fresh
        where photo_text.image_id = fresh.image_id and photo_text.of_caption is distinct from fresh.words"""
KEEPERS = {
    "caption": r"""
        update photo_index set captioned_by = fresh.captioned_by, captioned_at = fresh.captioned_at,
            author_id = fresh.author_id, caption_characters = fresh.characters, caption_words = fresh.words
        from (
            select touched.image_id, coalesce(caption.written_by, 'none') as captioned_by,
                caption.created_at as captioned_at, caption.person_id as author_id, length(caption.text) as characters,
                regexp_count(caption.text, '\S+') as words
            from (select distinct image_id from changed) as touched
            left join caption on caption.image_id = touched.image_id and caption.superseded_at is null
        ) as fresh
        where photo_index.image_id = fresh.image_id and
            (photo_index.captioned_by, photo_index.captioned_at, photo_index.author_id, photo_index.caption_characters,
            photo_index.caption_words) is distinct from
            (fresh.captioned_by, fresh.captioned_at, fresh.author_id, fresh.characters, fresh.words);"""
    + TEXTS,
    "decision": """
        update photo_index set verdict = fresh.verdict, rule = fresh.rule, suggested = fresh.suggested,
            decided_by = fresh.decided_by, decided_at = fresh.decided_at, decider_id = fresh.decider_id
        from (
            select touched.image_id, decision.rule, decision.person_id as decider_id,
                case when decision.person_id is null then 'unseen' else decision.verdict end as verdict,
                case when decision.rule is not null then decision.verdict end as suggested,
                case when decision.id is null then 'none' when decision.rule is null then 'person' else 'rule' end
                    as decided_by,
                case when decision.person_id is not null then decision.created_at end as decided_at
            from (select distinct image_id from changed) as touched
            left join decision on decision.image_id = touched.image_id and decision.superseded_at is null
        ) as fresh
        where photo_index.image_id = fresh.image_id and (photo_index.verdict, photo_index.rule, photo_index.suggested,
            photo_index.decided_by, photo_index.decided_at, photo_index.decider_id) is distinct from
            (fresh.verdict, fresh.rule, fresh.suggested, fresh.decided_by, fresh.decided_at, fresh.decider_id)""",
}
BEFORE = {
    "caption": """
        update photo_index set captioned_by = coalesce(caption.written_by, 'none')
        from (select distinct image_id from changed) as touched
        left join caption on caption.image_id = touched.image_id and caption.superseded_at is null
        where photo_index.image_id = touched.image_id
            and photo_index.captioned_by is distinct from coalesce(caption.written_by, 'none');"""
    + TEXTS,
    "decision": """
        update photo_index set verdict = fresh.verdict, rule = fresh.rule, suggested = fresh.suggested,
            decided_by = fresh.decided_by
        from (
            select touched.image_id, decision.rule,
                case when decision.person_id is null then 'unseen' else decision.verdict end as verdict,
                case when decision.rule is not null then decision.verdict end as suggested,
                case when decision.id is null then 'none' when decision.rule is null then 'person' else 'rule' end
                    as decided_by
            from (select distinct image_id from changed) as touched
            left join decision on decision.image_id = touched.image_id and decision.superseded_at is null
        ) as fresh
        where photo_index.image_id = fresh.image_id and
            (photo_index.verdict, photo_index.rule, photo_index.suggested, photo_index.decided_by) is distinct from
            (fresh.verdict, fresh.rule, fresh.suggested, fresh.decided_by)""",
}
COLUMNS = {
    "decided_at": sa.DateTime(timezone=True),
    "decider_id": sa.BigInteger(),
    "captioned_at": sa.DateTime(timezone=True),
    "author_id": sa.BigInteger(),
    "caption_characters": sa.Integer(),
    "caption_words": sa.Integer(),
}


def upgrade() -> None:
    """Apply this step."""
    for name, kind in COLUMNS.items():
        op.add_column("photo_index", sa.Column(name, kind, nullable=True))
    op.execute(
        r"""
        update photo_index set decided_at = decision.created_at, decider_id = decision.person_id
        from decision where decision.image_id = photo_index.image_id and decision.superseded_at is null
            and decision.person_id is not null"""
    )
    op.execute(
        r"""
        update photo_index set captioned_at = caption.created_at, author_id = caption.person_id,
            caption_characters = length(caption.text), caption_words = regexp_count(caption.text, '\S+')
        from caption where caption.image_id = photo_index.image_id and caption.superseded_at is null"""
    )
    _keep(KEEPERS)
    op.create_table(
        "saved_view",
        sa.Column("id", sa.BigInteger(), sa.Identity(), primary_key=True),
        sa.Column("catalog_id", sa.BigInteger(), sa.ForeignKey("catalog.id", ondelete="CASCADE"), nullable=False),
        sa.Column("person_id", sa.BigInteger(), sa.ForeignKey("person.id"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("query", sa.Text(), nullable=False),
        sa.Column("sort", sa.Text(), nullable=False),
        sa.Column("is_shared", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_saved_view_catalog_id", "saved_view", ["catalog_id"])


def downgrade() -> None:
    """Take this step back."""
    op.drop_table("saved_view")
    _keep(BEFORE)
    for name in COLUMNS:
        op.drop_column("photo_index", name)


def _keep(bodies: dict[str, str]) -> None:
    for source, body in bodies.items():
        op.execute(
            f"create or replace function keep_photo_index_of_{source}() returns trigger language plpgsql as "
            f"$$ begin {body}; return null; end $$"
        )
