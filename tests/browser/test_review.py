"""Reviewing by keyboard in a real browser: keep, undo, rewrite, and two people at the same photo."""

from __future__ import annotations

import pytest
from playwright.sync_api import Route, expect
from sqlalchemy.orm import Session

from app.captions import writing
from app.catalog.tables import Image
from app.database import transaction
from app.review import decisions, rule_sets
from tests.browser.conftest import Scene, Visit, on_desk, wait_for

pytestmark = pytest.mark.browser


def test_a_one_time_link_signs_a_browser_in(scene: Scene, visit: Visit) -> None:
    page = visit(scene.mei)
    page.context.clear_cookies()
    page.goto(f"{scene.site.url}/desk")
    assert "/sign-in" in page.url
    page.goto(scene.site.link_for(scene.mei))
    page.wait_for_url(lambda url: "/links/" not in url)
    page.goto(f"{scene.site.url}/desk")
    assert on_desk(page) == scene.photos[0].id
    (cookie,) = (cookie for cookie in page.context.cookies() if cookie["name"] == scene.site.cookie)
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Lax")


def test_a_key_keeps_and_shows_the_next_photo_and_z_takes_it_back(scene: Scene, visit: Visit) -> None:
    page = visit(scene.ana)
    order = scene.queue()
    page.goto(f"{scene.site.url}/desk")
    assert on_desk(page) == order[0]
    page.wait_for_function("document.querySelector('[data-picture]').complete")
    page.wait_for_load_state("networkidle")  # the next photo is fetched ahead by now
    page.keyboard.press("a")
    expect(page.locator("[data-photo]")).to_have_attribute("data-photo", str(order[1]))
    expect(page.locator(".toast")).to_contain_text("Kept")
    wait_for(page, lambda: scene.decision(order[0]) is not None)
    kept = scene.decision(order[0])
    assert kept is not None and (kept.verdict, kept.person_id) == ("kept", scene.ana.id)
    page.keyboard.press("z")
    expect(page.locator("[data-photo]")).to_have_attribute("data-photo", str(order[0]))
    expect(page.locator(".toast")).to_contain_text("is not decided any more")
    assert scene.decision(order[0]) is None


def test_the_next_photo_is_there_before_the_key_is_answered(scene: Scene, visit: Visit) -> None:
    page = visit(scene.ana)
    order = scene.queue()
    page.goto(f"{scene.site.url}/desk")
    page.wait_for_load_state("networkidle")
    shown = page.evaluate(
        """() => {
            document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "a", bubbles: true, cancelable: true }));
            const picture = document.querySelector("[data-picture]");
            return [document.querySelector("[data-photo]").dataset.photo, picture.complete && picture.naturalWidth > 0];
        }"""
    )
    assert shown == [str(order[1]), True]
    wait_for(page, lambda: scene.decision(order[0]) is not None)


def test_x_and_a_number_reject_with_a_reason(scene: Scene, visit: Visit) -> None:
    page = visit(scene.ana)
    order = scene.queue()
    page.goto(f"{scene.site.url}/desk")
    page.keyboard.press("x")
    expect(page.get_by_role("button", name="Blurred")).to_be_visible()
    page.keyboard.press("1")
    expect(page.locator("[data-photo]")).to_have_attribute("data-photo", str(order[1]))
    expect(page.locator(".toast")).to_contain_text("blurred")
    rejected = scene.decision(order[0])
    assert rejected is not None and (rejected.verdict, rejected.reason) == ("rejected", "blurred")


def test_fast_keys_decide_each_photo_once(scene: Scene, visit: Visit) -> None:
    page = visit(scene.ana)
    order = scene.queue()
    page.goto(f"{scene.site.url}/desk")
    for photo in order[1:]:
        page.keyboard.press("a")
        expect(page.locator("[data-photo]")).to_have_attribute("data-photo", str(photo))
    page.keyboard.press("f")
    page.wait_for_url("**/images/*")
    wait_for(page, lambda: all(scene.decision(photo) is not None for photo in order))
    verdicts = [one.verdict for photo in order if (one := scene.decision(photo))]
    assert verdicts == ["kept", "kept", "kept", "needs_work"]


