"""Corrections: a fact of a photo, corrected by a person. What follows from it is asked for in the same request."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import JSONResponse, Response
from sqlalchemy import func

from app import jobs
from app.captions import proposing, writing
from app.catalog import corrections, reading
from app.review import decisions
from app.web import errors
from app.web.dependencies import Config, CurrentPerson, Write
from app.web.leading import Receipt, lead
from app.web.security import safe_next
from app.web.views import blind

router = APIRouter()
Text = Annotated[str, Form()]


@router.post("/images/{image_id}/corrections")
def correct(
    image_id: int,
    request: Request,
    session: Write,
    config: Config,
    me: CurrentPerson,
    fact: Text,
    value: Text = "",
    expected_id: Annotated[int | None, Form()] = None,
    next: Text = "",
) -> Response:
    """Put a value in place of what the catalogue says of `fact`; an empty one takes it away.

    A caption from facts is written anew, and photos of one product are put together anew.
    """
    image = reading.photo(session, image_id)
    decisions.lock(session, image.catalog_id, func.pg_advisory_xact_lock_shared)
    with blind.unnamed(session, me, image_id):
        correction = corrections.correct(session, image, me, fact, value, expected_id)
    caption = writing.current(session, [image_id]).get(image_id)
    if caption is not None and caption.captioner == proposing.FACTS and config.caption_model is None:
        proposing.request_captions(session, image.catalog_id, config, image_ids=[image_id])
    if correction is not None and correction.fact == "product":
        jobs.request_once(session, "photos.group", {"catalog_id": image.catalog_id})
    sentence = f"{decisions.name_of(image)}: {fact} corrected"
    if not errors.wants_json(request):
        return lead(request, safe_next(next) if next else f"/images/{image_id}", Receipt(sentence))
    return JSONResponse({"correction_id": correction.id if correction is not None else 0, "sentence": sentence})
