"""The desk in a browser: what is seen, what is typed, and what happens while the network is away."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import APIResponse, Page, Route, expect

from app.catalog.tables import Image
from app.database import transaction
from app.review import decisions
from tests.browser.conftest import Scene, Visit, on_desk, wait_for
from tests.browser.cutting import wire

pytestmark = pytest.mark.browser


@pytest.fixture
def desk(scene: Scene, visit: Visit) -> Page:
    """The head of Ana's queue, with the next photos fetched ahead."""
    page = visit(scene.ana)
    page.goto(f"{scene.site.url}/desk")
    page.wait_for_load_state("networkidle")
    return page


def kept(scene: Scene, photo: int) -> str | None:
    decision = scene.decision(photo)
    return decision.verdict if decision else None


def test_b_draws_the_box_of_the_product(desk: Page) -> None:
    box = desk.locator("svg[data-overlay=box] rect.over")
    expect(box).to_be_hidden()
    desk.keyboard.press("b")
    expect(box).to_be_visible()
    drawn, picture = box.bounding_box(), desk.locator("[data-picture]").bounding_box()
    assert drawn is not None and picture is not None
    # The drawn kettle's signals say 0.1 to 0.9 of both sides; the picture is fitted into its frame.
    share = min(picture["width"] / 800, picture["height"] / 600)
    assert abs(drawn["width"] - 0.8 * 800 * share) < 3 and abs(drawn["height"] - 0.8 * 600 * share) < 3
    desk.keyboard.press("b")
    expect(box).to_be_hidden()


@pytest.mark.parametrize(("width", "height"), [(720, 450), (640, 360), (390, 844), (512, 384)])
def test_everything_is_reached_in_a_small_window(scene: Scene, desk: Page, width: int, height: int) -> None:
    """720 x 450 is a window of 1440 x 900 at 200 %."""
    desk.set_viewport_size({"width": width, "height": height})
    with transaction(scene.site.engine) as session:
        scene.site.many(session, scene.pile, 20)  # a strip that is longer than the window is wide
    desk.reload()
    text = desk.locator("[data-text]")
    desk.keyboard.press("e")
    expect(text).to_be_focused()
    expect(text).to_be_in_viewport(ratio=0.9)
    covering = text.evaluate(
        """(text) => {
            const box = text.getBoundingClientRect();
            const there = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
            return there === text;
        }"""
    )
    assert covering, "something lies over the caption"
    for name in ("Keep", "Needs work"):
        expect(desk.get_by_role("button", name=name)).to_be_in_viewport(ratio=0.9)
    desk.get_by_text("History").scroll_into_view_if_needed()
    expect(desk.get_by_text("History")).to_be_in_viewport()


def test_a_picture_that_does_not_come_says_so_until_another_is_there(desk: Page) -> None:
    picture = desk.locator(".plate > img")
    before = picture.get_attribute("alt") or ""
    desk.route("**/view*", lambda route: route.abort())
    desk.reload()
    expect(picture).to_have_attribute("alt", f"{before}: the picture did not come")
    desk.unroute("**/view*")
    picture.evaluate("(picture) => { picture.src = picture.src + '?again'; }")
    expect(picture).to_have_attribute("alt", before)


def test_decisions_without_a_network_are_named_and_sent_when_it_is_back(scene: Scene, desk: Page) -> None:
    order = scene.queue()
    names = {photo.id: photo.title or "" for photo in scene.photos}
    desk.context.set_offline(True)
    desk.keyboard.press("a")
    expect(desk.locator("[data-photo]")).to_have_attribute("data-photo", str(order[1]))
    bar = desk.locator("[data-pending]")
    expect(bar).to_contain_text(f"1 decision is not sent yet: {names[order[0]]} (keep)")
    desk.keyboard.press("f")
    expect(bar).to_contain_text(
        f"2 decisions are not sent yet: {names[order[0]]} (keep), {names[order[1]]} (needs work)"
    )
    assert [kept(scene, photo) for photo in order] == [None] * 4
    desk.context.set_offline(False)
    expect(bar).to_be_hidden()
    assert [kept(scene, photo) for photo in order[:2]] == ["kept", "needs_work"]
    assert desk.evaluate("Object.keys(localStorage).filter((key) => key.startsWith('packshot-pending')).length") == 0


