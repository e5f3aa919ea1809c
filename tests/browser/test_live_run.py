"""A run's page in a browser: charts that grow with the news and miss none, its keys, the dialog before discarding."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from app import jobs
from app.database import transaction, utc_now
from app.training import run_events, runs
from tests import cast
from tests.browser.conftest import Site, Visit
from tests.browser.cutting import wire
from tests.training.cast import one_run

pytestmark = pytest.mark.browser
RECONNECTS_WITHIN_MS = 15_000


def told(first: int, count: int, step: int | None = None) -> list[dict[str, Any]]:
    """Steps told a second apart, the newest now."""
    at = utc_now() - timedelta(seconds=count - 1)
    begin = 2 * (first - 1) if step is None else step
    return [
        {
            "seq": first + i, "at": (at + timedelta(seconds=i)).isoformat(), "kind": "step", "step": begin + 2 * i,
            "loss": 0.5, "loss_by_band": [0.4 / (first + i), 0.3 / (first + i), None, 0.2], "images_per_s": 9.0 + i % 3,
            "memory_bytes": 3 * 2**30, "memory_total_bytes": 8 * 2**30,
        }
        for i in range(count)
    ]  # fmt: skip


def tell(site: Site, run_id: int, events: list[dict[str, Any]]) -> None:
    with transaction(site.engine) as session:
        run_events.record(session, runs.get(session, run_id), events)


def drawn(page: Page, plot: str = "speed") -> str:
    """The path of a chart's line: the same points make the same path."""
    return page.locator(f"#{plot} path.line").last.get_attribute("d") or ""


def points(page: Page, plot: str = "speed") -> int:
    return len(re.findall("[ML]", drawn(page, plot)))


@pytest.fixture
def run_id(site: Site) -> int:
    with transaction(site.engine) as session:
        run = one_run(session, steps=100)
        jobs.claim(session, run.job_id or 0, "worker", lease_s=3600)
        runs.begin(session, run)
        began = {"seq": 1, "at": utc_now().isoformat(), "kind": "started", "step": 0, "device": "cpu"}
        run_events.record(session, run, [began, *told(2, 9)])
        return run.id


@pytest.fixture
def page(site: Site, visit: Visit, run_id: int) -> Page:
    with transaction(site.engine) as session:
        me = cast.person(session, role="owner")
    page = visit(me)
    page.goto(f"{site.url}/runs/{run_id}")
    expect(page.locator("#loss path.line")).to_have_count(4)
    return page


def test_news_moves_curves_and_numbers_without_a_reload(page: Page, site: Site, run_id: int) -> None:
    expect(page.locator("[data-part=head]")).to_contain_text("Step 18 of 100")
    width = page.locator("#loss line.now").get_attribute("x1")
    tell(site, run_id, told(11, 10))
    expect(page.locator("[data-part=head]")).to_contain_text("Step 38 of 100")
    expect(page.locator("[data-part=events] li").first).to_contain_text("step 38")
    assert page.locator("#loss line.now").get_attribute("x1") != width
    assert points(page) == 19


def test_a_band_without_a_picture_is_a_gap_and_has_no_label(page: Page) -> None:
    expect(page.locator("#loss text.halo")).to_have_count(3)
    assert page.locator("#loss path.line.b2").get_attribute("d") == ""


