"""A shift of a team in Chromium: one queue, two annotators, fast keys, a cut, an ended sign-in, handing over."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app import people
from app.database import transaction, utc_now
from app.desk import queues
from app.desk.tables import QueueAnswer, QueueHold, ReviewQueue
from app.people import Person
from app.review.tables import Decision
from app.selection.query import parse
from tests import cast
from tests.browser.conftest import Site, Visit, on_desk, wait_for

pytestmark = pytest.mark.browser

PHOTOS = 12


@dataclass(frozen=True)
class Shift:
    """A queue of a dozen photos, its lead, and the two who review it."""

    site: Site
    lead: Person
    ben: Person
    mei: Person
    queue_id: int
    photos: Sequence[int]

    @property
    def address(self) -> str:
        return f"{self.site.url}/desk?queue_id={self.queue_id}"

    def answers(self) -> dict[int, str]:
        """Who answered on which photo, by name; a photo with two answers would be one of the two alone."""
        with Session(self.site.engine) as session:
            rows = session.execute(
                select(QueueAnswer.image_id, Person.name)
                .join(Person, Person.id == QueueAnswer.person_id)
                .where(QueueAnswer.undone_at.is_(None), QueueAnswer.verdict.is_not(None))
            ).all()
        assert len({image_id for image_id, _ in rows}) == len(rows), "a photo that two were given"
        return dict(rows)


@pytest.fixture
def shift(site: Site) -> Shift:
    with transaction(site.engine) as session:
        lead = cast.person(session, "Ana")
        ben, mei = (cast.person(session, name, "annotator") for name in ("Ben", "Mei"))
        pile = cast.catalog(session, "Autumn")
        photos = [
            site.photo(session, pile, ("red", "blue")[n % 2], f"Kettle {n}", caption=f"Kettle {n}.").id
            for n in range(PHOTOS)
        ]
        queue = queues.make(session, lead, parse("", pile.id), "Kettles", "given", person_ids=[ben.id, mei.id])
        return Shift(site, lead, ben, mei, queue.id, photos)


def sit_down(shift: Shift, visit: Visit, person: Person) -> Page:
    page = visit(person)
    page.goto(shift.address)
    page.wait_for_load_state("networkidle")
    return page


def test_two_annotators_with_fast_keys_share_a_queue(shift: Shift, visit: Visit) -> None:
    ben, mei = sit_down(shift, visit, shift.ben), sit_down(shift, visit, shift.mei)
    for turn in range(PHOTOS // 2):
        for page, key in ((ben, "af"[turn % 2]), (mei, "fa"[turn % 2])):
            here = on_desk(page)
            page.keyboard.press(key)
            if turn < PHOTOS // 2 - 1:
                expect(page.locator("[data-photo]")).not_to_have_attribute("data-photo", str(here))
    wait_for(ben, lambda: len(shift.answers()) >= PHOTOS)
    for page in (ben, mei):
        page.wait_for_url(shift.address)  # the last decision leads on by itself
        page.goto(shift.address)
        expect(page.get_by_text("Kettles is done: 12 photos reviewed.")).to_be_visible()
    said = shift.answers()
    assert said.keys() == set(shift.photos)
    assert set(said.values()) == {"Ben", "Mei"}
    with Session(shift.site.engine) as session:
        decided = session.execute(
            select(Decision.image_id, Decision.person_id).where(Decision.superseded_at.is_(None))
        ).all()
    assert len(decided) == PHOTOS


# Presses a key as a person does, and says whether another photo is there before the browser does anything else.
AT_ONCE = """(key) => {
  const before = document.querySelector("[data-photo]").dataset.photo;
  document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  const { photo } = document.querySelector("[data-photo]").dataset;
  const picture = document.querySelector("[data-picture]");
  return photo !== before && picture.complete && picture.naturalWidth > 0;
}"""


def test_no_key_waits_for_the_network_while_photos_are_ahead(shift: Shift, visit: Visit) -> None:
    """A queue hands out six at once. The seventh and those behind it lie ready, too, before their turn comes."""
    ben = sit_down(shift, visit, shift.ben)
    for turn in range(PHOTOS - 6):
        expect(ben.locator("[data-cell].to-come")).to_have_count(5)
        assert ben.evaluate(AT_ONCE, "aas"[turn % 3]), f"photo {turn + 2} was not there"
    wait_for(ben, lambda: len(shift.answers()) == 4)
    expect(ben.locator("[data-cell].to-come")).to_have_count(5)
    ben.context.set_offline(True)
    for _ in range(5):
        assert ben.evaluate(AT_ONCE, "a"), "what is decided waits in the browser, and the next photo for nothing"
    ben.context.set_offline(False)
    wait_for(ben, lambda: len(shift.answers()) == 9)


def test_who_walks_away_leaves_photos_and_keeps_the_draft(shift: Shift, visit: Visit) -> None:
    ben = sit_down(shift, visit, shift.ben)
    first = on_desk(ben)
    ben.keyboard.press("e")
    ben.locator("[data-text]").fill("A red kettle that Ben began to describe")
    expect(ben.locator("[data-draft]")).to_contain_text("draft saved")
    with transaction(shift.site.engine) as session:
        session.execute(update(QueueHold).values(expires_at=utc_now()))
    mei = sit_down(shift, visit, shift.mei)
    assert on_desk(mei) == first, "it is free again"
    mei.keyboard.press("a")
    wait_for(mei, lambda: shift.answers().get(first) == "Mei")
    ben.reload()
    expect(ben.locator("[data-text]")).to_have_value("A red kettle that Ben began to describe")


def test_a_sign_in_that_ends_in_mid_edit_loses_nothing(shift: Shift, visit: Visit) -> None:
    ben = sit_down(shift, visit, shift.ben)
    first = on_desk(ben)
    ben.keyboard.press("e")
    ben.locator("[data-text]").fill("Red kettle, written as the sign-in ended")
    with transaction(shift.site.engine) as session:
        people.sign_out_everywhere(session, session.get_one(Person, shift.ben.id))
    ben.keyboard.press("Control+Enter")
    ben.wait_for_url(re.compile("/sign-in"))
    again = visit(shift.ben)
    again.goto(f"{shift.site.url}/images/{first}?queue_id={shift.queue_id}")
    assert again.locator("[data-text]").input_value() in ("Kettle.", f"Kettle {shift.photos.index(first)}.")
    # In the browser it was written in, it is there still.
    ben.context.add_cookies(again.context.cookies())
    ben.goto(f"{shift.site.url}/images/{first}?queue_id={shift.queue_id}")
    expect(ben.locator("[data-text]")).to_have_value("Red kettle, written as the sign-in ended")


def test_a_queue_is_handed_over_on_the_board(shift: Shift, visit: Visit) -> None:
    ben = sit_down(shift, visit, shift.ben)
    ben.keyboard.press("a")
    wait_for(ben, lambda: len(shift.answers()) == 1)
    # The photo that lies here now was fetched before; how far the queue is follows the answer.
    expect(ben.locator("[data-left]")).to_have_text(str(PHOTOS - 1))
    expect(ben.locator("[data-done]")).to_have_text("1")
    lead = visit(shift.lead)
    with Session(shift.site.engine) as session:
        catalog_id = session.get_one(ReviewQueue, shift.queue_id).catalog_id
    lead.goto(f"{shift.site.url}/catalogs/{catalog_id}/queues")
    expect(lead.get_by_text(re.compile("holds [56] photos"))).to_be_visible()
    lead.get_by_role("button", name="Change … Kettles").or_(lead.get_by_role("button", name="Change Kettles")).click()
    dialog = lead.get_by_role("dialog", name="Kettles")
    dialog.get_by_label("Ben").uncheck()
    dialog.get_by_role("button", name="Hand out").click()
    lead.wait_for_load_state("networkidle")
    ben.goto(shift.address)
    expect(ben.get_by_text("was not given to you")).to_be_visible()
    mei = sit_down(shift, visit, shift.mei)
    assert on_desk(mei) in shift.photos


def test_undo_brings_an_answer_back_into_ones_hands(shift: Shift, visit: Visit) -> None:
    ben = sit_down(shift, visit, shift.ben)
    first = on_desk(ben)
    ben.keyboard.press("x")
    ben.keyboard.press("1")
    wait_for(ben, lambda: first in shift.answers())
    again = sit_down(shift, visit, shift.ben)  # another page, as after a restart
    again.keyboard.press("z")
    wait_for(again, lambda: first not in shift.answers())
    wait_for(again, lambda: on_desk(again) == first)
