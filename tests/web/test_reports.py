"""The report of a sheet: one file that asks nobody for anything, its pictures and figures, and the tables beside it."""

from __future__ import annotations

import csv
import re
from html.parser import HTMLParser
from io import BytesIO, StringIO
from pathlib import Path

import numpy as np
import psutil
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image as Pillow
from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from app.errors import TooMany, Unavailable
from app.evaluation import gate_setting, hold_out, links, report_pictures, sheets, suites, usable, voting
from app.evaluation.columns import ColumnWish, drawn_columns
from app.evaluation.gates import GateLimits
from app.evaluation.measure_tables import ColumnMetric, SampleMeasure
from app.evaluation.promotion_tables import Promotion
from app.evaluation.report_pictures import JudgedSample
from app.evaluation.tables import Prompt, PromptPhoto, Sample, Sheet
from app.evaluation.usable import SinglePicture
from app.evaluation.vote_tables import Vote
from app.evaluation.voting import Voter
from app.people import Person
from app.settings import Settings
from app.storage import Storage
from app.web.views.report import file, printing, small
from tests import cast
from tests.conftest import sign_in
from tests.evaluation.cast import finished_run, sheet_of
from tests.waiting import until

HOSTILE = '"><script>alert(1)</script><img src="http://evil.example/x.png" onerror=alert(2)>{{ 7919 * 7907 }}</style>'


def png(colour: str = "teal", size: int = 64) -> bytes:
    data = BytesIO()
    Pillow.new("RGB", (size, size), colour).save(data, "PNG")
    return data.getvalue()


def painted(web: FastAPI, session: Session, sheet: Sheet) -> None:
    """Give the samples of a sheet files: two colours for all."""
    files: Storage = web.state.storage
    kept = [files.put("samples", png(colour), ".png") for colour in ("teal", "orange")]
    for sample in session.scalars(select(Sample)):
        sample.sha256 = kept[sample.id % 2]
    session.flush()


@pytest.fixture
def sheet(web: FastAPI, session: Session) -> Sheet:
    """A whole sheet of 12 rows and 3 columns, whose first prompt is hostile and whose last one is held out."""
    made = sheet_of(session, finished_run(session), 36)
    first, *_, last = session.scalars(select(Prompt).where(Prompt.suite_id == made.suite_id).order_by(Prompt.position))
    first.text, first.category, made.name = HOSTILE, HOSTILE, HOSTILE
    last.text, last.tier = "Secret prompt", "hold_out"
    painted(web, session, made)
    return made


