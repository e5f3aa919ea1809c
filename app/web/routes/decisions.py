"""Decisions: on one photo, on a whole selection, as a rule suggests, and taking the last act back.

A script that asks for JSON gets what happened; a plain form is led on.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Final

from fastapi import APIRouter, Form, Request
from fastapi.responses import JSONResponse, Response
from sqlalchemy.orm import Session

from app.bulk.undoing import was_said
from app.catalog import reading
from app.catalog.tables import Image
from app.database import utc_now
from app.desk import holding, queue, undoing
from app.errors import Refused
from app.people import Person
from app.review import decisions
from app.review.tables import Decision
from app.web import errors
from app.web.dependencies import CurrentPerson, Write
from app.web.leading import Receipt, lead
from app.web.routes.operations import answer, undone
from app.web.security import safe_next
from app.web.views import blind

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
    queue_id: Annotated[int | None, Form()] = None,
) -> Response:
    """Keep, reject or needs work, or as a rule suggests. A rejection may carry its reason: `rejected:blurred`.

    In a queue it is this person's answer, which others may not see. A script is told how much waits: of the queue that
    was answered in, otherwise of the catalog.
    """
    is_script = errors.wants_json(request)
    if queue_id is not None:
        return _answered(request, session, me, queue_id, image_id, verdict, expected_id, next)
    image, began = reading.photo(session, image_id), utc_now()
    # Before anything is written: afterwards the database would count it all anew.
    counted = (queue.waiting(session, image.catalog_id), queue.state_of(session, image_id)) if is_script else None
    kind, reason, decision = _decided(session, image, me, verdict, expected_id)
    said, is_new = _said(kind, decisions.name_of(image), reason), was_said(decision, me, began)
    if counted is None:
        return lead(request, safe_next(next), Receipt(said, undo="/undo" if is_new else ""))
    left = queue.waiting_after(*counted, kind)
    return JSONResponse(
        {
            "decision_id": decision.id, "verdict": kind, "sentence": said, "changed": int(is_new),
            "waiting": asdict(left) | {"total": left.total},
        }
    )  # fmt: skip


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
    return answer(
        request, session, me, blind.chosen(session, me, q, catalog_id, is_counted=True), *act, expected_count, next
    )


@router.post("/undo")
def undo(request: Request, session: Write, me: CurrentPerson, next: Text = "") -> Response:
    """Take this person's last act back."""
    return undone(request, undoing.undo(session, me), next)


def _answered(
    request: Request,
    session: Session,
    me: Person,
    queue_id: int,
    image_id: int,
    verdict: str,
    expected_id: int | None,
    next: str,
) -> Response:
    """Answer in a queue. What is blind decides nothing."""
    asked, image = holding.with_photo(session, queue_id, image_id)
    kind, _, given = verdict.partition(":")
    reason: str | None = given
    if verdict == SUGGESTED:
        suggested = decisions.current(session, image.id)
        if suggested is None or not suggested.is_suggestion:
            raise Refused("No rule suggests anything for this photo.")
        kind, reason = suggested.verdict, decisions.kept_reason(suggested)
    with blind.unnamed(session, me, image.id):
        answer = holding.decide(session, asked, image, me, kind, reason, expected_id)
    said = _said(kind, decisions.name_of(image), reason)
    if not errors.wants_json(request):
        return lead(request, safe_next(next), Receipt(said, undo="/undo"))
    return JSONResponse(
        {
            "decision_id": answer.decision.id if answer.decision is not None else 0, "verdict": kind, "sentence": said,
            "changed": 1, "queue": {"id": queue_id, "left": answer.left},
        }
    )  # fmt: skip


def _decided(
    session: Session, image: Image, me: Person, verdict: str, expected_id: int | None
) -> tuple[str, str | None, Decision]:
    """Decide at the catalog's own desk: the verdict, its reason, and the decision."""
    kind, _, reason = verdict.partition(":")
    with blind.unnamed(session, me, image.id):
        if verdict == SUGGESTED:
            decision = decisions.accept(session, image, me, expected_id)
        else:
            decision = decisions.decide(session, image, me, kind, reason, expected_id)
    return decision.verdict, decision.reason, decision


def _said(verdict: str, what: str, reason: str | None) -> str:
    """What was done: "Kept Red kettle", "Rejected 3 photos: blurred", "Marked Red kettle as needing work"."""
    sentences = {"kept": f"Kept {what}", "rejected": f"Rejected {what}", "needs_work": f"Marked {what} as needing work"}
    return f"{sentences[verdict]}{': ' + reason if reason else ''}"
