"""Decisions: on one photo, on a whole selection, and taking the last act back.

A script that asks for JSON gets what happened; a plain form is led on.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from app.catalog import reading
from app.desk import queue
from app.review import decisions
from app.selection.query import parse
from app.web import errors, formats
from app.web.dependencies import CurrentPerson, Write
from app.web.security import safe_next

router = APIRouter()
Text = Annotated[str, Form()]


@router.post("/images/{image_id}/decisions")
def decide(
    image_id: int,
    request: Request,
    session: Write,
    me: CurrentPerson,
    verdict: Text,
    expected_id: Annotated[int | None, Form()] = None,
    next: Text = "/desk",
) -> Response:
    """Keep, reject or needs work. A rejection may carry its reason: `rejected:blurred`."""
    image = reading.photo(session, image_id)
    kind, _, reason = verdict.partition(":")
    decision = decisions.decide(session, image, me, kind, reason, expected_id)
    if not errors.wants_json(request):
        return RedirectResponse(safe_next(next), 303)
    left = queue.waiting(session, image.catalog_id)
    said = _said(kind, decisions.name_of(image), decision.reason)
    return JSONResponse({"decision_id": decision.id, "verdict": kind, "sentence": said, "waiting": left.total})


@router.post("/catalogs/{catalog_id}/decisions")
def decide_selection(
    catalog_id: int,
    request: Request,
    session: Write,
    me: CurrentPerson,
    verdict: Text,
    q: Text = "",
    expected_count: Annotated[int | None, Form()] = None,
    next: Text = "",
) -> Response:
    """The same decision on every photo that matches `q`, as one act."""
    reading.get(session, catalog_id)
    kind, _, reason = verdict.partition(":")
    decided = decisions.decide_selection(session, parse(q, catalog_id), me, kind, reason, expected_count)
    if not errors.wants_json(request):
        return RedirectResponse(safe_next(next) if next else f"/catalogs/{catalog_id}", 303)
    already = f"; {decided.already:,} were so already" if decided.already else ""
    said = _said(kind, formats.plural(decided.changed, "photo"), reason) + already
    return JSONResponse({"changed": decided.changed, "verdict": kind, "sentence": said})


@router.post("/undo")
def undo(request: Request, session: Write, me: CurrentPerson, next: Text = "") -> Response:
    """Take this person's last act back."""
    undone = decisions.undo(session, me)
    if errors.wants_json(request):
        now = {"verdict": undone.decision.verdict, "decision_id": undone.decision.id} if undone.decision else {}
        said = {"sentence": undone.sentence, "image_id": undone.image_id, "count": undone.count}
        return JSONResponse({"verdict": None, "decision_id": 0} | now | said)
    back = f"/images/{undone.image_id}" if undone.image_id and undone.count == 1 else "/catalogs"
    return RedirectResponse(safe_next(next) if next else back, 303)


def _said(verdict: str, what: str, reason: str | None) -> str:
    """What was done: "Kept Red kettle", "Rejected 3 photos: blurred", "Marked Red kettle as needing work"."""
    sentences = {"kept": f"Kept {what}", "rejected": f"Rejected {what}", "needs_work": f"Marked {what} as needing work"}
    return f"{sentences[verdict]}{': ' + reason if reason else ''}"
