"""The catalog's grid in a browser: its places, its keys, its drawer, and what stays still while one filters."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select

from app.captions.tables import Caption
from app.catalog.tables import Catalog
from app.database import transaction
from app.people import Person
from app.review.decisions import current
from tests import cast
from tests.browser.conftest import Scene, Site, Visit, wait_for

pytestmark = pytest.mark.browser


@pytest.fixture
def long_grid(site: Site, visit: Visit) -> Page:
    """A catalog of 301 photos, open; the newest one is Cup 0300."""
    with transaction(site.engine) as session:
        pile: Catalog = cast.catalog(session, "Autumn 2026")
        site.many(session, pile, 300)
        me: Person = cast.person(session, role="owner")
    page = visit(me)
    page.goto(f"{site.url}/catalogs/{pile.id}")
    return page


def here(page: Page) -> str:
    """What a reader is told of the current photo."""
    return page.locator(".tile.cur").get_attribute("aria-label") or ""


def place(page: Page) -> int:
    """The place of the photo at the top of the grid."""
    return int(
        page.evaluate(
            """() => {
                const top = document.querySelector("[data-grid]").getBoundingClientRect().top;
                const tiles = [...document.querySelectorAll("[data-tile]")];
                return tiles.find((tile) => tile.getBoundingClientRect().bottom > top).dataset.place;
            }"""
        )
    )


def test_home_end_and_the_page_keys_reach_every_photo(long_grid: Page) -> None:
    page = long_grid
    page.keyboard.press("End")
    expect(page.locator(".tile.cur")).to_have_attribute("data-place", "301")
    expect(page.locator(".tile.cur")).to_be_in_viewport()
    page.keyboard.press("ArrowRight")
    assert here(page).startswith("photo 301 of 301, not seen yet")
    page.keyboard.press("Home")
    expect(page.locator(".tile.cur")).to_have_attribute("data-place", "1")
    page.keyboard.press("PageDown")
    after = int(page.locator(".tile.cur").get_attribute("data-place") or 0)
    assert after > 30, "a page is what is seen at once"
    for _ in range(12):
        page.keyboard.press("PageDown")
    expect(page.locator(".tile.cur")).to_be_in_viewport()
    page.keyboard.press("PageUp")
    page.keyboard.press("Shift+Home")
    expect(page.locator("[data-bulk-said]")).to_contain_text(re.compile(r"\d+ selected of 301"))


def test_arrows_cross_to_photos_that_are_not_here_yet(long_grid: Page) -> None:
    page = long_grid
    page.keyboard.press("End")
    expect(page.locator(".tile.cur")).to_have_attribute("data-place", "301")
    expect(page.locator('[data-place="1"]')).to_have_count(0)
    page.locator("[data-grid]").evaluate("(grid) => { grid.scrollTop = 0; }")
    expect(page.locator('[data-place="1"]')).to_be_in_viewport()
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".tile.cur")).to_have_attribute("data-place", "300")
    expect(page.locator(".tile.cur")).to_be_in_viewport()


def test_back_from_a_photo_finds_the_same_place(long_grid: Page) -> None:
    page = long_grid
    page.keyboard.press("End")
    expect(page.locator(".tile.cur")).to_have_attribute("data-place", "301")
    page.keyboard.press("ArrowUp")
    before = (here(page), place(page))
    page.keyboard.press("Enter")
    page.wait_for_url("**/images/*")
    page.go_back()
    expect(page.locator(".tile.cur")).to_have_attribute("aria-label", before[0])
    wait_for(page, lambda: place(page) == before[1])
    page.reload()
    expect(page.locator(".tile.cur")).to_have_attribute("aria-label", before[0])
    wait_for(page, lambda: place(page) == before[1])


def test_back_from_a_filter_finds_the_same_place(long_grid: Page) -> None:
    page = long_grid
    page.locator('[data-place="90"]').click()
    page.locator("[data-grid]").evaluate("(grid) => { grid.scrollTop = 640; }")
    wait_for(page, lambda: bool(page.evaluate("(history.state?.grid?.first ?? 1) > 1")))
    before = place(page)
    page.get_by_role("checkbox", name="Mugs").click()
    expect(page.locator(".bar2")).to_contain_text("100 photos")
    page.go_back()
    expect(page.locator(".bar2")).to_contain_text("301 photos")
    wait_for(page, lambda: place(page) == before)
    expect(page.locator(".tile.cur")).to_have_attribute("data-place", "90")


def test_a_place_is_never_beyond_the_last_one(scene: Scene, visit: Visit) -> None:
    page = visit(scene.ana)
    page.goto(f"{scene.site.url}/catalogs/{scene.pile.id}?q=decision:unseen")
    for _ in range(3):
        page.keyboard.press("a")
        expect(page.locator(".toast")).to_contain_text("Kept")
    expect(page.locator(".bar2")).to_contain_text("1 unseen photo")
    for tile in page.locator("[data-tile]").all():
        told = re.match(r"photo (\d+) of (\d+), ", tile.get_attribute("aria-label") or "")
        assert told is not None and int(told[1]) <= int(told[2]) == 4


def test_a_facet_keeps_its_order_while_it_is_used(long_grid: Page) -> None:
    page = long_grid
    facet = page.locator('[data-facet="category"]')
    names = facet.locator(".cut").all_inner_texts()
    assert len(names) == 4
    for name in names[1:3]:
        choice = facet.get_by_role("checkbox", name=name)
        choice.scroll_into_view_if_needed()
        before = choice.bounding_box()
        choice.click()
        expect(choice).to_have_attribute("aria-checked", "true")
        assert facet.locator(".cut").all_inner_texts() == names
        assert choice.bounding_box() == before, "it moved away under the pointer"


def test_after_a_search_the_keys_are_the_grids(long_grid: Page) -> None:
    page = long_grid
    page.keyboard.press("/")
    page.keyboard.type("Cup 0123")
    page.keyboard.press("Enter")
    expect(page.locator("[data-tile]")).to_have_count(1)
    page.keyboard.press("a")
    expect(page.locator(".toast")).to_contain_text("Kept Cup 0123")
    expect(page.locator("input.query")).to_have_value("Cup 0123")


def test_a_search_that_is_not_understood_stays_in_its_field(long_grid: Page) -> None:
    page = long_grid
    page.keyboard.press("/")
    page.keyboard.type("decision:lost")
    page.keyboard.press("Enter")
    expect(page.locator("#refusal")).to_be_visible()
    expect(page.locator("input.query")).to_be_focused()


def test_a_slider_leaves_the_letters_to_the_grid(scene: Scene, visit: Visit) -> None:
    page = visit(scene.ana)
    page.goto(f"{scene.site.url}/catalogs/{scene.pile.id}")
    page.get_by_role("slider", name="Subject sharpness, from").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_url("**sharpness**")
    expect(page.locator(".tile.cur")).to_have_attribute("data-place", "1")
    page.keyboard.press("a")
    expect(page.locator(".toast")).to_contain_text("Kept")


def test_two_handles_never_lie_on_each_other(scene: Scene, visit: Visit) -> None:
    page = visit(scene.ana)
    page.goto(f"{scene.site.url}/catalogs/{scene.pile.id}?q=sharpness:0.7..0.9")
    low = page.get_by_role("slider", name="Subject sharpness, from")
    high = page.get_by_role("slider", name="Subject sharpness, to")
    assert (low.input_value(), high.input_value()) == ("0.7", "0.9")
    bars = page.locator('[data-range="sharpness"]')
    bars.scroll_into_view_if_needed()
    box = bars.bounding_box()
    assert box is not None

    def drag(start: float, end: float) -> None:
        page.mouse.move(box["x"] + box["width"] * start, box["y"] + box["height"])
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * end, box["y"] + box["height"], steps=4)
        page.mouse.up()

    drag(0.7, 0.2)
    page.wait_for_url(re.compile(r"sharpness%3A0\.[12]\d*\.\.0\.9"))
    drag(0.9, 0.05)
    expect(low).to_have_value(high.input_value())
    assert float(high.input_value()) >= 0.15, "the upper end went below the lower one"


@pytest.mark.parametrize("width", [390, 899])
def test_the_filter_is_a_drawer_where_it_has_no_room(scene: Scene, visit: Visit, width: int) -> None:
    page = visit(scene.ana)
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(f"{scene.site.url}/catalogs/{scene.pile.id}")
    opener = page.get_by_role("button", name="Filter", exact=True)
    facets = page.locator("#facets")
    expect(facets).to_be_hidden()
    opener.click()
    expect(facets).to_be_visible()
    for _ in range(60):
        page.keyboard.press("Tab")
        inside = page.evaluate(
            "document.activeElement === document.body || !!document.activeElement.closest('#facets')"
        )
        assert inside, "Tab left the drawer"
    page.get_by_role("checkbox", name="Kept").click()
    expect(page.get_by_role("button", name="Show 0 photos")).to_be_visible()
    page.get_by_role("checkbox", name="Kept").click()
    expect(facets).to_be_visible()
    page.get_by_role("button", name="Show 4 photos").click()
    expect(facets).to_be_hidden()
    expect(opener).to_be_focused()
    page.keyboard.press("Enter")
    expect(facets).to_be_visible()
    page.keyboard.press("Escape")
    expect(facets).to_be_hidden()
    expect(opener).to_be_focused()
    expect(page.locator("[data-tile]")).to_have_count(4)


def test_before_scripts_run_nothing_is_decided_for_all(scene: Scene, visit: Visit) -> None:
    signed_in = visit(scene.ana)
    context = signed_in.context.browser.new_context(  # type: ignore[union-attr]
        java_script_enabled=False, storage_state=signed_in.context.storage_state()
    )
    page = context.new_page()
    page.goto(f"{scene.site.url}/catalogs/{scene.pile.id}")
    keep = page.locator("[data-bulk] button[value=kept]")
    keep.click(force=True)
    assert page.url.endswith(f"/catalogs/{scene.pile.id}")
    with transaction(scene.site.engine) as session:
        assert [current(session, photo.id) for photo in scene.photos] == [None] * 4
    context.close()


def test_a_held_key_decides_one_photo(scene: Scene, visit: Visit) -> None:
    page = visit(scene.ana)
    page.goto(f"{scene.site.url}/catalogs/{scene.pile.id}")
    for _ in range(6):
        page.keyboard.down("a")
    page.keyboard.up("a")
    expect(page.locator(".toast")).to_contain_text("Kept")
    page.get_by_role("button", name="Needs work").focus()
    for _ in range(6):
        page.keyboard.down("Enter")
    page.keyboard.up("Enter")
    expect(page.locator(".toast")).to_contain_text("needing work")
    expect(page.locator("[data-mark] .mark-dot")).to_have_count(2)
    for _ in range(3):
        page.keyboard.down("ArrowRight")
    page.keyboard.up("ArrowRight")
    expect(page.locator(".tile.cur")).to_have_attribute("data-place", "4")


def test_a_captioner_is_asked_for_what_is_picked(scene: Scene, visit: Visit) -> None:
    page = visit(scene.ana)
    page.goto(f"{scene.site.url}/catalogs/{scene.pile.id}")
    for key in (" ", "ArrowRight", " "):
        page.keyboard.press(key)
    expect(page.locator("[data-bulk-said]")).to_have_text("2 selected of 4")
    page.get_by_text("More", exact=True).click()
    page.get_by_role("button", name="Recaption").click()
    expect(page.locator(".toast")).to_contain_text("Captioned 2 photos anew")
    expect(page.locator("[data-bulk-said]")).to_have_text("2 selected of 4")
    with transaction(scene.site.engine) as session:
        written = session.scalars(select(Caption.image_id).where(Caption.operation_id.is_not(None)))
        assert sorted(written) == sorted(photo.id for photo in scene.photos[2:])
