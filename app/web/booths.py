"""Where somebody votes: the sheet that an address names, and who it is. A person of the team comes by the sheet's
number, a guest by a link's token and a cookie."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Depends, Request
from fastapi.responses import Response
from sqlalchemy.orm import Session

from app import guessing
from app.database import utc_now
from app.errors import NotAllowed, NotFound
from app.evaluation import links, sheets
from app.evaluation.tables import Sheet
from app.evaluation.vote_tables import Guest, SheetLink
from app.evaluation.voting import Voter
from app.settings import Settings
from app.web.dependencies import Files, Read, address_of, in_transaction, signed_in
from app.web.views.voting import Booth

_LARGEST_NUMBER: Final = 18  # digits of a number of a row


def link_of(token: str, request: Request, session: Read) -> SheetLink:
    """The link to vote by behind the address. Raises NotFound where it is none or over, TooMany for who guesses links.

    Whoever came in before is let in.
    """
    link = links.find(session, token, "vote")
    if link is not None and guest_of(request, session, link) is not None:
        return link
    return _not_guessed(request, session, link)


def read_link_of(token: str, request: Request, session: Read) -> SheetLink:
    """The link to read by behind the address. Raises as `link_of` does."""
    return _not_guessed(request, session, links.find(session, token, "read"))


def _not_guessed(request: Request, session: Session, link: SheetLink | None) -> SheetLink:
    """A link as it was found. A wrong one is counted in a transaction of its own: what raises is rolled back."""
    address = address_of(request)
    links.refuse_guesser(session, address)
    if link is None:
        session.rollback()  # a request holds one connection at a time
        in_transaction(request, lambda own: guessing.note_wrong_link(own, address))
        raise NotFound(links.OVER)
    return link


Linked = Annotated[SheetLink, Depends(link_of)]
ReadLinked = Annotated[SheetLink, Depends(read_link_of)]


def guest_of(request: Request, session: Session, link: SheetLink) -> Guest | None:
    """Who this browser is, by the link's cookie."""
    return links.guest_of(session, link, request.cookies.get(cookie_name(request.app.state.settings)))


def booth(request: Request, session: Read, files: Files) -> Booth:
    """Where the request votes. Raises NotFound, SignInNeeded, and NotAllowed for a guest who did not say a name."""
    token = request.path_params.get("token")
    if token is None:
        number = str(request.path_params["sheet_id"])[:_LARGEST_NUMBER]
        sheet = sheets.get(session, int(number) if number.isdecimal() and number.isascii() else 0)
        return Booth(session, files, sheet, Voter(person_id=signed_in(request).id), f"/compare/{sheet.id}")
    link = link_of(token, request, session)
    guest = guest_of(request, session, link)
    if guest is None:
        raise NotAllowed("Say who votes first: open the link again, and type a name.")
    return Booth(
        session, files, session.get_one(Sheet, link.sheet_id), Voter(guest_id=guest.id), f"/votes/{token}", guest.name
    )


At = Annotated[Booth, Depends(booth)]


def cookie_name(settings: Settings) -> str:
    """The cookie by which a guest's browser is known; each link's has a path of its own."""
    return f"packshot-{settings.port}-guest"


def set_cookie(response: Response, settings: Settings, link: SheetLink, token: str, key: str) -> None:
    """Know a guest's browser again, as long as the link is good and under its addresses only."""
    response.set_cookie(
        cookie_name(settings), key, max_age=int((link.expires_at - utc_now()).total_seconds()),
        path=f"/votes/{token}", httponly=True, samesite="lax", secure=settings.has_https,
    )  # fmt: skip
