"""Files sent from a browser arrive under the names they have at home, and what is no photo stays there."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect
from sqlalchemy import select

from app import jobs
from app.catalog.tables import Intake
from app.database import transaction
from app.intake.folders import walk
from app.intake.sources import naming
from tests import cast
from tests.browser.conftest import Site, Visit
from tests.intake.conftest import encoded, picture

pytestmark = pytest.mark.browser

NAMES = (
    'quo"te.jpg', "50%22 off.jpg", "back\\slash.jpg", "emoji \U0001f469\U0001f3fd\u200d\U0001f680.jpg",
    "semi;colon, comma.jpg",
    "\u4e2d\u6587" * 40 + ".jpg", "x" * 251 + ".jpg", "caf\u00e9 #1?.jpg", "sub/deeper/quo\"te.jpg",
)  # fmt: skip
LEFT_AT_HOME = (
    ".thumbnails/a.jpg", "Lightroom Previews.lrdata/a.jpg", "a.jpg@SynoEAStream",
    *(f"{name.title()}/a.jpg" for name in naming.PASSED_OVER),
)  # fmt: skip


def test_a_folder_chosen_in_a_browser_keeps_its_names(site: Site, visit: Visit, tmp_path: Path) -> None:
    folder = tmp_path / "at home"
    for number, name in enumerate((*NAMES, *LEFT_AT_HOME)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(encoded(picture(number)))
    with transaction(site.engine) as session:
        me = cast.person(session)
    page = visit(me)
    page.goto(f"{site.url}/intakes")
    page.locator("input[webkitdirectory]").set_input_files(folder)
    page.get_by_text(f"{len(NAMES)} files,").wait_for()
    if (name := page.locator("[name=name]")).is_visible():
        name.fill("From a browser")
    page.get_by_role("button", name="Take in").click()
    page.wait_for_url("**/intakes/*")
    with transaction(site.engine) as session:
        asked = session.scalars(select(Intake).order_by(Intake.id.desc()).limit(1)).one()
    # Chromium itself parts names at a backslash; a row of a metadata file is found either way (`metadata.key_of`).
    assert {met.name for met in walk(Path(asked.folder))} == {name.replace("\\", "/") for name in NAMES}


def test_counts_go_on_while_photos_are_taken_in(site: Site, visit: Visit) -> None:
    with transaction(site.engine) as session:
        me, pile = cast.person(session), cast.catalog(session)
        intake = Intake(catalog_id=pile.id, folder="/photos", job_id=jobs.request(session, "intake.take_in", {}).id)
        session.add(intake)
    page = visit(me)
    page.goto(f"{site.url}/intakes/{intake.id}")
    expect(page.locator(".counts dd").first).to_have_text("0")
    expect(page.get_by_role("link", name="See the catalog")).to_have_count(0)
    with transaction(site.engine) as session:
        session.get_one(Intake, intake.id).accepted = 1500
    expect(page.locator(".counts dd").first).to_have_text("1,500")
    expect(page.get_by_role("link", name="See the catalog")).to_be_visible()
