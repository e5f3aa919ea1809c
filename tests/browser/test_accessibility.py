"""Every page before axe-core (MPL-2.0, for tests only), light and dark, wide and narrow.

Each GET route that answers with a page is looked at; a new one that nobody lists here fails the test.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page, Route
from sqlalchemy.orm import Session

from app import people
from app.bulk import importing, label_importing
from app.captions import beside, runs, writing
from app.captions.asking import Asking
from app.captions.runs import Answered, Spent
from app.catalog.tables import Catalog, Intake, SourceFile
from app.cycles import clock
from app.database import transaction
from app.desk import holding, judging, notes, queues
from app.desk.comparison_tables import CaptionerComparison
from app.evaluation import links, measuring, promoting, sheets, suites, usable, voting
from app.evaluation.columns import ColumnWish
from app.evaluation.measuring import MeasuredSample
from app.evaluation.sample_rules import NearestPhoto
from app.evaluation.tables import Sample, Sheet, Suite
from app.jobs import Job
from app.people import Person
from app.removal import photos as removal
from app.review import decisions
from app.selection.query import parse
from app.settings import Settings
from app.storage import Storage
from app.training import runs as runs_training
from app.training.tables import TrainingRun
from app.web.main import ROUTERS
from tests import cast
from tests.browser.conftest import Site, Visit
from tests.browser.test_map import draw_map
from tests.browser.test_viewer import paint
from tests.desk.test_judging import LONG, SHORT, compared
from tests.evaluation.cast import finished_run, sheet_of
from tests.evaluation.shipping_cast import WHY, save, saved_run, ship, steps_of
from tests.evaluation.test_suites import small
from tests.training.cast import training
from tests.web.test_checks import OUTLINE, WHITE

pytestmark = pytest.mark.browser

# Answers that are no pages: files, data, and pieces that stand in a page looked at below.
NOT_PAGES = {
    "/", "/catalogs", "/healthz", "/jobs/{job_id}", "/images/{image_id}/card", "/images/{image_id}/thumb",
    "/images/{image_id}/view", "/images/{image_id}/original", "/catalogs/{catalog_id}/map/points",
    "/catalogs/{catalog_id}/completions", "/catalogs/{catalog_id}/range", "/catalogs/{catalog_id}/tiles",
    "/catalogs/{catalog_id}/changes", "/catalogs/{catalog_id}/facets/{key}", "/operations/{operation_id}",
    "/catalogs/{catalog_id}/captions.csv", "/catalogs/{catalog_id}/captions.jsonl",
    "/catalogs/{catalog_id}/captions.zip", "/catalogs/{catalog_id}/label-sets/{set_id}.zip",
    "/catalogs/{catalog_id}/labels.csv", "/catalogs/{catalog_id}/labels.jsonl", "/datasets/{version_id}/card.md",
    "/images/{image_id}/evidence", "/images/{image_id}/mask",
    "/datasets/{version_id}/manifest.jsonl", "/datasets/{version_id}/exports",
    "/exports/{export_id}", "/exports/{export_id}/archive.tar",
    "/runs/{run_id}/live", "/runs/{run_id}/curves", "/runs/{run_id}/log", "/runs/{run_id}/events",
    "/compare/{sheet_id}/changes", "/samples/{sample_id}", "/samples/{sample_id}/thumb",
    "/samples/{sample_id}/evidence", "/samples/{sample_id}/{kind}",
    "/compare/{sheet_id}/pictures/{name}",
    "/votes/{token}/pictures/{name}", "/catalogs/{catalog_id}/refused.csv",
    "/refused/{file_id}/thumb", "/audit.csv", "/suites/{suite_id}/suite.jsonl",
    "/uploads/{upload}", "/intakes/{intake_id}/remarks.csv", "/models/{promotion_id}/diffusers.tar",
    "/models/{promotion_id}/lora.tar", "/models/{promotion_id}/card.md",
    "/compare/{sheet_id}/report.html", "/compare/{sheet_id}/report.pdf", "/compare/{sheet_id}/report/pictures/{key}",
    "/compare/{sheet_id}/votes.csv", "/compare/{sheet_id}/answers.csv", "/compare/{sheet_id}/metrics.csv",
    "/reads/{token}/report.html", "/reads/{token}/pictures/{key}",
}  # fmt: skip
PAGES = {route.path for router in ROUTERS for route in router.routes if "GET" in route.methods} - NOT_PAGES  # type: ignore[attr-defined]

# All rules of axe, the experimental ones and best practices too. Left out are those that axe itself has given up, and
# level AAA: the house promises AA (text 4.5:1, not 7:1), and its light greys are made for that.
RUN = """async (isAll) => {
    const left = ["deprecated", "wcag2aaa", "wcag21aaa", "wcag22aaa"];
    const rules = axe.getRules().filter((rule) => !rule.tags.some((tag) => left.includes(tag)));
    const changing = (rule) =>
        rule.tags.includes("cat.color") || ["target-size", "scrollable-region-focusable"].includes(rule.ruleId);
    const asked = isAll ? rules : rules.filter(changing);
    const values = asked.map((rule) => rule.ruleId);
    const { violations } = await axe.run({ resultTypes: ["violations"], runOnly: { type: "rule", values } });
    return violations.map(({ id, nodes }) =>
        ({ id, nodes: nodes.map((node) => `${node.target.join(" ")}: ${node.failureSummary.replace(/\\s+/g, " ")}`) }));
}"""


def changed_suite(session: Session, me: Person) -> Suite:
    """The second version of a suite, from which a sheet is drawn."""
    suite = small(session, me)
    sampling = {**suite.sampling, "steps": 9}
    prompts = [suites.text_of(prompt) for prompt in suites.prompts_of(session, suite)][1:]
    later = suites.keep(session, suite.name, prompts, suite.seeds, sampling, person=me)
    sheets.make(session, later, [ColumnWish(None)], me, "For the decision")
    return later


WITHOUT_SIGN_IN = ("/sign-in", "/links/{token}", "/votes/{token}", "/votes/{token}/usable", "/reads/{token}")


def comparisons(session: Session, me: Person, pile: Catalog) -> list[CaptionerComparison]:
    """One to judge, one that is judged, one that was adopted, one whose photos are being captioned."""
    made = [compared(session, me, pile, 2) for _ in range(3)]
    for comparison in made[1:]:
        for image_id in judging.ready(session, comparison):
            judging.vote(session, comparison, me, image_id, "left")
    judging.adopt(session, made[2], me, "a", Settings(caption_model="tiny"))
    for job in session.query(Job).filter(Job.kind.like("operation.%"), Job.state == "queued"):
        job.state = "done"
    # In a catalog of its own: one at which jobs are at work cannot be removed, and its page says so.
    busy = cast.catalog(session, "Spring 2027")
    cast.red_kettle(session, busy)
    running, _ = judging.begin(session, me, parse("", busy.id), LONG, SHORT, Settings(), 2)
    return [*made, running]


def models(site: Site, session: Session, me: Person, run: TrainingRun) -> dict[str, list[str]]:
    """A live model with one before it, and a candidate that waits for its signature."""
    storage = site.storage
    saved = runs_training.checkpoints(session, run.id)
    for checkpoint in saved[1:]:
        save(storage.root / str(checkpoint.folder))
    other = saved_run(session, storage)
    ship(session, storage, saved[1], me)
    newest = ship(session, storage, saved[2], me)
    waiting = promoting.ask(session, storage, saved[1].id, cast.person(session, "Lea"), WHY)
    elsewhere = promoting.ask(session, storage, steps_of(session, other)[50].id, me, WHY)
    return {
        "/models": ["/models", f"/models?shown={newest.id}", f"/models?catalog_id={elsewhere.catalog_id}"],
        "/models/new": [f"/models/new?checkpoint_id={saved[1].id}", f"/models/new?run_id={other.id}"],
        "/candidates/{candidacy_id}": [f"/candidates/{waiting.id}", f"/candidates/{elsewhere.id}"],
    }


def vote_some(session: Session, me: Person, sheet: Sheet) -> None:
    """A vote on two pictures, and an answer for each of them."""
    voter = voting.Voter(person_id=me.id)
    for pair in voting.next_pairs(session, sheet, voter):
        voting.vote(session, sheet, voter, pair, "left", 1.0)
        for picture, is_usable in zip(voting.samples_of(session, pair) or (), (True, False), strict=False):
            usable.answer(session, sheet, voter, usable.SinglePicture(sample_id=picture.id), is_usable, 1.0)


def fill(site: Site, session: Session, me: Person) -> dict[str, list[str]]:
    """People, photos in every state, a run that trains, one that is done, its sheet half drawn: addresses by route."""
    mei = cast.person(session, "Mei")
    pile = cast.catalog(session, "Autumn 2026")
    photos = [site.photo(session, pile, "red", f"Kettle {n}", caption=f"Blue kettle {n}.") for n in range(6)]
    more = site.many(session, pile, 121)  # beyond what a grid shows at first
    copy = {"catalog_id": pile.id, "intake_id": photos[0].intake_id, "image_id": more[-1], "outcome": "accepted"}
    session.add_all([SourceFile(**copy, file_name=f"{n}.jpg", sha256="1" * 64) for n in range(3)])
    for photo, verdict in zip(photos, ("kept", "rejected:blurred", "needs_work"), strict=False):
        decisions.decide(session, photo, me, *verdict.split(":"))
    old = writing.current(session, [photos[0].id])[photos[0].id]
    writing.rewrite(session, photos[0].id, "Red kettle, seen from the side.", me, old.id)
    intake = Intake(catalog_id=pile.id, folder="/photos", refused=1)
    session.add(intake)
    session.flush()
    refused = {"file_name": "torn.jpg", "sha256": "0" * 64, "outcome": "refused", "reason": "not a whole picture"}
    session.add(SourceFile(catalog_id=pile.id, intake_id=intake.id, **refused))
    alike = cast.alike(session, pile, photos[3:])
    clock.start_cycle(session, Settings(), pile)
    running, done = training(session), finished_run(session)
    sheet = sheet_of(session, done)
    paint(session, site, sheet, 7)
    row = sheets.missing(session, sheet)[0]
    checked = min(sheets.drawn_cells(session, sheet).values())
    copied = NearestPhoto(photos[0].id, 0.99, 0.96, 12, rest=0.04)
    measuring.record(session, 1, [MeasuredSample(checked, WHITE | {"whiteness": 0.2}, {"outline": OUTLINE})])
    measuring.record_nearest(session, {checked: copied})
    voted = sheet_of(session, finished_run(session), 36)
    _, vote_token = links.make(session, me, voted, "vote", 3)
    _, read_token = links.make(session, me, sheet, "read", 3)
    vote_some(session, me, voted)
    gone = site.photo(session, pile, "red", "Taken down")
    removal.remove(session, Storage(Path("unused")), gone.id, me, "The model asked for it.")
    suite = changed_suite(session, me)
    link = people.make_link(session, mei)
    draw_map(session, pile, [photo.id for photo in photos])
    empty = cast.catalog(session, "Empty")
    queue = queues.make(session, me, parse("", pile.id), "Everything", person_ids=[me.id])
    holding.ahead(session, queue, me)
    run = beside.request(session, photos[0], "facts", Asking(), Settings(), me)
    runs.keep(session, run.id, [Answered(photos[0].id, {"long": "A red kettle."}, "", {})], Spent())
    session.get_one(Job, run.job_id).state = "done"
    notes.ask(session, mei, photos[0], "Is the green fabric, or the lamp?")
    twice = queues.make(session, me, parse("", pile.id), "Twice", "chance", 2)
    for person in (mei, me):
        for photo in photos[3:5]:
            current = decisions.current(session, photo.id)
            holding.decide(session, twice, photo, person, "kept", None, current.id if current else 0)
    once = queues.make(session, me, parse("category:mugs", pile.id), "Once", "chance")
    queues.close(session, me, once)
    said = notes.ask(session, mei, photos[1], "Is this the old label?")
    notes.answer(session, me, said, "It is.")
    notes.close(session, me, said)
    standing = writing.current(session, [photos[2].id])[photos[2].id]
    slips = "This image shows a botle in neon green, it seems to be glass. " * 12
    writing.rewrite(session, photos[2].id, slips, me, standing.id)
    people.disable(session, me, cast.person(session, "Otto"))
    column = session.get_one(Sample, checked).checkpoint_id
    behind = f"profile=house&check=whiteness&column={column}&answer=failed"
    catalog, compare = f"/catalogs/{pile.id}", f"/compare/{sheet.id}"
    table = f"photo,text\n{photos[0].id},In conflict.\n{photos[1].id},Changed.\n0,Of no photo.\n".encode()
    read = importing.read_in(session, pile.id, me, "captions.csv", BytesIO(table))
    table = f"photo,set,label\n{photos[0].id},Season,Winter\n0,Season,Summer\n".encode()
    labels = label_importing.read_in(session, pile.id, me, "labels.csv", BytesIO(table))
    return {
        "/patterns": ["/patterns"], "/people": ["/people"],
        "/audit": ["/audit", "/audit?act=queue_made", "/audit?since=2999-01-01"],
        "/storage": ["/storage"],
        "/catalogs/{catalog_id}/removal": [f"{catalog}/removal"],
        "/images/{image_id}/removal": [f"/images/{photos[0].id}/removal"],
        "/datasets/{version_id}/removal": [f"/datasets/{done.version_id}/removal"],
        "/cycle": ["/cycle"], "/desk": ["/desk", f"/desk?queue_id={queue.id}", f"/desk?queue_id={once.id}"],
        "/catalogs/{catalog_id}": [catalog, f"{catalog}?q=decision:lost", f"{catalog}?q=nothing+is+so", "/catalogs"],
        "/catalogs/{catalog_id}/map": [
            f"{catalog}/map", f"{catalog}/map?q=in:cluster-1", f"{catalog}/map?q=in:", f"/catalogs/{empty.id}/map",
        ],
        "/catalogs/{catalog_id}/rules": [f"{catalog}/rules"],
        "/catalogs/{catalog_id}/operations": [f"{catalog}/operations"],
        "/catalogs/{catalog_id}/labels": [f"{catalog}/labels"],
        "/catalogs/{catalog_id}/replace": [
            f"{catalog}/replace?find=kettle&with=pot&asked=1&kind=long", f"{catalog}/replace",
            f"{catalog}/replace?find=(red&expression=1&asked=1&kind=long",
        ],
        "/catalogs/{catalog_id}/template": [f"{catalog}/template", f"{catalog}/template?template={{nosuch}}"],
        "/catalogs/{catalog_id}/words": [f"{catalog}/words"],
        "/catalogs/{catalog_id}/captioners": [
            f"{catalog}/captioners", f"{catalog}/captioners?q=colour:", f"/catalogs/{empty.id}/captioners",
        ],
        "/comparisons/{comparison_id}": [f"/comparisons/{each.id}" for each in comparisons(session, me, pile)],
        "/catalogs/{catalog_id}/captions": [f"{catalog}/captions", f"{catalog}/captions?q=kettle"],
        "/catalogs/{catalog_id}/captions/imports/{import_id}": [f"{catalog}/captions/imports/{read.id}"],
        "/catalogs/{catalog_id}/labels/imports/{import_id}": [f"{catalog}/labels/imports/{labels.id}"],
        "/catalogs/{catalog_id}/agreement": [f"{catalog}/agreement", f"/catalogs/{empty.id}/agreement"],
        "/catalogs/{catalog_id}/queues": [
            f"{catalog}/queues", f"{catalog}/queues?closed=1", f"{catalog}/queues?q=colour:",
            f"/catalogs/{empty.id}/queues",
        ],
        "/catalogs/{catalog_id}/duplicates": [f"{catalog}/duplicates", f"{catalog}/duplicates?grade=bytes"],
        "/catalogs/{catalog_id}/duplicates/{group_id}": [f"{catalog}/duplicates/{alike}"],
        "/catalogs/{catalog_id}/freeze": [f"{catalog}/freeze?q=decision:kept"],
        "/intakes": ["/intakes"], "/intakes/{intake_id}": [f"/intakes/{intake.id}"],
        "/intakes/{intake_id}/refused": [f"/intakes/{intake.id}/refused"],
        "/catalogs/{catalog_id}/refused": [f"{catalog}/refused", f"{catalog}/refused?left_out=1"],
        "/catalogs/{catalog_id}/naming": [f"{catalog}/naming"],
        "/images/{image_id}": [
            f"/images/{photos[0].id}?q=kettle", f"/images/{photos[1].id}", f"/images/{photos[2].id}",
            f"/images/{photos[4].id}?queue_id={twice.id}", "/images/999999",
        ],
        "/images/{image_id}/mend": [f"/images/{photos[0].id}/mend"],
        "/datasets": ["/datasets"], "/datasets/{version_id}": [f"/datasets/{done.version_id}"],
        "/datasets/{version_id}/changes": [f"/datasets/{done.version_id}/changes?since={running.version_id}"],
        "/runs": ["/runs"], "/runs/new": ["/runs/new"], "/runs/{run_id}": [f"/runs/{running.id}", f"/runs/{done.id}"],
        "/compare": ["/compare"], "/compare/new": ["/compare/new", f"/compare/new?from={sheet.id}"],
        "/runs/compare": [f"/runs/compare?a={done.id}&b={running.id}"],
        "/suites": ["/suites", f"/suites?catalog_id={empty.id}"], "/suites/{suite_id}": [f"/suites/{suite.id}"],
        "/suites/{suite_id}/edit": [f"/suites/{suite.id}/edit"],
        "/suites/new": ["/suites/new", f"/suites/new?catalog_id={pile.id}"],
        "/compare/{sheet_id}": [
            f"{compare}#row={row.prompt_id}.{row.seed}&a=0&b=100&with=50", compare, f"{compare}?failure=any",
        ],
        "/compare/{sheet_id}/checks": [f"{compare}/checks?profile=amazon", f"{compare}/checks?{behind}"],
        "/samples/{sample_id}/checks": [f"/samples/{checked}/checks", f"/samples/{checked}/checks?show=fill_least"],
        "/profiles": ["/profiles"], "/profiles/{key}": ["/profiles/amazon"],
        "/compare/{sheet_id}/vote": [f"/compare/{voted.id}/vote", f"/compare/{sheet.id}/vote"],
        "/compare/{sheet_id}/usable": [f"/compare/{voted.id}/usable"],
        "/compare/{sheet_id}/report": [f"{compare}/report", f"/compare/{voted.id}/report"],
        "/reads/{token}": [f"/reads/{read_token}"],
        "/compare/{sheet_id}/verdict": [f"/compare/{voted.id}/verdict", f"{compare}/verdict"],
        "/compare/{sheet_id}/verdict/pictures": [f"/compare/{voted.id}/verdict/pictures?column=100&of=usable"],
        "/compare/{sheet_id}/links": [f"/compare/{voted.id}/links", f"{compare}/links"],
        "/votes/{token}": [f"/votes/{vote_token}"], "/votes/{token}/usable": [f"/votes/{vote_token}/usable"],
        **models(site, session, me, done),
        "/sign-in": ["/sign-in"], "/links/{token}": [f"/links/{link}"],
    }  # fmt: skip


LOOKS = (("light", 1440, 900, True), ("dark", 1440, 900, False), ("dark", 390, 844, True))


def faults(page: Page, where: str, looks: tuple[tuple[str, int, int, bool], ...] = LOOKS) -> list[str]:
    """What axe finds on the page: all rules wide and narrow, which has other parts; those of colour in the dark."""
    page.evaluate(AXE_SCRIPT)
    seen: list[str] = []
    for scheme, width, height, is_all in looks:
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
        if page.viewport_size != {"width": width, "height": height}:
            page.set_viewport_size({"width": width, "height": height})
        violations: list[dict[str, Any]] = page.evaluate(RUN, is_all)
        look = f"{where} ({scheme}, {width} px)"
        seen += [f"{look}: {fault['id']}: {node}" for fault in violations for node in fault["nodes"]]
    page.set_viewport_size({"width": 1440, "height": 900})
    return seen


def without_submitting(route: Route) -> None:
    """A link signs in by itself where the browser is on the server's machine; here its page stays."""
    answer = route.fetch()
    route.fulfill(response=answer, body=answer.text().replace(" data-auto-submit", ""))


