"""Caption templates: the page that shows what one would say of a selection's photos, and the act that writes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, Response

from app.bulk import filling as act
from app.bulk import operations
from app.bulk.filling import Filled
from app.bulk.operations import OperationRow
from app.bulk.undoing import said
from app.captions import filling
from app.captions.filling import FIELDS
from app.captions.tables import OF_KIND
from app.catalog import reading
from app.catalog.tables import Catalog, Image
from app.errors import Refused
from app.selection import browse
from app.selection.query import Selection
from app.selection.wording import sentence
from app.web.dependencies import CurrentPerson, Page, Read, Write
from app.web.routes.operations import answer
from app.web.views import blind

router = APIRouter()
Text = Annotated[str, Form()]
SHOWN: Final = 30
_REST: Final = "[ by {brand}], {framing}[ on a {background} background], lettered “{text}”."
# By category where the catalogue has one; of catalogs whose categories are names of folders the titles tell more.
USUAL: Final = ("{colour} {category}" + _REST, "{title}" + _REST)


@dataclass(frozen=True)
class FillingView:
    """A template with what it says of the first photos of a selection, and what was written by templates before."""

    catalog: Catalog
    selection: Selection
    count: int
    said: str
    template: str
    kind: str
    kinds: tuple[str, ...]
    keeps_people: bool
    fields: dict[str, str]
    refusal: str
    photos: list[Filled]
    before: list[tuple[OperationRow, str]]


@router.get("/catalogs/{catalog_id}/template")
def show(
    catalog_id: int,
    session: Read,
    page: Page,
    me: CurrentPerson,
    q: str = "",
    template: str = "",
    kind: str = "long",
    replaces: bool = False,
) -> HTMLResponse:
    """What a template would say; nothing is written."""
    catalog, selection = reading.get(session, catalog_id), blind.chosen(session, me, q, catalog_id)
    count, refusal, photos = browse.count(session, selection), "", list[Filled]()
    kind = kind if kind in OF_KIND else "long"
    first = list(session.scalars(selection.select(Image.id).order_by(Image.id).limit(SHOWN)))

    def said_by(asked: str) -> list[Filled]:
        return act.filled(session, first, asked, kind, not replaces) if first else []

    asked = template or max(USUAL, key=lambda usual: sum(len(photo.text) for photo in said_by(usual)))
    try:
        asked = filling.checked(asked)
        photos = said_by(asked)
    except Refused as error:
        refusal = error.sentence
    rows = operations.recent(session, catalog_id, limit=5, kinds=("fill",))
    return page(
        "replace/template.html",
        FillingView(
            catalog, selection, count, sentence(selection, count), asked, kind, tuple(OF_KIND), not replaces, FIELDS,
            refusal, photos, [(row, said(row.operation)) for row in rows],
        ),
    )  # fmt: skip


@router.post("/catalogs/{catalog_id}/template")
def fill(
    catalog_id: int,
    request: Request,
    session: Write,
    me: CurrentPerson,
    expected_count: Annotated[int, Form()],
    q: Text = "",
    template: Text = "",
    kind: Text = "long",
    replaces: Annotated[bool, Form()] = False,
) -> Response:
    """Write captions by a template for every photo that matches `q`, as one act."""
    reading.get(session, catalog_id)
    selection = blind.chosen(session, me, q, catalog_id)
    value = {"template": template, "kind": kind, "keeps_people": not replaces}
    back = f"/catalogs/{catalog_id}/operations"
    return answer(request, session, me, selection, "fill", value, expected_count, back)
