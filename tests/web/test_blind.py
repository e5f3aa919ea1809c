"""A blind pass, as a stranger to the first one: nothing that can be asked for tells who or what was there before."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx import Response
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.bulk import operations
from app.captions import beside, runs, writing
from app.captions.asking import Asking
from app.captions.runs import Answered, Spent
from app.catalog import corrections
from app.catalog.tables import Image
from app.desk import holding, notes, queues
from app.desk.tables import ReviewQueue
from app.labels import giving, sets
from app.people import Person
from app.review import decisions
from app.review.tables import Operation
from app.selection import browse
from app.selection.query import parse
from app.settings import Settings
from app.web.views import blind
from tests import cast
from tests.conftest import sign_in
from tests.web.declared import ROUTES

NAME, MODEL, OLDER, REASON = "Zenobia Quartz", "hub/paligemma-9", "An older caption of hers.", "off-season, she says"
SCRIPT, PIECE = {"accept": "application/json"}, {"x-fragment": "1"}


@dataclass
class Second:
    """The one who makes the second pass on `photo`, which the first made in `queue`; `note` waits for everybody."""

    browser: TestClient
    person: Person
    photo: Image
    queue: ReviewQueue
    note: int
    caption: int
    older: int
    label: str

    @property
    def here(self) -> str:
        return f"/images/{self.photo.id}?queue_id={self.queue.id}"


@pytest.fixture
def second(web: FastAPI, session: Session, settings: Settings, me: Person) -> Second:
    """Everything that a first pass can leave behind, left behind by Zenobia Quartz and a model."""
    first, person = cast.person(session, NAME, "lead"), cast.person(session, "Mei", "lead")
    pile = cast.catalog(session)
    photos = [cast.image(session, pile, f"Kettle {n}", caption="A red kettle.") for n in range(3)]
    queue = queues.make(session, me, parse("", pile.id), "Twice", "given", overlap=2)
    ids = holding.ahead(session, queue, first)
    photo = next(photo for photo in photos if photo.id == ids[0])
    writing.propose(session, photo, "What the model saw.", MODEL, {"prompt": "Describe it to Zenobia Quartz"})
    written = writing.current(session, [photo.id])[photo.id]
    older = writing.rewrite(session, photo.id, OLDER, first, written.id)
    now = writing.rewrite(session, photo.id, "A kettle in red.", first, older.id)
    writing.rewrite(session, photo.id, "Kettle.", first, None, "short")
    label_set = sets.define(session, pile.id, first, "Season", "one", ["Winter", "Summer"])
    act = giving.LabelAct(label_set, label_set.values[0], False)
    giving.give(session, photo, first, act, 0)
    corrections.correct(session, photo, first, "title", "Kettle of red enamel", 0)
    run = beside.request(session, photo, "facts", Asking(), settings, first)
    runs.keep(session, run.id, [Answered(photo.id, {"long": "What the model saw anew."}, "", {})], Spent())
    note = notes.ask(session, first, photo, f"{NAME} wonders: is it sold?", "everybody")
    holding.decide(session, queue, photo, first, "rejected", REASON, 0)
    browser = sign_in(web, session, settings, person)
    assert browser.get(f"/desk?queue_id={queue.id}").headers["location"].startswith(f"/images/{photo.id}?")
    label = f"{label_set.id}:{label_set.values[1].id}"
    return Second(browser, person, photo, queue, note.id, now.id, older.id, label)


def tells_nothing(answer: Response, names: tuple[str, ...] = (NAME, "Zenobia", "Quartz")) -> None:
    """Neither name, model, older words nor reason anywhere: text, attributes, JSON, templates for tabs."""
    assert answer.status_code < 500
    for word in (*names, MODEL, OLDER, "What the model saw", REASON, "is it sold"):
        assert word not in answer.text, (word, answer.url, answer.text[max(0, answer.text.find(word) - 200) :][:400])


@pytest.mark.parametrize(
    "address",
    [
        "/images/{photo}?queue_id={queue}", "/images/{photo}?queue_id={queue}&kind=short", "/images/{photo}/card",
        "/images/{photo}/mend", "/catalogs/{catalog}/tiles", "/catalogs/{catalog}/tiles?id={photo}",
    ],
)  # fmt: skip
@pytest.mark.parametrize("headers", [{}, PIECE])
def test_no_page_and_no_piece_of_it_tells(second: Second, address: str, headers: dict[str, str]) -> None:
    where = address.format(photo=second.photo.id, queue=second.queue.id, catalog=second.photo.catalog_id)
    answer = second.browser.get(where, headers=headers)
    assert answer.status_code == 200
    tells_nothing(answer)


@pytest.mark.parametrize("page", ["", "/queues", "/agreement"])
def test_pages_that_list_the_team_tell_nothing_of_the_photo(second: Second, page: str) -> None:
    tells_nothing(second.browser.get(f"/catalogs/{second.photo.catalog_id}{page}"), names=())


def test_the_photo_itself_still_shows(second: Second) -> None:
    page = second.browser.get(second.here).text
    assert "A kettle in red." in page and "Blind: who or what" in page and 'data-decision="0"' in page
    assert 'data-writer=""' in page and 'data-machine=""' in page
    assert "data-recaption" not in page and "data-versions" not in page.replace("data-versions-box", "")


@pytest.mark.parametrize("asked", ["", "?q=", "?q=kettle&sort=oldest"])
def test_any_other_way_to_the_photo_leads_into_its_queue(second: Second, asked: str) -> None:
    for headers in ({}, PIECE):
        answer = second.browser.get(f"/images/{second.photo.id}{asked}", headers=headers)
        assert (answer.status_code, answer.headers["location"]) == (303, second.here)
        tells_nothing(answer)


def test_the_photos_beside_it_carry_no_mark(second: Second, session: Session) -> None:
    row = second.browser.get(second.here).context["row"]  # type: ignore[attr-defined]
    others = second.browser.get(f"/images/{row.after[0].id}?q=kettle").context["row"]  # type: ignore[attr-defined]
    cells = [row.here, *row.before, *row.after, *others.before, *others.after]
    assert second.photo.id in [tile.id for tile in (*others.before, *others.after)]
    assert {tile.mark for tile in cells} == {""}
    holding.decide(session, second.queue, second.photo, second.person, "kept")
    row = second.browser.get(f"/images/{row.after[0].id}?queue_id={second.queue.id}").context["row"]  # type: ignore[attr-defined]
    assert [tile.mark for tile in row.before] == [""], "the mark would be the other’s"


CHANGES: dict[str, Callable[[Second], tuple[str, dict[str, object]]]] = {
    "decided elsewhere": lambda s: (f"/images/{s.photo.id}/decisions", {"verdict": "kept", "expected_id": 0}),
    "as suggested": lambda s: (
        f"/images/{s.photo.id}/decisions", {"verdict": "suggested", "queue_id": s.queue.id, "expected_id": 0},
    ),
    "a caption in conflict": lambda s: (f"/images/{s.photo.id}/captions", {"text": "Mine.", "expected_id": s.older}),
    "the same caption": lambda s: (
        f"/images/{s.photo.id}/captions", {"text": "A kettle in red.", "expected_id": s.caption},
    ),
    "restored": lambda s: (f"/images/{s.photo.id}/captions/{s.caption}/restoration", {}),
    "a label in conflict": lambda s: (f"/images/{s.photo.id}/labels", {"label": s.label, "expected_id": 0}),
    "a fact in conflict": lambda s: (
        f"/images/{s.photo.id}/corrections", {"fact": "title", "value": "Pot", "expected_id": 0},
    ),
    "decided": lambda s: (
        f"/images/{s.photo.id}/decisions", {"verdict": "needs_work", "queue_id": s.queue.id, "expected_id": 0},
    ),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("headers", [{}, SCRIPT])
def test_no_answer_to_a_change_tells(second: Second, change: str, headers: dict[str, str]) -> None:
    address, data = CHANGES[change](second)
    answer = second.browser.post(address, data=data, headers=headers)
    tells_nothing(answer)
    assert headers != SCRIPT or "rejected" not in answer.text


def test_notes_of_others_wait_until_it_is_over(second: Second, session: Session) -> None:
    asked = second.browser.post(f"/images/{second.photo.id}/notes", data={"text": "Is it red?"}, headers=PIECE)
    assert "Is it red?" in asked.text
    tells_nothing(asked)
    tells_nothing(second.browser.post(f"/notes/{second.note}/closing", headers=PIECE))
    holding.decide(session, second.queue, second.photo, second.person, "kept")
    assert "is it sold?" in second.browser.get(f"/images/{second.photo.id}").text


def test_once_decided_all_is_told(second: Second, session: Session) -> None:
    holding.decide(session, second.queue, second.photo, second.person, "kept")
    page = second.browser.get(f"/images/{second.photo.id}").text
    assert NAME in page and MODEL in page and REASON in page
    assert decisions.current(session, second.photo.id) is not None


# What a route is asked with beside nothing: filters that would give the answer, files with their history.
ASKED: dict[str, tuple[str, ...]] = {
    "GET /catalogs/{catalog_id}/captions.csv": ("?history=true",),
    "GET /catalogs/{catalog_id}/captions.jsonl": ("?history=true", "?q=id:{image_id}"),
}


@pytest.fixture
def annotating(second: Second, session: Session, me: Person) -> Second:
    """The same pass in an annotator's hands, who sees neither names of leads on boards; an act on the photo besides."""
    second.person.role = "annotator"
    first = session.query(Person).filter_by(name=NAME).one()
    pile = parse(f"id:{second.photo.id}", second.photo.catalog_id)
    value = {"verdict": "rejected", "reason": "dull"}
    operation = operations.begin(session, pile, first, "decide", value, pile.query)
    operations.carry_out(session, operation, first)
    session.flush()
    return second


