"""The pages of runs: the list, the launch, and one run in each of its states."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from app import jobs
from app.database import utc_now
from app.settings import Settings
from app.storage import Storage
from app.training import runs
from app.web.routes.runs import events_behind
from tests.evaluation.cast import finished_run, sheet_of
from tests.training.cast import one_run, training


def test_without_a_version_the_list_says_what_to_do_first(client: TestClient) -> None:
    assert "no frozen dataset version" in client.get("/runs").text
    assert "No frozen dataset version to train from" in client.get("/runs/new").text


def test_the_list_names_state_and_end(client: TestClient, session: Session) -> None:
    run = training(session)
    runs.end(session, run, "failed", "The disk is full.")
    page = client.get("/runs").text
    assert f"Run {run.id}" in page
    assert "The disk is full." in page
    assert "New run" in page


def test_a_run_that_waits_says_that_no_worker_is_there(client: TestClient, session: Session) -> None:
    page = client.get(f"/runs/{one_run(session).id}")
    assert "No GPU worker is running." in page.text
    assert "Cancel run" in page.text
    assert "Nothing measured yet." in page.text


def test_a_run_that_waits_behind_another_job_names_it(client: TestClient, session: Session) -> None:
    training(session)
    page = client.get(f"/runs/{one_run(session).id}")
    assert "busy: fine-tuning, job" in page.text


def test_a_run_that_waits_for_devices_says_so(client: TestClient, session: Session) -> None:
    run = one_run(session)
    claim = jobs.claim(session, run.job_id or 0, "worker")
    assert claim is not None
    sentence = "The run needs 2 devices of this machine at once. The job waits until so many are free."
    jobs.beat(session, claim, note=sentence)
    session.commit()
    assert sentence in client.get(f"/runs/{run.id}").text
    jobs.give_back(session, claim, sentence)
    session.commit()
    assert sentence in client.get(f"/runs/{run.id}").text


def test_a_running_run_shows_how_far_it_is(client: TestClient, session: Session) -> None:
    run = training(session)
    page = client.get(f"/runs/{run.id}")
    assert "Step 20</b> of 100 · 640 pictures seen" in page.text
    assert "Stop and keep" in page.text
    assert page.context["live"].forecast is not None
    assert [line.title for line in page.context["live"].lines] == [
        "checkpoint 20", "validation", "step 20", "validation", "training began",
    ]  # fmt: skip
    assert page.context["live"].lines[1].more == "0.400 at step 20, lowest so far"


def test_the_curves_lie_in_the_page_and_at_their_own_address(client: TestClient, session: Session) -> None:
    run = training(session)
    page = client.get(f"/runs/{run.id}").text
    inline = page.split("data-curves>")[1].split("</script>")[0]
    data = client.get(f"/runs/{run.id}/curves").json()
    assert json.loads(inline) == data
    assert data["axes"]["step"] == [4, 8, 12, 16, 20]
    assert data["axes"]["time"] == [2, 3, 4, 5, 6]
    assert data["axes"]["pictures"] == [number * run.recipe["batch_size"] for number in (4, 8, 12, 16, 20)]
    assert data["bands"][2] == {"mean": [None] * 5}
    assert data["memory"]["mean"] == [71e9] * 5
    assert (data["validation"]["axes"]["step"], data["validation"]["mean"]) == ([0, 20], [0.9, 0.4])
    assert data["last_seq"] == 9


def test_the_live_parts_are_those_of_the_page(client: TestClient, session: Session) -> None:
    run = training(session)
    page, parts = client.get(f"/runs/{run.id}").text, client.get(f"/runs/{run.id}/live").text
    for part in ("head", "cost", "events", "samples", "log"):
        assert f'data-part="{part}"' in page
        assert f'data-part="{part}"' in parts
    assert "<html" not in parts


def test_money_is_counted_only_where_an_hour_has_a_price(client: TestClient, session: Session) -> None:
    run = training(session)
    assert "price of an hour not configured" in client.get(f"/runs/{run.id}").text


def test_news_is_replayed_from_the_last_number_seen(session: Session) -> None:
    run = training(session)
    batch = events_behind(session, run.id, after=7)
    assert [(one.number, one.kind, one.data["kind"]) for one in batch.events] == [
        (8, "run_event", "validation"), (9, "run_event", "checkpoint"),
    ]  # fmt: skip
    assert not batch.is_over
    runs.end(session, run, "completed", "All 100 steps are done.")
    assert events_behind(session, run.id, after=9).is_over


def test_the_stream_ends_with_the_run(client: TestClient, session: Session) -> None:
    run = training(session)
    runs.end(session, run, "completed", "All 100 steps are done.")
    lines = client.get(f"/runs/{run.id}/events", headers={"Last-Event-ID": "8"}).text.splitlines()
    assert "id: 9" in lines
    assert "id: 8" not in lines
    assert lines[-3:-1] == ["event: over", "data: {}"]


def test_stop_and_keep(client: TestClient, session: Session) -> None:
    run = training(session)
    page = client.post(f"/runs/{run.id}/stop", data={"keep": "true"}, follow_redirects=True)
    assert "The trainer finishes its step and saves, within" in page.text
    assert "Surely stopped by" in page.text
    session.expire_all()
    assert runs.get(session, run.id).state == "stopping"


def test_discard(client: TestClient, session: Session) -> None:
    run = training(session)
    page = client.post(f"/runs/{run.id}/stop", data={"keep": "false"}, follow_redirects=True)
    assert "discarding" in page.text
    assert "what it learned is deleted" in page.text


def test_stopping_a_run_that_is_over_is_a_conflict(client: TestClient, session: Session) -> None:
    run = training(session)
    runs.end(session, run, "completed", "All 100 steps are done.")
    answer = client.post(f"/runs/{run.id}/stop", data={"keep": "true"}, headers={"Accept": "application/json"})
    assert answer.status_code == 409


def test_a_failed_run_shows_why_the_log_and_the_next_step(
    client: TestClient, session: Session, settings: Settings, storage: Storage
) -> None:
    run = training(session)
    runs.end(session, run, "failed", "The trainer was ended from outside (Killed).")
    folder: Path = Storage(settings.data_dir).run_folder(run.id)
    folder.mkdir(parents=True)
    (folder / runs.LOG).write_text("loading\nstep 20 <b>bold</b>\n")
    page = client.get(f"/runs/{run.id}").text
    assert "The trainer was ended from outside (Killed)." in page
    assert "step 20 &lt;b&gt;bold" in page
    assert "Go on from step 20" in page
    client.post(f"/runs/{run.id}/resumption")
    session.expire_all()
    assert runs.get(session, run.id).state == "queued"


def test_a_trainer_that_hangs_is_said(client: TestClient, session: Session) -> None:
    page = client.get(f"/runs/{training(session, silent_s=600).id}")
    assert "No event for 10 m; one used to come every" in page.text
    assert page.context["live"].forecast is None


def test_a_worker_that_fell_silent_is_said(client: TestClient, session: Session) -> None:
    run = training(session)
    jobs.get(session, run.job_id or 0).lease_until = utc_now() - timedelta(seconds=5)
    session.flush()
    assert "Another one takes over within a minute" in client.get(f"/runs/{run.id}").text


def test_a_completed_run_shows_its_samples(client: TestClient, session: Session) -> None:
    run = finished_run(session)
    sheet = sheet_of(session, run, drawn=15)
    page = client.get(f"/runs/{run.id}")
    assert f'href="/compare/{sheet.id}"' in page.text
    assert [row.text.split()[0] for row in page.context["live"].strip.rows] == ["Kettle", "Shoe", "Vase"]
    assert "not drawn yet" in page.text


def test_a_name_cannot_break_out_of_the_page(client: TestClient, session: Session) -> None:
    run = training(session)
    run.base = "</script><script>alert(1)</script>"
    session.flush()
    assert "<script>alert" not in client.get(f"/runs/{run.id}").text


@pytest.mark.parametrize("number", ["9" * 5000, "9" * 19, "-1", "²", "x"])
def test_events_after_a_number_that_is_none_start_at_the_first(
    client: TestClient, session: Session, number: str
) -> None:
    run = training(session)
    runs.end(session, run, "failed", "The trainer was ended from outside (Killed).")
    address = f"/runs/{run.id}/events"
    assert client.get(address, params={"after": number}).text == client.get(address).text


def test_an_unknown_run_is_not_here(client: TestClient) -> None:
    assert client.get("/runs/4711").status_code == 404
    assert client.get("/runs/4711/events").status_code == 404
