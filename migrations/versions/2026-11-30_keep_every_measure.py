"""keep every measure in the photo index, how much of a photo is text, and how far it is from all others"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "b7d20c94e1f5"
down_revision: str | None = "4f16bd0aa091"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

MEASURES = ("coverage", "offset_x", "offset_y", "background_delta_e", "whiteness", "uniformity")
# As they were when this migration was written, and before. A migration imports no code that goes on changing.
SIGNALS = r"""
        update photo_index set background = coalesce(signals.background, 'cannot tell'),
            colour = signals.subject_colour, sharpness = signals.sharpness, fill = signals.fill,
            confidence = signals.confidence, cropped = case when signals.is_cropped then 'yes'
                when not signals.is_cropped then 'no' else 'cannot tell' end,
            coverage = signals.coverage, offset_x = signals.offset_x, offset_y = signals.offset_y,
            background_colour = signals.background_colour, background_delta_e = signals.background_delta_e,
            whiteness = signals.whiteness, uniformity = signals.uniformity,
            contrast = signals.contrast, brightness = signals.brightness, clipped_light = signals.clipped_light,
            clipped_dark = signals.clipped_dark, shadow = signals.shadow, chroma = signals.chroma,
            blockiness = signals.blockiness, detail = signals.detail, border = signals.border, seam = signals.seam,
            parts = signals.parts
        from (select distinct image_id from changed) as touched
        left join signals on signals.image_id = touched.image_id
        where photo_index.image_id = touched.image_id"""
SIGNALS_BEFORE = r"""
        update photo_index set background = coalesce(signals.background, 'cannot tell'),
            colour = signals.subject_colour, sharpness = signals.sharpness, fill = signals.fill,
            confidence = signals.confidence, is_cropped = jsonb_array_length(signals.cropped_edges) > 0,
            contrast = signals.contrast, brightness = signals.brightness, clipped_light = signals.clipped_light,
            clipped_dark = signals.clipped_dark, shadow = signals.shadow, chroma = signals.chroma,
            blockiness = signals.blockiness, detail = signals.detail, border = signals.border, seam = signals.seam,
            parts = signals.parts
        from (select distinct image_id from changed) as touched
        left join signals on signals.image_id = touched.image_id
        where photo_index.image_id = touched.image_id"""
LETTERING = r"""
        update photo_index set lettering = fresh.place, writing = fresh.kinds, text_share = fresh.share
        from (
            select touched.image_id, coalesce(lettering.place, 'not read') as place,
                coalesce(lettering.kinds, '{}') as kinds, lettering.share
            from (select distinct image_id from changed) as touched
            left join lettering on lettering.image_id = touched.image_id
        ) as fresh
        where photo_index.image_id = fresh.image_id
            and (photo_index.lettering, photo_index.writing, photo_index.text_share)
            is distinct from (fresh.place, fresh.kinds, fresh.share);
        update photo_text set of_picture = fresh.words
        from (
            select touched.image_id, search_words(
                E'\x1f ' || replace(coalesce(lettering.words, ''), E'\n', E' \x1f ')) as words
            from (select distinct image_id from changed) as touched
            left join lettering on lettering.image_id = touched.image_id
        ) as fresh
        where photo_text.image_id = fresh.image_id and photo_text.of_picture is distinct from fresh.words"""
LETTERING_BEFORE = r"""
        update photo_index set lettering = coalesce(lettering.place, 'not read')
        from (select distinct image_id from changed) as touched
        left join lettering on lettering.image_id = touched.image_id
        where photo_index.image_id = touched.image_id
            and photo_index.lettering is distinct from coalesce(lettering.place, 'not read');
        update photo_text set of_picture = fresh.words, kinds = fresh.kinds
        from (
            select touched.image_id, coalesce(lettering.kinds, '{}') as kinds, search_words(
                E'\x1f ' || replace(coalesce(lettering.words, ''), E'\n', E' \x1f ')) as words
            from (select distinct image_id from changed) as touched
            left join lettering on lettering.image_id = touched.image_id
        ) as fresh
        where photo_text.image_id = fresh.image_id and (photo_text.of_picture, photo_text.kinds)
            is distinct from (fresh.words, fresh.kinds)"""
PHOTO_MAP = r"""
        update photo_index set apart = fresh.apart
        from (
            select own.image_id, told.apart from photo_index as own
            left join (
                select each.image_id, each.apart from changed
                cross join lateral unnest(changed.image_ids, changed.apart) as each (image_id, apart)
            ) as told on told.image_id = own.image_id
            where own.catalog_id in (select catalog_id from changed)
        ) as fresh
        where photo_index.image_id = fresh.image_id and photo_index.apart is distinct from fresh.apart"""
# A line is trusted from a score of 0.9 on, with two letters or digits at the least; its box is x0, y0, x1, y1.
SHARES = """
    update lettering set share = told.share from (
        select image_id, round(least(1.0, sum(
            ((line->'box'->>2)::float8 - (line->'box'->>0)::float8)
            * ((line->'box'->>3)::float8 - (line->'box'->>1)::float8)))::numeric, 4) as share
        from lettering, jsonb_array_elements(lines) as line
        where (line->>'score')::float8 >= 0.9
            and length(regexp_replace(line->>'text', '[^[:alnum:]]', '', 'g')) >= 2
        group by image_id
    ) as told
    where lettering.image_id = told.image_id"""
INDEXED = """
    update photo_index set cropped = case when signals.is_cropped then 'yes'
            when not signals.is_cropped then 'no' else 'cannot tell' end,
        coverage = signals.coverage, offset_x = signals.offset_x, offset_y = signals.offset_y,
        background_colour = signals.background_colour, background_delta_e = signals.background_delta_e,
        whiteness = signals.whiteness, uniformity = signals.uniformity
    from signals where signals.image_id = photo_index.image_id"""
WRITTEN = """
    update photo_index set writing = lettering.kinds, text_share = lettering.share
    from lettering where lettering.image_id = photo_index.image_id"""


def upgrade() -> None:
    """Apply this step."""
    op.add_column("lettering", sa.Column("share", sa.Float(), server_default="0", nullable=False))
    apart = sa.Column("apart", postgresql.ARRAY(sa.REAL()), server_default="{}", nullable=False)
    op.add_column("photo_map", apart)
    for name in (*MEASURES, "text_share", "apart"):
        op.add_column("photo_index", sa.Column(name, sa.Float(), nullable=True))
    op.add_column("photo_index", sa.Column("background_colour", sa.Text(), nullable=True))
    op.add_column("photo_index", sa.Column("cropped", sa.Text(), server_default="cannot tell", nullable=False))
    kinds = sa.Column("writing", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False)
    op.add_column("photo_index", kinds)
    op.drop_column("photo_index", "is_cropped")
    op.drop_column("photo_text", "kinds")
    _keep("signals", SIGNALS)
    _keep("lettering", LETTERING)
    _keep("photo_map", PHOTO_MAP)
    for event, rows in (("insert", "new"), ("update", "new"), ("delete", "old")):
        op.execute(
            f"create or replace trigger keep_photo_index_{event} after {event} on photo_map "
            f"referencing {rows} table as changed "
            "for each statement execute function keep_photo_index_of_photo_map()"
        )
    for statement in (SHARES, INDEXED, WRITTEN):
        op.get_bind().exec_driver_sql(statement)


def downgrade() -> None:
    """Take it back."""
    for event in ("insert", "update", "delete"):
        op.execute(f"drop trigger keep_photo_index_{event} on photo_map")
    op.execute("drop function keep_photo_index_of_photo_map()")
    op.add_column("photo_index", sa.Column("is_cropped", sa.Boolean(), nullable=True))
    op.execute("update photo_index set is_cropped = cropped = 'yes'")
    kinds = sa.Column("kinds", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False)
    op.add_column("photo_text", kinds)
    op.execute("update photo_text set kinds = lettering.kinds from lettering where lettering.image_id = photo_text.image_id")
    _keep("signals", SIGNALS_BEFORE)
    _keep("lettering", LETTERING_BEFORE)
    for name in (*MEASURES, "text_share", "apart", "background_colour", "cropped", "writing"):
        op.drop_column("photo_index", name)
    op.drop_column("photo_map", "apart")
    op.drop_column("lettering", "share")


def _keep(source: str, body: str) -> None:
    """Put in how the photo index follows this table."""
    op.get_bind().exec_driver_sql(
        f"create or replace function keep_photo_index_of_{source}() returns trigger language plpgsql as "
        f"$$ begin {body}; return null; end $$"
    )
