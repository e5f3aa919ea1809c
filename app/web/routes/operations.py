"""Operations: acts on many photos, who did them, how far they are, and taking them back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from sqlalchemy.orm import Session

from app.bulk import operations, undoing
from app.bulk.acts import are, photos
from app.bulk.operations import OperationRow
from app.catalog import reading
from app.catalog.tables import Catalog
from app.errors import NotAllowed
from app.people import Person
from app.review.undoing import Undone
from app.selection.browse import mark_of
from app.selection.query import Selection, parse
from app.web import errors
from app.web.dependencies import CurrentPerson, Page, Read, Write
from app.web.leading import Receipt, lead
from app.web.security import safe_next
from app.web.views import blind

router = APIRouter()
Text = Annotated[str, Form()]
PAGE: Final = 50


@dataclass(frozen=True)
class OperationsView:
    """A catalog's acts on many photos, newest first, each with what it did, in words. `older` starts the next page."""

    catalog: Catalog
    lines: list[tuple[OperationRow, str]]
    older: int | None


@router.get("/catalogs/{catalog_id}/operations")
def show(catalog_id: int, session: Read, page: Page, me: CurrentPerson, before: int | None = None) -> HTMLResponse:
    """What was done to many photos of a catalog: by whom, when, to how many, and whether it can be taken back."""
    catalog = reading.get(session, catalog_id)
    rows = operations.recent(session, catalog_id, before, PAGE)
    others = [row.operation.id for row in rows if row.operation.person_id != me.id]
    telling = operations.among(session, others, blind.hidden(session, me))
    lines = [(row, undoing.said(row.operation)) for row in rows if row.operation.id not in telling]
    older = rows[-1].operation.id if len(rows) == PAGE else None
    return page("operations/operations.html", OperationsView(catalog, lines, older))


@router.get("/operations/{operation_id}")
def state(operation_id: int, session: Read, me: CurrentPerson) -> JSONResponse:
    """What an operation did so far, for a script that has waited for its job."""
    row = operations.row_of(session, operations.get(session, operation_id))
    operation = row.operation
    if operation.person_id != me.id and operations.among(session, [operation_id], blind.hidden(session, me)):
        raise NotAllowed("This tells of a photo that you have in hand for a blind pass. Decide on it first.")
    if operation.state in ("undoing", "undone"):
        sentence = undoing.undone(session, operation, None).sentence
    else:
        sentence = undoing.said(operation)
        if row.is_half_done:
            sentence += f"; stopped half-way, {operations.left(session, operation.id, 'open'):,} were not reached"
            if row.job is not None and row.job.state == "failed" and row.job.failure:
                sentence += f": {row.job.failure.removesuffix('.')}"
    return JSONResponse({"sentence": sentence, "may_undo": row.may_be_undone and operation.state != "undone"})


@router.post("/catalogs/{catalog_id}/assignments")
def assign(
    catalog_id: int,
    request: Request,
    session: Write,
    me: CurrentPerson,
    person_id: Annotated[int, Form()],
    q: Text = "",
    expected_count: Annotated[int | None, Form()] = None,
    next: Text = "",
) -> Response:
    """Every photo that matches `q` is this person's to look at, or nobody's where `person_id` is 0."""
    reading.get(session, catalog_id)
    value = {"person_id": person_id or None}
    return answer(request, session, me, parse(q, catalog_id), "assign", value, expected_count, next)


@router.post("/operations/{operation_id}/undo")
def undo(operation_id: int, request: Request, session: Write, me: CurrentPerson, next: Text = "") -> Response:
    """Take back what an operation did, as far as nobody changed it since."""
    job = operations.undo(session, operation_id, me)
    operation = operations.get(session, operation_id)
    back = next or f"/catalogs/{operation.catalog_id}/operations"
    return undone(request, undoing.undone(session, operation, job), back)


@router.post("/operations/{operation_id}/resumption")
def go_on(operation_id: int, request: Request, session: Write, me: CurrentPerson) -> Response:
    """Ask for the rest of an operation, or of its undo, that ended half-way."""
    job = operations.go_on(session, operation_id, me)
    said = Receipt(f"Going on with the {photos(job.total or 0)} that are left")
    return lead(request, f"/catalogs/{operations.get(session, operation_id).catalog_id}/operations", said)


def answer(
    request: Request,
    session: Session,
    me: Person,
    selection: Selection,
    kind: str,
    value: dict[str, Any],
    expected_count: int | None,
    next: str,
) -> Response:
    """Do an act on a selection, and say what was done; where it is much, which job does it."""
    operation = operations.begin(session, selection, me, kind, value, selection.query, expected_count)
    job = operations.carry_out(session, operation, me)
    said = undoing.said(operation)
    if job is not None:
        said = f"{photos(operation.count)} {are(operation.count)} being changed. It can be stopped, and taken back"
    if not errors.wants_json(request):
        where = {"follow": f"/catalogs/{selection.catalog_id}/operations", "follow_word": "Operations"}
        way = {"undo": f"/operations/{operation.id}/undo"} if job is None and operation.changed else where
        return lead(request, safe_next(next) if next else f"/catalogs/{selection.catalog_id}", Receipt(said, **way))
    facts = {"changed": operation.changed, "operation_id": operation.id, "job_id": job.id if job else None}
    return JSONResponse({"sentence": said} | facts, 202 if job else 200)


def undone(request: Request, back: Undone, next: str) -> Response:
    """What was taken back, as JSON for a script or by leading on."""
    if errors.wants_json(request):
        now = back.decision
        mark = mark_of(now.verdict, now.is_suggestion) if now is not None else ""
        said = {"sentence": back.sentence, "image_id": back.image_id, "count": back.count}
        said |= {"mark": mark, "decision_id": now.id if now is not None else 0}
        return JSONResponse(said | {"job_id": back.job.id}, 202) if back.job else JSONResponse(said)
    usual = f"/images/{back.image_id}" if back.image_id and back.count == 1 else "/catalogs"
    return lead(request, safe_next(next) if next else usual, Receipt(back.sentence))
