"""Links to a sheet for people without an account, and what a guest sees of it: who they are, and the vote page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy.orm import Session

from app.errors import Refused
from app.evaluation import links, sheets
from app.evaluation.links import ListedLink
from app.evaluation.tables import Sheet
from app.evaluation.vote_tables import LinkKind, SheetLink
from app.web import access, booths
from app.web.booths import Linked
from app.web.dependencies import Config, CurrentPerson, Files, Page, Read, Write
from app.web.routes.compare import title_of
from app.web.views import voting

router = APIRouter()
Text = Annotated[str, Form()]
TITLE = "Blind vote"


@dataclass(frozen=True)
class LinksView:
    """The links of a sheet. `made` is the one that was made just now, its `address` is shown this once."""

    sheet: Sheet
    title: str
    links: Sequence[ListedLink]
    days: Sequence[int]
    made: SheetLink | None = None
    address: str | None = None


@dataclass(frozen=True)
class EnterView:
    """The page on which a guest says who they are. `failure` says why the name was not taken."""

    token: str
    name: str = ""
    failure: str | None = None


@router.get("/compare/{sheet_id}/links")
def index(sheet_id: int, session: Read, page: Page) -> HTMLResponse:
    """The links of a sheet, and the form that makes one."""
    return page("votes/links.html", _links(session, sheet_id))


@router.post("/compare/{sheet_id}/links")
def make(
    sheet_id: int, session: Write, page: Page, me: CurrentPerson, days: Annotated[int, Form()] = 3,
    kind: Annotated[LinkKind, Form()] = "vote",
) -> HTMLResponse:  # fmt: skip
    """Make a link that lets people vote, or read the report, and show it once."""
    link, token = links.make(session, me, sheets.get(session, sheet_id), kind, days)
    base = (page.settings.public_url or str(page.request.base_url)).rstrip("/")
    return page("votes/links.html", _links(session, sheet_id, link, f"{base}/{kind}s/{token}"))


@router.post("/compare/{sheet_id}/links/{link_id}/revocation")
def revoke(sheet_id: int, link_id: int, session: Write, me: CurrentPerson) -> RedirectResponse:
    """End a link."""
    links.revoke(session, me, sheets.get(session, sheet_id), link_id)
    return RedirectResponse(f"/compare/{sheet_id}/links", 303)


@router.get("/votes/{token}")
def show(
    token: str, link: Linked, request: Request, session: Read, page: Page, files: Files, turn: str = ""
) -> Response:
    """The vote page, or who it is that votes. Who may vote with the team does so there, under their own name."""
    person = request.state.person
    if person is not None and access.allows(person, "GET /compare/{sheet_id}/vote"):
        return RedirectResponse(f"/compare/{link.sheet_id}/vote", 303)
    if booths.guest_of(request, session, link) is None:
        return page("votes/enter.html", EnterView(token))
    at = booths.booth(request, session, files)
    return page("votes/guest.html", voting.view(at, TITLE, "pairs", turn))


@router.post("/votes/{token}")
def enter(
    token: str, link: Linked, request: Request, session: Write, page: Page, config: Config, name: Text = ""
) -> Response:
    """Come in by a link under a name."""
    response = RedirectResponse(f"/votes/{token}", 303)
    if booths.guest_of(request, session, link) is None:
        if (failure := links.why_no_name(name)) is not None:
            return page("votes/enter.html", EnterView(token, name[: links.LONGEST_NAME], failure), Refused.status)
        _, key = links.enter(session, link, name)
        booths.set_cookie(response, config, link, token, key)
    return response


@router.get("/votes/{token}/usable")
def single(
    token: str, link: Linked, request: Request, session: Read, page: Page, files: Files, turn: str = ""
) -> Response:
    """One picture after the other: would you publish it? Who did not say a name does so first."""
    if booths.guest_of(request, session, link) is None:
        return RedirectResponse(f"/votes/{token}", 303)
    return page("votes/guest.html", voting.view(booths.booth(request, session, files), TITLE, "single", turn))


def _links(session: Session, sheet_id: int, made: SheetLink | None = None, address: str | None = None) -> LinksView:
    sheet = sheets.get(session, sheet_id)
    return LinksView(sheet, title_of(sheet), links.of_sheet(session, sheet), links.LASTS_DAYS, made, address)