def test_a_caption_is_drafted_saved_and_taken_back(scene: Scene, visit: Visit) -> None:
    page = visit(scene.ana)
    first = scene.queue()[0]
    before = scene.caption(first)
    page.goto(f"{scene.site.url}/images/{first}")
    page.keyboard.press("e")
    page.keyboard.type(" Seen from the side.")
    expect(page.locator("[data-draft]")).to_contain_text("draft saved")
    expect(page.locator("[data-diff] ins")).to_contain_text("side.")
    page.reload()
    expect(page.locator("[data-text]")).to_have_value(f"{before.text} Seen from the side.")
    page.keyboard.press("e")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".toast")).to_contain_text("Saved the caption")
    saved = scene.caption(first)
    assert (saved.text, saved.person_id) == (f"{before.text} Seen from the side.", scene.ana.id)
    expect(page.locator("[data-photo]")).not_to_have_attribute("data-photo", str(first))
    assert page.evaluate("Object.keys(localStorage).filter((key) => key.startsWith('packshot-draft')).length") == 0
    page.keyboard.press("z")
    expect(page.locator("[data-text]")).to_have_value(before.text)
    assert scene.caption(first).id == before.id


def test_the_second_of_two_captions_loses_nothing(scene: Scene, visit: Visit) -> None:
    ana, mei = visit(scene.ana), visit(scene.mei)
    photo = scene.photos[0].id
    for page in (ana, mei):
        page.goto(f"{scene.site.url}/images/{photo}")
        page.wait_for_load_state("networkidle")
    for page, words in ((ana, "Ana’s words."), (mei, "Mei’s words.")):
        page.locator("[data-text]").fill(words)
        page.get_by_role("button", name="Save", exact=True).click()
        if page is ana:
            expect(page.locator(".toast")).to_contain_text("Saved")
    expect(mei.locator("[data-trouble]")).to_contain_text("Ana wrote another caption meanwhile.")
    expect(mei.locator("[data-text]")).to_have_value("Ana’s words.")
    expect(mei.locator("[data-conflict]")).to_contain_text("Mei’s words.")
    mei.get_by_role("button", name="Put mine in the editor").click()
    mei.get_by_role("button", name="Save", exact=True).click()
    expect(mei.locator(".toast")).to_contain_text("Saved")
    assert scene.caption(photo).text == "Mei’s words."


def test_the_second_of_two_decisions_is_told_and_goes_back(scene: Scene, visit: Visit) -> None:
    page = visit(scene.mei)
    photo = scene.photos[0].id
    page.goto(f"{scene.site.url}/images/{photo}?q=kettle&sort=oldest")
    with transaction(scene.site.engine) as session:
        decisions.decide(session, session.get_one(Image, photo), scene.ana, "kept")
    page.keyboard.press("f")
    expect(page.locator("[data-trouble]")).to_contain_text("Ana kept this photo a moment ago.")
    expect(page.locator("[data-photo]")).to_have_attribute("data-photo", str(photo))
    stays = scene.decision(photo)
    assert stays is not None and stays.person_id == scene.ana.id


def test_a_dead_network_loses_neither_place_nor_words(scene: Scene, visit: Visit) -> None:
    page = visit(scene.ana)
    first = scene.queue()[0]
    page.goto(f"{scene.site.url}/images/{first}")
    page.wait_for_load_state("networkidle")
    page.context.set_offline(True)
    page.locator("[data-text]").fill("Words that must not be lost.")
    page.keyboard.press("Control+Enter")
    expect(page.locator("[data-trouble]")).to_contain_text("does not answer")
    page.context.set_offline(False)
    page.goto(f"{scene.site.url}/images/{first}")
    expect(page.locator("[data-text]")).to_have_value("Words that must not be lost.")
    assert scene.caption(first).written_by == "captioner"


def test_the_grid_decides_picked_photos_in_one_act(scene: Scene, visit: Visit) -> None:
    page = visit(scene.ana)
    page.goto(f"{scene.site.url}/catalogs/{scene.pile.id}")
    page.keyboard.press("Space")
    page.keyboard.press("Shift+ArrowRight")
    expect(page.locator("[data-bulk-said]")).to_have_text("2 selected of 4")
    page.keyboard.press("a")
    expect(page.locator(".toast")).to_contain_text("Kept 2 photos")
    expect(page.locator(".facets")).to_contain_text("Kept2")
    page.keyboard.press("Control+a")
    expect(page.locator("[data-bulk-said]")).to_have_text("All 4 selected")
    page.keyboard.press("f")
    expect(page.locator(".toast")).to_contain_text("4 photos")
    page.keyboard.press("z")
    expect(page.locator("[data-mark] .keep")).to_have_count(2)
    newest = [photo.id for photo in scene.photos[::-1]]
    assert [bool(scene.decision(photo)) for photo in newest] == [True, True, False, False]


