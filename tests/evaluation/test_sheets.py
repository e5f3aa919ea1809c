"""Suites are fixed and versioned; sheets are drawn once, whatever is asked twice."""

from __future__ import annotations

import pytest
from sqlalchemy.orm import Session

from app import jobs
from app.datasets.tables import DatasetVersion
from app.errors import NotFound, Refused
from app.evaluation import columns, sheets, suites
from app.evaluation.sheets import DrawnCell
from app.evaluation.suites import PromptText
from app.evaluation.tables import Sample
from app.training import runs
from tests.evaluation.cast import finished_run, sheet_of
from tests.training.cast import CATEGORIES, frozen_version, one_run

RECIPE = runs.plan("models/nano")


def test_prompts_are_held_out_captions_spread_over_the_categories(session: Session) -> None:
    version = frozen_version(session, photos=20, validation=9)
    chosen = suites.choose_prompts(session, version, count=6)
    assert [prompt.category for prompt in chosen] == [name for name in CATEGORIES for _ in range(2)]
    assert all(int(prompt.text.split()[2].rstrip(",")) >= 11 for prompt in chosen), "only held-out members"
    assert chosen == suites.choose_prompts(session, version, count=6)


def test_a_version_without_held_out_members_is_drawn_from_its_train_members(session: Session) -> None:
    version = frozen_version(session, photos=3, validation=0)
    assert len(suites.choose_prompts(session, version)) == 3


def test_a_version_without_members_has_nothing_to_draw(session: Session) -> None:
    with pytest.raises(Refused, match="no captions"):
        suites.choose_prompts(session, frozen_version(session, photos=0, validation=0))


def test_the_same_suite_is_kept_once(session: Session) -> None:
    version = frozen_version(session)
    first = suites.suite_for(session, version, RECIPE)
    assert suites.suite_for(session, version, RECIPE).id == first.id
    assert first.sampling == {"steps": 25, "guidance": 3.0, "width_px": 64, "height_px": 64}
    assert len(first.seeds) == 2
    assert [p.position for p in suites.prompts_of(session, first)] == [1, 2, 3, 4, 5, 6]


def test_other_settings_make_a_new_version_of_the_suite(session: Session) -> None:
    version = frozen_version(session)
    first = suites.suite_for(session, version, RECIPE)
    second = suites.suite_for(session, version, RECIPE.model_copy(update={"guidance": 4.0}))
    assert (first.name, first.version) == (second.name, second.version - 1)
    assert first.content_hash != second.content_hash


def test_prompts_given_by_hand_stay_with_the_version(session: Session) -> None:
    version = frozen_version(session)
    unseen = PromptText("A yellow kettle on a grey background.", "Unseen pairs", {"colour": "yellow"})
    first = suites.suite_for(session, version, RECIPE, extra=[unseen])
    assert suites.prompts_of(session, first)[-1].text == unseen.text
    assert suites.suite_for(session, version, RECIPE).id == first.id


def test_a_sheet_asked_for_twice_is_drawn_once(session: Session) -> None:
    run = finished_run(session)
    sheet = sheet_of(session, run)
    assert sheet_of(session, run).id == sheet.id
    job = jobs.get(session, sheet.job_id or 0)
    assert (job.kind, job.total) == ("sheet.draw", 3 * 6 * 2)


def test_a_sheet_whose_drawing_ended_early_is_asked_for_again(session: Session) -> None:
    run = finished_run(session)
    sheet = sheet_of(session, run, drawn=5)
    first = jobs.get(session, sheet.job_id or 0)
    first.state = "failed"
    session.flush()
    assert sheet_of(session, run).job_id != first.id
    assert jobs.get(session, sheet.job_id or 0).done == 5


def test_a_whole_sheet_is_not_asked_for_again(session: Session) -> None:
    run = finished_run(session)
    sheet = sheet_of(session, run, drawn=36)
    jobs.get(session, sheet.job_id or 0).state = "done"
    session.flush()
    before = sheet.job_id
    assert sheet_of(session, run).job_id == before


def test_a_run_without_checkpoints_has_no_sheet(session: Session) -> None:
    run = one_run(session)
    runs.begin(session, run)
    with pytest.raises(Refused, match="no checkpoints"):
        sheet_of(session, run)


def test_cells_come_checkpoint_by_checkpoint_the_last_one_first(session: Session) -> None:
    run = finished_run(session)
    sheet = sheet_of(session, run, drawn=3)
    cells = sheets.missing(session, sheet)
    base, first, last = (checkpoint.id for checkpoint in runs.checkpoints(session, run.id))
    assert [cell.checkpoint_id for cell in cells] == [last] * 9 + [base] * 12 + [first] * 12
    assert len(cells) == 3 * 6 * 2 - 3 == sheets.cell_count(session, sheet) - 3


def test_a_cell_keeps_its_first_picture(session: Session) -> None:
    sheet = sheet_of(session, finished_run(session))
    cell = sheets.missing(session, sheet)[0]
    sheets.record(session, [DrawnCell(cell, "a" * 64, 64, 64)])
    sheets.record(session, [DrawnCell(cell, "b" * 64, 64, 64)])
    assert cell not in sheets.missing(session, sheet)
    (only,) = session.query(Sample).all()
    assert only.sha256 == "a" * 64


def test_many_checkpoints_are_thinned_to_the_base_the_best_the_last_and_between(session: Session) -> None:
    run = finished_run(session, steps=tuple(range(10, 310, 10)))
    chosen = columns.run_columns(session, run.id)
    steps = [checkpoint.step for checkpoint in chosen]
    assert len(steps) == sheets.COLUMNS
    assert (steps[0], steps[1], steps[-1]) == (0, 10, 300)
    assert steps == sorted(steps)


def test_unknown_ids_are_named(session: Session) -> None:
    with pytest.raises(NotFound, match="sheet 77"):
        sheets.get(session, 77_000_000 - 76_999_923)
    with pytest.raises(NotFound, match="no sample"):
        sheets.sample(session, 2**31)


def test_recent_sheets_come_with_how_much_is_drawn(session: Session) -> None:
    sheet = sheet_of(session, finished_run(session), drawn=4)
    assert sheets.recent(session)[0] == sheet
    assert len(sheets.missing(session, sheet)) == sheets.cell_count(session, sheet) - 4
    run = session.get_one(runs.TrainingRun, sheet.run_id)
    assert sheets.latest_of(session, run.id) is sheet
    assert session.get_one(DatasetVersion, run.version_id)