def test_decisions_that_wait_outlive_the_page(scene: Scene, visit: Visit) -> None:
    order = scene.queue()
    page = visit(scene.ana)
    with wire(scene.site.url) as between:
        page.context.add_cookies([{**page.context.cookies()[0], "domain": "127.0.0.1"}])
        page.goto(f"{between.url}/desk")
        page.wait_for_load_state("networkidle")
        between.cut()
        page.keyboard.press("a")
        expect(page.locator("[data-pending]")).to_contain_text("1 decision is not sent yet")
        page.goto("about:blank")
        between.mend()
        page.goto(f"{between.url}/cycle")
        wait_for(page, lambda: kept(scene, order[0]) == "kept")
        expect(page.locator("[data-pending]")).to_be_hidden()


def test_undo_takes_back_what_was_not_sent(scene: Scene, desk: Page) -> None:
    order = scene.queue()
    desk.context.set_offline(True)
    desk.keyboard.press("a")
    expect(desk.locator("[data-pending]")).to_be_visible()
    desk.keyboard.press("z")
    expect(desk.locator("[data-pending]")).to_be_hidden()
    expect(desk.locator(".toast")).to_contain_text("taken back before it was sent")
    expect(desk.locator("[data-photo]")).to_have_attribute("data-photo", str(order[0]))
    expect(desk.locator("[data-trouble]")).to_be_hidden()
    expect(desk.locator(f'[data-cell="{order[0]}"] [data-mark]')).to_be_empty()
    desk.context.set_offline(False)
    expect(desk.locator("[data-photo]")).to_have_attribute("data-photo", str(order[0]))
    assert kept(scene, order[0]) is None


def test_a_second_tab_sends_nothing_that_is_on_its_way(scene: Scene, desk: Page) -> None:
    first, sent = scene.queue()[0], []
    held: list[Route] = []
    desk.context.route("**/decisions", lambda route: (sent.append(1), held.append(route)))
    desk.keyboard.press("a")
    wait_for(desk, lambda: bool(held))
    tab = desk.context.new_page()
    tab.goto(f"{scene.site.url}/cycle")
    tab.wait_for_load_state("networkidle")
    # It leaves the decision to the desk: a tab that waited for its turn would go by a list that may be a moment old.
    assert tab.evaluate("navigator.locks.query().then(({ pending }) => pending.length)") == 0
    held[0].continue_()
    wait_for(desk, lambda: kept(scene, first) == "kept")
    expect(tab.locator("[data-pending]")).to_be_hidden()
    assert len(sent) == 1


def test_a_tab_brings_back_nothing_that_another_took_out(scene: Scene, desk: Page) -> None:
    order = scene.queue()
    desk.context.set_offline(True)
    desk.keyboard.press("a")
    expect(desk.locator("[data-pending]")).to_be_visible()
    key = desk.evaluate("Object.keys(localStorage).find((key) => key.startsWith('packshot-pending'))")
    # What another tab takes out between this one's reading and its writing stays out.
    desk.evaluate(
        """(key) => {
            const keep = Storage.prototype.setItem;
            Storage.prototype.setItem = function (...entry) {
                if (entry[0].startsWith("packshot-pending")) this.removeItem(key);
                keep.apply(this, entry);
            };
        }""",
        key,
    )
    expect(desk.locator("[data-photo]")).to_have_attribute("data-photo", str(order[1]))
    desk.keyboard.press("f")
    expect(desk.locator("[data-pending]")).to_contain_text("1 decision is not sent yet")
    desk.context.set_offline(False)
    expect(desk.locator("[data-pending]")).to_be_hidden()
    assert (kept(scene, order[0]), kept(scene, order[1])) == (None, "needs_work")


def test_what_is_on_its_way_is_not_called_unsent(scene: Scene, desk: Page) -> None:
    first = scene.queue()[0]
    desk.context.set_offline(True)
    desk.keyboard.press("a")
    expect(desk.locator("[data-pending]")).to_be_visible()
    held: list[Route] = []
    desk.context.route("**/decisions", lambda route: held.append(route))
    desk.context.set_offline(False)
    wait_for(desk, lambda: bool(held))
    desk.keyboard.press("z")
    expect(desk.locator("[data-pending]")).to_be_visible()
    held[0].continue_()
    expect(desk.locator(".toast")).to_contain_text("is not decided any more")
    expect(desk.locator("[data-photo]")).to_have_attribute("data-photo", str(first))
    assert kept(scene, first) is None


def test_a_decision_that_waited_and_met_another_is_shown(scene: Scene, desk: Page) -> None:
    first = scene.queue()[0]
    desk.context.set_offline(True)
    desk.keyboard.press("a")
    expect(desk.locator("[data-pending]")).to_be_visible()
    with transaction(scene.site.engine) as session:
        decisions.decide(session, session.get_one(Image, first), scene.mei, "rejected")
    desk.context.set_offline(False)
    bar = desk.locator("[data-pending]")
    expect(bar).to_contain_text("keep was not done. Mei rejected this photo a moment ago.")
    desk.reload()
    expect(bar).to_contain_text("keep was not done.")
    assert kept(scene, first) == "rejected"
    bar.get_by_role("link").click()
    assert on_desk(desk) == first
    desk.get_by_role("button", name="Seen").click()
    expect(bar).to_be_hidden()