def test_axe_finds_nothing_on_any_page(site: Site, visit: Visit) -> None:
    with transaction(site.engine) as session:
        me = cast.person(session, role="owner")
        pages = fill(site, session, me)
    assert pages.keys() == PAGES, "a page that nobody looks at, or one that is gone"
    page = visit(me)
    seen: list[str] = []
    for path, addresses in pages.items():
        if path in WITHOUT_SIGN_IN:
            page.context.clear_cookies()
            page.route("**/links/*", without_submitting)  # not sooner: without a cache every page takes longer
        for address in addresses:
            answer = page.goto(site.url + address, wait_until="domcontentloaded")
            assert answer is not None and answer.status in (200, 404, 422), (address, answer)
            seen += faults(page, address)
    page = visit(me)
    page.goto(site.url + pages["/catalogs/{catalog_id}"][0])
    page.keyboard.press("?")
    seen += faults(page, "keys")
    page.keyboard.press("Escape")
    page.keyboard.press("x")
    seen += faults(page, "reasons")
    page.set_viewport_size({"width": 390, "height": 844})
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Filter", exact=True).click()
    seen += faults(page, "drawer", LOOKS[2:])
    # What is drawn by scripts: a conflict to choose in, versions, a queue's dialog; and what others see of the board.
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(site.url + pages["/images/{image_id}"][0])
    page.locator("[data-text]").fill("Red kettle, seen from above.")
    with transaction(site.engine) as session:
        photo_id = int(page.locator("[data-photo]").get_attribute("data-photo") or 0)
        standing = writing.current(session, [photo_id])[photo_id]
        writing.rewrite(session, photo_id, "Red kettle, seen from below.", me, standing.id)
    page.keyboard.press("Control+s")
    page.locator("[data-conflict] .merged").wait_for()
    page.locator("[data-versions] summary").first.click()
    seen += faults(page, "conflict and versions", LOOKS[:2])
    page.goto(site.url + pages["/catalogs/{catalog_id}/queues"][0])
    page.get_by_role("button", name="Change Twice").click()
    seen += faults(page, "queue's dialog", LOOKS[1:])
    with transaction(site.engine) as session:
        viewer = cast.person(session, "Vera", "viewer")
    page = visit(viewer)
    for path in ("/catalogs/{catalog_id}/queues", "/comparisons/{comparison_id}", "/images/{image_id}", "/people"):
        page.goto(site.url + pages[path][0])
        seen += faults(page, f"{path} as a viewer", LOOKS[1:])
    assert not seen, "\n".join(seen)