@pytest.mark.slow
def test_a_cut_connection_misses_and_doubles_nothing(page: Page, site: Site, run_id: int) -> None:
    with wire(site.url) as line:
        page.goto(f"{line.url}/runs/{run_id}")
        expect(page.locator("[data-connection=live]")).to_be_visible()
        tell(site, run_id, told(11, 5))
        expect(page.locator("[data-part=events] li").first).to_contain_text("step 28")
        line.cut()
        expect(page.locator("[data-connection=again]")).to_contain_text("nothing will be missed")
        # Meanwhile the trainer is killed, goes on from step 20 and tells steps 22 and 24 again.
        again = {"seq": 16, "at": utc_now().isoformat(), "kind": "started", "step": 20, "device": "cpu"}
        tell(site, run_id, [again, *told(17, 4, step=22)])
        line.mend()
        expect(page.locator("[data-connection=live]")).to_be_visible(timeout=RECONNECTS_WITHIN_MS)
        tell(site, run_id, told(21, 2, step=30))
        expect(page.locator("[data-part=events] li").first).to_contain_text("step 32")
        assert points(page) == 16
        live, loss = drawn(page), drawn(page, "loss")
        expect(page.locator("#loss line.join")).to_have_count(1)
        page.reload()
        expect(page.locator("#speed path.line")).to_have_count(1)
        assert (drawn(page), drawn(page, "loss")) == (live, loss)


def test_the_axis_turns_by_key_and_is_kept(page: Page) -> None:
    steps = drawn(page)
    page.keyboard.press("t")
    expect(page.get_by_role("button", name="Time")).to_have_attribute("aria-pressed", "true")
    assert drawn(page) != steps
    page.keyboard.press("t")
    expect(page.locator("#loss text.mid").last).to_contain_text(re.compile(r"^\d,\d{3}$"))
    page.reload()
    expect(page.get_by_role("button", name="Pictures")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Step", exact=True).click()
    assert drawn(page) == steps


def test_keys_go_to_samples_and_events(page: Page) -> None:
    page.keyboard.press("p")
    expect(page.locator("[data-samples]")).to_be_focused()
    page.keyboard.press("l")
    expect(page.locator("[data-events]")).to_be_focused()


def test_the_open_log_grows(page: Page, site: Site, run_id: int) -> None:
    folder = site.storage.run_folder(run_id)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / runs.LOG).write_text("loading\n")
    page.reload()
    page.get_by_text("Log of the trainer").click()
    with (folder / runs.LOG).open("a") as log:
        log.write("step 20  loss 0.5\n")
    expect(page.locator(".logtail")).to_have_text("loading\nstep 20  loss 0.5")


def test_a_run_that_ends_says_so_on_the_open_page(page: Page, site: Site, run_id: int) -> None:
    expect(page.locator("[data-connection]")).to_contain_text("live, nothing missed")
    with transaction(site.engine) as session:
        runs.end(session, runs.get(session, run_id), "completed", "All 100 steps are done.")
    expect(page.locator("[data-part=head]")).to_contain_text("completed")
    expect(page.get_by_role("button", name="Stop and keep")).to_have_count(0)
    expect(page.locator("#loss line.now")).to_have_count(0)


