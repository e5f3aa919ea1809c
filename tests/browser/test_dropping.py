"""Folders dropped in a browser: nested ones, on any page, cut off and gone on with."""

from __future__ import annotations

import base64
import re

import pytest
from playwright.sync_api import Page, Route, expect
from sqlalchemy import select

from app.catalog.tables import Intake
from app.database import transaction
from app.intake.sources.listing import walk
from tests import cast
from tests.browser.conftest import Site, Visit
from tests.intake.conftest import encoded, picture

pytestmark = pytest.mark.browser

# A drop as Chromium's own would be, of a folder that a test describes: readEntries gives a hundred at most.
DROP = """([tree, where]) => {
    const entry = (name, inside) => inside === null ? {
        name, isFile: true, isDirectory: false,
        file: (resolve, reject) => name === "closed.jpg" ? reject(new DOMException("no")) :
            resolve(new File([Uint8Array.from(atob(window.PICTURE), (c) => c.charCodeAt(0)), name], name)),
    } : {
        name, isFile: false, isDirectory: true,
        createReader: () => {
            const left = Object.entries(inside);
            return { readEntries: (resolve) => resolve(left.splice(0, 100).map(([n, i]) => entry(n, i))) };
        },
    };
    const transfer = { types: ["Files"], dropEffect: "none",
        items: Object.entries(tree).map(([name, inside]) => ({ webkitGetAsEntry: () => entry(name, inside) })) };
    for (const kind of ["dragover", "drop"]) {
        const event = new Event(kind, { bubbles: true, cancelable: true });
        Object.defineProperty(event, "dataTransfer", { value: transfer });
        document.querySelector(where).dispatchEvent(event);
    }
}"""


def drop(page: Page, tree: dict[str, object], where: str = "main") -> None:
    page.evaluate("(data) => { window.PICTURE = data; }", base64.b64encode(encoded(picture(5))).decode())
    page.evaluate(DROP, [tree, where])


def newest_files(site: Site) -> set[str]:
    with transaction(site.engine) as session:
        asked = session.scalars(select(Intake).order_by(Intake.id.desc()).limit(1)).one()
    return {met.name for met in walk(asked.folder)}


def test_a_nested_folder_dropped_on_the_catalog_is_taken_in_with_its_files(site: Site, visit: Visit) -> None:
    with transaction(site.engine) as session:
        me, pile = cast.person(session), cast.catalog(session, "Autumn")
        site.photo(session, pile, "teal", "Cup")
    page = visit(me)
    page.goto(f"{site.url}/catalogs/{pile.id}")
    many = {f"{number}.jpg": None for number in range(130)}
    left = {".DS_Store": None, "@eaDir": {"x.jpg": None}, "Thumbs.db": None}
    tree = {"shoot": {"deep": {"er": many}, "top.jpg": None, "closed.jpg": None, **left}}
    drop(page, tree)
    dialog = page.get_by_role("dialog", name="Take in photos")
    expect(dialog.get_by_text("131 files, ")).to_contain_text("3 left at home")
    expect(dialog.get_by_text("131 files, ")).to_contain_text("1 that this browser cannot read")
    expect(dialog.locator("[data-previews] img")).to_have_count(12)
    expect(dialog.locator("[name=catalog_id]")).to_have_value(str(pile.id))
    dialog.get_by_role("button", name="Take in", exact=True).click()
    page.wait_for_url("**/intakes/*")
    assert newest_files(site) == {"top.jpg", *(f"deep/er/{name}" for name in many)}


def test_a_cut_connection_goes_on_where_it_was(site: Site, visit: Visit) -> None:
    with transaction(site.engine) as session:
        me = cast.person(session)
    page = visit(me)
    page.goto(f"{site.url}/intakes")
    drop(page, {f"{number}.jpg": None for number in range(40)})
    page.locator("[name=name]").fill("From a browser")
    asked: list[str] = []

    def cut(route: Route) -> None:
        asked.append(route.request.url)
        if len(asked) == 2:
            route.abort()
        else:
            route.continue_()

    page.route("**/uploads/*/files", cut)
    page.get_by_role("button", name="Take in", exact=True).click()
    expect(page.locator("[data-progress-words]")).to_contain_text("The connection was cut")
    page.wait_for_url("**/intakes/*")
    assert len(asked) == 4, "three batches, one of them twice"
    assert newest_files(site) == {f"{number}.jpg" for number in range(40)}


def test_after_a_reload_only_what_is_missing_is_sent(site: Site, visit: Visit) -> None:
    with transaction(site.engine) as session:
        me = cast.person(session)
    page = visit(me)
    page.goto(f"{site.url}/intakes")
    tree: dict[str, object] = {f"{number}.jpg": None for number in range(40)}
    drop(page, tree)
    page.locator("[name=name]").fill("From a browser")
    sent: list[int] = []

    def first_only(route: Route) -> None:
        sent.append(len(re.findall(rb'name="files"', route.request.post_data_buffer or b"")))
        if len(sent) > 1:
            route.fulfill(status=422, json={"error": {"sentence": "No more for now.", "code": "x"}})
        else:
            route.continue_()

    page.route("**/uploads/*/files", first_only)
    page.get_by_role("button", name="Take in", exact=True).click()
    expect(page.locator("[data-refusal]")).to_have_text("No more for now.")
    page.unroute("**/uploads/*/files")
    page.goto(f"{site.url}/intakes")
    expect(page.locator("[data-unfinished]")).to_contain_text("16 of 40 files are here")
    expect(page.locator("[data-unfinished]")).to_contain_text("and 21 more")
    drop(page, tree)
    expect(page.locator("[data-drop-words]")).to_contain_text("16 of them are here already; 24 are left to send.")
    page.locator("[name=name]").fill("From a browser")
    page.get_by_role("button", name="Take in", exact=True).click()
    page.wait_for_url("**/intakes/*")
    assert newest_files(site) == set(tree)