def suggest(scene: Scene) -> None:
    """Let the rules look: three kettles have nothing wrong with them, the caption of one names another colour."""
    with transaction(scene.site.engine) as session:
        wrong = writing.current(session, [scene.photos[3].id])[scene.photos[3].id]
        writing.rewrite(session, scene.photos[3].id, "Green kettle.", scene.ana, wrong.id)
        decisions.apply_rules(session, [photo.id for photo in scene.photos])


def test_the_card_follows_what_was_decided(scene: Scene, visit: Visit) -> None:
    page = visit(scene.ana)
    page.goto(f"{scene.site.url}/catalogs/{scene.pile.id}")
    card = page.locator("[data-card]")
    expect(card).to_contain_text("not seen yet")
    page.keyboard.press("Control+a")
    page.keyboard.press("a")
    expect(card).to_contain_text("kept by Ana")
    page.keyboard.press("End")
    expect(card).to_contain_text("Red kettle number 0.")
    expect(card).to_contain_text("kept by Ana")
    page.keyboard.press("f")
    expect(card).to_contain_text("needs work by Ana")


def test_a_card_that_was_on_its_way_when_a_photo_was_decided_is_not_shown(scene: Scene, visit: Visit) -> None:
    page = visit(scene.ana)
    page.goto(f"{scene.site.url}/catalogs/{scene.pile.id}")
    expect(page.locator("[data-card]")).to_contain_text("not seen yet")
    last = f"**/images/{scene.photos[0].id}/card"
    held: list[Route] = []
    page.route(last, lambda route: route.continue_() if held else held.append(route))
    page.keyboard.press("End")
    wait_for(page, lambda: bool(held))
    before = held[0].fetch()
    page.keyboard.press("f")
    expect(page.locator(".toast")).to_contain_text("needing work")
    # The card as it was arrives last, or just before the one that tells what was decided is asked for.
    held[0].fulfill(response=before)
    page.keyboard.press("Home")
    expect(page.locator("[data-card]")).to_contain_text("not seen yet")
    page.keyboard.press("End")
    expect(page.locator("[data-card]")).to_contain_text("needs work by Ana")


def test_suggestions_are_hollow_and_y_accepts_them_in_the_grid(scene: Scene, visit: Visit) -> None:
    suggest(scene)
    page = visit(scene.ana)
    page.goto(f"{scene.site.url}/catalogs/{scene.pile.id}")
    expect(page.locator("[data-tile] .mark-dot.hollow.keep")).to_have_count(3)
    expect(page.locator("[data-tile] .mark-dot.hollow.work")).to_have_count(1)
    expect(page.locator("[data-tile]").nth(1)).to_have_attribute(
        "aria-label", "photo 2 of 4, not seen yet, a rule suggests to keep it, Tomato kettle"
    )
    page.keyboard.press("ArrowRight")
    page.keyboard.press("y")
    expect(page.locator(".toast")).to_contain_text("Kept Tomato kettle")
    expect(page.locator("[data-tile] .mark-dot.keep:not(.hollow)")).to_have_count(1)
    page.keyboard.press("Control+a")
    page.keyboard.press("y")
    expect(page.locator(".toast")).to_contain_text("Accepted 3 suggestions; 1 had none")
    expect(page.locator("[data-tile] .hollow")).to_have_count(0)
    page.keyboard.press("z")
    expect(page.locator("[data-tile] .hollow")).to_have_count(3)
    page.keyboard.press("z")
    expect(page.locator("[data-tile] .hollow.keep")).to_have_count(3)


def test_y_accepts_a_suggestion_at_the_desk(scene: Scene, visit: Visit) -> None:
    suggest(scene)
    page = visit(scene.ana)
    order = scene.queue()
    assert order[0] == scene.photos[3].id
    page.goto(f"{scene.site.url}/desk")
    expect(page.get_by_role("button", name="Accept: needs work")).to_be_visible()
    page.keyboard.press("y")
    expect(page.locator("[data-photo]")).to_have_attribute("data-photo", str(order[1]))
    expect(page.locator(f'[data-cell="{order[0]}"] .mark-dot.work:not(.hollow)')).to_be_visible()
    wait_for(page, lambda: (one := scene.decision(order[0])) is not None and one.person_id == scene.ana.id)
    page.keyboard.press("z")
    expect(page.locator("[data-photo]")).to_have_attribute("data-photo", str(order[0]))
    expect(page.get_by_role("button", name="Accept: needs work")).to_be_visible()