def test_what_waits_is_the_persons_who_decided(scene: Scene, desk: Page, visit: Visit) -> None:
    first = scene.queue()[0]
    desk.context.set_offline(True)
    desk.keyboard.press("a")
    expect(desk.locator("[data-pending]")).to_be_visible()
    kept_here = desk.evaluate("JSON.stringify({ ...localStorage })")
    other = visit(scene.mei)
    other.add_init_script(f"Object.assign(localStorage, {kept_here})")
    other.goto(f"{scene.site.url}/desk")
    other.wait_for_load_state("networkidle")
    expect(other.locator("[data-pending]")).to_be_hidden()
    assert kept(scene, first) is None and json.loads(kept_here)


def test_a_held_key_decides_one_photo(scene: Scene, desk: Page) -> None:
    order = scene.queue()
    for key in ("a", "x"):
        for _ in range(8):
            desk.keyboard.down(key)
        desk.keyboard.up(key)
    expect(desk.get_by_role("button", name="Blurred")).to_be_visible()
    wait_for(desk, lambda: kept(scene, order[0]) == "kept")
    assert on_desk(desk) == order[1] and kept(scene, order[1]) is None
    desk.keyboard.press("Escape")
    desk.get_by_role("button", name="Keep").focus()
    for _ in range(8):
        desk.keyboard.down("Enter")
    desk.keyboard.up("Enter")
    expect(desk.locator("[data-photo]")).to_have_attribute("data-photo", str(order[2]))
    for _ in range(8):
        desk.keyboard.down("z")
    desk.keyboard.up("z")
    expect(desk.locator("[data-photo]")).to_have_attribute("data-photo", str(order[1]))
    assert (kept(scene, order[0]), kept(scene, order[1])) == ("kept", None)


def numbers(page: Page) -> list[int]:
    """What the queue says is left, the unseen ones, their three kinds, and those to work on."""
    words = page.locator("[data-queue]").inner_text()
    left = re.search(r"(\d+) of \d+ left", words)
    kinds = re.search(
        r"(\d+) not seen yet: (\d+) with a contradicted caption, (\d+) that rules doubt otherwise, "
        r"(\d+) without doubt; (\d+) to work on",
        words,
    )
    assert left is not None and kinds is not None, words
    return [int(left[1]), *(int(kind) for kind in kinds.groups())]


def test_the_numbers_of_the_queue_agree(scene: Scene, desk: Page) -> None:
    with transaction(scene.site.engine) as session:
        decisions.apply_rules(session, [photo.id for photo in scene.photos])
        other = scene.site.photo(session, scene.pile, "green", "Wrong kettle", caption="Blue kettle.")
        decisions.apply_rules(session, [other.id])
        for photo in scene.photos:
            decisions.decide(session, session.get_one(Image, photo.id), scene.ana, "needs_work")
        # A contradicted caption does not wait once a person has decided.
        done = scene.site.photo(session, scene.pile, "green", "Done kettle", caption="Blue kettle.")
        decisions.apply_rules(session, [done.id])
        decisions.decide(session, done, scene.mei, "kept")
    desk.goto(f"{scene.site.url}/desk")
    desk.wait_for_load_state("networkidle")
    assert numbers(desk) == [5, 1, 1, 0, 0, 4]
    expect(desk.locator("[data-queue] h2 span:visible")).to_have_text("Contradictions first")
    for left in (4, 3, 2):
        decided = on_desk(desk)
        desk.keyboard.press("a")
        wait_for(desk, lambda left=left: numbers(desk) == [left, 0, 0, 0, 0, left])
        # The next key is for the next photo, which may come after the numbers on a busy machine.
        wait_for(desk, lambda decided=decided: on_desk(desk) != decided)
    expect(desk.locator("[data-queue] h2 span:visible")).to_have_text("Needs work")
    desk.keyboard.press("z")
    wait_for(desk, lambda: numbers(desk) == [3, 0, 0, 0, 0, 3])


