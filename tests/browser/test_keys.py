"""The list of keys behind "?": each of its lines is tried, and a line that nobody tries fails the test."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from app.database import transaction
from app.review import decisions
from tests import cast
from tests.browser.conftest import Scene, Site, Visit
from tests.browser.test_viewer import paint
from tests.evaluation.cast import finished_run, sheet_of
from tests.training.cast import frozen_version, training

pytestmark = pytest.mark.browser

Try = Callable[[Page], None]


def lines(page: Page) -> dict[str, str]:
    """What the list says of this page: keys, "or" between those that do the same, and what they do."""
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    rows = page.evaluate(
        """() => [...document.querySelectorAll("#keys-here + dl > dt")].map((term) => [
            [...term.childNodes].map((node) => node.textContent).join(" "), term.nextElementSibling.textContent])"""
    )
    page.keyboard.press("Escape")
    expect(page.locator("#keys")).to_be_hidden()
    assert len({keys for keys, _ in rows}) == len(rows), f"a key stands there twice: {rows}"
    return dict(rows)


def check(page: Page, expected: dict[str, tuple[str, Try]]) -> None:
    """The list is exactly this, and each line does what it says, on the page as it was opened."""
    told = lines(page)
    assert told == {keys: words for keys, (words, _) in expected.items()}
    address = page.url
    for keys, (_, does) in expected.items():
        page.goto(address)
        try:
            does(page)
        except AssertionError as error:
            raise AssertionError(f"{keys} does something else") from error


WHY = "why it was measured so: outline, borders, text, clipped pixels"


def presses(key: str, selector: str, attribute: str | None = None, value: str = "", *, before: str = "") -> Try:
    """The key makes this visible, which it was not, or gives it this attribute; `before` is pressed first."""

    def attempt(page: Page) -> None:
        if before:
            page.keyboard.press(before)
        place = page.locator(selector).first
        if attribute is None:
            expect(place).to_be_hidden()
        page.keyboard.press(key)
        if attribute is None:
            expect(place).to_be_visible()
        else:
            expect(place).to_have_attribute(attribute, value)

    return attempt


def says(key: str, words: str, *, before: str = "") -> Try:
    """The key leads to a toast that says this."""

    def attempt(page: Page) -> None:
        if before:
            page.keyboard.press(before)
        if before not in ("", "x"):
            expect(page.locator(".toast")).to_be_visible()
        page.keyboard.press(key)
        expect(page.locator(".toast")).to_contain_text(words)

    return attempt


def suggest(scene: Scene) -> None:
    """Let the rules look at the photos, so that there are suggestions to accept."""
    with transaction(scene.site.engine) as session:
        decisions.apply_rules(session, [photo.id for photo in scene.photos])


def test_every_line_of_the_desk(scene: Scene, visit: Visit) -> None:
    suggest(scene)
    first, second, third = (photo.id for photo in scene.photos[:3])
    page = visit(scene.ana)
    page.goto(f"{scene.site.url}/images/{second}?q=kettle&sort=oldest")

    def edits(page: Page) -> None:
        page.keyboard.press("e")
        expect(page.locator("[data-text]")).to_be_focused()

    def mends(page: Page) -> None:
        page.keyboard.press("m")
        page.wait_for_url("**/mend*")

    def leaves(page: Page) -> None:
        edits(page)
        page.keyboard.press("Escape")
        expect(page.locator("[data-text]")).not_to_be_focused()
        assert f"/images/{second}" in page.url
        page.keyboard.press("Escape")
        page.wait_for_url("**/catalogs/**")

    def turns_in_the_text(page: Page) -> None:
        edits(page)
        page.keyboard.press("Alt+t")
        expect(page.locator("[data-kind-tab=short]")).to_have_attribute("aria-current", "true")

    def saves(key: str) -> Try:
        def attempt(page: Page) -> None:
            page.keyboard.press("e")
            page.keyboard.type(" More.")
            page.keyboard.press(key)
            expect(page.locator(".toast")).to_contain_text("Saved the caption")

        return attempt

    def goes(key: str, photo: int) -> Try:
        return presses(key, "[data-photo]", "data-photo", str(photo))

    check(page, {
        "B": ("Box", presses("b", "[data-overlay=box] .over")),
        "W": (WHY, presses("w", "[data-plate] .caps.evidence .cap")),
        "M": ("mend: crop, turn, straighten, white background, mask", mends),
        "P": ("Pixels 1:1", presses("p", ".plate.close")),
        "0": ("Next surround", presses("0", "html", "data-stage", "light")),
        "E": ("edit the caption", edits),
        "Esc": ("back to the grid; in the text: leave it", leaves),
        "Y": ("Accept: keep", says("y", "Kept Maroon")),
        "A": ("Keep", says("a", "Kept")),
        "X": ("Reject", presses("x", "[data-reject] .menu")),
        "F": ("Needs work", says("f", "needing work")),
        "S or → or J": ("Skip", goes("s", third)),
        "← or K": ("Photo before", goes("k", first)),
        "Z": ("Undo", says("z", "Maroon kettle is ", before="f")),
        "Ctrl Enter": ("in the text: save and next", saves("Control+Enter")),
        "Ctrl S": ("save the caption", saves("Control+s")),
        "X 1–9": ("reject with reason", says("1", "blurred", before="x")),
        "N": ("ask a lead", presses("n", "[data-notes-box] textarea:focus")),
        "Shift H": ("the versions of this caption", presses("Shift+h", "[data-versions] ol")),
        # The kind stays from photo to photo, and from here on.
        "Alt T": ("in the text: the next kind of caption", turns_in_the_text),
        "Shift E": ("the next kind of caption", presses("Shift+e", "[data-kind-tab=tags][aria-current=true]")),
    })  # fmt: skip


def test_every_line_of_the_catalog(scene: Scene, visit: Visit) -> None:
    suggest(scene)
    page = visit(scene.ana)
    page.goto(f"{scene.site.url}/catalogs/{scene.pile.id}")

    def moves(page: Page) -> None:
        for key, place in (("ArrowRight", 2), ("j", 3), ("k", 2), ("ArrowLeft", 1), ("ArrowDown", 4), ("ArrowUp", 1)):
            page.keyboard.press(key)
            expect(page.locator(".tile.cur")).to_have_attribute("data-place", str(place))

    def selects(key: str, said: str) -> Try:
        def attempt(page: Page) -> None:
            page.keyboard.press(key)
            expect(page.locator("[data-bulk-said]")).to_have_text(said)

        return attempt

    def turns(there: str, back: str) -> Try:
        def attempt(page: Page) -> None:
            for key, place in ((there, "4"), (back, "1")):
                page.keyboard.press(key)
                expect(page.locator(".tile.cur")).to_have_attribute("data-place", place)

        return attempt

    def sizes(key: str, *, is_larger: bool) -> Try:
        def attempt(page: Page) -> None:
            side = "() => document.querySelector('.tile').getBoundingClientRect().width"
            page.keyboard.press("-" if is_larger else "+")
            before = page.evaluate(side)
            page.keyboard.press(key)
            assert (page.evaluate(side) > before) is is_larger

        return attempt

    def lets_go(page: Page) -> None:
        page.keyboard.press("Space")
        selects("Escape", "1 photo")(page)

    def leads(key: str, address: str) -> Try:
        def attempt(page: Page) -> None:
            page.keyboard.press(key)
            page.wait_for_url(address)

        return attempt

    check(page, {
        "/": ("search", presses("/", "input.query:focus")),
        "Y": ("Accept suggestions", says("y", "Kept Crimson")),
        "A": ("Keep", says("a", "Kept")),
        "X": ("Reject", presses("x", "[data-reject] .menu")),
        "F": ("Needs work", says("f", "needing work")),
        "L": ("label", presses("l", "[data-labels-menu] .menu")),
        "Z": ("undo", says("z", "Crimson kettle is ", before="f")),
        "W": (WHY, presses("w", "[data-card] .caps.evidence .cap")),
        "E": ("edit the caption", leads("e", "**/images/*?q=&sort=newest")),
        "← or → or ↑ or ↓ or J or K": ("move", moves),
        "M": ("mend the picture", leads("m", "**/mend*")),
        "N": ("go to a photo by its number", presses("n", "[data-jump] input:focus")),
        "+ or =": ("larger photos", sizes("+", is_larger=True)),
        "-": ("smaller photos", sizes("-", is_larger=False)),
        "Page ↑ or Page ↓": ("a page back, a page on", turns("PageDown", "PageUp")),
        "Home or End": ("first photo, last photo", turns("End", "Home")),
        "Esc": ("let go of what is selected", lets_go),
        "Space": ("select", selects("Space", "1 selected of 4")),
        "Shift →": ("extend", selects("Shift+ArrowRight", "2 selected of 4")),
        "Ctrl A": ("all by filter", selects("Control+a", "All 4 selected")),
        "Enter": ("open on the desk", leads("Enter", "**/images/*")),
    })  # fmt: skip


def test_every_line_of_the_comparison(site: Site, visit: Visit) -> None:
    with transaction(site.engine) as session:
        sheet = sheet_of(session, finished_run(session))
        paint(session, site, sheet, 36)
        me = cast.person(session)
    page = visit(me)
    page.goto(f"{site.url}/compare/{sheet.id}")

    def keys(*pressed: str, viewer: bool, shows: str) -> Try:
        def attempt(page: Page) -> None:
            expect(page.locator('[data-cell][tabindex="0"]')).to_have_count(1)
            page.locator("[data-cell]").first.focus()
            for key in (*(("Enter",) if viewer else ()), *pressed):
                page.keyboard.press(key)
            expect(page.locator(shows).first).to_be_visible()

        return attempt

    def flickers(page: Page) -> None:
        page.locator("[data-cell]").nth(1).click()
        page.keyboard.down(" ")
        expect(page.locator("[data-viewer][data-flicker='1']")).to_be_visible()

    second = "[data-row]:nth-of-type(2)"
    check(page, {
        "← or →": ("another checkpoint; in the viewer: another prompt or seed",
                   keys("ArrowRight", "ArrowRight", "ArrowLeft", viewer=False, shows='[data-column="50"]:focus')),
        "↑ or ↓": ("another prompt or seed; in the viewer: B at another checkpoint",
                   keys("ArrowDown", viewer=False, shows=f"{second} [data-cell]:focus")),
        "Home or End": ("first checkpoint, last checkpoint",
                        keys("End", viewer=False, shows='[data-column="100"]:focus')),
        "Shift ↑ or Shift ↓": ("viewer: A at another checkpoint",
                               keys("Shift+ArrowDown", viewer=True, shows="[data-step-button='50'].a")),
        "Space": ("viewer: hold to see A in place of B", flickers),
        "1 or 2 or 3 or 4": ("viewer: side by side, swipe, onion, difference",
                             keys("4", viewer=True, shows="[data-mode=difference]")),
        "P": ("viewer: keep B beside the others, or no more",
              keys("ArrowDown", "p", viewer=True, shows="[data-step-button='50'].pin")),
        "+ or -": ("viewer: zoom, locked", keys("+", viewer=True, shows='[data-say=zoom]:text("1.5×")')),
        "0": ("viewer: surround", keys("0", viewer=True, shows="html[data-stage=light] [data-viewer]")),
        "Enter": ("open", keys(viewer=True, shows="[data-viewer]")),
        "Esc": ("back to the grid", keys("Escape", viewer=True, shows="[data-cell]:focus")),
    })  # fmt: skip


def test_every_line_of_a_run_and_of_the_launch(site: Site, visit: Visit) -> None:
    with transaction(site.engine) as session:
        run = training(session)
        frozen_version(session)
        me = cast.person(session)
    page = visit(me)
    page.goto(f"{site.url}/runs/{run.id}")
    check(page, {
        "T": ("step, time or pictures", presses("t", "[data-axis=time]", "aria-pressed", "true")),
        "P": ("samples", presses("p", "[data-samples]:focus")),
        "L": ("events", presses("l", "[data-events]:focus")),
    })  # fmt: skip
    page.goto(f"{site.url}/runs/new")

    def folds(page: Page) -> None:
        page.keyboard.press("r")
        expect(page.locator("details.recipe")).not_to_have_attribute("open", "")

    def measures(page: Page) -> None:
        page.keyboard.press("Control+Enter")
        page.wait_for_url("**measuring=**")

    check(page, {
        "1": ("dataset", presses("1", "[data-choice='1'] input:focus")),
        "2": ("base model", presses("2", "[data-choice='2'] input:focus")),
        "3": ("training length", presses("3", "[data-choice='3'] input:focus")),
        "R": ("Recipe", folds),
        "Ctrl Enter": (lines(page)["Ctrl Enter"], measures),
    })  # fmt: skip