def test_discarding_asks_first_and_starts_on_the_safe_side(page: Page, site: Site, run_id: int) -> None:
    page.get_by_role("button", name="Discard …").click()
    expect(page.get_by_role("button", name="Keep training")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.get_by_role("button", name="Discard …").click()
    page.get_by_role("button", name=f"Discard run {run_id}").click()
    expect(page.locator("[data-part=head]")).to_contain_text("discarding")


def test_on_a_phone_nothing_is_cut(page: Page, site: Site, run_id: int) -> None:
    page.goto("about:blank")  # the open page would look anew while another address is asked for
    with transaction(site.engine) as session:
        run = runs.get(session, run_id)
        runs.note(session, run, "hung", "No step for 3 minutes.")
        runs.end(session, run, "paused", "The disk with /srv/packshot/data/runs/1/checkpoints is full.", "disk_full")
    page.set_viewport_size({"width": 390, "height": 844})
    for address in (f"/runs/{run_id}", "/runs"):
        page.goto(site.url + address)
        wide = page.locator("html, main, .panel, .rhead *, .runs .scroll-x").evaluate_all(
            "found => found.filter(one => one.clientWidth && one.scrollWidth > one.clientWidth + 1)"
            ".map(one => one.className)"
        )
        assert wide == []
    page.goto(f"{site.url}/runs/{run_id}")
    assert len(page.locator(".rhead code").evaluate("one => [...one.getClientRects()]")) == 1, "the hash is on one line"


@pytest.mark.parametrize("width", [1440, 390])
def test_a_loss_of_any_size_is_labelled_inside_its_drawing(page: Page, site: Site, run_id: int, width: int) -> None:
    exploding = told(11, 8)
    for number, event in enumerate(exploding):
        event["loss_by_band"] = [10.0**number * 4.50536, 10.0 ** (number + 2), 2.0, 450_536.0]
    tell(site, run_id, exploding)
    at = utc_now().isoformat()
    tell(site, run_id, [{"seq": 19, "at": at, "kind": "validation", "step": 34, "loss": 450_536.0, "loss_by_band": []}])
    page.set_viewport_size({"width": width, "height": 900})
    page.reload()
    expect(page.locator("#loss path.line")).to_have_count(4)
    expect(page.locator("#loss")).to_contain_text("4.51·10⁵")
    outside = page.locator("#loss, #validation").evaluate_all(
        """drawings => drawings.flatMap(drawing => {
          const room = drawing.getBoundingClientRect();
          return [...drawing.querySelectorAll("text")].filter(label => {
            const box = label.getBoundingClientRect();
            return box.left < room.left - 1 || box.right > room.right + 1 || box.top < room.top - 1;
          }).map(label => label.textContent);
        })"""
    )
    assert outside == []
    assert page.locator("#loss text.end").count() <= 8
    expect(page.locator("[data-newest=validation]")).to_contain_text("4.51·10⁵")


def test_the_curves_are_read_at_the_pointer_and_by_keys(page: Page) -> None:
    box = page.locator("#loss").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 45, box["y"] + 80)
    words = page.locator("#loss ~ .readout")
    expect(words).to_contain_text("Step 2")
    expect(words).to_contain_text("0.200")
    expect(words).to_contain_text("none")
    page.mouse.move(box["x"] + 45, box["y"] - 60)
    expect(words).to_be_hidden()
    page.locator("#speed").focus()
    page.keyboard.press("End")
    expect(page.locator("#speed")).to_have_attribute("aria-valuetext", re.compile("^Step 18, pictures/s 11.0"))
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#speed ~ .readout")).to_contain_text("Step 16")
    page.keyboard.press("Home")
    page.keyboard.press("t")
    expect(page.locator("#speed ~ .readout")).to_contain_text(re.compile(r"Step 2, \d+ s"))
    page.keyboard.press("Escape")
    expect(page.locator("#speed ~ .readout")).to_be_hidden()


def test_figures_go_on_between_readings_and_stop_without_a_connection(page: Page, site: Site, run_id: int) -> None:
    with transaction(site.engine) as session:
        runs.get(session, run_id).hour_price = Decimal(36)
    with wire(site.url) as line:
        page.goto(f"{line.url}/runs/{run_id}")
        elapsed, paid = page.locator("[data-part=cost] [data-tick=up]"), page.locator("[data-tick=money]")
        expect(page.locator("[data-reading]")).to_contain_text("counted on from the reading of")
        expect(paid).to_have_text(re.compile(r"^€\d+\.\d\d$"))
        before = elapsed.inner_text(), paid.inner_text()
        expect(elapsed).not_to_have_text(before[0])
        expect(paid).not_to_have_text(before[1])
        line.cut()
        expect(page.locator("[data-reading]")).to_contain_text("not connected")
        stopped = elapsed.inner_text()
        page.wait_for_function("new Promise(done => setTimeout(() => done(true), 1100))")
        assert elapsed.inner_text() == stopped
        line.mend()
        expect(page.locator("[data-reading]")).to_contain_text("counted on", timeout=RECONNECTS_WITHIN_MS)


def test_events_leave_the_focus_where_it_is(page: Page, site: Site, run_id: int) -> None:
    page.get_by_role("button", name="Stop and keep").focus()
    tell(site, run_id, told(11, 10))
    expect(page.locator("[data-part=head]")).to_contain_text("Step 38 of 100")
    expect(page.get_by_role("button", name="Stop and keep")).to_be_focused()
