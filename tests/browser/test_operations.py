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
from app.people import Person
from app.review.tables import Operation
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
