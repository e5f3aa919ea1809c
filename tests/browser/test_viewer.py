"""The comparison in a browser: keys in the grid and in the viewer, its address, and cells that fill while drawing."""

from __future__ import annotations

import io
import re

import pytest
from PIL import Image
from playwright.sync_api import Page, Route, expect
from sqlalchemy.orm import Session

from app import jobs
from app.database import transaction, utc_now
from app.evaluation import sheets, suites
from app.evaluation.columns import ColumnWish
from app.evaluation.tables import Sheet
from app.people import Person
from app.training import runs
from tests import cast
from tests.browser.conftest import Site, Visit
from tests.evaluation.cast import finished_run, sheet_of

pytestmark = pytest.mark.browser


def paint(session: Session, site: Site, sheet: Sheet, count: int) -> None:
    """Draw the next `count` cells: each a colour of its own."""
    for number, cell in enumerate(sheets.missing(session, sheet)[:count]):
        file = io.BytesIO()
        Image.new("RGB", (64, 64), (number * 5 % 256, 200, number * 11 % 256)).save(file, "PNG")
        sha256 = site.storage.put("samples", file.getvalue(), ".png")
        sheets.record(session, [sheets.DrawnCell(cell, sha256, 64, 64)])


@pytest.fixture
def drawn(site: Site, visit: Visit) -> Page:
    """A whole sheet of 12 rows and 3 columns, open in a browser."""
    with transaction(site.engine) as session:
        me = cast.person(session)
        sheet = sheet_of(session, finished_run(session))
        paint(session, site, sheet, 36)
        jobs.get(session, sheet.job_id or 0).state = "done"
    return opened(site, visit, me, f"/compare/{sheet.id}")


def opened(site: Site, visit: Visit, me: Person, path: str) -> Page:
    page = visit(me)
    page.goto(site.url + path)
    # The grid's script has run once a single cell can be reached with Tab.
    expect(page.locator('[data-cell][tabindex="0"]')).to_have_count(1)
    return page


def shows(page: Page, a: str | None = None, b: str | None = None, place: str | None = None) -> None:
    """What A, B and the place say, once the pictures are there: they change together."""
    for side, words in (("a", a), ("b", b)):
        if words is not None:
            label = page.locator(f'[data-pane="{side}"] [data-label]')
            expect(label).to_have_text(re.compile(rf"^[AB] {re.escape(words)}$"))
    if place is not None:
        expect(page.locator('[data-say="place"]')).to_have_text(place)


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def test_arrows_move_between_cells_and_enter_opens_the_viewer(drawn: Page) -> None:
    drawn.locator('[data-cell][tabindex="0"]').focus()
    press(drawn, "ArrowDown", "ArrowDown", "ArrowRight", "ArrowRight", "ArrowRight", "ArrowLeft", "Enter")
    shows(drawn, "base", "step 50", "3 of 12")
    expect(drawn).to_have_url(re.compile("#row=2.11&a=0&b=50$"))


def test_the_keys_work_without_a_click_first(drawn: Page) -> None:
    drawn.evaluate("document.activeElement.blur()")
    drawn.keyboard.press("Enter")
    expect(drawn.locator("[data-viewer]")).to_be_visible()


def test_keys_step_through_prompts_and_checkpoints(drawn: Page) -> None:
    drawn.locator("[data-cell]").first.click()
    press(drawn, "ArrowDown")
    shows(drawn, "base", "step 50", "1 of 12")
    press(drawn, "ArrowDown", "ArrowDown")
    shows(drawn, "base", "step 100", "1 of 12")
    press(drawn, "ArrowRight", "ArrowRight", "ArrowLeft")
    shows(drawn, "base", "step 100", "2 of 12")
    press(drawn, "Shift+ArrowDown")
    shows(drawn, "step 50")


