"""Keys of one's own in a browser: set by pressing them, obeyed and shown; and what an input method keeps for itself."""

from __future__ import annotations

import pytest
from playwright.sync_api import CDPSession, Page, expect

from app.database import transaction
from app.people import Person
from tests.browser.conftest import Scene, Visit, on_desk, wait_for
from tests.browser.test_keys import lines

pytestmark = pytest.mark.browser


@pytest.fixture
def desk(scene: Scene, visit: Visit) -> Page:
    page = visit(scene.ana)
    page.goto(f"{scene.site.url}/desk")
    page.wait_for_load_state("networkidle")
    return page


def set_key(page: Page, act: str, key: str) -> None:
    page.locator(f"[data-set-key={act}]").click()
    expect(page.locator(f"[data-set-key={act}]")).to_have_text("Press a key …")
    page.keyboard.press(key)


def kept(scene: Scene) -> dict[str, str]:
    with transaction(scene.site.engine) as session:
        return session.get_one(Person, scene.ana.id).own_keys


def test_a_key_of_ones_own_is_set_obeyed_and_shown(scene: Scene, desk: Page) -> None:
    order = scene.queue()
    desk.keyboard.press("?")
    desk.get_by_text("Set your own keys").click()
    said = desk.locator("#keys [data-key-said]")
    set_key(desk, "keep", "x")
    expect(said).to_have_text("X is the key of “reject”. Swap the two, or press another one. Swap")
    set_key(desk, "keep", "F5")
    expect(said).to_contain_text("F5 is the browser’s: it loads the page again.")
    set_key(desk, "keep", "Escape")
    expect(desk.locator("#keys")).to_be_visible()
    expect(desk.locator("[data-set-key=keep]")).to_have_text("A")
    set_key(desk, "keep", ";")
    expect(said).to_have_text("Set.")
    set_key(desk, "skip", "x")
    desk.get_by_role("button", name="Swap").click()
    expect(said).to_have_text("Set.")
    assert kept(scene) == {"keep": ";", "skip": "x", "reject": "s"}
    desk.keyboard.press("Escape")
    expect(desk.locator("#keys")).to_be_hidden()

    shown = lines(desk)
    assert (shown[";"], shown["X or → or J"], shown["S"]) == ("Keep", "Skip", "Reject") and "A" not in shown
    expect(desk.locator(".decide [value=kept] kbd")).to_have_text(";")
    expect(desk.locator(".foot .key-hint", has_text="keep").locator("kbd")).to_have_text(";")
    desk.keyboard.press("a")  # has lost its act
    assert on_desk(desk) == order[0]
    desk.keyboard.press(";")
    expect(desk.locator("[data-photo]")).to_have_attribute("data-photo", str(order[1]))
    expect(desk.locator(".decide [value=kept] kbd")).to_have_text(";")  # of a photo that was fetched before, too
    desk.keyboard.press("s")
    expect(desk.locator("[data-reject-plain] kbd")).to_have_text("S")
    desk.keyboard.press("s")
    wait_for(desk, lambda: (d := scene.decision(order[1])) is not None and d.verdict == "rejected")

    # Everywhere the person signs in, in the grid too; another page's keys are as they were.
    desk.goto(f"{scene.site.url}/catalogs/{scene.pile.id}")
    expect(desk.locator("[data-bulk] [value=kept] kbd")).to_have_text(";")
    desk.goto(f"{scene.site.url}/people")
    expect(desk.locator("[data-set-key=keep]")).to_have_text(";")
    desk.get_by_role("button", name="Back to the usual keys").click()
    expect(desk.locator("[data-set-key=keep]")).to_have_text("A")
    assert kept(scene) == {}


def test_a_letter_of_another_alphabet_goes_by_its_place(scene: Scene, desk: Page) -> None:
    order = scene.queue()
    desk.evaluate(
        """document.body.dispatchEvent(new KeyboardEvent("keydown",
            { key: "ф", code: "KeyA", bubbles: true, cancelable: true }))"""
    )
    expect(desk.locator("[data-photo]")).to_have_attribute("data-photo", str(order[1]))


def press_while_composing(wire: CDPSession, key: str, modifiers: int = 0) -> None:
    """As browsers report keys that an input method takes: by the number 229."""
    for kind in ("rawKeyDown", "keyUp"):
        wire.send("Input.dispatchKeyEvent", {
            "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": 229, "modifiers": modifiers,
        })  # fmt: skip


def test_an_input_method_keeps_its_keys(scene: Scene, desk: Page) -> None:
    order = scene.queue()
    before = scene.caption(order[0]).text
    wire = desk.context.new_cdp_session(desk)
    text = desk.locator("[data-text]")
    text.fill("")
    wire.send("Input.imeSetComposition", {"text": "あかい", "selectionStart": 3, "selectionEnd": 3})
    ctrl = 2
    for key, modifiers in (("Enter", 0), ("Enter", ctrl), ("s", ctrl), ("Escape", 0), ("a", 0)):
        press_while_composing(wire, key, modifiers)
    expect(text).to_be_focused()
    assert on_desk(desk) == order[0]
    wire.send("Input.insertText", {"text": "赤いやかん"})  # composed
    # Where the composition ends before its Enter is told, that Enter has the number 229 still.
    press_while_composing(wire, "Enter", ctrl)
    press_while_composing(wire, "Escape")
    expect(text).to_be_focused()
    expect(text).to_have_value("赤いやかん")
    assert on_desk(desk) == order[0] and scene.caption(order[0]).text == before
    desk.keyboard.press("Control+Enter")
    expect(desk.locator("[data-photo]")).to_have_attribute("data-photo", str(order[1]))
    wait_for(desk, lambda: scene.caption(order[0]).text == "赤いやかん")
    desk.locator("body").evaluate("(body) => document.activeElement.blur()")
    press_while_composing(wire, "a")  # beside a text as well
    press_while_composing(wire, "Process")
    assert on_desk(desk) == order[1] and scene.decision(order[1]) is None
