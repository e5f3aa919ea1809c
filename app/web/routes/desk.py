"""The desk: one photo, large, with everything that is known about it, and the next ones ready.

Without `q` the desk follows the review queue; with it, the photos of that selection.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.orm import Session

from app.captions import beside
from app.captions.beside import AskedBeside
from app.captions.tables import Kind
from app.catalog import reading
from app.catalog.tables import Catalog
from app.cycles import clock
from app.desk import holding, queue, queues
from app.desk.notes import NoteThread
from app.desk.queue import Waiting
from app.desk.queues import QueueState
from app.desk.tables import ReviewQueue
from app.people import Person, at_least
from app.review.decisions import REASONS
from app.selection import browse
from app.selection.browse import Tile
from app.selection.columns.memory import one_look
from app.selection.wording import sentence
from app.web.dependencies import Config, CurrentPerson, Page, Write
from app.web.views import blind, photos
from app.web.views.facets import address
from app.web.views.photos import Photo

router = APIRouter()

BEFORE, AFTER = 5, 14
ROWS_BEFORE = 28
MANY = 60  # of which others may have some in hand


@dataclass(frozen=True)
class Filmstrip:
    """The photos beside one: those before it, itself, those behind it. `q` is None in the queue; `grid` is the address
    of the grid that the row comes from."""

    before: list[Tile]
    here: Tile
    after: list[Tile]
    q: str | None
    sort: str
    grid: str
    queue_id: int | None = None

    @property
    def previous_href(self) -> str:
        """The address of the photo before this one, empty at the beginning."""
        return self.href(self.before[-1]) if self.before else ""

    @property
    def next_href(self) -> str:
        """The address of the photo behind this one; behind the last one, the head of the queue or the grid."""
        if self.queue_id is not None:
            return self.href(self.after[0]) if self.after else f"/desk?queue_id={self.queue_id}"
        return self.href(self.after[0]) if self.after else "/desk" if self.q is None else self.grid

    def href(self, tile: Tile) -> str:
        """The address of a photo on the desk, in this row."""
        asked = {"q": self.q, "sort": self.sort} if self.q is not None else {}
        asked |= {"queue_id": str(self.queue_id)} if self.queue_id is not None else {}
        return f"/images/{tile.id}{'?' if asked else ''}{urlencode(asked)}"


@dataclass(frozen=True)
class DeskView:
    """One photo on the desk. In a selection, `place` counts from 1 and is 0 for a photo that is not in it any more.

    In a lead's queue that is `handed_out`, the photo is this person's `until` then (None: not in their hands).
    `kind` is the kind of caption that is shown first; `beside` is what a captioner was asked of this photo alone.
    `in_hands` names somebody else who has the photo. Where the pass `is_blind`, nothing of who or what was there before
    is shown.
    """

    catalog: Catalog
    photo: Photo
    row: Filmstrip
    waiting: Waiting
    reasons: tuple[str, ...]
    place: int = 0
    total: int = 0
    said: str = ""
    handed_out: QueueState | None = None
    until: datetime | None = None
    is_blind: bool = False
    in_hands: str = ""
    threads: Sequence[NoteThread] = ()
    kind: Kind = "long"
    team: Sequence[Person] = ()
    captioner: str | None = None
    beside: AskedBeside | None = None


@dataclass(frozen=True)
class DoneView:
    """The desk with nothing left to review. `catalog` is None while there is no photo at all."""

    catalog: Catalog | None
    photos: int
    handed_out: QueueState | None = None


@router.get("/desk")
def start(
    session: Write, page: Page, me: CurrentPerson, queue_id: int | None = None, behind: int | None = None
) -> Response:
    """The next photo to review: of a queue, or where none is named of the first that was given to this person;
    otherwise of the catalog. Of a queue also the one `behind` a photo in this person's hands, and nothing where there
    is none."""
    catalog = _catalog(session)
    if queue_id is not None:
        asked = queues.get(session, queue_id)
        ids = holding.ahead(session, asked, me)
        if behind is not None:
            ids = ids[ids.index(behind) + 1 :] if behind in ids else []
            if not ids:
                return Response(status_code=204)
        if ids:
            return RedirectResponse(f"/images/{ids[0]}?queue_id={queue_id}", 303)
        state = queues.state(session, asked)
        return page("desk/done.html", DoneView(reading.get(session, asked.catalog_id), state.photos, state))
    if catalog is None:
        return page("desk/done.html", DoneView(None, 0))
    for state in queues.of_person(session, catalog.id, me):
        if state.people and at_least(me, "annotator") and (ids := holding.ahead(session, state.queue, me)):
            return RedirectResponse(f"/images/{ids[0]}?queue_id={state.queue.id}", 303)
    ids = _free(session, me, queue.upcoming(session, catalog.id, me, count=MANY))
    if ids:
        return RedirectResponse(f"/images/{ids[0]}", 303)
    return page("desk/done.html", DoneView(catalog, queue.waiting(session, catalog.id).photos))


@router.get("/images/{image_id}")
def show(
    image_id: int,
    request: Request,
    session: Write,
    page: Page,
    config: Config,
    me: CurrentPerson,
    q: str | None = None,
    sort: str = "newest",
    queue_id: int | None = None,
    kind: Kind = "long",
) -> Response:
    """One photo on the desk: in the review queue, in a selection `q`, or in a queue of a lead's."""
    held = holding.blind(session, me)
    if held.get(image_id, queue_id) != queue_id:
        # Whichever way leads to a photo of a blind pass, it is seen as in its queue.
        return RedirectResponse(f"/images/{image_id}?queue_id={held[image_id]}", 303)
    if queue_id is not None:
        view = _handed_out(session, image_id, queues.get(session, queue_id), me)
    else:
        view = _queued(session, image_id, me) if q is None else _selected(session, image_id, me, q, sort)
    row = replace(view.row, before=blind.masked(held, view.row.before), after=blind.masked(held, view.row.after))
    said, team = blind.threads(session, me, image_id, view.is_blind), blind.asked(session, me, view.is_blind)
    asked = None if view.is_blind else beside.newest(session, image_id)
    view = replace(
        view, row=row, threads=said, team=team, kind=kind, captioner=config.caption_model, beside=asked
    )  # fmt: skip
    if request.headers.get("x-fragment") == "1":
        return page.fragment("desk/_desk.html", view)
    return page("desk/desk.html", view)


