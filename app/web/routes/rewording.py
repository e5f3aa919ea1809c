"""Find and replace in captions: the page, the act, and the lists of words that captions are held to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, Response

from app.bulk import undoing
from app.bulk.acts import photos
from app.captions import word_lists
from app.captions.tables import WordList
from app.captions.word_lists import USUAL, Words
from app.catalog import reading
from app.catalog.tables import Catalog
from app.errors import Refused
from app.review import decisions
from app.web.dependencies import CurrentPerson, Page, Read, Sent, Write
from app.web.leading import Receipt, lead
from app.web.views import rewording as view
from app.web.views.rewording import ChangeGroup

router = APIRouter()


@dataclass(frozen=True)
class ChangeGroupView:
    """More captions of a group of changes."""

    group: ChangeGroup


@dataclass(frozen=True)
class WordListView:
    """One list of words with its number and who set it."""

    kind: Words
    title: str
    what: str
    words: tuple[str, ...]
    number: int
    history: list[tuple[WordList, str]]


@dataclass(frozen=True)
class WordsView:
    """The lists of words of a catalog."""

    catalog: Catalog
    lists: list[WordListView]


_LISTS: dict[Words, tuple[str, str]] = {
    "locked": (
        "Locked words",
        "Brands and trigger words. Find and replace leaves them as they are, capitals or not, and what overlaps them.",
    ),
    "banned": (
        "Banned phrases",
        "What captions do without: talk of the image instead of what is on it, and hedging. The desk tells of them.",
    ),
    "known": ("Known words", "Words of your trade that no dictionary has. The desk does not take them for slips."),
}


@router.get("/catalogs/{catalog_id}/replace")
def show(
    catalog_id: int, request: Request, session: Read, page: Page, me: CurrentPerson, part: str = ""
) -> HTMLResponse:
    """Find and replace as the address asks for it. `part=page` is what changes while one types, `part=group` more
    captions of one group."""
    catalog = reading.get(session, catalog_id)
    if part == "group":
        return page.fragment(
            "replace/_rows.html", ChangeGroupView(view.more(session, me, catalog, request.query_params))
        )
    shown = view.read(session, me, catalog, request.query_params)
    return page.fragment("replace/_replace.html", shown) if part == "page" else page("replace/replace.html", shown)


@router.post("/catalogs/{catalog_id}/replace")
def replace(
    catalog_id: int,
    request: Request,
    session: Write,
    page: Page,
    me: CurrentPerson,
    sent: Sent,
    expected: Annotated[int, Form()],
) -> Response:
    """Replace in the captions that were shown, as one act."""
    catalog = reading.get(session, catalog_id)
    decisions.lock(session, catalog_id)
    done = view.apply(session, catalog, sent, me, expected)
    if isinstance(done, str):
        return page("replace/replace.html", view.read(session, me, catalog, sent, done), 409)
    receipt = Receipt(undoing.said(done), f"/operations/{done.id}/undo")
    if done.job_id is not None:
        receipt = Receipt(f"Replacing in captions of {photos(done.count)}. It can be stopped, and taken back")
    return lead(request, f"{view.address(catalog, sent)}#before", receipt)


@router.get("/catalogs/{catalog_id}/words")
def words(catalog_id: int, session: Read, page: Page) -> HTMLResponse:
    """The lists of words of a catalog, with who set them."""
    return page("replace/words.html", _words(session, reading.get(session, catalog_id)))


@router.post("/catalogs/{catalog_id}/words")
def save_words(
    catalog_id: int,
    request: Request,
    session: Write,
    me: CurrentPerson,
    kind: Annotated[str, Form()],
    text: Annotated[str, Form()] = "",
    expected_id: Annotated[int, Form()] = 0,
) -> Response:
    """Set a list of words."""
    reading.get(session, catalog_id)
    chosen = next((known for known in _LISTS if known == kind), None)
    if chosen is None:
        raise Refused(f"“{kind[:30]}” is no list of words. Lists are: {', '.join(USUAL)}.")
    word_lists.save(session, catalog_id, chosen, word_lists.read(text), me, expected_id)
    return lead(request, f"/catalogs/{catalog_id}/words#{chosen}", Receipt(f"{_LISTS[chosen][0]} saved"))


def _words(session: Read, catalog: Catalog) -> WordsView:
    return WordsView(
        catalog,
        [
            WordListView(
                kind, title, what, word_lists.current(session, catalog.id, kind),
                word_lists.number(session, catalog.id, kind), word_lists.history(session, catalog.id, kind),
            )
            for kind, (title, what) in _LISTS.items()
        ],
    )  # fmt: skip
