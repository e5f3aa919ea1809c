"""Captions of every kind: a person's rewrite, an older one brought back, a text weighed by tokens, a captioner asked
again for one photo or a selection.

A script that asks for JSON gets the caption that is current now; a plain form is led back to the desk.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from app.bulk import undoing
from app.captions import beside, runs, writing
from app.captions.asking import Asking, read_asking
from app.captions.tables import CaptionText, Kind
from app.catalog import lettering, reading, signals
from app.cycles import spending
from app.database import utc_now
from app.errors import NotFound
from app.people import Person
from app.review import decisions
from app.selection.query import parse
from app.web import errors
from app.web.dependencies import Config, CurrentPerson, Page, Read, Write
from app.web.leading import Receipt, lead
from app.web.routes import operations
from app.web.security import safe_next
from app.web.views import blind, meters
from app.web.views.meters import Meter
from app.web.views.photos import Claims, claims_of

router = APIRouter()
Text = Annotated[str, Form()]


@dataclass
class AskedForm:
    """How a model is asked, as the form of a selection has it. `also` are kinds besides the long caption."""

    from_facts: Annotated[bool, Form()] = False
    prompt: Text = ""
    style: Text = "plain"
    length: Text = "medium"
    facts: Annotated[bool, Form()] = False
    also: Annotated[list[str] | None, Form()] = None

    @property
    def value(self) -> dict[str, Any]:
        """As an act keeps it, before it is checked."""
        kinds = ["long", *(kind for words in self.also or () for kind in words.split())]
        own = {"prompt": self.prompt, "style": self.style, "length": self.length}
        return {**own, "facts": self.facts, "kinds": kinds}


@dataclass(frozen=True)
class ClaimsView:
    """What a text that is being written claims of its picture."""

    claims: Claims


@dataclass(frozen=True)
class MetersView:
    """A text by the measure of each text encoder."""

    meters: tuple[Meter, ...]


@router.post("/images/{image_id}/captions")
def rewrite(
    image_id: int,
    request: Request,
    session: Write,
    me: CurrentPerson,
    text: Text = "",
    expected_id: Annotated[int | None, Form()] = None,
    kind: Annotated[Kind, Form()] = "long",
    next: Text = "",
) -> Response:
    """A person's caption of a kind in place of the one they saw, `expected_id`; without it they saw none."""
    began = utc_now()
    decisions.hold(session, image_id)
    with blind.unnamed(session, me, image_id, has_text=True):
        written = writing.rewrite(session, image_id, text, me, expected_id, kind)
    return _answer(request, session, me, written, undoing.was_said(written, me, began), "Saved the caption of {}", next)


@router.post("/images/{image_id}/captions/{caption_id}/restoration")
def restore(
    image_id: int, caption_id: int, request: Request, session: Write, me: CurrentPerson, next: Text = ""
) -> Response:
    """An older caption's text, current again."""
    began = utc_now()
    decisions.hold(session, image_id)
    with blind.unnamed(session, me, image_id, has_text=True):
        restored = writing.restore(session, caption_id, me)
    if restored.image_id != image_id:
        raise NotFound(f"Caption {caption_id} is not one of photo {image_id}.")
    is_new = undoing.was_said(restored, me, began)
    return _answer(request, session, me, restored, is_new, "An earlier caption of {} is current again", next)


@router.post("/images/{image_id}/recaption")
def recaption(
    image_id: int,
    request: Request,
    session: Write,
    config: Config,
    me: CurrentPerson,
    asked: AskedForm = Depends(),
    next: Text = "",
) -> Response:
    """Ask a captioner for another caption of this photo: it is shown beside the one that stands, which stays."""
    image = reading.photo(session, image_id)
    if asked.from_facts or config.caption_model is None:
        captioner, asking = runs.FACTS, Asking()
    else:  # it runs on a device, or is paid for; captions from facts cost nothing
        spending.refuse(session, config, me)
        captioner, asking = config.caption_model, read_asking(asked.value)
    run = beside.request(session, image, captioner, asking, config, me)
    if errors.wants_json(request):
        return JSONResponse({"job_id": run.job_id}, 202)
    said = Receipt(f"A captioner is asked for another caption of {decisions.name_of(image)}")
    return lead(request, safe_next(next) if next else f"/images/{image_id}", said)


@router.post("/catalogs/{catalog_id}/recaption")
def recaption_selection(
    catalog_id: int,
    request: Request,
    session: Write,
    config: Config,
    me: CurrentPerson,
    q: Text = "",
    expected_count: Annotated[int | None, Form()] = None,
    replaces_people: Annotated[bool, Form()] = False,
    asked: AskedForm = Depends(),
    next: Text = "",
) -> Response:
    """Ask a captioner for new captions of every photo that matches `q`, as one act; people's and given captions stay
    unless it `replaces_people` too."""
    reading.get(session, catalog_id)
    model = None if asked.from_facts else config.caption_model
    value: dict[str, Any] = {"model": model, "replaces": replaces_people}
    if model is not None:
        spending.refuse(session, config, me)
        value |= {"place": runs.place_of(model, config), "asking": asked.value}
    return operations.answer(request, session, me, parse(q, catalog_id), "recaption", value, expected_count, next)


@router.post("/images/{image_id}/contradictions")
def contradict(image_id: int, session: Read, page: Page, text: Text = "") -> HTMLResponse:
    """What a text that is being written says otherwise than the picture was measured, as a fragment. Keeps nothing."""
    image, read_text = reading.photo(session, image_id), lettering.of(session, image_id)
    claims = claims_of(session, image, signals.of(session, image_id), read_text, text)
    return page.fragment("desk/_claims.html", ClaimsView(claims))


@router.post("/captions/tokens")
def weigh(page: Page, config: Config, text: Text = "") -> HTMLResponse:
    """How many tokens a text that is being written is to each text encoder, as a fragment. Keeps nothing."""
    return page.fragment("desk/_meters.html", MetersView(meters.live(config, text)))


def _answer(
    request: Request, session: Write, me: Person, caption: CaptionText, is_new: bool, sentence: str, next: str
) -> Response:
    """The caption that is current now; in `sentence` stands {} for the photo's name."""
    decisions.reconsider(session, caption.image_id)
    if errors.wants_json(request):
        said = {"caption_id": caption.id, "text": caption.text, "author": blind.author(session, me, caption)}
        return JSONResponse(said | {"changed": int(is_new)})
    words = sentence.format(decisions.name_of(reading.photo(session, caption.image_id)))
    back = safe_next(next) if next else f"/images/{caption.image_id}"
    return lead(request, back, Receipt(words, undo="/undo" if is_new else ""))
