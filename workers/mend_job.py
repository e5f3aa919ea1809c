"""The body of `photos.mend`: a photo made as somebody asked, from its picture as taken in, and shown from then on."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pillow

from app import jobs
from app.catalog import mends
from app.catalog.files import VIEW_SIDE_PX, put_thumb, put_view
from app.catalog.mends import MASK_SIDE_PX, MASK_SUFFIX, Edits
from app.errors import Refused
from app.intake import memory
from app.intake.thumbnails import as_png, shrink, thumbnail, view_file, within
from app.storage import Storage
from workers.celery_app import Work
from workers.mending import framed, mask_of, mended

# A picture, its mended copy while it is turned, paper, mask and file, at 3 bytes a pixel and less.
_PIXEL_BYTES = 16


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is to be made: of which picture, by which mask."""

    edits: Edits
    render_path: str
    size: tuple[int, int]
    outline: str | None
    mask_sha256: str | None


def mend(work: Work) -> dict[str, Any]:
    """Make a mended picture and show it in its photo's place; its signals and all else are then asked for.

    A mend that a later one took the place of is not made. Raises Refused where the picture as taken in is not there.
    """
    mend_id = int(work.arguments["mend_id"])
    with work.transaction() as session:
        wanted = mends.is_wanted(session, mend_id)
        if wanted is None:
            return {"is_superseded": True}
        photo = mends.photo_of(session, wanted)
        base = mends.as_taken_in(session, photo)
        size = (base.width_px or 0, base.height_px or 0)
        asked = _Asked(mends.edits_of(wanted), base.render_path or "", size, base.outline, wanted.mask_sha256)
    with memory.PICTURES.hold(size[0] * size[1] * _PIXEL_BYTES):
        columns = _made(work.storage, asked)
    with work.transaction() as session:
        # Under the job's token: a worker whose lease is lost changes nothing.
        jobs.beat(session, work.claim, done=1)
        wanted = mends.is_wanted(session, mend_id)
        if wanted is None:
            return {"is_superseded": True}
        for name, value in columns.items():
            setattr(wanted, name, value)
        mends.show(session, wanted, jobs.asker(session, work.claim.job_id))
    return {"width_px": columns["width_px"], "height_px": columns["height_px"]}


def _made(storage: Storage, asked: _Asked) -> dict[str, Any]:
    """The files of a mend, kept, as columns of its row."""
    with Pillow.open(io.BytesIO(_whole(storage.root / asked.render_path))) as opened:
        # As `intake.decoding` left it: upright, sRGB and without alpha.
        picture = opened.convert("RGB") if opened.mode not in ("RGB", "L") else opened.copy()
    mask = _mask(storage, asked)
    result = mended(picture, asked.edits, mask)
    view = shrink(result, VIEW_SIDE_PX)
    pixels = np.asarray(view)
    files = as_png(result), view_file(pixels), thumbnail(pixels)
    columns = {
        "width_px": result.width,
        "height_px": result.height,
        "render_path": _kept(storage, files[0]),
        "view_sha256": put_view(storage, files[1]),
        "thumb_sha256": put_thumb(storage, files[2]),
        "made_bytes": sum(map(len, files)),
    }
    if mask is None:
        return columns
    in_frame = as_png(framed(mask, asked.edits, "black"))
    made_bytes = sum(map(len, files)) + len(in_frame)
    return columns | {"mended_mask_sha256": storage.put("masks", in_frame, MASK_SUFFIX), "made_bytes": made_bytes}


def _kept(storage: Storage, render: bytes) -> str:
    path = storage.path("renders", storage.put("renders", render, ".png"), ".png")
    return path.relative_to(storage.root).as_posix()


def _mask(storage: Storage, asked: _Asked) -> Pillow.Image | None:
    """The mask that somebody painted, or else, where one is needed, what the outline encloses."""
    if asked.mask_sha256 is not None:
        with Pillow.open(io.BytesIO(_whole(storage.path("masks", asked.mask_sha256, MASK_SUFFIX)))) as opened:
            return opened.convert("L")
    if not asked.edits.is_white:
        return None
    if not asked.outline:
        raise Refused("Where the product is was not measured. Paint it with the brush first.")
    return mask_of(asked.outline, within(asked.size, MASK_SIDE_PX))


def _whole(path: Path) -> bytes:
    """The bytes of a file that is named by their hash. Raises Refused where they are not there, or others."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise Refused(f"The file {path.name} is not in the data folder any more. Take its folder in again.") from None
    if hashlib.sha256(data).hexdigest() != path.stem:
        raise Refused(f"The file {path.name} is not the one that was taken in any more. Take its folder in again.")
    return data
