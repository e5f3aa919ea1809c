"""The comparison in a browser: keys in the grid and in the viewer, its address, and cells that fill while drawing."""

from __future__ import annotations

import io

import pytest
from PIL import Image
from playwright.sync_api import Page, expect
from sqlalchemy.orm import Session

from app import jobs
from app.database import transaction, utc_now
from app.evaluation import sheets
from app.evaluation.tables import Sheet
from app.people import Person
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


def labels(page: Page) -> tuple[str, str, str]:
    """What A, B and the place say."""
    words = [page.locator(f'[data-pane="{side}"] [data-label]').inner_text() for side in ("a", "b")]
    a, b = (" ".join(text.split()[1:]) for text in words)
    return a, b, page.locator('[data-say="place"]').inner_text()


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def test_arrows_move_between_cells_and_enter_opens_the_viewer(drawn: Page) -> None:
    drawn.locator('[data-cell][tabindex="0"]').focus()
    press(drawn, "ArrowDown", "ArrowDown", "ArrowRight", "ArrowRight", "ArrowRight", "ArrowLeft", "Enter")
    assert labels(drawn) == ("base", "step 50", "3 of 12")
    assert drawn.url.endswith("#row=2.11&a=0&b=50")


def test_the_keys_work_without_a_click_first(drawn: Page) -> None:
    drawn.evaluate("document.activeElement.blur()")
    drawn.keyboard.press("Enter")
    expect(drawn.locator("[data-viewer]")).to_be_visible()


def test_keys_step_through_prompts_and_checkpoints(drawn: Page) -> None:
    drawn.locator("[data-cell]").first.click()
    press(drawn, "ArrowDown")
    assert labels(drawn) == ("base", "step 50", "1 of 12")
    press(drawn, "ArrowDown", "ArrowDown")
    assert labels(drawn) == ("base", "step 100", "1 of 12"), "the last checkpoint is the end"
    press(drawn, "ArrowRight", "ArrowRight", "ArrowLeft")
    assert labels(drawn) == ("base", "step 100", "2 of 12")
    press(drawn, "Shift+ArrowDown")
    assert labels(drawn)[0] == "step 50"


def test_space_held_shows_the_base_in_place_of_b(drawn: Page) -> None:
    drawn.locator("[data-cell]").nth(1).click()
    base = drawn.locator("[data-cell]").first.get_attribute("data-sample")
    drawn.keyboard.down(" ")
    assert labels(drawn)[1] == "base"
    assert drawn.locator('[data-pane="b"] img').get_attribute("src") == f"/samples/{base}"
    drawn.keyboard.up(" ")
    assert labels(drawn)[1] == "step 50"


def test_the_next_picture_is_there_on_the_very_key(drawn: Page) -> None:
    """Neighbours are fetched ahead, so a key waits for nothing: the usual swap takes under a tenth of a second."""
    drawn.locator("[data-cell]").nth(1).click()
    drawn.wait_for_load_state("networkidle")
    swaps = drawn.evaluate(
        """async () => {
            const swaps = [];
            for (const key of ["ArrowDown", "ArrowUp", "ArrowRight", "ArrowLeft", "ArrowDown"]) {
                const began = performance.now();
                document.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
                const image = document.querySelector('[data-pane="b"] img');
                swaps.push({ isThere: image.complete && image.naturalWidth > 0, ms: performance.now() - began });
                await new Promise(requestAnimationFrame);
            }
            return swaps;
        }"""
    )
    assert all(swap["isThere"] for swap in swaps)
    assert sorted(swap["ms"] for swap in swaps)[2] < 100


def test_zoom_and_view_are_kept_while_stepping_and_in_the_address(drawn: Page, site: Site) -> None:
    drawn.locator("[data-cell]").nth(1).click()
    press(drawn, "2", "+", "+", "0", "ArrowRight", "ArrowDown")
    wanted = "#row=1.23&a=0&b=100&mode=swipe&swipe=50&zoom=2&x=50&y=50&ground=light"
    assert drawn.url.endswith(wanted)
    other = drawn.context.new_page()
    other.goto(drawn.url)
    expect(other.locator("[data-viewer]")).to_be_visible()
    assert labels(other) == ("base", "step 100", "2 of 12")
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
    box = drawn.locator('[data-pane="b"] [data-frame]').bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    drawn.mouse.move(box["x"] + box["width"] / 2, middle)
    drawn.mouse.down()
    drawn.mouse.move(box["x"] + box["width"] / 4, middle)
    drawn.mouse.up()
    assert drawn.locator("[data-swipe]").input_value() == "25"


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
