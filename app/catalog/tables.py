"""Tables of the catalog: what was taken in, and what was measured."""

from __future__ import annotations

from typing import Any, Final

from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import (
    REAL,
    BigInteger,
    CheckConstraint,
    Computed,
    Double,
    ForeignKey,
    Index,
    LargeBinary,
    Text,
    UniqueConstraint,
    cast,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, column_property, mapped_column, relationship

from app.catalog import near, rights, spelling  # noqa: F401  (their functions compute columns and answer filters)
from app.database import Base, BigId, Moment, utc_now
from app.jobs import Job
from app.people import Person

# What differs between reasons of one kind: quoted names, and numbers of any size.
NAMES_AND_NUMBERS: Final = r"“[^”]*”|[0-9][0-9.,]*[0-9]|[0-9]"
REFUSED_KEY: Final = "case when outcome in ('refused','left_out') then name_key(file_name) end"


class Catalog(Base):
    """A named pile of product photos.

    One that was removed is out of sight, and kept as long as a version needs what is in it. So is the one that holds
    the removed photos of another, `removed_from_id`.
    """

    __tablename__ = "catalog"

    id: Mapped[BigId]
    name: Mapped[str] = mapped_column(Text, unique=True)
    created_at: Mapped[Moment] = mapped_column(default=utc_now)
    removed_at: Mapped[Moment | None]
    removed_from_id: Mapped[int | None] = mapped_column(ForeignKey("catalog.id"))


class Intake(Base):
    """One taking-in of a source, a folder as a rule. Counts are final once the job is done.

    `listed` is what its listing came to, see `intake.planning`.
    """

    __tablename__ = "intake"

    id: Mapped[BigId]
    catalog_id: Mapped[int] = mapped_column(ForeignKey(Catalog.id), index=True)
    job_id: Mapped[int | None] = mapped_column(ForeignKey(Job.id))
    folder: Mapped[str] = mapped_column(Text)
    created_at: Mapped[Moment] = mapped_column(default=utc_now)
    accepted: Mapped[int] = mapped_column(default=0)
    already_there: Mapped[int] = mapped_column(default=0)
    refused: Mapped[int] = mapped_column(default=0)
    listed: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict, server_default="{}")


