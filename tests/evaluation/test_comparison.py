"""The comparison shows every cell: a sample, or why there is none."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from app import jobs
from app.database import utc_now
from app.evaluation import comparison, sheets
from app.evaluation.tables import Sheet
from app.training import run_events, runs
from tests.evaluation.cast import finished_run, sheet_of


def job_of(session: Session, sheet: Sheet) -> jobs.Job:
    return jobs.get(session, sheet.job_id or 0)


def test_columns_are_the_base_and_the_checkpoints(session: Session) -> None:
    page = comparison.compare(session, sheet_of(session, finished_run(session)))
    assert [(c.step, c.validation_loss, c.is_best) for c in page.columns] == [
        (0, 0.9, False), (50, 0.30, True), (100, 0.31, False),
    ]  # fmt: skip
    assert len(page.rows) == page.row_count == 12
    assert page.rows[0].key == "1.11"
    assert {len(row.pictures) for row in page.rows} == {3}


def test_a_sample_stands_in_its_own_cell(session: Session) -> None:
    sheet = sheet_of(session, finished_run(session), drawn=13)
    page = comparison.compare(session, sheet)
    drawn = [(row.key, picture.step) for row in page.rows for picture in row.pictures if picture.sample_id]
    assert len(drawn) == page.drawn == 13
    assert sum(step == 100 for _, step in drawn) == 12
    assert (page.rows[0].key, 0) in drawn, "the thirteenth is the first row under the base"
    assert page.wanted == 36


def test_categories_are_counted_in_rows_and_filter_them(session: Session) -> None:
    sheet = sheet_of(session, finished_run(session))
    page = comparison.compare(session, sheet, category="Shoes")
    assert page.categories == [("Kettles", 4), ("Shoes", 4), ("Vases", 4)]
    assert len(page.rows) == 4
    assert {row.category for row in page.rows} == {"Shoes"}
    assert page.row_count == 12
    assert comparison.compare(session, sheet, category="Boats").rows == []


@pytest.mark.parametrize(
    ("state", "why"),
    [
        ("queued", "not drawn yet"),
        ("running", "not drawn yet"),
        ("failed", "not drawn: drawing failed"),
        ("cancelled", "not drawn: drawing was stopped"),
        ("done", "not drawn"),
    ],
)
def test_an_empty_cell_says_why(session: Session, state: str, why: str) -> None:
    sheet = sheet_of(session, finished_run(session))
    job_of(session, sheet).state = state
    session.flush()
    assert {p.why for row in comparison.compare(session, sheet).rows for p in row.pictures} == {why}


def test_a_cell_to_come_says_when_measured_on_the_pictures_before_it(session: Session) -> None:
    began = utc_now() - timedelta(minutes=5)
    sheet = sheet_of(session, finished_run(session), drawn=8, at=began + timedelta(seconds=80))
    job = job_of(session, sheet)
    job.state, job.started_at = "running", began
    later = sheets.missing(session, sheet)[:4]
    sheets.record(session, [sheets.DrawnCell(cell, "c" * 64, 64, 64) for cell in later])
    page = comparison.compare(session, sheet)
    # Four pictures took 220 seconds after the first batch.
    assert page.seconds_left == pytest.approx(24 * 55, rel=0.02)
    assert page.rows[0].pictures[0].why == "under a minute"
    assert page.rows[1].pictures[0].why == "about 2 min"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "under a minute"),
        (60, "under a minute"),
        (61, "about 2 min"),
        (3600, "about 1 h 0 min"),
        (4200, "about 1 h 10 min"),
    ],
)
def test_times_to_wait_are_rough(seconds: float, words: str) -> None:
    assert comparison.words_for(seconds) == words


@pytest.mark.parametrize(
    ("base", "losses", "best", "lowest", "alike"),
    [
        (0.9, (0.5, 0.4, 0.3), 300, 300, ()),
        (0.3, (0.5, 0.4, 0.45), 0, 0, ()),  # no checkpoint beats the base
        (0.9, (0.5, 0.3001, 0.3), None, 300, (200,)),
        (0.3, (0.3001, 0.3003, 0.3002), None, 0, (100, 200, 300)),
    ],
)
def test_best_competes_with_the_base_and_claims_nothing_inside_noise(
    session: Session, base: float, losses: tuple[float, ...], best: int | None, lowest: int, alike: tuple[int, ...]
) -> None:
    page = comparison.compare(session, sheet_of(session, finished_run(session, (100, 200, 300), losses, base)))
    assert [c.step for c in page.columns if c.is_best] == ([] if best is None else [best])
    assert [c.step for c in page.columns if c.is_lowest] == [lowest]
    assert page.ranking.alike == alike


def test_columns_that_were_learned_by_heart_are_marked(session: Session) -> None:
    run = finished_run(session, (150, 300, 450, 600), (0.145, 0.25, 0.4, 0.527), 0.222)
    page = comparison.compare(session, sheet_of(session, run))
    known = page.insight
    assert (known.verdict.worse_since, known.verdict.is_overfitting, known.offered) == (300, True, 150)
    assert [c.step for c in page.columns if c.is_worse] == [300, 450, 600]


def test_an_exploded_checkpoint_is_in_no_sheet(session: Session) -> None:
    run = finished_run(session, (100, 200, 300), (0.5, 0.4, 90_000.0))
    run_events.record(session, run, [
        {"seq": 8, "at": utc_now().isoformat(), "kind": "failed", "cause": "diverged", "sentence": "It exploded.",
         "good_step": 200, "model_step": 200},
    ])  # fmt: skip
    runs.end(session, run, "failed", "It exploded.", "diverged")
    page = comparison.compare(session, sheet_of(session, run))
    assert [c.step for c in page.columns] == [0, 100, 200]
    assert (page.insight.has_diverged, page.insight.offered) == (True, 200)


def test_a_run_of_before_says_what_it_knows(session: Session) -> None:
    """Its events tell means alone, and it may have none at all."""
    run = finished_run(session)
    for event in run_events.events_after(session, run.id, 0):
        event.data = {name: known for name, known in event.data.items() if name not in ("products", "training")}
    session.flush()
    page = comparison.compare(session, sheet_of(session, run))
    assert [(c.step, c.is_best, c.is_lowest) for c in page.columns] == [
        (0, False, False), (50, False, True), (100, False, False),
    ]  # fmt: skip
    assert not page.ranking.can_tell