def _queued(session: Session, image_id: int, me: Person) -> DeskView:
    """In the queue: behind the photo what waits, before it what this person decided on last."""
    photo = photos.read(session, image_id)
    catalog_id = photo.image.catalog_id
    # Before anything is written: afterwards the database would count it all anew.
    waiting = queue.waiting(session, catalog_id)
    before, ahead = queue.recent(session, catalog_id, me, BEFORE), []
    if image_id in before:
        place = before.index(image_id)
        before, ahead = before[:place], before[place + 1 :]
    ahead += _free(session, me, queue.upcoming(session, catalog_id, me, after=image_id, count=MANY))[
        : AFTER - len(ahead)
    ]
    in_hands = holding.others(session, me, [image_id]).get(image_id, "")
    if at_least(me, "annotator"):
        # Whoever is here first has them; the rest is for others to begin with.
        next_ones = [photo_id for photo_id in ahead if photo_id not in before][: holding.AHEAD - 1]
        holding.hold_at_desk(session, me, [image_id, *next_ones])
    # What needs work lies behind as decided and ahead as waiting. It has one place: ahead only as the very next.
    before = [photo_id for photo_id in before if photo_id not in ahead[:1]]
    ahead = list(dict.fromkeys(ahead[:1] + [photo_id for photo_id in ahead[1:] if photo_id not in before]))
    row = _row(session, before, image_id, ahead, None, "newest", f"/catalogs/{catalog_id}")
    return DeskView(reading.get(session, catalog_id), photo, row, waiting, REASONS, in_hands=in_hands)