def test_what_was_asked_for_before_an_undo_is_not_shown_after_it(scene: Scene, desk: Page) -> None:
    first = scene.queue()[0]
    desk.keyboard.press("a")
    wait_for(desk, lambda: kept(scene, first) == "kept" and on_desk(desk) != first)
    desk.wait_for_load_state("networkidle")
    held: list[tuple[Route, APIResponse]] = []

    def hold_first(route: Route) -> None:
        if held:
            route.continue_()
        else:
            held.append((route, route.fetch()))

    desk.route(re.compile(rf"/images/{first}($|\?)"), hold_first)
    desk.locator(f'[data-cell="{first}"]').click()
    wait_for(desk, lambda: bool(held))
    desk.keyboard.press("z")
    wait_for(desk, lambda: kept(scene, first) is None)
    old, answer = held[0]
    expect(desk.locator("[data-photo]")).to_have_attribute("data-photo", str(first))
    old.fulfill(response=answer)
    desk.wait_for_load_state("networkidle")
    expect(desk.locator("[data-photo]")).to_have_attribute("data-decision", "0")
    assert numbers(desk)[0] == len(scene.queue())


def test_contradictions_follow_what_is_typed(scene: Scene, desk: Page) -> None:
    claims = desk.locator("[data-claims]")
    expect(claims).to_contain_text("colour agrees")
    desk.keyboard.press("e")
    desk.locator("[data-text]").fill("Blue kettle on a black background.")
    expect(claims).to_contain_text("2 of 2 disagree")
    expect(claims).to_contain_text("says blue, measured red")
    desk.locator("[data-text]").fill("Red kettle on a black background.")
    expect(claims).to_contain_text("1 of 2 disagrees")
    desk.reload()
    expect(claims).to_contain_text("1 of 2 disagrees")  # the draft is back, and so is what it says
    desk.locator("[data-text]").fill("")
    expect(claims).to_contain_text("nothing to compare yet")
    assert scene.caption(on_desk(desk)).written_by == "captioner"


def test_an_earlier_caption_comes_back_in_the_same_row(scene: Scene, visit: Visit) -> None:
    page = visit(scene.ana)
    photo = scene.photos[1].id
    page.goto(f"{scene.site.url}/images/{photo}?q=kettle&sort=oldest")
    page.locator("[data-text]").fill("Another text.")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".toast")).to_contain_text("Saved")
    page.locator("[data-versions] summary").click()
    page.get_by_role("button", name="Use this one again").click()
    expect(page.locator(".toast")).to_contain_text("is current again")
    expect(page.locator("[data-text]")).to_have_value("Red kettle number 1.")
    assert page.url.endswith(f"/images/{photo}?q=kettle&sort=oldest")
    expect(page.locator(".place h2")).to_have_text("Photo 2 of 4")


def test_without_scripts_captions_keep_the_row_too(scene: Scene, visit: Visit) -> None:
    signed_in = visit(scene.ana)
    context = signed_in.context.browser.new_context(  # type: ignore[union-attr]
        java_script_enabled=False, storage_state=signed_in.context.storage_state()
    )
    page = context.new_page()
    address = f"{scene.site.url}/images/{scene.photos[1].id}?q=kettle&sort=oldest"
    page.goto(address)
    page.locator("[data-text]").fill("Another text.")
    page.get_by_role("button", name="Save", exact=True).click()
    assert page.url == address
    page.locator("[data-versions] summary").click()
    page.get_by_role("button", name="Use this one again").click()
    assert page.url == address
    context.close()


def test_ctrl_s_saves_and_leaves_one_writing(scene: Scene, desk: Page) -> None:
    photo = on_desk(desk)
    desk.keyboard.press("e")
    desk.keyboard.type(" Seen from above.")
    desk.keyboard.down("Control")
    for _ in range(4):
        desk.keyboard.down("s")
    desk.keyboard.up("s")
    desk.keyboard.up("Control")
    expect(desk.locator(".toast")).to_contain_text("Saved the caption")
    expect(desk.locator("[data-draft]")).to_contain_text("saved")
    expect(desk.locator("[data-text]")).to_be_focused()
    saved = scene.caption(photo)
    assert (saved.text[-16:], saved.person_id) == ("Seen from above.", scene.ana.id)
    expect(desk.locator("[data-author]")).to_contain_text("Ana")
    expect(desk.locator("[data-versions] summary")).to_have_text("2 versions")
    # What is typed behind it goes on from the saved caption: no conflict with oneself.
    desk.keyboard.type(" With a lid.")
    desk.keyboard.press("Control+s")
    wait_for(desk, lambda: scene.caption(photo).text.endswith("Seen from above. With a lid."))
    expect(desk.locator("[data-trouble]")).to_be_hidden()
    expect(desk.locator("[data-conflict]")).to_be_hidden()
    assert on_desk(desk) == photo
    expect(desk.locator("[data-draft]")).to_contain_text("saved")
    assert desk.evaluate("Object.keys(localStorage).filter((key) => key.startsWith('packshot-draft')).length") == 0
