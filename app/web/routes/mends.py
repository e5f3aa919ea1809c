"""Mending a photo: the page, what a person asks for, an earlier one used again, and the mask that somebody painted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, File, Form, Request, UploadFile
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response

from app import people
from app.catalog import mends, reading
from app.catalog.mend_tables import Mend
from app.catalog.mends import MASK_SIDE_PX, MASK_SUFFIX, SMALLEST_SIDE_PX, STRAIGHTEN_AT_MOST, Edits
from app.catalog.tables import Catalog, Image
from app.errors import NotFound
from app.jobs import Job
from app.review.decisions import name_of
from app.storage import Storage
from app.web import errors
from app.web.dependencies import CurrentPerson, Files, Page, Read, Write
from app.web.routes.images import KEPT_FOR_A_YEAR
from app.web.views import blind

router = APIRouter()


@dataclass(frozen=True)
class MendView:
    """A photo to be mended: as taken in, as it is asked to be now, and everything that was done to it.

    `job` makes what is asked for, None where that is made. `history` has the newest first, each with who did it.
    """

    catalog: Catalog
    image: Image
    name: str
    taken: Mend
    newest: Mend | None
    edits: Edits
    job: Job | None
    history: tuple[tuple[Mend, Edits, str], ...]
    most_degrees: float = STRAIGHTEN_AT_MOST
    least_px: int = SMALLEST_SIDE_PX
    mask_px: int = MASK_SIDE_PX


@router.get("/images/{image_id}/mend")
def show(image_id: int, request: Request, session: Read, page: Page, me: CurrentPerson) -> HTMLResponse:
    """The page; as a fragment what was done so far, which the page asks for while a picture is made."""
    image = reading.shown(session, image_id)
    catalog = reading.get(session, image.catalog_id)
    past = mends.of(session, image_id)
    who = people.names(session, {mend.person_id for mend in past if mend.person_id is not None})
    if blind.is_held(session, me, image_id):
        who = {}
    now = past[0] if past else None
    is_in_the_making = now is not None and now.render_path is None
    view = MendView(
        catalog=catalog,
        image=image,
        name=name_of(image),
        taken=mends.as_taken_in(session, image),
        newest=now,
        edits=mends.edits_of(now) if now else Edits(),
        job=mends.job_of(session, now) if now and is_in_the_making else None,
        history=tuple((mend, mends.edits_of(mend), who.get(mend.person_id or 0, "")) for mend in past),
    )
    if request.headers.get("x-fragment") == "1":
        return page.fragment("mend/_state.html", view)
    return page("mend/mend.html", view)


@router.post("/images/{image_id}/mends")
def mend(
    image_id: int,
    request: Request,
    session: Write,
    files: Files,
    me: CurrentPerson,
    turns: Annotated[int, Form()] = 0,
    angle: Annotated[float, Form()] = 0.0,
    left: Annotated[float, Form()] = 0.0,
    top: Annotated[float, Form()] = 0.0,
    right: Annotated[float, Form()] = 100.0,
    bottom: Annotated[float, Form()] = 100.0,
    white: Annotated[bool, Form()] = False,
    keeps_mask: Annotated[bool, Form()] = False,
    expected_id: Annotated[int, Form()] = 0,
    mask: Annotated[UploadFile | None, File()] = None,
) -> Response:
    """Have a photo shown turned, straightened, cropped (in % of the turned frame), on white, or with another mask."""
    image = reading.shown(session, image_id)
    mask_sha256 = _mask(session, files, image, mask, keeps_mask)
    crop = [share / 100 for share in (left, top, right, bottom)]
    asked = mends.edits(turns, angle, crop, white, mask_sha256 is not None)
    with blind.unnamed(session, me, image_id):
        newest = mends.request(session, image_id, asked, mask_sha256, me, expected_id)
    return _answer(request, image_id, newest)


@router.post("/images/{image_id}/mends/{mend_id}/restoration")
def restore(
    image_id: int,
    mend_id: int,
    request: Request,
    session: Write,
    me: CurrentPerson,
    expected_id: Annotated[int, Form()] = 0,
) -> Response:
    """Show a photo as an earlier mend made it, or as it was taken in."""
    image = reading.shown(session, image_id)
    mends.picture(session, image, mend_id)
    with blind.unnamed(session, me, image_id):
        newest = mends.restore(session, mend_id, me, expected_id)
    return _answer(request, image_id, newest)


@router.get("/images/{image_id}/mask", response_class=FileResponse)
def painted(image_id: int, session: Read, files: Files, m: int) -> FileResponse:
    """The mask that somebody painted for a mend, in the frame as taken in: a grey PNG, 255 where the product is."""
    image = reading.shown(session, image_id)
    kept = next((mend for mend in mends.of(session, image.id) if mend.id == m), None)
    if kept is None or kept.mask_sha256 is None:
        raise NotFound("Nobody painted a mask for that mend.")
    path = files.path("masks", kept.mask_sha256, MASK_SUFFIX)
    if not path.is_file():
        raise NotFound("The file of this mask is not in the data folder any more.")
    return FileResponse(path, media_type="image/png", headers=KEPT_FOR_A_YEAR)


def _mask(session: Write, files: Storage, image: Image, sent: UploadFile | None, keeps: bool) -> str | None:
    """The mask that was painted now, or the one of before, which is kept."""
    if sent is not None and sent.filename:
        taken = mends.as_taken_in(session, image)
        data = mends.read_mask(sent.file.read(), (taken.width_px or 1, taken.height_px or 1))
        return files.put("masks", data, MASK_SUFFIX)
    before = mends.newest(session, image.id) if keeps else None
    return before.mask_sha256 if before else None


def _answer(request: Request, image_id: int, mend: Mend) -> Response:
    if errors.wants_json(request):
        return JSONResponse({"mend_id": mend.id, "job_id": mend.job_id}, 202 if mend.job_id else 200)
    return RedirectResponse(f"/images/{image_id}/mend", 303)
