"""Captions of several kinds at the desk: tabs, drafts, versions, two writers, and what an encoder does not read."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from app.captions import beside, runs, writing
from app.captions.runs import Answered, Spent
from app.captions.tables import Kind
from app.database import transaction
from app.people import Person
from tests.browser.conftest import Scene, Visit, on_desk, wait_for

pytestmark = pytest.mark.browser


@pytest.fixture
def desk(scene: Scene, visit: Visit) -> Page:
    """The first photo of the catalog on Ana's desk."""
    page = visit(scene.ana)
    page.goto(f"{scene.site.url}/images/{scene.photos[0].id}")
    page.wait_for_load_state("networkidle")
    return page


def kept(scene: Scene, photo: int) -> dict[Kind, str]:
    with transaction(scene.site.engine) as session:
        return {kind: row.text for kind, row in writing.current_kinds(session, photo).items()}


def write(scene: Scene, photo: int, text: str, person: Person, kind: Kind = "long") -> None:
    with transaction(scene.site.engine) as session:
        before = writing.current_kinds(session, photo).get(kind)
        writing.rewrite(session, photo, text, session.get_one(Person, person.id), before.id if before else None, kind)


def tab(page: Page, title: str) -> None:
    page.get_by_role("link", name=title, exact=True).click()


def drafts(page: Page) -> int:
    count = page.evaluate("Object.keys(localStorage).filter((key) => key.startsWith('packshot-draft')).length")
    return int(count)


def test_tabs_keep_what_is_typed_in_each_and_stay_from_photo_to_photo(scene: Scene, desk: Page) -> None:
    photo, text = on_desk(desk), desk.locator("[data-text]")
    desk.keyboard.press("Shift+e")
    expect(desk.locator("[data-kind-tab=short]")).to_have_attribute("aria-current", "true")
    desk.keyboard.press("e")
    desk.keyboard.type("Red kettle")
    desk.keyboard.press("Alt+t")
    expect(text).to_have_attribute("placeholder", "Words for this photo, between commas.")
    desk.keyboard.type("red,kettle")
    expect(desk.locator("[data-kind-tab=short]")).to_have_class("bare drafted")
    tab(desk, "Short")
    expect(text).to_have_value("Red kettle")
    desk.reload()
    expect(text).to_have_value("Red kettle")  # kept before the pause was over, too
    desk.get_by_role("button", name="Save", exact=True).click()
    expect(desk.locator(".toast")).to_contain_text("Saved the short caption of Red kettle")
    expect(desk.locator("[data-author]")).to_contain_text("By Ana")
    expect(desk.get_by_text("1 version", exact=True)).to_be_visible()
    tab(desk, "Tags")
    expect(text).to_have_value("red,kettle")
    desk.keyboard.press("e")
    desk.keyboard.press("Control+Enter")
    wait_for(desk, lambda: "tags" in kept(scene, photo))
    assert kept(scene, photo) == {"long": "Red kettle number 0.", "short": "Red kettle", "tags": "red, kettle"}
    expect(desk.locator("[data-photo]")).not_to_have_attribute("data-photo", str(photo))
    expect(desk.locator("[data-kind-tab=tags]")).to_have_attribute("aria-current", "true")
    assert drafts(desk) == 0
    for left in (["long", "short"], ["long"]):
        desk.locator("body").press("z")
        wait_for(desk, lambda left=left: sorted(kept(scene, photo)) == left)


def test_versions_show_what_changed_and_come_back(scene: Scene, desk: Page) -> None:
    photo = on_desk(desk)
    write(scene, photo, "Kettle", scene.ana, "short")
    write(scene, photo, "Red steel kettle", scene.mei, "short")
    desk.reload()
    tab(desk, "Short")
    desk.keyboard.press("Shift+h")
    newest = desk.locator("[data-versions] li").first
    expect(newest).to_contain_text("Version 2 by Mei")
    expect(newest.locator("del")).to_have_text("Kettle")
    expect(newest.locator("ins")).to_have_text("Red steel kettle")
    desk.get_by_role("button", name="Use this one again").click()
    expect(desk.locator("[data-text]")).to_have_value("Kettle")
    expect(desk.get_by_text("3 versions")).to_be_visible()
    assert kept(scene, photo)["short"] == "Kettle"