class Seen(HTMLParser):
    """Every address and tag of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.addresses: list[str] = []
        self.handlers: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        leading = ("src", "href", "action", "formaction", "srcset", "poster", "data", "background", "xlink:href")
        self.addresses += [value or "" for name, value in attrs if name in leading]
        self.handlers += [name for name, _ in attrs if name.startswith("on") or name == "style"]


def vote(session: Session, sheet: Sheet, person: Person, count: int, choice: str = "left") -> None:
    voter = Voter(person_id=person.id)
    for pair in voting.next_pairs(session, sheet, voter, count):
        voting.vote(session, sheet, voter, pair, choice, 1.5)


def test_the_file_holds_everything_and_asks_nobody(session: Session, sheet: Sheet, client: TestClient) -> None:
    answer = client.get(f"/compare/{sheet.id}/report.html")
    assert answer.headers["content-disposition"] == f'attachment; filename="comparison-{sheet.id}-report.html"'
    page, seen = answer.text, Seen(answer.text)
    assert len(page.encode()) < file.MOST_BYTES and "default-src 'none'" in page
    assert {address[:23] for address in seen.addresses} == {"data:image/webp;base64,"}
    assert not seen.tags & {"script", "link", "iframe", "object", "base", "form", "a"} and seen.handlers == []
    assert "url(" not in page and "@import" not in page
    assert page.count("</style>") == 1 and "&lt;/style&gt;" in page, "a prompt ends no stylesheet"
    assert "62615533" not in page and "{{ 7919 * 7907 }}" in page, "and is no template"
    words = (
        "Not decided yet: no gate was set",
        "Usable at first try",
        "no votes yet",
        "not asked yet",
        "Picked by chance",
    )
    for said in (*words, f"seed {sheet.id}"):
        assert said in page, said
    suite = sheets.suite(session, sheet)
    assert suite.content_hash in page and f"version {suite.version}" in page
    assert f"{suite.sampling['steps']}</dd>" in page and "Training run" in page


def test_what_is_held_out_is_in_no_report(session: Session, sheet: Sheet, client: TestClient, me: Person) -> None:
    own = [ColumnWish(checkpoint.id, "hold_out") for checkpoint in drawn_columns(session, sheet)]
    opened = sheets.make(session, sheets.suite(session, sheet), own, me)
    held_out = session.scalars(select(Sample.id).join(Prompt).where(Prompt.tier == "hold_out")).first()
    usable.answer(session, opened, Voter(person_id=me.id), SinglePicture(sample_id=held_out), True, 1.0)
    vote(session, opened, me, 30)
    hold_out.open_for(session, sheets.suite(session, sheet), opened, me)
    assert "Secret prompt" in client.get(f"/compare/{opened.id}").text, "the sheet shows it, once it was opened"
    for kind in ("report", "report.html"):
        page = client.get(f"/compare/{opened.id}/{kind}").text
        assert "Secret prompt" not in page and f"/s{held_out}" not in page and "held out" in page
    assert client.get(f"/compare/{opened.id}/report/pictures/s{held_out}").status_code == 404


def test_chance_picks_the_same_rows_however_much_is_drawn(session: Session, client: TestClient) -> None:
    sheet = sheet_of(session, finished_run(session))
    assert "Nothing is drawn yet." in client.get(f"/compare/{sheet.id}/report").text
    picked = []
    for drawn in (5, 20, 36):
        for cell in sheets.missing(session, sheet)[: drawn - len(sheets.drawn_cells(session, sheet))]:
            sheets.record(session, [sheets.DrawnCell(cell, f"{cell.prompt_id:064d}", 64, 64)])
        answer = client.get(f"/compare/{sheet.id}/report")
        assert answer.status_code == 200 and "its file is gone" in answer.text, "of which no file is there"
        picked.append(re.findall(r"<h3>(.*?)</span></h3>", answer.text, re.DOTALL))
    assert "not drawn yet" in client.get(f"/compare/{sheet_of(session, finished_run(session), 20).id}/report").text
    assert len(picked[0]) == 5 and picked[1] == picked[2] and len(picked[2]) == 12
    assert picked[0] == [row for row in picked[2] if row in picked[0]]


def test_rows_of_many_columns_are_fewer_and_go_by_the_seed_alone(session: Session) -> None:
    from app.evaluation.comparison import compare

    page = compare(session, sheet_of(session, finished_run(session), 36))
    rows = [row for row in page.rows for _ in range(20)]
    assert len(report_pictures.by_chance(rows, 3, 7)) == report_pictures.ROWS
    assert len(report_pictures.by_chance(rows, 8, 7)) * 8 <= report_pictures.MOST_PICTURES
    assert len(report_pictures.by_chance(rows, 40, 7)) == report_pictures.LEAST_ROWS
    assert report_pictures.by_chance(rows, 8, 7) == report_pictures.by_chance(rows, 8, 7)
    assert report_pictures.by_chance(page.rows[:6], 40, 1) != report_pictures.by_chance(page.rows[:6], 40, 2)


def test_best_and_worst_are_those_of_which_most_was_said(session: Session) -> None:
    said = [
        JudgedSample(1, usable=1, answers=1), JudgedSample(2, usable=9, answers=9, won=3), JudgedSample(3, tied=2),
        JudgedSample(4, lost=2, wrong=(("deformed", 1),)), JudgedSample(5, both_bad=1), JudgedSample(6, lost=1),
    ]  # fmt: skip
    best, worst = report_pictures.extremes({each.sample_id: each for each in said}, 3)
    assert [each.sample_id for each in best] == [2, 1], "ten good words before one; a tie says neither"
    assert [each.sample_id for each in worst] == [4, 6, 5]


def test_figures_say_intervals_and_what_people_said(
    session: Session, sheet: Sheet, client: TestClient, me: Person
) -> None:
    mei = cast.person(session, "Mei <i>")
    for person in (me, mei):
        vote(session, sheet, person, 14, "left")
    of_open = select(Vote).join(Prompt, Prompt.id == Vote.prompt_id).where(Prompt.tier != "hold_out")
    (won,) = session.scalars(of_open.order_by(Vote.id).limit(1))
    first = session.scalars(
        select(Sample).filter_by(checkpoint_id=won.left_checkpoint_id, prompt_id=won.prompt_id, seed=won.seed)
    ).one()
    for person in (me, mei, *(cast.person(session, f"Person {n}") for n in range(6))):
        usable.answer(session, sheet, Voter(person_id=person.id), SinglePicture(sample_id=first.id), True, 1.0)
    usable.tag(session, sheet, Voter(person_id=me.id), SinglePicture(sample_id=first.id), "crop", True)
    base = drawn_columns(session, sheet)[0]
    metric = {"suite_id": sheet.suite_id, "checkpoint_id": base.id, "name": "clip_score", "made_with": "abc"}
    session.add(ColumnMetric(**metric, value=0.31, low=0.29, high=0.33, count=36))
    session.flush()
    page = client.get(f"/compare/{sheet.id}/report").text
    assert "8 of 8 would publish it" in page and "cropped" in page
    assert "at least" in page and "clip_score" in page and "0.290 to 0.330" in page and "not measured" in page
    assert "Voter 1" in page and "Mei" not in page, "names are asked for"
    assert "Mei &lt;i&gt;" in client.get(f"/compare/{sheet.id}/report?names=1").text
    assert f'src="/compare/{sheet.id}/report/pictures/s{first.id}"' in page
    shown = client.get(f"/compare/{sheet.id}/report/pictures/s{first.id}")
    assert shown.headers["content-type"] == "image/webp" and Pillow.open(BytesIO(shown.content)).size == (64, 64)


def test_the_verdict_is_told_with_its_gate_and_who_signed_it_off(
    session: Session, sheet: Sheet, client: TestClient, stranger: TestClient, me: Person
) -> None:
    base, candidate, _ = drawn_columns(session, sheet)
    limits = GateLimits(usable=None, best_of=None, category=None, hold_out=None, hard_fails=None, copies=None)
    gate_setting.put(session, sheet, me, limits, base.id)
    vote(session, sheet, cast.person(session, "Jonas"), 6)
    catalog = cast.catalog(session, "Signed")
    signed = {"catalog_id": catalog.id, "sheet_id": sheet.id, "signed_by_id": me.id, "verdict": {}}
    session.add(Promotion(checkpoint_id=candidate.id, **signed))
    _, token = links.make(session, me, sheet, "read", 3)
    session.flush()
    page = client.get(f"/compare/{sheet.id}/report").text
    assert "more votes" in page and "Not worse than the baseline" in page and "at least 40 %" in page
    assert "before any vote" in page and f"by {me.name}" in page and "was made the live model" in page
    assert "Usable at first try" not in page, "what is not asked has no line"
    read = stranger.get(f"/reads/{token}").text
    assert "Not worse than the baseline" in read and "was made the live model" in read and me.name not in read


def test_names_are_for_leads(
    web: FastAPI, session: Session, settings: Settings, sheet: Sheet, me: Person, client: TestClient
) -> None:
    vote(session, sheet, cast.person(session, "Jonas"), 3)
    session.flush()
    assert "Jonas" in client.get(f"/compare/{sheet.id}/report.html?names=1").text
    ben = sign_in(web, session, settings, cast.person(session, "Ben", "annotator"))
    for kind in ("report", "report.html"):
        page = ben.get(f"/compare/{sheet.id}/{kind}?names=1").text
        assert "Jonas" not in page and "Voter 1" in page
    assert "votes.csv" not in ben.get(f"/compare/{sheet.id}/report").text
    assert ben.get(f"/compare/{sheet.id}/votes.csv").status_code == 403
    assert ben.get(f"/compare/{sheet.id}/answers.csv").status_code == 403


def table(client: TestClient, address: str) -> list[dict[str, str]]:
    answer = client.get(address)
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/csv")
    return list(csv.DictReader(StringIO(answer.text.removeprefix("\ufeff"))))


def test_tables_hold_every_vote_answer_and_number(
    web: FastAPI, session: Session, settings: Settings, sheet: Sheet, client: TestClient, me: Person
) -> None:
    link, _ = links.make(session, me, sheet, "vote", 3)
    guest, _ = links.enter(session, link, "=cmd|' /C calc'!A0")
    vote(session, sheet, me, 3, "both_bad")
    voting.take_back(session, sheet, Voter(person_id=me.id))
    for pair in voting.next_pairs(session, sheet, Voter(guest_id=guest.id), 1):
        voting.vote(session, sheet, Voter(guest_id=guest.id), pair, "right", 2.0)
    sample = session.scalars(select(Sample).order_by(Sample.id)).first()
    assert sample is not None
    voter, picture = Voter(person_id=me.id), SinglePicture(sample_id=sample.id)
    usable.answer(session, sheet, voter, picture, True, 1.0)
    usable.answer(session, sheet, voter, picture, False, 1.0)
    usable.tag(session, sheet, voter, picture, "bad_text", True)
    measured = {"fill": 0.91, "=evil": "+1", "has_border": False}
    session.add(SampleMeasure(sample_id=sample.id, version=1, values=measured, nearest_similarity=0.5))
    session.flush()
    rows = table(client, f"/compare/{sheet.id}/votes.csv")
    assert len(rows) == 4 and [row["choice"] for row in rows] == ["both_bad"] * 3 + ["right"]
    assert [bool(row["taken back"]) for row in rows] == [False, False, True, False], "what was taken back says when"
    assert rows[3]["voter"] == "'=cmd|' /C calc'!A0" and rows[3]["kind of voter"] == "guest"
    assert {row["left step"] for row in rows} <= {"0", "50", "100"} and rows[0]["voter"] == me.name
    said = table(client, f"/compare/{sheet.id}/answers.csv")
    assert [(row["asked"], row["answer"], bool(row["taken back"])) for row in said] == [
        ("publish", "yes", True), ("publish", "no", False), ("what is wrong", "bad text", False),
    ]  # fmt: skip
    numbers = {row["metric"]: row["value"] for row in table(client, f"/compare/{sheet.id}/metrics.csv")}
    assert numbers == {"fill": "0.91", "'=evil": "'+1", "has_border": "no", "nearest_similarity": "0.5",
                       "nearest_photo": ""}  # fmt: skip
    viewer = sign_in(web, session, settings, cast.person(session, "Vic", "viewer"))
    assert len(table(viewer, f"/compare/{sheet.id}/metrics.csv")) == 5


def test_tables_keep_the_words_of_what_is_held_out(session: Session, sheet: Sheet, client: TestClient) -> None:
    sample = session.scalars(select(Sample).join(Prompt).where(Prompt.tier == "hold_out")).first()
    assert sample is not None
    session.add(SampleMeasure(sample_id=sample.id, version=1, values={"fill": 0.5}))
    session.flush()
    (row,) = table(client, f"/compare/{sheet.id}/metrics.csv")
    assert (row["tier"], row["text"], row["value"]) == ("hold_out", "held out", "0.5")


def test_tables_are_whole_where_they_come_in_pieces(
    session: Session, sheet: Sheet, client: TestClient, me: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.evaluation import vote_rows

    vote(session, sheet, me, 7)
    session.flush()
    monkeypatch.setattr(vote_rows, "AT_ONCE", 3)
    numbers = [int(row["vote"]) for row in table(client, f"/compare/{sheet.id}/votes.csv")]
    assert len(numbers) == 7 and numbers == sorted(set(numbers))


def test_a_report_of_four_thousand_pictures_is_small(web: FastAPI, session: Session, client: TestClient) -> None:
    run = finished_run(session, steps=tuple(range(10, 80, 10)))
    sampling = {"steps": 4, "guidance": 1.0, "width_px": 64, "height_px": 64, "sampler": "x"}
    texts = [suites.PromptText(text=f"Prompt {n}", category="A", atoms={}) for n in range(125)]
    suite = suites.keep(session, "Large", texts, [1, 2, 3, 4], sampling)
    sheet = sheets.open_sheet(session, run, suite)
    sha256 = web.state.storage.put("samples", png(), ".png")
    cells = sheets.missing(session, sheet)
    assert len(cells) == 4_000
    rows = [
        {"checkpoint_id": c.checkpoint_id, "prompt_id": c.prompt_id, "seed": c.seed, "sha256": sha256, "width_px": 64,
         "height_px": 64, "made_with": {}} for c in cells
    ]  # fmt: skip
    session.execute(insert(Sample), rows)
    page = client.get(f"/compare/{sheet.id}/report.html").text
    assert 8 * report_pictures.LEAST_ROWS < page.count("<img") <= report_pictures.MOST_PICTURES
    assert "of 500 rows" in page and len(page.encode()) < file.MOST_BYTES


def test_pictures_share_the_bytes_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (320, 320, 3), dtype=np.uint8)
    paths = [tmp_path / f"{n}.png" for n in range(3)]
    for path in paths:
        Pillow.fromarray(noise).save(path)
    assert len(small.webp(paths[0])) <= small.LARGEST_BYTES
    monkeypatch.setattr(small, "PICTURES_BYTES", 12_000)
    (tmp_path / "torn.png").write_bytes(paths[0].read_bytes()[:900])
    addresses = small.inlined([*paths, paths[0], tmp_path / "torn.png", tmp_path / "gone.png"])
    assert addresses.keys() == set(paths), "what cannot be read is left out"
    assert sum(map(len, addresses.values())) < 12_000 * 4 / 3 + 200


def test_real_photos_stand_beside_and_go_when_taken_down(
    web: FastAPI, session: Session, sheet: Sheet, client: TestClient, me: Person
) -> None:
    photo = cast.image(session, cast.catalog(session, "Photos"))
    view = BytesIO()
    Pillow.new("RGB", (80, 60), "orange").save(view, "JPEG")
    photo.view_sha256 = web.state.storage.put("views", view.getvalue(), ".jpg")
    base = drawn_columns(session, sheet)[0]
    some = sheets.make(session, sheets.suite(session, sheet), [ColumnWish(base.id), ColumnWish(None)], me)
    prompt_id = next(cell.prompt_id for cell in sheets.wanted(session, some))
    stands = PromptPhoto(prompt_id=prompt_id, position=0, image_id=photo.id)
    session.add(stands)
    session.flush()
    usable.answer(session, some, Voter(person_id=me.id), SinglePicture(prompt_photo_id=stands.id), True, 1.0)
    at = f"/compare/{some.id}/report/pictures/i{photo.id}"
    page = client.get(f"/compare/{some.id}/report").text
    assert at in page and "no photo" in page and "real photos" in page and "1 of 1" in page
    assert client.get(at).status_code == 200
    assert client.get(f"/compare/{sheet.id}/report/pictures/i{photo.id}").status_code == 404, "not a column there"
    for key in ("s0", "i", "x1", "s", "s1e3", "s²", f"s{10**30}"):
        assert client.get(f"/compare/{some.id}/report/pictures/{key}").status_code == 404


def test_pdf_is_not_configured_without_chromium(
    web: FastAPI, session: Session, sheet: Sheet, client: TestClient, tmp_path: Path
) -> None:
    web.state.settings = web.state.settings.model_copy(update={"chromium": str(tmp_path / "none")})
    answer = client.get(f"/compare/{sheet.id}/report.pdf")
    assert answer.status_code == 503 and "PACKSHOT_CHROMIUM" in answer.text and "Not configured" in answer.text
    page = client.get(f"/compare/{sheet.id}/report").text
    assert "not configured" in page and "report.pdf" not in page


def program(folder: Path, script: str) -> Settings:
    """Settings whose Chromium is a shell script."""
    path = folder / "browser"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return Settings(chromium=str(path))


def is_alive(process_id: int) -> bool:
    try:
        return psutil.Process(process_id).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_browser_that_hangs_or_fails_is_ended_and_blocks_nobody(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    with pytest.raises(Unavailable, match="longer than"):
        printing.pdf(program(tmp_path, f"sleep 600 & echo $! > {pid}; wait"), "<p>", limit_s=0.3)
    child = int(pid.read_text())
    until(lambda: not is_alive(child), "what it started is ended too")
    with pytest.raises(Unavailable, match="could not print"):
        printing.pdf(program(tmp_path, "exit 3"), "<p>")
    written = 'for a; do case "$a" in --print-to-pdf=*) printf "%%PDF" > "${a#*=}";; esac; done'
    assert printing.pdf(program(tmp_path, written), "<p>") == b"%PDF"
    with printing._printing, pytest.raises(TooMany):
        printing.pdf(program(tmp_path, written), "<p>")
