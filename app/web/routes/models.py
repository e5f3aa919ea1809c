"""Models: which is live, asking for one to ship, signing, declining, rolling back, and what is given away of them."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from fastapi import APIRouter, Form, Request
from fastapi.responses import FileResponse, HTMLResponse, Response, StreamingResponse

from app.errors import Conflict, Refused
from app.evaluation import promoting, shipping
from app.exports import archive
from app.storage import Storage
from app.web.dependencies import Config, CurrentPerson, Files, Page, Read, Spender, Write
from app.web.leading import Receipt, lead
from app.web.routes.exports import ARCHIVE_TYPE
from app.web.views import models as view

router = APIRouter()
CARD_TYPE: Final = "text/markdown; charset=utf-8"


@router.get("/models")
def index(
    session: Read,
    page: Page,
    config: Config,
    files: Files,
    catalog_id: int | None = None,
    shown: int | None = None,
) -> HTMLResponse:
    """The live model of a catalog, those before it, and what waits for a signature."""
    return page("models/models.html", view.view(session, config, files, catalog_id, shown))


@router.get("/models/new")
def new(
    session: Read,
    page: Page,
    files: Files,
    me: CurrentPerson,
    checkpoint_id: int | None = None,
    run_id: int | None = None,
    sheet_id: int | None = None,
) -> HTMLResponse:
    """A checkpoint before it is asked for, with what its gate says; of a run, the one that its validations favour."""
    if checkpoint_id is None:
        checkpoint_id = promoting.likely(session, run_id or 0).id
    return page("models/candidate.html", view.candidate(session, files, me, checkpoint_id, sheet_id))


@router.post("/models")
def ask(
    request: Request,
    session: Write,
    page: Page,
    files: Files,
    me: CurrentPerson,
    checkpoint_id: Annotated[int, Form()],
    sheet_id: Annotated[int | None, Form()] = None,
    note: Annotated[str, Form()] = "",
) -> Response:
    """Ask for a checkpoint to be made live."""
    try:
        candidacy = promoting.ask(session, files, checkpoint_id, me, note, sheet_id)
    except Refused as refusal:
        shown = view.candidate(session, files, me, checkpoint_id, sheet_id, None, refusal.sentence, note)
        return page("models/candidate.html", shown, 422)
    return lead(request, f"/candidates/{candidacy.id}", Receipt("It waits for an owner to sign it."))


@router.get("/candidates/{candidacy_id}")
def show(candidacy_id: int, session: Read, page: Page, files: Files, me: CurrentPerson) -> HTMLResponse:
    """A candidate: who asked, what its gate says, and what signing it replaces."""
    known = promoting.candidate(session, candidacy_id)
    return page("models/candidate.html", view.candidate(session, files, me, known.checkpoint_id, known.sheet_id, known))


@router.post("/candidates/{candidacy_id}/signature")
def sign(
    candidacy_id: int,
    request: Request,
    session: Write,
    page: Page,
    files: Files,
    me: CurrentPerson,
    expected: Annotated[int, Form(ge=0)] = 0,
    note: Annotated[str, Form()] = "",
) -> Response:
    """Sign a candidate: it is the live model from now on. `expected` is the promotion that was live on the page."""
    try:
        with session.begin_nested():
            promotion = promoting.sign(session, files, candidacy_id, me, expected, note)
    except (Refused, Conflict) as refusal:
        known = promoting.candidate(session, candidacy_id)
        shown = view.candidate(session, files, me, known.checkpoint_id, known.sheet_id, known, refusal.sentence, note)
        return page("models/candidate.html", shown, refusal.status)
    return lead(request, f"/models?shown={promotion.id}", Receipt("It is the live model from now on."))


@router.post("/candidates/{candidacy_id}/end")
def end(
    candidacy_id: int, request: Request, session: Write, me: CurrentPerson, answer: Annotated[str, Form()] = ""
) -> Response:
    """Decline a candidate, or withdraw one's own."""
    candidacy = promoting.decline(session, candidacy_id, me, answer)
    return lead(
        request, f"/models?catalog_id={candidacy.catalog_id}", Receipt(f"The candidate was {candidacy.outcome}.")
    )


@router.post("/models/{promotion_id}/rollback")
def roll_back(
    promotion_id: int,
    request: Request,
    session: Write,
    page: Page,
    config: Config,
    files: Files,
    me: CurrentPerson,
    note: Annotated[str, Form()] = "",
) -> Response:
    """Take the live model back; the one before is live again."""
    try:
        with session.begin_nested():
            again = promoting.roll_back(session, files, promotion_id, me, note)
    except (Refused, Conflict) as refusal:
        shown = view.view(session, config, files, None, promotion_id, refusal.sentence, note)
        return page("models/models.html", shown, refusal.status)
    catalog_id = promoting.get(session, promotion_id).catalog_id
    said = "The model before is live again." if again else "It was withdrawn. No model is live now."
    return lead(request, f"/models?catalog_id={catalog_id}", Receipt(said))


@router.post("/models/{promotion_id}/export")
def write(promotion_id: int, request: Request, session: Write, files: Files, me: Spender) -> Response:
    """Have a promoted checkpoint written out: a diffusers folder, a LoRA, the model card."""
    shipping.request(session, files, promotion_id, me)
    return lead(request, f"/models?shown={promotion_id}#files")


@router.get("/models/{promotion_id}/diffusers.tar")
def diffusers(promotion_id: int, session: Read, files: Files) -> StreamingResponse:
    """The diffusers folder as one tar file, made while it is sent."""
    return _archive(session, files, promotion_id, "diffusers")


@router.get("/models/{promotion_id}/lora.tar")
def lora(promotion_id: int, session: Read, files: Files) -> StreamingResponse:
    """The LoRA's two files with the card, as one tar file."""
    return _archive(session, files, promotion_id, "lora")


@router.get("/models/{promotion_id}/card.md")
def card(promotion_id: int, session: Read, files: Files) -> FileResponse:
    """The model card, as it lies in the export."""
    file = shipping.card_of(session, files, promotion_id)
    return FileResponse(file, media_type=CARD_TYPE, headers={"Cache-Control": "no-store"})


def _archive(session: Read, files: Storage, promotion_id: int, part: Literal["diffusers", "lora"]) -> StreamingResponse:
    name, listed = shipping.contents(session, files, promotion_id, part)
    headers = {
        "Content-Disposition": f'attachment; filename="{name}.tar"',
        "Content-Length": str(archive.size_bytes(listed)),
    }
    return StreamingResponse(archive.pieces(listed), media_type=ARCHIVE_TYPE, headers=headers)
