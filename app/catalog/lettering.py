"""Lettering: the text that stands in photos, recorded and read. The reading itself is `workers/lettering/reader.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.catalog import reading, text_kinds, text_lines
from app.catalog.tables import Image, Lettering, Signals
from app.catalog.text_lines import TextLine
from app.database import utc_now


@dataclass(frozen=True, slots=True)
class UnreadImage:
    """An image whose lettering is not read by this version: the SHA-256 of its view, and its subject's outline. `lines`
    are those of an earlier reading that is as good, to which only more is added now; None without one."""

    image_id: int
    file_name: str
    view_sha256: str
    outline: str | None
    lines: tuple[TextLine, ...] | None = None


def unread(
    session: Session, catalog_id: int, version: int, image_ids: Sequence[int] | None = None, as_good: int | None = None
) -> list[UnreadImage]:
    """Images of a catalog whose lettering was not read by this version, by id; of `image_ids` alone where given.
    `as_good` is the version since which the reading itself is the same; None: this one."""
    query = (
        select(Image.id, Image.file_name, Image.view_sha256, Signals.outline, Lettering)
        .outerjoin(Signals, Signals.image_id == Image.id)
        .outerjoin(Lettering, Lettering.image_id == Image.id)
        .where(Image.catalog_id == catalog_id, or_(Lettering.version.is_(None), Lettering.version < version))
        .order_by(Image.id)
    )
    if image_ids is not None:
        query = query.where(Image.id.in_(image_ids))
    since = version if as_good is None else as_good
    unread_images = []
    for number, name, view, outline, read in session.execute(query):
        lines = tuple(lines_of(read)) if read is not None and read.version >= since else None
        unread_images.append(UnreadImage(number, name, view, outline, lines))
    return unread_images


def record(
    session: Session, version: int, read: Mapping[int, Sequence[TextLine]], views: Mapping[int, str] | None = None
) -> None:
    """Keep what was read in images by id. Older readings are replaced.

    Images that are gone, or no longer show what of `views` was read, are passed over.
    """
    there, now = reading.showing(session, read, views or {}), utc_now()
    rows = [
        {
            "image_id": image_id,
            "version": version,
            "read_at": now,
            "lines": [asdict(line) for line in lines],
            "words": "\n".join(dict.fromkeys(line.text for line in lines if line.is_trusted)),
            "place": _place([line for line in lines if line.is_trusted]),
            "share": text_lines.share_of([line.box for line in lines if line.is_trusted]),
            "kinds": sorted({kind for kind in text_kinds.kinds_of(lines) if kind}),
        }
        for image_id, lines in sorted(read.items())
        if image_id in there
    ]
    if not rows:
        return
    new = insert(Lettering).values(rows)
    changed = {column: new.excluded[column] for column in rows[0] if column != "image_id"}
    session.execute(new.on_conflict_do_update(index_elements=["image_id"], set_=changed))


def of(session: Session, image_id: int) -> Lettering | None:
    """What was read in one image, None while it is unread."""
    return session.get(Lettering, image_id)


def lines_of(lettering: Lettering) -> list[TextLine]:
    """The lines that were read, the surest first."""
    lines = [
        TextLine(line["text"], line["score"], (line["box"][0], line["box"][1], line["box"][2], line["box"][3]),
                 line["is_beside"], line.get("is_tiled", False))
        for line in lettering.lines
    ]  # fmt: skip
    return sorted(lines, key=lambda line: -line.score)


def _place(trusted: Sequence[TextLine]) -> str:
    if not trusted:
        return "none"
    if any(line.is_beside for line in trusted):
        return "beside"
    return "cannot tell" if any(line.is_beside is None for line in trusted) else "product"
