"""The map in a real browser: points drawn, a lasso by mouse and by keys, the legend, and a browser without WebGL."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

import numpy as np
import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.captions.tables import Caption
from app.catalog import embeddings
from app.catalog.embeddings import EmbedderFacts
from app.catalog.tables import Catalog, Image, MapSet
from app.database import transaction
from app.people import Person
from app.review import decisions
from app.review.tables import Decision
from app.selection import maps
from app.selection.maps import LaidOut, NewSet
from tests import cast
from tests.browser.conftest import Site, Visit, wait_for

pytestmark = pytest.mark.browser


def draw_map(session: Session, pile: Catalog, ids: Sequence[int]) -> None:
    """A map of photos in a row across its middle, the left half a cluster, the last one far from everything."""
    count = len(ids)
    space = embeddings.space_of(session, EmbedderFacts("drawn", "1", "none", 2, False))
    angles = np.linspace(0, 1, count)
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    embeddings.record(session, space, dict(zip(ids, vectors.tolist(), strict=True)))
    points = np.stack([np.linspace(0, 1, count), np.full(count, 0.5)], axis=1).astype(np.float32)
    apart = np.linspace(0, 1, count, dtype=np.float32)
    placed = LaidOut(space, ids, points, count, "umap", 12, 5, 0.7, 0.6, count, 3.0, apart)
    half = list(ids[: count // 2])
    maps.record(session, pile.id, placed, [NewSet("cluster", half, "kettle, red", half[1]), NewSet("far", ids[-1:])])


@pytest.fixture
def ana(site: Site) -> Person:
    with transaction(site.engine) as session:
        return cast.person(session, "Ana", role="owner")


@pytest.fixture
def pile(site: Site, ana: Person) -> Catalog:
    with transaction(site.engine) as session:
        pile = cast.catalog(session, "Autumn 2026")
        photos = [site.photo(session, pile, "red", f"Kettle {n}") for n in range(6)]
        decisions.decide(session, photos[0], session.get_one(Person, ana.id), "rejected")
        draw_map(session, pile, [photo.id for photo in photos])
        return pile


@pytest.fixture
def page(visit: Visit, ana: Person) -> Page:
    return visit(ana)


def opened(page: Page, site: Site, pile: Catalog, query: str = "") -> None:
    page.goto(f"{site.url}/catalogs/{pile.id}/map{query}")
    expect(page.locator("[data-ready]")).to_be_visible()


def around(page: Page, low: float, high: float) -> None:
    """Draw a lasso around the part of the row from `low` to `high`, in shares of the whole map."""
    box = page.locator("[data-canvas]").bounding_box()
    assert box
    side = min(box["width"], box["height"]) - 90
    left, middle = box["x"] + box["width"] / 2 - side / 2, box["y"] + box["height"] / 2
    page.mouse.move(left + low * side, middle - 40)
    page.mouse.down()
    for x, y in ((high, -40), (high, 40), (low, 40)):
        page.mouse.move(left + x * side, middle + y, steps=3)


def lassos(site: Site) -> list[list[int]]:
    with transaction(site.engine) as session:
        return list(session.scalars(select(MapSet.image_ids).where(MapSet.kind == "lasso").order_by(MapSet.id)))


def test_a_lasso_counts_while_it_is_drawn_and_its_photos_are_kept(site: Site, page: Page, pile: Catalog) -> None:
    opened(page, site, pile)
    around(page, 0.5, 1.1)
    expect(page.locator("[data-counting]")).to_have_text("3 so far")
    page.mouse.up()
    expect(page.get_by_text("3 selected")).to_be_visible()
    assert page.url.endswith("/map?q=in%3Alasso-1")
    expect(page.locator("[data-ready]")).to_be_visible()  # the page is another one: its keys work from then on
    page.keyboard.press("a")
    expect(page.get_by_text("3 with a decision already")).to_be_visible()
    expect(page.locator(".toast")).to_contain_text("Kept 3 photos")
    with transaction(site.engine) as session:
        kept = session.scalars(select(Decision.image_id).where(Decision.verdict == "kept")).all()
    assert sorted(kept) == lassos(site)[0]


def test_a_lasso_takes_what_is_inside_though_it_was_not_drawn(
    site: Site, page: Page, pile: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.web.routes.maps.DRAWN_AT_MOST", 4)
    monkeypatch.setattr("app.web.views.maps.DRAWN_AT_MOST", 4)
    opened(page, site, pile)
    expect(page.locator("[data-drawn]")).to_have_text(
        "4 of 6 drawn: all of the filter, others by chance; a lasso takes the rest too."
    )
    expect(page.locator("[data-legend-list] li").first).to_contain_text("5")  # of all six
    around(page, -0.1, 1.1)
    expect(page.locator("[data-counting]")).to_have_text("4 of those drawn so far")
    page.mouse.up()
    expect(page.get_by_text("6 selected")).to_be_visible()
    page.get_by_role("button", name="Recaption").click()
    wait_for(page, lambda: recaptioned(site) == lassos(site)[0])
    expect(page.locator(".toast")).to_contain_text("Captioned 6 photos anew")
    page.locator(".toast").get_by_role("button", name="Undo").click()
    expect(page.locator(".toast")).to_contain_text("Took back on 6 photos: captioned 6 photos anew.")
    expect(page.locator(".selbar").get_by_text("6 selected")).to_be_visible()


def recaptioned(site: Site) -> list[int]:
    with transaction(site.engine) as session:
        written = select(Caption.image_id).where(Caption.operation_id.is_not(None))
        return list(session.scalars(written.order_by(Caption.image_id)))


def test_what_the_legend_hides_is_not_taken(site: Site, page: Page, pile: Catalog) -> None:
    opened(page, site, pile)
    page.get_by_label("Rejected").uncheck()
    around(page, -0.1, 0.5)
    expect(page.locator("[data-counting]")).to_have_text("2 so far")
    page.mouse.up()
    expect(page.get_by_text("2 selected")).to_be_visible()
    page.get_by_label("Colour by").select_option("category")
    expect(page.locator("[data-legend-list] li").first).to_contain_text("Kettles")


def test_a_lasso_is_drawn_by_keys_alone(site: Site, page: Page, pile: Catalog) -> None:
    opened(page, site, pile, "?q=category:kettles")
    page.locator("[data-canvas]").focus()
    for keys in (("Up",), ("Right",) * 9, ("Down", "Down"), ("Left",) * 9):
        page.keyboard.press("Enter")
        for key in keys:
            page.keyboard.press(f"Arrow{key}")
    expect(page.locator("[data-counting]")).to_be_visible()
    page.keyboard.press("Shift+Enter")
    expect(page.locator("h2", has_text="3")).to_be_visible()
    assert [len(ids) for ids in lassos(site)] == [3]


def test_a_lasso_around_nothing_says_so_and_escape_drops_one(site: Site, page: Page, pile: Catalog) -> None:
    opened(page, site, pile)
    around(page, 0.02, 0.18)
    page.keyboard.press("Escape")
    expect(page.locator("[data-counting]")).to_be_hidden()
    page.mouse.up()
    around(page, 0.02, 0.18)
    page.mouse.up()
    expect(page.get_by_text("No photo of this filter is inside")).to_be_visible()
    assert lassos(site) == []


def test_without_webgl_clusters_and_filters_work(site: Site, page: Page, pile: Catalog) -> None:
    page.add_init_script("HTMLCanvasElement.prototype.getContext = () => null")
    page.goto(f"{site.url}/catalogs/{pile.id}/map")
    expect(page.get_by_text("This browser draws no map")).to_be_visible()
    page.get_by_role("link", name="kettle, red").click()
    expect(page.get_by_text("3 selected")).to_be_visible()


# A painter whose clock stands still has time for ever more points, one whose clock runs for ever fewer.
SLICES = """async (step) => {
    const source = document.querySelector("script[src*='/map.js']").src;
    const { Painter } = await import(new URL("map_gl.js", source));
    let [now, state] = [0, 1];
    const chance = () => (state = (state * 48271) % 2147483647) / 2147483647;
    const count = 20000;
    const points = {
        count, places: Float32Array.from({ length: 2 * count }, chance),
        chosen: Uint8Array.from({ length: count }, () => chance() > 0.5),
    };
    const canvas = Object.assign(document.createElement("canvas"), { style: "width: 300px; height: 200px" });
    document.body.append(canvas);
    const painter = Painter.on(canvas);
    painter.take(points);
    const colours = Array.from({ length: 9 }, (_, n) => [n / 9, 0.4, 1 - n / 9, n === 4 ? 0 : 1]);
    const codes = Uint8Array.from({ length: count }, (_, n) => n % 9);
    painter.colourBy(codes, colours, [0, 1, 2, 3, 4, 0, 1, 2, 3], [0.7, 0.7, 0.7, 0.35]);
    performance.now = () => (now += step);
    const slices = [];
    for (let turn = 0; turn < 2; turn += 1) {
        painter.draw({ x: 0.5, y: 0.5, scale: 190 });
        slices.push([painter.drawn]);
        for (let before = painter.drawn; !painter.isWhole; before = painter.drawn) {
            painter.more();
            slices[turn].push(painter.drawn - before);
        }
    }
    delete performance.now;
    const { gl } = painter;
    const pixels = new Uint8Array(4 * canvas.width * canvas.height);
    gl.readPixels(0, 0, canvas.width, canvas.height, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", pixels));
    return { slices, picture: [...digest].join(), lit: pixels.filter((value) => value).length };
}"""


def test_a_frame_draws_what_it_has_time_for_and_all_is_there_at_rest(site: Site, page: Page, pile: Catalog) -> None:
    opened(page, site, pile)
    slow, quick = page.evaluate(SLICES, 1000), page.evaluate(SLICES, 0)
    assert slow["slices"][0][:5] == [4000, 2000, 1000, 500, 500]
    assert slow["slices"][1] == [500] * 40, "the next picture begins with what a frame has time for"
    assert quick["slices"] == [[4000, 8000, 8000], [16000, 4000]]
    assert slow["picture"] == quick["picture"]
    assert quick["lit"] > 10_000


def test_points_that_do_not_come_are_told_and_the_rest_works(site: Site, page: Page, pile: Catalog) -> None:
    page.route("**/map/points*", lambda route: route.abort())
    page.goto(f"{site.url}/catalogs/{pile.id}/map")
    expect(page.get_by_role("alert")).to_contain_text("did not come. Packshot does not answer.")
    expect(page.locator("[data-canvas]")).to_be_hidden()
    page.unroute("**/map/points*")
    page.get_by_role("link", name="Load the map again").click()
    expect(page.locator("[data-ready]")).to_be_visible()


def test_what_is_shown_is_sorted_by_its_likeness_to_a_photo(page: Page, site: Site, pile: Catalog) -> None:
    with transaction(site.engine) as session:
        ids = sorted(session.scalars(select(Image.id).where(Image.catalog_id == pile.id)))
    page.goto(f"{site.url}/catalogs/{pile.id}?q=decision:unseen")
    page.locator(f"[data-tile='{ids[3]}']").focus()
    page.get_by_role("link", name="sort by it").click()
    order = page.locator("select[data-sort]")
    expect(order).to_have_value(re.compile("alike:similar:"))
    first = int((order.input_value()).rpartition(":")[2])
    expect(page.locator("[data-grid]")).to_have_attribute("data-query", "decision:unseen")
    shown = [int(tile.get_attribute("data-tile") or 0) for tile in page.locator("[data-tile]").all()]
    assert shown == sorted(ids[1:], key=lambda number: (abs(number - first), number))
    order.select_option("oldest")
    expect(page.locator("[data-tile]").first).to_have_attribute("data-tile", str(ids[1]))
    if folder := os.environ.get("SHOTS"):
        page.go_back()
        for scheme in ("light", "dark"):
            for width, height in ((1440, 900), (390, 844)):
                page.emulate_media(color_scheme=scheme)
                page.set_viewport_size({"width": width, "height": height})
                page.wait_for_timeout(600)
                page.screenshot(path=f"{folder}/similar_{scheme}_{width}.png")
