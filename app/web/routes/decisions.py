"""Decisions: on one photo, on a whole selection, as a rule suggests, and taking the last act back.

A script that asks for JSON gets what happened; a plain form is led on.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Final

from fastapi import APIRouter, Form, Request
from fastapi.responses import JSONResponse, Response

from app.bulk import undoing
from app.catalog import reading
from app.database import utc_now
from app.desk import queue
from app.review import decisions
from app.selection.query import parse
from app.web import errors
from app.web.dependencies import CurrentPerson, Write
from app.web.leading import Receipt, lead
from app.web.routes.operations import answer, undone
from app.web.security import safe_next

router = APIRouter()
Text = Annotated[str, Form()]

# In place of a verdict: whatever a rule suggests.
SUGGESTED: Final = "suggested"


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
    """Keep, reject or needs work, or as a rule suggests. A rejection may carry its reason: `rejected:blurred`."""
    image, began = reading.photo(session, image_id), utc_now()
    if verdict == SUGGESTED:
        decision = decisions.accept(session, image, me, expected_id)
    else:
        kind, _, reason = verdict.partition(":")
        decision = decisions.decide(session, image, me, kind, reason, expected_id)
    said = _said(decision.verdict, decisions.name_of(image), decision.reason)
    is_new = undoing.was_said(decision, me, began)
    if not errors.wants_json(request):
        return lead(request, safe_next(next), Receipt(said, undo="/undo" if is_new else ""))
    left = queue.waiting(session, image.catalog_id)
    waiting = asdict(left) | {"total": left.total}
    said_of = {"decision_id": decision.id, "verdict": decision.verdict, "sentence": said, "waiting": waiting}
    return JSONResponse(said_of | {"changed": int(is_new)})


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
    """The same decision on every photo that matches `q`, or what a rule suggests for each of them, as one act."""
    reading.get(session, catalog_id)
    kind, _, reason = verdict.partition(":")
    act = ("accept", {}) if kind == SUGGESTED else ("decide", {"verdict": kind, "reason": reason})
    return answer(request, session, me, parse(q, catalog_id), *act, expected_count, next)


@router.post("/undo")
def undo(request: Request, session: Write, me: CurrentPerson, next: Text = "") -> Response:
    """Take this person's last act back."""
    return undone(request, undoing.undo(session, me), next)


def _said(verdict: str, what: str, reason: str | None) -> str:
    """What was done: "Kept Red kettle", "Rejected 3 photos: blurred", "Marked Red kettle as needing work"."""
    sentences = {"kept": f"Kept {what}", "rejected": f"Rejected {what}", "needs_work": f"Marked {what} as needing work"}
    return f"{sentences[verdict]}{': ' + reason if reason else ''}"
