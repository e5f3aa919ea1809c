"""A run's states, its news and its checkpoints."""

from __future__ import annotations

import pytest
from sqlalchemy.orm import Session

from app import jobs
from app.datasets.tables import DatasetVersion
from app.errors import Conflict, Refused
from app.settings import PROJECT
from app.training import run_events, runs
from app.training.recipe import Recipe
from tests import cast
from tests.training.cast import frozen_version, news, one_run


def test_plan_keeps_the_rhythm_of_the_recipe() -> None:
    known, short = runs.plan("models/nano"), runs.plan("models/nano", steps=100, threads=3)
    assert (short.steps, short.threads) == (100, 3)
    assert short.checkpoint_every / short.steps == pytest.approx(known.checkpoint_every / known.steps, rel=0.05)
    assert short.warmup_steps < short.checkpoint_every


def test_plan_refuses_a_run_of_no_steps() -> None:
    with pytest.raises(Refused, match="steps"):
        runs.plan("models/nano", steps=-1)


def test_a_base_in_the_project_has_one_name_wherever_the_project_lies(session: Session) -> None:
    assert runs.named(str(PROJECT / "models" / "nano")) == "models/nano"
    assert runs.named("models/nano") == "models/nano"
    assert runs.named("/elsewhere/model") == "/elsewhere/model"
    assert runs.named("Photoroom/prx") == "Photoroom/prx"
    version, recipe = frozen_version(session), runs.plan(str(PROJECT / "models" / "nano"), 100)
    first = runs.request_run(session, version, str(PROJECT / "models" / "nano"), recipe)
    assert first.base == recipe.base == "models/nano"


def test_a_double_click_is_one_run(session: Session) -> None:
    version, recipe = frozen_version(session), runs.plan("models/nano", 100)
    first = runs.request_run(session, version, "models/nano", recipe)
    again = runs.request_run(session, version, "models/nano", recipe)
    other = runs.request_run(session, version, "models/nano", runs.plan("models/nano", 200))
    assert first.id == again.id != other.id
    assert jobs.get(session, first.job_id or 0).kind == "run.train"
    assert Recipe.model_validate(first.recipe).recipe_hash() == first.recipe_hash


def test_a_checkpoint_behind_the_one_it_went_on_from_is_no_more(session: Session) -> None:
    run = one_run(session)
    runs.begin(session, run)
    saved = [news(n, "checkpoint", step=10 * n, folder=f"c{n}", size_bytes=1, seconds=0.1) for n in (1, 2)]
    run_events.record(session, run, saved)
    run_events.record(session, run, [news(3, "started", step=10)])
    assert [one.step for one in runs.checkpoints(session, run.id)] == [0, 10]


def test_the_same_run_may_be_asked_for_again_once_it_is_over(session: Session) -> None:
    run = one_run(session)
    runs.stop(session, run, keep=True)
    version = session.get_one(DatasetVersion, run.version_id)
    again = runs.request_run(session, version, run.base, Recipe.model_validate(run.recipe))
    assert again.id != run.id


def test_a_version_that_is_not_frozen_is_refused(session: Session) -> None:
    version = frozen_version(session)
    version.content_hash = None
    with pytest.raises(Refused, match="not frozen yet"):
        runs.request_run(session, version, "models/nano", runs.plan("models/nano"))


def test_a_version_that_teaches_nothing_is_refused(session: Session) -> None:
    version = frozen_version(session)
    version.train_count = 0
    with pytest.raises(Refused, match="no photos to learn from"):
        runs.request_run(session, version, "models/nano", runs.plan("models/nano"))


def test_events_are_kept_once_and_without_gaps(session: Session) -> None:
    run = one_run(session)
    told = [news(1, "started", step=0), news(2, "step", step=10), news(3, "step", step=20)]
    assert run_events.record(session, run, told[:2]) == 2
    assert run_events.record(session, run, told) == 1
    assert run_events.record(session, run, told) == 0
    assert (run.step, run_events.last_seq(session, run.id)) == (20, 3)
    assert [event.seq for event in run_events.events_after(session, run.id, 1)] == [2, 3]
    with pytest.raises(run_events.EventGapError):
        run_events.record(session, run, [news(5, "step", step=40)])


