"""What pages say of a run's learning: diverged, overfitting, worse, best, and the checkpoint that they offer."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from app import jobs
from app.database import utc_now
from app.settings import Settings
from app.storage import Storage
from app.training import models, run_events, runs, validations
from app.training.tables import TrainingRun
from app.web.formats import loss
from tests.evaluation.cast import finished_run, sheet_of, validation
from tests.training.cast import news, one_run, take, training

HEART: dict[str, Any] = {"steps": (150, 300, 450, 600), "losses": (0.145, 0.25, 0.4, 0.527), "base": 0.222}


def text_of(client: TestClient, address: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", "", client.get(address).text).split())


def diverged(session: Session, good_step: int = 20) -> TrainingRun:
    """A run whose trainer told that its loss exploded, after the checkpoint of step 20 and one more."""
    run = training(session)
    at = utc_now().isoformat()
    told = [
        news(10, "checkpoint", step=40, folder="checkpoints/step-000040", size_bytes=29_100_000, seconds=0.2),
        news(11, "failed", cause="diverged", sentence="The loss exploded.", good_step=good_step, model_step=good_step),
    ]
    run_events.record(session, run, [event | {"at": at} for event in told])
    runs.end(session, run, "failed", "The loss exploded.", "diverged")
    return run


def test_a_diverged_run_is_red_and_offers_what_is_left(client: TestClient, session: Session) -> None:
    run = diverged(session)
    sheet = sheet_of(session, run)
    page = client.get(f"/runs/{run.id}")
    assert page.context["live"].state == ("drop", "warn", "diverged")
    assert (page.context["live"].end.saved, page.context["live"].notice.offered) == (20, 20)
    words = text_of(client, f"/runs/{run.id}")
    assert words.count("Diverged at step 20 of 100.") == 1
    assert "Write the model from step 20" in words, "nothing is in its folder"
    assert "Launch it again with a third of the learning rate" in words
    assert "Draw the sheet up to step 20" in words
    assert [listed.tags for listed in client.get("/runs").context["runs"]] == [[("drop", "warn", "diverged")]]
    assert [listed.warning for listed in client.get("/compare").context["sheets"]] == [("drop", "warn", "diverged")]
    assert [column.step for column in client.get(f"/compare/{sheet.id}").context["page"].columns] == [0, 20]
    assert "Diverged: the last good checkpoint is step 20. What was saved" in text_of(client, f"/compare/{sheet.id}")


def test_the_launch_that_a_diverged_run_offers_has_a_third_of_its_rate_and_is_a_plan(
    client: TestClient, session: Session
) -> None:
    run = diverged(session)
    page = client.get(client.get(f"/runs/{run.id}").context["live"].end.slower)
    recipe = page.context["plan"].recipe
    assert not page.context["plan"].faults
    assert recipe.muon_lr == pytest.approx(run.recipe["muon_lr"] / 3, rel=0.02)
    assert (recipe.steps, recipe.batch_size) == (run.steps, run.recipe["batch_size"])


def test_a_run_that_diverged_before_its_first_checkpoint_offers_none(client: TestClient, session: Session) -> None:
    run = diverged(session, good_step=0)
    words = text_of(client, f"/runs/{run.id}")
    assert "Launch it again with a third of the learning rate" in words
    assert "Write the model" not in words and "Draw the sheet" not in words


def test_overfitting_is_said_on_the_run_its_sheet_and_its_columns(client: TestClient, session: Session) -> None:
    run = finished_run(session, **HEART)
    sheet = sheet_of(session, run)
    for address in (f"/runs/{run.id}", f"/compare/{sheet.id}"):
        words = text_of(client, address)
        assert "Overfitting since step 300" in words
        assert "Take step 150" in words
        assert "Write the model from step 150" in words
    assert text_of(client, f"/compare/{sheet.id}").count(", worse") == 3
    assert "Step 150 is best on 8 held-out products, by more than noise." in words
    for address in ("/runs", "/compare"):
        assert "overfitting since step 300" in text_of(client, address)


@pytest.mark.parametrize(("saved", "offered"), [((130, 260, 390), 260), ((500,), 0), ((230, 390), 230)])
def test_a_checkpoint_between_two_validations_is_offered(
    client: TestClient, session: Session, saved: tuple[int, ...], offered: int
) -> None:
    run = one_run(session)
    take(session, run)
    told = [
        validation(step, loss) for step, loss in ((0, 0.35), (100, 0.3), (200, 0.1), (300, 0.1), (400, 0.5), (500, 0.6))
    ]
    told += [
        {"kind": "checkpoint", "step": step, "folder": f"checkpoints/step-{step:06d}", "size_bytes": 4, "seconds": 0.1}
        for step in saved
    ]
    at = utc_now().isoformat()
    run_events.record(session, run, [{"seq": 1 + i, "at": at, **event} for i, event in enumerate(told)])
    known = validations.insight(session, run)
    assert (known.verdict.worse_since, known.offered) == (400, offered), known.verdict


def test_the_list_compares_the_validations_of_a_run_that_is_over_once(
    client: TestClient, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = finished_run(session, (150, 300), (0.2, 0.15), 0.222)
    run.ended_at = run.ended_at or utc_now()
    session.flush()
    assert client.get("/runs").status_code == 200
    compared: list[int] = []
    monkeypatch.setattr(validations, "looks", lambda _, run_id: compared.append(run_id) or [])
    assert client.get("/runs").status_code == 200
    assert compared == []
    run.ended_at = utc_now()  # it went on, and ended again
    session.flush()
    client.get("/runs")
    assert compared == [run.id]


def test_a_run_that_still_learns_is_warned_of_nothing(client: TestClient, session: Session) -> None:
    run = finished_run(session, (150, 300), (0.2, 0.15), 0.222)
    assert client.get(f"/runs/{run.id}").context["live"].notice is None
    sheet_of(session, run)


def test_what_rises_on_both_sides_is_worse_and_not_overfitting(client: TestClient, session: Session) -> None:
    run = training(session)
    told = [validation(step, loss, training=rising) for step, loss, rising in ((40, 0.9, 0.3), (60, 1.9, 0.5))]
    told = [validation(20, 0.4, training=0.1), *told]
    at = utc_now().isoformat()
    run_events.record(session, run, [{"seq": 10 + i, "at": at, **event} for i, event in enumerate(told)])
    for event in run_events.events_after(session, run.id, 0):
        if event.seq == 2:
            event.data = validation(0, 0.9)
    session.flush()
    words = text_of(client, f"/runs/{run.id}")
    assert "Worse since step 40" in words and "Overfitting" not in words


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"base": 0.1, "losses": (0.3, 0.2)}, "The base is best on 8 held-out products: no checkpoint beats it."),
        ({"base": 0.9, "losses": (0.3, 0.3001)}, "None is best: step 50 and step 100 cannot be told apart"),
    ],
)
def test_best_is_said_with_its_reason_or_not_at_all(
    client: TestClient, session: Session, changes: dict[str, Any], sentence: str
) -> None:
    sheet = sheet_of(session, finished_run(session, **changes))
    assert sentence in text_of(client, f"/compare/{sheet.id}")


def test_the_model_is_written_from_another_checkpoint_once(
    client: TestClient, session: Session, settings: Settings
) -> None:
    run = finished_run(session, **HEART)
    for _ in range(2):
        assert client.post(f"/runs/{run.id}/model", data={"step": 150}).status_code == 303
    session.expire_all()
    asked = session.query(jobs.Job).filter_by(kind="run.export").all()
    assert [(job.queue, job.arguments) for job in asked] == [("gpu", {"run_id": run.id, "step": 150})]
    assert f"The model of step 150 is being written: job {asked[0].id}." in text_of(client, f"/runs/{run.id}")
    asked[0].state = "done"
    session.commit()
    model = Storage(settings.data_dir).run_folder(run.id) / "model"
    model.mkdir(parents=True)
    (model / "packshot.json").write_text(json.dumps({"step": 150}))
    words = text_of(client, f"/runs/{run.id}")
    assert "The finished model is that of step 150." in words and "Write the model" not in words


@pytest.mark.parametrize(("step", "status"), [(151, 404), (0, 422), ("x", 422), (10**30, 422)])
def test_a_checkpoint_that_is_not_there_is_refused(
    client: TestClient, session: Session, step: object, status: int
) -> None:
    run = finished_run(session, **HEART)
    assert client.post(f"/runs/{run.id}/model", data={"step": str(step)}).status_code == status
    assert models.newest_job(session, run.id) is None


def test_a_run_under_way_writes_its_own_model(client: TestClient, session: Session) -> None:
    assert client.post(f"/runs/{training(session).id}/model", data={"step": 20}).status_code == 409


def test_patience_is_told_while_it_lasts_and_when_it_ended_the_run(client: TestClient, session: Session) -> None:
    run = one_run(session)
    run.recipe = {**run.recipe, "patience": 3}
    take(session, run, utc_now())
    at = utc_now().isoformat()
    began = news(1, "started", step=0, device="cpu", parameters=1)
    run_events.record(session, run, [began | {"at": at}, news(2, "validation", **_facts(2)) | {"at": at}])
    assert "stops when no better for 3 validations, now for 2" in text_of(client, f"/runs/{run.id}/live")
    ended = news(3, "finished", reason="no_better", step=80, kept=True, model_step=40, looks=3, than_step=40)
    run_events.record(session, run, [ended | {"at": at}])
    runs.end(session, run, "stopped", "It stopped learning: no better for 3 validations.", "no_better")
    page = client.get(f"/runs/{run.id}")
    assert page.context["live"].state == ("keep", "stop", "stopped: no better for 3 validations")
    words = text_of(client, f"/runs/{run.id}")
    assert "It stopped learning: no better for 3 validations." in words
    assert "the model is written, that of step 40" in words


def _facts(streak: int) -> dict[str, Any]:
    return {name: fact for name, fact in validation(80, 0.3).items() if name != "kind"} | {"no_better": streak}


def test_old_recipes_know_no_patience(client: TestClient, session: Session) -> None:
    run = training(session)
    run.recipe = {name: knob for name, knob in run.recipe.items() if name != "patience"}
    session.flush()
    assert client.get(f"/runs/{run.id}").status_code == 200


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.14471, "0.145"), (12.34, "12.34"), (450_536.0, "4.51·10⁵"), (1e9, "1.00·10⁹"), (0.00004, "4.00·10⁻⁵"),
        (0.0, "0.000"), (9999.4, "9999"), (-3.0, "-3.000"),
    ],
)  # fmt: skip
def test_losses_of_any_size_take_few_characters(value: float, words: str) -> None:
    assert loss(value) == words


def test_the_launch_offers_to_stop_and_carries_it(client: TestClient, session: Session) -> None:
    one_run(session)
    page = client.get("/runs/new")
    assert page.context["plan"].recipe.patience == 0
    assert re.search(r'name="patience" value="3">', page.text)
    ticked = client.get("/runs/new?patience=3")
    assert ticked.context["plan"].recipe.patience == 3
    assert re.search(r'name="patience" value="3" checked>', ticked.text)
    # The form that launches carries it, the one that chooses does not: there the box says it.
    assert re.findall(r'form="(\w+)" name="patience"', ticked.text) == ["go", "choices"]
