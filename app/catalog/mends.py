"""Mending photos instead of rejecting them: what to do to a picture, asked for, kept, and taken back.

A mend is always made from the picture as taken in, which nothing touches. Making it is `workers/mend_job.py`; `show`
puts what was made in the place of render, view and thumbnail, and has the photo measured anew. Mends and their files
are kept as long as their photo, so that a frozen version keeps what it froze and any of them can be used again.
"""

from __future__ import annotations

import io
import math
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from PIL import Image as Pillow
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from app import jobs, people
from app.catalog import reading
from app.catalog.files import (
    CONTENT_TYPES,
    UNSHOWN,
    VIEW_SIDE_PX,
    Shape,
    content_type_of,
    original_of,
    thumb_path,
    view_path,
)
from app.catalog.mend_tables import Mend
from app.catalog.tables import Embedding, Image, Lettering, Signals
from app.database import utc_now
from app.errors import Conflict, NotFound, Refused
from app.jobs import Job
from app.people import Person
from app.storage import Storage

KIND: Final = "photos.mend"
MASK_SIDE_PX: Final = VIEW_SIDE_PX
# A grey mask of that side takes at most a byte a pixel; compressed it is a fraction.
MASK_AT_MOST_BYTES: Final = MASK_SIDE_PX * MASK_SIDE_PX + 4096
MASK_SUFFIX: Final = ".png"
STRAIGHTEN_AT_MOST: Final = 45.0
# As `intake.decoding` has it: a smaller picture would not have been taken in.
SMALLEST_SIDE_PX: Final = 32
WHOLE: Final = (0.0, 0.0, 1.0, 1.0)
# So fine that no pixel of the largest photo is lost, and that what is typed and what is drawn are the same.
_DIGITS: Final = 5


@dataclass(frozen=True, slots=True)
class Edits:
    """What is done to a picture as taken in, in this order.

    `is_white`: what the mask says is background becomes pure white. `turns`: quarter turns clockwise, 0 to 3. `angle`:
    degrees clockwise about the middle, -45 to 45, in a frame that stays as large; what comes into it is white. `crop`:
    left, top, right, bottom of what stays, in shares of the frame then. `has_mask`: the subject is known by a mask.
    """

    turns: int = 0
    angle: float = 0.0
    crop: tuple[float, float, float, float] = WHOLE
    is_white: bool = False
    has_mask: bool = False

    @property
    def is_nothing(self) -> bool:
        """Whether the picture stays as it was taken in."""
        return self == Edits()

    def size(self, width_px: int, height_px: int) -> tuple[int, int]:
        """Width and height in px of what becomes of a picture of this size."""
        left, top, right, bottom = self.box(width_px, height_px)
        return right - left, bottom - top

    def box(self, width_px: int, height_px: int) -> tuple[int, int, int, int]:
        """What stays, in whole px of the turned picture: left, top, right and bottom."""
        if self.turns % 2:
            width_px, height_px = height_px, width_px
        left, top, right, bottom = self.crop
        return round(left * width_px), round(top * height_px), round(right * width_px), round(bottom * height_px)

    @property
    def words(self) -> str:
        """What is done, in words: "turned 90° clockwise, straightened by 2.5°, cropped, white background"."""
        done = [
            f"turned {self.turns * 90}° clockwise" if self.turns else "",
            f"straightened by {self.angle:g}°" if self.angle else "",
            "cropped" if self.crop != WHOLE else "",
            "white background" if self.is_white else "",
            "mask corrected" if self.has_mask and not self.is_white else "",
        ]
        return ", ".join(word for word in done if word) or "as taken in"


def edits(
    turns: int = 0,
    angle: float = 0.0,
    crop: Sequence[float] = WHOLE,
    is_white: bool = False,
    has_mask: bool = False,
) -> Edits:
    """Edits from numbers that a person gave. Raises Refused for what no picture can be made of."""
    if not all(math.isfinite(number) for number in (angle, *crop)):
        raise Refused("A mend is told in numbers.")
    if abs(angle) > STRAIGHTEN_AT_MOST:
        raise Refused(f"A picture is straightened by at most {STRAIGHTEN_AT_MOST:g}°; turn it by a quarter first.")
    left, top, right, bottom = (round(min(1.0, max(0.0, share)), _DIGITS) for share in crop)
    if left >= right or top >= bottom:
        raise Refused("The crop is empty: its right edge lies right of the left one, its bottom below its top.")
    return Edits(turns % 4, round(angle, 2) or 0.0, (left, top, right, bottom), is_white, has_mask)


def edits_of(mend: Mend) -> Edits:
    """The edits that were kept."""
    kept = mend.edits
    return Edits(**{**kept, "crop": tuple(kept["crop"])}) if kept else Edits()


