"""The page of one run in each of its states: what it says, what it offers, and what it does not know."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from decimal import Decimal

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from app import jobs
from app.database import utc_now
from app.datasets.tables import DatasetVersion
from app.evaluation import sheets, suites
from app.settings import Settings
from app.storage import Storage
from app.training import run_events, runs
from app.training.causes import CAUSES
from app.training.recipe import Recipe
from app.training.tables import TrainingRun
from app.web.routes.runs import events_behind
from tests.evaluation.cast import finished_run, sheet_of
from tests.training.cast import news, one_run, step_told, take, training


def tell(session: Session, run: TrainingRun, *events: dict[str, object]) -> None:
    """News of this moment."""
    run_events.record(session, run, [one | {"at": utc_now().isoformat()} for one in events])


def at_work(session: Session, steps: int = 100) -> TrainingRun:
    """A run that a worker has taken and whose trainer has told nothing yet."""
    run = one_run(session, steps=steps)
    assert jobs.claim(session, run.job_id or 0, "worker")
    runs.begin(session, run)
    return run


def text_of(client: TestClient, run: TrainingRun) -> str:
    return " ".join(re.sub(r"<[^>]+>", "", client.get(f"/runs/{run.id}/live").text).split())


def test_preparing_says_what_is_done_and_how_far(client: TestClient, session: Session) -> None:
    run = at_work(session)
    assert "preparing" in text_of(client, run)
    assert "Starting the trainer" in text_of(client, run)
    began = news(1, "attempt", resumed=False, pid=1, spent_s=0.0)
    tell(session, run, began, news(2, "phase", phase="encode", done=0, total=340))
    tell(session, run, news(3, "phase", phase="encode", done=212, total=340))
    assert "Encoding photos and captions · 212 of 340" in text_of(client, run)
    tell(session, run, news(4, "started", step=0, device="cpu", parameters=2_400_000), step_told(5, 4))
    assert "Step 4 of 100" in text_of(client, run)
    tell(session, run, news(6, "phase", phase="save", done=0, total=None))
    assert "in · saving a checkpoint" in text_of(client, run)


def test_a_run_that_went_on_in_the_morning_prepares_and_has_not_spent_the_night(
    client: TestClient, session: Session
) -> None:
    run = training(session, silent_s=12 * 3600)
    night = (utc_now() - timedelta(hours=12)).isoformat()
    run_events.record(session, run, [news(10, "failed", cause="broken", sentence="It broke.") | {"at": night}])
    runs.end(session, run, "failed", "It broke.", "broken")
    runs.resume(session, run)
    take(session, run, utc_now())
    words = text_of(client, run)
    assert "preparing" in words and "Starting the trainer · 8 s in" in words
    assert "12 h" not in words and "hang" not in words


def test_a_run_that_its_worker_put_back_waits(client: TestClient, session: Session) -> None:
    run = training(session)
    tell(session, run, news(10, "finished", reason="stopped", step=20, kept=True))
    job = jobs.get(session, run.job_id or 0)
    job.state, job.failure = "queued", "The worker was told to stop; training goes on when one is back."
    session.flush()
    words = text_of(client, run)
    assert "waiting" in words and job.failure in words and "Starting the trainer" not in words


def test_a_command_in_a_sentence_is_set_as_one_and_nothing_else_is_let_through(
    client: TestClient, session: Session
) -> None:
    run = one_run(session)
    assert 'Start one with <code class="mono">packshot up</code>.' in client.get(f"/runs/{run.id}").text
    jobs.get(session, run.job_id or 0).failure = "The disk <b> is full; see `df <b>`."
    session.flush()
    page = client.get(f"/runs/{run.id}").text
    assert 'The disk &lt;b&gt; is full; see <code class="mono">df &lt;b&gt;</code>.' in page


def test_present_values_stand_in_the_heads(client: TestClient, session: Session) -> None:
    page = client.get(f"/runs/{training(session).id}")
    # 0.136 s of waiting at 9.4 pictures/s are 1.28 of the 128 pictures of four steps.
    assert page.context["present"].wait_share == pytest.approx(0.136 * 9.4 / 128)
    assert "data wait 1.0 %" in page.text
    assert 'data-empty="1"' not in page.text  # without scripts, nothing says that nothing was measured
    assert "0.4000</td>" in page.text  # the validation's value in the table
    assert "of 80 GiB" in page.text
    assert "Main memory" in page.text


def test_what_the_trainer_does_not_tell_is_said_to_be_unknown(client: TestClient, session: Session) -> None:
    run = at_work(session)
    told = {name: value for name, value in step_told(2, 4).items() if name not in ("data_wait_s", "memory_bytes")}
    tell(session, run, news(1, "started", step=0, device="NVIDIA H100"), told)
    page = client.get(f"/runs/{run.id}").text
    assert "data wait not told" in page
    assert "GPU memory" in page
    assert "Not told by this trainer." in page


def test_time_and_money_stand_against_the_hard_stop(client: TestClient, session: Session, settings: Settings) -> None:
    run = training(session)
    run.max_seconds, run.max_amount, run.hour_price = 7200.0, Decimal("3.00"), Decimal("3.60")
    run.estimated_s, run.estimated_low_s, run.estimated_high_s, run.estimated_from = (
        60.0,
        50.0,
        75.0,
        "5 steps measured",
    )
    folder = Storage(settings.data_dir).run_folder(run.id)
    folder.mkdir(parents=True)
    session.flush()
    (folder / "limits.json").write_text(json.dumps({"seconds": 3000, "binding": "money", "reserve_s": 600.0}))
    bill = client.get(f"/runs/{run.id}").context["live"].bill
    assert (bill.limit_s, bill.binding) == (3000.0, "money")
    assert bill.money(bill.limit_s) == Decimal(3)
    # The sheet's ten minutes, a second, one and a half steps, the last save and as much for the model.
    assert bill.end_reserve_s == pytest.approx(600 + 1 + 1.5 * 3.4 + 0.2 + 0.2)
    words = text_of(client, run)
    assert "stops at $3" in words.replace(settings.currency, "$")
    assert "50 s to 1 m 15 s, 5 steps measured" in words
    assert "money decides" in words


def test_an_end_that_is_sure_to_the_minute_has_no_range(client: TestClient, session: Session) -> None:
    run = training(session)
    words = text_of(client, run)
    assert "ends about" in words and "between" not in words
    assert " to " not in words.split("Now expected")[1].split(" s a step")[0]


def test_a_run_that_is_being_discarded_expects_and_offers_nothing(client: TestClient, session: Session) -> None:
    run = training(session)
    version = session.get_one(DatasetVersion, run.version_id)
    sheets.request_sheet(session, run, suites.suite_for(session, version, Recipe.model_validate(run.recipe)))
    assert "Open in compare" in text_of(client, run)
    runs.stop(session, run, keep=False)
    words = text_of(client, run)
    assert "discarding" in words
    assert not [said for said in ("Open in compare", "Now expected", "Reserved for") if said in words]


def test_a_run_without_a_preflight_foretells_nothing(client: TestClient, session: Session) -> None:
    words = text_of(client, training(session))
    assert "nothing: launched without a preflight" in words
    assert "cannot tell until it begins" in words


def test_notes_and_events_are_one_list(client: TestClient, session: Session) -> None:
    run = training(session)
    runs.note(session, run, "found_again", "The trainer kept running; the new worker found it by its token.")
    tell(session, run, news(10, "slow", step=20, step_s=0.9, usual_s=0.4, hint="Another process uses the device."))
    titles = [line.title for line in client.get(f"/runs/{run.id}").context["live"].lines]
    assert titles[:3] == ["slower than usual", "found again", "checkpoint 20"]


@pytest.mark.parametrize(
    ("cause", "sentence", "action"),
    [
        ("out_of_memory", "The device ran out of memory.", "Launch it again …"),
        ("hung", "No step for 3 minutes.", "Go on from step 20"),
    ],
)
def test_a_failed_run_says_the_cause_and_what_to_do(
    client: TestClient, session: Session, cause: runs.Cause, sentence: str, action: str
) -> None:
    run = training(session)
    runs.end(session, run, "failed", sentence, cause)
    page = client.get(f"/runs/{run.id}").text
    for words in (sentence, runs.NEXT_ACTIONS[cause], action, "up to step 20 is safe", "Copy details"):
        assert words in page


@pytest.mark.parametrize("cause", CAUSES)
def test_without_a_checkpoint_nothing_is_said_to_go_on_from_one(
    client: TestClient, session: Session, cause: runs.Cause
) -> None:
    run = at_work(session)
    runs.end(session, run, "failed", "It ended.", cause)
    words = text_of(client, run)
    assert "Nothing was saved before" in words or cause == "diverged"
    assert "last checkpoint" not in words and "what was learned" not in words
    assert "no trainer was started" not in words


def test_a_run_paused_for_a_full_disk_goes_on_or_ends(client: TestClient, session: Session) -> None:
    run = training(session)
    runs.end(session, run, "paused", "The disk is full: 1.2 GB are needed, 0.3 GB are free.", "disk_full")
    words = text_of(client, run)
    for told in ("Paused at step 20 of 100: the disk is full.", "No time and no money is spent", "Go on from step 20",
                 "Stop and keep", "Discard …"):  # fmt: skip
        assert told in words
    assert client.post(f"/runs/{run.id}/resumption").status_code == 303
    session.expire_all()
    assert runs.get(session, run.id).state == "queued"


def test_a_run_that_reached_its_limit_goes_on_under_a_higher_one(client: TestClient, session: Session) -> None:
    run = training(session)
    run.max_seconds, run.max_amount, run.hour_price, run.actual_s = 3600.0, Decimal("5"), Decimal("3.60"), 3600.0
    runs.end(session, run, "stopped", "Its time limit was reached at step 20; what it learned is kept.", "out_of_time")
    words = text_of(client, run)
    assert "stopped at the time limit" in words
    assert "Raise it and go on from step 20" in words
    address = f"/runs/{run.id}/extension"
    small = client.post(address, data={"hours": "0.5"}, headers={"Accept": "application/json"})
    assert small.status_code == 422
    assert client.post(address, data={"hours": "0"}, headers={"Accept": "application/json"}).status_code == 422
    assert client.post(address, data={"hours": "2.5", "amount": "9.50"}).status_code == 303
    session.expire_all()
    run = runs.get(session, run.id)
    assert (run.state, run.max_seconds, run.max_amount) == ("queued", 9000.0, Decimal("9.5"))


def suggested(client: TestClient, run: TrainingRun) -> dict[str, str]:
    """What the form for a higher limit holds before anybody types."""
    page = client.get(f"/runs/{run.id}").text
    found = {name: re.search(rf'name="{name}" value="([^"]*)"', page) for name in ("hours", "amount")}
    return {name: match.group(1) for name, match in found.items() if match}


@pytest.mark.parametrize(("most_s", "most"), [(36_000.0, "1.00"), (3600.0, "50.00"), (3600.0, "3.60")])
def test_the_form_for_a_higher_limit_holds_what_the_rest_needs(
    client: TestClient, session: Session, most_s: float, most: str
) -> None:
    run = training(session)
    run.max_seconds, run.max_amount, run.hour_price = most_s, Decimal(most), Decimal("3.60")
    run.actual_s = runs.limits_of(run).hard_stop()[0]
    runs.end(session, run, "stopped", "A limit was reached at step 20; what it learned is kept.", "out_of_time")
    values = suggested(client, run)
    # 80 steps at a quarter of a second, as the twenty before.
    needed_s = run.actual_s + 80 * 0.25
    assert float(values["hours"]) * 3600 >= max(needed_s, most_s)
    assert Decimal(values["amount"]) >= max(Decimal(needed_s) * Decimal("3.60") / 3600, Decimal(most))
    assert float(values["hours"]) <= max(most_s / 3600, needed_s / 3600 + 0.15), "rounded up, not made up"
    assert "Suggested: the" in text_of(client, run)
    assert "from step 20 to the end at the pace measured so far, rounded up." in text_of(client, run)
    assert client.post(f"/runs/{run.id}/extension", data=values).status_code == 303
    session.expire_all()
    assert runs.get(session, run.id).state == "queued"


def test_steps_that_were_not_saved_are_needed_again(client: TestClient, session: Session) -> None:
    run = training(session)
    now = utc_now()
    further = [step_told(10 + i, 24 + 4 * i) | {"at": (now + timedelta(seconds=i - 1)).isoformat()} for i in range(5)]
    run_events.record(session, run, further)
    run.max_seconds = run.actual_s = 60.0
    run.pace = {"step_s": 0.25, "save_s": 0.1, "export_s": 0.1}
    runs.end(session, run, "stopped", "Its time limit was reached at step 40.", "out_of_time")
    found = re.search(r"used and about (\d+) s from step 20 to the end", text_of(client, run))
    assert found and 19 <= int(found.group(1)) <= 25, "eighty steps, though sixty were never made"


def test_where_the_rest_cannot_be_told_the_present_limits_stand(client: TestClient, session: Session) -> None:
    run = at_work(session)
    tell(session, run, news(1, "attempt", resumed=False, pid=1, spent_s=0.0), news(2, "started", step=0, device="cpu"))
    run.max_seconds, run.max_amount, run.hour_price, run.actual_s = 5400.0, Decimal("5"), Decimal("2"), 5400.0
    runs.end(session, run, "stopped", "Its time limit was reached at step 0.", "out_of_time")
    assert suggested(client, run) == {"hours": "1.5", "amount": "5.00"}
    assert "cannot be told: too few steps were measured. The fields hold the present limits." in text_of(client, run)


def test_a_run_that_a_person_stopped_offers_nothing(client: TestClient, session: Session) -> None:
    run = training(session)
    runs.end(session, run, "stopped", "Ana stopped it. The checkpoint of step 20 is kept.")
    words = text_of(client, run)
    assert "Ana stopped it." in words
    assert "Go on" not in words


def test_a_discarded_run_keeps_its_curves_and_shows_no_samples(client: TestClient, session: Session) -> None:
    run = training(session)
    runs.end(session, run, "discarded", "Ana discarded it.")
    words = text_of(client, run)
    assert "discarded with the checkpoints that drew them" in words
    assert client.get(f"/runs/{run.id}/curves").json()["axes"]["step"] == [4, 8, 12, 16, 20]


def test_a_resumed_run_says_where_it_went_on(client: TestClient, session: Session) -> None:
    run = training(session)
    tell(session, run, step_told(10, 24), news(11, "attempt", resumed=True, pid=2, spent_s=9.0))
    tell(session, run, news(12, "started", step=20, device="cpu"), step_told(13, 24))
    words = text_of(client, run)
    assert "It went on from step 20, its last checkpoint." in words
    data = client.get(f"/runs/{run.id}/curves").json()
    assert data["axes"]["step"] == [4, 8, 12, 16, 20, 24]
    assert [join["step"] for join in data["joins"]] == [20]


def test_samples_to_come_have_a_place_and_a_time(client: TestClient, session: Session) -> None:
    run = training(session)
    version = session.get_one(DatasetVersion, run.version_id)
    suite = suites.suite_for(session, version, Recipe.model_validate(run.recipe))
    sheets.open_sheet(session, run, suite)
    base, saved = runs.checkpoints(session, run.id)
    for prompt in suites.preview_prompts(suites.prompts_of(session, suite)):
        cell = sheets.Cell(base.id, prompt.id, suite.seeds[0])
        sheets.record(session, [sheets.DrawnCell(cell, "5e" * 32, 64, 64)])
    strip = client.get(f"/runs/{run.id}").context["live"].strip
    every = run.recipe["checkpoint_every"]
    assert strip.steps == [0, saved.step, every, 2 * every]
    for row in strip.rows:
        assert row.spots[0].sample_id is not None
        assert row.spots[1].why == "being drawn"
        assert row.spots[2].due_at is not None
    assert "about" in text_of(client, run)


def test_the_log_is_told_from_a_byte_on(client: TestClient, session: Session, settings: Settings) -> None:
    run = training(session)
    folder = Storage(settings.data_dir).run_folder(run.id)
    folder.mkdir(parents=True)
    (folder / runs.LOG).write_text("one\ntwo\n")
    first = client.get(f"/runs/{run.id}/log").json()
    assert first == {"lines": ["one", "two"], "offset": 8}
    (folder / runs.LOG).write_text("one\ntwo\nthree\n")
    assert client.get(f"/runs/{run.id}/log", params={"after": first["offset"]}).json()["lines"] == ["three"]
    assert client.get(f"/runs/{run.id}/log", params={"after": -5}).json()["lines"] == ["one", "two", "three"]


def test_news_says_where_it_lies_on_every_axis(session: Session) -> None:
    run = training(session)
    (batch,) = events_behind(session, run.id, after=8).events
    assert batch.data["pictures"] == 20 * run.recipe["batch_size"]
    assert batch.data["seconds"] == 8.0


def test_a_run_that_is_over_says_how_far_its_sheet_is_and_what_comes_next(client: TestClient, session: Session) -> None:
    run = finished_run(session)
    run.reason = "All 6 steps are done and the model is whole. Its sheet is drawn next."
    sheet = sheet_of(session, run, drawn=1)
    job = jobs.get(session, sheet.job_id or 0)
    assert f"Its sheet waits to be drawn, 1 of {job.total}" in text_of(client, run)
    assert 'data-drawing="1"' in client.get(f"/runs/{run.id}/live").text
    assert "drawn next" not in text_of(client, run)
    claim = jobs.claim(session, job.id, "worker")
    assert claim is not None
    assert f"Its sheet is being drawn: 1 of {job.total}" in text_of(client, run)
    assert "Look at the sheet" in text_of(client, run)
    jobs.fail(session, claim, "The disk is full.")
    words = text_of(client, run)
    assert "Drawing its sheet failed" in words and "The disk is full." in words and "Draw the missing" in words
    assert 'data-drawing="0"' in client.get(f"/runs/{run.id}/live").text
    sheets.record(session, [sheets.DrawnCell(cell, "ab" * 32, 64, 64) for cell in sheets.missing(session, sheet)])
    words, page = text_of(client, run), client.get(f"/runs/{run.id}").text
    assert "Its sheet is drawn: " in words and "Compare its checkpoints" in words and "Plan the next run" in words
    assert f'href="/compare/{sheet.id}"' in page and f"/runs/new?version_id={run.version_id}" in page


def test_a_run_without_a_sheet_leads_to_the_next_one(client: TestClient, session: Session) -> None:
    run = one_run(session)
    runs.stop(session, run, True)
    words = text_of(client, run)
    assert "Plan the next run" in words and "sheet" not in words.split("Plan the next run")[0]


def test_money_that_is_spent_is_not_nothing(client: TestClient, session: Session) -> None:
    run = training(session)
    run.hour_price = Decimal("0.01")
    session.flush()
    words = text_of(client, run)
    assert "under €0.01" in words
    run.hour_price = Decimal(36)
    session.flush()
    assert re.search(r"Money €\d+\.\d\d", text_of(client, run))
