"""Queues: the board of a catalog, making one, handing it out, closing it; signs of life from the desk."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from sqlalchemy.orm import Session

from app import people
from app.catalog import reading
from app.catalog.tables import Catalog
from app.database import utc_now
from app.desk import forecast, holding, notes, queues, reports, timeline
from app.desk.agreement import LIMIT, MIN_PAIRS
from app.desk.forecast import CASES, PACE_MINUTES, QueueEnd
from app.desk.holding import HeldPhoto
from app.desk.notes import NoteThread
from app.desk.queues import FIRSTS, OVERLAP_MAX, QueueState
from app.desk.reports import AgreementReport
from app.desk.tables import First
from app.desk.timeline import Timeline
from app.people import Person
from app.selection import browse
from app.selection.kinds import NotUnderstood
from app.selection.query import parse
from app.selection.wording import sentence
from app.web import errors
from app.web.dependencies import CurrentPerson, Page, Read, Write
from app.web.views import blind

router = APIRouter()
Text = Annotated[str, Form()]


@dataclass(frozen=True)
class BoardRow:
    """A queue on the board: its filter in words, whether the reader may work on it, `recent` passes of the last quarter
    of an hour, and its end. `span` is that from 0 (now) to 1 (the latest end of all): earliest, most likely, latest.
    """

    state: QueueState
    said: str
    is_mine: bool
    recent: int
    end: QueueEnd | None
    span: tuple[float, float, float] | None

    @property
    def a_minute(self) -> float:
        """Passes a minute, of all who work on it together."""
        return self.recent / PACE_MINUTES


@dataclass(frozen=True)
class WorkLeft:
    """What the queues shown have left: `photos` in `queues`. At the pace of late the last one has its `end`; None: of
    none can it be told. Of `untold` it cannot."""

    photos: int
    queues: int
    end: QueueEnd | None
    untold: int


@dataclass(frozen=True)
class BoardView:
    """The board: queues, who holds what, and the form that makes a queue of `q`: `said` is its photos in
    words, `refusal` why it is not understood."""

    catalog: Catalog
    rows: list[BoardRow]
    is_closed: bool
    in_hands: list[HeldPhoto]
    team: list[Person]
    q: str
    refusal: str
    said: str
    firsts: list[tuple[str, str]]
    overlap_max: int
    notes: list[NoteThread]
    report: AgreementReport
    limit: float
    work_left: WorkLeft
    timeline: Timeline
    cases: int = CASES
    minutes: int = int(holding.HOLD_LASTS.total_seconds() // 60)


@dataclass(frozen=True)
class AgreementView:
    """A catalog's agreement, and the team's limit of kappa."""

    catalog: Catalog
    report: AgreementReport
    limit: float
    min_pairs: int = MIN_PAIRS


@router.get("/catalogs/{catalog_id}/queues")
def board(
    catalog_id: int, session: Read, page: Page, me: CurrentPerson, q: str = "decision:unseen", closed: bool = False
) -> HTMLResponse:
    """The board of a catalog's queues."""
    catalog = reading.get(session, catalog_id)
    said, refusal = "", ""
    try:
        chosen = parse(q, catalog_id)
        q, said = chosen.query, sentence(chosen, browse.count(session, chosen))
    except NotUnderstood as error:
        refusal = error.sentence
    now = utc_now()
    rows = _rows(session, queues.states(session, catalog_id, closed), catalog_id, me, now)
    team = [person for person in people.enabled(session) if people.at_least(person, "annotator")]
    return page(
        "queues/board.html",
        BoardView(
            catalog, rows, closed, holding.in_hands(session, catalog_id), team, q, refusal,
            said, [(name, words) for name, words in FIRSTS.items()], OVERLAP_MAX,
            blind.waiting(session, me, notes.waiting(session, catalog_id, me)),
            reports.read(session, catalog_id, me), LIMIT,
            _work_left(rows), timeline.read(session, catalog_id, me, now),
        ),
        status=422 if refusal else 200,
    )  # fmt: skip


@router.get("/catalogs/{catalog_id}/agreement")
def agreement(catalog_id: int, session: Read, page: Page, me: CurrentPerson) -> HTMLResponse:
    """How well the people who review a catalog agree; of others' reports only a lead sees any."""
    catalog = reading.get(session, catalog_id)
    return page("queues/agreement.html", AgreementView(catalog, reports.read(session, catalog_id, me), LIMIT))