class Image(Base):
    """An accepted product photo, known by the SHA-256 of its original bytes.

    `width_px` and `height_px` are those seen by a person: after the EXIF orientation was applied. `render_path` is the
    file, relative to the data folder, that holds the picture as sRGB, upright and without alpha: the original itself
    where that already is so, otherwise a lossless render. `made_bytes`: the disk that render, view and thumbnail take;
    0 for photos that versions before 30 November 2026 took in. `notes` are words of `catalog.notes`: what had to be
    assumed.
    `mend_id` is the mend that render, view, thumbnail and size are of; None where they are as taken in.
    `was_read_strictly` is false for photos that versions before 30 November 2026 took in, damaged ones among them.
    `source`, `licence`, `credit` and `opt_out` (yes or no) are read from `extra` (`app/catalog/rights.py`).
    `copies` is the closest grade of its groups of duplicates, or `none`; `copy_count` how many others are in that one;
    `is_best` whether it is the one to keep there; `is_linked` whether a person kept another one in its place.
    Columns that end in `_key` are what their texts have in common with others that people take for the same
    (`app/catalog/spelling.py`).
    """

    __tablename__ = "image"
    __table_args__ = (
        UniqueConstraint("catalog_id", "sha256"),
        Index("ix_image_catalog_id_id", "catalog_id", "id"),
        Index("ix_image_catalog_id_name_key", "catalog_id", "name_key", "id"),
        # For leaving them out: few photos are opted out of training.
        Index("ix_image_opted_out", "catalog_id", postgresql_where=text("opt_out = 'yes'")),
        # For counting notes: few photos have any.
        Index("ix_image_noted", "catalog_id", postgresql_where=text("notes <> '{}'")),
    )

    id: Mapped[BigId]
    catalog_id: Mapped[int] = mapped_column(ForeignKey(Catalog.id))
    intake_id: Mapped[int] = mapped_column(ForeignKey(Intake.id), index=True)
    sha256: Mapped[str] = mapped_column(Text, index=True)
    file_name: Mapped[str] = mapped_column(Text)
    format: Mapped[str] = mapped_column(Text)
    size_bytes: Mapped[int]
    made_bytes: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    width_px: Mapped[int] = mapped_column()
    height_px: Mapped[int] = mapped_column()
    had_alpha: Mapped[bool] = mapped_column(default=False)
    had_profile: Mapped[bool] = mapped_column(default=False)
    was_turned: Mapped[bool] = mapped_column(default=False)
    render_path: Mapped[str] = mapped_column(Text)
    thumb_sha256: Mapped[str] = mapped_column(Text)
    view_sha256: Mapped[str] = mapped_column(Text)
    title: Mapped[str | None] = mapped_column(Text)
    category: Mapped[str | None] = mapped_column(Text, index=True)
    description: Mapped[str | None] = mapped_column(Text)
    product: Mapped[str | None] = mapped_column(Text)
    category_key: Mapped[str | None] = mapped_column(Text, Computed("label_key(category)", persisted=True))
    product_key: Mapped[str | None] = mapped_column(Text, Computed("label_key(product)", persisted=True), index=True)
    file_key: Mapped[str] = mapped_column(Text, Computed("search_text(file_name)", persisted=True))
    # Compared byte by byte, whatever the database's own collation is.
    name_key: Mapped[str] = mapped_column(Text(collation="C"), Computed("name_key(file_name)", persisted=True))
    extra: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    source: Mapped[str | None] = mapped_column(Text, Computed(rights.SOURCE, persisted=True))
    source_key: Mapped[str | None] = mapped_column(Text, Computed(f"search_text({rights.SOURCE})", persisted=True))
    licence: Mapped[str | None] = mapped_column(Text, Computed(rights.LICENCE, persisted=True))
    licence_key: Mapped[str | None] = mapped_column(Text, Computed(f"label_key({rights.LICENCE})", persisted=True))
    credit: Mapped[str | None] = mapped_column(Text, Computed(rights.CREDIT, persisted=True))
    opt_out: Mapped[str] = mapped_column(Text, Computed(rights.OPT_OUT, persisted=True))
    notes: Mapped[list[str]] = mapped_column(ARRAY(Text), default=list, server_default="{}")
    was_read_strictly: Mapped[bool] = mapped_column(default=True)
    copies: Mapped[str] = mapped_column(Text, default="none", server_default="none")
    copy_count: Mapped[int] = mapped_column(default=0, server_default="0")
    is_best: Mapped[bool] = mapped_column(default=False, server_default="false")
    is_linked: Mapped[bool] = mapped_column(default=False, server_default="false")
    mend_id: Mapped[int | None] = mapped_column(BigInteger)
    is_mended: Mapped[bool] = mapped_column(Computed("mend_id is not null", persisted=True))
    taken_in_at: Mapped[Moment] = mapped_column(default=utc_now)
    # Worked out where it is asked for.
    ratio: Mapped[float] = column_property(cast(width_px, Double) / cast(height_px, Double), deferred=True)


