"""The words of a shift in Chromium: a cut in mid-edit, a conflict, and a replacement that is undone after a restart."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from app.captions import writing
from app.database import transaction
from app.settings import Settings
from tests.browser.conftest import Scene, Visit, on_desk, served, wait_for

pytestmark = pytest.mark.browser


def texts(scene: Scene) -> list[str]:
    return [scene.caption(photo.id).text for photo in scene.photos]


def test_a_bulk_replace_is_one_act_and_is_undone_after_a_restart(
    scene: Scene, visit: Visit, site_settings: Settings
) -> None:
    before = texts(scene)
    page = visit(scene.ana)
    page.goto(f"{scene.site.url}/catalogs/{scene.pile.id}/replace")
    page.get_by_label("Find", exact=True).fill("kettle")
    page.get_by_label("Replace with").fill("teapot")
    expect(page.locator("[data-line]")).to_have_count(4)
    page.locator("[data-line] input[type=checkbox]").last.uncheck()  # one is left out by hand
    expect(page.locator("[data-apply]")).to_contain_text("Replace in 3 captions")
    assert texts(scene) == before, "a preview that writes"
    page.locator("[data-apply]").click()
    wait_for(page, lambda: sum("teapot" in words for words in texts(scene)) == 3)
    undo = page.get_by_role("button", name="Undo in 3")
    expect(undo).to_be_visible()
    with served(site_settings) as restarted:
        page.goto(f"{restarted.url}/catalogs/{scene.pile.id}/replace")
        undo.click()
        wait_for(page, lambda: texts(scene) == before)
        expect(page.get_by_text("taken back by Ana")).to_be_visible()


def test_z_takes_a_decision_back_after_a_restart(scene: Scene, visit: Visit, site_settings: Settings) -> None:
    page = visit(scene.ana)
    page.goto(f"{scene.site.url}/desk")
    first = on_desk(page)
    page.keyboard.press("a")
    wait_for(page, lambda: scene.decision(first) is not None)
    with served(site_settings) as restarted:
        page.goto(f"{restarted.url}/desk")
        page.keyboard.press("z")
        wait_for(page, lambda: scene.decision(first) is None)
        wait_for(page, lambda: on_desk(page) == first)


def test_a_cut_in_mid_edit_ends_in_a_conflict_and_both_hands_are_kept(scene: Scene, visit: Visit) -> None:
    """Ana is cut off while she writes; Mei saves the same caption meanwhile. When she is back, nobody lost a word."""
    page = visit(scene.ana)
    page.goto(f"{scene.site.url}/desk")
    photo, text = on_desk(page), page.locator("[data-text]")
    standing = scene.caption(photo)
    page.context.set_offline(True)
    page.keyboard.press("e")
    text.fill(f"Glossy {standing.text}")
    page.keyboard.press("Control+s")
    expect(page.locator("[data-trouble]")).to_contain_text("Packshot does not answer")
    with transaction(scene.site.engine) as session:
        writing.rewrite(session, photo, f"{standing.text} Seen from the side.", scene.mei, standing.id)
    page.context.set_offline(False)
    page.keyboard.press("Control+s")
    conflict = page.locator("[data-conflict]")
    expect(conflict).to_contain_text("Now, by Mei")
    assert scene.caption(photo).text == f"{standing.text} Seen from the side."
    conflict.get_by_role("button", name="Put both in the editor").click()
    expect(text).to_have_value(f"Glossy {standing.text} Seen from the side.")
    page.get_by_role("button", name="Save", exact=True).click()
    wait_for(page, lambda: scene.caption(photo).text == f"Glossy {standing.text} Seen from the side.")