@router.post("/catalogs/{catalog_id}/queues")
def make(
    catalog_id: int,
    session: Write,
    me: CurrentPerson,
    name: Text,
    q: Text = "",
    first: Annotated[First, Form()] = "contradicted",
    overlap: Annotated[int, Form()] = 1,
    known: Annotated[int, Form()] = 0,
    person_id: Annotated[list[int] | None, Form()] = None,
) -> Response:
    """A queue of the photos that match `q`, for these people or for everybody."""
    reading.get(session, catalog_id)
    queues.make(session, me, parse(q, catalog_id), name, first, overlap, person_id or (), known)
    return RedirectResponse(f"/catalogs/{catalog_id}/queues", 303)


@router.post("/queues/{queue_id}/people")
def give(
    queue_id: int, session: Write, me: CurrentPerson, person_id: Annotated[list[int] | None, Form()] = None
) -> Response:
    """Give a queue to these people in place of those who had it; to nobody named: to everybody."""
    queue = queues.get(session, queue_id)
    queues.give(session, me, queue, person_id or ())
    return RedirectResponse(f"/catalogs/{queue.catalog_id}/queues", 303)


@router.post("/queues/{queue_id}/closing")
def close(queue_id: int, session: Write, me: CurrentPerson) -> Response:
    """Close a queue, or open it again."""
    queue = queues.get(session, queue_id)
    queues.close(session, me, queue)
    return RedirectResponse(f"/catalogs/{queue.catalog_id}/queues", 303)


@router.post("/queues/{queue_id}/skips")
def skip(
    queue_id: int, request: Request, session: Write, me: CurrentPerson, image_id: Annotated[int, Form()]
) -> Response:
    """Put a photo of a queue down undecided."""
    queue = queues.get(session, queue_id)
    holding.skip(session, queue, reading.photo(session, image_id), me)
    if errors.wants_json(request):
        return JSONResponse({})
    return RedirectResponse(f"/desk?queue_id={queue_id}", 303)


@router.post("/desk/holds")
def keep_alive(session: Write, me: CurrentPerson) -> Response:
    """A sign of life: what this person holds, they hold on."""
    until = holding.keep_alive(session, me)
    return JSONResponse({"until": until.isoformat() if until else None})


@router.post("/desk/departure")
def leave(session: Write, me: CurrentPerson) -> Response:
    """Put down whatever this person holds."""
    holding.let_go(session, me)
    return RedirectResponse("/cycle", 303)


def _rows(session: Session, states: list[QueueState], catalog_id: int, me: Person, now: datetime) -> list[BoardRow]:
    mine = {state.queue.id for state in queues.of_person(session, catalog_id, me)}
    paces = timeline.paces(session, [state.queue.id for state in states], now)
    ends = {
        state.queue.id: forecast.end(now, state.left * state.queue.overlap, paces.get(state.queue.id, ()))
        for state in states
    }
    latest = max((end.latest for end in ends.values() if end is not None), default=now)
    return [
        BoardRow(
            state, sentence(parse(state.queue.query, catalog_id), state.photos), state.queue.id in mine,
            sum(paces.get(state.queue.id, ())), ends[state.queue.id], _span(ends[state.queue.id], now, latest),
        )
        for state in states
    ]  # fmt: skip


def _span(end: QueueEnd | None, now: datetime, latest: datetime) -> tuple[float, float, float] | None:
    if end is None:
        return None
    return (
        (end.earliest - now) / (latest - now),
        (end.ends_at - now) / (latest - now),
        (end.latest - now) / (latest - now),
    )


def _work_left(rows: list[BoardRow]) -> WorkLeft:
    open_ones = [row for row in rows if row.state.left]
    ends = [row.end for row in open_ones if row.end is not None]
    last = QueueEnd(
        max(end.earliest for end in ends), max(end.ends_at for end in ends), max(end.latest for end in ends)
    ) if ends else None  # fmt: skip
    photos = sum(row.state.left for row in open_ones)
    return WorkLeft(photos, len(open_ones), last, len(open_ones) - len(ends))