def read_mask(data: bytes, image_size: tuple[int, int]) -> bytes:
    """A drawn mask as the PNG that is kept: grey, 255 where the product is, in the shape of the photo as taken in.

    Raises Refused for what is no PNG, larger than `MASK_SIDE_PX` a side, or of another shape.
    """
    if len(data) > 4 * MASK_AT_MOST_BYTES:
        raise Refused("The mask is too large.")
    try:
        with Pillow.open(io.BytesIO(data), formats=("PNG",)) as opened:
            if max(opened.size) > MASK_SIDE_PX:
                raise Refused(f"The mask has {max(opened.size):,} pixels a side; {MASK_SIDE_PX:,} are the most.")
            mask = opened.convert("L")
    except (OSError, SyntaxError, ValueError) as error:
        raise Refused("The mask is no PNG picture that can be read.") from error
    if abs(mask.width * image_size[1] - mask.height * image_size[0]) > max(image_size) + max(mask.size):
        raise Refused("The mask has another shape than the photo.")
    if mask.getextrema()[1] == 0:
        raise Refused("The mask is empty: nothing of the photo would stay. Paint the product first.")
    buffer = io.BytesIO()
    mask.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def of(session: Session, image_id: int) -> Sequence[Mend]:
    """What was done to a photo, the newest first; the last one is the picture as taken in."""
    return session.scalars(select(Mend).where(Mend.image_id == image_id).order_by(Mend.id.desc())).all()


def newest(session: Session, image_id: int) -> Mend | None:
    """The newest mend of a photo, made or still in the making."""
    return session.scalars(select(Mend).where(Mend.image_id == image_id, Mend.superseded_at.is_(None))).one_or_none()


def as_taken_in(session: Session, image: Image) -> Mend:
    """A photo's picture as taken in, in whose frame masks and edits are told. Not kept where it never was mended."""
    oldest = select(Mend).where(Mend.image_id == image.id).order_by(Mend.id).limit(1)
    return session.scalars(oldest).first() or _untouched(session, image)


def picture(session: Session, image: Image, mend_id: int | None) -> Mend:
    """What one mend shows, or the picture as taken in where `mend_id` is None. Raises NotFound."""
    if mend_id is None:
        return as_taken_in(session, image)
    mend = session.get(Mend, mend_id)
    if mend is None or mend.image_id != image.id or mend.render_path is None:
        raise NotFound(f"There is no mended picture {mend_id} of photo {image.id}.")
    return mend


def file_of(session: Session, storage: Storage, image: Image, mend_id: int | None, shape: Shape) -> tuple[Path, str]:
    """As `files.file_of`, of the picture that one mend shows, or of the one taken in. Raises NotFound."""
    shown = picture(session, image, mend_id)
    if shape == "original":
        if shown.edits or image.format in UNSHOWN:
            return storage.root / (shown.render_path or ""), CONTENT_TYPES["PNG"]
        return original_of(storage, image), CONTENT_TYPES[image.format]
    is_thumb = shape == "thumb"
    path = thumb_path(storage, shown.thumb_sha256 or "") if is_thumb else view_path(storage, shown.view_sha256 or "")
    return path, content_type_of(path)


def request(
    session: Session, image_id: int, asked: Edits, mask_sha256: str | None, by: Person, expected_id: int
) -> Mend:
    """Ask for a photo to be shown so. `expected_id` is the newest mend that the person saw, 0 for none.

    Edits that do nothing bring the picture as taken in back, at once. Raises NotFound, Conflict where somebody
    mended it meanwhile, and Refused where nothing would change, too little is left, or no mask is known.
    """
    image = _held(session, image_id)
    before = _expect(session, image, expected_id)
    base = as_taken_in(session, image)
    if before is None:
        session.add(base)
        session.flush()
    if asked == edits_of(before or base) and mask_sha256 == (before or base).mask_sha256:
        raise Refused("Nothing was changed, so there is nothing to save.")
    if asked.is_nothing:
        return restore(session, base.id, by, (before or base).id)
    if min(asked.size(base.width_px or 0, base.height_px or 0)) < SMALLEST_SIDE_PX:
        raise Refused(f"Too little is left: a photo has {SMALLEST_SIDE_PX} pixels a side at least.")
    if asked.is_white and mask_sha256 is None and not base.outline:
        raise Refused("Where the product is was not measured. Paint it with the brush first.")
    mend = Mend(image_id=image_id, person_id=by.id, edits=asdict(asked), mask_sha256=mask_sha256)
    _append(session, image_id, mend)
    arguments = {"mend_id": mend.id, "catalog_id": image.catalog_id, "image_ids": [image_id]}
    mend.job_id = jobs.request(session, KIND, arguments, by, total=1).id
    session.flush()
    return mend


