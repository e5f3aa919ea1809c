"""What pages offer, as a viewer, an annotator, a lead and an owner: exactly what that role may do.

The pages are those that axe looks at, and the pieces that scripts put into them. Each is read as a browser would: the
address of every link, form, button and script. An owner's page is the measure: what another role's page lacks of it is
what that role may not do, and nothing else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from html.parser import HTMLParser

from fastapi import FastAPI
from sqlalchemy import select
from sqlalchemy.orm import Session

from app import jobs, people
from app.bulk import operations
from app.desk import queues
from app.desk.tables import QueueHold
from app.exports import asking
from app.labels import sets
from app.people import Person
from app.selection.query import parse
from app.settings import Settings
from app.storage import Storage
from app.training import runs
from tests import cast
from tests.browser.conftest import Site
from tests.browser.test_accessibility import WITHOUT_SIGN_IN, fill
from tests.conftest import sign_in
from tests.training.cast import frozen_version, one_run, take
from tests.web.declared import ROUTES

# What goes by who looks, and not by the role: the photos beside the next one of a person's own queue, and that queue.
# And where photos are taken in, which is told of otherwise to those who do not.
PERSONAL = {"GET /images/{image_id}", "GET /desk", "GET /intakes"}
# Changes that none of these pages shows an owner: those of strangers, those that scripts make beside a form, and those
# of states that are not made here. What is new is shown here, or named.
ELSEWHERE = {
    "POST /sign-in", "POST /links/{token}", "POST /browsers/{key}/exit",
    "POST /desk/departure", "POST /desk/holds", "POST /queues/{queue_id}/skips",
    "POST /uploads", "POST /uploads/{upload}/files", "POST /uploads/{upload}/pieces", "POST /uploads/{upload}/removal",
    "POST /intakes/{intake_id}/repetitions", "POST /catalogs/{catalog_id}/refused/retries",
    "POST /catalogs/{catalog_id}/naming", "POST /catalogs/{catalog_id}/naming/withdrawal",
    "POST /catalogs/{catalog_id}/phrases", "POST /images/{image_id}/mends/{mend_id}/restoration",
    "POST /views/{view_id}", "POST /views/{view_id}/deletion", "POST /compare/{sheet_id}/drawing",
    "POST /runs/{run_id}/extension", "POST /runs/{run_id}/model", "POST /datasets/{version_id}/removal",
    "POST /catalogs/{catalog_id}/replace", "POST /catalogs/{catalog_id}/template",
    "POST /comparisons/{comparison_id}/votes/undo", "POST /comparisons/{comparison_id}/adoption",
    "POST /captions/tokens", "POST /keys",
    "POST /storage/cache/removal", "POST /storage/exports/removal",
    *(route for route in ROUTES if route.startswith("POST /votes/")),  # of guests
}  # fmt: skip
PARTS = "/patterns"  # each part in each state, of nothing that there is


@cache
def _patterns() -> list[tuple[str, str, re.Pattern[str]]]:
    """Each route with its method and a pattern of its addresses; those without parameters first."""
    rows = [(*route.split(), route) for route in ROUTES]
    return [
        (route, method, re.compile(re.sub(r"\{\w+\}", r"[^/]+", path.replace(".", r"\."))))
        for method, path, route in sorted(rows, key=lambda row: row[1].count("{"))
    ]


def routes_at(address: str) -> dict[str, str]:
    """The routes that answer at an address, by their method."""
    path = re.split(r"[?#]", address)[0]
    found: dict[str, str] = {}
    for route, method, pattern in _patterns():
        if pattern.fullmatch(path):
            found.setdefault(method, route)
    return found


@dataclass
class Offers(HTMLParser):
    """What one page offers: each route with the address at which it is called; and what leads nowhere."""

    calls: set[tuple[str, str]] = field(default_factory=set)
    lost: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.forms: list[dict[str, str]] = []
        self.ids: set[str] = set()
        self.of_forms: set[str] = set()

    def handle_starttag(self, tag: str, given: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in given}
        self.ids |= {attributes["id"]} if "id" in attributes else set()
        if tag == "form":
            self.forms.append(attributes)
            self._note(attributes.get("method", "get").upper(), attributes.get("action", ""))
        elif attributes.get("form"):
            self.of_forms.add(attributes["form"])
        elif tag == "button" and attributes.get("type") == "submit" and not self.forms:
            self.lost.append(f"a button outside of a form: {attributes}")
        if "formaction" in attributes:
            form = self.forms[-1] if self.forms else {"method": "post"}
            self._note(attributes.get("formmethod", form.get("method", "get")).upper(), attributes["formaction"])
        if tag == "a":
            self._note("GET", attributes.get("href", ""))
        for name, value in attributes.items():
            # A script asks there in the way that there is; where there are two, looking is enough.
            if name.startswith("data-") and value.startswith("/") and (at := routes_at(value)):
                self._note("GET" if "GET" in at else "POST", value)

    def handle_endtag(self, tag: str) -> None:
        if tag == "form" and self.forms:
            self.forms.pop()

    def _note(self, method: str, address: str) -> None:
        if not address.startswith("/") or address.startswith("/static/"):
            return
        route = routes_at(address).get(method)
        if route is None:
            self.lost.append(f"{method} {address}")
        else:
            self.calls.add((route, address))


def read(page: str) -> Offers:
    offers = Offers()
    offers.feed(page)
    offers.lost += [f"a control of no form: {name}" for name in offers.of_forms - offers.ids]
    return offers


def may(person: Person, route: str, address: str) -> bool:
    """Whether a person may call a route: by the declaration, and for what belongs to one person by the address."""
    who = ROUTES[route]
    if who == "own":
        return person.role == "owner" or address == f"/people/{person.id}/links"
    return who == "anybody" or people.ROLES.index(person.role) >= people.ROLES.index(who)


def shown(
    web: FastAPI, session: Session, settings: Settings, person: Person, addresses: list[str]
) -> dict[str, Offers]:
    """What the pages at these addresses offer to a person; those that are not for them are left out."""
    browser = sign_in(web, session, settings, person)
    seen: dict[str, Offers] = {}
    for address in addresses:
        (route,) = (route for method, route in routes_at(address).items() if method == "GET")
        answer = browser.get(address, headers={"Accept": "text/html"})
        assert (answer.status_code == 403) == (not may(person, route, address)), (person.role, address)
        if answer.status_code != 403:
            assert answer.status_code in (200, 303, 404, 422), (address, answer.text)
            seen[address] = read(answer.text)
    return seen


def more(session: Session, settings: Settings, me: Person) -> list[str]:
    """What pages show beside what axe looks at: work half done, failed, handed on; and pieces that scripts swap in."""
    pile = cast.catalog(session, "Winter 2026")
    photo = cast.blurred_shoe(session, pile)
    cast.red_kettle(session, pile)
    sets.define(session, pile.id, me, "View", "one", ["Front", "Back"])
    done = operations.begin(session, parse("", pile.id), me, "decide", {"verdict": "needs_work", "reason": None}, "")
    operations.carry_out(session, done, me)
    half = operations.begin(session, parse("", pile.id), me, "decide", {"verdict": "kept", "reason": None}, "")
    version = frozen_version(session)
    export = asking.request_export(session, version.id, "imagefolder", me)
    failed = asking.request_export(session, version.id, "webdataset", me)
    jobs.get(session, failed.job_id).state = "failed"
    people.disable(session, me, cast.person(session, "Jonas"))
    broken = one_run(session)
    broken.created_by_id = me.id
    take(session, broken)
    runs.end(session, broken, "failed", "It broke.", "broken")
    session.flush()
    catalog, empty = f"/catalogs/{pile.id}", f"/catalogs/{cast.catalog(session, 'Nothing yet').id}"
    return [
        *(f"{catalog}{page}" for page in ("", "/rules", "/labels", "/operations", "/duplicates", "/map", "/naming")),
        f"{catalog}/duplicates?order=unmarked,whole,not+enlarged,largest,least+compressed,sharpest",
        *(f"{empty}{page}" for page in ("", "/rules", "/labels", "/operations", "/duplicates", "/naming", "/refused")),
        f"/images/{photo.id}", f"/images/{photo.id}/card", f"/operations/{half.id}",
        f"/datasets/{version.id}", f"/jobs/{export.job_id}", f"/runs/{broken.id}", f"/runs/{broken.id}/live",
    ]  # fmt: skip


def test_pages_offer_exactly_what_a_role_may_do(
    web: FastAPI, session: Session, settings: Settings, storage: Storage, me: Person
) -> None:
    pages = fill(Site("", None, storage, ""), session, me)  # type: ignore[arg-type]
    judged = pages["/comparisons/{comparison_id}"]
    del judged[1:]  # the others are as their judge left them
    addresses = [at for path, some in pages.items() if path not in (*WITHOUT_SIGN_IN, PARTS) for at in some]
    addresses = [at for at in addresses if not at.startswith("/images/") or "queue_id" not in at]  # one person's pass
    addresses += more(session, settings, me)
    owner = shown(web, session, settings, me, addresses)
    offered = {route for offers in owner.values() for route, _ in offers.calls if not route.startswith("GET")}
    changing = {route for route in ROUTES if not route.startswith("GET")}
    wrong = [f"owner: {route} is on no page, or not elsewhere" for route in (changing - offered) ^ ELSEWHERE]
    wrong += [f"owner: {address}: {lost}" for address, offers in owner.items() for lost in offers.lost]
    for role in ("viewer", "annotator", "lead"):
        person = cast.person(session, role.title(), role)
        for address, offers in shown(web, session, settings, person, addresses).items():
            own = routes_at(address)["GET"]  # the same page otherwise: a choice before a form that is not theirs
            wrong += [f"{role}: {address}: {lost}" for lost in offers.lost]
            wrong += [
                f"{role}: {address} offers {route} at {at}" for route, at in offers.calls if not may(person, route, at)
            ]
            lacks = [call for call in owner[address].calls - offers.calls if may(person, *call)]
            wrong += [
                f"{role}: {address} lacks {route} at {at}" for route, at in lacks if route not in (*PERSONAL, own)
            ]
    assert not wrong, "\n".join(wrong)


def test_a_look_takes_no_photo_out_of_a_queue(web: FastAPI, session: Session, settings: Settings, me: Person) -> None:
    pile = cast.catalog(session)
    photo = cast.red_kettle(session, pile)
    queue = queues.make(session, me, parse("", pile.id), "Everything")
    viewer = sign_in(web, session, settings, cast.person(session, "Vic", "viewer"))
    for address in (f"/desk?queue_id={queue.id}", f"/images/{photo.id}?queue_id={queue.id}"):
        answer = viewer.get(address)
        assert answer.status_code == 422 and "you look only" in answer.text
    assert viewer.get(f"/images/{photo.id}").status_code == 200
    assert not session.scalars(select(QueueHold)).all()