def test_space_held_shows_the_base_in_place_of_b(drawn: Page) -> None:
    drawn.locator("[data-cell]").nth(1).click()
    base = drawn.locator("[data-cell]").first.get_attribute("data-sample")
    drawn.keyboard.down(" ")
    shows(drawn, None, "base")
    assert drawn.locator('[data-pane="b"] img').get_attribute("src") == f"/samples/{base}"
    drawn.keyboard.up(" ")
    shows(drawn, None, "step 50")


def test_the_next_picture_is_there_on_the_very_key(drawn: Page) -> None:
    """Neighbours are decoded ahead, so a key waits for nothing: label and picture have changed before it returns."""
    drawn.locator("[data-cell]").nth(1).click()
    shows(drawn, "base", "step 50")
    drawn.wait_for_load_state("networkidle")
    swaps = drawn.evaluate(
        """async () => {
            const swaps = [];
            for (const key of ["ArrowDown", "ArrowUp", "ArrowRight", "ArrowLeft", "ArrowDown"]) {
                document.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
                const wanted = document.querySelector('[data-step-button].b').dataset.stepButton;
                const row = new URLSearchParams(location.hash.slice(1)).get("row");
                const cell = document.querySelector(`[data-row="${row}"] [data-column="${wanted}"]`);
                const image = document.querySelector('[data-pane="b"] img');
                swaps.push([cell.getAttribute("href"), image.getAttribute("src"), image.naturalWidth > 0]);
                await new Promise((after) => setTimeout(after, 100));
            }
            return swaps;
        }"""
    )
    assert all(wanted == shown and is_there for wanted, shown, is_there in swaps)


def test_zoom_and_view_are_kept_while_stepping_and_in_the_address(drawn: Page, site: Site) -> None:
    drawn.locator("[data-cell]").nth(1).click()
    press(drawn, "2", "+", "+", "0", "ArrowRight", "ArrowDown")
    wanted = "#row=1.23&a=0&b=100&mode=swipe&swipe=50&zoom=2&x=50&y=50&ground=light"
    expect(drawn).to_have_url(re.compile(re.escape(wanted) + "$"))
    other = drawn.context.new_page()
    other.goto(drawn.url)
    expect(other.locator("[data-viewer]")).to_be_visible()
    shows(other, "base", "step 100", "2 of 12")
    assert other.locator("html").get_attribute("data-stage") == "light"
    scale = other.locator('[data-pane="b"] img').evaluate("(image) => getComputedStyle(image).transform")
    assert scale.startswith("matrix(2,")


def test_escape_goes_back_to_the_same_place(drawn: Page) -> None:
    grid = drawn.locator("[data-grid]")
    cell = drawn.locator('[data-row="5.11"] [data-cell]').nth(2)
    cell.scroll_into_view_if_needed()
    before = grid.evaluate("(grid) => grid.scrollTop")
    cell.click()
    press(drawn, "Escape")
    expect(drawn.locator("[data-viewer]")).to_be_hidden()
    expect(cell).to_be_focused()
    assert grid.evaluate("(grid) => grid.scrollTop") == before
    assert "#" not in drawn.url


def test_back_closes_the_viewer(drawn: Page) -> None:
    drawn.locator("[data-cell]").first.click()
    expect(drawn.locator("[data-viewer]")).to_be_visible()
    drawn.go_back()
    expect(drawn.locator("[data-viewer]")).to_be_hidden()


def test_the_swipe_follows_the_pointer(drawn: Page) -> None:
    drawn.locator("[data-cell]").nth(1).click()
    press(drawn, "2")
    expect(drawn.locator("[data-viewer]")).to_have_attribute("data-mode", "swipe")
    box = drawn.locator('[data-pane="b"] [data-frame]').bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    drawn.mouse.move(box["x"] + box["width"] / 2, middle)
    drawn.mouse.down()
    drawn.mouse.move(box["x"] + box["width"] / 4, middle)
    drawn.mouse.up()
    expect(drawn.locator("[data-swipe]")).to_have_value("25")