class SourceFile(Base):
    """A file that an intake met: accepted, a copy of the same bytes, or refused with a reason. Met twice, one row.

    A refused file that a person left out for good is `left_out`, and stays so whenever it is met again. `reason_kind`
    is the reason without its numbers and quoted names: files of one kind are listed and tried again together.
    `refused_key` orders what is not in the catalog by name.
    `thumb_sha256` is a small picture of a refused file, where one could be made.
    """

    __tablename__ = "source_file"
    __table_args__ = (
        UniqueConstraint("catalog_id", "file_name", "sha256"),
        CheckConstraint("outcome in ('accepted','same_bytes','refused','left_out')", name="outcome"),
        # For lists of refused files, by name: most catalogs have few among many.
        *(
            Index(
                f"ix_source_file_refused_{of}",
                f"{of}_id",
                "outcome",
                "refused_key",
                "id",
                postgresql_where=text("refused_key is not null"),
            )
            for of in ("catalog", "intake")
        ),
    )

    id: Mapped[BigId]
    catalog_id: Mapped[int] = mapped_column(ForeignKey(Catalog.id))
    intake_id: Mapped[int] = mapped_column(ForeignKey(Intake.id), index=True)
    image_id: Mapped[int | None] = mapped_column(ForeignKey(Image.id), index=True)
    file_name: Mapped[str] = mapped_column(Text)
    sha256: Mapped[str] = mapped_column(Text)
    outcome: Mapped[str] = mapped_column(Text)
    reason: Mapped[str | None] = mapped_column(Text)
    reason_kind: Mapped[str | None] = mapped_column(
        Text, Computed(f"regexp_replace(reason, '{NAMES_AND_NUMBERS}', '…', 'g')", persisted=True)
    )
    # Compared byte by byte, whatever the database's own collation is; None where the file was taken in.
    refused_key: Mapped[str | None] = mapped_column(Text(collation="C"), Computed(REFUSED_KEY, persisted=True))
    thumb_sha256: Mapped[str | None] = mapped_column(Text)
    left_out_by_id: Mapped[int | None] = mapped_column(ForeignKey(Person.id))
    left_out_at: Mapped[Moment | None]


class RemovedPhoto(Base):
    """A photo that an owner removed from a catalog: no intake takes these bytes into it again."""

    __tablename__ = "removed_photo"
    __table_args__ = (UniqueConstraint("catalog_id", "sha256"),)

    id: Mapped[BigId]
    catalog_id: Mapped[int] = mapped_column(ForeignKey(Catalog.id))
    sha256: Mapped[str] = mapped_column(Text)
    file_name: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    removed_by_id: Mapped[int | None] = mapped_column(BigInteger)
    removed_at: Mapped[Moment]


class IntakeRemark(Base):
    """What became of one metadata row or caption file of an intake, where that is not simply what it says.

    Kinds: `unmatched`, a row that names no picture; `respelled`, one that names a picture in another spelling;
    `unread`, a file that was not read; `changed`, what is said of a photo now; `unused`, what was not taken, and why.
    `source` is the file, relative to the folder, `line` a line of it or 0, `name` what the row calls its photo.
    """

    __tablename__ = "intake_remark"
    __table_args__ = (CheckConstraint("kind in ('unmatched','respelled','unread','changed','unused')", name="kind"),)

    id: Mapped[BigId]
    intake_id: Mapped[int] = mapped_column(ForeignKey(Intake.id), index=True)
    kind: Mapped[str] = mapped_column(Text)
    source: Mapped[str] = mapped_column(Text)
    line: Mapped[int] = mapped_column(default=0)
    name: Mapped[str] = mapped_column(Text)
    sentence: Mapped[str] = mapped_column(Text)


