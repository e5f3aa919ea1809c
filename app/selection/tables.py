"""What filters and searches ask of a photo, in few columns, kept by triggers.

The triggers are made together with the tables, so that `review`, whose rows they follow, need not know of them.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Computed, Connection, ForeignKey, Index, MetaData, Text, event
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from app.catalog.tables import Image
from app.database import Base


class PhotoIndex(Base):
    """Where a photo stands now, in one narrow row: everything that a filter or a facet asks for, without a join.

    Counting facets over four joined tables is what makes a grid slow. Triggers keep this table (see `TRIGGERS`), in the
    writer's own transaction and whoever writes, so it never differs from the rows it repeats; nothing else writes it.
    """

    __tablename__ = "photo_index"
    __table_args__ = (Index("ix_photo_index_catalog_id_image_id", "catalog_id", "image_id"),)

    image_id: Mapped[int] = mapped_column(ForeignKey(Image.id, ondelete="CASCADE"), primary_key=True)
    catalog_id: Mapped[int] = mapped_column(BigInteger)
    category: Mapped[str | None] = mapped_column(Text)
    category_key: Mapped[str | None] = mapped_column(Text)  # equal for spellings of one category
    background: Mapped[str] = mapped_column(Text, server_default="cannot tell")
    colour: Mapped[str | None] = mapped_column(Text)
    sharpness: Mapped[float | None]
    fill: Mapped[float | None]
    captioned_by: Mapped[str] = mapped_column(Text, server_default="none")
    verdict: Mapped[str] = mapped_column(Text, server_default="unseen")
    rule: Mapped[str | None] = mapped_column(Text)


class PhotoText(Base):
    """The words of a photo's texts and of its current caption, as `search_words` makes them, for finding photos.

    Kept by triggers like `PhotoIndex`, and apart from it, which would no longer be narrow.
    """

    __tablename__ = "photo_text"
    __table_args__ = (Index("ix_photo_text_words", "words", postgresql_using="gin"),)

    image_id: Mapped[int] = mapped_column(ForeignKey(Image.id, ondelete="CASCADE"), primary_key=True)
    of_image: Mapped[str] = mapped_column(TSVECTOR, server_default="")
    of_caption: Mapped[str] = mapped_column(TSVECTOR, server_default="")
    words: Mapped[str] = mapped_column(TSVECTOR, Computed("of_image || of_caption", persisted=True))


# Each source table sets only its own columns, so that two writers of different sources never overwrite each other.
_KEEPERS = {
    "image": """
        insert into photo_index (image_id, catalog_id, category, category_key)
        select id, catalog_id, category, category_key from changed
        on conflict (image_id) do update set catalog_id = excluded.catalog_id, category = excluded.category,
            category_key = excluded.category_key
        where (photo_index.catalog_id, photo_index.category) is distinct from (excluded.catalog_id, excluded.category);
        insert into photo_text (image_id, of_image)
        select id, search_words(concat_ws(' ', title, category, description, product, file_name)) from changed
        on conflict (image_id) do update set of_image = excluded.of_image
        where photo_text.of_image is distinct from excluded.of_image""",
    "signals": """
        update photo_index set background = coalesce(signals.background, 'cannot tell'),
            colour = signals.subject_colour, sharpness = signals.sharpness, fill = signals.fill
        from (select distinct image_id from changed) as touched
        left join signals on signals.image_id = touched.image_id
        where photo_index.image_id = touched.image_id""",
    "caption": """
        update photo_index set captioned_by = coalesce(caption.written_by, 'none')
        from (select distinct image_id from changed) as touched
        left join caption on caption.image_id = touched.image_id and caption.superseded_at is null
        where photo_index.image_id = touched.image_id
            and photo_index.captioned_by is distinct from coalesce(caption.written_by, 'none');
        update photo_text set of_caption = fresh.words
        from (
            select touched.image_id, search_words(coalesce(caption.text, '')) as words
            from (select distinct image_id from changed) as touched
            left join caption on caption.image_id = touched.image_id and caption.superseded_at is null
        ) as fresh
        where photo_text.image_id = fresh.image_id and photo_text.of_caption is distinct from fresh.words""",
    "decision": """
        update photo_index set verdict = coalesce(decision.verdict, 'unseen'), rule = decision.rule
        from (select distinct image_id from changed) as touched
        left join decision on decision.image_id = touched.image_id and decision.superseded_at is null
        where photo_index.image_id = touched.image_id and
            (photo_index.verdict, photo_index.rule) is distinct from
            (coalesce(decision.verdict, 'unseen'), decision.rule)""",
}
TRIGGERS: tuple[str, ...] = tuple(
    statement
    for source, body in _KEEPERS.items()
    for statement in (
        f"create or replace function keep_photo_index_of_{source}() returns trigger language plpgsql as "
        f"$$ begin {body}; return null; end $$",
        *(
            f"create or replace trigger keep_photo_index_{event} after {event} on {source} "
            f"referencing {rows} table as changed for each statement execute function keep_photo_index_of_{source}()"
            for event, rows in (("insert", "new"), ("update", "new"), ("delete", "old"))
            if event != "delete" or source != "image"
        ),
    )
)


def _keep_photo_index(_metadata: MetaData, connection: Connection, **_: object) -> None:
    for statement in TRIGGERS:
        connection.exec_driver_sql(statement)


event.listen(Base.metadata, "after_create", _keep_photo_index)
