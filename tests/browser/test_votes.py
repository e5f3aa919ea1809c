"""Blind votes in a real browser: by keys, ahead of the server, through a cut, on a phone, as a guest."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect
from sqlalchemy import select

from app import jobs
from app.database import transaction
from app.evaluation import links
from app.evaluation.tables import Sheet
from app.evaluation.vote_tables import FailureTag, UsableAnswer, Vote
from app.people import Person
from tests import cast
from tests.browser.conftest import Site, Visit, wait_for
from tests.browser.cutting import wire
from tests.browser.test_accessibility import faults
from tests.browser.test_viewer import paint
from tests.evaluation.cast import finished_run, sheet_of

pytestmark = pytest.mark.browser


@pytest.fixture
def sheet(site: Site) -> Sheet:
    """A sheet of 12 rows and 3 columns, all drawn."""
    with transaction(site.engine) as session:
        made = sheet_of(session, finished_run(session))
        paint(session, site, made, 36)
        jobs.get(session, made.job_id or 0).state = "done"
    return made


def choices(site: Site) -> list[str]:
    """The votes that stand, in their order."""
    with transaction(site.engine) as session:
        return list(session.scalars(select(Vote.choice).where(Vote.withdrawn_at.is_(None)).order_by(Vote.id)))


def owner(site: Site) -> Person:
    with transaction(site.engine) as session:
        return cast.person(session, role="owner")


def test_keys_vote_ahead_of_the_server_and_through_a_cut(site: Site, visit: Visit, sheet: Sheet) -> None:
    me = owner(site)
    page = visit(me)
    with wire(site.url) as line:
        cookie = page.context.cookies()[0]
        page.context.add_cookies([{"name": cookie["name"], "value": cookie["value"], "url": line.url}])
        page.goto(f"{line.url}/compare/{sheet.id}/vote")
        count, prompt = page.locator("[data-count]"), page.locator("[data-prompt]")
        expect(page.locator("[data-pane] img").first).to_have_js_property("complete", True)
        first = page.locator("[data-pane] img").first.get_attribute("src")
        for key in ("ArrowLeft", "ArrowRight", "ArrowUp"):
            page.keyboard.press(key)
        expect(count).to_have_text("3")
        wait_for(page, lambda: choices(site) == ["left", "right", "tie"])
        assert page.locator("[data-pane] img").first.get_attribute("src") != first
        line.cut()
        page.keyboard.press("ArrowDown")
        shown = prompt.text_content()
        page.keyboard.press("ArrowLeft")
        expect(page.locator("[data-pending]")).to_contain_text("2 decisions are not sent yet")
        page.keyboard.press("z")
        expect(count).to_have_text("4")
        assert prompt.text_content() == shown, "the pair comes back at once"
        line.mend()
        page.locator("[data-pending] button").first.click()
        expect(page.locator("[data-pending]")).to_be_hidden()
        wait_for(page, lambda: choices(site) == ["left", "right", "tie", "both_bad"])

    def is_told() -> bool:
        with transaction(site.engine) as session:
            return (
                bool(session.scalars(select(FailureTag)).all())
                and len(session.scalars(select(UsableAnswer)).all()) == 2
            )

    page.goto(f"{site.url}/compare/{sheet.id}/vote")
    page.keyboard.press("p")
    page.keyboard.press("p")
    page.keyboard.press("3")
    expect(page.locator("[data-wrong]:visible")).to_contain_text("What is wrong with B?")
    wait_for(page, is_told)
    page.keyboard.press("+")
    expect(page.locator("[data-booth]")).to_have_attribute("data-zoomed", "")


def test_a_guest_votes_on_a_phone(site: Site, chromium: Browser, sheet: Sheet) -> None:
    me = owner(site)
    with transaction(site.engine) as session:
        _, token = links.make(session, me, session.get_one(Sheet, sheet.id), "vote", 3)
    context = chromium.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{site.url}/votes/{token}")
    page.get_by_label("Your name").fill("Mei")
    page.get_by_role("button", name="Begin").click()
    targets = page.locator("[data-vote] button")
    expect(targets).to_have_count(4)
    page.wait_for_load_state()
    assert all(
        box["height"] >= 60 and box["y"] + box["height"] <= 844
        for box in (t.bounding_box() for t in targets.all())
        if box
    )
    pictures = [image.bounding_box() for image in page.locator("[data-pane] img").all()]
    assert all(box is not None and box["height"] > 120 for box in pictures)
    targets.nth(3).tap()
    wait_for(page, lambda: choices(site) == ["right"])
    page.get_by_role("button", name="Undo").tap()
    wait_for(page, lambda: choices(site) == [])
    assert faults(page, "a guest") == []
    assert errors == []
    context.close()
