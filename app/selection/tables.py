"""What filters and searches ask of a photo, in few columns, kept by triggers.

The triggers are made together with the tables, so that `review`, whose rows they follow, need not know of them.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Computed, Connection, ForeignKey, Index, MetaData, Text, event, false, text
from sqlalchemy.dialects.postgresql import ARRAY, TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from app.catalog.tables import Image
from app.database import Base, Moment


class PhotoIndex(Base):
    """Where a photo stands now, in one narrow row: everything that a filter or a facet asks for, without a join.

    Counting facets over four joined tables is what makes a grid slow. Triggers keep this table (see `TRIGGERS`), in the
    writer's own transaction and whoever writes, so it never differs from the rows it repeats; nothing else writes it.
    """

    __tablename__ = "photo_index"
    __table_args__ = (
        Index("ix_photo_index_catalog_id_image_id", "catalog_id", "image_id"),
        Index(
            "ix_photo_index_assignee_id_catalog_id", "assignee_id", "catalog_id",
            postgresql_where=text("assignee_id is not null"),
        ),
        Index(
            "ix_photo_index_uncounted", "catalog_id",
            postgresql_where=text("captioned_by <> 'none' and tokens_by is null"),
        ),
        Index("ix_photo_index_unlinted", "catalog_id", postgresql_where=text("lints = '{unchecked}'")),
    )  # fmt: skip

    image_id: Mapped[int] = mapped_column(ForeignKey(Image.id, ondelete="CASCADE"), primary_key=True)
    catalog_id: Mapped[int] = mapped_column(BigInteger)
    category: Mapped[str | None] = mapped_column(Text)
    category_key: Mapped[str | None] = mapped_column(Text)  # equal for spellings of one category
    background: Mapped[str] = mapped_column(Text, server_default="cannot tell")
    colour: Mapped[str | None] = mapped_column(Text)
    sharpness: Mapped[float | None]
    fill: Mapped[float | None]
    captioned_by: Mapped[str] = mapped_column(Text, server_default="none")
    verdict: Mapped[str] = mapped_column(Text, server_default="unseen")  # a person's; unseen while no person decided
    rule: Mapped[str | None] = mapped_column(Text)  # the one that suggests something; None once a person decided
    suggested: Mapped[str | None] = mapped_column(Text)  # what it suggests
    decided_by: Mapped[str] = mapped_column(Text, server_default="none")  # person, rule (a suggestion only) or none
    decided_at: Mapped[Moment | None]  # by a person, as is the next
    decider_id: Mapped[int | None] = mapped_column(BigInteger)
    captioned_at: Mapped[Moment | None]
    author_id: Mapped[int | None] = mapped_column(BigInteger)  # of the caption, where it is a person
    caption_characters: Mapped[int | None]
    caption_words: Mapped[int | None]
    # Tokens of the caption to text encoders, and by which tokenizers they were counted; None: not counted yet.
    tokens_clip: Mapped[int | None]
    tokens_t5: Mapped[int | None]
    tokens_gemma: Mapped[int | None]
    tokens_qwen: Mapped[int | None]
    tokens_nano: Mapped[int | None]
    tokens_by: Mapped[str | None] = mapped_column(Text)
    kinds: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")  # of its current captions
    lints: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")  # what its caption is better without
    contrast: Mapped[float | None]
    longest_px: Mapped[float | None]
    shortest_px: Mapped[float | None]
    confidence: Mapped[float | None]
    cropped: Mapped[str] = mapped_column(Text, server_default="cannot tell")  # yes, no
    coverage: Mapped[float | None]
    offset_x: Mapped[float | None]
    offset_y: Mapped[float | None]
    background_colour: Mapped[str | None] = mapped_column(Text)
    background_delta_e: Mapped[float | None]
    whiteness: Mapped[float | None]
    uniformity: Mapped[float | None]
    is_contradicted: Mapped[bool] = mapped_column(server_default=false())
    brightness: Mapped[float | None]
    clipped_light: Mapped[float | None]
    clipped_dark: Mapped[float | None]
    shadow: Mapped[float | None]
    chroma: Mapped[float | None]
    blockiness: Mapped[float | None]
    detail: Mapped[float | None]
    border: Mapped[float | None]
    seam: Mapped[float | None]
    parts: Mapped[int | None]
    lettering: Mapped[str] = mapped_column(Text, server_default="not read")  # where text stands in the picture
    writing: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")  # kinds of that text
    text_share: Mapped[float | None]
    apart: Mapped[float | None]  # from the photos that look most like it
    labels: Mapped[list[int]] = mapped_column(ARRAY(BigInteger), server_default="{}")  # numbers of `label_value`
    assignee_id: Mapped[int | None] = mapped_column(BigInteger)  # whose it is to look at


class PhotoText(Base):
    """The words of a photo's texts, of its current captions and in its picture, as `search_words` makes them.

    Kept by triggers like `PhotoIndex`, and apart from it, which would no longer be narrow. `words` are those that are
    searched where no text is named, which captions of other kinds are not among.
    """

    __tablename__ = "photo_text"
    __table_args__ = (
        Index("ix_photo_text_words", "words", postgresql_using="gin"),
        Index("ix_photo_text_of_kinds", "of_short", "of_tags", "of_facts", postgresql_using="gin"),
    )

    image_id: Mapped[int] = mapped_column(ForeignKey(Image.id, ondelete="CASCADE"), primary_key=True)
    of_image: Mapped[str] = mapped_column(TSVECTOR, server_default="")
    of_caption: Mapped[str] = mapped_column(TSVECTOR, server_default="")
    of_short: Mapped[str] = mapped_column(TSVECTOR, server_default="")
    of_tags: Mapped[str] = mapped_column(TSVECTOR, server_default="")
    of_facts: Mapped[str] = mapped_column(TSVECTOR, server_default="")
    caption_id: Mapped[int | None] = mapped_column(BigInteger)  # whose words these are; 0: none's; None: not noted yet
    of_picture: Mapped[str] = mapped_column(TSVECTOR, server_default="")
    words: Mapped[str] = mapped_column(TSVECTOR, Computed("of_image || of_caption || of_picture", persisted=True))


_COUNTS = """counted.counted_by,
                cast(counted.counts ->> 'clip' as integer) as clip,
                cast(counted.counts ->> 't5' as integer) as t5,
                cast(counted.counts ->> 'gemma' as integer) as gemma,
                cast(counted.counts ->> 'qwen' as integer) as qwen,
                cast(counted.counts ->> 'nano' as integer) as nano"""
# Each source table sets only its own columns, so that two writers of different sources never overwrite each other.
_KEEP_TOKENS = f"""
        update photo_index set (tokens_clip, tokens_t5, tokens_gemma, tokens_qwen, tokens_nano, tokens_by) =
            (fresh.clip, fresh.t5, fresh.gemma, fresh.qwen, fresh.nano, fresh.counted_by)
        from (
            select touched.image_id, {_COUNTS}
            from (select distinct image_id from changed) as touched
            left join caption on caption.image_id = touched.image_id and caption.kind = 'long'
                and caption.superseded_at is null
            left join caption_tokens as counted on counted.caption_id = caption.id
        ) as fresh
        where photo_index.image_id = fresh.image_id and (photo_index.tokens_clip, photo_index.tokens_t5,
            photo_index.tokens_gemma, photo_index.tokens_qwen, photo_index.tokens_nano, photo_index.tokens_by)
            is distinct from
            (fresh.clip, fresh.t5, fresh.gemma, fresh.qwen, fresh.nano, fresh.counted_by)"""  # noqa: S608
UNCHECKED = "unchecked"
"""Stands in place of what a caption is better without while nobody looked at it as it stands."""
_LINTS = rf"""case when caption.id is null then '{{}}'
                when linted.caption_id = caption.id and linted.read_at is not distinct from lettering.read_at
                    and linted.catalogue = md5(concat_ws(E'\x1f', image.title, image.category, image.description,
                        image.product)) then linted.kinds
                else '{{{UNCHECKED}}}' end"""
_WITH_LINT = """
            left join caption on caption.image_id = touched.image_id and caption.kind = 'long'
                and caption.superseded_at is null
            left join caption_lint as linted on linted.image_id = touched.image_id
            left join lettering on lettering.image_id = touched.image_id
            left join image on image.id = touched.image_id"""
_KEEP_LINTS = f"""
        update photo_index set lints = fresh.lints
        from (
            select touched.image_id, {_LINTS} as lints
            from (select distinct image_id from changed) as touched{_WITH_LINT}
        ) as fresh
        where photo_index.image_id = fresh.image_id and photo_index.lints is distinct from fresh.lints"""  # noqa: S608
# What takes the place of a caption is written by the statement that supersedes it, and of the two triggers that follow
# the one of what is new says it all: the other would join a catalog's captions once more to find nothing to do.
_UNLESS_REPLACED = """
        if tg_op = 'UPDATE' and not exists (
            select from changed where superseded_at is null or not exists (
                select from caption as newer where newer.parent_id = changed.id and newer.superseded_at is null))
        then
            return null;
        end if;"""
_KEEP_CAPTION = rf"""
        update photo_index set captioned_by = fresh.captioned_by, captioned_at = fresh.captioned_at,
            author_id = fresh.author_id, caption_characters = fresh.characters, caption_words = fresh.words,
            kinds = fresh.kinds, lints = fresh.lints,
            tokens_clip = fresh.clip, tokens_t5 = fresh.t5, tokens_gemma = fresh.gemma, tokens_qwen = fresh.qwen,
            tokens_nano = fresh.nano, tokens_by = fresh.counted_by
        from (
            select touched.image_id, coalesce(caption.written_by, 'none') as captioned_by,
                caption.created_at as captioned_at, caption.person_id as author_id, length(caption.text) as characters,
                regexp_count(caption.text, '\S+') as words, array(
                    select each.kind from caption as each
                    where each.image_id = touched.image_id and each.superseded_at is null order by 1) as kinds,
                {_LINTS} as lints, {_COUNTS}
            from (select distinct image_id from changed) as touched{_WITH_LINT}
            left join caption_tokens as counted on counted.caption_id = caption.id
        ) as fresh
        where photo_index.image_id = fresh.image_id and
            (photo_index.captioned_by, photo_index.captioned_at, photo_index.author_id, photo_index.caption_characters,
            photo_index.caption_words, photo_index.kinds, photo_index.lints, photo_index.tokens_clip,
            photo_index.tokens_t5, photo_index.tokens_gemma, photo_index.tokens_qwen, photo_index.tokens_nano,
            photo_index.tokens_by) is distinct from
            (fresh.captioned_by, fresh.captioned_at, fresh.author_id, fresh.characters, fresh.words, fresh.kinds,
            fresh.lints, fresh.clip, fresh.t5, fresh.gemma, fresh.qwen, fresh.nano, fresh.counted_by);"""  # noqa: S608
# A caption is never edited, so that its number tells whether its words are in the index already: a statement that
# supersedes one and writes another comes here twice, and parting a text into words is most of what it costs.
_KEEP_CAPTION_WORDS = r"""
        update photo_text set of_caption = search_words(E'\x1f ' || coalesce(fresh.text, '')),
            caption_id = fresh.caption_id
        from (
            select touched.image_id, coalesce(caption.id, 0) as caption_id, caption.text
            from (select distinct image_id from changed where kind = 'long') as touched
            left join caption on caption.image_id = touched.image_id and caption.kind = 'long'
                and caption.superseded_at is null
        ) as fresh
        where photo_text.image_id = fresh.image_id and photo_text.caption_id is distinct from fresh.caption_id"""
# Of each other kind by itself: hardly any statement writes captions of two.
_KEEP_OTHER_WORDS = "".join(
    rf"""
        update photo_text set {column} = fresh.words
        from (
            select touched.image_id, search_words(E'\x1f ' || coalesce(caption.text, '')) as words
            from (select distinct image_id from changed where kind = '{kind}') as touched
            left join caption on caption.image_id = touched.image_id and caption.kind = '{kind}'
                and caption.superseded_at is null
        ) as fresh
        where photo_text.image_id = fresh.image_id and photo_text.{column} is distinct from fresh.words;"""  # noqa: S608
    for kind, column in (("short", "of_short"), ("tags", "of_tags"), ("facts", "of_facts"))
)
_KEEP_IMAGE = """
        insert into photo_index (image_id, catalog_id, category, category_key, longest_px, shortest_px)
        select id, catalog_id, category, category_key, greatest(width_px, height_px), least(width_px, height_px)
        from changed
        on conflict (image_id) do update set catalog_id = excluded.catalog_id, category = excluded.category,
            category_key = excluded.category_key, longest_px = excluded.longest_px, shortest_px = excluded.shortest_px
        where (photo_index.catalog_id, photo_index.category, photo_index.category_key, photo_index.longest_px,
            photo_index.shortest_px) is distinct from
            (excluded.catalog_id, excluded.category, excluded.category_key, excluded.longest_px, excluded.shortest_px);
        insert into photo_text (image_id, of_image)
        select id, search_words(concat_ws(E' \\x1f ', title, category, description, product, file_name)) from changed
        on conflict (image_id) do update set of_image = excluded.of_image
        where photo_text.of_image is distinct from excluded.of_image;"""
_KEEPERS = {
    "image": _KEEP_IMAGE
    # Of few: a caption that nobody looked at stays so whatever its photo is called.
    + _KEEP_LINTS.replace(
        "select distinct image_id from changed",
        "select changed.id as image_id from changed join caption_lint on caption_lint.image_id = changed.id",
    ),
    "signals": """
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
        where photo_index.image_id = touched.image_id""",
    "caption": _UNLESS_REPLACED + _KEEP_CAPTION + _KEEP_OTHER_WORDS + _KEEP_CAPTION_WORDS,
    "caption_tokens": _KEEP_TOKENS,
    "caption_lint": _KEEP_LINTS,
    "caption_check": """
        update photo_index set is_contradicted = caption_check.contradiction is not null
        from (select distinct image_id from changed) as touched
        left join caption_check on caption_check.image_id = touched.image_id
        where photo_index.image_id = touched.image_id
            and photo_index.is_contradicted is distinct from (caption_check.contradiction is not null)""",
    "lettering": """
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
                E'\\x1f ' || replace(coalesce(lettering.words, ''), E'\\n', E' \\x1f ')) as words
            from (select distinct image_id from changed) as touched
            left join lettering on lettering.image_id = touched.image_id
        ) as fresh
        where photo_text.image_id = fresh.image_id and photo_text.of_picture is distinct from fresh.words;"""  # noqa: S608
    + _KEEP_LINTS,
    # An update locks what it reads, and for that carries each row of a transition table along whole: the numbers of a
    # map with every one of its photos. A materialized query holds the two that are needed.
    "photo_map": """
        with of as materialized (select distinct catalog_id from changed),
        told as materialized (
            select each.image_id, each.apart from changed
            cross join lateral unnest(changed.image_ids, changed.apart) as each (image_id, apart)
        )
        update photo_index set apart = fresh.apart
        from (
            select own.image_id, told.apart from photo_index as own
            left join told on told.image_id = own.image_id
            where own.catalog_id in (select catalog_id from of)
        ) as fresh
        where photo_index.image_id = fresh.image_id and photo_index.apart is distinct from fresh.apart""",
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
    "labelling": """
        update photo_index set labels = fresh.labels
        from (
            select touched.image_id, array(
                select unnest(labelling.value_ids) from labelling
                where labelling.image_id = touched.image_id and labelling.superseded_at is null order by 1) as labels
            from (select distinct image_id from changed) as touched
        ) as fresh
        where photo_index.image_id = fresh.image_id and photo_index.labels is distinct from fresh.labels""",
    "assignment": """
        update photo_index set assignee_id = assignment.assignee_id
        from (select distinct image_id from changed) as touched
        left join assignment on assignment.image_id = touched.image_id and assignment.superseded_at is null
        where photo_index.image_id = touched.image_id
            and photo_index.assignee_id is distinct from assignment.assignee_id""",
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