@pytest.mark.parametrize("route", sorted(route for route in ROUTES if route.startswith("GET ")))
def test_no_route_tells_an_annotator_who_or_what_was_there_before(
    annotating: Second, session: Session, route: str
) -> None:
    photo = annotating.photo
    numbers = {
        "catalog_id": photo.catalog_id, "image_id": photo.id, "queue_id": annotating.queue.id,
        "note_id": annotating.note, "set_id": annotating.label.partition(":")[0], "key": "decision",
        "operation_id": session.scalar(select(func.max(Operation.id))), "person_id": annotating.person.id,
    }  # fmt: skip
    path = re.sub(r"\{(\w+)\}", lambda name: str(numbers.get(name[1], 999_999_999)), route.removeprefix("GET "))
    # The team is no secret, nor who holds what; which person was first on this photo is.
    names = () if route in ("GET /people", "GET /catalogs/{catalog_id}/queues") else (NAME, "Zenobia")
    for asked in ("", *ASKED.get(route, ())):
        tells_nothing(annotating.browser.get(path + asked.format(**numbers)), names)


@pytest.mark.parametrize(
    "asked", ["decision:rejected", "-decision:unseen", "decider:zenobia", "author:zenobia", "caption:person",
              "(decision:rejected or words)", "by:person", "decided:today"],
)  # fmt: skip
def test_no_filter_and_no_count_tells(annotating: Second, asked: str, session: Session) -> None:
    there, number = f"/catalogs/{annotating.photo.catalog_id}", annotating.photo.id
    page = annotating.browser.get(there, params={"q": f"id:{number} {asked}"}).context  # type: ignore[attr-defined]
    assert page["total"] == 0 and not page["tiles"].tiles
    tiles = annotating.browser.get(f"{there}/tiles", params={"q": asked}).text
    assert f'data-id="{number}"' not in tiles
    csv = annotating.browser.get(f"{there}/captions.csv", params={"q": asked}).text
    assert "A kettle in red." not in csv
    for bulk in ({"find": "kettle", "with": "pot"}, {}):
        bulk_page = annotating.browser.get(f"{there}/{'replace' if bulk else 'template'}", params={"q": asked, **bulk})
        selection = bulk_page.context["selection"]  # type: ignore[attr-defined]
        assert number not in session.scalars(selection.select(Image.id)).all()
    holding.decide(session, annotating.queue, annotating.photo, annotating.person, "kept")
    page = annotating.browser.get(there, params={"q": f"id:{number} {asked}"}).context  # type: ignore[attr-defined]
    assert page["total"] == 1, "once decided, it is found"