def test_a_late_picture_and_its_label_come_together(drawn: Page) -> None:
    """While the next picture is on its way, the one that hangs keeps its own label, prompt and mark."""
    slow = drawn.locator('[data-row="3.11"] [data-cell]').nth(2)
    number = slow.get_attribute("data-sample")
    held: list[Route] = []
    drawn.route(f"**/samples/{number}", lambda route: held.append(route))
    drawn.locator('[data-row="3.11"] [data-cell]').nth(1).click()
    shows(drawn, "base", "step 50", "5 of 12")
    press(drawn, "ArrowDown")
    expect(drawn.locator("[data-viewer]")).to_have_attribute("data-waiting", "1")
    shows(drawn, "base", "step 50", "5 of 12")
    expect(drawn.locator("[data-step-button].b")).to_have_attribute("data-step-button", "50")
    assert drawn.locator('[data-pane="b"] img').get_attribute("src") != f"/samples/{number}"
    for route in held:
        route.continue_()
    shows(drawn, "base", "step 100", "5 of 12")
    assert drawn.locator('[data-pane="b"] img').get_attribute("src") == f"/samples/{number}"
    expect(drawn.locator("[data-viewer]")).not_to_have_attribute("data-waiting", "1")


def test_the_modes_are_keys_and_stand_in_the_address(drawn: Page) -> None:
    drawn.locator("[data-cell]").nth(1).click()
    box = drawn.locator("[data-viewer]")
    press(drawn, "4", "ArrowDown")
    expect(drawn.locator("[data-both]")).to_have_text("base − step 100, ×6")
    blend = drawn.locator('[data-pane="b"]').evaluate("(pane) => getComputedStyle(pane).mixBlendMode")
    assert blend == "difference"
    press(drawn, "3")
    expect(box).to_have_attribute("data-mode", "onion")
    drawn.locator("[data-swipe]").fill("20")
    expect(drawn).to_have_url(re.compile("mode=onion&onion=20$"))
    faded = drawn.locator('[data-pane="b"] [data-wall]').evaluate("(wall) => getComputedStyle(wall).opacity")
    assert faded == "0.2"
    drawn.reload()
    expect(box).to_have_attribute("data-mode", "onion")
    shows(drawn, "base", "step 100")
    assert drawn.locator("[data-swipe]").input_value() == "20"


def test_a_pinned_column_stays_beside_the_others(drawn: Page) -> None:
    drawn.locator("[data-cell]").nth(1).click()
    press(drawn, "p", "ArrowDown", "ArrowRight")
    shows(drawn, "base", "step 100", "2 of 12")
    pinned = drawn.locator('[data-pane="p0"]')
    expect(pinned.locator("[data-label]")).to_have_text("step 50")
    cell = drawn.locator('[data-row="1.23"] [data-cell]').nth(1)
    assert pinned.locator("img").get_attribute("src") == cell.get_attribute("href")
    expect(drawn).to_have_url(re.compile("with=50"))
    press(drawn, "ArrowUp", "p")
    expect(pinned).to_have_count(0)


def test_the_slider_moves_b(drawn: Page) -> None:
    drawn.locator("[data-cell]").first.click()
    drawn.locator("[data-slider]").fill("2")
    shows(drawn, "base", "step 100")


def test_columns_of_two_runs_are_known_by_their_keys(site: Site, visit: Visit) -> None:
    """Two runs have the same steps: what a cell shows, and what flickers, is of its own run."""
    with transaction(site.engine) as session:
        me = cast.person(session)
        one, other = finished_run(session), finished_run(session)
        suite = sheets.suite(session, sheet_of(session, one))
        ids = [runs.checkpoints(session, run.id)[1].id for run in (one, other)]
        sheet = sheets.make(session, suite, [ColumnWish(number) for number in ids] + [ColumnWish(None)], me)
        paint(session, site, sheet, 24)
        keys = [f"{run.id}.50" for run in (one, other)]
    page = opened(site, visit, me, f"/compare/{sheet.id}")
    cells = page.locator('[data-row="1.11"] [data-cell]')
    numbers = [cells.nth(place).get_attribute("data-sample") for place in range(2)]
    cells.nth(1).click()
    shows(page, f"run {one.id}, step 50", f"run {other.id}, step 50")
    expect(page).to_have_url(re.compile(f"a={keys[0]}&b={keys[1]}$"))
    press(page, "Shift+ArrowDown", "ArrowUp")
    shows(page, f"run {other.id}, step 50", f"run {one.id}, step 50")
    page.keyboard.down(" ")
    expect(page.locator('[data-pane="b"] img')).to_have_attribute("src", f"/samples/{numbers[1]}")
    page.keyboard.up(" ")
    press(page, "ArrowDown", "ArrowDown")
    expect(page.locator('[data-pane="b"] [data-missing]')).to_have_text("no photo")


