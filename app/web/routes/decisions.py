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
from app.desk import holding, queue, queues, undoing
from app.errors import Refused
from app.people import Person
from app.review import decisions
from app.review.tables import Decision
from app.selection.query import parse
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
    image, began = reading.photo(session, image_id), utc_now()
    is_script, counted = errors.wants_json(request), None
    if is_script and queue_id is None:
        # Before anything is written: afterwards the database would count it all anew.
        counted = queue.waiting(session, image.catalog_id), queue.state_of(session, image_id)
    kind, reason, decision = _decided(session, image, me, verdict, expected_id, queue_id)
    said = _said(kind, decisions.name_of(image), reason)
    is_new = queue_id is not None or was_said(decision, me, began)
    if not is_script:
        return lead(request, safe_next(next), Receipt(said, undo="/undo" if is_new else ""))
    answer: dict[str, object] = {
        "decision_id": decision.id if decision is not None else 0, "verdict": kind, "sentence": said,
        "changed": int(is_new),
    }  # fmt: skip
    if counted is not None:
        left = queue.waiting_after(*counted, kind)
        answer["waiting"] = asdict(left) | {"total": left.total}
    elif queue_id is not None:
        answer["queue"] = {"id": queue_id, "left": queues.count_left(session, queue_id)}
    return JSONResponse(answer)


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


def _decided(
    session: Session, image: Image, me: Person, verdict: str, expected_id: int | None, queue_id: int | None
) -> tuple[str, str | None, Decision | None]:
    """Decide: the verdict, its reason, and the decision, None where the answer is blind and decides nothing."""
    kind, _, given = verdict.partition(":")
    reason: str | None = given
    if verdict == SUGGESTED and queue_id is not None:
        suggested = decisions.current(session, image.id)
        if suggested is None or not suggested.is_suggestion:
            raise Refused("No rule suggests anything for this photo.")
        kind, reason = suggested.verdict, decisions.kept_reason(suggested)
    if queue_id is not None:
        with blind.unnamed(session, me, image.id):
            answer = holding.decide(session, queues.get(session, queue_id), image, me, kind, reason, expected_id)
        return kind, reason, answer.decision
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