def test_a_conflict_shows_what_both_came_from_and_merges_by_words(scene: Scene, desk: Page) -> None:
    photo, text = on_desk(desk), desk.locator("[data-text]")
    write(scene, photo, "A red kettle on a white table.", scene.mei)
    desk.reload()
    text.fill("A dark red kettle on a grey table.")
    write(scene, photo, "A red steel kettle on a black table.", scene.mei)
    desk.get_by_role("button", name="Save", exact=True).click()
    conflict = desk.locator("[data-conflict]")
    expect(conflict).to_contain_text("Now, by Mei")
    expect(conflict).to_be_in_viewport()
    for words in ("A red kettle on a white table.", "steel", "dark", "choose there"):
        expect(conflict).to_contain_text(words)
    both = conflict.get_by_role("button", name="Put both in the editor")
    expect(both).to_be_disabled()
    conflict.get_by_role("button", name="grey", exact=True).click()
    both.click()
    expect(text).to_have_value("A dark red steel kettle on a grey table.")
    expect(conflict).to_be_hidden()
    desk.get_by_role("button", name="Save", exact=True).click()
    expect(desk.locator(".toast")).to_contain_text("Saved")
    assert kept(scene, photo)["long"] == "A dark red steel kettle on a grey table."
    wait_for(desk, lambda: drafts(desk) == 0)


def test_a_draft_outlives_a_dead_network_and_an_ended_sign_in(scene: Scene, desk: Page) -> None:
    photo, text = on_desk(desk), desk.locator("[data-text]")
    desk.context.set_offline(True)
    tab(desk, "Facts")  # in the page already
    desk.keyboard.press("e")
    desk.keyboard.type("Kettle, steel")
    desk.keyboard.press("Control+s")
    expect(desk.locator("[data-trouble]")).to_contain_text("Packshot does not answer")
    expect(text).to_have_value("Kettle, steel")
    desk.context.set_offline(False)
    cookies = desk.context.cookies()
    desk.context.clear_cookies()
    desk.keyboard.type(", 1.7 l")
    desk.keyboard.press("Control+s")
    expect(desk).to_have_url(re.compile(r"/sign-in\?next="))  # two answers may lead there, one after the other
    desk.context.add_cookies(cookies)  # type: ignore[arg-type]
    desk.goto(f"{scene.site.url}/images/{photo}")
    expect(text).to_have_value("Kettle, steel, 1.7 l")
    expect(desk.locator("[data-draft]")).to_contain_text("your draft, not saved yet")
    desk.get_by_role("button", name="Save", exact=True).click()
    expect(desk.locator(".toast")).to_contain_text("Saved the facts caption")
    assert kept(scene, photo)["facts"] == "Kettle, steel, 1.7 l"


def test_what_an_encoder_does_not_read_is_marked_in_the_text(desk: Page) -> None:
    text, beyond = desk.locator("[data-text]"), desk.locator("[data-mirror] .beyond")
    text.fill("A red kettle. " * 20 + "The end.")
    expect(desk.locator(".meter.over")).to_contain_text("cut off")
    expect(beyond).to_contain_text("The end.")
    kept_before = desk.locator("[data-mirror]").evaluate("(mirror) => mirror.firstChild.textContent")
    assert kept_before and text.input_value().startswith(kept_before)
    # The marks lie on the words: the unseen text breaks its lines where the field does.
    sizes = desk.evaluate("""() => {
        const [text, mirror] = ["[data-text]", "[data-mirror]"].map((name) => document.querySelector(name));
        return [text.clientWidth - mirror.clientWidth, text.scrollHeight - mirror.scrollHeight];
    }""")
    assert sizes[0] == 0 and abs(sizes[1]) <= 2
    text.fill("A red kettle.")
    expect(beyond).to_have_count(0)


@dataclass(frozen=True)
class Merging:
    """A text and two that came from it, and what has to come of them: None where words were changed by both."""

    base: str
    mine: str
    theirs: str
    merged: str | None


