"""Why a photo was measured so, in a browser: one signal chosen over the photo, and histograms that begin below zero."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect
from sqlalchemy import update

from app.catalog.tables import Signals
from app.database import transaction
from tests import cast
from tests.browser.conftest import Scene, Site, Visit

pytestmark = pytest.mark.browser


def test_one_signal_is_shown_over_the_photo_and_stays_chosen(scene: Scene, visit: Visit) -> None:
    with transaction(scene.site.engine) as session:
        drawn = {"outline": "M300 250L700 250L700 750L300 750Z", "shadow": None, "fill": 0.9}
        session.execute(update(Signals).values(drawn))
    page = visit(scene.ana)
    order = scene.queue()
    page.goto(f"{scene.site.url}/desk")
    page.keyboard.press("w")
    overlay, caps = page.locator("svg.evidence"), page.locator(".caps.evidence")
    expect(caps).to_contain_text("Outline")
    expect(overlay.locator(".outline.over")).to_be_visible()
    expect(overlay.locator("rect.part.over").first).to_be_hidden()
    chooser = caps.get_by_label("What is shown")
    chooser.select_option(label="Pure white: 99 %")
    expect(caps).to_contain_text("Background that is not pure white.")
    expect(overlay.locator("image")).to_have_attribute("href", f"/images/{order[0]}/evidence?of=whiteness")
    expect(overlay.locator(".outline.over")).to_be_hidden()
    chooser.select_option(label="Longest-side fill: 90 %")
    expect(overlay.locator("[data-of='fill offsetx offsety'] rect.over")).to_be_visible()
    expect(overlay.locator("image")).to_be_hidden()
    page.keyboard.press("s")
    page.wait_for_url(f"**/images/{order[1]}")
    expect(caps).to_contain_text("The subject’s box.")
    chooser.select_option(label="Contact shadow: cannot tell")
    expect(caps).to_contain_text("It is told on plain ground alone")
    chooser.select_option("")
    expect(overlay.locator(".outline.over")).to_be_visible()


def test_a_histogram_may_begin_below_zero_and_end_before_its_measure_does(scene: Scene, visit: Visit) -> None:
    with transaction(scene.site.engine) as session:
        for place, photo in enumerate(scene.photos):
            values = {"offset_x": (-0.3, -0.1, 0.0, 0.2)[place]}
            session.execute(update(Signals).where(Signals.image_id == photo.id).values(values))
    page = visit(scene.ana)
    page.context.add_cookies([{"name": "packshot-measures", "value": "offsetx.width", "url": scene.site.url}])
    page.goto(f"{scene.site.url}/catalogs/{scene.pile.id}")
    low = page.get_by_role("slider", name="Off centre, right, from")
    expect(low).to_have_value("-50")
    low.fill("-20")
    page.wait_for_url("**offsetx**")
    expect(page.locator(".bar2")).to_contain_text("3 photos with an offset to the right of -20 to 50 %.")
    expect(low).to_have_value("-20")
    page.goto(f"{scene.site.url}/catalogs/{scene.pile.id}")
    page.get_by_role("slider", name="Width, from").fill("500")
    page.wait_for_url("**width**100000**")
    expect(page.locator(".bar2")).to_contain_text("4 photos")


def test_the_evidence_of_a_claim_is_drawn_while_its_line_is_looked_at(site: Site, visit: Visit) -> None:
    with transaction(site.engine) as session:
        pile = cast.catalog(session)
        photo = site.photo(session, pile, "red", "Kettle", caption="Two blue kettles, close-up, small in the frame.")
        signals = session.get_one(Signals, photo.id)
        signals.parts, signals.outline = 3, "M300 300L700 300L700 700L300 700Z"
        me, number = cast.person(session), photo.id
    page = visit(me)
    page.goto(f"{site.url}/images/{number}")
    line = page.locator('[data-why-here="parts"]')
    expect(line).to_contain_text("says two, measured 3 separate pieces")
    outline, parts = page.locator(".plate path.outline.over"), page.locator(".plate rect.part.over").first
    expect(outline).to_be_hidden()
    line.focus()
    expect(parts).to_be_visible()
    expect(outline).to_be_hidden()
    page.locator('[data-why-here="colour"]').hover()
    expect(outline).to_be_visible()
    expect(page.locator("[data-says-why] i")).to_be_visible()  # the colour that was measured
    page.mouse.move(5, 5)
    page.evaluate("document.activeElement.blur()")
    expect(outline).to_be_hidden()
    assert page.evaluate("localStorage.getItem('packshot-why')") is None, "what was looked at is not a choice"