class Signals(Base):
    """What was measured on one image. None means "cannot tell", never zero.

    Shares are 0 to 1 of the frame; offsets are signed shares of the frame side (right and down positive); the box is
    x0, y0, x1, y1 in shares of the frame; colours are CIELAB D65, contrast a difference in it; keys and thumbs of its
    frames are those of `catalog.fingerprints`. Brightness and shadow are L*, chroma C*; `border_lines` and `seam_lines`
    are pairs of "x" or "y" and a place in shares of the frame; the outline is a path in thousandths of it. Units and
    ranges: `app/catalog/measures.py`; definitions: `workers/signals/measure.py`. `compared_at`: when the photo was last
    compared with all others of its catalog.
    """

    __tablename__ = "signals"

    image_id: Mapped[int] = mapped_column(ForeignKey(Image.id, ondelete="CASCADE"), primary_key=True)
    version: Mapped[int]
    measured_at: Mapped[Moment] = mapped_column(default=utc_now)
    contrast: Mapped[float | None]
    sharpness: Mapped[float | None] = mapped_column(index=True)
    background: Mapped[str] = mapped_column(Text, index=True)  # white | plain | scene | cannot tell
    background_colour: Mapped[str | None] = mapped_column(Text)
    whiteness: Mapped[float | None]
    background_delta_e: Mapped[float | None]
    uniformity: Mapped[float | None]
    coverage: Mapped[float | None]
    fill: Mapped[float | None]
    offset_x: Mapped[float | None]
    offset_y: Mapped[float | None]
    box: Mapped[list[float] | None] = mapped_column(JSONB)
    is_cropped: Mapped[bool | None]
    cropped_edges: Mapped[list[str]] = mapped_column(JSONB, default=list)
    subject_lab: Mapped[list[float] | None] = mapped_column(JSONB)
    subject_colour: Mapped[str | None] = mapped_column(Text, index=True)
    confidence: Mapped[float] = mapped_column(default=1.0)
    brightness: Mapped[float | None]
    clipped_light: Mapped[float | None]
    clipped_dark: Mapped[float | None]
    shadow: Mapped[float | None]
    chroma: Mapped[float | None]
    blockiness: Mapped[float | None]
    detail: Mapped[float | None]
    border: Mapped[float | None]
    border_lines: Mapped[list[tuple[str, float]]] = mapped_column(JSONB, default=list, server_default="[]")
    seam: Mapped[float | None]
    seam_lines: Mapped[list[tuple[str, float]]] = mapped_column(JSONB, default=list, server_default="[]")
    parts: Mapped[int | None]
    # Long, and drawn for one photo at a time.
    outline: Mapped[str | None] = mapped_column(Text, deferred=True)
    frame_keys: Mapped[bytes | None] = mapped_column(LargeBinary)
    frame_thumbs: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    compared_at: Mapped[Moment | None]

    image: Mapped[Image] = relationship()


class EmbeddingSpace(Base):
    """An embedder as it was when it looked: only vectors of one space can be compared.

    `revision` is a commit or a hash of its weights, `preprocessing` the SHA-256 of how pictures are prepared.
    `coded_photos` is how many photos there were when its codes were made (`look_codes`); 0 while it has none.
    """

    __tablename__ = "embedding_space"
    __table_args__ = (UniqueConstraint("model", "revision", "preprocessing"),)

    id: Mapped[BigId]
    model: Mapped[str] = mapped_column(Text)
    revision: Mapped[str] = mapped_column(Text)
    preprocessing: Mapped[str] = mapped_column(Text)
    dimensions: Mapped[int]
    reads_words: Mapped[bool]
    coded_photos: Mapped[int] = mapped_column(default=0)


class Embedding(Base):
    """What an embedder saw in one image: a vector of length 1. Near ones look alike. `compared_at`: when it was last
    held against all others of its catalog, in search of other photos of its product."""

    __tablename__ = "embedding"
    __table_args__ = (Index("ix_embedding_catalog_id_space_id", "catalog_id", "space_id"),)

    image_id: Mapped[int] = mapped_column(ForeignKey(Image.id, ondelete="CASCADE"), primary_key=True)
    catalog_id: Mapped[int] = mapped_column(BigInteger)
    space_id: Mapped[int] = mapped_column(ForeignKey(EmbeddingSpace.id))
    vector: Mapped[Any] = mapped_column(HALFVEC)
    made_at: Mapped[Moment] = mapped_column(default=utc_now)
    compared_at: Mapped[Moment | None]


class EmbeddedPhrase(Base):
    """Words that somebody looked for, as the vector that an embedder made of them."""

    __tablename__ = "embedded_phrase"

    space_id: Mapped[int] = mapped_column(ForeignKey(EmbeddingSpace.id, ondelete="CASCADE"), primary_key=True)
    phrase: Mapped[str] = mapped_column(Text, primary_key=True)
    vector: Mapped[Any] = mapped_column(HALFVEC)
    made_at: Mapped[Moment] = mapped_column(default=utc_now)