def drawn(chance: random.Random) -> Merging:
    """Words, some changed, taken out or put behind by one of two people, never by both; or one word by both."""
    alphabet = [chr(ord("a") + letter) * 2 for letter in range(26)]
    base = chance.sample(alphabet, chance.randrange(2, 12))
    texts: dict[str, list[str]] = {"mine": [], "theirs": [], "merged": []}
    is_free = True  # nobody changed the word before: words put in there are beside nothing of the other's
    for place, word in enumerate(base):
        act = chance.choice(("same", "same", "change", "take", "put"))
        who = chance.choice(("mine", "theirs"))
        if act == "put" and not is_free:
            act = "same"
        words = {"same": [word], "change": [f"{who}{place}"], "take": [], "put": [f"{who}{place}", word]}[act]
        for name, text in texts.items():
            text += words if name in (who, "merged") else [word]
        is_free = act in ("same", "put")
    joined = {name: " ".join(text) for name, text in texts.items()}
    return Merging(" ".join(base), joined["mine"], joined["theirs"], joined["merged"])


FIXED = [
    Merging("", "", "", ""),
    Merging("a b c", "a b c", "x y", "x y"),
    Merging("a b c", "x y", "a b c", "x y"),
    Merging("a b c", "a x c", "a x c", "a x c"),
    Merging("a red mug", "a blue mug", "a red cup", "a blue cup"),
    Merging("a red mug", "a blue mug", "a green mug", None),
    Merging("a mug", "a red mug", "a blue mug", None),
    Merging("", "mine", "theirs", None),
    Merging("a b c d", "a d", "a b x d", None),
    Merging("红色的壶", "深红色的壶", "红色的杯", "深红色的杯"),
    Merging("It’s Ana’s kettle, red.", "It’s Ana’s big kettle, red.", "It’s Ana’s kettle, maroon.",
            "It’s Ana’s big kettle, maroon."),
]  # fmt: skip


def test_texts_are_merged_by_words(scene: Scene, desk: Page) -> None:
    """Edits that do not touch are both kept, whoever's are called mine; where both changed the same words, both are
    shown to choose from."""
    cases = [*FIXED, *(drawn(random.Random(seed)) for seed in range(1500))]
    loaded = "performance.getEntriesByType('resource').map((each) => each.name)"
    script = desk.evaluate(f"{loaded}.find((name) => /merge[^/]*\\.js/.test(name))")
    answers: list[dict[str, Any]] = desk.evaluate(
        """async ([script, cases]) => {
            const { merge, mergedText } = await import(script);
            return cases.map(([base, mine, theirs]) => {
                const pieces = merge(base, mine, theirs);
                const clashes = pieces.filter((piece) => piece.kind === "clash");
                const all = (who) => mergedText(pieces, clashes.map(() => who));
                const swapped = merge(base, theirs, mine).filter((piece) => piece.kind === "clash").length;
                const both = mergedText(merge(base, mine, mine));
                return { clashes: clashes.length, mine: all("mine"), theirs: all("theirs"), both, swapped };
            });
        }""",
        [script, [[each.base, each.mine, each.theirs] for each in cases]],
    )
    for case, answer in zip(cases, answers, strict=True):
        assert answer["swapped"] == answer["clashes"], case
        assert answer["both"] == case.mine, case
        if case.merged is None:
            assert answer["clashes"] > 0, case
            assert {answer["mine"], answer["theirs"]} != {case.base}, case
        else:
            assert (answer["clashes"], answer["mine"]) == (0, case.merged), case


def test_a_captioner_writes_beside_what_is_typed_and_goes_into_the_text_where_asked(scene: Scene, desk: Page) -> None:
    photo, text = on_desk(desk), desk.locator("[data-text]")
    text.fill("Half a sentence")
    desk.get_by_role("button", name="for another one").click()
    job = desk.locator("[data-beside] [data-job]")
    expect(job).to_be_visible()
    with transaction(scene.site.engine) as session:
        asked = beside.newest(session, photo)
        assert asked is not None
        runs.keep(session, asked.run.id, [Answered(photo, {"long": "A kettle, seen anew."}, "", {})], Spent())
        asked.job.state = "done"
    into = desk.get_by_role("button", name="Put it in the text")
    expect(into).to_be_visible()
    expect(text).to_have_value("Half a sentence")
    into.click()
    expect(text).to_have_value("A kettle, seen anew.")
    assert kept(scene, photo)["long"] != "A kettle, seen anew.", "a person saves it, or nobody does"