def _handed_out(session: Session, image_id: int, asked: ReviewQueue, me: Person) -> DeskView:
    """In a queue: the photos in this person's hands, this one's turn first; before it those that they answered on last.

    Where others answered before, or the right answer is known, what was decided stays out of sight.
    """
    catalog = reading.get(session, asked.catalog_id)
    photo = photos.read(session, image_id)
    waiting = queue.waiting(session, asked.catalog_id)  # before anything is written, as for the catalog's own
    mine = holding.ahead(session, asked, me)
    place = mine.index(image_id) if image_id in mine else -1
    ahead = mine[place + 1 :]
    before = [photo_id for photo_id in holding.answered(session, asked, me, BEFORE) if photo_id not in ahead]
    if image_id in before:
        before = before[: before.index(image_id)]
    is_blind = holding.is_blind(session, asked, image_id, me)
    row = _row(session, before, image_id, ahead, None, "newest", f"/catalogs/{asked.catalog_id}", asked.id)
    if is_blind:
        photo, row = photo.unseen(), replace(row, here=row.here.unseen())
    if asked.overlap > 1 or is_blind:
        # Of those behind others may have decided meanwhile, of those before it is the others' decision that stands.
        row = replace(row, after=[tile.unseen() for tile in row.after], before=[tile.unseen() for tile in row.before])
    return DeskView(
        catalog=catalog,
        photo=photo,
        row=row,
        waiting=waiting,
        reasons=REASONS,
        handed_out=queues.progress(session, asked),
        until=holding.until(session, asked, image_id, me),
        is_blind=is_blind,
        in_hands="" if is_blind else holding.others(session, me, [image_id]).get(image_id, ""),
    )


def _free(session: Session, me: Person, image_ids: list[int]) -> list[int]:
    """Those of these photos that nobody else has in hand."""
    taken = holding.others(session, me, image_ids)
    return [image_id for image_id in image_ids if image_id not in taken]


def _selected(session: Session, image_id: int, me: Person, q: str, sort: str) -> DeskView:
    """In a selection, in its order."""
    photo = photos.read(session, image_id)
    catalog_id = photo.image.catalog_id
    chosen = blind.chosen(session, me, q, catalog_id)
    with one_look(session, catalog_id):
        before, ahead = browse.neighbours(session, chosen, sort, image_id, BEFORE, AFTER)
        total = browse.count(session, chosen)
        is_in = browse.holds(session, chosen, image_id)
        place = browse.position(session, chosen, sort, image_id) if is_in else 0
        waiting = queue.waiting(session, catalog_id)
    # Back in the grid a few rows before the photo, and at the photo.
    there = {"at": place - ROWS_BEFORE} if place > browse.PAGE else {}
    grid = f"{address(catalog_id, chosen.query, sort, **there)}#photo-{image_id}"
    row = _row(session, before, image_id, ahead, chosen.query, sort, grid)
    return DeskView(
        catalog=reading.get(session, catalog_id),
        photo=photo,
        row=row,
        waiting=waiting,
        reasons=REASONS,
        place=place,
        total=total,
        said=sentence(chosen, total),
    )


def _row(
    session: Session,
    before: list[int],
    here: int,
    after: list[int],
    q: str | None,
    sort: str,
    grid: str,
    queue_id: int | None = None,
) -> Filmstrip:
    tiles = browse.tiles(session, [*before, here, *after])
    place = len(before)
    return Filmstrip(tiles[:place], tiles[place], tiles[place + 1 :], q, sort, grid, queue_id)


def _catalog(session: Session) -> Catalog | None:
    """The catalog of the running cycle, otherwise the newest one with photos."""
    cycle = clock.current(session)
    if cycle is not None and cycle.catalog_id is not None:
        return reading.get(session, cycle.catalog_id)
    return next((row.catalog for row in reading.everything(session) if row.photos), None)