def test_checkpoints_are_registered_with_the_loss_measured_at_their_step(session: Session) -> None:
    run = one_run(session)
    runs.begin(session, run)
    folder = "checkpoints/step-000050"
    run_events.record(
        session,
        run,
        [
            news(1, "started", step=0),
            news(2, "validation", step=0, loss=0.9),
            news(3, "validation", step=50, loss=0.4),
            news(4, "checkpoint", step=50, folder=folder, size_bytes=12, seconds=0.1),
            news(5, "checkpoint", step=60, folder="checkpoints/step-000060", size_bytes=12, seconds=0.1),
        ],
    )
    base, first, second = runs.checkpoints(session, run.id)
    assert (base.step, base.folder, base.validation_loss) == (0, None, 0.9)
    assert (first.step, first.folder, first.validation_loss) == (50, f"runs/{run.id}/{folder}", 0.4)
    assert second.validation_loss is None


def test_a_checkpoint_told_again_after_a_restart_is_the_same_one(session: Session) -> None:
    run = one_run(session)
    runs.begin(session, run)
    saved = {"step": 50, "folder": "checkpoints/step-000050", "size_bytes": 12, "seconds": 0.1}
    run_events.record(session, run, [news(1, "started", step=0), news(2, "checkpoint", **saved)])
    run_events.record(session, run, [news(3, "started", step=0), news(4, "checkpoint", **saved)])
    assert [checkpoint.step for checkpoint in runs.checkpoints(session, run.id)] == [0, 50]


def test_stopping_a_queued_run_ends_it_at_once(session: Session) -> None:
    run = one_run(session)
    runs.stop(session, run, keep=True, person=cast.person(session, "Ben", "owner"))
    assert (run.state, run.reason) == ("stopped", "Ben stopped it before a worker took it.")
    assert run.ended_at is not None
    assert jobs.get(session, run.job_id or 0).state == "cancelled"
    with pytest.raises(Conflict, match="over already"):
        runs.stop(session, run, keep=True)


def test_stopping_a_running_run_leaves_its_end_to_the_worker(session: Session) -> None:
    run = one_run(session)
    jobs.claim(session, run.job_id or 0, "worker")
    runs.begin(session, run)
    runs.stop(session, run, keep=True)
    assert (run.state, run.ended_at) == ("stopping", None)
    runs.stop(session, run, keep=False)
    assert run.state == "discarded"
    runs.stop(session, run, keep=True)
    assert run.state == "discarded", "thrown away stays thrown away"
    job = jobs.get(session, run.job_id or 0)
    assert not job.is_cancel_asked, "a job that is swept must find a worker that ends the trainer"


def test_a_discarded_run_forgets_its_checkpoints(session: Session) -> None:
    run = one_run(session)
    runs.begin(session, run)
    runs.end(session, run, "discarded", "Ana discarded it.")
    assert not runs.checkpoints(session, run.id)


def test_a_failed_run_goes_on_with_a_new_job(session: Session) -> None:
    run = one_run(session)
    first_job = run.job_id
    runs.end(session, run, "failed", "The disk is full.")
    runs.resume(session, run)
    runs.resume(session, run)
    assert (run.state, run.reason, run.ended_at) == ("queued", None, None)
    assert [one.sentence for one in runs.notes(session, run.id)] == ["Somebody let it go on from step 0."]
    assert run.job_id != first_job
    runs.end(session, run, "completed", "Done.")
    with pytest.raises(Conflict, match="would train nothing"):
        runs.resume(session, run)


@pytest.mark.parametrize(
    ("asked", "job_state", "failure_kind", "state", "cause"),
    [
        ("running", "failed", "lost", "failed", "lost"),
        ("running", "failed", "crashed", "failed", "broken"),
        ("stopping", "cancelled", None, "stopped", None),
        ("discarded", "cancelled", None, "discarded", None),
    ],
)
def test_a_run_whose_job_ended_without_it_is_settled(
    session: Session, asked: str, job_state: str, failure_kind: str | None, state: str, cause: str | None
) -> None:
    run = one_run(session)
    runs.begin(session, run)
    job = jobs.get(session, run.job_id or 0)
    run.state, job.state, job.failure_kind = asked, job_state, failure_kind
    session.flush()
    runs.settle_lost(session)
    assert (run.state, run.cause) == (state, cause)
    assert run.ended_at is not None
    assert run.reason


def test_a_checkpoint_may_have_more_than_two_gigabytes(session: Session) -> None:
    run = one_run(session)
    big = news(2, "checkpoint", step=10, folder="checkpoints/step-000010", size_bytes=5_200_000_000, seconds=9.0)
    run_events.record(session, run, [news(1, "started", step=0), big])
    session.expire_all()
    assert runs.checkpoints(session, run.id)[0].size_bytes == 5_200_000_000