def test_facets_completions_and_bulk_acts_count_without_it(annotating: Second, session: Session) -> None:
    there, number = f"/catalogs/{annotating.photo.catalog_id}", annotating.photo.id
    page = annotating.browser.get(there, params={"q": f"id:{number}"}).context  # type: ignore[attr-defined]
    assert page["total"] == 1
    counts = {
        option.value: option.count
        for option in browse.facets(
            session, blind.narrowed(session, annotating.person, parse("", annotating.photo.catalog_id), is_counted=True)
        ).options["decision"]
    }
    assert counts.get("rejected", 0) == 0
    offered = annotating.browser.get(f"{there}/completions", params={"q": "decision:rej", "at": 12}).json()
    assert [choice["count"] for choice in offered["choices"]] == [0]
    answer = annotating.browser.post(
        f"{there}/decisions", data={"verdict": "rejected", "q": f"id:{number}"}, headers=SCRIPT
    )
    assert answer.status_code == 422 and "already" not in answer.text


def test_leads_see_everything(annotating: Second, session: Session) -> None:
    annotating.person.role = "lead"
    session.flush()
    there = f"/catalogs/{annotating.photo.catalog_id}"
    assert NAME in annotating.browser.get(f"{there}/labels.csv").text
    assert MODEL in annotating.browser.get(f"{there}/captions.csv?history=true").text
    page = annotating.browser.get(there, params={"q": "decision:rejected"}).context  # type: ignore[attr-defined]
    assert page["total"] == 1
