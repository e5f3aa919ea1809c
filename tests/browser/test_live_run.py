"""A run's page in a browser: charts that grow with the news, parts that follow, and the dialog before discarding."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from app import jobs
from app.database import transaction, utc_now
from app.training import runs
from tests import cast
from tests.browser.conftest import Site, Visit
from tests.training.cast import one_run

pytestmark = pytest.mark.browser


def told(first: int, count: int) -> list[dict[str, Any]]:
    """Steps told a second apart, the newest now."""
    at = utc_now() - timedelta(seconds=count)
    return [
        {
            "seq": seq, "at": (at + timedelta(seconds=seq - first)).isoformat(), "kind": "step", "step": 2 * (seq - 1),
            "loss": 0.5, "loss_by_band": [0.4 / seq, 0.3 / seq, None, 0.2], "images_per_s": 9.0,
        }
        for seq in range(first, first + count)
    ]  # fmt: skip


@pytest.fixture
def run_id(site: Site) -> int:
    with transaction(site.engine) as session:
        run = one_run(session, steps=100)
        jobs.claim(session, run.job_id or 0, "worker", lease_s=3600)
        runs.begin(session, run)
        began = {"seq": 1, "at": utc_now().isoformat(), "kind": "started", "step": 0, "device": "cpu"}
        runs.record_events(session, run, [began, *told(2, 9)])
        return run.id


@pytest.fixture
def page(site: Site, visit: Visit, run_id: int) -> Page:
    with transaction(site.engine) as session:
        me = cast.person(session)
    page = visit(me)
    page.goto(f"{site.url}/runs/{run_id}")
    expect(page.locator("#loss polyline.line")).to_have_count(4)
    return page


def test_news_moves_curves_and_numbers_without_a_reload(page: Page, site: Site, run_id: int) -> None:
    expect(page.locator("[data-part=head]")).to_contain_text("Step 18 of 100")
    width = page.locator("#loss line.now").get_attribute("x1")
    with transaction(site.engine) as session:
        runs.record_events(session, runs.get(session, run_id), told(11, 10))
    expect(page.locator("[data-part=head]")).to_contain_text("Step 38 of 100")
    expect(page.locator("[data-part=events] li").first).to_contain_text("step 38")
    assert page.locator("#loss line.now").get_attribute("x1") != width


def test_a_run_that_ends_says_so_on_the_open_page(page: Page, site: Site, run_id: int) -> None:
    expect(page.locator("[data-connection]")).to_contain_text("live, nothing missed")
    with transaction(site.engine) as session:
        runs.end(session, runs.get(session, run_id), "completed", "All 100 steps are done.")
    expect(page.locator("[data-part=head]")).to_contain_text("completed")
    expect(page.get_by_role("button", name="Stop and keep")).to_have_count(0)
    expect(page.locator("#loss line.now")).to_have_count(0)


def test_discarding_asks_first_and_starts_on_the_safe_side(page: Page, site: Site, run_id: int) -> None:
    page.get_by_role("button", name="Discard …").click()
    expect(page.get_by_role("button", name="Keep training")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.get_by_role("button", name="Discard …").click()
    page.get_by_role("button", name=f"Discard run {run_id}").click()
    expect(page.locator("[data-part=head]")).to_contain_text("discarding")