def test_dragging_a_limit_counts_what_would_change_and_saves_nothing(scene: Scene, visit: Visit) -> None:
    suggest(scene)
    page = visit(scene.ana)
    page.goto(f"{scene.site.url}/catalogs/{scene.pile.id}/rules")
    expect(page.locator('[data-part="changes"]')).to_contain_text("0 of 4")
    slider = page.get_by_role("slider", name="Blurred below a sharpness of")
    slider.focus()
    page.keyboard.press("End")
    expect(page.get_by_role("spinbutton", name="Blurred below a sharpness of")).to_have_value("1.000")
    expect(page.locator('[data-part="changes"]')).to_contain_text("4 of 4")
    expect(page.locator('[data-part="then-blurred"]')).to_have_text("4")
    page.get_by_role("spinbutton", name="Blurred below a sharpness of").fill("0.5")
    expect(page.locator('[data-part="changes"]')).to_contain_text("0 of 4")
    assert slider.input_value() == "0.5"
    page.get_by_role("checkbox", name="Nothing found").uncheck()
    expect(page.locator('[data-part="changes"]')).to_contain_text("3 of 4")
    page.get_by_role("spinbutton", name="Blurred below a sharpness of").fill("")
    expect(page.locator('[data-part="changes"]')).to_contain_text("is not a number")
    page.reload()
    expect(page.get_by_role("checkbox", name="Nothing found")).not_to_be_checked()
    with transaction(scene.site.engine) as session:
        assert rule_sets.current(session, scene.pile.id) is None
    page.goto(f"{scene.site.url}/catalogs/{scene.pile.id}/rules")
    page.get_by_role("button", name="Accept all 3 suggestions of “Nothing found”").click()
    expect(page.locator(".each")).not_to_contain_text("Accept all 3")
    assert all((one := scene.decision(photo.id)) and one.verdict == "kept" for photo in scene.photos[:3])
    page.keyboard.press("z")
    expect(page.locator(".each")).to_contain_text("Accept all 3")


def test_a_facet_filters_without_a_reload_and_back_undoes_it(scene: Scene, visit: Visit) -> None:
    with transaction(scene.site.engine) as session:
        decisions.decide(session, session.get_one(Image, scene.photos[1].id), scene.ana, "kept")
    page = visit(scene.ana)
    page.goto(f"{scene.site.url}/catalogs/{scene.pile.id}")
    page.evaluate("window.isSamePage = true")
    page.get_by_role("checkbox", name="Kept").click()
    expect(page.locator("[data-tile]")).to_have_count(1)
    expect(page.locator(".bar2")).to_contain_text("1 kept photo.")
    expect(page.get_by_role("link", name="Freeze the 1 kept")).to_be_visible()
    assert page.url.endswith("?q=decision%3Akept")
    page.go_back()
    expect(page.locator("[data-tile]")).to_have_count(4)
    assert page.evaluate("window.isSamePage")


def test_a_histogram_handle_narrows_the_filter(scene: Scene, visit: Visit) -> None:
    page = visit(scene.ana)
    page.goto(f"{scene.site.url}/catalogs/{scene.pile.id}")
    handle = page.get_by_role("slider", name="Subject sharpness, from")
    handle.focus()
    page.keyboard.press("PageUp")
    page.wait_for_url("**sharpness**")
    expect(page.locator(".bar2")).to_contain_text("4 photos of sharpness 0.1 to 1.")
    expect(page.get_by_role("slider", name="Subject sharpness, from")).to_be_focused()


def test_without_scripts_forms_still_decide(scene: Scene, visit: Visit, session: Session) -> None:
    signed_in = visit(scene.ana)
    context = signed_in.context.browser.new_context(  # type: ignore[union-attr]
        java_script_enabled=False, storage_state=signed_in.context.storage_state()
    )
    page = context.new_page()
    order = scene.queue()
    page.goto(f"{scene.site.url}/desk")
    page.get_by_role("button", name="Keep").click()
    assert page.url.endswith(f"/images/{order[1]}")
    kept = scene.decision(order[0])
    assert kept is not None and kept.verdict == "kept"
    context.close()
