"""The pages of somebody who only looks, in Chromium: what scripts drive is there or left out; nothing is refused."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from app.database import transaction
from app.desk import queues
from app.labels import sets
from app.people import Person
from app.review import decisions
from app.selection.query import parse
from tests import cast
from tests.browser.conftest import Scene, Visit, on_desk
from tests.browser.test_accessibility import LOOKS, faults
from tests.browser.test_map import draw_map

pytestmark = pytest.mark.browser


def test_a_viewer_looks_at_everything_and_nothing_fails(scene: Scene, visit: Visit) -> None:
    with transaction(scene.site.engine) as session:
        viewer = cast.person(session, "Vic", "viewer")
        ana = session.get_one(Person, scene.ana.id)
        sets.define(session, scene.pile.id, ana, "View", "one", ["Front", "Back"])
        decisions.decide(session, scene.photos[0], ana, "rejected", "blurred")
        draw_map(session, scene.pile, [photo.id for photo in scene.photos])
        queue = queues.make(session, ana, parse("", scene.pile.id), "Everything")
    page = visit(viewer)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("response", lambda answer: said.append(f"{answer.status} {answer.url}") if answer.status >= 400 else None)
    page.on("request", lambda asked: said.append(f"changes {asked.url}") if asked.method == "POST" else None)
    catalog = f"{scene.site.url}/catalogs/{scene.pile.id}"

    page.goto(f"{scene.site.url}/images/{scene.photos[1].id}")
    first = on_desk(page)
    expect(page.locator("[data-caption]")).to_contain_text("Red kettle number 1.")
    assert faults(page, "desk") == []
    page.keyboard.press("j")
    expect(page.locator(f'[data-photo="{first}"]')).to_have_count(0)
    page.keyboard.press("k")
    expect(page.locator(f'[data-photo="{first}"]')).to_have_count(1)
    for key in ("a", "x", "f", "y", "e", "l", "v", "1", "z", "Control+z", "Control+s", "m", "n", "w", "b", "0"):
        page.keyboard.press(key)
    expect(page.locator(f'[data-photo="{first}"]')).to_have_count(1)
    page.get_by_text("History", exact=True).click()

    page.goto(catalog)
    expect(page.locator('[data-tile][tabindex="0"]')).to_have_count(1)
    for key in ("Space", "Shift+ArrowRight", "Control+a", "a", "x", "f", "y", "l", "z", "Control+z", "m", "e"):
        page.keyboard.press(key)
    expect(page.locator("[data-tile].sel")).to_have_count(0)
    expect(page).to_have_url(catalog)
    page.keyboard.press("?")
    expect(page.locator("[data-keys-list]")).not_to_contain_text("undo")
    expect(page.locator("[data-keys-list]")).to_contain_text("move")

    page.goto(f"{catalog}/map")
    expect(page.locator("[data-map][data-ready], [data-none]:visible")).to_have_count(1)
    box = page.locator("[data-canvas]").bounding_box()
    if box is not None:
        page.mouse.move(box["x"] + 50, box["y"] + 50)
        page.mouse.down()
        page.mouse.move(box["x"] + 250, box["y"] + 200, steps=4)
        page.mouse.up()
    page.goto(f"{catalog}/rules")
    page.locator("[data-handle]").first.fill("0.5")
    expect(page.locator('[data-part="changes"]')).not_to_have_attribute("aria-busy", "true")
    expect(page.get_by_role("button", name="Save")).to_have_count(0)
    assert faults(page, "rules", LOOKS[:1]) == []
    for place in ("labels", "duplicates", "operations", "queues", "agreement", "naming", "refused"):
        page.goto(f"{catalog}/{place}")
        expect(page.get_by_role("heading").first).to_be_attached()
    assert said == []
    answer = page.goto(f"{scene.site.url}/desk?queue_id={queue.id}")
    assert answer is not None and answer.status == 422, "a look takes no photo out of a queue"
    expect(page.get_by_text("you look only")).to_be_visible()
