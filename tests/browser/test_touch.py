"""The desk under a finger, on a screen 390 px wide; and photos of a queue, fetched before they are asked for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from app import people
from app.database import transaction
from app.desk import queues
from app.people import Person
from app.selection.query import parse
from tests.browser.conftest import Scene, Visit, on_desk, wait_for

pytestmark = pytest.mark.browser
LEAST_PX = 44


@pytest.fixture
def phone(scene: Scene, chromium: Browser) -> Iterator[Page]:
    context = chromium.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    with transaction(scene.site.engine) as session:
        token = people.begin_session(session, session.get_one(Person, scene.ana.id))
    context.add_cookies([{"name": scene.site.cookie, "value": token, "url": scene.site.url}])
    page = context.new_page()
    page.goto(f"{scene.site.url}/desk")
    page.wait_for_load_state("networkidle")
    yield page
    context.close()


def touch(page: Page, *moves: list[tuple[float, float]]) -> None:
    """Fingers that go down, move together step by step and go up, as the browser itself would tell of them."""
    wire = page.context.new_cdp_session(page)
    for kind, points in [("touchStart", moves[0])] + [("touchMove", each) for each in moves[1:]] + [("touchEnd", [])]:
        at = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
        wire.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": at})
    wire.detach()


def test_a_swipe_turns_to_the_next_photo_and_back(scene: Scene, phone: Page) -> None:
    order = scene.queue()
    touch(phone, [(300, 250)], [(220, 255)], [(120, 258)])
    expect(phone.locator("[data-photo]")).to_have_attribute("data-photo", str(order[1]))
    touch(phone, [(90, 250)], [(180, 255)], [(280, 258)])
    expect(phone.locator("[data-photo]")).to_have_attribute("data-photo", str(order[0]))
    touch(phone, [(200, 200)], [(215, 260)], [(225, 380)])  # that scrolls
    touch(phone, [(150, 250), (240, 250)], [(90, 250), (300, 250)], [(40, 250), (350, 250)])  # and that looks closer
    phone.wait_for_function("visualViewport.scale > 1.2")
    touch(phone, [(300, 250)], [(220, 255)], [(120, 258)])  # a finger pans what is seen more closely
    assert on_desk(phone) == order[0]


def test_what_is_pressed_is_as_large_as_a_finger(scene: Scene, phone: Page) -> None:
    pressed = ".decide .btn, .tools .btn, .ground, .strip .cell, [data-undo]"
    sizes = phone.evaluate(
        """(pressed) => [...document.querySelectorAll(pressed)].filter((each) => each.checkVisibility()).map((each) => {
            const { width, height } = each.getBoundingClientRect();
            return [each.textContent.trim() || each.ariaLabel, Math.min(width, height)];
        })""",
        pressed,
    )
    assert len(sizes) > 8
    assert [name for name, size in sizes if size < LEAST_PX] == []
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    phone.locator(".decide summary").tap()
    first = scene.queue()[0]
    phone.locator(".decide .menu button", has_text="Blurred").tap()
    wait_for(phone, lambda: (decision := scene.decision(first)) is not None and decision.reason == "blurred")
    phone.locator(".toast button", has_text="Undo").tap()
    wait_for(phone, lambda: scene.decision(first) is None)


def test_the_photos_of_a_queue_come_ahead_and_the_page_stays(scene: Scene, visit: Visit) -> None:
    with transaction(scene.site.engine) as session:
        scene.site.many(session, scene.pile, 12)
        queue = queues.make(session, session.get_one(Person, scene.ana.id), parse("Cup", scene.pile.id), "Cups")
        number = queue.id
    page = visit(scene.ana)
    page.goto(f"{scene.site.url}/desk?queue_id={number}")
    page.wait_for_load_state("networkidle")
    page.evaluate("window.stayed = true")
    seen = {on_desk(page)}
    for _ in range(11):
        ahead = page.locator("[data-photo]").get_attribute("data-next") or ""
        with page.expect_response("**/decisions"):
            page.keyboard.press("a")
        assert f"queue_id={number}" in ahead
        page.wait_for_function("(seen) => !seen.includes(Number(document.querySelector('[data-photo]').dataset.photo))",
                               arg=list(seen))  # fmt: skip
        seen.add(on_desk(page))
    assert len(seen) == 12 and page.evaluate("window.stayed"), "the page was loaded anew"
    page.keyboard.press("a")
    expect(page.get_by_text("Cups is done")).to_be_visible()


def test_keys_faster_than_answers_do_not_load_the_page_anew(scene: Scene, visit: Visit) -> None:
    with transaction(scene.site.engine) as session:
        scene.site.many(session, scene.pile, 12)
        queue = queues.make(session, session.get_one(Person, scene.ana.id), parse("Cup", scene.pile.id), "Cups")
        number = queue.id
    page = visit(scene.ana)
    page.goto(f"{scene.site.url}/desk?queue_id={number}")
    page.wait_for_load_state("networkidle")
    page.evaluate("window.stayed = true")
    page.route("**/decisions", lambda route: (page.wait_for_timeout(150), route.continue_()))
    for _ in range(9):
        photo = on_desk(page)
        page.keyboard.press("a")
        page.wait_for_function(
            "(photo) => Number(document.querySelector('[data-photo]').dataset.photo) !== photo", arg=photo
        )
    assert page.evaluate("window.stayed") is True
    page.unroute_all(behavior="ignoreErrors")  # the last decisions are on their way still


# Fields that stick out of the place their name and they were given, over what stands beside them.
STICK_OUT = """(places) => places.flatMap((place) => {
  const { right } = place.getBoundingClientRect();
  const fields = [...place.querySelectorAll("input, select, textarea")];
  return fields.filter((field) => field.getBoundingClientRect().right > right + 1).map((field) => field.name);
})"""


@pytest.mark.parametrize("page", ["captioners", "queues", "replace", "freeze"])
def test_no_field_lies_over_the_button_beside_it(scene: Scene, phone: Page, page: str) -> None:
    phone.goto(f"{scene.site.url}/catalogs/{scene.pile.id}/{page}")
    assert phone.locator(".labelled").evaluate_all(STICK_OUT) == []
