"""Samples asked for while a run trains: asked once, told to its trainer, over with the next checkpoint."""

from __future__ import annotations

from datetime import timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from app.database import utc_now
from app.errors import Conflict
from app.training import drawing, runs
from app.training.tables import Checkpoint
from tests.evaluation.cast import finished_run, sheet_of
from tests.training.cast import one_run, training


def test_samples_are_asked_for_once_until_a_checkpoint_comes(session: Session) -> None:
    run = training(session)
    assert drawing.asked(session, run) is None
    drawing.ask(session, run)
    drawing.ask(session, run)
    assert [note.kind for note in runs.notes(session, run.id)] == [drawing.ASKED]
    wish = drawing.asked(session, run)
    assert wish is not None
    session.add(Checkpoint(run_id=run.id, step=23, folder="x", created_at=wish.at + timedelta(seconds=1)))
    session.flush()
    assert drawing.asked(session, run) is None


def test_a_run_that_does_not_train_draws_nothing_now(session: Session) -> None:
    with pytest.raises(Conflict, match="is queued"):
        drawing.ask(session, one_run(session))
    run = training(session)
    drawing.ask(session, run)
    run.state, run.ended_at = "failed", utc_now()
    session.flush()
    assert drawing.asked(session, run) is None


def test_the_page_offers_it_and_says_that_it_was_asked(client: TestClient, session: Session) -> None:
    run = training(session)
    assert "Draw now" in client.get(f"/runs/{run.id}").text
    assert client.post(f"/runs/{run.id}/drawing", follow_redirects=False).status_code == 303
    page = client.get(f"/runs/{run.id}").text
    assert "Draw now" not in page and "drawn after the trainer’s next step" in page


def test_a_run_that_is_over_draws_its_sheet_by_a_job(client: TestClient, session: Session) -> None:
    run = finished_run(session)
    assert "has no sheet to draw" in client.post(f"/runs/{run.id}/drawing").text
    sheet = sheet_of(session, run)
    answer = client.post(f"/runs/{run.id}/drawing", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/compare/{sheet.id}")
