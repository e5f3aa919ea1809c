"""The filter field in a browser: completions by keyboard, the place of a mistake, saved views."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from app.database import transaction
from tests import cast
from tests.browser.conftest import Site, Visit
from tests.browser.test_accessibility import faults

pytestmark = pytest.mark.browser


@pytest.fixture
def grid(site: Site, visit: Visit) -> Page:
    with transaction(site.engine) as session:
        pile = cast.catalog(session, "Autumn 2026")
        for colour in ("red", "blue"):
            site.photo(session, pile, colour, f"Kettle {colour}")
        me = cast.person(session, role="owner")
    page = visit(me)
    page.goto(f"{site.url}/catalogs/{pile.id}")
    return page


def test_completions_by_keyboard_and_the_place_of_a_mistake(grid: Page) -> None:
    page = grid
    field, choices = page.locator("input.query"), page.locator("#completions [role=option]")
    page.keyboard.press("/")
    page.keyboard.type("dec")
    expect(choices.first).to_contain_text("decided:")
    expect(field).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("ArrowDown")
    expect(field).to_have_attribute("aria-activedescendant", "completion-0")
    found = faults(page, "completions", (("light", 1440, 900, True), ("dark", 390, 844, True)))
    assert not found, "\n".join(found)
    page.keyboard.press("Escape")
    expect(choices.first).to_be_hidden()
    expect(field).to_have_value("dec")
    page.keyboard.type("isi")
    expect(choices.first).to_contain_text("decision:")
    page.keyboard.press("Tab")
    expect(field).to_have_value("decision:")
    expect(choices.first).to_contain_text("kept")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(field).to_have_value("decision:unseen ")
    page.keyboard.type("or (shiny:1)")
    page.keyboard.press("Enter")
    expect(page.locator("#refusal")).to_contain_text("“shiny” is not a filter.")
    marked = field.evaluate("(input) => input.value.slice(input.selectionStart, input.selectionEnd)")
    assert marked.startswith("shiny")


def test_a_view_is_saved_and_opened(grid: Page) -> None:
    page = grid
    page.locator("input.query").fill("blue or red")
    page.keyboard.press("Enter")
    expect(page.locator(".bar2")).to_contain_text("either mentioning “blue” or mentioning “red”")
    page.get_by_role("button", name="Views").click()
    found = faults(page, "views", (("light", 1440, 900, True),))
    page.get_by_label("Save what is shown as").fill("Both colours")
    page.get_by_role("button", name="Save the view").click()
    page.get_by_role("button", name="Views").click()
    found += faults(page, "a view", (("dark", 390, 844, True),))
    assert not found, "\n".join(found)
    page.get_by_role("link", name="Both colours").click()
    expect(page.locator("input.query")).to_have_value("blue or red")