def test_a_large_sheet_has_only_the_rows_near_what_is_seen(site: Site, visit: Visit) -> None:
    with transaction(site.engine) as session:
        me = cast.person(session)
        run = finished_run(session)
        wanted = [suites.PromptText(f"A cup, number {number}", "Cups") for number in range(1, 301)]
        sampling = {"steps": 2, "guidance": 1.0, "width_px": 64, "height_px": 64}
        suite = suites.keep(session, "Large", wanted, (11, 23), sampling)
        ids = [checkpoint.id for checkpoint in runs.checkpoints(session, run.id)]
        sheet = sheets.make(session, suite, [ColumnWish(number) for number in ids], me)
        paint(session, site, sheet, 1)
        sheets.record(session, [sheets.DrawnCell(cell, "a" * 64, 64, 64) for cell in sheets.missing(session, sheet)])
    page = opened(site, visit, me, f"/compare/{sheet.id}")
    rows = page.locator("[data-row]")
    expect(page.locator("[data-grid]")).to_have_attribute("aria-rowcount", "601")
    assert rows.count() < 30
    page.locator("[data-grid]").evaluate("(grid) => { grid.scrollTop = grid.scrollHeight; }")
    expect(page.locator('[data-row="300.23"]')).to_be_visible()
    expect(page.locator('[data-row="1.11"]')).to_have_count(0)
    assert rows.count() < 30
    expect(page).to_have_url(re.compile("#top=29"))
    page.locator('[data-row="300.23"] [data-cell]').last.click()
    press(page, "ArrowLeft")
    shows(page, None, None, "599 of 600")
    press(page, "Escape")
    expect(page.locator('[data-row="300.11"] [data-cell]').last).to_be_focused()
    press(page, "PageUp", "Home")
    expect(page.locator("[data-cell]:focus")).to_have_attribute("data-column", f"{run.id}.0")
    page.reload()
    expect(page.locator('[data-row="299.11"]')).to_be_visible()


def test_empty_cells_say_why_and_fill_while_the_sheet_is_drawn(site: Site, visit: Visit) -> None:
    with transaction(site.engine) as session:
        me = cast.person(session)
        sheet = sheet_of(session, finished_run(session))
        paint(session, site, sheet, 12)
        job = jobs.get(session, sheet.job_id or 0)
        job.state, job.started_at, job.lease_until = "running", utc_now(), utc_now()
    page = opened(site, visit, me, f"/compare/{sheet.id}")
    missing = page.locator("[data-why]")
    expect(missing).to_have_count(24)
    expect(missing.first).to_have_text("not drawn yet")
    missing.first.click()
    expect(page.locator('[data-pane="b"] [data-missing]')).to_have_text("not drawn yet")
    expect(page.locator('[data-pane="b"] img')).to_have_count(0)
    with transaction(site.engine) as session:
        paint(session, site, sheets.get(session, sheet.id), 24)
        jobs.get(session, sheet.job_id or 0).state = "done"
    expect(missing).to_have_count(0)
    expect(page.locator('[data-pane="b"] img')).to_have_count(1)
    expect(page.locator("[data-progress] .vbar")).to_have_count(0)


def test_without_scripts_a_cell_leads_to_its_picture(site: Site, visit: Visit, drawn: Page) -> None:
    links = drawn.locator("[data-cell]")
    assert links.count() == 36
    assert all((link.get_attribute("href") or "").startswith("/samples/") for link in links.all())