def restore(session: Session, mend_id: int, by: Person, expected_id: int) -> Mend:
    """Show a photo as an earlier mend made it; the files are there, so it is so at once.

    Raises NotFound, Conflict where somebody mended it meanwhile, and Refused where that mend was never made.
    """
    earlier = session.get(Mend, mend_id)
    if earlier is None:
        raise NotFound(f"There is no mend {mend_id}.")
    image = _held(session, earlier.image_id)
    _expect(session, image, expected_id)
    if earlier.render_path is None:
        raise Refused("That mend was never made, so it cannot be shown.")
    copied = {
        name: getattr(earlier, name)
        for name in ("edits", "mask_sha256", "width_px", "height_px", "render_path", "thumb_sha256", "view_sha256",
                     "mended_mask_sha256")
    }  # fmt: skip
    again = Mend(image_id=image.id, person_id=by.id, restores_id=earlier.id, **copied)
    _append(session, image.id, again)
    show(session, again, by)
    return again


def photo_of(session: Session, mend: Mend) -> Image:
    """The photo that a mend is of."""
    return session.get_one(Image, mend.image_id)


def is_wanted(session: Session, mend_id: int) -> Mend | None:
    """The mend to be made, None where a later one took its place or the photo is gone.

    Its photo is held: what is written in this transaction is written before any later mend.
    """
    mend = session.get(Mend, mend_id)
    if mend is None or session.get(Image, mend.image_id, with_for_update=True) is None:
        return None
    session.refresh(mend)
    is_there = not reading.is_removed(session, photo_of(session, mend).catalog_id)
    return mend if is_there and mend.superseded_at is None else None


def show(session: Session, mend: Mend, by: Person | None) -> None:
    """Put a mend that was made in the place of what its photo shows, and ask for all that is measured on it."""
    image = session.get_one(Image, mend.image_id, with_for_update=True)
    image.mend_id = mend.id if mend.edits else None
    image.width_px, image.height_px = mend.width_px or 0, mend.height_px or 0
    image.render_path, image.made_bytes = mend.render_path or "", image.made_bytes + mend.made_bytes
    image.thumb_sha256, image.view_sha256 = mend.thumb_sha256 or "", mend.view_sha256 or ""
    session.flush()
    # Until it is measured, nothing is known of this picture; what was compared is compared again then.
    for table in (Signals, Embedding, Lettering):
        session.execute(delete(table).where(table.image_id == image.id))
    session.expire(image)
    jobs.request(session, "signals.measure", {"catalog_id": image.catalog_id, "image_ids": [image.id]}, by)


def files_of(session: Session, storage: Storage, image_ids: Collection[int]) -> set[str]:
    """The files of all mends of these photos, relative to the data folder."""
    files: set[str] = set()
    for mend in session.scalars(select(Mend).where(Mend.image_id.in_(image_ids))):
        masks = [storage.path("masks", sha, MASK_SUFFIX) for sha in (mend.mask_sha256, mend.mended_mask_sha256) if sha]
        if mend.render_path is not None:
            thumb = thumb_path(storage, mend.thumb_sha256 or "")
            masks += [storage.root / mend.render_path, thumb, view_path(storage, mend.view_sha256 or "")]
        files |= {path.relative_to(storage.root).as_posix() for path in masks}
    return files


def job_of(session: Session, mend: Mend) -> Job | None:
    """The job that makes a mend, or made it."""
    return jobs.get(session, mend.job_id) if mend.job_id is not None else None


def _held(session: Session, image_id: int) -> Image:
    """The photo, which nobody else mends or measures until the transaction ends. Raises NotFound."""
    image = session.get(Image, image_id, with_for_update=True, populate_existing=True)
    if image is None:
        raise NotFound(f"There is no photo {image_id}.")
    return image


def _expect(session: Session, image: Image, expected_id: int) -> Mend | None:
    now = newest(session, image.id)
    if (now.id if now else 0) == expected_id:
        return now
    if now is None:
        raise Conflict("This photo is not mended any more. Reload the page to see it.")
    who = people.names(session, {now.person_id}).get(now.person_id, "Somebody") if now.person_id else "Somebody"
    words = edits_of(now).words
    raise Conflict(f"{who} mended this photo meanwhile: {words}. Nothing of yours was saved; reload to see it.", words)


def _append(session: Session, image_id: int, mend: Mend) -> None:
    later = update(Mend).where(Mend.image_id == image_id, Mend.superseded_at.is_(None)).values(superseded_at=utc_now())
    session.execute(later)
    session.add(mend)
    session.flush()


def _untouched(session: Session, image: Image) -> Mend:
    outline = session.scalar(select(Signals.outline).where(Signals.image_id == image.id))
    return Mend(
        image_id=image.id, made_at=image.taken_in_at, edits={}, outline=outline, width_px=image.width_px,
        height_px=image.height_px, render_path=image.render_path, thumb_sha256=image.thumb_sha256,
        view_sha256=image.view_sha256,
    )  # fmt: skip
