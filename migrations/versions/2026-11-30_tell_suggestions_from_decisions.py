"""tell suggestions of rules from decisions of people; rules set per catalog; captions checked once; who was unseen in a version"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "9d41b7c06e2f"
down_revision: str | None = "c41d7a90be36"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# As the triggers were when this migration was written. A migration imports no code that goes on changing.
KEEPERS = {
    "image": r"""
        insert into photo_index (image_id, catalog_id, category, longest_px, shortest_px)
        select id, catalog_id, category, greatest(width_px, height_px), least(width_px, height_px) from changed
        on conflict (image_id) do update set catalog_id = excluded.catalog_id, category = excluded.category,
            longest_px = excluded.longest_px, shortest_px = excluded.shortest_px
        where (photo_index.catalog_id, photo_index.category, photo_index.longest_px, photo_index.shortest_px)
            is distinct from
            (excluded.catalog_id, excluded.category, excluded.longest_px, excluded.shortest_px);
        insert into photo_text (image_id, of_image)
        select id, to_tsvector('simple', regexp_replace(
            concat_ws(' ', title, category, description, product, file_name), '(\W|_)+', ' ', 'g')) from changed
        on conflict (image_id) do update set of_image = excluded.of_image
        where photo_text.of_image is distinct from excluded.of_image""",
    "signals": """
        update photo_index set background = changed.background, colour = changed.subject_colour,
            sharpness = changed.sharpness, fill = changed.fill, confidence = changed.confidence,
            is_cropped = jsonb_array_length(changed.cropped_edges) > 0, contrast = changed.contrast
        from changed where photo_index.image_id = changed.image_id""",
    "caption_check": """
        update photo_index set is_contradicted = caption_check.contradiction is not null
        from (select distinct image_id from changed) as touched
        left join caption_check on caption_check.image_id = touched.image_id
        where photo_index.image_id = touched.image_id
            and photo_index.is_contradicted is distinct from (caption_check.contradiction is not null)""",
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
BEFORE = {
    "image": r"""
        insert into photo_index (image_id, catalog_id, category) select id, catalog_id, category from changed
        on conflict (image_id) do update set catalog_id = excluded.catalog_id, category = excluded.category
        where (photo_index.catalog_id, photo_index.category) is distinct from (excluded.catalog_id, excluded.category);
        insert into photo_text (image_id, of_image)
        select id, to_tsvector('simple', regexp_replace(
            concat_ws(' ', title, category, description, product, file_name), '(\W|_)+', ' ', 'g')) from changed
        on conflict (image_id) do update set of_image = excluded.of_image
        where photo_text.of_image is distinct from excluded.of_image""",
    "signals": """
        update photo_index set background = changed.background, colour = changed.subject_colour,
            sharpness = changed.sharpness, fill = changed.fill
        from changed where photo_index.image_id = changed.image_id""",
    "decision": """
        update photo_index set verdict = coalesce(decision.verdict, 'unseen'), rule = decision.rule
        from (select distinct image_id from changed) as touched
        left join decision on decision.image_id = touched.image_id and decision.superseded_at is null
        where photo_index.image_id = touched.image_id and
            (photo_index.verdict, photo_index.rule) is distinct from
            (coalesce(decision.verdict, 'unseen'), decision.rule)""",
}
COLUMNS = ("suggested", "decided_by", "contrast", "longest_px", "shortest_px", "confidence", "is_cropped", "is_contradicted")


def upgrade() -> None:
    _create_tables()
    op.add_column("photo_index", sa.Column("suggested", sa.Text(), nullable=True))
    op.add_column("photo_index", sa.Column("decided_by", sa.Text(), server_default="none", nullable=False))
    for name in ("contrast", "longest_px", "shortest_px"):
        op.add_column("photo_index", sa.Column(name, sa.Float(), nullable=True))
    op.add_column("photo_index", sa.Column("confidence", sa.Float(), nullable=True))
    op.add_column("photo_index", sa.Column("is_cropped", sa.Boolean(), nullable=True))
    op.add_column("photo_index", sa.Column("is_contradicted", sa.Boolean(), server_default=sa.false(), nullable=False))
    _keep(KEEPERS)
    for event, rows in (("insert", "new"), ("update", "new"), ("delete", "old")):
        op.execute(
            f"create or replace trigger keep_photo_index_{event} after {event} on caption_check "
            f"referencing {rows} table as changed for each statement execute function keep_photo_index_of_caption_check()"
        )
    # The triggers fill the new columns for what is there already.
    op.execute("update image set id = id")
    op.execute("update signals set image_id = image_id")
    op.execute("update decision set id = id where superseded_at is null")
    op.add_column("dataset_version", sa.Column("unseen_count", sa.Integer(), nullable=True))
    # Until now "decision:kept" meant what rules had kept too; versions go on saying what was taken.
    op.execute(
        r"update dataset_version set selection = selection || ' by:person,rule' "
        r"where selection ~ '(^|\s)decision:' and selection !~ 'unseen'"
    )
    # Of each member what stood when its version was frozen: the newest decision made by then and not yet superseded.
    op.execute(
        """
        update dataset_version set unseen_count = (
            select count(*) filter (where stood.person_id is null) from member
            left join lateral (
                select decision.person_id from decision
                where decision.image_id = member.image_id and decision.created_at <= dataset_version.frozen_at
                    and (decision.superseded_at is null or decision.superseded_at > dataset_version.frozen_at)
                order by decision.id desc limit 1
            ) as stood on true
            where member.version_id = dataset_version.id
        ) where frozen_at is not null"""
    )


def downgrade() -> None:
    op.drop_column("dataset_version", "unseen_count")
    op.execute("update dataset_version set selection = replace(selection, ' by:person,rule', '')")
    op.execute("drop function keep_photo_index_of_caption_check() cascade")
    _keep(BEFORE)
    op.execute("update decision set id = id where superseded_at is null")
    for name in COLUMNS:
        op.drop_column("photo_index", name)
    op.drop_table("rule_set")
    op.drop_table("caption_check")


def _create_tables() -> None:
    op.create_table(
        "caption_check",
        sa.Column("image_id", sa.BigInteger(), nullable=False),
        sa.Column("caption_id", sa.BigInteger(), nullable=False),
        sa.Column("measured_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("contradiction", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["image_id"], ["image.id"], name=op.f("fk_caption_check_image_id_image"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["caption_id"], ["caption.id"], name=op.f("fk_caption_check_caption_id_caption"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("image_id", name=op.f("pk_caption_check")),
    )
    op.create_index(op.f("ix_caption_check_caption_id"), "caption_check", ["caption_id"])
    op.create_table(
        "rule_set",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("catalog_id", sa.BigInteger(), nullable=False),
        sa.Column("settings", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("superseded_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["catalog_id"], ["catalog.id"], name=op.f("fk_rule_set_catalog_id_catalog")),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_rule_set_person_id_person")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rule_set")),
    )
    op.create_index(op.f("ix_rule_set_catalog_id"), "rule_set", ["catalog_id"])
    op.create_index(
        "uq_rule_set_current", "rule_set", ["catalog_id"], unique=True, postgresql_where=sa.text("superseded_at is null")
    )


def _keep(keepers: dict[str, str]) -> None:
    for source, body in keepers.items():
        op.execute(
            f"create or replace function keep_photo_index_of_{source}() returns trigger language plpgsql as "
            f"$$ begin {body}; return null; end $$"
        )
