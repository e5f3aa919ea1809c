"""Putting a comparison together: what there is to choose, what it takes, what is kept of it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from app.errors import Refused
from app.evaluation import choosing, columns, sheets, suites
from app.evaluation.columns import ColumnWish
from app.evaluation.promotion_tables import HoldOutUse, Promotion
from app.evaluation.suites import PromptText
from app.evaluation.tables import Sample
from app.training import runs
from tests import cast
from tests.evaluation.cast import finished_run, sheet_of

SAMPLING = {"steps": 50, "guidance": 3.0, "width_px": 128, "height_px": 128}


def test_bases_are_offered_once_and_checkpoints_by_run(session: Session) -> None:
    old, new = finished_run(session), finished_run(session)
    gone = finished_run(session)
    gone.state = "discarded"
    session.flush()
    there = choosing.choices(session)
    assert [(run.id, base.step) for run, base in there.bases] == [(new.id, 0)]
    assert [(choice.run.id, [c.step for c in choice.checkpoints]) for choice in there.runs] == [
        (new.id, [50, 100]),
        (old.id, [50, 100]),
    ]
    assert [choice.best or choice.lowest for choice in there.runs] == [50, 50]
    base = runs.checkpoints(session, old.id)[0]
    assert choosing.choices(session, [base.id]).bases == [(old, base)], "the one that was chosen stays chosen"


def test_the_live_model_is_offered_however_old_its_run_is(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = finished_run(session), finished_run(session)
    monkeypatch.setattr(choosing, "RUNS_AT_MOST", 1)
    assert [choice.run.id for choice in choosing.choices(session).runs] == [new.id]
    checkpoint = runs.checkpoints(session, old.id)[1]
    catalog = cast.catalog(session)
    session.add(
        Promotion(catalog_id=catalog.id, checkpoint_id=checkpoint.id, verdict={}, signed_by_id=cast.person(session).id)
    )
    session.flush()
    there = choosing.choices(session)
    assert [choice.run.id for choice in there.runs] == [new.id, old.id]
    assert there.live == {checkpoint.id: catalog.id}


def test_columns_stand_in_one_order_whatever_was_ticked_first(session: Session) -> None:
    run, other = finished_run(session), finished_run(session)
    first, second = (runs.checkpoints(session, each.id) for each in (run, other))
    ticked = [None, second[2].id, first[1].id, second[0].id, second[2].id]
    wishes = choosing.in_order(session, [ColumnWish(number) for number in ticked])
    assert [wish.checkpoint_id for wish in wishes] == [second[0].id, first[1].id, second[2].id, None]


def test_what_was_drawn_is_not_counted_and_time_is_as_measured(session: Session) -> None:
    run = finished_run(session)
    sheet = sheet_of(session, run, drawn=24)
    suite = sheets.suite(session, sheet)
    wishes = [ColumnWish(c.id) for c in runs.checkpoints(session, run.id)]
    assert choosing.drawing(session, suite, wishes) == choosing.Drawing(36, 12, None)
    run.pace = {"sample_s": 0.5}
    session.flush()
    told = choosing.drawing(session, suite, wishes).seconds
    assert told == pytest.approx(12 * 0.5), "as the run's previews took"
    begun = session.query(Sample).order_by(Sample.id).first()
    assert begun is not None
    for number, sample in enumerate(session.query(Sample).order_by(Sample.id)):
        sample.made_with = {"torch": "2"}
        sample.created_at = begun.created_at + timedelta(seconds=16 * (number // 4))
    session.flush()
    assert choosing.drawing(session, suite, wishes).seconds == pytest.approx(12 * 4.0), "16 s for a batch of 4"
    assert choosing.drawing(session, suite, [ColumnWish(wishes[0].checkpoint_id, "preview"), ColumnWish(None)]) == (
        choosing.Drawing(0, 0, 0.0)
    ), "a preview of a suite whose prompts are all of the full tier"


def test_a_preview_of_smaller_pictures_is_scaled_to_the_suite(session: Session) -> None:
    run = finished_run(session)
    run.pace = {"sample_s": 0.5}
    suite = suites.keep(session, "Large", [PromptText("A kettle.", "A")], [1], SAMPLING)
    wishes = [ColumnWish(c.id) for c in runs.checkpoints(session, run.id)[:2]]
    assert choosing.drawing(session, suite, wishes).seconds == pytest.approx(2 * 0.5 * 2 * 4)


@pytest.mark.parametrize(("wishes", "words"), [([1], "2 to 40"), ([], "2 to 40"), (range(41), "2 to 40")])
def test_too_few_and_too_many_columns_are_refused(wishes: list[int], words: str) -> None:
    with pytest.raises(Refused, match=words):
        choosing.refuse_unfit([ColumnWish(number) for number in wishes])


def test_columns_come_and_go_and_what_was_drawn_stays(session: Session) -> None:
    run, me = finished_run(session), cast.person(session)
    suite = sheets.suite(session, sheet_of(session, run, drawn=36))
    ids = [c.id for c in runs.checkpoints(session, run.id)]
    sheet = choosing.put_together(session, suite, [ColumnWish(ids[0]), ColumnWish(ids[1])], me, " Autumn ")
    assert (sheet.name, sheets.missing(session, sheet)) == ("Autumn", [])
    same = choosing.put_together(session, suite, [ColumnWish(ids[1]), ColumnWish(ids[2])], me, "", sheet)
    assert (same.id, same.name) == (sheet.id, "Autumn")
    assert [c.id for c in columns.drawn_columns(session, sheet)] == ids[1:]
    assert session.query(Sample).count() == 36
    assert [wish.checkpoint_id for wish in choosing.chosen_of(session, sheet)] == ids[1:]


def test_opening_the_hold_out_is_counted_once_for_a_sheet(session: Session) -> None:
    run, me = finished_run(session), cast.person(session)
    prompts = [PromptText("A kettle.", "A"), PromptText("A vase.", "A", tier="hold_out")]
    suite = suites.keep(session, "With a hold-out", prompts, [1], SAMPLING)
    ids = [c.id for c in runs.checkpoints(session, run.id)]
    plain = [ColumnWish(ids[0]), ColumnWish(ids[1])]
    sheet = choosing.put_together(session, suite, plain, me)
    assert session.query(HoldOutUse).count() == 0
    for _ in range(2):
        choosing.put_together(session, suite, [ColumnWish(ids[0], "hold_out"), plain[1]], me, sheet=sheet)
    assert [use.sheet_id for use in session.query(HoldOutUse)] == [sheet.id]
