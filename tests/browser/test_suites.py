"""The editor of a suite in a browser: prompts added, moved and removed, and saved as they stand."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect
from sqlalchemy import select

from app.database import transaction
from app.evaluation import suites
from app.evaluation.tables import Suite
from tests import cast
from tests.browser.conftest import Site, Visit
from tests.evaluation.test_suites import small

pytestmark = pytest.mark.browser


def test_prompts_are_added_moved_and_removed(site: Site, visit: Visit) -> None:
    with transaction(site.engine) as session:
        me = cast.person(session, role="lead")
        number = small(session, name="Edited here").id
    page = visit(me)
    page.goto(f"{site.url}/suites/{number}/edit")
    rows = page.locator("[data-row]")
    expect(rows).to_have_count(2)  # the empty ones are for pages without a script
    page.get_by_role("button", name="Add a prompt").click()
    page.keyboard.type("A new shoe.")
    rows.nth(2).get_by_role("button", name="Up").click()
    rows.nth(0).get_by_role("button", name="Remove").click()
    expect(rows.nth(0).locator("[name=text]")).to_have_value("A new shoe.")
    rows.nth(1).locator("[name=order]").fill("0.5")
    rows.nth(1).locator("[name=order]").press("Tab")
    expect(rows.nth(0).locator("[name=text]")).to_have_value("Two\nshoes.")
    page.get_by_role("button", name="Save as a new version").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("version 2")
    with transaction(site.engine) as session:
        saved = session.scalars(select(Suite).where(Suite.name == "Edited here", Suite.version == 2)).one()
        texts = [prompt.text for prompt in suites.prompts_of(session, saved)]
    assert texts == ["Two\nshoes.", "A secret kettle.", "A new shoe."]
