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
    page.locator(".knob input[name=batch_size]").fill("16")
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


def measured(page: Page, site: Site) -> None:
    """The recipe that the page shows has been measured."""
    page.get_by_role("checkbox", name="Start when it passes").uncheck()
    page.get_by_role("button", name="Measure, then fine-tune").click()
    page.wait_for_url(re.compile("measuring=1"))
    page.goto("about:blank")
    with transaction(site.engine) as session:
        asked = preflights.get(session, 1)
        jobs.get(session, asked.job_id or 0).state = "done"
        preflights.end(session, asked, "passed", None, {**MEASURED, "peak_bytes": 1 << 30})
    page.goto(f"{site.url}/runs/new")


def stay(page: Page) -> None:
    """Marks the document: a page that is loaded anew has lost the mark."""
    page.evaluate("document.body.dataset.stays = '1'")


def test_a_measured_recipe_starts_at_once(page: Page, site: Site) -> None:
    measured(page, site)
    expect(page.locator(".ends-at text.k")).to_have_text(re.compile(r"^\d\d:\d\d:\d\d$"))
    page.locator(".stop input[name=max_time]").fill("0:25")
    page.get_by_role("button", name="Fine-tune now").click()
    page.wait_for_url(f"{site.url}/runs/1")
    with transaction(site.engine) as session:
        assert runs.get(session, 1).max_seconds == 1500.0


def test_a_choice_keeps_the_page_its_focus_and_its_place(page: Page) -> None:
    page.set_viewport_size({"width": 1440, "height": 500})
    stay(page)
    page.evaluate("document.querySelector('main').scrollTo(0, 40)")
    place = page.evaluate("[document.querySelector('main').scrollTop, scrollY]")
    page.keyboard.press("3")
    page.keyboard.press("ArrowDown")
    expect(page).to_have_url(re.compile("preset=best"))
    expect(page.locator("[data-choice='3'] input:checked")).to_be_focused()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    expect(page).to_have_url(re.compile("preset=quick"))
    expect(page.locator(".recs")).to_contain_text("150")
    expect(page.locator("[data-choice='3'] input[value=quick]")).to_be_focused()
    assert page.evaluate("[document.querySelector('main').scrollTop, scrollY]") == place
    page.get_by_role("checkbox", name=re.compile("^Stop when it stops learning")).click()
    expect(page).to_have_url(re.compile("patience=3"))
    expect(page.get_by_role("checkbox", name=re.compile("^Stop when it stops learning"))).to_be_focused()
    assert page.evaluate("document.body.dataset.stays") == "1"


def test_enter_in_the_hard_stop_applies_it_and_measures_nothing(page: Page, site: Site) -> None:
    measured(page, site)
    stay(page)
    page.locator(".stop input[name=max_time]").fill("0:25")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("max_time=0%3A25"))
    expect(page.locator("[data-preflight=measured]")).to_be_visible()
    expect(page.locator(".stop input[name=max_time]")).to_be_focused()
    expect(page.locator(".stop input[name=max_time]")).to_have_value("0:25")
    page.get_by_role("button", name="Measure again").click()
    page.wait_for_url(re.compile("measuring=2"))
    expect(page).to_have_url(re.compile("max_time=0%3A25"))
    with transaction(site.engine) as session:
        assert runs.recent(session) == []


def test_what_is_typed_stays_with_every_choice_and_what_is_derived_does_not(page: Page, site: Site) -> None:
    measured(page, site)
    derived = page.locator(".stop input[name=max_time]").input_value()
    page.get_by_text("Quick").click()
    expect(page).to_have_url(re.compile("preset=quick$"))
    page.get_by_text("Balanced").click()
    expect(page.locator(".stop input[name=max_time]")).to_have_value(derived)
    page.locator(".stop input[name=max_time]").fill("7:00")
    page.get_by_text("Quick").click()
    expect(page).to_have_url(re.compile("preset=quick&max_time=7%3A00"))
    page.locator("details.expert summary").click()
    page.locator(".knob input[name=batch_size]").fill("16")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"batch_size=16&max_time=7%3A00"))


def test_a_wrong_value_mended_brings_the_button_back(page: Page, site: Site) -> None:
    measured(page, site)
    go = page.get_by_role("button", name="Fine-tune now")
    page.locator(".stop input[name=max_time]").fill("soon")
    go.click()
    expect(page.locator(".stop small")).to_contain_text("hours and minutes, such as 8:30")
    page.locator(".stop input[name=max_time]").fill("0:00:01")
    page.keyboard.press("Enter")
    expect(page.locator(".field.bad")).to_be_visible()
    page.locator(".stop input[name=max_time]").press_sequentially("")
    page.locator(".stop input[name=max_time]").fill("0:25")
    expect(page.locator(".field.bad")).to_have_count(0)
    go.click()
    page.wait_for_url(f"{site.url}/runs/1")


def test_a_knob_mended_brings_the_button_back(page: Page) -> None:
    page.get_by_text("Expert: change knobs").click()
    page.locator(".knob input[name=batch_size]").fill("many")
    page.keyboard.press("Enter")
    expect(page.locator(".knob .say.drop")).to_be_visible()
    expect(page.get_by_role("button", name="Measure, then fine-tune")).to_be_disabled()
    page.locator(".knob input[name=batch_size]").fill("16")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Measure, then fine-tune")).to_be_enabled()
    expect(page.locator(".knob input[name=batch_size]")).to_be_focused()


def test_without_scripts_the_forms_do_the_same(site: Site, page: Page) -> None:
    measured(page, site)
    browser = page.context.browser
    assert browser is not None
    page = browser.new_context(java_script_enabled=False, storage_state=page.context.storage_state()).new_page()
    page.goto(f"{site.url}/runs/new")
    page.locator(".stop input[name=max_time]").fill("soon")
    page.keyboard.press("Enter")
    expect(page.locator(".stop small")).to_contain_text("hours and minutes, such as 8:30")
    page.locator(".stop input[name=max_time]").fill("0:25")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("max_time=0%3A25"))
    expect(page.locator("[data-preflight=measured]")).to_be_visible()
    page.get_by_text("Quick").click()
    page.get_by_role("button", name="Show what follows").click()
    expect(page).to_have_url(re.compile("preset=quick"))
    expect(page.locator(".stop input[name=max_time]")).to_have_value("0:25")
    page.context.close()


def test_a_choice_without_an_answer_is_taken_back(page: Page) -> None:
    page.route("**/runs/new?*", lambda route: route.abort())
    page.get_by_text("Quick").click()
    expect(page.locator(".toast")).to_contain_text("does not answer")
    expect(page.locator("[data-choice='3'] input:checked")).to_have_value("balanced")
