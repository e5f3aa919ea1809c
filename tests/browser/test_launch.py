"""Launching in a browser: a choice shows what follows at once, keys, knobs, and the run that starts by itself."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from app import jobs
from app.database import transaction
from app.datasets.tables import DatasetVersion
from app.launch import preflights
from app.training import runs
from app.training.recipe import Recipe
from tests import cast
from tests.browser.conftest import Site, Visit
from tests.launch.test_checks import MEASURED
from tests.training.cast import frozen_version

pytestmark = pytest.mark.browser


@pytest.fixture
def page(site: Site, visit: Visit) -> Page:
    with transaction(site.engine) as session:
        frozen_version(session)
        me = cast.person(session)
    page = visit(me)
    page.goto(f"{site.url}/runs/new")
    return page


def test_from_a_choice_to_a_run_without_a_second_click(page: Page, site: Site) -> None:
    page.keyboard.press("3")
    expect(page.locator("[data-choice='3'] input:checked")).to_be_focused()
    page.get_by_text("Quick").click()
    expect(page).to_have_url(re.compile("preset=quick"))
    expect(page.locator(".recs")).to_contain_text("150")
    page.get_by_text("Expert: change knobs").click()
    page.locator("input[name=batch_size]").fill("16")
    page.get_by_role("button", name="Take these knobs").click()
    # Of all the fields only the changed one is in the address.
    expect(page).to_have_url(re.compile(r"preset=quick&batch_size=16$"))
    expect(page.locator(".recs .on")).to_contain_text("changed by you; it was 32")

    page.keyboard.press("Control+Enter")
    expect(page.locator("[data-preflight=waiting]")).to_contain_text("waiting for a worker")
    with transaction(site.engine) as session:
        asked = preflights.get(session, 1)
        claim = jobs.claim(session, asked.job_id or 0, "worker", lease_s=3600)
        assert claim is not None
        jobs.beat(session, claim, note="timing steps, 5 of 8", lease_s=3600)
    expect(page.locator("[data-preflight=waiting]")).to_contain_text("timing steps, 5 of 8")
    with transaction(site.engine) as session:
        asked = preflights.get(session, 1)
        preflights.end(session, asked, "passed", None, {**MEASURED, "peak_bytes": 1 << 30})
        version = session.get_one(DatasetVersion, asked.version_id)
        recipe = Recipe.model_validate(asked.recipe)
        run = runs.request_run(session, version, recipe.base, recipe)
        run.preflight_id = asked.id
        jobs.finish(session, claim, {"state": "passed"})
    page.wait_for_url(f"{site.url}/runs/1")


def test_a_measured_recipe_starts_at_once(page: Page, site: Site) -> None:
    with transaction(site.engine) as session:
        recipe = runs.plan(threads=int(page.locator("input[name=threads]").input_value()))
        version = session.get_one(DatasetVersion, 1)
        asked = preflights.request_preflight(session, version, recipe)
        jobs.get(session, asked.job_id or 0).state = "done"
        preflights.end(session, asked, "passed", None, {**MEASURED, "peak_bytes": 1 << 30})
    page.reload()
    expect(page.locator(".ends-at text.k")).to_have_text(re.compile(r"^\d\d:\d\d:\d\d$"))
    page.locator("input[name=max_time]").fill("0:25")
    page.get_by_role("button", name="Fine-tune now").click()
    page.wait_for_url(f"{site.url}/runs/1")
    with transaction(site.engine) as session:
        assert runs.get(session, 1).max_seconds == 1500.0
