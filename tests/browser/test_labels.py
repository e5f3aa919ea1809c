"""Labels by key in a browser: a letter goes to a set, a digit gives the label, on the desk and on the grid."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from app.catalog.tables import Image
from app.database import transaction
from app.labels import sets
from app.people import Person
from app.selection.query import parse
from tests.browser.conftest import Scene, Visit, wait_for

pytestmark = pytest.mark.browser


@pytest.fixture
def desk(scene: Scene, visit: Visit) -> Page:
    with transaction(scene.site.engine) as session:
        ana = session.get_one(Person, scene.ana.id)
        sets.define(session, scene.pile.id, ana, "View", "one", ["front", "back", "detail"], "v")
        sets.define(session, scene.pile.id, ana, "Faults", "many", ["creases", "price tag"], "u")
        sets.define(session, scene.pile.id, ana, "Note", "text", (), "t")
    page = visit(scene.ana)
    page.goto(f"{scene.site.url}/desk")
    page.wait_for_load_state("networkidle")
    return page


def count(scene: Scene, query: str) -> int:
    with transaction(scene.site.engine) as session:
        return len(session.scalars(parse(query, scene.pile.id).select(Image.id)).all())


def test_letters_and_digits_label_on_the_desk_and_the_grid(scene: Scene, desk: Page) -> None:
    desk.keyboard.press("v")
    desk.keyboard.press("2")
    expect(desk.locator("[data-digit='2'][aria-pressed=true]")).to_have_text("back 2")
    desk.keyboard.press("u")
    desk.keyboard.press("1")
    expect(desk.locator("[data-strip][data-letter=u] [data-digit='1']")).to_have_attribute("aria-pressed", "true")
    assert count(scene, "label:view=back,faults=creases") == 1
    desk.keyboard.press("1")
    expect(desk.locator("[data-strip][data-letter=u] [data-digit='1']")).to_have_attribute("aria-pressed", "false")
    desk.keyboard.press("Escape")
    desk.keyboard.press("z")
    wait_for(desk, lambda: count(scene, "label:faults=creases") == 1)

    desk.goto(f"{scene.site.url}/catalogs/{scene.pile.id}")
    desk.keyboard.press("Control+a")
    desk.keyboard.press("v")
    desk.keyboard.press("1")
    # The photo that is labelled "back" is this person's own answer, and is changed.
    wait_for(desk, lambda: count(scene, "label:view=front") == count(scene, ""))
    expect(desk.locator("[data-facet^=label-]").first).to_contain_text("front")


def test_a_tag_is_typed_in_the_bar_and_enter_gives_it_and_nothing_else(scene: Scene, desk: Page) -> None:
    desk.goto(f"{scene.site.url}/catalogs/{scene.pile.id}")
    desk.keyboard.press("Control+a")
    desk.keyboard.press("l")
    desk.get_by_label("Tag", exact=True).fill("summer sale")
    desk.keyboard.press("Enter")
    expect(desk.locator(".toast")).to_contain_text("Gave Tags “summer sale” to 4 photos")
    assert count(scene, 'label:"tags=summer sale"') == 4
    desk.get_by_label("Note", exact=True).fill("second choice")
    desk.keyboard.press("Enter")
    expect(desk.locator(".toast").last).to_contain_text("Gave Note “second choice” to 4 photos")
    desk.locator(".toast").last.get_by_role("button", name="Undo").click()
    expect(desk.locator(".toast").last).to_contain_text("Took back on 4 photos: gave Note")
    assert count(scene, "label:note") == 0 and count(scene, "decision:unseen") == 4
