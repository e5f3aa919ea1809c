"""Acts on many photos in a browser: how far a worker is, what it did, and taking it back, without a reload."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select

from app import jobs
from app.bulk import operations
from app.catalog.tables import Catalog
from app.database import transaction
from app.labels import sets
from app.people import Person
from app.review.tables import Operation
from app.selection.query import parse
from tests import cast
from tests.browser.conftest import Site, Visit

pytestmark = pytest.mark.browser
PHOTOS = 13


@pytest.fixture
def grid(site: Site, visit: Visit, monkeypatch: pytest.MonkeyPatch) -> Page:
    """A catalog of 13 photos, open, where more than five are a job."""
    monkeypatch.setattr(operations, "AT_ONCE", 5)
    monkeypatch.setattr(operations, "BATCH", 5)
    with transaction(site.engine) as session:
        pile: Catalog = cast.catalog(session, "Autumn 2026")
        site.many(session, pile, PHOTOS - 1)
        me: Person = cast.person(session, role="owner")
    page = visit(me)
    page.goto(f"{site.url}/catalogs/{pile.id}")
    page.evaluate("window.stays = true")
    return page


def work(site: Site, page: Page, batches: int) -> None:
    """Be the worker of the newest operation: do so many batches, or all of them, and say so on the job."""
    with transaction(site.engine) as session:
        operation = session.scalars(select(Operation).order_by(Operation.id.desc()).limit(1)).one()
        job = jobs.get(session, operation.job_id or 0)
        step = operations.do_next if job.kind == operations.DO else operations.undo_next
        claim = jobs.claim(session, job.id, "browser")
        assert claim is not None
    done = count = 0
    for _ in range(batches):
        with transaction(site.engine) as session:
            count = step(session, operation.id)
            done += count
            jobs.beat(session, claim, done=done)
    if not count:
        with transaction(site.engine) as session:
            jobs.finish(session, claim)
    else:
        expect(page.locator("[data-operation]")).to_contain_text(f"{done} of {PHOTOS}")
        page.locator("[data-operation]").get_by_role("button", name="Stop").click()
        with transaction(site.engine) as session:
            jobs.end_cancelled(session, claim)


def test_a_worker_keeps_all_photos_and_takes_them_back_while_the_page_stays(site: Site, grid: Page) -> None:
    grid.keyboard.press("Control+a")
    grid.keyboard.press("a")
    expect(grid.locator(".toast")).to_contain_text("13 photos are being changed")
    expect(grid.locator("[data-operation]")).to_contain_text("Changing photos")
    work(site, grid, 4)
    expect(grid.locator(".toast")).to_contain_text("Kept 13 photos")
    expect(grid.locator('.tile[data-verdict="kept"]')).to_have_count(PHOTOS)
    grid.locator(".toast").get_by_role("button", name="Undo").click()
    expect(grid.locator(".toast")).to_contain_text("Taking back")
    work(site, grid, 4)
    expect(grid.locator(".toast")).to_contain_text("Took back on 13 photos")
    expect(grid.locator('.tile[data-verdict="kept"]')).to_have_count(0)
    assert grid.evaluate("window.stays") is True


def test_a_stop_half_way_says_so_and_the_rest_is_taken_back_from_the_list(site: Site, grid: Page) -> None:
    grid.keyboard.press("Control+a")
    grid.keyboard.press("f")
    expect(grid.locator("[data-operation]")).to_be_visible()
    work(site, grid, 1)
    expect(grid.locator(".toast")).to_contain_text("stopped half-way, 8 were not reached")
    expect(grid.locator('.tile[data-verdict="needs_work"]')).to_have_count(5)
    grid.get_by_role("link", name="Operations").click()
    expect(grid.locator("table")).to_contain_text("stopped half-way")
    grid.get_by_role("button", name="Undo").click()
    expect(grid.locator("table")).to_contain_text("taken back on 5 photos")


def test_picked_photos_are_captioned_anew_and_have_their_captions_back(site: Site, grid: Page) -> None:
    expect(grid.locator("[data-card]")).to_contain_text("No caption yet.")
    grid.keyboard.press("Space")
    grid.get_by_text("More", exact=True).click()
    grid.get_by_role("button", name="Recaption").click()
    expect(grid.locator(".toast")).to_contain_text("Captioned 1 photo anew")
    expect(grid.locator("[data-card]")).to_contain_text("the facts captioner")
    grid.locator(".toast").get_by_role("button", name="Undo").click()
    expect(grid.locator(".toast")).to_contain_text("Took back on 1 photo")
    expect(grid.locator("[data-card]")).to_contain_text("No caption yet.")


def test_picked_photos_are_assigned_and_found(site: Site, grid: Page) -> None:
    grid.keyboard.press("Space")
    grid.get_by_text("More", exact=True).click()
    grid.get_by_role("button", name=re.compile(r"\(you\)")).click()
    expect(grid.locator(".toast")).to_contain_text("Assigned 1 photo to Ana")
    expect(grid.locator(".tile .whose")).to_have_count(1)
    grid.get_by_role("link", name="Assigned to you").click()
    expect(grid.locator("[data-tile]")).to_have_count(1)
    assert grid.evaluate("window.stays") is True


BOXES = "(parts) => parts.map((part) => part.getBoundingClientRect().toJSON())"


def test_long_names_and_reasons_stay_in_their_places(site: Site, visit: Visit) -> None:
    name = "Fotografie der Herbst-/Winterkollektion 2026 aus Regensburg"
    with transaction(site.engine) as session:
        pile = cast.catalog(session, name)
        site.photo(session, pile, "red", "Kettle")
        me = cast.person(session, "Maximiliane-Friederike von und zu Hohenstein-Wittgenstein", role="owner")
        sets.define(session, pile.id, me, name, "many", [f"{name[:55]} {n}" for n in range(40)])
        for kind, value in (
            ("assign", {"person_id": me.id}),
            ("decide", {"verdict": "kept"}),
            ("decide", {"verdict": "rejected", "reason": "x" * 60}),
        ):
            query = f"title:{'w' * 200}" if kind == "decide" else ""
            begun = operations.begin(session, parse("", pile.id), me, kind, value, query)
            operations.carry_out(session, begun, me)
        session.refresh(me)
        session.refresh(pile)
    page = visit(me)
    page.goto(f"{site.url}/catalogs/{pile.id}")
    whose, mark = (page.locator(f".tile {part}").bounding_box() for part in (".whose", ".dot"))
    assert whose and mark and whose["y"] + whose["height"] <= mark["y"], "whose a photo is hides what was decided"
    pane = page.locator(".detail").bounding_box()
    said = page.locator(".detail dd").evaluate_all(BOXES)
    assert pane and said and all(box["right"] <= pane["x"] + pane["width"] for box in said)
    page.set_viewport_size({"width": 390, "height": 844})
    page.locator("[data-labels-menu] summary").click()
    menu = page.locator(".labels-menu .menu").bounding_box()
    assert menu and menu["x"] >= 0 and menu["x"] + menu["width"] <= 390
    (strip,) = page.locator(".labels-menu [data-strip]").evaluate_all(BOXES)
    assert strip["height"] < 300, "forty labels take the whole menu"
    page.goto(f"{site.url}/catalogs/{pile.id}/operations")
    assert page.locator(".scroll-x").evaluate("(box) => box.scrollWidth <= box.clientWidth")
    for row in page.locator(".operations tbody tr").all():
        when, _, what, _, query_of, _ = row.locator("td").evaluate_all(BOXES)
        assert what["bottom"] <= when["top"] and query_of["right"] <= 390, "one part of a line lies over another one"
    page.set_viewport_size({"width": 1440, "height": 900})
    assert page.locator(".scroll-x").evaluate("(box) => box.scrollWidth <= box.clientWidth")
