"""keep standings and wordings: what filters, facets and words ask about a photo, kept by triggers"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# As the triggers were when this migration was written. A migration imports no code that goes on changing.
KEEPERS = {
    "image": r"""
        insert into standing (image_id, catalog_id, category) select id, catalog_id, category from changed
        on conflict (image_id) do update set catalog_id = excluded.catalog_id, category = excluded.category
        where (standing.catalog_id, standing.category) is distinct from (excluded.catalog_id, excluded.category);
        insert into wording (image_id, of_image)
        select id, to_tsvector('simple', regexp_replace(
            concat_ws(' ', title, category, description, product, file_name), '(\W|_)+', ' ', 'g')) from changed
        on conflict (image_id) do update set of_image = excluded.of_image
        where wording.of_image is distinct from excluded.of_image""",
    "signals": """
        update standing set background = changed.background, colour = changed.subject_colour,
            sharpness = changed.sharpness, fill = changed.fill
        from changed where standing.image_id = changed.image_id""",
    "caption": r"""
        update standing set captioned_by = coalesce(caption.written_by, 'none')
        from (select distinct image_id from changed) as touched
        left join caption on caption.image_id = touched.image_id and caption.superseded_at is null
        where standing.image_id = touched.image_id
            and standing.captioned_by is distinct from coalesce(caption.written_by, 'none');
        update wording set of_caption = fresh.words
        from (
            select touched.image_id,
                to_tsvector('simple', regexp_replace(coalesce(caption.text, ''), '(\W|_)+', ' ', 'g')) as words
            from (select distinct image_id from changed) as touched
            left join caption on caption.image_id = touched.image_id and caption.superseded_at is null
        ) as fresh
        where wording.image_id = fresh.image_id and wording.of_caption is distinct from fresh.words""",
    "decision": """
        update standing set verdict = coalesce(decision.verdict, 'unseen'), rule = decision.rule
        from (select distinct image_id from changed) as touched
        left join decision on decision.image_id = touched.image_id and decision.superseded_at is null
        where standing.image_id = touched.image_id and
            (standing.verdict, standing.rule) is distinct from (coalesce(decision.verdict, 'unseen'), decision.rule)""",
}
TRIGGERS: tuple[str, ...] = tuple(
    statement
    for source, body in KEEPERS.items()
    for statement in (
        f"create or replace function keep_standing_of_{source}() returns trigger language plpgsql as "
        f"$$ begin {body}; return null; end $$",
        *(
            f"create or replace trigger keep_standing_{event} after {event} on {source} "
            f"referencing {rows} table as changed for each statement execute function keep_standing_of_{source}()"
            for event, rows in (("insert", "new"), ("update", "new"), ("delete", "old"))
            if event != "delete" or source in ("caption", "decision")
        ),
    )
)


def upgrade() -> None:
    if not sa.inspect(op.get_bind()).has_table("standing"):
        op.create_table(
            "standing",
            sa.Column("image_id", sa.BigInteger(), nullable=False),
            sa.Column("catalog_id", sa.BigInteger(), nullable=False),
            sa.Column("category", sa.Text(), nullable=True),
            sa.Column("background", sa.Text(), server_default="cannot tell", nullable=False),
            sa.Column("colour", sa.Text(), nullable=True),
            sa.Column("sharpness", sa.Float(), nullable=True),
            sa.Column("fill", sa.Float(), nullable=True),
            sa.Column("captioned_by", sa.Text(), server_default="none", nullable=False),
            sa.Column("verdict", sa.Text(), server_default="unseen", nullable=False),
            sa.Column("rule", sa.Text(), nullable=True),
            sa.ForeignKeyConstraint(
                ["image_id"], ["image.id"], name=op.f("fk_standing_image_id_image"), ondelete="CASCADE"
            ),
            sa.PrimaryKeyConstraint("image_id", name=op.f("pk_standing")),
        )
        op.create_index("ix_standing_catalog_id_image_id", "standing", ["catalog_id", "image_id"])
        op.create_table(
            "wording",
            sa.Column("image_id", sa.BigInteger(), nullable=False),
            sa.Column("of_image", postgresql.TSVECTOR(), server_default="", nullable=False),
            sa.Column("of_caption", postgresql.TSVECTOR(), server_default="", nullable=False),
            sa.Column("words", postgresql.TSVECTOR(), sa.Computed("of_image || of_caption", persisted=True), nullable=False),
            sa.ForeignKeyConstraint(
                ["image_id"], ["image.id"], name=op.f("fk_wording_image_id_image"), ondelete="CASCADE"
            ),
            sa.PrimaryKeyConstraint("image_id", name=op.f("pk_wording")),
        )
        op.create_index("ix_wording_words", "wording", ["words"], postgresql_using="gin")
    op.execute("create index if not exists ix_image_catalog_id_file_name on image (catalog_id, file_name, id)")
    for statement in TRIGGERS:
        op.execute(statement)
    # The triggers fill both tables for what is there already.
    for source in ("image", "signals", "caption", "decision"):
        op.execute(f"update {source} set {'id = id' if source != 'signals' else 'image_id = image_id'}")


def downgrade() -> None:
    for source in ("image", "signals", "caption", "decision"):
        op.execute(f"drop function keep_standing_of_{source}() cascade")
    op.drop_table("standing")
    op.drop_table("wording")
    op.drop_index("ix_image_catalog_id_file_name")
