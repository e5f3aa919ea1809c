"""The grid as a window on a long list: what is in the page, jumps, places, sizes, and picking what was never loaded."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, Route, expect

from app.catalog.tables import Catalog, Image
from app.database import transaction
from app.people import Person
from app.review.decisions import decide
from tests import cast
from tests.browser.conftest import Site, Visit, wait_for

pytestmark = pytest.mark.browser
COUNT = 900


@dataclass(frozen=True)
class Long:
    """A catalog of many photos, open in a page; `ids` newest first."""

    page: Page
    site: Site
    pile: Catalog
    me: Person
    ids: list[int]

    def seen(self) -> list[int]:
        """Places of the photos in the page."""
        places = self.page.locator("[data-tiles] > *").evaluate_all("(all) => all.map((tile) => tile.dataset.place)")
        return [int(place) for place in places]

    def scroll(self, share: float) -> None:
        self.page.locator("[data-grid]").evaluate(
            "(grid, share) => { grid.scrollTop = share * (grid.scrollHeight - grid.clientHeight); }", share
        )

    def bulk(self) -> str:
        return self.page.locator("[data-bulk-said]").inner_text()


@pytest.fixture
def long(site: Site, visit: Visit) -> Long:
    with transaction(site.engine) as session:
        pile: Catalog = cast.catalog(session, "Autumn 2026")
        ids = site.many(session, pile, COUNT - 1)
        me: Person = cast.person(session, role="owner")
        ids = [*ids[::-1], min(ids) - 1]
    page = visit(me)
    page.goto(f"{site.url}/catalogs/{pile.id}")
    expect(page.locator(".tile.cur")).to_have_attribute("data-place", "1")
    return Long(page, site, pile, me, ids)


def test_only_what_is_near_is_in_the_page_and_the_scroll_bar_tells_the_place(long: Long) -> None:
    page = long.page
    height = page.locator("[data-grid]").evaluate("(grid) => grid.scrollHeight")
    for share in (0.1, 0.2, 0.35, 0.5, 1.0, 0.9, 0.4, 0.0):
        long.scroll(share)
        wait_for(page, lambda share=share: abs(middle(long) - share * COUNT) < 60)  # type: ignore[misc]
        places = long.seen()
        assert places == list(range(places[0], places[-1] + 1)), "each photo once, in order, without a gap"
        assert len(places) <= 720
        assert abs(page.locator("[data-grid]").evaluate("(grid) => grid.scrollHeight") - height) < 8
    shown = page.locator("[data-tile]").evaluate_all(
        "(all) => all.map((tile) => [tile.dataset.place, tile.dataset.tile])"
    )
    assert all(long.ids[int(place) - 1] == int(photo) for place, photo in shown)


def test_what_is_scrolled_past_is_not_asked_for(long: Long) -> None:
    """The first answer never comes; whoever scrolls on waits for it no more, and sees trays until photos come."""
    page, asked, stopped, held = long.page, list[tuple[int, int]](), list[str](), list[Route]()
    page.route("**/tiles?*", lambda route: held.append(route) if not held else route.continue_())
    page.on("request", lambda request: asked.extend(places_asked(request.url)))
    page.on("requestfailed", lambda request: stopped.append(request.url))
    long.scroll(0.3)
    wait_for(page, lambda: bool(held))
    assert "linear-gradient" in page.locator("[data-below]").evaluate("(floor) => getComputedStyle(floor).background")
    # At once, as a wheel that spins: the clock of the page stands still meanwhile.
    page.locator("[data-grid]").evaluate(
        """(grid) => {
            for (let step = 31; step <= 80; step += 1) {
                grid.scrollTop = (step / 100) * (grid.scrollHeight - grid.clientHeight);
                grid.dispatchEvent(new Event("scroll"));
            }
        }"""
    )
    wait_for(page, lambda: abs(middle(long) - 0.8 * COUNT) < 60)
    assert stopped == [held[0].request.url]
    first, second, *others = asked
    assert first[0] < 0.35 * COUNT and first[1] - first[0] < 119, "the rows that are seen, which are fewer than a page"
    assert second[0] <= middle(long) <= second[1], "the rows that are seen now, before those around them"
    assert all(end > 0.6 * COUNT for _, end in others), "nothing in between"
    wait_for(page, lambda: len(long.seen()) > 120)
    shown = page.locator("[data-tile]").evaluate_all(
        "(all) => all.map((tile) => [tile.dataset.place, tile.dataset.tile])"
    )
    assert all(long.ids[int(place) - 1] == int(photo) for place, photo in shown)


def places_asked(address: str) -> list[tuple[int, int]]:
    """The first and the last place that a request for tiles asks for, in a list; empty for other requests."""
    if "/tiles?" not in address:
        return []
    asked = parse_qs(urlsplit(address).query)
    first, size = int(asked["at"][0]), int(asked.get("size", ["120"])[0])
    return [(first, first + size - 1)]


def middle(long: Long) -> float:
    """The place in the middle of what is seen; far off while nothing is."""
    found: float = long.page.evaluate(
        """() => {
            const grid = document.querySelector("[data-grid]").getBoundingClientRect();
            const seen = [...document.querySelectorAll("[data-tile]")].filter((tile) => {
                const box = tile.getBoundingClientRect();
                return box.bottom > grid.top && box.top < grid.bottom;
            });
            const places = seen.map((tile) => Number(tile.dataset.place));
            return places.length ? (Math.min(...places) + Math.max(...places)) / 2 : -1e9;
        }"""
    )
    return found


def test_a_number_jumps_to_its_photo(long: Long) -> None:
    page = long.page
    page.keyboard.press("n")
    expect(page.locator("[data-jump-to]")).to_be_focused()
    page.keyboard.type("no. 765")
    page.keyboard.press("Enter")
    here = page.locator(".tile.cur")
    expect(here).to_have_attribute("data-tile", str(long.ids[764]))
    expect(here).to_be_in_viewport()
    expect(here).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(here).to_have_attribute("data-place", "766")
    page.locator("[data-scrub] a").nth(2).click()
    expect(page.locator('[data-place="450"]')).to_be_in_viewport()
    page.reload()
    expect(page.locator('[data-place="450"]')).to_be_in_viewport()
    expect(page.locator("#detail")).to_contain_text("Cup")


def test_a_filter_keeps_the_photo_where_it_is(long: Long) -> None:
    page = long.page
    page.keyboard.press("n")
    page.keyboard.type("500")
    page.keyboard.press("Enter")
    expect(page.locator(".tile.cur")).to_have_attribute("data-place", "500")
    photo = page.locator(".tile.cur").get_attribute("data-tile")
    before = page.locator(".tile.cur").bounding_box()
    page.get_by_role("checkbox", name="Mugs").click()
    expect(page.locator(".bar2")).to_contain_text("300 photos")
    expect(page.locator(".tile.cur")).to_have_attribute("data-tile", photo or "")
    after = page.locator(".tile.cur").bounding_box()
    assert before is not None and after is not None and abs(before["y"] - after["y"]) < 4
    assert int(page.locator(".tile.cur").get_attribute("data-place") or 0) == 167


def test_a_range_reaches_over_photos_that_were_never_loaded(long: Long) -> None:
    page = long.page
    page.locator('[data-place="3"]').click()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    long.scroll(0.95)
    target = page.locator('[data-place="850"]')
    target.click(modifiers=["Shift"])
    expect(page.locator("[data-bulk-said]")).to_have_text("848 selected of 900")
    assert sum("/range?" in url for url in asked) == 1
    page.locator('[data-place="849"]').hover()
    page.locator('[data-place="849"] [data-pick]').click()
    expect(page.locator("[data-bulk-said]")).to_have_text("847 selected of 900")
    page.keyboard.press("a")
    expect(page.locator(".toast")).to_contain_text("Kept 847 photos")
    expect(page.locator('[data-facet="decision"]')).to_contain_text("847")


def test_all_by_filter_but_a_few(long: Long) -> None:
    page = long.page
    page.keyboard.press("Control+a")
    expect(page.locator("[data-bulk-said]")).to_have_text("All 900 selected")
    page.keyboard.press(" ")
    page.keyboard.press("End")
    expect(page.locator(".tile.cur")).to_have_attribute("data-place", "900")
    expect(page.locator(".tile.cur")).to_have_attribute("aria-selected", "true")
    page.keyboard.press(" ")
    expect(page.locator("[data-bulk-said]")).to_have_text("898 selected of 900")
    page.keyboard.press("a")
    expect(page.locator(".toast")).to_contain_text("Kept 898 photos")
    page.goto(f"{page.url.split('?')[0]}?q=decision:unseen")
    shown = page.locator("[data-tile]").evaluate_all("(all) => all.map((tile) => Number(tile.dataset.tile))")
    assert shown == [long.ids[0], long.ids[-1]]


def test_only_thumbs_are_asked_for_and_views_for_large_photos(long: Long) -> None:
    page = long.page
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    long.scroll(0.5)
    wait_for(page, lambda: sum(url.endswith("/thumb") for url in asked) > 20)
    grid_pictures = [url for url in asked if re.search(r"/images/\d+/(view|original)$", url)]
    assert grid_pictures == []
    asked.clear()
    columns = len(set(page.locator("[data-tile]").evaluate_all("(all) => all.map((tile) => tile.offsetLeft)")))
    for _ in range(9):
        page.keyboard.press("+")
    wait_for(page, lambda: any(url.endswith("/view") for url in asked))
    assert not any("/original" in url for url in asked)
    fewer = len(set(page.locator("[data-tile]").evaluate_all("(all) => all.map((tile) => tile.offsetLeft)")))
    assert fewer < columns
    assert abs(middle(long) - COUNT / 2) < 60, "the place was lost"
    page.reload()
    expect(page.get_by_role("slider", name="Size of photos")).to_have_value("316")
    page.locator("input.query").click()
    page.keyboard.type("-")
    expect(page.get_by_role("slider", name="Size of photos")).to_have_value("316")


def test_counts_follow_what_others_do_and_the_grid_stays(long: Long) -> None:
    page = long.page
    long.scroll(0.3)
    wait_for(page, lambda: middle(long) > 200)
    before = middle(long)
    with transaction(long.site.engine) as session:
        for photo in long.ids[:7]:
            decide(session, session.get_one(Image, photo), long.me, "kept")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    kept = page.locator('[data-facet="decision"] li', has_text="Kept")
    expect(kept).to_contain_text("7")
    assert middle(long) == before


def test_facets_fold_are_found_in_and_show_what_one_chose(long: Long) -> None:
    page = long.page
    with transaction(long.site.engine) as session:
        for number in range(12):
            cast.image(session, long.pile, category=f"Shelf {number:02}")
    page.reload()
    field = page.locator('[data-find="category"]')
    field.fill("shelf 1")
    expect(page.locator('[data-facet="category"] .cut')).to_have_text(["Shelf 10", "Shelf 11"])
    page.get_by_role("checkbox", name="Shelf 10").click()
    expect(page.locator(".bar2")).to_contain_text("1 photo")
    expect(field).to_have_value("shelf 1")
    page.locator('[data-facet="background"] > summary').click()
    page.locator('[data-facet="measures"] > summary').click()
    page.locator("[data-measure][value=contrast]").check()
    expect(page.locator('[data-range="contrast"]')).to_be_visible()
    page.locator("[data-measure][value=sharpness]").uncheck()
    expect(page.locator('[data-range="sharpness"]')).to_have_count(0)
    page.reload()
    expect(page.locator('[data-range="contrast"]')).to_be_visible()
    expect(page.locator('[data-facet="background"]')).not_to_have_attribute("open", "")
    expect(page.locator('[data-facet="measures"]')).to_have_attribute("open", "")


def test_bars_that_are_dragged_over_are_a_range(long: Long) -> None:
    page = long.page
    bars = page.locator('[data-range="fill"] svg')
    bars.scroll_into_view_if_needed()
    box = bars.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.52, box["y"] + 10)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.83, box["y"] + 12, steps=5)
    page.mouse.up()
    page.wait_for_url("**q=fill%3A50..85")
    box = bars.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] * 0.62, box["y"] + 10)
    page.wait_for_url("**q=fill%3A60..65")