class PhotoMap(Base):
    """The map of a catalog: where each of `image_ids` lies, so that photos that look alike are near to each other.

    `points` are float32 pairs, little-endian, 0 to 1 across and up. `neighbours_kept` is the share of the `neighbours`
    nearest in the embedding that are nearest on the map too; `apart` how far each of `image_ids` is from the five that
    look most like it, 0 to 2 (`workers/embedding/layout.py`); `same_kind` the share of the `categorised` photos whose
    nearest photo is of the same category. Of `photos` in the catalog some may not be on the map. Of very many those
    that were laid out come first, and behind them, by chance, those that were placed among them.
    """

    __tablename__ = "photo_map"

    catalog_id: Mapped[int] = mapped_column(ForeignKey(Catalog.id, ondelete="CASCADE"), primary_key=True)
    space_id: Mapped[int] = mapped_column(ForeignKey(EmbeddingSpace.id))
    made_at: Mapped[Moment] = mapped_column(default=utc_now)
    took_s: Mapped[float]
    method: Mapped[str] = mapped_column(Text)  # umap, or pca for a few photos
    seed: Mapped[int]
    photos: Mapped[int]
    neighbours: Mapped[int]
    neighbours_kept: Mapped[float]
    same_kind: Mapped[float | None]
    categorised: Mapped[int]
    image_ids: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    points: Mapped[bytes] = mapped_column(LargeBinary)
    apart: Mapped[list[float]] = mapped_column(ARRAY(REAL), default=list, server_default="{}")


class MapSet(Base):
    """Photos that go together on a map, under a name that a filter knows: `lasso-3`, `cluster-12`, `far-2`.

    A lasso is drawn by a person and stays; clusters and those far from everything are found with the map, and go with
    it. Names are never given twice in a catalog. `words` name a cluster, `centre_id` is its photo in the middle.
    """

    __tablename__ = "map_set"
    __table_args__ = (
        UniqueConstraint("catalog_id", "name"),
        CheckConstraint("kind in ('lasso','cluster','far')", name="kind"),
    )

    id: Mapped[BigId]
    catalog_id: Mapped[int] = mapped_column(ForeignKey(Catalog.id, ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    words: Mapped[str] = mapped_column(Text, default="")
    image_ids: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    centre_id: Mapped[int | None] = mapped_column(BigInteger)
    made_at: Mapped[Moment] = mapped_column(default=utc_now)
    person_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))


class Lettering(Base):
    """The text that stands in one image, as a machine read it from the pixels. No row: not read yet.

    `lines` are objects with `text`, `score` (0 to 1), `box` (x0, y0, x1, y1 in shares of the frame) and `is_beside`:
    whether it stands beside the product, as a watermark or a price tag does; None where no product is known; and
    `is_tiled`: whether it is known to stand all over the picture (absent before version 4). `words` are the lines whose
    score is `catalog.text_lines.TRUSTED` or more, one a line and each once; `place` says where those stand: `none`
    where there are none, `product`, `beside` (one of them at least), or `cannot tell`; `kinds` are those of
    `catalog.text_kinds` that are among them; `share` is how much of the frame their boxes cover, 0 to 1.
    """

    __tablename__ = "lettering"
    __table_args__ = (CheckConstraint("place in ('none','product','beside','cannot tell')", name="place"),)

    image_id: Mapped[int] = mapped_column(ForeignKey(Image.id, ondelete="CASCADE"), primary_key=True)
    version: Mapped[int]
    read_at: Mapped[Moment] = mapped_column(default=utc_now)
    lines: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, default=list, server_default="[]")
    words: Mapped[str] = mapped_column(Text, default="", server_default="")
    place: Mapped[str] = mapped_column(Text)
    kinds: Mapped[list[str]] = mapped_column(ARRAY(Text), default=list, server_default="{}")
    share: Mapped[float] = mapped_column(default=0.0, server_default="0")
